"""Until when an environment stays after somebody asked for more, and what is refused."""

from __future__ import annotations

import dataclasses
import datetime
import io
import pathlib
from collections.abc import Iterator

import pytest

from k8s_ee import environment, errors, outcome, runner, settings
from k8s_ee.commands import keeping, reporting, session
from tests.unit.cluster import conftest
from tests.wire import github
from tests.wire import github_state as states
from tests.wire import kube as wire

NS, LEASES = "/api/v1/namespaces", "/apis/coordination.k8s.io/v1/namespaces/k8s-ee-system/leases"
CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)  # by the clock of the API server in miniature
HOUR, DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@dataclasses.dataclass
class World:
    kube: wire.Kube
    url: str
    platform: pathlib.Path

    def session(self, *, now: datetime.datetime, dry_run: bool = False) -> session.Session:
        """`now` is what the command takes for the time."""
        connection = settings.Connection(kubeconfig=conftest.KUBECONFIG.format(url=self.url))
        given = settings.Settings(number=7, repository_id=42, connection=connection)
        return session.Session(
            settings=given,
            options=session.Options(platform_file=self.platform, dry_run=dry_run),
            runner=runner.Runner(given, stream=io.StringIO()),
            say=lambda _line: None,
            now=lambda: now,
        )

    def put(self, project: str = "shop", **annotations: str) -> None:
        wanted = environment.Environment(
            project=environment.ProjectId(project),
            number=7,
            repository="acme/shop",
            repository_id=42,
            domain="preview.test",
        )
        noted = {f"k8s-ee/{key.replace('_', '-')}": value for key, value in annotations.items()}
        metadata = {
            "name": wanted.namespace,
            "labels": wanted.labels(),
            "annotations": wanted.annotations() | noted,
        }
        self.kube.put(NS, {"metadata": metadata})

    def annotation(self, key: str, name: str = "shop-pr-7") -> str | None:
        found: str | None = self.kube.objects[(NS, name)]["metadata"]["annotations"].get(key)
        return found


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[World]:
    kube = wire.Kube()
    server, url = wire.serve(kube)
    path = tmp_path / "platform.yaml"
    path.write_text("domain: preview.test\n")
    kube.put(NS, {"metadata": {"name": "k8s-ee-system"}})
    yield World(kube, url, path)
    server.shutdown()
    server.server_close()


def text(when: datetime.datetime) -> str:
    return when.isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("after", "noted", "until"),
    [
        (1 * DAY, {}, 8 * DAY),
        (1 * DAY, {"deployed_at": text(CREATED + DAY)}, 9 * DAY),
        (9 * DAY, {"active_at": text(CREATED + DAY)}, 10 * DAY),
        (1 * DAY, {"extended_until": text(CREATED + 20 * DAY)}, 21 * DAY),
        (1 * DAY, {"extended_until": text(CREATED + 29.5 * DAY)}, 30 * DAY),
    ],
)
def test_an_extension_begins_where_it_would_have_ended_and_goes_up_to_the_hard_limit(
    world: World, after: datetime.timedelta, noted: dict[str, str], until: datetime.timedelta
) -> None:
    world.put(**noted)
    asking = world.session(now=CREATED + after)
    result = keeping.extend(asking, duration=DAY)
    assert world.annotation(environment.EXTENDED_UNTIL) == result.outputs["until"] == text(CREATED + until)
    assert any("can't stay longer" in note for note in result.notes) is (until == 30 * DAY)


@pytest.mark.parametrize("noted", [{"extended_until": text(CREATED + 30 * DAY)}, {}])
def test_nothing_stays_beyond_the_hard_limit(world: World, noted: dict[str, str]) -> None:
    world.put(**noted)
    now = CREATED + (29 if noted else 31) * DAY
    with pytest.raises(errors.Refused, match="can't stay longer than 2026-01-31 00:00 UTC"):
        keeping.extend(world.session(now=now), duration=HOUR)
    with pytest.raises(errors.Refused, match="can't stay longer"):
        keeping.preserve(world.session(now=CREATED + 30 * DAY), duration=HOUR)
    assert not world.kube.writes


def test_two_extensions_at_once_both_count(world: World) -> None:
    world.put()
    now = CREATED + DAY
    first, second = world.session(now=now), world.session(now=now)
    world.kube.meanwhile("PATCH", NS, lambda: keeping.extend(second, duration=HOUR))
    keeping.extend(first, duration=DAY)
    assert world.annotation(environment.EXTENDED_UNTIL) == text(CREATED + 8 * DAY + HOUR)


def test_an_extension_whose_answer_got_lost_counts_once(world: World) -> None:
    world.put()

    def written_and_lost() -> None:
        noted = world.kube.objects[(NS, "shop-pr-7")]["metadata"]["annotations"]
        noted[environment.EXTENDED_UNTIL] = text(CREATED + 8 * DAY)

    world.kube.meanwhile("PATCH", NS, written_and_lost)
    result = keeping.extend(world.session(now=CREATED + DAY), duration=DAY)
    assert result.outputs["until"] == text(CREATED + 8 * DAY)


@pytest.mark.parametrize("mark", ["cleanup_requested_at", "destroy_requested_at"])
def test_what_is_being_destroyed_is_neither_extended_nor_preserved(world: World, mark: str) -> None:
    world.put(**{mark: text(CREATED)})
    for act in (keeping.extend, keeping.preserve):
        with pytest.raises(errors.Refused, match="being destroyed"):
            act(world.session(now=CREATED + DAY), duration=DAY)
    assert not world.kube.listed(LEASES)


def test_a_destroy_that_begins_just_then_is_what_counts_and_gives_the_slot_back(world: World) -> None:
    world.put()

    def begin() -> None:
        noted = world.kube.objects[(NS, "shop-pr-7")]["metadata"]["annotations"]
        noted[environment.CLEANUP_REQUESTED_AT] = text(CREATED)

    world.kube.meanwhile("PATCH", NS, begin)
    with pytest.raises(errors.Refused, match="being destroyed"):
        keeping.preserve(world.session(now=CREATED + DAY), duration=DAY)
    assert world.annotation(environment.PRESERVED_UNTIL) is None
    assert not world.kube.listed(LEASES)


def test_a_preserve_is_as_long_as_the_platform_says_and_never_made_shorter_by_another(world: World) -> None:
    world.put()
    asking = world.session(now=CREATED + DAY)
    assert keeping.preserve(asking, duration=None).outputs["until"] == text(CREATED + 3 * DAY)
    assert keeping.preserve(asking, duration=HOUR).outputs["until"] == text(CREATED + 3 * DAY)
    assert keeping.preserve(asking, duration=4 * DAY).outputs["until"] == text(CREATED + 5 * DAY)
    assert world.annotation(environment.PRESERVE_SLOT) == "preserve-0"


def test_one_project_of_a_pull_request_can_be_meant(world: World) -> None:
    world.put("shop")
    world.put("admin")
    keeping.preserve(world.session(now=CREATED + DAY), duration=DAY, project="admin")
    kept = [world.annotation(environment.PRESERVED_UNTIL, name) for name in ("shop-pr-7", "admin-pr-7")]
    assert kept == [None, text(CREATED + 2 * DAY)]
    both = keeping.unpreserve(world.session(now=CREATED + DAY))
    assert [row["namespace"] for row in both.data["environments"]] == ["admin-pr-7", "shop-pr-7"]
    assert any("shop-pr-7 was not preserved" in note for note in both.notes)
    assert not world.kube.listed(LEASES)


def test_a_dry_run_says_until_when_and_keeps_nothing(world: World) -> None:
    world.put()
    for act in (keeping.preserve, keeping.extend):
        result = act(world.session(now=CREATED + DAY, dry_run=True), duration=DAY)
        assert (result.state, bool(result.outputs["until"])) == ("planned", True)
    assert not world.kube.listed(LEASES)
    assert world.annotation(environment.EXTENDED_UNTIL) is None


@pytest.mark.parametrize(("code", "news"), [(2, False), (3, False), (4, True), (5, False)])
@pytest.mark.parametrize("command", ["preserve", "unpreserve", "extend", "sleep", "wake"])
def test_a_refused_request_leaves_the_comment_as_it_was(world: World, command: str, code: int, news: bool) -> None:
    shop = states.Repository(id=42, owner_id=1, full_name="acme/shop")
    shop.pulls[7] = states.Pull(7, head_sha="a" * 40)
    with github.Server(states.State(repositories=[shop])) as server:
        asking = world.session(now=CREATED)
        asking.settings = dataclasses.replace(
            asking.settings, repository="acme/shop", token="of this run", api_url=server.url
        )
        failure = outcome.Failure("no", exit_code=code)
        outputs = {"namespace": "shop-pr-7"}
        reporting.publish(asking, outcome.Outcome(command, "failed", outputs=outputs, failure=failure))
        assert bool(shop.comments) is news
