"""A run is started again at most once by one request, and a right that is missing is said."""

from __future__ import annotations

import pytest

from k8s_ee import errors, settings
from k8s_ee.github import client
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states


def asking(server: wire.Server) -> client.GitHub:
    given = settings.Settings(token="t", api_url=server.url, repository="acme/shop", repository_id=1)
    return client.GitHub(given, pause=0.01, patience=1)


def test_a_run_is_started_again() -> None:
    with wire.Server(states.State(repositories=[states.Repository()])) as server:
        asking(server).rerun(77)
        assert server.state.repository("acme/shop").reruns == [77]


@pytest.mark.parametrize(("status", "kind"), [(403, errors.Refused), (502, errors.GitHubUnavailable)])
def test_what_fails_is_said_and_not_tried_again(status: int, kind: type[errors.K8sEEError]) -> None:
    with wire.Server(states.State(repositories=[states.Repository()])) as server:
        server.faults.add(faults.Fault(method="POST", status=status))
        with pytest.raises(kind):
            asking(server).rerun(77)
        assert server.count(".*/actions/runs/77/rerun") == 1
