"""What a deploy is refused for before anything is changed: each in one sentence, with a way out, and its exit code."""

import contextlib
import dataclasses
import json
import os
import pathlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.cluster import cli, images

pytestmark = pytest.mark.cluster

_PATIENCE = 10.0
SYSTEM = ("-n", "k8s-ee-system")
PULL_SECRETS = ("-n", "k8s-ee-pull-secrets")


@pytest.fixture
def shop(runner: cli.Installed, tmp_path: pathlib.Path) -> Iterator[cli.Preview]:
    """No environment yet."""
    with cli.preview(dataclasses.replace(runner, image=runner.sandbox.images["base"]), tmp_path) as made:
        made.configure(cli.small())
        yield made


def edited(preview: cli.Preview, **changes: str) -> str:
    """The CI identity's kubeconfig with other values, as text, the way a workflow's secret has it."""
    text = preview.installed.kubeconfig.read_text()
    for key, value in changes.items():
        text = re.sub(rf"{key}: .*", f"{key}: {value}", text)
    return text


def _token_without_rights(preview: cli.Preview) -> str:
    return edited(preview, token=preview.installed.kubectl("-n", "default", "create", "token", "default").strip())


@dataclasses.dataclass(frozen=True)
class Case:
    code: int
    says: str
    hint: str
    environ: Callable[[cli.Preview], Mapping[str, str]]
    within: float = _PATIENCE


def kubeconfig(make: Callable[[cli.Preview], str]) -> Callable[[cli.Preview], Mapping[str, str]]:
    return lambda preview: {"K8S_EE_KUBECONFIG": make(preview)}


def given(**environ: str) -> Callable[[cli.Preview], Mapping[str, str]]:
    return lambda _preview: {f"K8S_EE_{key}": value for key, value in environ.items()}


def _no_helm(preview: cli.Preview) -> Mapping[str, str]:
    folder = preview.directory / "bin"
    folder.mkdir()
    (folder / "k8s-ee").symlink_to(preview.installed.bin / "k8s-ee")
    return {"PATH": os.pathsep.join([str(folder), "/usr/bin", "/bin"])}


CASES: Mapping[str, Case] = {
    "no kubeconfig": Case(5, "no kubeconfig at", "--kubeconfig", lambda _p: {"K8S_EE_KUBECONFIG": "", "HOME": "/none"}),
    "not a kubeconfig": Case(5, "is not a kubeconfig", "the file's text", kubeconfig(lambda _p: "not:\n a kubeconfig")),
    "another context": Case(5, "no context 'other'", "it has: sandbox", given(CONTEXT="other")),
    "nobody there": Case(
        5, "connection refused", "kubectl version", kubeconfig(lambda p: edited(p, server="https://127.0.0.1:9"))
    ),
    "no such host": Case(
        5, "does not resolve", "kubectl version", kubeconfig(lambda p: edited(p, server="https://nowhere.invalid"))
    ),
    "another cluster's certificate": Case(
        5,
        "is not the one the kubeconfig trusts",
        "make a new one",
        kubeconfig(lambda p: re.sub(r"certificate-authority-data: .*", "", p.installed.kubeconfig.read_text())),
    ),
    "a wrong token": Case(5, "(401)", "make a new kubeconfig", kubeconfig(lambda p: edited(p, token="wrong"))),
    "no rights": Case(3, "may not read ConfigMap", "k8s/platform", kubeconfig(_token_without_rights)),
    "an image by tag": Case(2, "not a reference by digest", "@sha256:", given(IMAGE="ghcr.io/acme/shop:latest")),
    "an image from elsewhere": Case(
        3, "may not come from docker.io/evil", "registries", given(IMAGE=f"docker.io/evil@sha256:{'a' * 64}")
    ),
    "a commit that is none": Case(2, "HEAD_SHA is not a commit", "40 hex digits", given(HEAD_SHA="main")),
    "no pull request": Case(2, "--pr not given", "pull_request event", given(PR="")),
    "an owner not allowed": Case(3, "does not list repository", "allowed.ownerIds", given(OWNER_ID="78")),
    "no helm": Case(5, "helm is not on the PATH", "install Helm", _no_helm),
}


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_is_wrong_and_makes_nothing(shop: cli.Preview, name: str) -> None:
    case = CASES[name]
    done = shop.start("up", **case.environ(shop)).end()
    assert (done.code, "Traceback" in done.said) == (case.code, False), done.said
    assert case.says in done.stderr
    assert case.hint in done.stderr
    assert done.seconds < case.within
    assert "NotFound" in shop.installed.kubectl("get", "namespace", shop.namespace, check=False)


@contextlib.contextmanager
def platform(preview: cli.Preview, change: Callable[[dict[str, Any]], Any]) -> Iterator[None]:
    """The platform settings of the cluster are other ones for a while; None = there are none."""
    kubectl = preview.installed.kubectl
    found = json.loads(kubectl(*SYSTEM, "get", "configmap", "k8s-ee-platform", "-o", "json"))
    manifest = {key: found[key] for key in ("apiVersion", "kind", "data")}
    manifest["metadata"] = {"name": "k8s-ee-platform", "namespace": "k8s-ee-system"}
    changed = change(yaml.safe_load(found["data"]["platform.yaml"]))
    kubectl(*SYSTEM, "delete", "configmap", "k8s-ee-platform")
    try:
        if changed is not None:
            text = changed if isinstance(changed, str) else yaml.safe_dump(changed)
            kubectl("create", "-f", "-", stdin=json.dumps({**manifest, "data": {"platform.yaml": text}}))
        yield
    finally:
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))


SETTINGS: Mapping[str, tuple[Callable[[dict[str, Any]], Any], int, str, str]] = {
    "none": (lambda _found: None, 2, "has no platform settings", "kubectl apply -k k8s/platform"),
    "empty": (lambda _found: "", 2, "k8s-ee-platform", "domain"),
    "broken": (lambda _found: "domain: [", 2, "not valid YAML", ""),
    "without an allow-list": (lambda found: {**found, "allowed": {}}, 3, "does not list", "allowed.ownerIds"),
    "with a pull secret that is not there": (
        lambda found: {**found, "imagePullSecrets": ["gone"]},
        2,
        "name the pull secret gone",
        "create secret docker-registry gone",
    ),
    "with an ingress controller that is not there": (
        lambda found: {**found, "ingress": {**found["ingress"], "namespace": "nowhere"}},
        5,
        "no running ingress controller",
        "ingress.podLabels",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_platform_settings_that_do_not_fit_are_named_and_a_deploy_under_good_ones_works(
    shop: cli.Preview, name: str
) -> None:
    change, code, says, hint = SETTINGS[name]
    with platform(shop, change):
        done = shop.start("up").end()
    assert (done.code, "Traceback" in done.said) == (code, False), done.said
    assert says in done.stderr
    assert hint in done.stderr
    assert done.seconds < _PATIENCE
    assert shop.start("create-namespace").end().code == 0


def test_a_request_beyond_the_platforms_limits_is_shown_at_its_line(shop: cli.Preview) -> None:
    shop.configure({**cli.small(), "resources": {"limits": {"memory": "64Gi"}}, "ingress": {"annotations": {"x": "y"}}})
    done = shop.start("up", "--output", "json").end()
    assert done.code == 2, done.said
    problems = done.outcome["problems"]
    assert {
        "more than the platform allows" in one["message"] or "annotation" in one["message"] for one in problems
    } == {True}
    assert all(one["line"] for one in problems)
    assert len(problems) == 2


def _namespace(preview: cli.Preview, labels: Mapping[str, str]) -> None:
    metadata = {"name": preview.namespace, "labels": dict(labels)}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    preview.installed.kubectl("create", "-f", "-", stdin=json.dumps(manifest))


def _seen(preview: cli.Preview) -> str:
    return preview.installed.kubectl("get", "namespace", preview.namespace, "-o", "yaml")


def test_a_namespace_that_is_not_ours_is_never_touched(shop: cli.Preview) -> None:
    _namespace(shop, {"team": "payments"})
    before = _seen(shop)
    for command in ("up", "create-namespace", "deploy-db", "deploy-app", "down"):
        done = shop.start(command).end()
        assert done.code in ({0} if command == "down" else {2, 3}), (command, done.said)
    up = shop.start("up").end()
    assert (up.code, "is not an environment" in up.stderr, "projectId" in up.stderr) == (3, True, True), up.said
    assert _seen(shop) == before


def test_the_environment_of_another_repository_is_never_touched_nor_its_name_told(shop: cli.Preview) -> None:
    shop.start("create-namespace", K8S_EE_REPOSITORY="rival/secret", K8S_EE_REPOSITORY_ID="5").end()
    before = _seen(shop)
    for command in ("up", "create-namespace", "deploy-db", "deploy-app", "down"):
        done = shop.start(command).end()
        assert done.code in ({0} if command == "down" else {2, 3}), (command, done.said)
        assert "rival" not in done.said
    up = shop.start("up").end()
    assert (up.code, "belongs to another repository" in up.stderr) == (3, True), up.said
    assert _seen(shop) == before


def test_a_terminating_one_is_waited_for_and_made_again(shop: cli.Preview) -> None:
    shop.start("create-namespace").end()
    shop.installed.kubectl("delete", "namespace", shop.namespace, "--wait=false")
    done = shop.start("create-namespace", "--output", "json").end()
    assert done.code == 0, done.said
    assert done.outcome["outputs"]["created"] == "true"


def test_what_blocks_a_terminating_one_is_named_when_the_time_is_up(shop: cli.Preview) -> None:
    shop.start("create-namespace").end()
    blocked = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["acme.io/hold"]}}
    shop.kubectl("create", "-f", "-", stdin=json.dumps(blocked))
    shop.installed.kubectl("delete", "namespace", shop.namespace, "--wait=false")
    try:
        # The namespace controller looks after five seconds for the first time.
        for command, seconds in (("up", 8), ("down", 1)):
            done = shop.start(command, "--timeout", str(seconds)).end()
            assert (done.code, "acme.io/hold" in done.stderr) == (4, True), done.said
            assert done.seconds < seconds + _PATIENCE
    finally:
        shop.kubectl("patch", "configmap", "held", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')


def test_an_older_run_never_overwrites_what_a_newer_one_deployed(shop: cli.Preview) -> None:
    newer, older = ({"GITHUB_RUN_ID": str(number)} for number in (2000, 1000))
    assert shop.start("create-namespace", **newer).end().code == 0
    done = shop.start("up", **older).end()
    assert (done.code, "a newer run (#2000)" in done.said) == (0, True), done.said


@contextlib.contextmanager
def revoked(preview: cli.Preview) -> Iterator[None]:
    """The platform's login for the registry does not work for a while."""
    kubectl, secret = preview.installed.kubectl, ("secret", "sandbox-registry")
    data = kubectl(*PULL_SECRETS, "get", *secret, "-o", "jsonpath={.data}")
    wrong = {"auths": {preview.installed.sandbox.registry: {"username": "sandbox", "password": "revoked"}}}
    patch = json.dumps({"stringData": {".dockerconfigjson": json.dumps(wrong)}})
    kubectl(*PULL_SECRETS, "patch", *secret, "--type=merge", "-p", patch)
    try:
        yield
    finally:
        kubectl(*PULL_SECRETS, "patch", *secret, "--type=merge", "-p", json.dumps({"data": json.loads(data)}))


def test_a_revoked_registry_login_is_said_within_seconds_and_its_renewal_heals(shop: cli.Preview) -> None:
    fresh = images.push(shop.installed.sandbox)
    with revoked(shop):
        done = shop.start("up", image=fresh).end()
    assert (done.code, "credentials missing, wrong or revoked" in done.stderr) == (4, True), done.said
    assert "imagePullSecrets" in done.stderr
    # A node may pull before it has seen the new Secret; only its next try, 10 s later, says that the login is wrong.
    assert done.seconds < 40
    shop.up()


def test_the_same_again_begins_with_a_new_pod_where_the_one_before_is_tried_ever_later(shop: cli.Preview) -> None:
    """What was wrong may be mended, and nothing of the deploy has changed."""
    sha = cli.commit()
    source = "import os\nif os.environ['MODE'] == 'broken': raise SystemExit(3)\n" + cli.SERVER
    shop.configure({**cli.small(source), "envFrom": [{"secretRef": {"name": "settings"}}]})
    shop.start("create-namespace", sha=sha).end()
    shop.kubectl("create", "secret", "generic", "settings", "--from-literal=MODE=broken")
    broken = shop.start("up", sha=sha).end()
    assert (broken.code, "crashes at start (exit code 3)" in broken.said) == (4, True), broken.said
    shop.kubectl("patch", "secret", "settings", "--type=merge", "-p", '{"stringData": {"MODE": "fine"}}')
    mended = shop.start("up", sha=sha).end()
    assert (mended.code, "which an earlier deploy left broken" in mended.said) == (0, True), mended.said


def test_a_database_whose_password_is_gone_is_not_given_another_one(shop: cli.Preview) -> None:
    shop.configure({**cli.small(), "databases": {"postgresql": {"storage": "64Mi"}}})
    shop.start("create-namespace").end()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    data = {"kind": "PersistentVolumeClaim", "metadata": {"name": "data-postgresql-0"}, "spec": spec}
    shop.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", **data}))
    claim = shop.kubectl("get", "pvc", "data-postgresql-0", "-o", "jsonpath={.metadata.uid}")
    done = shop.start("up").end()
    assert (done.code, "but not its password" in done.stderr) == (3, True), done.said
    assert "restore the Secret" in done.stderr
    assert shop.kubectl("get", "pvc", "data-postgresql-0", "-o", "jsonpath={.metadata.uid}") == claim
    for name in ("postgresql-login", "postgresql-credentials-v1"):
        assert "NotFound" in shop.kubectl("get", "secret", name, check=False)


def test_destroying_again_is_no_error_and_needs_no_file(shop: cli.Preview) -> None:
    shop.start("create-namespace").end()
    shop.config.write_text("projectId: [broken")
    began = time.monotonic()
    for deleted in ([shop.namespace], []):
        done = shop.start("down", "--output", "json").end()
        assert (done.code, json.loads(done.outcome["outputs"]["deleted"])) == (0, deleted), done.said
    assert time.monotonic() - began < 20
