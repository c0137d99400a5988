"""Where nodes are fixed, as many are awake as fit on them; the key of workflows suffices for it."""

import functools
import time
from collections.abc import Iterator

import pytest
import yaml

from k8s_ee import errors, resources
from k8s_ee.cluster import kinds, messages, places
from k8s_ee.commands import cleanup, namespace, resting
from tests.cluster import grounds, workloads

pytestmark = pytest.mark.cluster


def node(ground: grounds.Ground, name: str, cpu: str, memory: str) -> None:
    """A node that nobody runs; what it has is what it says."""
    ground.base.kubectl(
        "apply", "-f", "-", stdin=yaml.safe_dump({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    )
    has = {"cpu": cpu, "memory": memory, "pods": "110"}
    status = {
        "allocatable": has,
        "capacity": has,
        "conditions": [
            {"type": "Ready", "status": "True", "lastHeartbeatTime": grounds.now().strftime("%Y-%m-%dT%H:%M:%SZ")}
        ],
    }
    ground.base.api.write(
        "PATCH",
        kinds.kind("Node").path(name, subresource="status"),
        what="node",
        body={"status": status},
        content_type=messages.MERGE_PATCH,
    )


@pytest.fixture
def nodes(ground: grounds.Ground) -> Iterator[grounds.Ground]:
    """Room for three apps of 200m and 256Mi, counted by processors."""
    ground.rules = {"mode": "allocatable"}
    node(ground, "one", "700m", "8Gi")
    yield ground
    ground.base.kubectl("delete", "node", "--all")


def test_on_nodes_as_many_get_in_as_fit_however_many_come_at_once(nodes: grounds.Ground) -> None:
    nodes.waits = 8
    made = nodes.at_once([functools.partial(nodes.deploy, n) for n in range(1, 9)])
    assert [one.state for one in made].count("deploying") == 3
    assert len(nodes.awake()) == len(nodes.placed()) == 3
    why = {one.outputs["reason"] for one in made if one.state == "queued"}
    assert why == {"this environment needs 200m 256Mi (processors, memory), and the nodes have 100m 7424Mi left for it"}


def test_a_cordoned_node_has_no_room_and_another_node_has(nodes: grounds.Ground) -> None:
    nodes.waits = 2
    nodes.base.kubectl("cordon", "one")
    assert nodes.deploy(1).state == "queued"
    node(nodes, "two", "200m", "1Gi")
    assert nodes.deploy(1).state == "deploying"
    assert nodes.deploy(2).state == "queued"
    nodes.base.kubectl("uncordon", "one")
    assert nodes.deploy(2).state == "deploying"


def test_what_others_ask_of_the_nodes_is_not_there(nodes: grounds.Ground) -> None:
    nodes.waits = 2
    pod = workloads.deployment("other", "none")["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = {"requests": {"cpu": "400m"}, "limits": {"cpu": "400m"}}
    pod["nodeName"] = "one"
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "default"}, "spec": pod}
    grounds.until(lambda: nodes.base.api.get("ServiceAccount", "default", "default"))
    nodes.base.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    try:
        assert [nodes.deploy(n).state for n in (1, 2)] == ["deploying", "queued"]
    finally:
        nodes.base.kubectl("delete", "pod", "other", "--grace-period=0", "--force")
    assert nodes.deploy(2).state == "deploying"


def test_on_nodes_one_that_sleeps_makes_room(nodes: grounds.Ground) -> None:
    nodes.waits = 12
    for number in (1, 2, 3):
        nodes.deploy(number)
    later = grounds.now() + 2 * grounds.HOUR
    for number in (1, 2, 3):
        at = (later - (60 + number) * grounds.MINUTE).isoformat(timespec="seconds")
        nodes.note(nodes.at(number), ACTIVE_AT=at, DEPLOYED_AT=at, HEAD_SHA="b" * 40)
    ctx = nodes.session(4)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "deploying"
    assert nodes.placed() == {nodes.at(1), nodes.at(2), nodes.at(4)}


def test_on_nodes_a_later_deploy_says_anew_what_it_needs(nodes: grounds.Ground) -> None:
    nodes.deploy(1)
    ctx = nodes.session(1, run=2)
    ctx.options.config_path.write_text(
        f"projectId: {nodes.project(grounds.SHOP)}\ningress: {{enabled: false}}\napp: {{replicas: 3}}\n"
    )
    assert namespace.create_namespace(ctx).state == "deploying"
    (held,) = places.taken(nodes.base.api.list("Lease", grounds.HOME)).values()
    assert str(held.requests) == "400m 512Mi"


@pytest.fixture
def as_ci(ground: grounds.Ground) -> grounds.Ground:
    """Every deploy with the key that workflows have, and under the policy that fences it."""
    ground.base.kubectl("apply", "--server-side", "-k", str(resources.directory("k8s") / "platform"))
    token = ground.base.kubectl("-n", grounds.HOME, "create", "token", "k8s-ee-ci").strip()
    admin = yaml.safe_load(ground.base.sandbox.kubeconfig.read_text())
    written = {**admin, "users": [{"name": one["name"], "user": {"token": token}} for one in admin["users"]]}
    path = ground.folder / "ci.kubeconfig"
    path.write_text(yaml.safe_dump(written))
    ground.kubeconfig = str(path)
    time.sleep(2)  # A policy counts from a moment after it was made.
    return ground


def test_the_key_of_workflows_suffices_to_wait_to_put_to_sleep_and_to_give_back(as_ci: grounds.Ground) -> None:
    as_ci.rules = {"mode": "allocatable", "environments": 2, "environmentsPerRepository": 1}
    node(as_ci, "another", "4", "8Gi")
    try:
        assert as_ci.deploy(1).state == "deploying"
        assert as_ci.deploy(2).state == "queued"
        assert as_ci.deploy(1, repository=grounds.TOOLS).state == "deploying"
        assert resting.sleep(as_ci.session(1)).state == "sleeping"
        assert as_ci.deploy(2).state == "deploying"
        assert cleanup.cleanup(as_ci.session(2)).state == "destroyed"
        assert as_ci.placed() == {as_ci.at(1, repository=grounds.TOOLS)}
    finally:
        as_ci.base.kubectl("delete", "node", "another")


def test_the_key_of_workflows_does_not_reach_the_lease_of_the_janitor(as_ci: grounds.Ground) -> None:
    api = as_ci.session(1).cluster
    manifest = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "janitor", "namespace": grounds.HOME},
        "spec": {"holderIdentity": "me"},
    }
    with pytest.raises(errors.Refused):
        api.create(manifest)
