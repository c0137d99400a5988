"""One comment per environment, found again by its first line and its author, and then updated in place."""

from __future__ import annotations

from collections.abc import Callable, Collection

from k8s_ee.github import api as rest

ACTIONS_BOT = "github-actions[bot]"


def upsert(
    api: rest.Api,
    number: int,
    *,
    marker: str,
    body: str,
    comment_id: int | None = None,
    authors: Collection[str] = (),
    settled: Callable[[str], bool] = lambda _body: False,
) -> int:
    """The comment's id. `comment_id` is the one it had the last time, which saves looking through all pages.

    `authors` are further logins whose comment with our marker is ours: a deploy writes it as another than the janitor.
    `settled` is asked last, with the body as it is now, or with nothing when there is no comment: then it stays so.
    Without a comment the id is 0.
    """

    def find() -> rest.Object | None:
        return _find(api, number, marker=marker, authors=authors)

    found = _known(api, number, marker=marker, comment_id=comment_id) or find()
    now = str(found["body"]) if found else ""
    if now == body or settled(now):
        return int(found["id"]) if found else 0
    if found is None:
        found = api.create(f"{api.repository}/issues/{number}/comments", {"body": body}, find=find)
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


def marked(api: rest.Api, number: int, *, marker: str, authors: Collection[str] = ()) -> list[rest.Object]:
    """Our own, else those of `authors`, oldest first. Anybody can write our marker, nobody under those names."""
    found = [one for one in api.get_all(f"{api.repository}/issues/{number}/comments") if _starts(one, marker)]
    for names in (_ours(api) if found else set(), set(authors)):
        mine = [one for one in found if (one.get("user") or {}).get("login") in names]
        if mine:
            return mine
    return []


def _find(api: rest.Api, number: int, *, marker: str, authors: Collection[str]) -> rest.Object | None:
    return next(iter(marked(api, number, marker=marker, authors=authors)), None)


def _starts(comment: rest.Object, marker: str) -> bool:
    return str(comment.get("body") or "").startswith(marker)


def _ours(api: rest.Api) -> set[str]:
    login = api.login()
    return {login, f"{login.removesuffix('[bot]')}[bot]"} if login else {ACTIONS_BOT}
