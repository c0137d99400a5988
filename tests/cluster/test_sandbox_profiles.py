"""Less than a whole cluster, for tests that need no pods."""

import pytest

from k8s_ee_sandbox import cluster, errors, progress
from tests import conftest

pytestmark = pytest.mark.cluster

_NAME = "api-only"


@pytest.fixture
def api_only() -> cluster.Sandbox:
    return cluster.up(_NAME, "api", progress.Progress())


def test_profile_api_creates_and_deletes_namespaces_without_a_node(api_only: cluster.Sandbox) -> None:
    try:
        kubectl = conftest.kubectl_for(api_only.kubeconfig)
        assert (api_only.registry, api_only.ingress_address) == ("", "")
        assert kubectl("get", "nodes", "-o=name") == ""
        kubectl("create", "namespace", "one")
        kubectl("-n", "one", "wait", "--for=create", "serviceaccount/default", "--timeout=10s")
        kubectl("delete", "namespace", "one", "--timeout=30s")
        with pytest.raises(errors.SandboxError, match="runs with profile api, not node"):
            cluster.up(_NAME, "node", progress.Progress())
    finally:
        cluster.down(_NAME, progress.Progress())
