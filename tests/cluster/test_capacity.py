"""Never more are awake than there may be; who waits gets what others give back, in order, and nothing stays lost."""

import dataclasses
import datetime
import functools
import io
import pathlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

import pytest
import yaml

from k8s_ee import config, environment, errors, outcome, resources, runner, settings
from k8s_ee.cluster import kinds, messages, namespaces, places, queueing, slots
from k8s_ee.commands import cleanup, namespace, resting, room, session
from k8s_ee.config import model
from k8s_ee.github import client as github
from k8s_ee.plan import capacity
from tests.cluster import bare, environments, workloads
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

pytestmark = pytest.mark.cluster

HOME = "k8s-ee-system"
MINUTE, HOUR = datetime.timedelta(minutes=1), datetime.timedelta(hours=1)
SHOP, TOOLS = 501, 502
NAMES = {SHOP: "acme/shop", TOOLS: "acme/tools"}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclasses.dataclass
class Ground:
    """One cluster with one set of rules. `waits` is how long a deploy waits, in seconds."""

    base: bare.Bare
    folder: pathlib.Path
    rules: dict[str, Any]
    said: list[str] = dataclasses.field(default_factory=list)
    waits: float = 4
    kubeconfig: str = ""

    @property
    def policy(self) -> model.Capacity:
        written = {"domain": "preview.test", "capacity": self.rules}
        found = config.load_platform(yaml.safe_dump(written), path="p").capacity
        return dataclasses.replace(found, queue_wait=datetime.timedelta(seconds=self.waits))

    @property
    def platform(self) -> model.Platform:
        return model.Platform(
            domain="preview.test", allowed_repository_ids=(SHOP, TOOLS), capacity=self.policy, image_pull_secrets=()
        )

    def session(self, number: int, *, repository: int = SHOP, run: int = 1) -> session.Session:
        """Of one deploy of one pull request."""
        given = settings.Settings(
            number=number,
            repository=NAMES[repository],
            repository_id=repository,
            head_sha="a" * 40,
            run=run,
            connection=settings.Connection(kubeconfig=self.kubeconfig or str(self.base.sandbox.kubeconfig)),
        )
        path = self.folder / f"{uuid.uuid4().hex}.yaml"
        path.write_text(f"projectId: {NAMES[repository].partition('/')[2]}\ningress: {{enabled: false}}\n")
        made = session.Session(
            settings=given,
            options=session.Options(config_path=path),
            runner=runner.Runner(given, stream=io.StringIO()),
            say=self.said.append,
        )
        made.__dict__["platform"] = self.platform
        return made

    def deploy(self, number: int, *, repository: int = SHOP, run: int = 1) -> outcome.Outcome:
        return namespace.create_namespace(self.session(number, repository=repository, run=run))

    def at_once(self, work: Sequence[Callable[[], outcome.Outcome]]) -> list[outcome.Outcome]:
        with futures.ThreadPoolExecutor(len(work)) as threads:
            return [one.result() for one in [threads.submit(task) for task in work]]

    def awake(self) -> set[str]:
        """As the API server has them."""
        listed = self.base.api.list("Namespace", labels={environment.MANAGED_BY: environment.MANAGER})
        found = [environment.from_namespace(one) for one in listed]
        return {one.namespace for one in found if not one.asleep_since and not one.terminating}

    def placed(self) -> set[str]:
        return {one.namespace for one in places.taken(self.base.api.list("Lease", HOME)).values()}

    def line(self) -> list[queueing.Ticket]:
        return queueing.tickets(self.base.api.list("Lease", HOME))

    def observed(self, name: str) -> environment.Observed:
        found = self.base.api.get("Namespace", name)
        assert found is not None
        return environment.from_namespace(found)

    def note(self, name: str, **changes: str) -> None:
        keys = {key: getattr(environment, key) for key in changes}
        self.base.api.annotate(name, self.observed(name).uid, {keys[key]: value for key, value in changes.items()})

    def used(self, name: str, ago: datetime.timedelta) -> None:
        """As if it had been made before that, deployed, and not been used since."""
        at = (now() - ago).isoformat(timespec="seconds")
        self.note(name, DEPLOYED_AT=at, HEAD_SHA="b" * 40)

    def tidy(self, later: datetime.timedelta = datetime.timedelta()) -> tuple[str, ...]:
        return places.tidy(self.base.api, policy=self.policy, home=HOME, now=now() + later)


@pytest.fixture
def ground(bare_cluster: bare.Bare, tmp_path: pathlib.Path) -> Iterator[Ground]:
    made = Ground(bare_cluster, tmp_path, {"environments": 2})
    if bare_cluster.api.get("Namespace", HOME) is None:
        bare_cluster.kubectl("create", "namespace", HOME)
    forget(bare_cluster)
    yield made
    forget(bare_cluster)


def forget(base: bare.Bare) -> None:
    for lease in base.api.list("Lease", HOME):
        base.api.delete("Lease", lease["metadata"]["name"], HOME, uid=lease["metadata"]["uid"])
    found = base.api.list("Namespace", labels={environment.MANAGED_BY: environment.MANAGER})
    for one in found:
        base.api.delete("Namespace", one["metadata"]["name"], uid=one["metadata"]["uid"])
    until(lambda: not base.api.list("Namespace", labels={environment.MANAGED_BY: environment.MANAGER}), seconds=60)


def until(happened: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def put_to_sleep(ground: Ground, name: str) -> None:
    places.sleep(ground.base.api, ground.observed(name), now(), home=HOME)


def test_of_24_that_come_at_once_exactly_as_many_get_in_as_may_and_the_others_wait_in_order(ground: Ground) -> None:
    ground.rules = {"environments": 5}
    made = ground.at_once([functools.partial(ground.deploy, n) for n in range(1, 25)])
    by_state = [one.state for one in made]
    assert (by_state.count("deploying"), by_state.count("queued")) == (5, 19)
    assert len(ground.awake()) == len(ground.placed()) == 5
    waiting = [one for one in made if one.state == "queued"]
    assert all((one.outputs["deploy"], one.outputs["ready"]) == ("false", "false") for one in waiting)
    assert {one.failure for one in waiting} == {None}
    assert sorted(int(one.outputs["position"]) for one in waiting)[-1] <= 19
    assert [one.order for one in ground.line()] == sorted(one.order for one in ground.line())
    assert len(ground.line()) == 19
    assert not any(one.is_held for one in ground.line())


def test_without_a_maximum_nothing_is_written(ground: Ground) -> None:
    ground.rules = {}
    assert [ground.deploy(n).state for n in range(1, 4)] == ["deploying"] * 3
    assert ground.base.api.list("Lease", HOME) == ()


def test_those_that_wait_go_on_in_the_order_they_came_as_soon_as_others_are_destroyed(ground: Ground) -> None:
    ground.waits = 90
    for number in (1, 2):
        ground.deploy(number)
    with futures.ThreadPoolExecutor(3) as threads:
        later = []
        for number in (30, 20, 10):
            later.append(threads.submit(ground.deploy, number))
            until(lambda: len(ground.line()) == len(later))
            time.sleep(1.1)  # The API server's times are to the second.
        for destroyed, freed in zip((1, 2), later, strict=False):
            assert not freed.done()
            began = time.monotonic()
            assert cleanup.cleanup(ground.session(destroyed)).state == "destroyed"
            assert freed.result(timeout=20).state == "deploying"
            assert time.monotonic() - began < 25
        assert ground.awake() == {"shop-pr-30", "shop-pr-20"}
        assert not later[2].done()
        cleanup.cleanup(ground.session(30))
        assert later[2].result(timeout=20).state == "deploying"
    assert ground.line() == []


def test_a_repository_that_has_its_share_holds_up_no_other(ground: Ground) -> None:
    ground.rules = {"environments": 4, "environmentsPerRepository": 2}
    work = [functools.partial(ground.deploy, n) for n in range(1, 6)]
    work += [functools.partial(ground.deploy, n, repository=TOOLS) for n in range(1, 6)]
    made = ground.at_once(work)
    assert [one.state for one in made[:5]].count("deploying") == 2
    assert [one.state for one in made[5:]].count("deploying") == 2
    assert len(ground.placed()) == 4


def test_a_deploy_to_one_that_has_a_place_never_waits(ground: Ground) -> None:
    for number in (1, 2):
        ground.deploy(number)
    ground.waits = 60
    began = time.monotonic()
    assert ground.deploy(1, run=2).state == "deploying"
    assert time.monotonic() - began < 5
    assert len(slots.held(ground.base.api, HOME, places.PREFIX)) == 2


def test_one_from_before_there_was_a_maximum_is_counted_and_never_waits(ground: Ground) -> None:
    ground.rules = {}
    for number in (1, 2, 3):
        ground.deploy(number)
    ground.rules = {"environments": 2}
    assert ground.deploy(1, run=2).state == "deploying"
    ground.tidy()
    assert ground.placed() == {"shop-pr-1", "shop-pr-2", "shop-pr-3"}
    assert ground.deploy(4).state == "queued"
    cleanup.cleanup(ground.session(1))
    assert ground.deploy(4).state == "queued"
    cleanup.cleanup(ground.session(2))
    assert ground.deploy(4).state == "deploying"


def test_one_that_sleeps_has_no_place_and_needs_one_to_wake(ground: Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    put_to_sleep(ground, "shop-pr-1")
    assert ground.placed() == set()
    assert ground.deploy(2).state == "deploying"
    with pytest.raises(errors.Refused, match="stays asleep: 1 environments are awake"):
        room.wake(ground.session(1), ground.observed("shop-pr-1"))
    assert ground.deploy(1, run=2).state == "queued"
    assert ground.observed("shop-pr-1").asleep_since
    cleanup.cleanup(ground.session(2))
    room.wake(ground.session(1), ground.observed("shop-pr-1"))
    assert ground.placed() == {"shop-pr-1"}


def test_the_commands_sleep_and_wake_give_the_place_back_and_take_it(ground: Ground) -> None:
    ground.deploy(1)
    assert resting.sleep(ground.session(1)).state == "sleeping"
    assert ground.placed() == set()
    assert resting.wake(ground.session(1)).state == "awake"
    assert ground.placed() == {"shop-pr-1"}


def test_the_least_recently_used_makes_room_and_neither_a_preserved_nor_a_fresh_one(ground: Ground) -> None:
    ground.rules = {"environments": 4, "sleepIdleFor": "1m"}
    for number in (1, 2, 3, 4):
        ground.deploy(number)
    later = now() + 2 * HOUR
    for number, minutes in ((1, 90), (2, 20), (3, 30)):
        at = (later - minutes * MINUTE).isoformat(timespec="seconds")
        ground.note(f"shop-pr-{number}", ACTIVE_AT=at, DEPLOYED_AT=at, HEAD_SHA="b" * 40)
    ground.note("shop-pr-1", PRESERVED_UNTIL=(later + HOUR).isoformat(timespec="seconds"))
    ctx = ground.session(5)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "deploying"
    assert ground.observed("shop-pr-3").asleep_since
    assert ground.observed("shop-pr-3").sleep_untold, "its pull request may be in another repository"
    assert ground.awake() == ground.placed() == {"shop-pr-1", "shop-pr-2", "shop-pr-4", "shop-pr-5"}
    assert "put shop-pr-3 to sleep, which nobody used for the longest time" in ground.said
    ground.rules["sleepLeastRecentlyUsed"] = False
    ctx = ground.session(6)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "queued"


def test_what_a_process_killed_before_its_namespace_existed_took_is_free_after_a_while(ground: Ground) -> None:
    ground.rules = {"environments": 1, "environmentsPerRepository": 1}
    ctx = ground.session(1)
    assert room.enter(ctx, "up") is None
    assert ground.tidy() == ()
    assert ground.deploy(2).state == "queued"
    assert sorted(ground.tidy(later=16 * MINUTE)) == ["place-0", f"place-{SHOP}-0"]
    assert ground.deploy(2).state == "deploying"


def test_what_a_process_killed_after_its_namespace_existed_took_stays_its_own(ground: Ground) -> None:
    ground.rules = {"environments": 1}
    ctx = ground.session(1)
    assert room.enter(ctx, "up") is None
    manifest = environments.namespace(ctx.target())
    made = namespaces.ensure(ctx.cluster, manifest, ctx.target(), environments.soon()).observed
    assert ground.tidy(later=16 * MINUTE) == ()
    assert slots.held(ctx.cluster, HOME, places.PREFIX) == {"place-0": places.owner(made)}
    assert ground.deploy(1).state == "deploying"


def test_the_next_run_goes_on_with_what_the_one_before_reserved(ground: Ground) -> None:
    ground.rules = {"environments": 1}
    assert room.enter(ground.session(1), "up") is None
    assert ground.deploy(1, run=2).state == "deploying"
    assert ground.placed() == {"shop-pr-1"}


def test_one_that_cant_have_its_namespace_leaves_no_reservation(ground: Ground) -> None:
    ground.base.kubectl("create", "namespace", "shop-pr-1")
    try:
        with pytest.raises(errors.Refused):
            ground.deploy(1)
        assert ground.placed() == set()
    finally:
        ground.base.kubectl("delete", "namespace", "shop-pr-1")


def test_the_place_of_one_that_went_unseen_is_free_after_a_pass(ground: Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    ground.base.kubectl("delete", "namespace", "shop-pr-1")
    assert ground.tidy() == ("place-0",)


def test_one_that_is_woken_while_it_falls_asleep_keeps_its_place(ground: Ground) -> None:
    """Whoever wakes it takes its place anew, and the one who put it to sleep lets go of what it read before."""
    ground.rules = {"environments": 1}
    ground.deploy(1)
    observed = ground.observed("shop-pr-1")
    claim = capacity.Claim("shop-pr-1", SHOP)
    before = ground.base.api.list("Lease", HOME)
    assert places.take(ground.base.api, claim, places.owner(observed), policy=ground.policy, home=HOME)
    assert not any(slots.drop(ground.base.api, one) for one in before)
    assert ground.placed() == {"shop-pr-1"}


def test_a_newer_run_takes_over_where_the_older_one_waits_in_line(ground: Ground) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    ground.waits = 60
    with futures.ThreadPoolExecutor(2) as threads:
        older = threads.submit(ground.deploy, 2, run=5)
        until(ground.line)
        (first,) = ground.line()
        newer = threads.submit(ground.deploy, 2, run=6)
        with pytest.raises(errors.Superseded):
            older.result(timeout=20)
        (second,) = ground.line()
        assert (second.run, second.order[0]) == (6, first.order[0])
        cleanup.cleanup(ground.session(1))
        assert newer.result(timeout=20).state == "deploying"


def test_who_was_killed_while_it_waited_holds_nobody_up_for_long(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "_DEAD_AFTER", 6.0)
    ground.rules, ground.waits = {"environments": 1}, 40
    now_ = places.written(now())
    ground.base.api.create(
        {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": f"queue-{SHOP}-9-shop",
                "namespace": HOME,
                "annotations": {environment.REPOSITORY_ID: str(SHOP), environment.RUN: "3"},
            },
            "spec": {"holderIdentity": "killed", "acquireTime": now_, "renewTime": now_},
        }
    )
    began = time.monotonic()
    assert ground.deploy(1).state == "deploying"
    assert 5 < time.monotonic() - began < 30
    kept = queueing.drop_stale(ground.base.api, ground.line(), now() + HOUR)
    assert kept == ground.line() == []


def test_a_run_that_ended_as_queued_says_so_and_what_to_do(ground: Ground) -> None:
    ground.rules, ground.waits = {"environments": 1}, 3
    ground.deploy(1)
    ended = ground.deploy(2)
    assert "1 environments are awake, as many as the platform allows" in ended.outputs["reason"]
    assert "number 1 in line" in " ".join(ended.notes)
    assert "Re-run all jobs" in " ".join(ended.notes)
    assert ended.phases[-1].name == "queue"


@pytest.fixture
def hub() -> Iterator[wire.Server]:
    shop = states.Repository(id=SHOP, full_name=NAMES[SHOP])
    shop.pulls = {number: states.Pull(number, "a" * 40) for number in range(1, 10)}
    with wire.Server(states.State(repositories=[shop])) as server:
        yield server


def released(ground: Ground, hub: wire.Server, later: datetime.timedelta = datetime.timedelta()) -> int:
    asking = github.GitHub(settings.Settings(token="t", api_url=hub.url), pause=0.01, patience=1)
    return room.release_queue(
        ground.base.api, asking, policy=ground.policy, home=HOME, now=now() + later, say=ground.said.append
    )


def queued(ground: Ground, *numbers: int) -> None:
    """Each ended as queued, in this order."""
    ground.waits = 1
    for number in numbers:
        assert ground.deploy(number, run=100 + number).state == "queued"
        time.sleep(1.1)


def test_runs_are_started_again_when_there_is_room_in_order_and_once(ground: Ground, hub: wire.Server) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5, 4)
    assert released(ground, hub) == 0
    cleanup.cleanup(ground.session(1))
    assert released(ground, hub) == 1
    assert hub.state.repository(NAMES[SHOP]).reruns == [105]
    assert released(ground, hub) == 0
    assert ground.deploy(5, run=105).state == "deploying"
    assert [one.number for one in ground.line()] == [4]
    cleanup.cleanup(ground.session(5))
    assert released(ground, hub) == 1
    assert hub.state.repository(NAMES[SHOP]).reruns == [105, 104]


def test_a_run_of_a_pull_request_that_is_closed_by_now_is_forgotten(ground: Ground, hub: wire.Server) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5)
    cleanup.cleanup(ground.session(1))
    hub.state.repository(NAMES[SHOP]).pulls[5].state = "closed"
    assert released(ground, hub) == 0
    assert ground.line() == []
    assert hub.state.repository(NAMES[SHOP]).reruns == []


@pytest.mark.parametrize(
    "fault", [faults.Fault(method="POST", path=".*/rerun", status=403), faults.Fault(status=500, times=99)]
)
def test_a_run_that_cant_be_started_stays_in_line_and_that_is_said(
    ground: Ground, hub: wire.Server, fault: faults.Fault
) -> None:
    ground.rules = {"environments": 1}
    ground.deploy(1)
    queued(ground, 5)
    cleanup.cleanup(ground.session(1))
    hub.faults.add(fault)
    assert released(ground, hub) == 0
    assert [one.number for one in ground.line()] == [5]


def node(ground: Ground, name: str, cpu: str, memory: str) -> None:
    """A node that nobody runs; what it has is what it says."""
    ground.base.kubectl(
        "apply", "-f", "-", stdin=yaml.safe_dump({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    )
    has = {"cpu": cpu, "memory": memory, "pods": "110"}
    status = {
        "allocatable": has,
        "capacity": has,
        "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": now().strftime("%Y-%m-%dT%H:%M:%SZ")}],
    }
    ground.base.api.write(
        "PATCH",
        kinds.kind("Node").path(name, subresource="status"),
        what="node",
        body={"status": status},
        content_type=messages.MERGE_PATCH,
    )


@pytest.fixture
def nodes(ground: Ground) -> Iterator[Ground]:
    """Room for three apps of 200m and 256Mi, counted by processors."""
    ground.rules = {"mode": "allocatable"}
    node(ground, "one", "700m", "8Gi")
    yield ground
    ground.base.kubectl("delete", "node", "--all")


def test_on_nodes_as_many_get_in_as_fit_however_many_come_at_once(nodes: Ground) -> None:
    nodes.waits = 8
    made = nodes.at_once([functools.partial(nodes.deploy, n) for n in range(1, 9)])
    assert [one.state for one in made].count("deploying") == 3
    assert len(nodes.awake()) == len(nodes.placed()) == 3
    why = {one.outputs["reason"] for one in made if one.state == "queued"}
    assert why == {"this environment needs 200m 256Mi (processors, memory), and the nodes have 100m 7424Mi left for it"}


def test_a_cordoned_node_has_no_room_and_another_node_has(nodes: Ground) -> None:
    nodes.waits = 2
    nodes.base.kubectl("cordon", "one")
    assert nodes.deploy(1).state == "queued"
    node(nodes, "two", "200m", "1Gi")
    assert nodes.deploy(1).state == "deploying"
    assert nodes.deploy(2).state == "queued"
    nodes.base.kubectl("uncordon", "one")
    assert nodes.deploy(2).state == "deploying"


def test_what_others_ask_of_the_nodes_is_not_there(nodes: Ground) -> None:
    nodes.waits = 2
    pod = workloads.deployment("other", "none")["spec"]["template"]["spec"]
    pod["containers"][0]["resources"] = {"requests": {"cpu": "400m"}, "limits": {"cpu": "400m"}}
    pod["nodeName"] = "one"
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "default"}, "spec": pod}
    until(lambda: nodes.base.api.get("ServiceAccount", "default", "default"))
    nodes.base.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(manifest))
    try:
        assert [nodes.deploy(n).state for n in (1, 2)] == ["deploying", "queued"]
    finally:
        nodes.base.kubectl("delete", "pod", "other", "--grace-period=0", "--force")
    assert nodes.deploy(2).state == "deploying"


def test_on_nodes_one_that_sleeps_makes_room(nodes: Ground) -> None:
    nodes.waits = 12
    for number in (1, 2, 3):
        nodes.deploy(number)
    later = now() + 2 * HOUR
    for number in (1, 2, 3):
        at = (later - (60 + number) * MINUTE).isoformat(timespec="seconds")
        nodes.note(f"shop-pr-{number}", ACTIVE_AT=at, DEPLOYED_AT=at, HEAD_SHA="b" * 40)
    ctx = nodes.session(4)
    ctx.now = lambda: later
    assert namespace.create_namespace(ctx).state == "deploying"
    assert nodes.placed() == {"shop-pr-1", "shop-pr-2", "shop-pr-4"}


def test_on_nodes_a_later_deploy_says_anew_what_it_needs(nodes: Ground) -> None:
    nodes.deploy(1)
    ctx = nodes.session(1, run=2)
    ctx.options.config_path.write_text("projectId: shop\ningress: {enabled: false}\napp: {replicas: 3}\n")
    assert namespace.create_namespace(ctx).state == "deploying"
    (held,) = places.taken(nodes.base.api.list("Lease", HOME)).values()
    assert str(held.requests) == "400m 512Mi"


@pytest.fixture
def as_ci(ground: Ground) -> Ground:
    """Every deploy with the key that workflows have, and under the policy that fences it."""
    ground.base.kubectl("apply", "--server-side", "-k", str(resources.directory("k8s") / "platform"))
    token = ground.base.kubectl("-n", HOME, "create", "token", "k8s-ee-ci").strip()
    admin = yaml.safe_load(ground.base.sandbox.kubeconfig.read_text())
    written = {**admin, "users": [{"name": one["name"], "user": {"token": token}} for one in admin["users"]]}
    path = ground.folder / "ci.kubeconfig"
    path.write_text(yaml.safe_dump(written))
    ground.kubeconfig = str(path)
    time.sleep(2)  # A policy counts from a moment after it was made.
    return ground


def test_the_key_of_workflows_suffices_to_wait_to_put_to_sleep_and_to_give_back(as_ci: Ground) -> None:
    as_ci.rules = {"mode": "allocatable", "environments": 2, "environmentsPerRepository": 1}
    node(as_ci, "another", "4", "8Gi")
    try:
        assert as_ci.deploy(1).state == "deploying"
        assert as_ci.deploy(2).state == "queued"
        assert as_ci.deploy(1, repository=TOOLS).state == "deploying"
        assert resting.sleep(as_ci.session(1)).state == "sleeping"
        assert as_ci.deploy(2).state == "deploying"
        assert cleanup.cleanup(as_ci.session(2)).state == "destroyed"
        assert as_ci.placed() == {"tools-pr-1"}
    finally:
        as_ci.base.kubectl("delete", "node", "another")


def test_the_key_of_workflows_does_not_reach_the_lease_of_the_janitor(as_ci: Ground) -> None:
    api = as_ci.session(1).cluster
    manifest = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "janitor", "namespace": HOME},
        "spec": {"holderIdentity": "me"},
    }
    with pytest.raises(errors.Refused):
        api.create(manifest)
