"""An end that waits for a backup: who asks for it, who makes it, and what is said when it fails."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import cli, environment, errors, outcome, report
from k8s_ee.commands import cleanup, inspect, resting
from tests.unit.cluster import conftest
from tests.unit.commands import sweeps
from tests.unit.commands.sweeps import CREATED, DAY, HOUR, text
from tests.wire import github_faults as faults
from tests.wire import github_shapes as shapes

MINUTE = HOUR / 60
PATH = "/apis/apps/v1/namespaces/{name}/{plural}"
ROUTES = "/apis/networking.k8s.io/v1/namespaces/{name}/ingresses"


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[sweeps.World]:
    with sweeps.world(tmp_path) as made:
        (tmp_path / "backups").mkdir()
        made.platform.write_text(f"domain: preview.test\nbackup: {{to: {tmp_path}/backups}}\n")
        yield made


def put(world: sweeps.World, number: int = 7, state: str = "closed", *, databases: bool = False, **noted: str) -> str:
    """With an app that runs, behind its route."""
    name = world.put(number, state, backup="onDestroy", **noted)
    labels = {environment.MANAGED_BY: environment.MANAGER}
    kinds = [("deployments", "app"), *([("statefulsets", "postgresql")] if databases else [])]
    for plural, workload in kinds:
        container = {"name": workload, "image": "image:1"}
        spec = {"replicas": 1, "template": {"spec": {"containers": [container]}}}
        world.kube.put(
            PATH.format(name=name, plural=plural), {"metadata": {"name": workload, "labels": labels}, "spec": spec}
        )
    route = {"metadata": {"name": "app", "labels": labels}, "spec": {"ingressClassName": "nginx"}}
    world.kube.put(ROUTES.format(name=name), route)
    return name


def replicas(world: sweeps.World, name: str, plural: str, workload: str) -> int:
    return int(world.kube.objects[(PATH.format(name=name, plural=plural), workload)]["spec"]["replicas"])


def done(result: outcome.Outcome) -> str:
    (row,) = result.data["environments"]
    return str(row["done"])


def clean(world: sweeps.World, *, after: float = 1, dry_run: bool = False, **options: str | bool) -> outcome.Outcome:
    """`after` in hours."""
    facts: dict[str, Any] = {"number": 7, "repository": "acme/shop", "repository_id": 42}
    ctx = world.session(after=after * HOUR, dry_run=dry_run, **facts)
    return cleanup.cleanup(ctx, **options)  # type: ignore[arg-type]


def test_it_is_asked_for_stopped_backed_up_and_only_then_destroyed(world: sweeps.World) -> None:
    name = put(world, databases=True)
    asked = world.sweep()
    assert (done(asked), asked.failure, world.deletions) == ("backing up", None, 0)
    assert world.annotation(name, environment.BACKUP_WANTED_AT) == text(CREATED + HOUR)
    assert replicas(world, name, "deployments", "app") == 0
    assert replicas(world, name, "statefulsets", "postgresql") == 1, "its databases go on"
    assert world.kube.objects[(ROUTES.format(name=name), "app")]["spec"]["ingressClassName"] == "k8s-ee-asleep"
    (comment,) = world.comments
    assert "is backed up, then destroyed" in comment
    assert "k8s-ee cleanup --without-backup --pr 7 --repository-id 42" in comment
    assert f"BackupWanted {name}" in world.events
    written = len(world.kube.writes)
    assert done(world.sweep()) == "backing up"
    assert len(world.kube.writes) == written, "asked for once"
    world.kube.objects.pop((PATH.format(name=name, plural="statefulsets"), "postgresql"))
    assert done(world.keep()) == "backed up"
    assert world.annotation(name, environment.BACKED_UP) == f"{text(CREATED + HOUR)} "
    assert done(world.sweep()) == "deleted"
    assert not world.there(name)


def test_where_its_backup_is_stands_in_the_last_comment(world: sweeps.World) -> None:
    name = put(world, backed_up=f"{text(CREATED + HOUR)} s3://backups/acme/shop/a.tar")
    assert done(world.sweep(after=2 * HOUR)) == "deleted"
    assert not world.there(name)
    assert "Its databases are in s3" in world.comments[0]
    assert "k8s-ee restore" in world.comments[0]


def test_three_attempts_fail_then_it_is_held_told_of_once_and_stays(world: sweeps.World) -> None:
    name = put(world, databases=True)
    world.sweep()
    (world.platform.parent / "backups").rmdir()
    for attempt in (1, 2, 3):
        tried = world.keep(after=HOUR + attempt * 15 * MINUTE)
        assert tried.failure is not None
        assert (done(tried), tried.failure.exit_code) == ("failed", 4)
        assert (
            world.annotation(name, environment.BACKUP_ATTEMPTS)
            == f"{attempt} {text(CREATED + HOUR + attempt * 15 * MINUTE)}"
        )
        assert "there is no folder" in str(world.annotation(name, environment.BACKUP_ERROR))
        assert world.keep(after=HOUR + attempt * 15 * MINUTE + MINUTE).data["environments"] == [], "with a pause"
    held = world.sweep(after=HOUR + 46 * MINUTE)
    assert held.failure is not None
    assert (done(held), held.failure.exit_code, held.data["summary"]["backup failed"]) == ("backup failed", 4, 1)
    (comment,) = world.comments
    assert "kept: its backup failed" in comment
    assert "there is no folder" in comment
    assert "2026-01-31 00:00 UTC" in comment
    for way in ("cleanup --without-backup", "cleanup --backup-to PLACE", "cleanup --pr 7"):
        assert f"k8s-ee {way}" in comment
    again = world.sweep(after=2 * DAY)
    assert (done(again), again.failure) == ("backup failed", None), "it must not hide what goes wrong tomorrow"
    assert world.events.count(f"BackupFailed {name}") == 1
    assert world.keep(after=2 * DAY).data["environments"] == []
    assert world.there(name)
    assert done(world.sweep(after=31 * DAY)) == "deleted", "its highest age"
    assert "There is no backup of its databases" in world.comments[0]


def test_of_one_that_is_held_the_databases_go_on_until_somebody_puts_it_to_sleep(world: sweeps.World) -> None:
    """The rule of idleness comes after what holds it."""
    name = put(world, databases=True, backup_wanted_at=text(CREATED))
    assert done(world.sweep(after=2 * DAY)) == "backup failed"
    assert replicas(world, name, "statefulsets", "postgresql") == 1
    facts: dict[str, Any] = {"number": 7, "repository": "acme/shop", "repository_id": 42}
    resting.sleep(world.session(after=2 * DAY, timeout=2, **facts))
    assert replicas(world, name, "statefulsets", "postgresql") == 0
    assert done(world.sweep(after=2 * DAY)) == "backup failed", "it is held all the same"


def test_a_comment_that_can_not_be_written_is_tried_again(world: sweeps.World) -> None:
    put(world, backup_wanted_at=text(CREATED))
    world.github.faults.add(faults.Fault(method="POST|PATCH", path=".*/comments.*", status=502, times=99))
    assert done(world.sweep()) == "backup failed"
    assert world.comments == []
    world.github.faults.clear()
    world.sweep(after=2 * HOUR)
    assert "was not begun in time: is the keeper running?" in world.comments[0]


def test_one_that_is_reopened_is_asked_for_anew_when_it_closes_again(world: sweeps.World) -> None:
    name = put(world)
    world.sweep()
    world.shop.pulls[7].state = "open"
    assert done(world.sweep(after=2 * HOUR)) == "kept"
    assert world.annotation(name, environment.BACKUP_WANTED_AT) is None
    assert world.keep(after=2 * HOUR).data["environments"] == []
    world.shop.pulls[7].state = "closed"
    assert done(world.sweep(after=9 * HOUR)) == "backing up"
    assert world.annotation(name, environment.BACKUP_WANTED_AT) == text(CREATED + 9 * HOUR)


def test_one_that_is_reopened_just_then_is_not_even_stopped(world: sweeps.World) -> None:
    name = put(world)
    handle = world.github.github.handle

    def handled(request: object) -> object:
        answer = handle(request)  # type: ignore[arg-type]
        world.shop.pulls[7].state = "open"
        return answer

    world.github.github.handle = handled  # type: ignore[method-assign,assignment]
    assert done(world.sweep()) == "kept"
    assert replicas(world, name, "deployments", "app") == 1


def test_a_deploy_while_it_is_stopped_wins(world: sweeps.World) -> None:
    name = put(world)

    def deploy() -> None:
        found = world.kube.objects[(sweeps.NS, name)]
        found["metadata"]["annotations"][environment.ACTIVE_AT] = text(CREATED + HOUR)
        world.kube.put(sweeps.NS, found)
        world.shop.pulls[7].state = "open"

    world.kube.meanwhile("PATCH", "deployments/app", deploy)
    assert done(world.sweep()) == "kept"
    assert replicas(world, name, "deployments", "app") == 1
    assert world.annotation(name, environment.BACKUP_WANTED_AT) is None


def test_the_keeper_leaves_alone_what_nobody_asked_for_and_what_is_on_its_way_out(world: sweeps.World) -> None:
    put(world, 7)
    put(world, 8, backup_wanted_at=text(CREATED + HOUR), cleanup_requested_at=text(CREATED))
    world.put(9, "closed", backup_wanted_at=text(CREATED + HOUR))
    assert world.keep().data["environments"] == []
    assert world.kube.writes == []


def test_one_that_fails_does_not_keep_the_others_from_theirs(world: sweeps.World) -> None:
    put(world, 7, databases=True, backup_wanted_at=text(CREATED + HOUR))
    other = put(world, 8, backup_wanted_at=text(CREATED + HOUR))
    world.kube.fail("GET", "shop-pr-7/statefulsets", 500, times=99, message="secret things")
    result = world.keep()
    assert {row["namespace"]: row["done"] for row in result.data["environments"]} == {
        "shop-pr-7": "failed",
        other: "backed up",
    }
    assert result.outputs == {**result.outputs, "owed": "2", "failed": "1", "backed-up": "1"}


def test_a_dry_run_of_the_keeper_says_what_it_would_do(world: sweeps.World) -> None:
    put(world, backup_wanted_at=text(CREATED + HOUR))
    assert done(world.keep(dry_run=True)) == "planned"
    assert world.kube.writes == []


def test_without_a_place_the_keeper_says_so_and_counts_no_attempt(world: sweeps.World) -> None:
    name = put(world, backup_wanted_at=text(CREATED + HOUR))
    world.platform.write_text("domain: preview.test\n")
    with pytest.raises(errors.InputError, match="no place"):
        world.keep()
    assert world.annotation(name, environment.BACKUP_ATTEMPTS) is None


def test_closing_asks_for_the_backup_and_says_what_is_to_come(world: sweeps.World) -> None:
    name = put(world, databases=True)
    result = clean(world)
    assert (result.state, result.failure, result.outputs["deleted"]) == ("backing-up", None, "[]")
    assert any("destroyed by the platform once its databases are backed up" in note for note in result.notes)
    assert world.annotation(name, environment.DESTROY_REQUESTED_AT) == text(CREATED + HOUR)
    assert world.annotation(name, environment.BACKUP_WANTED_AT) == text(CREATED + HOUR)
    assert replicas(world, name, "deployments", "app") == 0
    again = clean(world, after=1.5)
    assert again.state == "backing-up"
    assert world.annotation(name, environment.BACKUP_WANTED_AT) == text(CREATED + HOUR), "it is on its way"
    assert clean(world, after=3).state == "backing-up"
    assert world.annotation(name, environment.BACKUP_WANTED_AT) == text(CREATED + 3 * HOUR), "that had failed: anew"


def test_with_several_environments_each_ends_in_its_own_way(world: sweeps.World) -> None:
    put(world)
    found = world.kube.objects[(sweeps.NS, "shop-pr-7")]
    other = {"name": "docs-pr-7", "labels": {**found["metadata"]["labels"], environment.PROJECT: "docs"}}
    world.kube.put(sweeps.NS, {"metadata": {**other, "annotations": {}}})
    result = clean(world)
    assert (result.state, json.loads(result.outputs["deleted"])) == ("backing-up", ["docs-pr-7"])
    assert [row["namespace"] for row in result.data["environments"]] == ["shop-pr-7"]


def test_without_a_backup_it_goes_at_once(world: sweeps.World) -> None:
    name = put(world, databases=True)
    planned = clean(world, dry_run=True)
    assert "would be backed up by the platform first" in planned.notes[0]
    assert clean(world, without_backup=True).state == "destroyed"
    assert not world.there(name)
    with pytest.raises(errors.InputError, match="contradict"):
        clean(world, without_backup=True, backup_to="/tmp")


@pytest.mark.parametrize(("asked", "state"), [("false", "backing-up"), ("true", "destroyed")])
def test_closing_in_one_step_does_without_a_backup_only_when_that_was_asked_for(
    world: sweeps.World, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, asked: str, state: str
) -> None:
    name = put(world)
    described = shapes.Shapes(world.github.url)
    pull, repository = described.pull(world.shop, world.shop.pulls[7]), described.repository(world.shop)
    event = {"action": "closed", "pull_request": pull, "repository": repository}
    (tmp_path / "event.json").write_text(json.dumps(event))
    environ = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request_target",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_TOKEN": "of the job",
        "K8S_EE_API_URL": world.github.url,
        "K8S_EE_KUBECONFIG": conftest.KUBECONFIG.format(url=world.url),
        "K8S_EE_PLATFORM_FILE": str(world.platform),
        "K8S_EE_WITHOUT_BACKUP": asked,
    }
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    result = cli.main.main(["run"], standalone_mode=False)
    assert (result.state, world.there(name)) == (state, state == "backing-up")


def test_a_backup_here_and_now_comes_before_the_end_and_one_that_fails_keeps_it(world: sweeps.World) -> None:
    name = put(world, databases=True)
    with pytest.raises(errors.InputError, match="there is no folder") as failed:
        clean(world, backup_to=str(world.platform.parent / "nowhere"))
    assert "nothing was destroyed, and the app is stopped" in failed.value.hint
    assert world.there(name)
    world.kube.objects.pop((PATH.format(name=name, plural="statefulsets"), "postgresql"))
    assert clean(world, backup_to=str(world.platform.parent)).state == "destroyed"
    assert not world.there(name)


def test_one_that_is_deployed_while_it_is_backed_up_is_left_to_its_deploy(world: sweeps.World) -> None:
    name = put(world, backup_wanted_at=text(CREATED + HOUR))

    def deploy() -> None:
        world.kube.objects[(sweeps.NS, name)]["metadata"]["annotations"][environment.ACTIVE_AT] = text(CREATED + HOUR)

    world.kube.meanwhile("GET", f"{name}/statefulsets", deploy)
    result = world.keep()
    assert (done(result), result.failure) == ("left alone", None)
    assert world.annotation(name, environment.BACKED_UP) is None
    assert world.annotation(name, environment.BACKUP_ERROR) is None


def test_what_is_being_destroyed_already_is_said_to_go_without_the_backup_that_was_asked_for(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    put(world, cleanup_requested_at=text(CREATED))
    result = clean(world, backup_to=str(tmp_path))
    assert result.state == "destroyed"
    assert "it could not be backed up" in result.notes[0]


def test_a_list_shows_who_waits_and_who_is_held(world: sweeps.World) -> None:
    put(world, 7, backup_wanted_at=text(CREATED + HOUR))
    put(world, 8, backup_wanted_at=text(CREATED), backup_failed_at=text(CREATED))
    put(world, 9, asleep_since=text(CREATED))
    listed = inspect.list_environments(world.session(after=HOUR))
    assert [row["state"] for row in listed.data["environments"]] == ["backing-up", "backup-failed", "asleep"]


@pytest.mark.parametrize("other", ["docs-pr-7", "web-shop-pr-7"])
def test_of_several_environments_each_comment_says_what_became_of_its_own(other: str) -> None:
    rows = [{"namespace": "shop-pr-7", "pr": 7, "repositoryId": 42}]
    outputs = {"deleted": json.dumps([other]), "namespace": f"shop-pr-7 {other}"}
    result = outcome.Outcome("cleanup", "backing-up", outputs=outputs, data={"environments": rows})
    shown = {name: report.comment(result, report.Facts(namespace=name)) for name in ("shop-pr-7", other)}
    assert "is backed up, then destroyed" in shown["shop-pr-7"]
    assert "is gone" in shown[other]
    assert "backed up" not in shown[other]
