"""The rights that k8s/janitor gives are enough for all that a pass does, each is used, and none reaches further."""

import base64
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_ee import cluster, environment, resources
from k8s_ee.cluster import preserving
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.bench import counting
from tests.cluster import bare, environments, workloads
from tests.wire import github
from tests.wire import github_state as states

pytestmark = pytest.mark.cluster

HOME = "k8s-ee-system"
ACCOUNT = "k8s-ee-janitor"
SHOP = states.Repository(id=501, owner_id=77, full_name="acme/swept")
FINALIZERS = {"widgets.example.com/a": "deployment/widgets/gone", "widgets.example.com/b": "apiservice/v1.gone.example"}
SETTINGS = {
    "domain": "preview.test",
    "allowed": {"ownerIds": [77]},
    "lifecycle": {"orphanedFinalizers": FINALIZERS},
}
# Which the README has a platform engineer write, for kinds of their own.
WIDGETS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "widgets-finalizers"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "patch"]}],
}
RARE = {
    "list nodes": "somebody waits for a place, and capacity is counted by what nodes have",
    "get ingresses": "somebody wrote to it while it was put to sleep",
    "get statefulsets": "somebody wrote to it while it was put to sleep",
    "watch pods": "before Kubernetes 1.33 they are awaited",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """`asked` counts by verb and resource what the janitor asked of the API server."""

    base: bare.Bare
    github: github.Server
    url: str
    asked: counting.Counts

    def made(self, *manifests: environments.Manifest, state: str = "open", **annotations: str) -> environment.Observed:
        number = 1 + secrets.randbelow(10**6)
        wanted = dataclasses.replace(
            environments.unique(), number=number, repository=SHOP.full_name, repository_id=SHOP.id
        )
        manifest = environments.namespace(wanted)
        manifest["metadata"]["annotations"] |= annotations
        cluster.namespaces.ensure(self.base.api, manifest, wanted, environments.soon())
        for one in manifests:
            self.base.kubectl("-n", wanted.namespace, "apply", "-f", "-", stdin=json.dumps(one))
        self.github.state.repository(SHOP.full_name).pulls[number] = states.Pull(number, "a" * 40, state=state)
        (found,) = cluster.find(self.base.api, SHOP.id, number)
        return found

    def sweep(self, now: datetime.datetime, folder: pathlib.Path) -> dict[str, str]:
        """One pass as the janitor's account; what was done, by namespace."""
        config = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "current-context": "c",
        }
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        environ = {key: value for key, value in os.environ.items() if not key.startswith(("K8S_EE_", "GITHUB_"))}
        environ |= {
            "K8S_EE_KUBECONFIG": str(folder / "kubeconfig"),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_TOKEN": "token",
        }
        command = [sys.executable, "-m", "k8s_ee", "janitor", "--output=json", f"--now={now.isoformat()}"]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180, check=False)
        assert "forbidden" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr
        assert "may not" not in done.stdout + done.stderr
        outcome: dict[str, Any] = json.loads(done.stdout)
        return {one["namespace"]: one["done"] for one in outcome["data"]["environments"]}


@pytest.fixture
def place(bare_cluster: bare.Bare) -> Iterator[Place]:
    kubectl = bare_cluster.kubectl
    for manifest in shipped(kubectl("kustomize", str(resources.directory("k8s") / "platform"))):
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(manifest))
    kubectl("apply", "--server-side", "-k", str(resources.directory("k8s") / "janitor" / "base"))
    kubectl("patch", "cronjob", "-n", HOME, ACCOUNT, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    in_force(kubectl)
    kubectl("-n", HOME, "delete", "leases", "--all")  # those of other tests: a first pass makes its own
    token = kubectl("-n", HOME, "create", "token", ACCOUNT).strip()
    with hub() as server, counted(bare_cluster.sandbox, token) as (url, asked):
        yield Place(bare_cluster, server, url, asked)
    kubectl("delete", "-k", str(resources.directory("k8s") / "janitor" / "base"))


def in_force(kubectl: conftest.Kubectl) -> None:
    """The API server reads a new policy some time after it took it, and tells nobody when."""
    subject, end = f"--as=system:serviceaccount:{HOME}:{ACCOUNT}", time.monotonic() + 60
    attempt = (subject, "annotate", "namespace", "default", "k8s-ee/tried=1", "--dry-run=server")
    while "may not" not in (said := kubectl(*attempt, check=False)) and "may only" not in said:
        assert time.monotonic() < end, said
        time.sleep(0.2)


def shipped(text: str) -> list[environments.Manifest]:
    """With these settings in place of those that let nobody in."""
    found = list(yaml.safe_load_all(text))
    return [
        {**one, "data": {"platform.yaml": json.dumps(SETTINGS)}} if one["kind"] == "ConfigMap" else one for one in found
    ]


@contextlib.contextmanager
def hub() -> Iterator[github.Server]:
    with github.Server(states.State(repositories=[dataclasses.replace(SHOP, pulls={}, comments={})])) as server:
        yield server


@contextlib.contextmanager
def counted(sandbox: sandboxes.Sandbox, token: str) -> Iterator[tuple[str, counting.Counts]]:
    (entry,) = yaml.safe_load(sandbox.kubeconfig.read_text())["clusters"]
    authority = base64.b64decode(entry["cluster"]["certificate-authority-data"]).decode()
    with counting.running(sandbox.api_url, authority=authority, token=token) as made:
        yield made


def granted(kubectl: Any) -> set[str]:
    """As `counting` names what is asked for."""
    roles = [("clusterrole", "default"), ("role", HOME), ("role", "default")]
    rules = [
        rule
        for kind, namespace in roles
        for rule in json.loads(kubectl("-n", namespace, "get", kind, ACCOUNT, "-o", "json"))["rules"]
    ]
    return {f"{verb} {resource}" for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def running() -> list[environments.Manifest]:
    """What an environment consists of; without a kubelet none of it ever runs."""
    app, route = workloads.deployment("app", "none"), workloads.ingress("app", "app.preview.test")
    claim = {**workloads.claim("data"), "metadata": {"name": "data"}}
    store = environments.database("postgresql", "none")
    for one in (app, route, store):
        one["metadata"]["labels"] = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "app"}
    job = environments.job("migrate", "none", "1")
    return [app, store, route, claim, job]


def test_they_suffice_for_every_act_and_each_of_them_is_needed(place: Place, tmp_path: pathlib.Path) -> None:
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    hours = datetime.timedelta(hours=1)
    closed = [place.made(*running(), state="closed") for _ in range(4)]
    idle = place.made(*running())
    until = (now + 14 * hours).isoformat()
    preserved = place.made(**{environment.PRESERVED_UNTIL: until, environment.WARNED_OF: until})
    slot = preserving.preserve(place.base.api, preserved, now + 14 * hours, limit=3, home=HOME)
    at_once = place.sweep(now, tmp_path)
    assert {at_once[one.namespace] for one in closed} == {"deleted"}
    assert {at_once[one.namespace] for one in (idle, preserved)} == {"kept"}
    later = place.sweep(now + 13 * hours + hours / 2, tmp_path)
    assert (later[idle.namespace], later[preserved.namespace]) == ("slept", "warned")
    assert environment.PRESERVE_SLOT in slot.annotations
    place.github.state.repository(SHOP.full_name).pulls[preserved.number].state = "closed"
    assert place.sweep(now + 15 * hours, tmp_path)[preserved.namespace] == "expired"
    assert place.sweep(now + 15 * hours, tmp_path)[preserved.namespace] == "deleted"
    held = stuck(place)
    assert place.sweep(now + hours, tmp_path)[held.namespace] == "deleted"

    used = set(place.asked) - {"get /version", "get /apis", "list configmaps", "patch configmaps"}
    rights = granted(place.base.kubectl)
    assert used <= rights
    assert rights - used <= set(RARE)


def stuck(place: Place) -> environment.Observed:
    """Held by finalizers of controllers that do not exist."""
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"held-{index}", "finalizers": [name]}}
        for index, name in enumerate(FINALIZERS)
    ]
    held = place.made(*objects)
    place.base.kubectl("apply", "-f", "-", stdin=json.dumps(WIDGETS))
    binding = ("widgets-finalizers", "--clusterrole=widgets-finalizers", f"--serviceaccount={HOME}:{ACCOUNT}")
    place.base.kubectl("create", "clusterrolebinding", *binding)
    place.base.kubectl("delete", "namespace", held.namespace, "--wait=false")
    condition = "--for=condition=NamespaceContentRemaining"
    place.base.kubectl("wait", condition, f"namespace/{held.namespace}", "--timeout=30s")
    return held


def test_nothing_outside_environments_can_be_written(place: Place) -> None:
    kubectl, subject = place.base.kubectl, f"--as=system:serviceaccount:{HOME}:{ACCOUNT}"
    kubectl("create", "namespace", "stranger")
    attempts = [
        ("delete", "namespace", "stranger", "--wait=false"),
        ("annotate", "namespace", "stranger", "k8s-ee/active-at=x"),
        ("create", "namespace", "another"),
        ("-n", "kube-system", "delete", "pods", "--all"),
        ("-n", "stranger", "delete", "deployments", "--all"),
        ("-n", HOME, "create", "-f", "-"),
    ]
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "another"}}
    kubectl("-n", "stranger", "create", "deployment", "app", "--image=none")
    kubectl("-n", "kube-system", "run", "one", "--image=none", "--restart=Never", check=False)
    for attempt in attempts:
        said = kubectl(subject, *attempt, stdin=json.dumps(lease), check=False)
        assert "orbidden" in said or "denied" in said or "may only" in said, (attempt, said)
    observed = place.made()
    said = kubectl(subject, "label", "namespace", observed.namespace, "k8s-ee/type-", check=False)
    assert "may not change the labels" in said
    kubectl("delete", "namespace", "stranger", "--wait=false")
