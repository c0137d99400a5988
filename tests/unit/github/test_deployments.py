from __future__ import annotations

from k8s_ee import github
from tests.unit.github import conftest
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

B = "b" * 40


def deployments(server: wire.Server) -> dict[int, states.Deployment]:
    return server.state.repositories[0].deployments


def test_a_deployment_is_transient_and_in_the_one_environment(client: github.GitHub, server: wire.Server) -> None:
    made = client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    found = deployments(server)[made]
    assert (found.environment, found.transient, found.production) == ("preview", True, False)
    assert (found.ref, found.task, found.payload) == (conftest.SHA, "k8s-ee:pr-7", {"namespace": "shop-pr-7"})
    assert server.log[-1]["body"]["required_contexts"] == []
    assert server.log[-1]["body"]["auto_merge"] is False


def test_a_status_carries_the_link_and_the_log(client: github.GitHub, server: wire.Server) -> None:
    made = client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    client.deployment_status(made, "success", url="https://x.example", log_url="https://log", description="d" * 200)
    status = deployments(server)[made].statuses[-1]
    assert (status.environment_url, status.log_url) == ("https://x.example", "https://log")
    assert len(status.description) == 140
    assert server.log[-1]["body"]["auto_inactive"] is False


def test_the_same_commit_has_one_deployment(client: github.GitHub, server: wire.Server) -> None:
    first = client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    assert client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA) == first
    assert client.deployment(7, namespace="docs-pr-7", sha=conftest.SHA) != first


def test_a_lost_answer_makes_no_second_deployment(client: github.GitHub, server: wire.Server) -> None:
    server.faults.add(faults.Fault(method="POST", path=".*/deployments", status=502, applied=True))
    client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    assert len(deployments(server)) == 1


def test_a_lost_answer_makes_no_second_status(client: github.GitHub, server: wire.Server) -> None:
    made = client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    server.faults.add(faults.Fault(method="POST", path=".*/statuses", kind="drop", applied=True))
    client.deployment_status(made, "in_progress")
    assert [one.state for one in deployments(server)[made].statuses] == ["in_progress"]


def test_in_the_end_all_of_the_pull_request_are_inactive_and_others_are_not(
    client: github.GitHub, server: wire.Server
) -> None:
    server.state.repositories[0].pulls[8] = states.Pull(8, B)
    mine = [client.deployment(7, namespace=one, sha=conftest.SHA) for one in ("shop-pr-7", "docs-pr-7")]
    other = client.deployment(8, namespace="shop-pr-8", sha=B)
    for one in (*mine, other):
        client.deployment_status(one, "success", url="https://x.example")
    assert set(client.deactivate(7)) == set(mine)
    assert [deployments(server)[one].state for one in (*mine, other)] == ["inactive", "inactive", "success"]
    assert client.deactivate(7) == ()


def test_a_newer_commit_replaces_the_older_in_its_namespace_only(client: github.GitHub, server: wire.Server) -> None:
    old = client.deployment(7, namespace="shop-pr-7", sha=conftest.SHA)
    docs = client.deployment(7, namespace="docs-pr-7", sha=conftest.SHA)
    new = client.deployment(7, namespace="shop-pr-7", sha=B)
    assert client.deactivate(7, namespace="shop-pr-7", keep=new) == (old,)
    assert deployments(server)[docs].state == "pending"
