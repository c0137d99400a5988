"""GitHub's JSON: the examples of its own published API description, with this server's values in them.

tests/contract/test_github_openapi.py holds the result against the schemas of the same description.
"""

from __future__ import annotations

import datetime
import functools
import gzip
import json
import pathlib
from typing import Any

from tests.wire import github_state as states

Object = dict[str, Any]

_FILE = pathlib.Path(__file__).with_name("github-openapi.json.gz")
_REPOSITORY = "/repos/{owner}/{repo}"


@functools.cache
def description() -> Object:
    found: Object = json.loads(gzip.decompress(_FILE.read_bytes()))
    return found


class Shapes:
    """`base` is where this server answers, for the addresses in its answers."""

    def __init__(self, base: str) -> None:
        self._base = base

    def user(self, login: str, kind: str = "") -> Object:
        kind = kind or ("Bot" if login.endswith("[bot]") else "User")
        shape = self._example("GET /repos/{owner}/{repo}/issues/comments/{comment_id}")["user"]
        shape = json.loads(json.dumps(shape).replace("octocat", login))
        return {**shape, "login": login, "id": sum(login.encode()), "type": kind}

    def account(self, login: str) -> Object:
        return {**self._example("GET /user"), **self.user(login), "name": login}

    def repository(self, repository: states.Repository) -> Object:
        shape = self._example(f"GET {_REPOSITORY}", repository)
        shape = {key: value for key, value in shape.items() if key not in {"parent", "source", "template_repository"}}
        return shape | self._identity(repository) | {"language": None, "organization": None}

    def permission(self, login: str, level: str) -> Object:
        shape = self._example(f"GET {_REPOSITORY}/collaborators/{{username}}/permission")
        user = {**shape["user"], **self.user(login), "role_name": level}
        return {**shape, "permission": level, "role_name": level, "user": user}

    def pull(self, repository: states.Repository, pull: states.Pull, *, full: bool = True) -> Object:
        operation = f"GET {_REPOSITORY}/pulls/{{pull_number}}" if full else f"GET {_REPOSITORY}/pulls"
        shape = self._example(operation, repository)
        shape = json.loads(json.dumps(shape if full else shape[0]).replace("1347", str(pull.number)))
        label = shape["labels"][0]
        return {
            **shape,
            "number": pull.number,
            "state": pull.state,
            "draft": pull.draft,
            "user": self.user(pull.author, pull.author_type),
            "labels": [{**label, "id": index + 1, "name": name} for index, name in enumerate(pull.labels)],
            "requested_teams": [],
            "closed_at": pull.closed,
            "merged_at": pull.closed if pull.merged else None,
            **({"merged": pull.merged, "merged_by": self.user(pull.author) if pull.merged else None} if full else {}),
            "head": self._head(repository, pull, shape["head"]),
            "base": {**shape["base"], "ref": "main", "repo": shape["base"]["repo"] | self._identity(repository)},
        }

    def comment(self, repository: states.Repository, comment: states.Comment) -> Object:
        shape = self._example(f"GET {_REPOSITORY}/issues/comments/{{comment_id}}", repository)
        root = f"{self._base}/repos/{repository.full_name}"
        return {
            **shape,
            "id": comment.id,
            "url": f"{root}/issues/comments/{comment.id}",
            "issue_url": f"{root}/issues/{comment.number}",
            "html_url": f"https://github.com/{repository.full_name}/pull/{comment.number}#issuecomment-{comment.id}",
            "body": comment.body,
            "user": self.user(comment.author),
            "created_at": comment.created_at,
            "updated_at": comment.updated_at,
        }

    def deployment(self, repository: states.Repository, deployment: states.Deployment) -> Object:
        shape = self._example(f"GET {_REPOSITORY}/deployments/{{deployment_id}}", repository)
        root = f"{self._base}/repos/{repository.full_name}/deployments/{deployment.id}"
        return {
            **shape,
            "id": deployment.id,
            "url": root,
            "statuses_url": f"{root}/statuses",
            "sha": deployment.ref,
            "ref": deployment.ref,
            "task": deployment.task,
            "payload": deployment.payload if deployment.payload is not None else {},
            "environment": deployment.environment,
            "original_environment": deployment.environment,
            "description": deployment.description or None,
            "creator": self.user(deployment.creator),
            "created_at": deployment.created_at,
            "updated_at": deployment.created_at,
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
        }

    def status(self, repository: states.Repository, deployment: states.Deployment, status: states.Status) -> Object:
        shape = self._example(f"POST {_REPOSITORY}/deployments/{{deployment_id}}/statuses", repository)
        root = f"{self._base}/repos/{repository.full_name}/deployments/{deployment.id}"
        return {
            **shape,
            "id": status.id,
            "url": f"{root}/statuses/{status.id}",
            "deployment_url": root,
            "state": status.state,
            "environment": deployment.environment,
            "environment_url": status.environment_url,
            "log_url": status.log_url,
            "target_url": status.log_url,
            "description": status.description,
            "creator": self.user(deployment.creator),
            "created_at": status.created_at,
            "updated_at": status.created_at,
        }

    def installation(self, app: states.App, installation: states.Installation) -> Object:
        shape = self._example("GET /app/installations")[0]
        root = f"{self._base}/app/installations/{installation.id}"
        return {
            **shape,
            "id": installation.id,
            "account": self.user(installation.owner, "Organization"),
            "access_tokens_url": f"{root}/access_tokens",
            "app_id": app.id,
            "app_slug": app.slug,
            "suspended_at": states.now() if installation.suspended else None,
        }

    def access_token(self, token: str, until: float) -> Object:
        shape = self._example("POST /app/installations/{installation_id}/access_tokens")
        at = datetime.datetime.fromtimestamp(until, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        kept = {key: value for key, value in shape.items() if key in {"permissions", "repository_selection"}}
        return {**kept, "token": token, "expires_at": at}

    def _head(self, repository: states.Repository, pull: states.Pull, shape: Object) -> Object:
        if pull.head_repository_id == 0:
            where = None
        else:
            where = {**shape["repo"], **self._identity(repository), "id": pull.head_repository_id or repository.id}
        return {**shape, "ref": pull.branch, "sha": pull.head_sha, "label": f"x:{pull.branch}", "repo": where}

    def _identity(self, repository: states.Repository) -> Object:
        owner, _, name = repository.full_name.partition("/")
        return {
            "id": repository.id,
            "name": name,
            "full_name": repository.full_name,
            "owner": {**self.user(owner), "id": repository.owner_id},
        }

    def _example(self, operation: str, repository: states.Repository | None = None) -> Any:
        answers = description()["operations"][operation]["responses"]
        text = json.dumps(answers[min(answers)]["example"]).replace("https://api.github.com", self._base)
        return json.loads(text.replace("octocat/Hello-World", repository.full_name) if repository else text)
