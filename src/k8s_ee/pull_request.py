"""One pull request as GitHub describes it: an event's payload and the API give the same shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from k8s_ee import environment


@dataclasses.dataclass(frozen=True)
class PullRequest:
    """`head_repository_id` 0 = the repository of the head is gone, as that of a deleted fork."""

    number: int
    state: Literal["open", "closed"]
    head_sha: str
    branch: str
    head_repository_id: int
    base_repository_id: int
    author: str = ""
    author_type: str = ""
    draft: bool = False
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Unknown:
    """GitHub gave no answer that can be trusted. Never the same as closed."""

    reason: str


def parse(data: Any) -> PullRequest:
    """Raises ValueError naming the first field that is missing or of another kind than GitHub documents."""
    state, sha = _text(data, "state"), _text(data, "head", "sha")
    if state not in {"open", "closed"}:
        raise ValueError(f"state is {state!r}, neither open nor closed")
    if not environment.SHA.fullmatch(sha):
        raise ValueError("head.sha is not a commit")
    return PullRequest(
        number=_whole(data, "number"),
        state="open" if state == "open" else "closed",
        head_sha=sha,
        branch=_text(data, "head", "ref"),
        head_repository_id=_whole(data, "head", "repo", "id") if _at(data, "head", "repo") else 0,
        base_repository_id=_whole(data, "base", "repo", "id"),
        author=str(_at(data, "user", "login") or ""),
        author_type=str(_at(data, "user", "type") or ""),
        draft=_at(data, "draft") is True,
        labels=_labels(data),
    )


def _at(data: Any, *path: str) -> Any:
    """None for whatever is not there, or not an object on the way."""
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _text(data: Any, *path: str) -> str:
    value = _at(data, *path)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{'.'.join(path)} is missing")
    return value


def _whole(data: Any, *path: str) -> int:
    value = _at(data, *path)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{'.'.join(path)} is missing")
    return value


def _labels(data: Any) -> tuple[str, ...]:
    found = _at(data, "labels")
    names = [_at(one, "name") for one in found] if isinstance(found, list) else []
    return tuple(name for name in names if isinstance(name, str))
