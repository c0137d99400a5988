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
    """`head_repository_id` None = the base repository; 0 = the head's repository was deleted.

    `closed_at` of one that is not open: empty = just now.
    """

    number: int
    head_sha: str
    branch: str = "feature"
    state: str = "open"
    author: str = "alice"
    author_type: str = "User"
    draft: bool = False
    labels: list[str] = dataclasses.field(default_factory=list)
    head_repository_id: int | None = None
    merged: bool = False
    closed_at: str = ""

    @property
    def closed(self) -> str | None:
        return None if self.state == "open" else self.closed_at or now()


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
    """`permissions`: admin, write, read or none by login. `former_names` lead here in GraphQL, as after a renaming.

    `reruns` are the ids of the workflow runs that were started again.
    """

    id: int = 1
    owner_id: int = 10
    full_name: str = "acme/shop"
    pulls: dict[int, Pull] = dataclasses.field(default_factory=dict)
    comments: dict[int, Comment] = dataclasses.field(default_factory=dict)
    deployments: dict[int, Deployment] = dataclasses.field(default_factory=dict)
    permissions: dict[str, str] = dataclasses.field(default_factory=dict)
    former_names: list[str] = dataclasses.field(default_factory=list)
    reruns: list[int] = dataclasses.field(default_factory=list)

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]


@dataclasses.dataclass
class Installation:
    """`token_seconds` is how long its tokens live; GitHub's live an hour."""

    id: int
    owner: str
    suspended: bool = False
    token_seconds: float = 3600


@dataclasses.dataclass
class App:
    """`public_key` (PEM) is what its statements are checked with."""

    id: int
    slug: str
    public_key: str
    installations: list[Installation] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Issued:
    """An installation's token. `until` in seconds since the epoch."""

    login: str
    owner: str
    until: float


@dataclasses.dataclass
class State:
    """`logins`: whose token is which; any other token is a workflow's. `read_only`: tokens that may not write.

    `sees`: tokens that see one repository only, by its full name; `issued`: the tokens that apps were given.
    """

    repositories: list[Repository] = dataclasses.field(default_factory=list)
    logins: dict[str, str] = dataclasses.field(default_factory=dict)
    read_only: list[str] = dataclasses.field(default_factory=list)
    sees: dict[str, str] = dataclasses.field(default_factory=dict)
    apps: list[App] = dataclasses.field(default_factory=list)
    issued: dict[str, Issued] = dataclasses.field(default_factory=dict)
    last_id: int = 1000

    def repository(self, full_name: str) -> Repository:
        """Raises KeyError."""
        for one in self.repositories:
            if one.full_name.casefold() == full_name.casefold():
                return one
        raise KeyError(full_name)

    def found(self, full_name: str, *, token: str) -> Repository | None:
        """By its present or a former name, if this token may see it."""
        for one in self.repositories:
            known = {name.casefold() for name in (one.full_name, *one.former_names)}
            if full_name.casefold() in known and self.shows(one, token):
                return one
        return None

    def deactivate_others(self, repository: Repository, kept: Deployment) -> None:
        """GitHub's `auto_inactive`: same environment name, successful, neither transient nor production."""
        for one in repository.deployments.values():
            same = one.environment == kept.environment and one.id != kept.id and one.state == "success"
            if same and not one.transient and not one.production:
                one.statuses.append(Status(id=self.next_id(), state="inactive"))

    def next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    def login(self, token: str) -> str:
        issued = self.issued.get(token)
        return issued.login if issued else self.logins.get(token, ACTIONS_BOT)

    def shows(self, repository: Repository, token: str) -> bool:
        issued, only = self.issued.get(token), self.sees.get(token)
        if issued:
            return issued.owner.casefold() == repository.owner.casefold()
        return only is None or only.casefold() == repository.full_name.casefold()


def save(state: State, path: pathlib.Path) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(dataclasses.asdict(state), indent=2), encoding="utf-8")
    temporary.replace(path)


def load(path: pathlib.Path) -> State:
    data = json.loads(path.read_text(encoding="utf-8"))
    data["repositories"] = [_repository(one) for one in data.get("repositories", [])]
    data["apps"] = [_app(one) for one in data.get("apps", [])]
    data["issued"] = {token: Issued(**one) for token, one in data.get("issued", {}).items()}
    return State(**data)


def _app(data: dict[str, Any]) -> App:
    return App(**{**data, "installations": [Installation(**one) for one in data.get("installations", [])]})


def _repository(data: dict[str, Any]) -> Repository:
    pulls = {int(key): Pull(**one) for key, one in data.pop("pulls", {}).items()}
    comments = {int(key): Comment(**one) for key, one in data.pop("comments", {}).items()}
    deployments = {int(key): _deployment(one) for key, one in data.pop("deployments", {}).items()}
    return Repository(**data, pulls=pulls, comments=comments, deployments=deployments)


def _deployment(data: dict[str, Any]) -> Deployment:
    return Deployment(**{**data, "statuses": [Status(**one) for one in data.get("statuses", [])]})
