"""Who asks for what: the GitHub event, the runner's files, what `K8S_EE_*` adds. The only reader of the environment.

In a workflow the event is what counts: an option that contradicts it is an error, never a way around it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, TypeVar

from k8s_ee import environment, errors, pull_request

PULL_REQUEST_EVENTS = frozenset({"pull_request", "pull_request_target"})
_REPOSITORY = re.compile(r"[A-Za-z0-9_-]{1,100}/[A-Za-z0-9._-]{1,100}", re.ASCII)

Fact = TypeVar("Fact", int, str)


@dataclasses.dataclass(frozen=True)
class Connection:
    """Where the cluster is. `kubeconfig` is a path or the YAML itself; None = the client's own default."""

    kubeconfig: str | None = dataclasses.field(default=None, repr=False)
    context: str | None = None
    in_cluster: bool = False


@dataclasses.dataclass(frozen=True)
class App:
    """A GitHub App: its id or client id, and its private key as PEM."""

    id: str
    key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class S3:
    """Who asks which storage, as AWS's own tools read it. Empty endpoint = Amazon's; empty key = nobody said."""

    endpoint: str = ""
    region: str = ""
    key: str = ""
    secret: str = dataclasses.field(default="", repr=False)
    token: str = dataclasses.field(default="", repr=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Empty strings and 0 = not known. `pull` is the pull request as the event's payload has it.

    `run` is the run's id, which grows with time across all workflows of a repository; `label` is the one a `labeled`
    event is about; `inputs` are all `K8S_EE_*` variables by option name ("config-path"), secrets among them.
    """

    event: str = ""
    action: str = ""
    label: str = ""
    pull: pull_request.PullRequest | None = None
    number: int = 0
    repository: str = ""
    repository_id: int = 0
    owner_id: int = 0
    head_sha: str = ""
    branch: str = ""
    actor: str = ""
    run: int = 0
    run_number: int = 0
    run_attempt: int = 0
    is_actions: bool = False
    workspace: pathlib.Path | None = None
    output_path: pathlib.Path | None = None
    summary_path: pathlib.Path | None = None
    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    token: str = dataclasses.field(default="", repr=False)
    app: App | None = None
    connection: Connection = Connection()
    s3: S3 = S3()
    inputs: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def closed(self) -> bool:
        return self.pull is not None and self.pull.state == "closed"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no report may show."""
        known = (self.token, self.app.key if self.app else "", self.s3.secret, self.s3.token)
        return tuple(one for one in known if one)

    @property
    def run_url(self) -> str:
        if not (self.is_actions and self.run and self.repository):
            return ""
        attempt = f"/attempts/{self.run_attempt}" if self.run_attempt > 1 else ""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run}{attempt}"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Raises InputError for a payload or key that can't be read, for options that are wrong or contradict it."""
        given = {key: value.strip() for key, value in environ.items() if value.strip()}
        is_actions = given.get("GITHUB_ACTIONS") == "true"
        event = given.get("GITHUB_EVENT_NAME", "") if is_actions else ""
        payload = _payload(given.get("GITHUB_EVENT_PATH", ""), event=event) if event else {}
        pull = _pull(payload, event=event)
        return cls(
            event=event,
            action=_text(payload, "action"),
            label=_text(payload, "label", "name"),
            pull=pull,
            actor=_text(payload, "sender", "login") or given.get("GITHUB_ACTOR", ""),
            is_actions=is_actions,
            run=_whole(given, "GITHUB_RUN_ID"),
            run_number=_whole(given, "GITHUB_RUN_NUMBER"),
            run_attempt=_whole(given, "GITHUB_RUN_ATTEMPT"),
            workspace=_path(given, "GITHUB_WORKSPACE"),
            output_path=_path(given, "GITHUB_OUTPUT"),
            summary_path=_path(given, "GITHUB_STEP_SUMMARY"),
            api_url=_url(given, "K8S_EE_API_URL") or _url(given, "GITHUB_API_URL") or cls.api_url,
            server_url=given.get("GITHUB_SERVER_URL", cls.server_url).rstrip("/"),
            token=given.get("GITHUB_TOKEN") or given.get("GH_TOKEN") or "",
            app=_app(given),
            connection=_connection(given),
            s3=_s3(given),
            inputs=_inputs(given),
            **_subject(given, payload=payload, pull=pull, trusted=is_actions),
        )


def environ(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process's environment, with options of the command line laid over it."""
    return {**os.environ, **(overrides or {})}


def colours() -> bool:
    """Whether a terminal may be written to in colours: https://no-color.org"""
    given = environ()
    return not given.get("NO_COLOR") and given.get("TERM") != "dumb"


def _payload(path: str, *, event: str) -> Mapping[str, Any]:
    hint = "GITHUB_EVENT_PATH must name the event's JSON file, as the runner sets it"
    if not path:
        raise errors.InputError(f"the event {event} came without a payload", hint=hint)
    try:
        found = json.loads(pathlib.Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise errors.InputError(f"the payload of the event {event} can't be read: {error}", hint=hint) from None
    if not isinstance(found, dict):
        raise errors.InputError(f"the payload of the event {event} is not a JSON object", hint=hint)
    return found


def _pull(payload: Mapping[str, Any], *, event: str) -> pull_request.PullRequest | None:
    if event not in PULL_REQUEST_EVENTS:
        return None
    try:
        return pull_request.parse(payload.get("pull_request"))
    except ValueError as error:
        raise errors.InputError(
            f"the payload of the event {event} does not describe a pull request: {error}",
            hint="GITHUB_EVENT_PATH must name the event's JSON file, as the runner sets it",
        ) from None


def _subject(
    given: Mapping[str, str], *, payload: Mapping[str, Any], pull: pull_request.PullRequest | None, trusted: bool
) -> dict[str, Any]:
    """Which pull request of which repository: from the event, then the runner (if there is one), then the options."""
    runner = given if trusted else {}
    name = _text(payload, "repository", "full_name") or runner.get("GITHUB_REPOSITORY", "")
    ids = {
        "PR": pull.number if pull else _asked(payload),
        "REPOSITORY_ID": _id(payload, "repository", "id") or _whole(runner, "GITHUB_REPOSITORY_ID"),
        "OWNER_ID": _id(payload, "repository", "owner", "id") or _whole(runner, "GITHUB_REPOSITORY_OWNER_ID"),
    }
    names = {
        "REPOSITORY": name,
        "HEAD_SHA": pull.head_sha if pull else "",
        "BRANCH": pull.branch if pull else "",
    }
    found: dict[str, Any] = {key: _agreed(key, known, _whole(given, f"K8S_EE_{key}")) for key, known in ids.items()}
    found |= {key: _agreed(key, known, given.get(f"K8S_EE_{key}", "")) for key, known in names.items()}
    if found["REPOSITORY"] and not _REPOSITORY.fullmatch(found["REPOSITORY"]):
        raise errors.InputError("K8S_EE_REPOSITORY is not a repository's name", hint="OWNER/NAME, as GitHub shows it")
    if found["HEAD_SHA"] and not environment.SHA.fullmatch(found["HEAD_SHA"]):
        raise errors.InputError("K8S_EE_HEAD_SHA is not a commit", hint="40 hex digits, as `git rev-parse HEAD` prints")
    return {"number": found.pop("PR"), **{key.lower(): value for key, value in found.items()}}


def _asked(payload: Mapping[str, Any]) -> int:
    """The number a workflow_dispatch names in its input `pr-number` or `pr`."""
    inputs = _at(payload, "inputs")
    named = {key: str(value).strip() for key, value in inputs.items()} if isinstance(inputs, Mapping) else {}
    return _whole(named, "pr-number") or _whole(named, "pr")


def _agreed(option: str, known: Fact, given: Fact) -> Fact:
    if known and given and str(known).casefold() != str(given).casefold():
        raise errors.InputError(
            f"K8S_EE_{option} is {given}, but the event is about {known}",
            hint=f"leave K8S_EE_{option} out: in a workflow the event says it",
        )
    return known or given


def _whole(given: Mapping[str, str], name: str) -> int:
    value = given.get(name, "")
    if value and not re.fullmatch(r"[0-9]{1,18}", value, re.ASCII):
        raise errors.InputError(f"{name} is not a whole number", hint=f"{name} takes digits only, at most 18")
    return int(value or 0)


def _url(given: Mapping[str, str], name: str) -> str:
    """Without a slash at its end; empty where there is none."""
    value = given.get(name, "").rstrip("/")
    if value and not is_url(value):
        raise errors.InputError(f"{name} is not an http(s) URL", hint="as in https://api.github.com")
    return value


def is_url(text: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _at(data: Any, *path: str) -> Any:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _text(payload: Mapping[str, Any], *path: str) -> str:
    value = _at(payload, *path)
    return value if isinstance(value, str) else ""


def _id(payload: Mapping[str, Any], *path: str) -> int:
    value = _at(payload, *path)
    return value if isinstance(value, int) else 0


def _path(given: Mapping[str, str], name: str) -> pathlib.Path | None:
    return pathlib.Path(given[name]) if name in given else None


def _connection(given: Mapping[str, str]) -> Connection:
    kubeconfig = given.get("K8S_EE_KUBECONFIG") or given.get("KUBECONFIG")
    context = given.get("K8S_EE_CONTEXT")
    inside = "KUBERNETES_SERVICE_HOST" in given and not kubeconfig and not context
    return Connection(kubeconfig=kubeconfig, context=context, in_cluster=inside)


def _s3(given: Mapping[str, str]) -> S3:
    endpoints = (given.get(name) for name in ("K8S_EE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    return S3(
        endpoint=next(filter(None, endpoints), ""),
        region=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or "",
        key=given.get("AWS_ACCESS_KEY_ID", ""),
        secret=given.get("AWS_SECRET_ACCESS_KEY", ""),
        token=given.get("AWS_SESSION_TOKEN", ""),
    )


def _app(given: Mapping[str, str]) -> App | None:
    """K8S_EE_APP_ID, and the key in K8S_EE_APP_PRIVATE_KEY or in the file K8S_EE_APP_PRIVATE_KEY_FILE names."""
    name, key, path = (given.get(f"K8S_EE_APP_{one}", "") for one in ("ID", "PRIVATE_KEY", "PRIVATE_KEY_FILE"))
    if path and not key:
        try:
            key = pathlib.Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise errors.InputError(f"the GitHub App's private key can't be read: {path}: {why}") from None
    if not name and not key:
        return None
    if not re.fullmatch(r"[A-Za-z0-9.]{1,64}", name, re.ASCII) or not key:
        raise errors.InputError(
            "a GitHub App needs its id and its private key",
            hint="K8S_EE_APP_ID, and K8S_EE_APP_PRIVATE_KEY or K8S_EE_APP_PRIVATE_KEY_FILE",
        )
    # Many a store of secrets keeps a text on one line.
    return App(id=name, key=key.replace("\\n", "\n"))


def _inputs(given: Mapping[str, str]) -> dict[str, str]:
    prefix = "K8S_EE_"
    return {
        key.removeprefix(prefix).lower().replace("_", "-"): value
        for key, value in given.items()
        if key.startswith(prefix)
    }
