from __future__ import annotations

from collections.abc import Iterator

import pytest

from k8s_ee import github, settings
from tests.wire import github as wire
from tests.wire import github_state as states

SHA = "a" * 40


@pytest.fixture
def server() -> Iterator[wire.Server]:
    repository = states.Repository(pulls={7: states.Pull(7, SHA, labels=["deploy-preview"])})
    with wire.Server(states.State(repositories=[repository])) as running:
        yield running


@pytest.fixture
def client(server: wire.Server) -> github.GitHub:
    return connect(server, token="ghs_of_a_workflow")


def connect(server: wire.Server, *, token: str) -> github.GitHub:
    given = settings.Settings(api_url=server.url, repository="acme/shop", token=token)
    return github.GitHub(given, patience=0.2, timeout=2, pause=0.01)
