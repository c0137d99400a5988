"""What the plan renders, on a real API server: accepted strictly, by the CI identity, which is held inside."""

from __future__ import annotations

import dataclasses
import pathlib
import uuid
from collections.abc import Iterator

import pytest
import yaml

from k8s_ee import environment, plan
from k8s_ee_sandbox import artifacts, cluster, platform, progress
from tests import conftest
from tests.unit.plan import facts

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def _helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", facts.helm_folder(tmp_path_factory.mktemp("helm")), prepend=":")
        yield


@pytest.fixture(scope="module")
def ci(sandbox: cluster.Sandbox) -> conftest.Kubectl:
    """kubectl as the identity that k8s/platform makes."""
    tool = artifacts.ensure("kubectl", progress=progress.Progress())["kubectl"]
    return conftest.kubectl_for(pathlib.Path(platform.install(sandbox, kubectl=tool)))


@pytest.fixture
def target(ci: conftest.Kubectl, kubectl: conftest.Kubectl) -> Iterator[environment.Environment]:
    """An environment with its fence, made by the CI identity."""
    project = environment.ProjectId(f"c{uuid.uuid4().hex[:8]}")
    target = dataclasses.replace(facts.TARGET, project=project, branch="")
    apply(ci, [plan.namespace(target, facts.PLATFORM)])
    apply(ci, list(plan.fence(target, facts.FULL, facts.PLATFORM)))
    yield target
    kubectl("delete", "namespace", target.namespace, "--wait=false")


def passwords(target: environment.Environment) -> list[facts.Manifest]:
    engine = plan.ENGINES["postgresql"]
    login = plan.logins.login(engine, target, lambda: "x")
    return [login, plan.logins.credentials(engine, login)]


def apply(run: conftest.Kubectl, manifests: list[facts.Manifest], *options: str) -> None:
    arguments = ("apply", "--server-side", "--validate=strict", "--field-manager=test", *options, "-f", "-")
    run(*arguments, stdin=yaml.safe_dump_all(manifests))


def test_every_manifest_is_accepted_strictly(ci: conftest.Kubectl, target: environment.Environment) -> None:
    apply(
        ci,
        [*passwords(target), *facts.rendered(facts.FULL, target)],
        "--dry-run=server",
        f"--namespace={target.namespace}",
    )


def test_every_pod_is_admitted_by_quota_limits_and_pod_security(
    ci: conftest.Kubectl, kubectl: conftest.Kubectl, target: environment.Environment
) -> None:
    for template in facts.pods(facts.rendered(facts.FULL, target)).values():
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "one", "labels": template["metadata"]["labels"]},
            "spec": template["spec"],
        }
        mounts = [mount for one in facts.containers(template) for mount in one.get("volumeMounts", [])]
        if any(mount["name"] == "data" for mount in mounts):  # the claim that the StatefulSet adds
            pod["spec"]["volumes"].append({"name": "data", "emptyDir": {}})
        apply(kubectl, [pod], "--dry-run=server", f"--namespace={target.namespace}")


def test_a_pod_that_pod_security_refuses_is_refused(kubectl: conftest.Kubectl, target: environment.Environment) -> None:
    said = kubectl("run", "root", "--image=x", "--dry-run=server", f"--namespace={target.namespace}", check=False)
    assert 'violates PodSecurity "restricted:latest"' in said


def test_ci_reads_the_credentials_it_made_and_no_other_secret(
    ci: conftest.Kubectl, kubectl: conftest.Kubectl, target: environment.Environment
) -> None:
    apply(ci, passwords(target))
    kubectl("create", "secret", "generic", "other", f"--namespace={target.namespace}")
    mine = ("postgresql-login", "postgresql-credentials-v1")
    assert ci("get", "secret", *mine, "-o", "name", f"--namespace={target.namespace}")
    for command in (("get", "secret", "other"), ("get", "secrets")):
        assert "Forbidden" in ci(*command, f"--namespace={target.namespace}", check=False)
    for name in ("other", "postgresql-login"):
        said = ci("delete", "secret", name, f"--namespace={target.namespace}", check=False)
        assert "may delete no Secret but passwords that an app does not use any more" in said
    ci("delete", "secret", "postgresql-credentials-v1", f"--namespace={target.namespace}")


@pytest.mark.parametrize(
    "command",
    [
        "create configmap x --namespace=kube-system",
        "create configmap x --namespace=k8s-ee-system",
        "create secret generic x --namespace=default",
        "label namespace default k8s-ee/type=ephemeral app.kubernetes.io/managed-by=k8s-ee",
        "create namespace somewhere",
        "delete namespace default --dry-run=server",
        "delete pods --all --namespace=kube-system --dry-run=server",
        "create clusterrolebinding x --clusterrole=cluster-admin --user=x",
    ],
)
def test_ci_writes_nowhere_outside_of_environments(ci: conftest.Kubectl, command: str) -> None:
    assert "orbidden" in ci(*command.split(), check=False)


@pytest.mark.parametrize(
    "change",
    ["k8s-ee/type-", "app.kubernetes.io/managed-by=me", "pod-security.kubernetes.io/enforce=privileged"],
)
def test_ci_can_not_take_an_environment_out_of_its_fence(
    ci: conftest.Kubectl, target: environment.Environment, change: str
) -> None:
    said = ci("label", "namespace", target.namespace, "--overwrite", change, check=False)
    assert "labelled as such and under Pod Security" in said
