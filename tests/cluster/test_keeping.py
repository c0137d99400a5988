"""Who asks for more time at the last moment gets it or is told no; never more are preserved than is allowed."""

import contextlib
import dataclasses
import datetime
import io
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import pytest
import yaml

from k8s_ee import cluster, environment, errors, runner, settings
from k8s_ee.cluster import preserving
from k8s_ee.cluster import slots as leases
from k8s_ee.commands import keeping, session
from k8s_ee_sandbox import artifacts, platform, progress
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments

pytestmark = pytest.mark.cluster

DAY = datetime.timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class Arena:
    """Makes environments, and sessions in which somebody asks for something about one of them."""

    sandbox: sandboxes.Sandbox
    options: session.Options

    def session(self, wanted: environment.Environment, *, kubeconfig: str = "") -> session.Session:
        given = settings.Settings(
            number=wanted.number,
            repository_id=wanted.repository_id,
            connection=settings.Connection(kubeconfig=kubeconfig or str(self.sandbox.kubeconfig)),
        )
        protocol = runner.Runner(given, stream=io.StringIO())
        return session.Session(settings=given, options=self.options, runner=protocol, say=environments.quiet)

    def made(self, api: cluster.Cluster) -> environment.Environment:
        wanted = environments.unique()
        cluster.namespaces.ensure(api, environments.namespace(wanted), wanted, environments.soon())
        return wanted


@pytest.fixture(scope="module")
def arena(sandbox: sandboxes.Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Arena:
    tools = artifacts.ensure("kubectl", progress=progress.Progress())
    platform.install(sandbox, kubectl=tools["kubectl"])
    path = tmp_path_factory.mktemp("platform") / "platform.yaml"
    path.write_text(yaml.safe_dump(platform.settings(sandbox)))
    return Arena(sandbox, session.Options(platform_file=path))


@pytest.fixture
def api(sandbox: sandboxes.Sandbox) -> cluster.Cluster:
    return environments.connect(sandbox)


@pytest.fixture
def no_slots(api: cluster.Cluster, sandbox: sandboxes.Sandbox) -> Iterator[None]:
    """None is taken before and after."""
    forget_slots(api, sandbox)
    yield
    forget_slots(api, sandbox)


def forget_slots(api: cluster.Cluster, sandbox: sandboxes.Sandbox) -> None:
    for lease in api.list("Lease", sandbox.platform_namespace):
        if lease["metadata"]["name"].startswith(f"{preserving.PREFIX}-"):
            uid = lease["metadata"]["uid"]
            api.delete("Lease", lease["metadata"]["name"], sandbox.platform_namespace, uid=uid)


def slots(api: cluster.Cluster, sandbox: sandboxes.Sandbox) -> list[str]:
    leases = [lease["metadata"]["name"] for lease in api.list("Lease", sandbox.platform_namespace)]
    return [name for name in leases if name.startswith(f"{preserving.PREFIX}-")]


def remove(api: cluster.Cluster, wanted: environment.Environment) -> None:
    found = api.get("Namespace", wanted.namespace)
    if found:
        api.delete("Namespace", wanted.namespace, uid=found["metadata"]["uid"])


@contextlib.contextmanager
def some(arena: Arena, api: cluster.Cluster, count: int) -> Iterator[list[environment.Environment]]:
    with futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _n: arena.made(api), range(count)))
        yield made
        list(pool.map(lambda one: remove(api, one), made))


def told(act: Callable[[], object]) -> str:
    """ "yes", or why not."""
    try:
        act()
    except errors.Refused as error:
        return error.message
    return "yes"


def one_round(arena: Arena, api: cluster.Cluster, chance: random.Random) -> tuple[bool, bool]:
    """Whether the extension was acknowledged, and whether the environment was destroyed."""
    wanted = arena.made(api)
    (expired,) = cluster.find(api, wanted.repository_id, wanted.number)
    both, delays = threading.Barrier(2), (chance.uniform(0, 0.04), chance.uniform(0, 0.04))

    def extend() -> str:
        asking = arena.session(wanted)
        asking.cluster.version()
        both.wait()
        time.sleep(delays[0])
        return told(lambda: keeping.extend(asking, duration=DAY))

    def expire() -> str:
        both.wait()  # between what the janitor read and what it does
        time.sleep(delays[1])
        with contextlib.suppress(errors.NotReady):
            return told(
                lambda: cluster.destroy.destroy(
                    api, expired, deadline=environments.soon(0), progress=environments.quiet
                )
            )
        return ""

    with futures.ThreadPoolExecutor(2) as pool:
        extended, expiry = [one.result() for one in (pool.submit(extend), pool.submit(expire))]
    found = api.get("Namespace", wanted.namespace)
    gone = found is None or "deletionTimestamp" in found["metadata"]
    assert extended == "yes" or "being destroyed" in extended or "no environment" in extended or "gone" in extended
    assert gone is (expiry == "yes"), (extended, expiry)
    if not gone:
        assert found is not None
        assert environment.from_namespace(found).extended_until
        remove(api, wanted)
    return extended == "yes", gone


@pytest.mark.parametrize("rounds", [40, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_nothing_is_destroyed_whose_extension_was_acknowledged(arena: Arena, api: cluster.Cluster, rounds: int) -> None:
    chances = [random.Random(seed) for seed in range(rounds)]  # noqa: S311 - the same delays every time
    with futures.ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda chance: one_round(arena, api, chance), chances))
    assert ends.count((True, True)) == 0, "acknowledged, and then deleted"
    assert ends.count((False, False)) == 0, "refused for nothing"
    assert ends.count((True, False)) > rounds / 20, "both win sometimes, or this shows nothing"
    assert ends.count((False, True)) > rounds / 20


@pytest.mark.usefixtures("no_slots")
def test_of_24_that_are_preserved_at_once_as_many_are_as_the_platform_allows(
    arena: Arena, api: cluster.Cluster
) -> None:
    with some(arena, api, 24) as made:
        sessions = [arena.session(one) for one in made]
        gate = threading.Barrier(24)

        def ask(asking: session.Session) -> str:
            asking.cluster.version()
            gate.wait()
            return told(lambda: keeping.preserve(asking, duration=None))

        with futures.ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(ask, sessions))
        kept = [one for one in cluster.environments(api) if one.preserved_until]
        winners = [made[index].namespace for index, answer in enumerate(answers) if answer == "yes"]
        assert len(winners) == 3
        assert sorted(one.namespace for one in kept) == sorted(winners)
        assert len({one.annotations[environment.PRESERVE_SLOT] for one in kept}) == 3
        refused = next(one for one, answer in zip(made, answers, strict=True) if answer != "yes")
        late = told(lambda: keeping.preserve(arena.session(refused), duration=None))
        assert all(name in late for name in winners)
        assert kept[0].annotations[environment.PRESERVED_UNTIL] in late


@pytest.mark.usefixtures("no_slots")
def test_one_that_is_preserved_is_so_for_longer_however_many_are(arena: Arena, api: cluster.Cluster) -> None:
    with some(arena, api, 3) as made:
        for one in made:
            keeping.preserve(arena.session(one), duration=DAY)
        keeping.preserve(arena.session(made[0]), duration=3 * DAY)
        (longer,) = cluster.find(api, made[0].repository_id, made[0].number)
        assert longer.preserved_until is not None
        assert longer.preserved_until - datetime.datetime.now(datetime.UTC) > 2.9 * DAY
        assert len(slots(api, arena.sandbox)) == 3


@pytest.mark.usefixtures("no_slots")
def test_a_slot_that_is_given_back_is_free_for_the_next(arena: Arena, api: cluster.Cluster) -> None:
    with some(arena, api, 4) as made:
        for one in made[:3]:
            keeping.preserve(arena.session(one), duration=DAY)
        keeping.unpreserve(arena.session(made[0]))
        (ended,) = cluster.find(api, made[0].repository_id, made[0].number)
        assert not {environment.PRESERVED_UNTIL, environment.PRESERVE_SLOT} & set(ended.annotations)
        assert len(slots(api, arena.sandbox)) == 2
        keeping.preserve(arena.session(made[3]), duration=DAY)


@pytest.mark.usefixtures("no_slots")
def test_one_that_expires_is_not_preserved_any_more_unless_it_was_renewed_meanwhile(
    arena: Arena, api: cluster.Cluster
) -> None:
    home = arena.sandbox.platform_namespace
    with some(arena, api, 1) as (wanted,):
        keeping.preserve(arena.session(wanted), duration=DAY)
        (judged,) = cluster.find(api, wanted.repository_id, wanted.number)
        keeping.preserve(arena.session(wanted), duration=2 * DAY)
        assert preserving.expire(api, judged, home=home) is None
        (renewed,) = cluster.find(api, wanted.repository_id, wanted.number)
        assert (renewed.preserved_until is None, len(slots(api, arena.sandbox))) == (False, 1)
        ended = preserving.expire(api, renewed, home=home)
        assert ended is not None
        assert (ended.preserved_until, slots(api, arena.sandbox)) == (None, [])


@pytest.mark.usefixtures("no_slots")
def test_one_that_is_ended_and_renewed_at_the_same_moment_is_not_preserved_or_holds_its_slot(
    arena: Arena, api: cluster.Cluster
) -> None:
    home, both = arena.sandbox.platform_namespace, threading.Barrier(2)
    kept, took = 0, 0.0
    with some(arena, api, 1) as (wanted,), futures.ThreadPoolExecutor(2) as pool:
        for number in range(15):
            keeping.preserve(arena.session(wanted), duration=DAY)
            (judged,) = cluster.find(api, wanted.repository_id, wanted.number)

            def end(judged: environment.Observed = judged) -> float:
                both.wait()
                began = time.monotonic()
                preserving.end(api, judged, home=home)
                return time.monotonic() - began

            def renew(judged: environment.Observed = judged, late: float = took * number / 7) -> None:
                """From at the same moment to after the end, so that each step of the one meets each of the other."""
                both.wait()
                time.sleep(late)
                preserving.preserve(api, judged, judged.created_at + 2 * DAY, limit=3, home=home)

            ending, renewing = pool.submit(end), pool.submit(renew)
            renewing.result()
            took = max(took, ending.result())
            (found,) = cluster.find(api, wanted.repository_id, wanted.number)
            noted = found.annotations.get(environment.PRESERVE_SLOT)
            assert noted is None or slots(api, arena.sandbox) == [noted]
            kept += noted is not None
    assert kept, "this shows nothing if none is preserved in the end"


@pytest.mark.usefixtures("no_slots")
def test_a_slot_of_which_nothing_is_noted_is_freed_once_nobody_can_be_about_to(
    arena: Arena, api: cluster.Cluster
) -> None:
    home, now = arena.sandbox.platform_namespace, datetime.datetime.now(datetime.UTC)
    with some(arena, api, 2) as (kept, cut_off):
        keeping.preserve(arena.session(kept), duration=DAY)
        (observed,) = cluster.find(api, cut_off.repository_id, cut_off.number)
        owner = preserving.holder(observed)
        slot = leases.acquire(api, namespace=home, prefix=preserving.PREFIX, limit=3, holder=owner)
        live = cluster.environments(api)
        assert preserving.tidy(api, live, home=home, now=now) == ()
        assert preserving.tidy(api, live, home=home, now=now + datetime.timedelta(minutes=11)) == (slot,)
        assert len(slots(api, arena.sandbox)) == 1


@pytest.mark.usefixtures("no_slots")
def test_who_is_refused_because_it_is_being_destroyed_holds_no_slot(arena: Arena, api: cluster.Cluster) -> None:
    with some(arena, api, 1) as (wanted,):
        (observed,) = cluster.find(api, wanted.repository_id, wanted.number)
        api.delete("Namespace", wanted.namespace, uid=observed.uid)
        answer = told(
            lambda: preserving.preserve(
                api, observed, observed.created_at + DAY, limit=3, home=arena.sandbox.platform_namespace
            )
        )
        assert "being destroyed" in answer or "is gone" in answer
        assert slots(api, arena.sandbox) == []


@pytest.mark.usefixtures("no_slots")
def test_the_rights_of_a_workflow_suffice_for_all_of_it_and_not_for_another_lease(
    arena: Arena, api: cluster.Cluster
) -> None:
    key = str(platform.ci_kubeconfig(arena.sandbox))
    with some(arena, api, 1) as (wanted,):
        for act in (
            lambda asking: keeping.extend(asking, duration=DAY),
            lambda asking: keeping.preserve(asking, duration=DAY),
            keeping.unpreserve,
        ):
            act(arena.session(wanted, kubeconfig=key))
        ci = arena.session(wanted, kubeconfig=key).cluster
        other = {"name": f"janitor-{secrets.token_hex(3)}", "namespace": arena.sandbox.platform_namespace}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": other, "spec": {}}
        with pytest.raises(errors.Refused, match="the slots they take"):
            ci.create(lease)


def test_a_workflow_can_scale_nothing_outside_environments(
    arena: Arena, kubectl: conftest.Kubectl, namespace: str
) -> None:
    kubectl("-n", namespace, "create", "deployment", "theirs", "--image=none", "--replicas=0")
    key = settings.Connection(kubeconfig=str(platform.ci_kubeconfig(arena.sandbox)))
    with pytest.raises(errors.Refused, match="only write inside environments"):
        cluster.connect(key).write(
            "PATCH",
            f"/apis/apps/v1/namespaces/{namespace}/deployments/theirs/scale",
            what="the scale",
            body={"spec": {"replicas": 1}},
            content_type="application/merge-patch+json",
        )
