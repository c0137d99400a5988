"""Open, closed, or unknown: nothing that goes wrong may ever look like closed, nor closed like open."""

from __future__ import annotations

import dataclasses
import datetime
import time
from typing import Any

import pytest

from k8s_ee import github, lifecycle, settings
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

SHA = "a" * 40
CLOSED_AT = "2026-01-02T03:04:05Z"
CLOSED = lifecycle.Closed(at=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC))
GRAPHQL = "/graphql"


def fill(server: wire.Server, *, repositories: int = 1, pulls: int = 4) -> dict[github.Subject, object]:
    """Every second pull request is closed, every fourth merged. What is true of each."""
    server.state.repositories.clear()
    truth: dict[github.Subject, object] = {}
    for index in range(1, repositories + 1):
        made = states.Repository(id=index, full_name=f"acme/shop-{index}")
        server.state.repositories.append(made)
        for number in range(1, pulls + 1):
            closed, merged = number % 2 == 0, number % 4 == 0
            state = "closed" if closed else "open"
            made.pulls[number] = states.Pull(number, SHA, state=state, merged=merged, closed_at=CLOSED_AT)
            truth[github.Subject(made.full_name, index, number)] = CLOSED if closed else lifecycle.Open()
    return truth


def connect(server: wire.Server, *, unsaid: float = 60, **changes: Any) -> github.GitHub:
    given = settings.Settings(api_url=server.url, token="a-token")
    return github.GitHub(dataclasses.replace(given, **changes), timeout=2, pause=0.01, unsaid=unsaid)


def reasons(found: dict[github.Subject, lifecycle.PullRequestState]) -> set[str]:
    return {one.reason for one in found.values() if isinstance(one, lifecycle.Unknown)}


def test_every_state_is_read_across_repositories_with_one_request(server: wire.Server) -> None:
    truth = fill(server, repositories=20, pulls=5)
    assert connect(server).states(truth) == truth
    assert server.count(GRAPHQL) == len(server.log) == 1


def test_a_thousand_environments_are_ten_requests(server: wire.Server) -> None:
    truth = fill(server, repositories=25, pulls=40)
    connection = connect(server)
    assert connection.states(truth) == truth
    assert server.count(GRAPHQL) == 10


def test_nothing_is_asked_about_nothing(server: wire.Server) -> None:
    assert connect(server).states([]) == {}
    assert server.log == []


def test_two_environments_of_one_pull_request_ask_once(server: wire.Server) -> None:
    truth = fill(server, pulls=1)
    (subject,) = truth
    assert connect(server).states([subject, subject]) == truth
    assert str(server.log[0]["body"]).count("pullRequest") == 1


def test_what_is_asked_again_is_asked_afresh(server: wire.Server) -> None:
    truth = fill(server, pulls=1)
    (subject,) = truth
    connection = connect(server)
    connection.states([subject])
    server.state.repositories[0].pulls[1].state = "closed"
    assert connection.states([subject]) == {subject: CLOSED}


@pytest.mark.parametrize("name", sorted(faults.ALTERATIONS))
def test_an_answer_that_is_wrong_about_one_leaves_that_one_unknown_and_no_other(server: wire.Server, name: str) -> None:
    truth = fill(server, repositories=3, pulls=4)
    for number in (1, 2):
        fault = faults.Fault(path=GRAPHQL, kind="altered", alteration=name, pull=f"acme/shop-2#{number}", times=9)
        server.faults.clear()
        server.faults.add(fault)
        found = connect(server).states(truth)
        assert found.keys() == truth.keys()
        hit = {one for one, state in found.items() if isinstance(state, lifecycle.Unknown)}
        whole = {one for one in truth if one.repository_id == 2}
        assert hit == (whole if "repository" in name else {github.Subject("acme/shop-2", 2, number)})
        assert {one: state for one, state in found.items() if one not in hit}.items() <= truth.items()


@pytest.mark.parametrize("name", sorted(faults.WHOLE.keys()))
def test_an_answer_that_is_wrong_altogether_leaves_its_hundred_unknown_and_the_others_right(
    server: wire.Server, name: str
) -> None:
    truth = fill(server, repositories=30, pulls=10)
    server.faults.add(faults.Fault(path=GRAPHQL, kind="altered", alteration=name, times=1))
    found = connect(server, unsaid=0.01).states(truth)
    unknown = [one for one, state in found.items() if isinstance(state, lifecycle.Unknown)]
    assert found.keys() == truth.keys()
    assert {one: state for one, state in found.items() if one not in unknown}.items() <= truth.items()
    retried = name in {"a-list", "null", "text", "rate-limited", "rate-limited-with-data", "secondary-limit"}
    assert len(unknown) == (0 if retried else 100)


@pytest.mark.parametrize("name", sorted(faults.WHOLE.keys()))
def test_while_all_answers_are_wrong_everything_is_unknown(server: wire.Server, name: str) -> None:
    truth = fill(server)
    server.faults.add(faults.Fault(path=GRAPHQL, kind="altered", alteration=name, times=99))
    found = connect(server, unsaid=0.01).states(truth)
    assert found.keys() == truth.keys()
    assert all(isinstance(one, lifecycle.Unknown) and one.reason for one in found.values())


BROKEN = [
    faults.Fault(status=401, message="Bad credentials"),
    faults.Fault(status=403, message="Resource not accessible by integration"),
    faults.Fault(status=404, message="Not Found"),
    faults.Fault(status=301, message="Moved Permanently"),
    faults.Fault(status=204, message=""),
    faults.Fault(status=500),
    faults.Fault(status=502),
    faults.Fault(status=503),
    faults.Fault(kind="html", status=502),
    faults.Fault(kind="html", status=200),
    faults.Fault(kind="truncated"),
    faults.Fault(kind="garbled"),
    faults.Fault(kind="empty"),
    faults.Fault(kind="drop"),
    faults.Fault(kind="slow", delay=1.3),
]
PASSING = [one for one in BROKEN if one.status >= 500 and one.kind != "slow"]


@pytest.mark.parametrize("fault", BROKEN, ids=lambda one: f"{one.kind}-{one.status}")
def test_while_github_is_broken_everything_is_unknown(server: wire.Server, fault: faults.Fault) -> None:
    truth = fill(server, repositories=2)
    server.faults.add(dataclasses.replace(fault, path=GRAPHQL, times=99))
    given = settings.Settings(api_url=server.url, token="a-token")
    found = github.GitHub(given, timeout=1, pause=0.01).states(truth, seconds=1)
    assert found.keys() == truth.keys()
    assert all(isinstance(one, lifecycle.Unknown) and one.reason for one in found.values())


@pytest.mark.parametrize("fault", [one for one in BROKEN if one.status in {401, 403, 404}], ids=lambda one: one.status)
def test_a_batch_that_is_refused_does_not_stop_the_others(server: wire.Server, fault: faults.Fault) -> None:
    truth = fill(server, repositories=30, pulls=10)
    server.faults.add(dataclasses.replace(fault, path=GRAPHQL, times=1))
    found = connect(server).states(truth)
    known = {one: state for one, state in found.items() if not isinstance(state, lifecycle.Unknown)}
    assert len(known) == 200
    assert known.items() <= truth.items()


@pytest.mark.parametrize("fault", PASSING, ids=lambda one: f"{one.kind}-{one.status}")
def test_a_fault_that_passes_is_outlasted(server: wire.Server, fault: faults.Fault) -> None:
    truth = fill(server)
    server.faults.add(dataclasses.replace(fault, path=GRAPHQL, times=2))
    assert connect(server).states(truth) == truth
    assert server.count(GRAPHQL) == 3


def test_nobody_at_that_address_is_unknown() -> None:
    subject = github.Subject("acme/shop", 1, 7)
    given = settings.Settings(api_url="http://127.0.0.1:9", token="t")
    found = github.GitHub(given, pause=0.01).states([subject], seconds=2)
    assert reasons(found) == {"GitHub can't be reached: ConnectionError"}


LIMITS = {
    "primary": faults.Fault(status=403, message="API rate limit exceeded", headers={"X-RateLimit-Remaining": "0"}),
    "secondary": faults.Fault(status=403, message="You have exceeded a secondary rate limit."),
    "too-many": faults.Fault(status=429, message="slow down"),
    "in-an-answer": faults.Fault(kind="altered", alteration="rate-limited"),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_ends_before_the_time_is_up_is_waited_for(server: wire.Server, name: str) -> None:
    truth = fill(server)
    fault = dataclasses.replace(LIMITS[name], path=GRAPHQL)
    fault.headers = {**fault.headers, "Retry-After": "1"}
    server.faults.add(fault)
    start = time.monotonic()
    assert connect(server).states(truth) == truth
    assert 1 <= time.monotonic() - start < 8
    assert server.count(GRAPHQL) == 2


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_that_lasts_is_unknown_at_once_and_nobody_goes_on_asking(server: wire.Server, name: str) -> None:
    truth = fill(server, repositories=100, pulls=10)
    fault = dataclasses.replace(LIMITS[name], path=GRAPHQL, times=99)
    fault.headers = {**fault.headers, "X-RateLimit-Reset": str(int(time.time()) + 3000)}
    server.faults.add(fault)
    start = time.monotonic()
    found = connect(server).states(truth, seconds=10)
    assert time.monotonic() - start < 8
    assert reasons(found) == {"GitHub's rate limit is used up"}
    assert len(found) == 1000
    assert server.count(GRAPHQL) <= 3


def test_a_limit_of_unsaid_length_is_waited_for_longer_each_time(server: wire.Server) -> None:
    truth = fill(server)
    server.faults.add(dataclasses.replace(LIMITS["too-many"], path=GRAPHQL, times=2))
    connection = connect(server, unsaid=0.2)
    start = time.monotonic()
    assert connection.states(truth) == truth
    assert time.monotonic() - start >= 0.2 + 0.4


def test_a_process_that_was_told_to_end_waits_for_nothing(server: wire.Server) -> None:
    truth = fill(server, repositories=20, pulls=20)
    server.faults.add(faults.Fault(path=GRAPHQL, status=429, headers={"Retry-After": "30"}, times=99))
    connection = connect(server)
    connection.hurry()
    start = time.monotonic()
    assert reasons(connection.states(truth)) == {"GitHub's rate limit is used up"}
    assert time.monotonic() - start < 15


def test_a_repository_that_is_gone_or_hidden_is_unknown_and_the_others_are_not(server: wire.Server) -> None:
    truth = fill(server, repositories=3)
    gone = server.state.repositories.pop(1)
    found = connect(server).states(truth)
    for subject, state in found.items():
        if subject.repository == gone.full_name:
            assert isinstance(state, lifecycle.Unknown)
            assert "Could not resolve to a Repository" in state.reason
        else:
            assert state == truth[subject]


def test_another_repository_that_took_the_name_is_unknown(server: wire.Server) -> None:
    truth = fill(server)
    server.state.repositories[0].id = 77
    found = connect(server).states(truth)
    assert reasons(found) == {"acme/shop-1 is another repository than the environment's"}


def test_a_repository_that_was_renamed_is_known_by_its_id(server: wire.Server) -> None:
    truth = fill(server)
    server.state.repositories[0].full_name = "acme/store"
    server.state.repositories[0].former_names = ["acme/shop-1"]
    assert connect(server).states(truth) == truth


@pytest.mark.parametrize(
    "name",
    [
        "",
        "acme",
        "acme/",
        "acme/..",
        "acme/.",
        "a/b/c",
        'a/b") { id } x: repository(owner: "a',
        "ac me/shop",
        "acme/shop\n",
    ],
)
def test_a_name_that_is_none_is_never_sent(server: wire.Server, name: str) -> None:
    found = connect(server).states([github.Subject(name, 1, 7)])
    assert reasons(found) == {"its namespace does not name a repository"}
    assert server.log == []


@pytest.mark.parametrize("number", [0, -1, 2**31])
def test_a_number_that_is_none_is_never_sent(server: wire.Server, number: int) -> None:
    found = connect(server).states([github.Subject("acme/shop", 1, number)])
    assert all(isinstance(one, lifecycle.Unknown) for one in found.values())
    assert server.log == []


def test_names_are_variables_and_never_part_of_the_query(server: wire.Server) -> None:
    fill(server)
    connect(server).states([github.Subject("acme/shop-1", 1, 1)])
    assert "acme" not in server.log[0]["body"]["query"]
    assert server.log[0]["body"]["variables"] == {"r0o": "acme", "r0n": "shop-1"}


def test_a_workflow_asks_about_its_own_repository_only(server: wire.Server) -> None:
    truth = fill(server, repositories=2)
    connection = connect(server, is_actions=True, repository="acme/shop-1", repository_id=1)
    found = connection.states(truth)
    assert reasons(found) == {"acme/shop-2 is not the repository of this token"}
    assert {one: state for one, state in found.items() if one.repository_id == 1}.items() <= truth.items()
    assert (connection.covers(1), connection.covers(2)) == (True, False)


def test_without_a_token_everything_is_unknown(server: wire.Server) -> None:
    truth = fill(server)
    assert reasons(connect(server, token="").states(truth)) == {"there is no token for GitHub"}
