"""How often GitHub is written to, however much there is to write: by a clock that the test moves."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import pytest

from k8s_ee import errors, github, settings
from k8s_ee.github import pace
from tests.wire import github as wire
from tests.wire import github_faults as faults


@dataclasses.dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def written(tempo: pace.Pace, clock: Clock, count: int) -> list[float]:
    """When each of so many writes is made by somebody who writes whenever it is allowed."""
    times = []
    for _ in range(count):
        seconds = tempo.take(longest=1e9)
        assert seconds is not None
        clock.now += seconds
        times.append(clock.now)
    return times


def busiest(times: list[float], *, seconds: float) -> int:
    """The most within such a time."""
    return max(sum(start <= one < start + seconds for one in times) for start in times)


def test_three_hundred_ends_are_told_at_a_rate_that_trips_no_limit() -> None:
    clock = Clock()
    times = written(pace.Pace(clock=clock), clock, 600)
    assert busiest(times, seconds=60) <= 80
    assert all(after - before == pytest.approx(1) for before, after in itertools.pairwise(times[20:]))


def test_a_deploy_does_not_wait() -> None:
    clock = Clock()
    assert written(pace.Pace(clock=clock), clock, 20)[-1] == 100.0


def test_after_a_while_without_a_write_as_many_may_be_made_at_once_as_in_the_beginning_and_no_more() -> None:
    clock = Clock()
    tempo = pace.Pace(clock=clock)
    written(tempo, clock, 50)
    clock.now += 3600
    began = clock.now
    assert [one - began for one in written(tempo, clock, 22)] == [*[0] * 20, 1, 2]


def test_what_would_take_too_long_takes_nobody_elses_turn() -> None:
    clock = Clock()
    tempo = pace.Pace(burst=1, clock=clock)
    assert (tempo.take(longest=0), tempo.pause()) == (0, 1)
    assert [tempo.take(longest=0.5) for _ in range(3)] == [None] * 3
    assert tempo.pause() == 1


def test_those_side_by_side_get_a_turn_each() -> None:
    tempo = pace.Pace(burst=2, clock=Clock())
    got: list[float | None] = []
    threads = [threading.Thread(target=lambda: got.append(tempo.take(longest=99))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one for one in got if one is not None) == [0, 0, 1, 2, 3, 4, 5, 6]


def test_as_long_as_github_asked_for_nothing_is_written_and_then_one_by_one() -> None:
    clock = Clock()
    tempo = pace.Pace(clock=clock)
    tempo.close(60)
    assert tempo.pause() == 60
    assert [one - 100 for one in written(tempo, clock, 3)] == [60, 61, 62]


def test_only_what_writes_is_paced_and_all_repositories_are_paced_together(server: wire.Server) -> None:
    clock = Clock()
    given = settings.Settings(api_url=server.url, repository="acme/shop", token="ghs_of_a_workflow")
    client = github.GitHub(given, patience=0.05, pause=0.01, tempo=pace.Pace(burst=2, clock=clock))
    client.upsert_comment(7, "<!-- m -->", "<!-- m --> 1")
    client.at("acme/shop", 1).upsert_comment(7, "<!-- m -->", "<!-- m --> 2")
    before = len(server.log)
    with pytest.raises(errors.GitHubUnavailable, match="rate limit"):
        client.upsert_comment(7, "<!-- m -->", "<!-- m --> 3")
    assert {one["method"] for one in server.log[before:] if one["path"] != "/graphql"} == {"GET"}
    assert client.pause() == 1
    for _ in range(10):
        client.pull_request(7)
    clock.now += 1
    client.upsert_comment(7, "<!-- m -->", "<!-- m --> 3")
    (comment,) = server.state.repositories[0].comments.values()
    assert comment.body == "<!-- m --> 3"


@pytest.mark.parametrize(("status", "headers", "seconds"), [(403, {"Retry-After": "90"}, 90), (429, {}, 60)])
def test_who_is_told_to_wait_writes_nothing_until_then(
    server: wire.Server, status: int, headers: dict[str, str], seconds: float
) -> None:
    clock = Clock()
    given = settings.Settings(api_url=server.url, repository="acme/shop", token="ghs_of_a_workflow")
    client = github.GitHub(given, patience=0.05, pause=0.01, tempo=pace.Pace(clock=clock))
    said = "You have exceeded a secondary rate limit"
    server.faults.add(faults.Fault(method="POST", status=status, message=said, headers=headers, path="/repos/.*"))
    for _ in range(3):
        with pytest.raises(errors.GitHubUnavailable, match="rate limit"):
            client.upsert_comment(7, "<!-- m -->", "<!-- m --> text")
    assert sum(one["method"] == "POST" for one in server.log if one["path"] != "/graphql") == 1
    assert client.pause() == seconds
    clock.now += seconds
    client.upsert_comment(7, "<!-- m -->", "<!-- m --> text")
