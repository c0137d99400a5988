"""What each request does to the state and what it answers."""

from __future__ import annotations

import dataclasses
import functools
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

import jsonschema

from tests.wire import github_apps as apps
from tests.wire import github_graphql as graphql
from tests.wire import github_shapes as shapes
from tests.wire import github_state as states

COMMENT_CHARACTERS = 65_536


@dataclasses.dataclass(frozen=True)
class Request:
    """`path` without the query; `body` is parsed JSON or None."""

    method: str
    path: str
    query: dict[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    token: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """`seen` are the pull requests that a GraphQL answer is about."""

    status: int
    body: Any = None
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    seen: tuple[graphql.Seen, ...] = ()


Route = Callable[..., Answer]
ROUTES: list[tuple[str, re.Pattern[str], Route, str]] = []


def route(operation: str) -> Callable[[Route], Route]:
    """`METHOD /path/{parameter}` as GitHub's description names it."""
    method, _, path = operation.partition(" ")
    pattern = re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(path)))

    def register(function: Route) -> Route:
        ROUTES.append((method, pattern, function, operation))
        return function

    return register


class GitHub:
    """Not safe for several threads: the server calls it under its lock."""

    def __init__(self, state: states.State, *, base: str) -> None:
        self.state = state
        self.shapes = shapes.Shapes(base)
        self.base = base

    def handle(self, request: Request) -> Answer:
        try:
            return self._dispatch(request)
        except apps.FailedError as error:
            return Answer(error.status, {"message": str(error), "documentation_url": "https://docs.github.com/rest"})

    def _dispatch(self, request: Request) -> Answer:
        if not request.token:
            raise apps.FailedError(401, "Requires authentication")
        for method, pattern, function, operation in ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                self._may(request)
                if "repo" in found.groupdict() and not self._shows(request, **found.groupdict()):
                    raise apps.FailedError(404, "Not Found")
                _check_body(operation, request.body)
                return function(self, request, **found.groupdict())
        raise apps.FailedError(404, "Not Found")

    def _shows(self, request: Request, *, owner: str, repo: str, **_: str) -> bool:
        return self.state.shows(self.repository(owner, repo), request.token)

    def _may(self, request: Request) -> None:
        """An app speaks for itself under /app/ only, and everybody else everywhere but there."""
        issued = self.state.issued.get(request.token)
        if issued and issued.until < time.time():
            raise apps.FailedError(401, "Bad credentials")
        if request.path.startswith("/app/") != bool(apps.is_statement(request.token)):
            raise apps.FailedError(401, "A JSON web token could not be decoded")
        reading = request.method == "GET" or request.path == "/graphql" or request.path.startswith("/app/")
        if not reading and request.token in self.state.read_only:
            raise apps.FailedError(403, "Resource not accessible by integration")

    def repository(self, owner: str, repo: str) -> states.Repository:
        try:
            return self.state.repository(f"{owner}/{repo}")
        except KeyError:
            raise apps.FailedError(404, "Not Found") from None

    def page(self, request: Request, items: list[Any]) -> Answer:
        size = min(int(request.query.get("per_page", "30")), 100)
        page, last = int(request.query.get("page", "1")), max(1, -(-len(items) // size))
        links = [("next", page + 1), ("last", last)] if page < last else []
        links += [("first", 1), ("prev", page - 1)] if page > 1 else []
        url = f"{self.base}{request.path}?per_page={size}&page="
        header = ", ".join(f'<{url}{number}>; rel="{name}"' for name, number in links)
        return Answer(200, items[(page - 1) * size : page * size], {"Link": header} if header else {})


def _check_body(operation: str, body: Any) -> None:
    schema = shapes.description()["operations"].get(operation, {}).get("request")
    if schema is None:
        return
    problems = list(jsonschema.Draft7Validator(schema).iter_errors(body))
    if problems:
        raise apps.FailedError(422, f"Invalid request. {problems[0].message}")


def _at(items: dict[int, Any], key: str) -> Any:
    if not key.isdigit() or int(key) not in items:
        raise apps.FailedError(404, "Not Found")
    return items[int(key)]


@route("GET /user")
def _user(github: GitHub, request: Request) -> Answer:
    login = github.state.login(request.token)
    if login.endswith("[bot]"):
        raise apps.FailedError(403, "Resource not accessible by integration")
    return Answer(200, github.shapes.account(login))


@route("POST /graphql")
def _graphql(github: GitHub, request: Request) -> Answer:
    login = github.state.login(request.token).removesuffix("[bot]")
    find = functools.partial(github.state.found, token=request.token)
    body, seen = graphql.execute(request.body, login=login, find=find)
    return Answer(200, body, seen=tuple(seen))


@route("GET /app/installations")
def _installations(github: GitHub, request: Request) -> Answer:
    app = apps.signed_by(request.token, github.state)
    return github.page(request, [github.shapes.installation(app, one) for one in app.installations])


@route("POST /app/installations/{installation_id}/access_tokens")
def _access_token(github: GitHub, request: Request, installation_id: str) -> Answer:
    app = apps.signed_by(request.token, github.state)
    found: states.Installation = _at({one.id: one for one in app.installations}, installation_id)
    if found.suspended:
        raise apps.FailedError(403, "This installation has been suspended")
    token = f"ghs_{secrets.token_hex(18)}"
    issued = states.Issued(f"{app.slug}[bot]", found.owner, time.time() + found.token_seconds)
    github.state.issued[token] = issued
    return Answer(201, github.shapes.access_token(token, issued.until))


@route("GET /repos/{owner}/{repo}")
def _repository(github: GitHub, request: Request, owner: str, repo: str) -> Answer:
    return Answer(200, github.shapes.repository(github.repository(owner, repo)))


@route("GET /repos/{owner}/{repo}/collaborators/{username}/permission")
def _permission(github: GitHub, request: Request, owner: str, repo: str, username: str) -> Answer:
    level = github.repository(owner, repo).permissions.get(username, "none")
    return Answer(200, github.shapes.permission(username, level))


@route("GET /repos/{owner}/{repo}/pulls")
def _pulls(github: GitHub, request: Request, owner: str, repo: str) -> Answer:
    repository, wanted = github.repository(owner, repo), request.query.get("state", "open")
    found = [one for _, one in sorted(repository.pulls.items(), reverse=True) if wanted in {one.state, "all"}]
    return github.page(request, [github.shapes.pull(repository, one, full=False) for one in found])


@route("GET /repos/{owner}/{repo}/pulls/{pull_number}")
def _pull(github: GitHub, request: Request, owner: str, repo: str, pull_number: str) -> Answer:
    repository = github.repository(owner, repo)
    return Answer(200, github.shapes.pull(repository, _at(repository.pulls, pull_number)))


@route("GET /repos/{owner}/{repo}/issues/{issue_number}/comments")
def _comments(github: GitHub, request: Request, owner: str, repo: str, issue_number: str) -> Answer:
    repository = github.repository(owner, repo)
    _at(repository.pulls, issue_number)
    found = [one for _, one in sorted(repository.comments.items()) if one.number == int(issue_number)]
    return github.page(request, [github.shapes.comment(repository, one) for one in found])


@route("POST /repos/{owner}/{repo}/issues/{issue_number}/comments")
def _add_comment(github: GitHub, request: Request, owner: str, repo: str, issue_number: str) -> Answer:
    repository = github.repository(owner, repo)
    _at(repository.pulls, issue_number)
    made = states.Comment(
        id=github.state.next_id(),
        number=int(issue_number),
        author=github.state.login(request.token),
        body=_comment_body(request),
    )
    repository.comments[made.id] = made
    return Answer(201, github.shapes.comment(repository, made))


@route("GET /repos/{owner}/{repo}/issues/comments/{comment_id}")
def _comment(github: GitHub, request: Request, owner: str, repo: str, comment_id: str) -> Answer:
    repository = github.repository(owner, repo)
    return Answer(200, github.shapes.comment(repository, _at(repository.comments, comment_id)))


@route("PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}")
def _edit_comment(github: GitHub, request: Request, owner: str, repo: str, comment_id: str) -> Answer:
    repository = github.repository(owner, repo)
    comment: states.Comment = _at(repository.comments, comment_id)
    comment.body, comment.updated_at = _comment_body(request), states.now()
    return Answer(200, github.shapes.comment(repository, comment))


@route("DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}")
def _delete_comment(github: GitHub, request: Request, owner: str, repo: str, comment_id: str) -> Answer:
    comments = github.repository(owner, repo).comments
    del comments[_at(comments, comment_id).id]
    return Answer(204)


def _comment_body(request: Request) -> str:
    body = str(request.body["body"])
    if len(body) > COMMENT_CHARACTERS:
        raise apps.FailedError(422, f"Validation Failed: body is too long (maximum is {COMMENT_CHARACTERS} characters)")
    return body


@route("GET /repos/{owner}/{repo}/deployments")
def _deployments(github: GitHub, request: Request, owner: str, repo: str) -> Answer:
    repository = github.repository(owner, repo)
    wanted = {key: request.query[key] for key in ("sha", "ref", "task", "environment") if key in request.query}
    found = [
        one
        for one in (github.shapes.deployment(repository, each) for each in repository.deployments.values())
        if all(one[key] == value for key, value in wanted.items())
    ]
    return github.page(request, sorted(found, key=lambda one: -int(one["id"])))


@route("POST /repos/{owner}/{repo}/deployments")
def _add_deployment(github: GitHub, request: Request, owner: str, repo: str) -> Answer:
    repository, body = github.repository(owner, repo), request.body
    made = states.Deployment(
        id=github.state.next_id(),
        ref=body["ref"],
        task=body.get("task", "deploy"),
        environment=body.get("environment", "production"),
        creator=github.state.login(request.token),
        payload=body.get("payload"),
        description=body.get("description") or "",
        transient=body.get("transient_environment", False),
        production=body.get("production_environment", False),
    )
    repository.deployments[made.id] = made
    return Answer(201, github.shapes.deployment(repository, made))


@route("GET /repos/{owner}/{repo}/deployments/{deployment_id}")
def _deployment(github: GitHub, request: Request, owner: str, repo: str, deployment_id: str) -> Answer:
    repository = github.repository(owner, repo)
    return Answer(200, github.shapes.deployment(repository, _at(repository.deployments, deployment_id)))


@route("GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses")
def _statuses(github: GitHub, request: Request, owner: str, repo: str, deployment_id: str) -> Answer:
    repository = github.repository(owner, repo)
    deployment: states.Deployment = _at(repository.deployments, deployment_id)
    found = [github.shapes.status(repository, deployment, one) for one in reversed(deployment.statuses)]
    return github.page(request, found)


@route("POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses")
def _add_status(github: GitHub, request: Request, owner: str, repo: str, deployment_id: str) -> Answer:
    repository, body = github.repository(owner, repo), request.body
    deployment: states.Deployment = _at(repository.deployments, deployment_id)
    made = states.Status(
        id=github.state.next_id(),
        state=body["state"],
        environment_url=body.get("environment_url") or "",
        log_url=body.get("log_url") or "",
        description=body.get("description") or "",
    )
    if made.state == "success" and body.get("auto_inactive", True):
        github.state.deactivate_others(repository, deployment)
    deployment.statuses.append(made)
    return Answer(201, github.shapes.status(repository, deployment, made))


@route("POST /repos/{owner}/{repo}/actions/runs/{run_id}/rerun")
def _rerun(github: GitHub, _request: Request, owner: str, repo: str, run_id: str) -> Answer:
    github.repository(owner, repo).reruns.append(int(run_id))
    return Answer(201, {})
