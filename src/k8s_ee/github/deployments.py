"""The pull request's "View deployment" button: one Deployment per commit, ours set inactive one by one.

All are in the environment `preview`. GitHub's own `auto_inactive` would let pull requests switch each other off, and
skips transient deployments; `task` tells which pull request a deployment is for, its payload which namespace.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from k8s_ee.github import api as rest

ENVIRONMENT = "preview"
DESCRIPTION_CHARACTERS = 140

Status = Literal["in_progress", "success", "failure", "inactive"]


def create(api: rest.Api, number: int, *, namespace: str, sha: str) -> int:
    """Id of the Deployment of this commit, made if there is none yet."""

    def find() -> rest.Object | None:
        return next(iter(_ours(api, number, namespace=namespace, sha=sha)), None)

    wanted = {
        "ref": sha,
        "task": _task(number),
        "environment": ENVIRONMENT,
        "transient_environment": True,
        "production_environment": False,
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"namespace": namespace},
        "description": namespace,
    }
    found = find() or api.create(f"{api.repository}/deployments", wanted, find=find)
    return int(found["id"])


def set_status(
    api: rest.Api, deployment: int, state: Status, *, url: str = "", log_url: str = "", description: str = ""
) -> None:
    path = f"{api.repository}/deployments/{deployment}/statuses"
    wanted: dict[str, Any] = {
        "state": state,
        "environment_url": url,
        "log_url": log_url,
        "description": description[:DESCRIPTION_CHARACTERS],
    }
    body = {key: value for key, value in wanted.items() if value} | {"auto_inactive": False}
    api.create(path, body, find=lambda: _latest(api, deployment, state=state))


def deactivate(api: rest.Api, number: int, *, namespace: str = "", keep: int = 0) -> tuple[int, ...]:
    """Ids of those that were still shown as live; all of the pull request, or one namespace's, except `keep`."""
    live = [
        int(one["id"])
        for one in _ours(api, number, namespace=namespace)
        if one["id"] != keep and _latest(api, int(one["id"]), state="inactive") is None
    ]
    for deployment in live:
        set_status(api, deployment, "inactive")
    return tuple(live)


def _task(number: int) -> str:
    return f"k8s-ee:pr-{number}"


def _ours(api: rest.Api, number: int, *, namespace: str, sha: str = "") -> list[rest.Object]:
    """Newest first, as GitHub lists them."""
    parameters = {"environment": ENVIRONMENT, "task": _task(number), **({"sha": sha} if sha else {})}
    found = api.get_all(f"{api.repository}/deployments", **parameters)
    return [one for one in found if not namespace or _namespace(one) == namespace]


def _namespace(deployment: rest.Object) -> str:
    payload = deployment.get("payload")
    try:
        payload = json.loads(payload) if isinstance(payload, str) else payload
    except ValueError:
        return ""
    return str(payload.get("namespace", "")) if isinstance(payload, dict) else ""


def _latest(api: rest.Api, deployment: int, *, state: Status) -> rest.Object | None:
    """The newest status if it is this one."""
    found = api.get_all(f"{api.repository}/deployments/{deployment}/statuses")
    return found[0] if found and found[0].get("state") == state else None
