"""How long GitHub is waited for: once, not with every request; and hardly at all by a process that was told to end."""

from __future__ import annotations

import pytest

from k8s_ee import errors, github, pull_request
from tests.wire import github as wire
from tests.wire import github_faults as faults


def test_while_github_is_away_only_the_first_request_is_tried_again_and_again(
    client: github.GitHub, server: wire.Server
) -> None:
    fault = faults.Fault(times=99)
    server.faults.add(fault)
    client.pull_request(7)
    left = fault.times
    client.pull_request(7)
    with pytest.raises(errors.GitHubUnavailable):
        client.upsert_comment(7, "<!-- m -->", "<!-- m --> text")
    assert (left, fault.times) == (94, 92)


def test_when_it_is_back_it_is_waited_for_as_before(client: github.GitHub, server: wire.Server) -> None:
    server.faults.add(faults.Fault(times=6))
    for _ in range(2):
        assert isinstance(client.pull_request(7), pull_request.Unknown)
    assert isinstance(client.pull_request(7), pull_request.PullRequest)
    server.faults.add(faults.Fault(times=2))
    assert isinstance(client.pull_request(7), pull_request.PullRequest)


def test_in_a_hurry_everything_is_tried_once(client: github.GitHub, server: wire.Server) -> None:
    client.hurry()
    fault = faults.Fault(method="POST", path=".*/comments", times=99)
    server.faults.add(fault)
    with pytest.raises(errors.GitHubUnavailable):
        client.upsert_comment(7, "<!-- m -->", "<!-- m --> text")
    assert fault.times == 98


def test_retries_are_not_written_to_the_terminal(
    client: github.GitHub, server: wire.Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.faults.add(faults.Fault(times=2))
    client.pull_request(7)
    assert capfd.readouterr().err == ""
