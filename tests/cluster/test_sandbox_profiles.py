"""Less than a whole cluster, for tests that need no pods."""

import pathlib

import pytest

from k8s_ee_sandbox import cache, cluster, errors, progress
from tests.cluster import bare

pytestmark = pytest.mark.cluster


def test_profile_api_creates_and_deletes_namespaces_without_a_node(bare_cluster: bare.Bare) -> None:
    sandbox, kubectl = bare_cluster.sandbox, bare_cluster.kubectl
    assert (sandbox.registry, sandbox.ingress_address) == ("", "")
    assert kubectl("get", "nodes", "-o=name") == ""
    kubectl("create", "namespace", "one")
    kubectl("-n", "one", "wait", "--for=create", "serviceaccount/default", "--timeout=10s")
    kubectl("delete", "namespace", "one", "--timeout=30s")
    with pytest.raises(errors.SandboxError, match="runs with profile api, not node"):
        cluster.up(sandbox.name, "node", progress.Progress())


def test_a_sandbox_of_the_same_name_in_another_cache_is_refused_and_this_one_goes_on(
    bare_cluster: bare.Bare, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, here, name = progress.Progress(), cache.directory(), bare_cluster.sandbox.name
    with monkeypatch.context() as patched:
        patched.setenv("K8S_EE_CACHE", str(tmp_path))
        (tmp_path / "artifacts").symlink_to(here / "artifacts")
        for act in (lambda: cluster.up(name, "api", lines), lambda: cluster.down(name, lines)):
            with pytest.raises(errors.SandboxError, match=f"runs from another cache on this machine: {here}"):
                act()
    bare_cluster.kubectl("get", "--raw=/readyz")
    assert cluster.up(name, "api", lines) == bare_cluster.sandbox
