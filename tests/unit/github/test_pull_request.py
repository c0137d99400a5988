from __future__ import annotations

import pytest

from k8s_ee import github, pull_request, settings
from tests.unit.github import conftest
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

PULL = ".*/pulls/7"


def test_what_github_says_is_read(client: github.GitHub) -> None:
    found = client.pull_request(7)
    assert found == pull_request.PullRequest(
        number=7,
        state="open",
        head_sha=conftest.SHA,
        branch="feature",
        head_repository_id=1,
        base_repository_id=1,
        author="alice",
        author_type="User",
        draft=False,
        labels=("deploy-preview",),
    )


def test_the_head_of_a_deleted_fork_has_no_repository(client: github.GitHub, server: wire.Server) -> None:
    server.state.repositories[0].pulls[7].head_repository_id = 0
    found = client.pull_request(7)
    assert isinstance(found, pull_request.PullRequest)
    assert found.head_repository_id == 0


@pytest.mark.parametrize(
    "fault",
    [
        faults.Fault(path=PULL, status=404, message="Not Found", times=9),
        faults.Fault(path=PULL, status=403, message="Resource not accessible by integration", times=9),
        faults.Fault(path=PULL, status=401, message="Bad credentials", times=9),
        faults.Fault(path=PULL, status=500, times=9),
        faults.Fault(path=PULL, kind="html", status=503, times=9),
        faults.Fault(path=PULL, kind="html", status=200, times=9),
        faults.Fault(path=PULL, kind="truncated", times=9),
        faults.Fault(path=PULL, kind="garbled", times=9),
        faults.Fault(path=PULL, kind="drop", times=9),
        faults.Fault(path=PULL, status=429, message="slow down", times=9),
        faults.Fault(path=PULL, status=403, message="You have exceeded a secondary rate limit", times=9),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.message[:8].strip()}",
)
def test_whatever_goes_wrong_the_pull_request_is_unknown_and_never_closed(
    client: github.GitHub, server: wire.Server, fault: faults.Fault
) -> None:
    server.faults.add(fault)
    found = client.pull_request(7)
    assert isinstance(found, pull_request.Unknown)
    assert found.reason


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_passing_fault_is_outlasted(client: github.GitHub, server: wire.Server, status: int) -> None:
    server.faults.add(faults.Fault(path=PULL, status=status, times=2))
    assert isinstance(client.pull_request(7), pull_request.PullRequest)
    assert len(server.log) == 3


def test_an_answer_that_never_comes_is_unknown_when_the_time_is_up(server: wire.Server) -> None:
    server.faults.add(faults.Fault(path=PULL, kind="slow", delay=1.5, times=9))
    given = settings.Settings(api_url=server.url, repository="acme/shop", token="t")
    found = github.GitHub(given, patience=1, timeout=1, pause=0.01).pull_request(7)
    assert isinstance(found, pull_request.Unknown)
    assert "can't be reached" in found.reason


def test_nobody_at_that_address_is_unknown() -> None:
    given = settings.Settings(api_url="http://127.0.0.1:9", repository="acme/shop", token="t")
    found = github.GitHub(given, patience=1, timeout=1, pause=0.01).pull_request(7)
    assert found == pull_request.Unknown("GitHub can't be reached: ConnectionError")


def test_another_repository_has_no_such_pull_request(server: wire.Server) -> None:
    server.state.repositories.append(states.Repository(id=2, full_name="acme/other"))
    given = settings.Settings(api_url=server.url, repository="acme/other", token="t")
    assert isinstance(github.GitHub(given).pull_request(7), pull_request.Unknown)
