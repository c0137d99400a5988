"""One pass of the janitor: what it does about each environment, what it leaves, and what it says of both."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

import pytest

from k8s_ee import environment, errors, report
from k8s_ee.github import pace
from tests.unit.commands import sweeps
from tests.unit.commands.sweeps import CREATED, DAY, HOUR, text
from tests.wire import github_faults as faults
from tests.wire import github_state as states


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[sweeps.World]:
    with sweeps.world(tmp_path) as made:
        yield made


def test_one_whose_closing_nobody_told_is_destroyed_and_the_others_stay(world: sweeps.World) -> None:
    closed, kept = world.put(7, "closed"), world.put(8)
    result = world.sweep()
    assert (result.state, result.failure) == ("swept", None)
    assert (world.there(closed), world.there(kept)) == (False, True)
    assert (result.data["summary"]["deleted"], result.data["summary"]["kept"]) == (1, 1)
    (comment,) = world.comments
    assert "is gone" in comment
    assert "its pull request is closed" in comment
    assert "reopened" in comment
    assert "Destroying shop-pr-7" in world.events
    assert world.annotation(kept, environment.UNKNOWN_SINCE) is None


def test_what_is_only_kept_is_written_to_by_nobody(world: sweeps.World) -> None:
    for number in range(1, 20):
        world.put(number)
    result = world.sweep()
    assert result.data["summary"]["kept"] == 19
    assert world.kube.writes == []
    assert world.github.count("/graphql") == 1


def test_one_that_is_reopened_just_then_is_left_alone(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    pull = world.shop.pulls[7]
    handle = world.github.github.handle

    def handled(request: object) -> object:
        answer = handle(request)  # type: ignore[arg-type]
        pull.state = "open"
        return answer

    world.github.github.handle = handled  # type: ignore[method-assign,assignment]
    result = world.sweep()
    assert world.there(name)
    assert (world.deletions, result.data["summary"]["kept"]) == (0, 1)


def test_one_that_is_deployed_while_it_is_judged_is_judged_anew(world: sweeps.World) -> None:
    name = world.put(7, "closed")

    def deploy() -> None:
        world.shop.pulls[7].state = "open"
        found = world.kube.objects[(sweeps.NS, name)]
        found["metadata"]["annotations"][environment.DEPLOYED_AT] = text(CREATED + HOUR)
        world.kube.put(sweeps.NS, found)

    world.kube.meanwhile("PATCH", f"{sweeps.NS}/{name}", deploy)
    result = world.sweep()
    assert world.there(name)
    assert (world.deletions, result.data["summary"]["kept"], result.failure) == (0, 1, None)


def test_who_does_not_use_it_is_warned_then_it_goes(world: sweeps.World) -> None:
    name = world.put(7, asleep_since=text(CREATED))
    assert world.sweep(after=6 * DAY + HOUR).data["summary"]["warned"] == 1
    (comment,) = world.comments
    assert "will be destroyed soon" in comment
    assert "2026-01-08 00:00 UTC" in comment
    assert "k8s-ee extend 24h --pr 7 --repository-id 42" in comment
    assert world.annotation(name, environment.WARNED_OF) == text(CREATED + 7 * DAY)
    assert world.annotation(name, environment.COMMENT_ID)
    assert world.sweep(after=6 * DAY + 2 * HOUR).data["summary"]["kept"] == 1
    result = world.sweep(after=7 * DAY)
    assert result.data["summary"]["deleted"] == 1
    assert not world.there(name)
    (comment,) = world.comments
    assert "nobody has used it" in comment
    assert "next push" in comment


def test_a_warning_that_can_not_be_posted_counts_as_failed_and_after_three_it_holds(world: sweeps.World) -> None:
    name = world.put(7, asleep_since=text(CREATED))
    world.github.faults.add(faults.Fault(method="POST|PATCH", path=".*/comments.*", status=403, times=99))
    for failures in (1, 2, 3):
        result = world.sweep(after=7 * DAY)
        assert result.failure is not None
        assert (result.failure.exit_code, world.deletions) == (4, 0)
        assert world.annotation(name, environment.WARNING_FAILURES) == str(failures)
    world.sweep(after=7 * DAY)
    assert not world.there(name)


def test_the_idle_are_put_to_sleep_and_told_how_to_wake(world: sweeps.World) -> None:
    name = world.put(7)
    result = world.sweep(after=13 * HOUR)
    assert result.data["summary"]["slept"] == 1
    assert world.annotation(name, environment.ASLEEP_SINCE) == text(CREATED + 13 * HOUR)
    assert "k8s-ee wake" in world.comments[0]
    assert world.sweep(after=14 * HOUR).data["summary"]["kept"] == 1


def test_a_preserve_is_warned_of_ended_and_then_the_environment_goes(world: sweeps.World) -> None:
    name = world.put(7, "closed", preserved_until=text(CREATED + DAY), preserve_slot="preserve-0")
    uid = world.kube.objects[(sweeps.NS, name)]["metadata"]["uid"]
    lease = {
        "metadata": {"name": "preserve-0", "namespace": "k8s-ee-system"},
        "spec": {"holderIdentity": f"{uid} {name}"},
    }
    world.kube.put(sweeps.LEASES, lease)
    assert world.sweep(after=22 * HOUR).data["summary"]["kept"] == 1
    assert world.sweep(after=23 * HOUR).data["summary"]["warned"] == 1
    assert "k8s-ee preserve" in world.comments[0]
    assert world.sweep(after=25 * HOUR).data["summary"]["expired"] == 1
    assert world.kube.listed(sweeps.LEASES) == []
    assert world.annotation(name, environment.PRESERVED_UNTIL) is None
    assert world.sweep(after=25 * HOUR).data["summary"]["deleted"] == 1


def test_the_warning_of_a_preserve_does_not_say_that_an_open_one_is_destroyed(world: sweeps.World) -> None:
    world.put(7, preserved_until=text(CREATED + DAY), active_at=text(CREATED + DAY))
    world.sweep(after=23.5 * HOUR)
    assert "will be destroyed" not in world.comments[0]
    assert "is preserved until" in world.comments[0]


@pytest.mark.parametrize(
    "fault",
    [
        faults.Fault(status=401),
        faults.Fault(status=403),
        faults.Fault(status=404),
        faults.Fault(status=502),
        faults.Fault(kind="html"),
        faults.Fault(kind="html", status=200),
        faults.Fault(kind="empty"),
        faults.Fault(kind="garbled"),
        faults.Fault(kind="truncated"),
        faults.Fault(kind="drop"),
        faults.Fault(kind="slow", delay=1.5),
        faults.rate_limited(),
        *[faults.Fault(kind="altered", alteration=one) for one in sorted(faults.WHOLE)],
        *[faults.Fault(kind="altered", alteration=one) for one in sorted(faults.ALTERATIONS)],
    ],
    ids=lambda one: f"{one.kind}-{one.alteration or one.status}",
)
def test_nothing_is_deleted_of_which_github_says_nothing_clear(world: sweeps.World, fault: faults.Fault) -> None:
    names = [world.put(number, "closed") for number in (7, 8)]
    fault.path, fault.times = "/graphql", 99
    world.github.faults.add(fault)
    result = world.sweep()
    assert result.failure is not None
    assert (result.failure.exit_code, result.data["summary"]["unknown"], world.deletions) == (5, 2, 0)
    assert sum(result.data["summary"]["reasons"].values()) == 2
    assert all(world.annotation(name, environment.UNKNOWN_SINCE) == text(CREATED + HOUR) for name in names)


def test_a_state_that_can_not_be_confirmed_deletes_nothing(world: sweeps.World) -> None:
    world.put(7, "closed")
    handle, asked = world.github.github.handle, []

    def handled(request: object) -> object:
        asked.append(1)
        world.github.faults.add(faults.Fault(path="/graphql", kind="altered", alteration="null-pull", times=9))
        return handle(request)  # type: ignore[arg-type]

    world.github.github.handle = handled  # type: ignore[method-assign,assignment]
    result = world.sweep()
    assert result.failure is not None
    assert (result.failure.exit_code, world.deletions, len(asked)) == (5, 0, 2)


def test_the_unknown_is_noted_once_reported_once_and_forgotten(world: sweeps.World) -> None:
    name = world.put(7, asleep_since=text(CREATED))
    fault = faults.Fault(path="/graphql", status=404, times=99)
    world.github.faults.add(fault)
    codes = []
    for after in (HOUR, 2 * HOUR, 26 * HOUR, 27 * HOUR):
        result = world.sweep(after=after)
        codes.append(result.failure.exit_code if result.failure else 0)
        assert result.data["summary"]["unknown"] == 1
    assert codes == [5, 5, 5, 0]
    assert world.annotation(name, environment.UNKNOWN_SINCE) == text(CREATED + HOUR)
    assert world.events == ["Unknown shop-pr-7"]
    assert len(world.kube.of("PATCH", name)) == 2
    world.github.faults.clear()
    assert world.sweep(after=28 * HOUR).failure is None
    assert world.annotation(name, environment.UNKNOWN_SINCE) is None
    assert world.annotation(name, environment.UNKNOWN_ALERTED_AT) is None


def test_the_highest_age_holds_for_the_unknown_too_once_it_was_warned_of(world: sweeps.World) -> None:
    name = world.put(7, warned_of=text(CREATED + 30 * DAY), warned_at=text(CREATED + 29 * DAY))
    world.github.faults.add(faults.Fault(path="/graphql", status=502, times=99))
    result = world.sweep(after=30 * DAY)
    assert not world.there(name)
    assert (result.data["summary"]["deleted"], result.data["summary"]["unknown"]) == (1, 1)


def test_one_that_fails_does_not_stop_the_others(world: sweeps.World) -> None:
    bad, good = world.put(7, "closed"), world.put(8, "closed")
    world.kube.fail("PATCH", f"{sweeps.NS}/{bad}$", 403, times=9, message="no")
    result = world.sweep()
    assert result.failure is not None
    assert result.failure.exit_code == 4
    assert any(bad in line for line in result.failure.evidence)
    assert (world.there(bad), world.there(good)) == (True, False)


def test_what_can_not_end_is_named_and_gone_when_it_can(world: sweeps.World) -> None:
    name = world.put(7)
    world.held.add(name)
    found = world.kube.objects[(sweeps.NS, name)]
    found["metadata"]["deletionTimestamp"] = sweeps.DELETED_AT
    found["status"] = {
        "conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True", "message": "widgets hold it"}]
    }
    world.kube.put(sweeps.NS, found)
    early = world.sweep(after=HOUR / 60)
    assert (early.data["summary"]["ending"], early.failure) == (1, None)
    result = world.sweep(after=HOUR)
    assert result.failure is not None
    assert (result.failure.exit_code, result.data["summary"]["stuck"]) == (4, 1)
    assert "widgets hold it" in result.failure.evidence[0]
    assert world.events == ["Stuck shop-pr-7"]
    world.held.clear()
    while world.there(name):
        pass
    assert world.sweep(after=HOUR).data["summary"]["checked"] == 0


def test_a_list_that_fails_or_is_cut_ends_the_pass_with_nothing_done(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.kube.page = 1
    world.put(8, "closed")
    world.kube.fail("GET", f"{sweeps.NS}$", 500, times=99, after=1)
    with pytest.raises(errors.ClusterUnavailable):
        world.sweep()
    assert world.kube.writes == []


def test_a_dry_run_says_what_it_would_do_and_does_nothing(world: sweeps.World) -> None:
    world.put(7, "closed")
    result = world.sweep(dry_run=True, lease=True)
    assert result.state == "planned"
    assert result.data["environments"][0]["decision"] == "delete"
    assert world.kube.writes == []
    assert world.comments == []
    assert "shop-pr-7" in report.text(result, colour=False)


def test_a_second_janitor_leaves_it_to_the_first(world: sweeps.World) -> None:
    world.put(7, "closed")
    lease = {
        "metadata": {"name": "janitor", "namespace": "k8s-ee-system"},
        "spec": {"holderIdentity": "other", "leaseDurationSeconds": 3600},
    }
    world.kube.put(sweeps.LEASES, lease)
    result = world.sweep(lease=True)
    assert (result.state, result.failure, world.deletions) == ("skipped", None, 0)
    assert "other" in result.notes[0]


def test_who_lost_the_lease_does_nothing_more(world: sweeps.World) -> None:
    world.put(7, "closed")

    def steal() -> None:
        lease = world.kube.objects[(sweeps.LEASES, "janitor")]
        lease["spec"]["holderIdentity"] = "other"
        world.kube.put(sweeps.LEASES, lease)
        time.sleep(6)  # until it is renewed next

    world.kube.meanwhile("GET", f"{sweeps.NS}$", steal)
    result = world.sweep(lease=True)
    assert (world.deletions, result.data["summary"]["passed on"], result.data["full"]) == (0, 1, False)


def test_in_a_workflow_only_the_environments_of_its_own_repository_are_looked_at(world: sweeps.World) -> None:
    world.put(7, "closed")
    result = world.sweep(is_actions=True, repository="acme/other", repository_id=43)
    assert (result.data["summary"]["checked"], world.deletions) == (0, 0)
    result = world.sweep(is_actions=True, repository="acme/shop", repository_id=42)
    assert result.data["summary"]["deleted"] == 1


def test_one_repository_can_be_meant(world: sweeps.World) -> None:
    world.put(7, "closed")
    assert world.sweep(repository="acme/other").data["summary"]["checked"] == 0
    assert world.sweep(repository="Acme/Shop").data["summary"]["checked"] == 1


def test_an_environment_that_asks_to_be_destroyed_is_whoever_its_pull_request_is(world: sweeps.World) -> None:
    asked, begun = world.put(7, destroy_requested_at=text(CREATED)), world.put(8, cleanup_requested_at=text(CREATED))
    world.github.faults.add(faults.Fault(path="/graphql", status=502, times=99))
    world.sweep()
    assert (world.there(asked), world.there(begun)) == (False, False)


def test_reports_say_what_was_done_and_why(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.put(8)
    world.put(9)
    del world.shop.pulls[9]
    result = world.sweep()
    shown = report.text(result, colour=False)
    assert "checked 3: kept 2, deleted 1 (unknown 1)" in shown
    assert "shop-pr-7: deleted: its pull request is closed" in shown
    assert "unknown, 1 times: GitHub says: Could not resolve to a PullRequest" in shown
    page = report.summary(result)
    assert "| `shop-pr-7` | deleted |" in page
    assert "janitor" in page


def test_figures_are_written_and_a_pass_that_could_not_see_all_keeps_the_time_of_the_last_that_could(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "k8s_ee.prom"
    world.put(7, "closed")
    world.put(8)
    world.sweep(metrics_file=file)
    first = dict(line.rsplit(" ", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    assert first['k8s_ee_environments{state="closed"}'] == "1"
    assert first['k8s_ee_janitor_decisions{kind="delete"}'] == "1"
    assert first['k8s_ee_janitor_results{result="deleted"}'] == "1"
    world.github.faults.add(faults.Fault(path="/graphql", status=404, times=9))
    world.sweep(metrics_file=file)
    second = dict(line.rsplit(" ", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    full, last = "k8s_ee_janitor_last_full_pass_timestamp_seconds", "k8s_ee_janitor_last_pass_timestamp_seconds"
    assert second["k8s_ee_janitor_unknown"] == "1"
    assert second[full] == first[full]
    assert float(second[last]) > float(first[last])


def test_figures_that_can_not_be_written_are_said_and_nothing_else(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    world.put(7, "closed")
    result = world.sweep(metrics_file=tmp_path / "absent" / "x.prom", pushgateway="http://127.0.0.1:9", is_actions=True)
    assert result.failure is None
    assert len([note for note in result.notes if "metrics" in note]) == 2
    assert world.said.getvalue().count("::warning") == 2


def test_github_that_can_not_be_told_does_not_keep_an_end(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    world.github.faults.add(faults.Fault(path="/repos/.*", status=403, times=99))
    result = world.sweep()
    assert (world.there(name), result.failure) == (False, None)
    assert any("GitHub was not told" in note for note in result.notes)


def test_deployments_of_what_is_gone_are_shown_as_inactive(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    made = states.Deployment(
        id=5, ref="a" * 40, task="k8s-ee:pr-7", environment="preview", creator="x", payload={"namespace": name}
    )
    made.statuses.append(states.Status(id=6, state="success"))
    world.shop.deployments[5] = made
    world.sweep()
    assert made.state == "inactive"


def test_the_comment_of_a_deploy_is_gone_on_with(world: sweeps.World) -> None:
    name = world.put(7, "closed", comment_id="77")
    body = f"{report.marker(name)}\nready"
    world.shop.comments[77] = states.Comment(77, 7, author="github-actions[bot]", body=body)
    world.github.state.logins["of the App"] = "k8s-ee"
    world.sweep()
    assert list(world.shop.comments) == [77]
    assert "is gone" in world.comments[0]


def test_a_new_environment_of_that_name_keeps_its_comment(world: sweeps.World) -> None:
    name = world.put(7, "closed")
    uid = world.kube.objects[(sweeps.NS, name)]["metadata"]["uid"]
    volumes = ("GET", "persistentvolumes$")  # asked for before the end and after it

    def deploy_again_when_it_is_gone() -> None:
        world.kube.meanwhile(*volumes, lambda: world.put(7))

    world.kube.meanwhile(*volumes, deploy_again_when_it_is_gone)
    result = world.sweep()
    assert world.kube.objects[(sweeps.NS, name)]["metadata"]["uid"] != uid
    assert (result.data["summary"]["deleted"], world.comments) == (1, [])


def test_ends_that_can_not_be_watched_are_said_to_be_unknown_and_the_rest_is_reported(world: sweeps.World) -> None:
    world.put(7, "closed")
    world.put(8)
    world.kube.fail("GET", f"{sweeps.NS}(/shop-pr-7)?$", 403, times=99, after=1, message="no")
    result = world.sweep()
    assert result.failure is not None
    assert result.failure.exit_code == 4
    assert (result.data["summary"]["failed"], result.data["summary"]["kept"]) == (1, 1)


def test_of_one_that_gave_way_to_another_repositorys_preview_its_pull_request_is_told(world: sweeps.World) -> None:
    since = text(CREATED + HOUR)
    name = world.put(7, asleep_since=since, sleep_untold=f"{since} its room was needed by another preview")
    body = f"{report.marker(name)}\n### ready"
    world.shop.comments[77] = states.Comment(77, 7, author="github-actions[bot]", body=body)
    fault = faults.Fault(method="PATCH", path="/repos/.*", status=502, times=99)
    world.github.faults.add(fault)
    assert world.sweep(after=2 * HOUR).failure is None
    assert world.comments == [body]
    world.github.faults.clear()
    world.sweep(after=3 * HOUR)
    (comment,) = world.comments
    assert "is asleep" in comment
    assert "its room was needed by another preview" in comment
    assert "k8s-ee wake" in comment
    assert world.annotation(name, environment.SLEEP_UNTOLD) is None
    before = len(world.github.log)
    world.sweep(after=4 * HOUR)
    assert {one["path"] for one in world.github.log[before:]} == {"/graphql"}


def test_of_one_that_was_woken_before_nothing_is_told(world: sweeps.World) -> None:
    world.put(7, sleep_untold=f"{text(CREATED)} its room was needed by another preview")
    world.put(8, asleep_since=text(CREATED + HOUR), sleep_untold=f"{text(CREATED)} its room was needed")
    world.sweep(after=2 * HOUR)
    assert world.comments == []


def test_a_sleep_that_could_not_be_told_is_told_by_the_next_pass(world: sweeps.World) -> None:
    world.put(7)
    world.github.faults.add(faults.Fault(path="/repos/.*", status=502, times=99))
    assert world.sweep(after=13 * HOUR).data["summary"]["slept"] == 1
    world.github.faults.clear()
    world.sweep(after=14 * HOUR)
    assert "nobody has used it since" in world.comments[0]


def test_a_warning_that_github_has_no_time_for_has_not_failed(world: sweeps.World) -> None:
    names = [world.put(number, asleep_since=text(CREATED)) for number in range(1, 7)]
    for passes in (1, 2, 3):
        result = world.sweep(after=7 * DAY, tempo=pace.Pace(burst=2, each=1000))
        assert (result.failure, world.deletions) == (None, 0)
        assert sum(world.annotation(name, environment.WARNED_AT) is not None for name in names) == 2 * passes
    assert all(world.annotation(name, environment.WARNING_FAILURES) is None for name in names)
