"""Environments of this tool's own making on the real cluster, each gone after its test."""

import base64
import contextlib
import dataclasses
import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

from k8s_ee import cluster, environment, settings
from k8s_ee_sandbox import cluster as sandboxes
from tests.cluster import workloads

Manifest = dict[str, Any]

SHA = "a" * 40
MANAGER = "k8s-ee-app"


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def quiet(_line: str) -> None:
    pass


def plain(text: str) -> str:
    return text


def connect(sandbox: sandboxes.Sandbox, *, dry_run: bool = False) -> cluster.Cluster:
    return cluster.connect(settings.Connection(kubeconfig=str(sandbox.kubeconfig)), dry_run=dry_run)


def unique(*, run: int = 1) -> environment.Environment:
    return environment.Environment(
        project=environment.ProjectId("cluster-test"),
        number=1 + secrets.randbelow(10**9),
        repository="acme/shop",
        repository_id=1 + secrets.randbelow(10**9),
        domain="preview.test",
        run=run,
    )


def namespace(wanted: environment.Environment) -> Manifest:
    labels = wanted.labels() | {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": wanted.namespace, "labels": labels, "annotations": wanted.annotations()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


@dataclasses.dataclass(frozen=True)
class Home:
    """One environment that exists. `name` is its namespace's."""

    api: cluster.Cluster
    wanted: environment.Environment
    image: str

    @property
    def name(self) -> str:
        return self.wanted.namespace

    def now(self) -> environment.Observed:
        (observed,) = cluster.find(self.api, self.wanted.repository_id, self.wanted.number)
        return observed

    def apply(self, *manifests: Manifest) -> tuple[Manifest, ...]:
        return self.api.apply(manifests, manager=MANAGER, namespace=self.name)

    def ready(self, *manifests: Manifest, seconds: float = 60, progress: Any = quiet, redact: Any = plain) -> None:
        """Applies them and waits for them."""
        self.apply(*manifests)
        wanted = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
        self.wait(wanted, seconds=seconds, progress=progress, redact=redact)

    def wait(
        self, wanted: list[tuple[str, str]], *, seconds: float = 60, progress: Any = quiet, redact: Any = plain
    ) -> None:
        cluster.waiting.ready(self.api, self.name, wanted, deadline=soon(seconds), progress=progress, redact=redact)

    def destroy(self, observed: environment.Observed, *, seconds: float = 60) -> cluster.Receipt:
        return cluster.destroy.destroy(self.api, observed, deadline=soon(seconds), progress=quiet)


@contextlib.contextmanager
def home(sandbox: sandboxes.Sandbox) -> Iterator[Home]:
    api, wanted = connect(sandbox), unique()
    cluster.namespaces.ensure(api, namespace(wanted), wanted, soon())
    yield Home(api, wanted, sandbox.images["base"])
    found = api.get("Namespace", wanted.namespace)
    if found:
        api.delete_all("Pod", wanted.namespace, grace_seconds=1)
        api.delete("Namespace", wanted.namespace, uid=found["metadata"]["uid"])


def pull_secret(sandbox: sandboxes.Sandbox, name: str) -> Manifest:
    login = base64.b64encode(f"{sandbox.registry_user}:{sandbox.registry_password}".encode()).decode()
    logins = json.dumps({"auths": {sandbox.registry: {"auth": login}}})
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "pull", "namespace": name},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": logins},
    }


def labels(component: str) -> dict[str, str]:
    return {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: component}


def script(name: str, image: str, source: str, **container: Any) -> Manifest:
    """A Deployment of one pod that runs a Python script. `container` overrides keys of its container."""
    manifest = workloads.deployment(name, image)
    manifest["metadata"]["labels"] = labels(name)
    template = manifest["spec"]["template"]
    template["metadata"]["annotations"] = {environment.HEAD_SHA: SHA}
    template["metadata"]["labels"] |= labels(name)
    template["spec"]["terminationGracePeriodSeconds"] = 1
    (main,) = template["spec"]["containers"]
    del main["readinessProbe"], main["lifecycle"]
    main |= {"command": ["python3", "-uc", source], **container}
    template["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    return manifest


def server(name: str, image: str, *, sha: str = SHA) -> Manifest:
    """A Deployment that becomes ready."""
    manifest = workloads.deployment(name, image)
    manifest["metadata"]["labels"] = labels(name)
    manifest["spec"]["template"]["metadata"]["annotations"] = {environment.HEAD_SHA: sha}
    return manifest


def database(name: str, image: str, *, source: str = "import time; time.sleep(9999)") -> Manifest:
    """A StatefulSet of one pod with a claim."""
    manifest = script(name, image, source)
    manifest["kind"] = "StatefulSet"
    del manifest["spec"]["strategy"]
    manifest["spec"]["serviceName"] = name
    (main,) = manifest["spec"]["template"]["spec"]["containers"]
    main["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = workloads.claim("data")
    manifest["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": claim["spec"]}]
    return manifest


def job(name: str, image: str, source: str) -> Manifest:
    template = script(name, image, source)["spec"]["template"]
    template["spec"]["restartPolicy"] = "Never"
    spec = {"backoffLimit": 0, "template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels(name)}, "spec": spec}
