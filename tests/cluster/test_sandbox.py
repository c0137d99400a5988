"""The embedded cluster does what a cluster does."""

import json
import pathlib
import uuid

import pytest

from k8s_ee_sandbox import cluster, images
from tests import conftest
from tests.cluster import workloads

pytestmark = pytest.mark.cluster

_DONE = "--for=jsonpath={.status.phase}=Succeeded"


def _fails_at_once(kubectl: conftest.Kubectl, namespace: str, pod: str) -> str:
    """The reason why the container waits, once there is one that is a failure."""
    reason = "{.status.containerStatuses[0].state.waiting.reason}"
    kubectl("-n", namespace, "wait", f"--for=jsonpath={reason}=ErrImagePull", f"pod/{pod}", "--timeout=30s")
    return kubectl("-n", namespace, "get", f"pod/{pod}", f"-o=jsonpath={reason}")


def test_a_restricted_pod_writes_into_its_volume(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str
) -> None:
    script = "open('/data/x', 'w').write('kept'); print(open('/data/x').read())"
    spec = workloads.pod_spec(sandbox.images["base"], script, claim="data")
    manifests = workloads.together(workloads.claim("data"), workloads.pod("writer", spec))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=manifests)
    kubectl("-n", namespace, "wait", _DONE, "pod/writer", "--timeout=60s")
    assert kubectl("-n", namespace, "logs", "writer").strip() == "kept"


def test_a_volume_and_its_folder_go_with_the_namespace(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str
) -> None:
    spec = workloads.pod_spec(sandbox.images["base"], "open('/data/x', 'w')", claim="data")
    manifests = workloads.together(workloads.claim("data"), workloads.pod("writer", spec))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=manifests)
    kubectl("-n", namespace, "wait", _DONE, "pod/writer", "--timeout=60s")
    volume = kubectl("-n", namespace, "get", "pvc/data", "-o=jsonpath={.spec.volumeName}")
    folder = pathlib.Path(kubectl("get", f"pv/{volume}", "-o=jsonpath={.spec.local.path}"))
    assert [file.name for file in folder.iterdir()] == ["x"]
    kubectl("delete", "namespace", namespace, "--timeout=60s")
    kubectl("wait", "--for=delete", f"pv/{volume}", "--timeout=30s")
    assert not folder.exists()


def test_a_volume_for_several_nodes_is_refused_with_the_reason(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str
) -> None:
    shared = workloads.claim("data")
    shared["spec"]["accessModes"] = ["ReadWriteMany"]
    pod = workloads.pod("user", workloads.pod_spec(sandbox.images["base"], "", claim="data"))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=workloads.together(shared, pod))
    events = ("events", "--field-selector=reason=ProvisioningFailed", "-o=jsonpath={.message}{'\\n'}")
    message = conftest.first_seen(sandbox.kubeconfig, "-n", namespace, "get", *events)
    assert "ReadWriteMany is not supported" in message


def test_a_pod_that_wants_root_is_refused(kubectl: conftest.Kubectl, namespace: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root"}}
    pod["spec"] = {"containers": [{"name": "main", "image": "any"}]}
    said = kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod), check=False)
    assert 'violates PodSecurity "restricted' in said


def test_a_service_is_found_by_its_name(sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str) -> None:
    server = (workloads.deployment("web", sandbox.images["base"], version="1"), workloads.service("web"))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=workloads.together(*server))
    kubectl("-n", namespace, "rollout", "status", "deployment/web", "--timeout=60s")
    script = (
        "import urllib.request as r\n"
        f"for host in ('web', 'web.{namespace}', 'web.{namespace}.svc.cluster.local'):\n"
        "    print(r.urlopen(f'http://{host}/', timeout=5).status)"
    )
    pod = workloads.pod("client", workloads.pod_spec(sandbox.images["base"], script))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("-n", namespace, "wait", _DONE, "pod/client", "--timeout=60s")
    assert kubectl("-n", namespace, "logs", "client").split() == ["200", "200", "200"]


def test_a_name_outside_the_cluster_fails_within_a_second(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str
) -> None:
    script = (
        "import socket, time\n"
        "begun = time.monotonic()\n"
        "try:\n"
        "    socket.getaddrinfo('example.com', 80)\n"
        "except socket.gaierror:\n"
        "    print(time.monotonic() - begun < 1)"
    )
    pod = workloads.pod("client", workloads.pod_spec(sandbox.images["base"], script))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("-n", namespace, "wait", _DONE, "pod/client", "--timeout=60s")
    assert kubectl("-n", namespace, "logs", "client").strip() == "True"


def test_commands_run_in_pods(sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str) -> None:
    pod = workloads.pod("web", workloads.pod_spec(sandbox.images["base"], workloads.SERVER))
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    assert kubectl("-n", namespace, "exec", "web", "--", "id", "-u").strip() == "1000"


def test_a_node_need_not_wait_until_the_api_server_knows_which_pods_it_has(kubectl: conftest.Kubectl) -> None:
    somebody = ("--as=system:node:another", "--as-group=system:nodes")
    for kind in ("secrets", "configmaps", "persistentvolumeclaims"):
        assert kubectl("auth", "can-i", "get", kind, "--namespace=default", *somebody).strip() == "yes"


def test_the_registry_gives_images_only_to_pods_with_its_pull_secret(
    sandbox: cluster.Sandbox, kubectl: conftest.Kubectl, namespace: str, image_base: pathlib.Path
) -> None:
    user, password = sandbox.registry_user, sandbox.registry_password
    target = f"{sandbox.registry}/{uuid.uuid4().hex[:8]}/app:1"
    reference = images.push(image_base, target, user=user, password=password)
    login = (f"--docker-server={sandbox.registry}", f"--docker-username={user}", f"--docker-password={password}")
    kubectl("-n", namespace, "create", "secret", "docker-registry", "pull", *login)
    anonymous = workloads.pod("anonymous", workloads.pod_spec(reference, "print('ran')"))
    admitted = workloads.pod("admitted", workloads.pod_spec(reference, "print('ran')"))
    admitted["spec"]["imagePullSecrets"] = [{"name": "pull"}]
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(anonymous))
    assert _fails_at_once(kubectl, namespace, "anonymous") == "ErrImagePull"
    kubectl("-n", namespace, "apply", "-f", "-", stdin=json.dumps(admitted))
    kubectl("-n", namespace, "wait", _DONE, "pod/admitted", "--timeout=60s")
