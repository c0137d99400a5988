"""The local GitHub against GitHub's own API description: a fake that drifts away proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from tests.wire import github_apps as apps
from tests.wire import github_routes as routes
from tests.wire import github_shapes as shapes
from tests.wire import github_state as states

REPO = "/repos/acme/shop"
SHA = "a" * 40
KEYS = apps.keys()


def world() -> states.State:
    repository = states.Repository(permissions={"alice": "admin"})
    repository.pulls = {
        7: states.Pull(7, SHA, labels=["deploy-preview"]),
        8: states.Pull(8, SHA, state="closed", draft=True, head_repository_id=0),
        9: states.Pull(9, SHA, head_repository_id=99, author="dependabot[bot]", author_type="Bot"),
        10: states.Pull(10, SHA, state="closed", merged=True, closed_at="2026-01-02T03:04:05Z"),
    }
    repository.comments = {1: states.Comment(1, 7, "github-actions[bot]", "hello")}
    repository.deployments = {2: states.Deployment(2, SHA, "deploy", "preview", "alice", payload={"pr": 7})}
    repository.deployments[2].statuses.append(states.Status(3, "success", environment_url="https://x.example"))
    installations = [states.Installation(5, "acme"), states.Installation(6, "globex", suspended=True)]
    app = states.App(3, "previews", public_key=KEYS.public, installations=installations)
    return states.State(repositories=[repository], logins={"person": "alice"}, apps=[app])


REQUESTS: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/user", None),
    ("GET", "/app/installations", None),
    ("POST", "/app/installations/5/access_tokens", {}),
    ("GET", REPO, None),
    ("GET", f"{REPO}/pulls", None),
    ("GET", f"{REPO}/pulls/7", None),
    ("GET", f"{REPO}/pulls/8", None),
    ("GET", f"{REPO}/pulls/9", None),
    ("GET", f"{REPO}/pulls/10", None),
    ("GET", f"{REPO}/issues/7/comments", None),
    ("POST", f"{REPO}/issues/7/comments", {"body": "new"}),
    ("GET", f"{REPO}/issues/comments/1", None),
    ("PATCH", f"{REPO}/issues/comments/1", {"body": "changed"}),
    ("DELETE", f"{REPO}/issues/comments/1", None),
    ("GET", f"{REPO}/collaborators/alice/permission", None),
    ("GET", f"{REPO}/collaborators/mallory/permission", None),
    ("GET", f"{REPO}/deployments", None),
    ("POST", f"{REPO}/deployments", {"ref": SHA, "payload": {"pr": 7}, "transient_environment": True}),
    ("GET", f"{REPO}/deployments/2", None),
    ("GET", f"{REPO}/deployments/2/statuses", None),
    ("POST", f"{REPO}/actions/runs/77/rerun", None),
    ("POST", f"{REPO}/deployments/2/statuses", {"state": "inactive", "log_url": "https://x.example/log"}),
)


def operation(method: str, path: str) -> str:
    return next(name for verb, pattern, _, name in routes.ROUTES if verb == method and pattern.fullmatch(path))


def _is_of_deleted_fork(body: dict[str, Any]) -> bool:
    """GitHub answers `head.repo: null` for these; its description of webhooks says so, that of REST forgot it."""
    return "head" in body and body["head"]["repo"] is None


def _as_enterprises_too(installations: list[Any]) -> list[Any]:
    """The account is a user or an enterprise; the description says it is both at once."""
    more = {"name": "x", "slug": "x", "created_at": None, "updated_at": None}
    return [{**one, "account": {**more, **one["account"]}} for one in installations]


def problems(answer: routes.Answer, described: dict[str, Any]) -> Iterator[str]:
    schema = described["responses"][str(answer.status)]["schema"]
    if schema is None:
        assert answer.body is None
        return
    whole = {"allOf": [schema], "schemas": shapes.description()["schemas"]}
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    if isinstance(answer.body, dict) and _is_of_deleted_fork(answer.body):
        answer.body["head"]["repo"] = answer.body["base"]["repo"]
    for error in jsonschema.Draft7Validator(whole, format_checker=checker).iter_errors(answer.body):
        yield f"{list(error.absolute_path)}: {error.message[:200]} {[one.message[:100] for one in error.context or ()]}"


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS, ids=[f"{m} {p}" for m, p, _ in REQUESTS])
def test_an_answer_is_as_github_describes_it(method: str, path: str, body: Any) -> None:
    github = routes.GitHub(world(), base="http://127.0.0.1:1")
    token = KEYS.statement(3) if path.startswith("/app/") else "person"
    answer = github.handle(routes.Request(method, path, body=body, token=token))
    if path == "/app/installations":
        answer = routes.Answer(answer.status, _as_enterprises_too(answer.body))
    described = shapes.description()["operations"][operation(method, path)]
    assert list(problems(answer, described)) == []


def test_every_described_operation_is_served_and_asked_for_here() -> None:
    described = set(shapes.description()["operations"])
    assert described == {name for _, _, _, name in routes.ROUTES} - {"POST /graphql"}
    assert described == {operation(method, path) for method, path, _ in REQUESTS}


def test_a_body_that_github_would_not_take_is_refused() -> None:
    github = routes.GitHub(world(), base="http://127.0.0.1:1")
    body = {"state": "done"}
    answer = github.handle(routes.Request("POST", f"{REPO}/deployments/2/statuses", body=body, token="person"))
    assert answer.status == 422


def test_an_answer_of_another_shape_would_be_noticed() -> None:
    github = routes.GitHub(world(), base="http://127.0.0.1:1")
    answer = github.handle(routes.Request("GET", f"{REPO}/pulls/7", token="person"))
    answer.body["head"]["sha"] = 7
    described = shapes.description()["operations"]["GET /repos/{owner}/{repo}/pulls/{pull_number}"]
    assert any("sha" in one for one in problems(answer, described))


def test_the_description_names_its_source_and_its_licence() -> None:
    described = shapes.description()
    assert described["source"].startswith("@octokit/openapi 23.0.2")
    assert described["license"].startswith("MIT License Copyright")
