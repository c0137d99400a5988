"""Less than a whole cluster, for tests that need no pods."""

import pathlib

import pytest

from k8s_ee_sandbox import cache, cluster, errors, progress
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


def test_a_sandbox_of_the_same_name_in_another_cache_is_refused_and_this_one_goes_on(
    api_only: cluster.Sandbox, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, here = progress.Progress(), cache.directory()
    try:
        with monkeypatch.context() as patched:
            patched.setenv("K8S_EE_CACHE", str(tmp_path))
            (tmp_path / "artifacts").symlink_to(here / "artifacts")
            for act in (lambda: cluster.up(_NAME, "api", lines), lambda: cluster.down(_NAME, lines)):
                with pytest.raises(errors.SandboxError, match=f"runs from another cache on this machine: {here}"):
                    act()
        conftest.kubectl_for(api_only.kubeconfig)("get", "--raw=/readyz")
        assert cluster.up(_NAME, "api", lines) == api_only
    finally:
        cluster.down(_NAME, lines)
