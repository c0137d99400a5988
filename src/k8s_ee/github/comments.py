"""One comment per environment, found again by its first line and its author, and then updated in place."""

from __future__ import annotations

from k8s_ee import errors
from k8s_ee.github import api as rest

ACTIONS_BOT = "github-actions[bot]"


def upsert(api: rest.Api, number: int, *, marker: str, body: str, comment_id: int | None = None) -> int:
    """The comment's id. `comment_id` is the one it had the last time, which saves looking through all pages."""
    found = _known(api, number, marker=marker, comment_id=comment_id) or _find(api, number, marker=marker)
    if found is None:
        path = f"{api.repository}/issues/{number}/comments"
        found = api.create(path, {"body": body}, find=lambda: _find(api, number, marker=marker))
    if found["body"] != body:
        api.update(f"{api.repository}/issues/comments/{found['id']}", {"body": body})
    return int(found["id"])


def _known(api: rest.Api, number: int, *, marker: str, comment_id: int | None) -> rest.Object | None:
    """The id comes from an annotation; that the comment is ours and on this pull request is checked again."""
    if not comment_id:
        return None
    try:
        found = api.get(f"{api.repository}/issues/comments/{comment_id}")
    except rest.NotFound:
        return None
    here = str(found.get("issue_url", "")).endswith(f"/issues/{number}")
    return found if here and _starts(found, marker) else None


def ours(api: rest.Api, number: int, *, marker: str) -> list[rest.Object]:
    """Oldest first. Anybody can write our marker into a comment, nobody can write it under our name."""
    marked = [one for one in api.get_all(f"{api.repository}/issues/{number}/comments") if _starts(one, marker)]
    names = _names(api) if marked else set()
    return [one for one in marked if (one.get("user") or {}).get("login") in names]


def _find(api: rest.Api, number: int, *, marker: str) -> rest.Object | None:
    return next(iter(ours(api, number, marker=marker)), None)


def _starts(comment: rest.Object, marker: str) -> bool:
    return str(comment.get("body") or "").startswith(marker)


def _names(api: rest.Api) -> set[str]:
    """GET /user is closed to GITHUB_TOKEN and to Apps; `viewer` names all three, without the `[bot]` REST writes."""
    try:
        login = str((api.query("query { viewer { login } }").get("viewer") or {}).get("login") or "")
    except errors.K8sEEError:
        login = ""
    return {login, f"{login.removesuffix('[bot]')}[bot]"} if login else {ACTIONS_BOT}
