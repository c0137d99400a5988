"""Payloads of pull request events, as far as the workflows and the CLI read them."""

from __future__ import annotations

from typing import Any

REPOSITORY = "acme/guestbook"
REPOSITORY_ID = 4242
OWNER_ID = 77


def pull_request(
    action: str,
    *,
    number: int,
    head_sha: str,
    branch: str = "feature",
    repository: str = REPOSITORY,
    fork: bool = False,
    author: str = "dev",
) -> dict[str, Any]:
    """The same payload serves `pull_request` and `pull_request_target`. From a fork, the head is another repository."""
    base = _repository(repository, REPOSITORY_ID, OWNER_ID)
    head = _repository("outsider/guestbook", 9999, 88) if fork else base
    kind = "Bot" if author.endswith("[bot]") else "User"
    user = {"login": author, "id": 501, "type": kind}
    return {
        "action": action,
        "number": number,
        "pull_request": {
            "id": 1_000_000 + number,
            "number": number,
            "state": "closed" if action == "closed" else "open",
            "draft": False,
            "merged": False,
            "title": f"Change number {number}",
            "user": user,
            "author_association": "NONE" if fork else "MEMBER",
            "labels": [],
            "head": {"ref": branch, "sha": head_sha, "label": f"{head['owner']['login']}:{branch}", "repo": head},
            "base": {"ref": "main", "sha": "0" * 40, "label": f"{base['owner']['login']}:main", "repo": base},
        },
        "repository": base,
        "sender": user,
    }


def _repository(full_name: str, identity: int, owner_id: int) -> dict[str, Any]:
    owner, name = full_name.split("/")
    return {
        "id": identity,
        "name": name,
        "full_name": full_name,
        "private": False,
        "fork": owner_id != OWNER_ID,
        "default_branch": "main",
        "owner": {"login": owner, "id": owner_id, "type": "Organization"},
    }
