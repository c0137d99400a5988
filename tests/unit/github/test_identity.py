"""As an App: one token for each owner, made when it is needed; as whom else, and what such a token does not reach."""

from __future__ import annotations

import dataclasses

import pytest

from k8s_ee import errors, github, lifecycle, settings
from tests.wire import github as wire
from tests.wire import github_apps as apps
from tests.wire import github_faults as faults
from tests.wire import github_state as states

SHA = "a" * 40
MARKER = "<!-- k8s-ee:shop-pr-7 -->"
TOKENS = r"/app/installations/\d+/access_tokens"
OWNERS = ("acme", "globex", "initech")


@pytest.fixture
def subjects(server: wire.Server) -> dict[str, github.Subject]:
    """One pull request for each owner."""
    found: dict[str, github.Subject] = {}
    server.state.repositories.clear()
    for index, owner in enumerate(OWNERS, 1):
        pulls = {7: states.Pull(7, SHA)}
        server.state.repositories.append(states.Repository(id=index, full_name=f"{owner}/shop", pulls=pulls))
        found[owner] = github.Subject(f"{owner}/shop", index, 7)
    installations = [states.Installation(100 + index, owner) for index, owner in enumerate(OWNERS)]
    server.state.apps.append(states.App(3, "previews", apps.keys().public, installations))
    return found


def connect(server: wire.Server, *, key: str = "", authors: tuple[str, ...] = ()) -> github.GitHub:
    app = settings.App(id="3", key=key or apps.keys().private)
    given = settings.Settings(api_url=server.url, app=app)
    return github.GitHub(given, timeout=2, pause=0.01, patience=0.2, authors=authors)


def test_each_owner_is_asked_with_a_token_of_its_own(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    connection = connect(server)
    for _ in range(2):
        found = connection.states(subjects.values())
        assert found == dict.fromkeys(subjects.values(), lifecycle.Open())
    assert server.count("/app/installations") == 1
    assert server.count(TOKENS) == 3
    assert {one.owner for one in server.state.issued.values()} == set(OWNERS)


def test_no_token_is_made_for_whom_nobody_asks(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    connect(server).states([subjects["acme"]])
    assert [one.owner for one in server.state.issued.values()] == ["acme"]


def test_one_token_serves_all_lanes_and_all_repositories_of_an_owner(server: wire.Server) -> None:
    server.state.repositories.clear()
    installation = states.Installation(100, "acme")
    server.state.apps.append(states.App(3, "previews", apps.keys().public, [installation]))
    wanted = []
    for index in range(1, 401):
        pulls = {7: states.Pull(7, SHA)}
        server.state.repositories.append(states.Repository(id=index, full_name=f"acme/shop-{index}", pulls=pulls))
        wanted.append(github.Subject(f"Acme/shop-{index}", index, 7))
    found = connect(server).states(wanted)
    assert set(found.values()) == {lifecycle.Open()}
    assert (server.count("/graphql"), server.count(TOKENS)) == (4, 1)


def test_a_token_about_to_expire_is_replaced(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    server.state.apps[0].installations[0].token_seconds = 60
    connection = connect(server)
    for _ in range(2):
        assert connection.states([subjects["acme"]]) == {subjects["acme"]: lifecycle.Open()}
    assert server.count(TOKENS) >= 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.apps[0].installations.pop(1), "is not installed for globex"),
        (lambda state: setattr(state.apps[0].installations[1], "suspended", True), "is suspended for globex"),
    ],
    ids=["none", "suspended"],
)
def test_an_owner_without_an_installation_is_unknown_and_the_others_are_not(
    server: wire.Server, subjects: dict[str, github.Subject], change: object, words: str
) -> None:
    change(server.state)  # type: ignore[operator]
    found = connect(server).states(subjects.values())
    assert found.pop(subjects["globex"]) == lifecycle.Unknown(f"the GitHub App {words}")
    assert set(found.values()) == {lifecycle.Open()}


@pytest.mark.parametrize(
    "fault",
    [
        faults.Fault(path="/app/installations", status=500, times=99),
        faults.Fault(path="/app/installations", kind="html", status=200, times=99),
        faults.Fault(path="/app/installations", kind="garbled", times=99),
        faults.Fault(path=TOKENS, status=403, message="Forbidden", times=99),
        faults.Fault(path=TOKENS, status=404, times=99),
        faults.Fault(path=TOKENS, kind="html", status=201, times=99),
        faults.Fault(path=TOKENS, kind="drop", times=99),
    ],
    ids=lambda one: f"{one.path.count('tokens')}-{one.kind}-{one.status}",
)
def test_without_a_token_nothing_is_known(
    server: wire.Server, subjects: dict[str, github.Subject], fault: faults.Fault
) -> None:
    server.faults.add(dataclasses.replace(fault))
    found = connect(server).states(subjects.values())
    assert all(isinstance(one, lifecycle.Unknown) and one.reason for one in found.values())
    assert server.count("/graphql") == 0


def test_a_key_of_another_app_is_refused(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    server.state.apps[0].public_key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----"
    server.state.apps.clear()
    found = connect(server).states(subjects.values())
    assert set(found.values()) == {lifecycle.Unknown("GitHub refuses the token")}


@pytest.mark.parametrize("key", ["not a key", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"])
def test_a_key_that_is_none_is_said_without_quoting_it(
    server: wire.Server, subjects: dict[str, github.Subject], key: str
) -> None:
    found = connect(server, key=key).states(subjects.values())
    assert set(found.values()) == {lifecycle.Unknown("the GitHub App's private key can't be used")}
    assert server.log == []


def test_comments_and_deployments_of_any_repository_are_written(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    connection = connect(server)
    connection.states(subjects.values())
    for owner, subject in subjects.items():
        there = connection.at(subject.repository, subject.repository_id)
        there.upsert_comment(7, MARKER, f"{MARKER} {owner}")
        there.deployment_status(there.deployment(7, namespace="shop-pr-7", sha=SHA), "success")
        assert len(there.deactivate(7)) == 1
    for repository in server.state.repositories:
        (comment,) = repository.comments.values()
        assert comment.body == f"{MARKER} {repository.owner}"
        assert comment.author == "previews[bot]"
        assert [one.state for one in repository.deployments.values()] == ["inactive"]
    assert server.count(TOKENS) == 3


def test_the_comment_that_a_deploy_wrote_as_the_actions_bot_is_found_by_the_app(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    written = states.Comment(1, 7, states.ACTIONS_BOT, f"{MARKER} ready")
    server.state.repositories[0].comments[1] = written
    connection = connect(server, authors=(states.ACTIONS_BOT,)).at("acme/shop", 1)
    assert connection.upsert_comment(7, MARKER, f"{MARKER} gone") == 1
    assert (written.body, len(server.state.repositories[0].comments)) == (f"{MARKER} gone", 1)


def test_a_comment_of_anybody_else_with_our_marker_is_not_taken_for_ours(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    foreign = states.Comment(1, 7, "mallory", f"{MARKER} free money")
    server.state.repositories[0].comments[1] = foreign
    connection = connect(server, authors=(states.ACTIONS_BOT,)).at("acme/shop", 1)
    assert connection.upsert_comment(7, MARKER, f"{MARKER} gone") != 1
    assert foreign.body == f"{MARKER} free money"


@pytest.mark.parametrize("asked_before", [True, False])
def test_a_name_that_is_not_the_environments_repository_is_written_to_by_nobody(
    server: wire.Server, subjects: dict[str, github.Subject], asked_before: bool
) -> None:
    connection = connect(server)
    claim = github.Subject("globex/shop", 1, 7)
    if asked_before:
        assert isinstance(connection.states([claim])[claim], lifecycle.Unknown)
    with pytest.raises(errors.Refused, match="is another repository"):
        connection.at(claim.repository, claim.repository_id)


@pytest.mark.parametrize("name", ["", "acme", "acme/..", "acme/shop/pulls", "acme/shop?x=y"])
def test_a_name_that_is_none_is_not_put_into_an_address(
    server: wire.Server, subjects: dict[str, github.Subject], name: str
) -> None:
    with pytest.raises(errors.Refused):
        connect(server).at(name, 1)
    assert server.log == []


def test_a_renamed_repository_is_written_to_by_its_present_name(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    server.state.repositories[0].full_name, server.state.repositories[0].former_names = "acme/store", ["acme/shop"]
    connection = connect(server)
    connection.states(subjects.values())
    connection.at("acme/shop", 1).upsert_comment(7, MARKER, MARKER)
    assert [one.body for one in server.state.repositories[0].comments.values()] == [MARKER]


def test_a_workflow_does_not_write_elsewhere(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    given = settings.Settings(api_url=server.url, token="t", is_actions=True, repository="acme/shop", repository_id=1)
    connection = github.GitHub(given)
    assert connection.at("acme/shop", 1).upsert_comment(7, MARKER, MARKER)
    with pytest.raises(errors.Refused):
        connection.at("globex/shop", 2)


def test_hurrying_reaches_every_repository(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    connection = connect(server)
    there = connection.at("acme/shop", 1)
    connection.hurry()
    fault = faults.Fault(method="POST", path=".*/comments", times=99)
    server.faults.add(fault)
    with pytest.raises(errors.GitHubUnavailable):
        there.upsert_comment(7, MARKER, MARKER)
    assert fault.times == 98


def test_where_it_is_installed_is_asked_once_and_remembered(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    first = connect(server)
    first.states(subjects.values())
    assert first.installations == {"acme": 100, "globex": 101, "initech": 102}
    again = connect(server)
    again.remember(first.installations)
    assert set(again.states(subjects.values()).values()) == {lifecycle.Open()}
    assert (server.count("/app/installations"), again.installations) == (1, first.installations)


def test_where_it_was_installed_anew_is_found_out(server: wire.Server, subjects: dict[str, github.Subject]) -> None:
    connection = connect(server)
    connection.remember({"acme": 77, "globex": 101})
    assert set(connection.states(subjects.values()).values()) == {lifecycle.Open()}
    assert connection.installations["acme"] == 100
    assert server.count("/app/installations") == 1


def test_where_it_is_not_installed_any_more_is_said_and_forgotten(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    server.state.apps[0].installations[0].suspended = True
    del server.state.apps[0].installations[1]
    connection = connect(server)
    connection.remember({"acme": 100, "globex": 101, "initech": 102})
    found = connection.states(subjects.values())
    assert found[subjects["acme"]] == lifecycle.Unknown("the GitHub App is suspended for acme")
    assert found[subjects["globex"]] == lifecycle.Unknown("the GitHub App is not installed for globex")
    assert (found[subjects["initech"]], connection.installations) == (lifecycle.Open(), {"initech": 102})


def test_the_installation_of_another_owner_sees_nothing(
    server: wire.Server, subjects: dict[str, github.Subject]
) -> None:
    connection = connect(server)
    connection.remember({"acme": 101})
    assert isinstance(connection.states([subjects["acme"]])[subjects["acme"]], lifecycle.Unknown)
