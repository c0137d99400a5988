"""One environment: the names, labels and annotations it has in the cluster, and how to read them back.

The only home of namespace names, host names and label keys.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Mapping
from typing import Any, NewType

from k8s_ee import errors

ProjectId = NewType("ProjectId", str)
NamespaceName = NewType("NamespaceName", str)

PROJECT_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", re.ASCII)
SHA = re.compile(r"[0-9a-f]{40}", re.ASCII)
UNWRITABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What no text of a manifest may have in it: readers of YAML refuse it, or take another text for it."""

MANAGER = "k8s-ee"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
TYPE = "k8s-ee/type"
PROJECT = "k8s-ee/project"
REPOSITORY_ID = "k8s-ee/repository-id"
PULL_REQUEST = "k8s-ee/pr"
OURS = {MANAGED_BY: MANAGER, TYPE: "ephemeral"}
"""The labels that every environment has, and nothing else."""

REPOSITORY = "k8s-ee/repository"
BRANCH = "k8s-ee/branch"
HEAD_SHA = "k8s-ee/head-sha"
RUN = "k8s-ee/run"
CREATED_AT = "k8s-ee/created-at"
DEPLOYED_AT = "k8s-ee/deployed-at"
URL = "k8s-ee/url"
COMMENT_ID = "k8s-ee/comment-id"
CLEANUP_REQUESTED_AT = "k8s-ee/cleanup-requested-at"

# Times are ISO 8601 in UTC, to the second. docs/lifecycle.md says what follows from them.
# WARNED_OF without WARNED_AT: its posting was tried, and failed as often as WARNING_FAILURES says.
ACTIVE_AT = "k8s-ee/active-at"
EXTENDED_UNTIL = "k8s-ee/extended-until"
PRESERVED_UNTIL = "k8s-ee/preserved-until"
PRESERVE_SLOT = "k8s-ee/preserve-slot"
WARNED_OF = "k8s-ee/warned-of"
WARNED_AT = "k8s-ee/warned-at"
WARNING_FAILURES = "k8s-ee/warning-failures"
ASLEEP_SINCE = "k8s-ee/asleep-since"
SLEEP_UNTOLD = "k8s-ee/sleep-untold"
"""ASLEEP_SINCE, a space, and why: whoever put it to sleep did not tell its pull request."""
REPLICAS = "k8s-ee/replicas"
UNKNOWN_SINCE = "k8s-ee/unknown-since"
UNKNOWN_ALERTED_AT = "k8s-ee/unknown-alerted-at"
DESTROY_REQUESTED_AT = "k8s-ee/destroy-requested-at"

# backups.py says what follows from them.
BACKUP = "k8s-ee/backup"
"""What `backup` of k8s-ee.yaml was at the last deploy, where that was not `never`."""
BACKUP_WANTED_AT = "k8s-ee/backup-wanted-at"
BACKUP_ATTEMPTS = "k8s-ee/backup-attempts"
"""How many were begun, a space, and when the last one was."""
BACKUP_ERROR = "k8s-ee/backup-error"
"""Why the last attempt failed; not there while one is at work."""
BACKUP_FAILED_AT = "k8s-ee/backup-failed-at"
"""When it was told, once, that there will be no further attempt."""
BACKED_UP = "k8s-ee/backed-up"
"""Of which moment the backup is, a space, and where it is; written when it is there."""

ROUTE_CLASS = "k8s-ee/route-class"
"""On an Ingress whose environment sleeps: the class it has when awake."""

CREDENTIALS = "k8s-ee/credentials"
"""On the login of a database: the number of its password. On its pod: the login that it was last told of."""

REQUESTS = "k8s-ee/requests"
"""On the Lease of a place, or of one that waits for it: the processors and memory that the environment requests."""
RERUN_AT = "k8s-ee/rerun-at"
"""On the Lease of one that waits: when its run was started again."""


def namespace_name(project: ProjectId, number: int) -> NamespaceName:
    """Raises InputError when the name would not be a DNS label of at most 63 characters."""
    name = f"{project}-pr-{number}"
    if not PROJECT_ID.fullmatch(project) or number < 1 or len(name) > 63:
        raise errors.InputError(
            f"{name!r} can't be a namespace name",
            hint="projectId: 1 to 20 of a-z, 0-9 and '-', starting and ending with a letter or digit",
        )
    return NamespaceName(name)


@dataclasses.dataclass(frozen=True)
class Environment:
    """One (repository, pull request, project). `domain` is the platform's, without a leading dot.

    `routed`: its app has a link. `backup` is that of the config.
    """

    project: ProjectId
    number: int
    repository: str
    repository_id: int
    domain: str
    scheme: str = "https"
    branch: str = ""
    head_sha: str = ""
    run: int = 0
    routed: bool = True
    backup: str = "never"

    @property
    def namespace(self) -> NamespaceName:
        return namespace_name(self.project, self.number)

    @property
    def host(self) -> str:
        return f"{self.namespace}.{self.domain}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}" if self.routed else ""

    def labels(self) -> dict[str, str]:
        return {
            **OURS,
            PROJECT: self.project,
            REPOSITORY_ID: str(self.repository_id),
            PULL_REQUEST: str(self.number),
        }

    def annotations(self) -> dict[str, str]:
        """What every run writes at its start. Times and the head SHA are written by the steps that prove them."""
        kept = {BACKUP: self.backup} if self.backup != "never" else {}
        return {REPOSITORY: self.repository, BRANCH: self.branch, URL: self.url, RUN: str(self.run), **kept}


@dataclasses.dataclass(frozen=True)
class Observed:
    """An environment as the cluster has it. `created_at` is the namespace's own creation time (UTC)."""

    namespace: NamespaceName
    uid: str
    resource_version: str
    project: ProjectId
    number: int
    repository_id: int
    created_at: datetime.datetime
    terminating: bool
    annotations: Mapping[str, str]
    terminating_since: datetime.datetime | None = None

    @property
    def is_ending(self) -> bool:
        """Its destruction was begun: what runs in it, and what could be backed up, may be gone by now."""
        return self.terminating or CLEANUP_REQUESTED_AT in self.annotations

    @property
    def head_sha(self) -> str:
        return self.annotations.get(HEAD_SHA, "")

    @property
    def run(self) -> int:
        value = self.annotations.get(RUN, "")
        return int(value) if re.fullmatch(r"[0-9]{1,18}", value, re.ASCII) else 0

    @property
    def url(self) -> str:
        return self.annotations.get(URL, "")

    @property
    def repository(self) -> str:
        return self.annotations.get(REPOSITORY, "")

    @property
    def active_at(self) -> datetime.datetime | None:
        return self._time(ACTIVE_AT)

    @property
    def deployed_at(self) -> datetime.datetime | None:
        return self._time(DEPLOYED_AT)

    @property
    def extended_until(self) -> datetime.datetime | None:
        return self._time(EXTENDED_UNTIL)

    @property
    def preserved_until(self) -> datetime.datetime | None:
        return self._time(PRESERVED_UNTIL)

    @property
    def asleep_since(self) -> datetime.datetime | None:
        return self._time(ASLEEP_SINCE)

    @property
    def sleep_untold(self) -> str:
        """Why it was put to sleep, as long as it sleeps and its pull request was not told; else empty."""
        since, _, why = self.annotations.get(SLEEP_UNTOLD, "").partition(" ")
        return why if since and since == self.annotations.get(ASLEEP_SINCE) else ""

    @property
    def warned_of(self) -> datetime.datetime | None:
        return self._time(WARNED_OF)

    @property
    def warned_at(self) -> datetime.datetime | None:
        return self._time(WARNED_AT)

    @property
    def unknown_since(self) -> datetime.datetime | None:
        return self._time(UNKNOWN_SINCE)

    @property
    def unknown_alerted_at(self) -> datetime.datetime | None:
        return self._time(UNKNOWN_ALERTED_AT)

    @property
    def warning_failures(self) -> int:
        value = self.annotations.get(WARNING_FAILURES, "")
        return int(value) if re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) else 0

    @property
    def backup_wanted_at(self) -> datetime.datetime | None:
        return self._time(BACKUP_WANTED_AT)

    def _time(self, key: str) -> datetime.datetime | None:
        return read_time(self.annotations.get(key, ""))


def read_time(text: str) -> datetime.datetime | None:
    """None for one that is not there, can't be read, or does not say which time zone it means."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None


def write_time(when: datetime.datetime) -> str:
    """As annotations have it: in UTC, to the second."""
    return when.astimezone(datetime.UTC).isoformat(timespec="seconds")


def is_ours(namespace: Mapping[str, Any]) -> bool:
    labels = namespace["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in OURS.items())


def from_namespace(namespace: Mapping[str, Any]) -> Observed:
    """The inverse of `Environment.labels`. Raises Refused for a namespace that is not an environment of ours."""
    metadata = namespace["metadata"]
    labels = metadata.get("labels") or {}
    numbers = [labels.get(PULL_REQUEST, ""), labels.get(REPOSITORY_ID, "")]
    if not is_ours(namespace) or not all(re.fullmatch(r"[0-9]{1,18}", n, re.ASCII) for n in numbers):
        raise errors.Refused(
            f"namespace {metadata['name']} exists and is not an environment of this tool",
            hint="choose another projectId, or ask your platform team what the namespace is",
        )
    return Observed(
        namespace=NamespaceName(metadata["name"]),
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        project=ProjectId(labels.get(PROJECT, "")),
        number=int(numbers[0]),
        repository_id=int(numbers[1]),
        created_at=datetime.datetime.fromisoformat(metadata["creationTimestamp"]),
        terminating="deletionTimestamp" in metadata,
        annotations=dict(metadata.get("annotations") or {}),
        terminating_since=_deleted_at(metadata),
    )


def _deleted_at(metadata: Mapping[str, Any]) -> datetime.datetime | None:
    found = metadata.get("deletionTimestamp")
    return None if found is None else datetime.datetime.fromisoformat(found)
