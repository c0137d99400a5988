"""The fence that a deploy puts around an environment, held by a network plugin that enforces policies."""

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from k8s_ee import environment, resources
from k8s_ee.config import model
from k8s_ee_sandbox import artifacts, cluster, platform, progress
from tests import conftest
from tests.cluster import fenced, outside, workloads

# The first run compiles Cilium.
pytestmark = [pytest.mark.cluster, pytest.mark.policy, pytest.mark.timeout(45 * 60)]

_INTERNET = "198.51.100.7"  # RFC 5737: for documentation
_METADATA = "169.254.169.254"  # of clouds
_PRIVATE = ("172.20.0.7", "192.168.77.7", "100.64.0.7")
_FRESH = 3


@pytest.fixture(scope="module")
def maker(policy_sandbox: cluster.Sandbox) -> Iterator[fenced.Maker]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        tools = artifacts.ensure("helm", "kubectl", progress=progress.Progress())
        fenced.add_to_path(tools["helm"], monkeypatch)
        platform.install(policy_sandbox, kubectl=tools["kubectl"])
        yield fenced.Maker(policy_sandbox, conftest.kubectl_for(policy_sandbox.kubeconfig))


@pytest.fixture(scope="module")
def environments(maker: fenced.Maker) -> tuple[environment.Environment, environment.Environment]:
    first, second = maker.target(), maker.target()
    for one in (first, second):
        maker.fence(one)
        maker.app(one)
    for one in (first, second):
        maker.wait_for_app(one)
    return first, second


@pytest.fixture(scope="module")
def tenant(maker: fenced.Maker) -> str:
    return maker.tenant()


@pytest.fixture(scope="module")
def world(policy_sandbox: cluster.Sandbox) -> Iterator[None]:
    with outside.servers(policy_sandbox, _INTERNET, _METADATA, *_PRIVATE):
        yield


def _get(sandbox: cluster.Sandbox, host: str) -> tuple[int, str]:
    """Status and body, through the ingress controller."""
    connection = http.client.HTTPConnection(sandbox.ingress_address, timeout=20)
    try:
        connection.request("GET", "/", headers={"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _forbidden(maker: fenced.Maker, tenant: str) -> set[fenced.Address]:
    node = maker.sandbox.api_url.removeprefix("https://").partition(":")[0]
    return {
        (maker.pod_address(tenant), 8000),
        (node, 6443),
        (maker.service_address("default", "kubernetes"), 443),
        (node, 10250),
        (node, 5000),
        *((address, outside.PORT) for address in (_METADATA, *_PRIVATE)),
    }


def test_two_environments_never_reach_each_other(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment], tenant: str
) -> None:
    for here, there in (environments, environments[::-1]):
        address = maker.pod_address(there.namespace)
        targets = [(address, 3000), (address, 3001), (maker.service_address(there.namespace), 80)]
        assert maker.reached(here.namespace, targets) == set()
        assert maker.reached(tenant, targets, pod="app") == set()


def test_pods_of_one_environment_reach_each_other_on_every_port(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment]
) -> None:
    here = environments[0].namespace
    address = maker.pod_address(here)
    neighbour = workloads.pod("neighbour", workloads.pod_spec(maker.sandbox.images["base"], fenced.APP))
    neighbour["spec"]["serviceAccountName"] = "preview"
    maker.apply(neighbour, namespace=here)
    maker.kubectl("-n", here, "wait", "--for=condition=Ready", "pod/neighbour", "--timeout=60s")
    targets = {(address, 3000), (address, 3001), (maker.service_address(here), 80)}
    assert maker.reached(here, targets, pod="neighbour") == targets
    maker.kubectl("-n", here, "delete", "pod", "neighbour", "--wait=false")


def test_the_ingress_controller_reaches_the_port_named_http_and_no_other(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment]
) -> None:
    target = environments[0]
    assert _get(maker.sandbox, target.host) == (200, "3000")
    other = workloads.service("other")
    other["spec"] |= {"selector": {"app.kubernetes.io/name": "app"}}
    other["spec"]["ports"] = [{"name": "http", "port": 80, "targetPort": 3001}]
    host = f"other.{maker.sandbox.domain}"
    maker.apply(other, workloads.ingress("other", host), namespace=target.namespace)
    maker.kubectl("-n", target.namespace, "wait", "--for=jsonpath={.status.loadBalancer.ingress}", "ingress/other")
    assert _get(maker.sandbox, host)[0] in (http.HTTPStatus.BAD_GATEWAY, http.HTTPStatus.GATEWAY_TIMEOUT)


def test_names_of_the_cluster_resolve_and_nothing_else_of_the_dns_server_answers(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment], tenant: str
) -> None:
    here = environments[0].namespace
    by_name = {("app", 80), (f"app.{here}.svc.cluster.local", 80)}
    assert maker.reached(here, by_name) == by_name
    server = maker.pod_address("kube-system")
    assert maker.reached(tenant, [(server, 53), (server, 8181)], pod="app") == {(server, 53), (server, 8181)}
    assert maker.reached(here, [(server, 53), (server, 8181)]) == {(server, 53)}


@pytest.mark.usefixtures("world")
def test_an_environment_reaches_the_internet_but_neither_cluster_nor_cloud_nor_private_networks(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment], tenant: str
) -> None:
    forbidden, internet = _forbidden(maker, tenant), (_INTERNET, outside.PORT)
    uplink = outside.Uplink(maker.sandbox)
    with uplink.watched():
        unfenced = maker.reached(tenant, forbidden | {internet}, pod="app")
        reached = maker.reached(environments[0].namespace, forbidden | {internet})
    assert unfenced == forbidden | {internet}  # all are there: what does not reach them is held back
    assert reached == {internet}
    assert uplink.ours() == []


@pytest.mark.usefixtures("world")
def test_an_external_database_is_reached_where_the_platform_says_and_nowhere_else(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment], tenant: str
) -> None:
    target, database = environments[0], (maker.pod_address(tenant), 8000)
    there = model.ExternalDatabases(cidrs=(f"{_PRIVATE[0]}/32",), namespaces=(tenant,))
    maker.apply(maker.external_databases(target, there), namespace=target.namespace)
    pod = workloads.pod("external", workloads.pod_spec(maker.sandbox.images["base"], fenced.APP))
    pod["spec"]["serviceAccountName"] = "preview"
    maker.apply(pod, namespace=target.namespace)
    try:
        maker.kubectl("-n", target.namespace, "wait", "--for=condition=Ready", "pod/external", "--timeout=60s")
        reached = maker.reached(target.namespace, _forbidden(maker, tenant), pod="external")
        assert reached == {database, (_PRIVATE[0], outside.PORT)}
    finally:
        maker.kubectl("-n", target.namespace, "delete", "pod/external", "networkpolicy/external-databases")


def test_a_rollout_to_another_port_keeps_both_versions_reachable(
    maker: fenced.Maker, environments: tuple[environment.Environment, environment.Environment]
) -> None:
    target = environments[1]
    # The new pod serves beside the old one for this long.
    maker.app(target, port=4000, minReadySeconds=5)
    answers: list[tuple[int, str]] = []
    until = time.monotonic() + 60
    while time.monotonic() < until and [body for _, body in answers[-30:]] != ["4000"] * 30:
        answers.append(_get(maker.sandbox, target.host))
        time.sleep(0.02)
    assert {status for status, _ in answers} == {200}
    bodies = [body for _, body in answers]
    together = bodies[bodies.index("4000") : len(bodies) - bodies[::-1].index("3000")]
    assert together.count("3000") > 10
    assert together.count("4000") > 10
    maker.wait_for_app(target)
    assert maker.reached(environments[0].namespace, [(maker.pod_address(target.namespace), 4000)]) == set()


@pytest.mark.usefixtures("world")
def test_the_fence_holds_from_a_pod_s_first_instruction(maker: fenced.Maker, tenant: str) -> None:
    spec = workloads.pod_spec(maker.sandbox.images["base"], fenced.EAGER)
    addresses = [(maker.pod_address(tenant), 8000), (_METADATA, outside.PORT)]
    spec["containers"][0]["command"].append(json.dumps(addresses))
    eager = workloads.pod("eager", spec)
    maker.apply(eager, namespace=tenant)
    eager["spec"]["serviceAccountName"] = "preview"
    fresh = [maker.target() for _ in range(_FRESH)]
    for target in fresh:
        maker.fence(target)
        maker.apply(eager, namespace=target.namespace)
    unfenced = _tried(maker, tenant)
    assert unfenced["reached"] >= 10
    for target in fresh:
        tried = _tried(maker, target.namespace)
        assert tried["reached"] == 0
        assert tried["attempts"] >= 10


@pytest.mark.usefixtures("world")
def test_the_janitor_reaches_dns_the_api_server_and_port_443_and_nothing_reaches_it(
    maker: fenced.Maker, tenant: str
) -> None:
    home, policies = maker.sandbox.platform_namespace, resources.directory("k8s") / "janitor" / "base" / "network.yaml"
    maker.kubectl("apply", "-f", str(policies))
    pod = workloads.pod("as-janitor", workloads.pod_spec(maker.sandbox.images["base"], fenced.APP))
    pod["metadata"]["labels"] = {"app.kubernetes.io/name": "k8s-ee-janitor"}
    maker.apply(pod, namespace=home)
    try:
        maker.kubectl("-n", home, "wait", "--for=condition=Ready", "pod/as-janitor", "--timeout=90s")
        node = maker.sandbox.api_url.removeprefix("https://").partition(":")[0]
        allowed = {("kubernetes.default.svc.cluster.local", 443), (node, 6443), (maker.pod_address("kube-system"), 53)}
        others = _forbidden(maker, tenant) - {(maker.service_address("default", "kubernetes"), 443), (node, 6443)}
        reached = maker.reached(home, allowed | others | {(_INTERNET, outside.PORT)}, pod="as-janitor")
        assert reached == allowed
        address = maker.kubectl("-n", home, "get", "pod", "as-janitor", "-o=jsonpath={.status.podIP}")
        assert maker.reached(tenant, [(address, 8000)], pod="app") == set()
    finally:
        maker.kubectl("-n", home, "delete", "pod", "as-janitor", "--wait=false", "--ignore-not-found")
        maker.kubectl("delete", "-f", str(policies))


def _tried(maker: fenced.Maker, namespace: str) -> dict[str, int]:
    succeeded = "--for=jsonpath={.status.phase}=Succeeded"
    maker.kubectl("-n", namespace, "wait", succeeded, "pod/eager", "--timeout=60s")
    tried: dict[str, int] = json.loads(maker.kubectl("-n", namespace, "logs", "eager"))
    return tried
