"""What the local GitHub knows. Plain values, so that a test can set them and a file can keep them."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from typing import Any

ACTIONS_BOT = "github-actions[bot]"


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclasses.dataclass
class Pull:
    """`head_repository_id` None = the base repository; 0 = the head's repository was deleted."""

    number: int
    head_sha: str
    branch: str = "feature"
    state: str = "open"
    author: str = "alice"
    author_type: str = "User"
    draft: bool = False
    labels: list[str] = dataclasses.field(default_factory=list)
    head_repository_id: int | None = None


@dataclasses.dataclass
class Comment:
    id: int
    number: int
    author: str
    body: str
    created_at: str = dataclasses.field(default_factory=now)
    updated_at: str = dataclasses.field(default_factory=now)


@dataclasses.dataclass
class Status:
    id: int
    state: str
    environment_url: str = ""
    log_url: str = ""
    description: str = ""
    created_at: str = dataclasses.field(default_factory=now)


@dataclasses.dataclass
class Deployment:
    id: int
    ref: str
    task: str
    environment: str
    creator: str
    payload: Any = None
    description: str = ""
    transient: bool = False
    production: bool = False
    created_at: str = dataclasses.field(default_factory=now)
    statuses: list[Status] = dataclasses.field(default_factory=list)

    @property
    def state(self) -> str:
        return self.statuses[-1].state if self.statuses else "pending"


@dataclasses.dataclass
class Repository:
    """`permissions`: admin, write, read or none by login."""

    id: int = 1
    owner_id: int = 10
    full_name: str = "acme/shop"
    pulls: dict[int, Pull] = dataclasses.field(default_factory=dict)
    comments: dict[int, Comment] = dataclasses.field(default_factory=dict)
    deployments: dict[int, Deployment] = dataclasses.field(default_factory=dict)
    permissions: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class State:
    """`logins`: whose token is which; any other token is a workflow's. `read_only`: tokens that may not write."""

    repositories: list[Repository] = dataclasses.field(default_factory=list)
    logins: dict[str, str] = dataclasses.field(default_factory=dict)
    read_only: list[str] = dataclasses.field(default_factory=list)
    last_id: int = 1000

    def repository(self, full_name: str) -> Repository:
        """Raises KeyError."""
        for one in self.repositories:
            if one.full_name.casefold() == full_name.casefold():
                return one
        raise KeyError(full_name)

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def login(self, token: str) -> str:
        return self.logins.get(token, ACTIONS_BOT)


def save(state: State, path: pathlib.Path) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(dataclasses.asdict(state), indent=2), encoding="utf-8")
    temporary.replace(path)


def load(path: pathlib.Path) -> State:
    data = json.loads(path.read_text(encoding="utf-8"))
    data["repositories"] = [_repository(one) for one in data.get("repositories", [])]
    return State(**data)


def _repository(data: dict[str, Any]) -> Repository:
    pulls = {int(key): Pull(**one) for key, one in data.pop("pulls", {}).items()}
    comments = {int(key): Comment(**one) for key, one in data.pop("comments", {}).items()}
    deployments = {int(key): _deployment(one) for key, one in data.pop("deployments", {}).items()}
    return Repository(**data, pulls=pulls, comments=comments, deployments=deployments)


def _deployment(data: dict[str, Any]) -> Deployment:
    return Deployment(**{**data, "statuses": [Status(**one) for one in data.get("statuses", [])]})
