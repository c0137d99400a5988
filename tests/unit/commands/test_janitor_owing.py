"""An end of which the pull request did not hear: it does once it can, and no end waits for that."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import report
from k8s_ee.github import pace
from tests.unit.commands import sweeps
from tests.unit.commands.sweeps import DAY, HOUR
from tests.wire import github_faults as faults
from tests.wire import github_state as states

WRITES: dict[str, Any] = {"method": "POST|PATCH", "path": "/repos/.*"}


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[sweeps.World]:
    with sweeps.world(tmp_path) as made:
        yield made


def deployed(world: sweeps.World, name: str, number: int = 7) -> states.Deployment:
    made = states.Deployment(
        id=number,
        ref="a" * 40,
        task=f"k8s-ee:pr-{number}",
        environment="preview",
        creator="x",
        payload={"namespace": name},
    )
    made.statuses.append(states.Status(id=1000 + number, state="success"))
    world.shop.deployments[number] = made
    return made


def terminating(world: sweeps.World, name: str) -> None:
    found = world.kube.objects[(sweeps.NS, name)]
    found["metadata"]["deletionTimestamp"] = sweeps.DELETED_AT
    world.kube.put(sweeps.NS, found)


def released(world: sweeps.World, name: str) -> None:
    """Its end comes between two passes."""
    world.held.discard(name)
    while world.there(name):
        pass


@pytest.mark.parametrize(
    "fault",
    [
        faults.Fault(**WRITES, status=502, times=99),
        faults.Fault(**WRITES, kind="drop", times=99),
        faults.Fault(path="/repos/.*", status=404, times=99),
        faults.Fault(**WRITES, status=403, message="secondary rate limit", headers={"Retry-After": "90"}, times=99),
        faults.Fault(**WRITES, status=429, times=99),
    ],
    ids=["away", "dropped", "hidden", "secondary-limit", "too-many"],
)
def test_what_could_not_be_told_is_told_by_the_next_pass(world: sweeps.World, fault: faults.Fault) -> None:
    name = world.put(7, "closed")
    deployment = deployed(world, name)
    world.github.faults.add(fault)
    result = world.sweep()
    assert (world.there(name), result.failure, world.comments) == (False, None, [])
    assert any("GitHub was not told" in note for note in result.notes)
    assert len(world.notes) == 1
    world.github.faults.clear()
    assert world.sweep().data["summary"]["checked"] == 0
    (comment,) = world.comments
    assert "is gone" in comment
    assert "its pull request is closed" in comment
    assert deployment.state == "inactive"
    assert world.notes == {}


def test_it_is_noted_before_the_end_begins(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    noted: list[int] = []
    world.kube.meanwhile("PATCH", f"{sweeps.NS}/{name}", lambda: noted.append(len(world.notes)))
    world.sweep()
    assert (noted, world.notes) == ([1], {})


def test_a_comment_that_is_there_but_not_the_deployments_is_not_written_again(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    deployment = deployed(world, name)
    world.github.faults.add(faults.Fault(path=".*/deployments.*", status=502, times=99))
    world.sweep()
    (comment,) = world.shop.comments.values()
    written = comment.updated_at, comment.body
    world.github.faults.clear()
    before = len(world.github.log)
    world.sweep()
    assert deployment.state == "inactive"
    assert (comment.updated_at, comment.body) == written
    assert not [one for one in world.github.log[before:] if one["method"] == "PATCH"]


def test_the_comment_of_what_was_stuck_and_ended_between_two_passes_says_that_it_is_gone(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    world.held.add(name)
    found = world.kube.objects[(sweeps.NS, name)]
    found["status"] = {"conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": "widgets"}]}
    world.kube.put(sweeps.NS, found)
    world.sweep(timeout=17)
    assert "not everything is gone" in world.comments[0]
    world.sweep()
    assert "not everything is gone" in world.comments[0]
    released(world, name)
    world.sweep()
    (comment,) = world.comments
    assert "is gone" in comment
    assert "not everything" not in comment
    assert world.notes == {}


def test_one_that_somebody_else_is_ending_is_told_too(world: sweeps.World) -> None:
    name = world.put(7)
    world.held.add(name)
    terminating(world, name)
    for after in (HOUR / 60, HOUR):
        world.sweep(after=after)
    assert (len(world.notes), world.comments) == (1, [])
    released(world, name)
    world.sweep()
    (comment,) = world.comments
    assert "is gone" in comment
    assert "Destroyed because" not in comment


def test_what_the_pull_request_heard_already_is_left_in_its_words(world: sweeps.World) -> None:
    name = world.put(7, "closed", comment_id="77")
    world.held.add(name)
    terminating(world, name)
    world.sweep()
    body = f"{report.marker(name)}\n### {report.GONE} Preview is gone\n\nsaid by the workflow"
    world.shop.comments[77] = states.Comment(77, 7, author="github-actions[bot]", body=body)
    released(world, name)
    world.sweep()
    assert (world.comments, world.notes) == ([body], {})


def test_all_end_at_once_and_their_comments_follow_pass_by_pass(world: sweeps.World) -> None:
    names = [world.put(number, "closed") for number in range(1, 13)]
    result = world.sweep(tempo=pace.Pace(burst=5, each=1000))
    assert result.data["summary"]["deleted"] == 12
    assert not any(world.there(name) for name in names)
    assert (len(world.comments), len(world.notes)) == (5, 7)
    assert any("later pass" in note and "7 times" in note for note in result.notes)
    world.put(20, "closed")
    assert world.sweep(tempo=pace.Pace(burst=5, each=1000)).data["summary"]["deleted"] == 1
    assert len(world.comments) == 10
    world.sweep(tempo=pace.Pace(burst=1, each=0.02))
    assert len(world.comments) == 13
    assert all("is gone" in one for one in world.comments)
    assert world.notes == {}


def test_what_can_not_be_noted_is_told_at_once(world: sweeps.World) -> None:
    for number in range(1, 5):
        world.put(number, "closed")
    world.kube.fail("POST", sweeps.LEASES, 403, times=9, message="no")
    result = world.sweep(tempo=pace.Pace(burst=1, each=0.02))
    assert (result.data["summary"]["deleted"], len(world.comments), result.failure) == (4, 4, None)
    assert any("could not be noted" in note for note in result.notes)


def test_a_workflow_notes_nothing_and_tells_all_at_once(world: sweeps.World) -> None:
    for number in range(1, 5):
        world.put(number, "closed")
    world.sweep(tempo=pace.Pace(burst=1, each=0.02), is_actions=True, repository="acme/shop", repository_id=42)
    assert (len(world.comments), world.notes) == (4, {})
    assert world.kube.of("POST", sweeps.LEASES) == []


def test_a_new_environment_of_that_name_has_the_comment_for_itself(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=502, times=99))
    world.sweep()
    world.github.faults.clear()
    world.put(7)
    world.sweep()
    assert (world.comments, world.notes) == ([], {})


def test_one_that_is_to_stay_after_all_is_owed_nothing(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    world.kube.fail("PATCH", f"{sweeps.NS}/{name}$", 500, times=99)
    world.sweep()
    assert len(world.notes) == 1
    world.kube.faults.clear()
    world.shop.pulls[7].state = "open"
    assert world.sweep().data["summary"]["kept"] == 1
    assert world.notes == {}


def test_what_github_refuses_is_not_asked_for_again(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=403, times=99))
    world.sweep()
    assert world.notes == {}


def test_a_key_that_github_refuses_for_now_settles_nothing(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=401, times=99))
    world.sweep()
    assert len(world.notes) == 1
    world.github.faults.clear()
    world.sweep()
    assert world.notes == {}


def test_what_can_not_be_told_for_a_week_is_given_up_and_what_can_not_be_read_too(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=404, times=999))
    world.sweep()
    world.kube.objects[(sweeps.LEASES, "janitor-notes")]["metadata"]["annotations"]["notes.k8s-ee/owed-x"] = "{}"
    assert any("given up" in note for note in world.sweep().notes)
    assert len(world.notes) == 1
    assert any("given up" in note for note in world.sweep(after=8 * DAY).notes)
    assert world.notes == {}


def test_what_can_not_be_told_for_long_does_not_hold_up_what_can(
    world: sweeps.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s_ee.commands.janitor_owing._AT_ONCE", 2)
    world.github.faults.add(faults.Fault(path="/repos/.*", status=502, times=99))
    for number in (1, 2):
        world.put(number, "closed")
    world.sweep()
    for number in (3, 4, 5):
        world.put(number, "closed")
    world.sweep(after=2 * HOUR)
    world.github.faults.clear()
    world.github.faults.add(faults.Fault(path="/repos/.*/issues/[124].*", status=404, times=999))
    told = []
    for hours in range(3, 7):
        world.sweep(after=hours * HOUR)
        told.append(len(world.comments))
    assert told == [0, 1, 2, 2], "two of the five have a turn in each pass, and none has another before all had one"
    assert len(world.notes) == 3


def test_notes_have_a_bound_and_what_is_beyond_it_is_told_at_once(
    world: sweeps.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8s_ee.cluster.notes._ROOM", 500)
    for number in range(1, 6):
        world.put(number, "closed")
    world.sweep(tempo=pace.Pace(burst=1, each=0.4))
    assert 0 < len(world.notes) < 5
    assert len(world.comments) + len(world.notes) == 5


def test_of_another_repository_nothing_is_told_where_one_is_meant(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=502, times=99))
    world.sweep()
    world.github.faults.clear()
    world.sweep(repository="acme/other")
    assert (world.comments, len(world.notes)) == ([], 1)


def test_what_needed_more_than_a_week_to_end_is_told_all_the_same(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    world.held.add(name)
    world.sweep(timeout=17)
    (comment,) = world.shop.comments.values()
    for day in range(1, 10):
        world.sweep(after=day * DAY)
    released(world, name)
    world.sweep(after=10 * DAY)
    assert "is gone" in comment.body
    assert "its pull request is closed" in comment.body
    assert world.notes == {}
