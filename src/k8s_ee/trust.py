"""PURE. Who may deploy what: one table, read from top to bottom; the first row that fits decides.

docs/trust.md shows the same table. Facts come from GitHub's event and API, never from a workflow's inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from k8s_ee import pull_request, settings
from k8s_ee.config import model

LABEL = "deploy-preview"

Purpose = Literal["deploy", "destroy"]
Kind = Literal["quiet", "closed", "superseded", "refused", "unknown"]


@dataclasses.dataclass(frozen=True)
class Facts:
    """`event` "" = a person at a terminal. `head_sha` is what is to be deployed; `seen` is what the API says now."""

    purpose: Purpose
    event: str
    action: str
    label: str
    actor: str
    repository_id: int
    owner_id: int
    head_sha: str
    pull: pull_request.PullRequest | None
    seen: pull_request.PullRequest | pull_request.Unknown
    trigger: Literal["automatic", "on-demand"] = "automatic"

    @property
    def best(self) -> pull_request.PullRequest | None:
        """What the API says now, else what the event said when it was sent."""
        return self.seen if isinstance(self.seen, pull_request.PullRequest) else self.pull

    @property
    def wanted_sha(self) -> str:
        return self.head_sha or (self.best.head_sha if self.best else "")


@dataclasses.dataclass(frozen=True)
class Allow:
    """`note` is what could not be checked, for the report; empty = everything was."""

    sha: str
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Deny:
    """`quiet`: nothing is wrong, the run stays green. `closed`: clean up instead. `superseded`: a newer run has it.

    `refused`: exit 3. `unknown`: GitHub did not say what is needed to decide, exit 5.
    """

    reason: str
    kind: Kind
    hint: str = ""


@dataclasses.dataclass(frozen=True)
class Row:
    """`when` is the condition in words, as the documentation shows it; `deny` is what follows.

    `keyless`: about runs that GitHub gives no secrets.
    """

    purpose: Purpose
    when: str
    fits: Callable[[Facts, model.Platform], bool]
    deny: Callable[[Facts], Deny]
    keyless: bool = False


def facts(
    given: settings.Settings,
    seen: pull_request.PullRequest | pull_request.Unknown,
    *,
    purpose: Purpose,
    trigger: Literal["automatic", "on-demand"] = "automatic",
) -> Facts:
    return Facts(
        purpose=purpose,
        event=given.event,
        action=given.action,
        label=given.label,
        actor=given.actor,
        repository_id=given.repository_id,
        owner_id=given.owner_id,
        head_sha=given.head_sha,
        pull=given.pull,
        seen=seen,
        trigger=trigger,
    )


def authorize(known: Facts, platform: model.Platform) -> Allow | Deny:
    for row in TABLE:
        if row.purpose == known.purpose and row.fits(known, platform):
            return row.deny(known)
    return Allow(sha=known.wanted_sha, note=_unchecked(known))


def keyless(known: Facts) -> str:
    """Why this run gets no secrets; empty = it does, or another row answers first.

    For before k8s-ee.yaml is read: nothing in that file, not even a mistake, matters to such a run.
    """
    nobody = model.Platform(domain="")
    first = next((row for row in TABLE if row.purpose == known.purpose and row.fits(known, nobody)), None)
    return first.deny(known).reason if first and first.keyless else ""


def _unchecked(known: Facts) -> str:
    if known.event and isinstance(known.seen, pull_request.Unknown):
        return f"GitHub could not be asked whether the pull request is still open ({known.seen.reason})"
    return ""


def _is_fork(known: Facts, _platform: model.Platform) -> bool:
    pull = known.best
    return pull is not None and pull.head_repository_id != pull.base_repository_id


def _is_stranger(known: Facts, platform: model.Platform) -> bool:
    return (
        known.owner_id not in platform.allowed_owner_ids and known.repository_id not in platform.allowed_repository_ids
    )


def _stranger(known: Facts) -> Deny:
    return Deny(
        f"the platform does not list repository {known.repository_id} or its owner {known.owner_id}",
        kind="refused",
        hint=f"a platform engineer adds {known.owner_id} to allowed.ownerIds, or {known.repository_id} to "
        "allowed.repositoryIds, in the ConfigMap k8s-ee-system/k8s-ee-platform",
    )


def _is_other_label(known: Facts, _platform: model.Platform) -> bool:
    return known.event == "pull_request" and known.action == "labeled" and known.label != LABEL


def _is_not_asked_for(known: Facts, _platform: model.Platform) -> bool:
    labels = known.best.labels if known.best else ()
    return known.trigger == "on-demand" and known.event == "pull_request" and LABEL not in labels


def _is_old(known: Facts, _platform: model.Platform) -> bool:
    seen = known.seen
    return isinstance(seen, pull_request.PullRequest) and known.wanted_sha != seen.head_sha


def _old(known: Facts) -> Deny:
    newer = known.seen.head_sha if isinstance(known.seen, pull_request.PullRequest) else ""
    return Deny(f"commit {known.wanted_sha[:7]} is no longer the head, {newer[:7]} is", kind="superseded")


def _unknown(known: Facts) -> Deny:
    reason = known.seen.reason if isinstance(known.seen, pull_request.Unknown) else ""
    return Deny(
        f"GitHub does not say what the pull request is ({reason})" if reason else "there is no commit to deploy",
        kind="unknown",
        hint="run it again once GitHub answers; the job needs `pull-requests: read` and a GITHUB_TOKEN",
    )


def _quiet(reason: str) -> Callable[[Facts], Deny]:
    return lambda _known: Deny(reason, kind="quiet")


TABLE: tuple[Row, ...] = (
    Row(
        "deploy",
        "the event is none of `pull_request`, `workflow_dispatch` (or a terminal)",
        lambda known, _: known.event not in {"", "pull_request", "workflow_dispatch"},
        lambda known: Deny(
            f"the event {known.event} may not deploy",
            kind="refused",
            hint="deploy on `pull_request` or `workflow_dispatch`; `pull_request_target` gives forks our credentials",
        ),
    ),
    Row(
        "deploy",
        "the head is in another repository (a fork, or a deleted one)",
        _is_fork,
        _quiet("this pull request comes from a fork, whose code does not get this repository's credentials"),
        keyless=True,
    ),
    Row(
        "deploy",
        "the event was caused by Dependabot",
        lambda known, _: known.actor == "dependabot[bot]",
        _quiet("runs caused by Dependabot get no secrets; push a commit of your own to this branch for a preview"),
        keyless=True,
    ),
    Row(
        "deploy",
        "the pull request belongs to another repository than the run",
        lambda known, _: known.best is not None and known.best.base_repository_id != known.repository_id,
        lambda _known: Deny("the pull request belongs to another repository than this run", kind="refused"),
    ),
    Row("deploy", "neither the owner nor the repository is on the platform's list", _is_stranger, _stranger),
    Row(
        "deploy",
        "the pull request is closed",
        lambda known, _: known.best is not None and known.best.state == "closed",
        lambda _known: Deny("the pull request is closed", kind="closed"),
    ),
    Row(
        "deploy",
        f"`labeled` with another label than `{LABEL}`",
        _is_other_label,
        _quiet(f"a label other than {LABEL} changes nothing"),
    ),
    Row(
        "deploy",
        f"`trigger: on-demand` without the label `{LABEL}`",
        _is_not_asked_for,
        _quiet(f"previews of this repository are made on demand: add the label {LABEL}"),
    ),
    Row(
        "deploy",
        "a workflow_dispatch, and GitHub does not say what the pull request is",
        lambda known, _: known.event == "workflow_dispatch" and isinstance(known.seen, pull_request.Unknown),
        _unknown,
    ),
    Row("deploy", "no commit is known", lambda known, _: not known.wanted_sha, _unknown),
    Row("deploy", "the commit is no longer the head", _is_old, _old),
    Row(
        "destroy",
        "a `closed` event, and the pull request was opened again since",
        lambda known, _: (
            known.action == "closed" and isinstance(known.seen, pull_request.PullRequest) and known.seen.state == "open"
        ),
        lambda _known: Deny("the pull request was opened again", kind="superseded"),
    ),
    Row(
        "destroy",
        "`pull_request` from a fork (no secrets; it never had an environment)",
        lambda known, platform: known.event == "pull_request" and _is_fork(known, platform),
        _quiet("nothing to clean up: this pull request never had an environment"),
    ),
    Row(
        "destroy",
        "`pull_request`, caused by Dependabot (no secrets)",
        lambda known, _: known.event == "pull_request" and known.actor == "dependabot[bot]",
        _quiet(
            "runs caused by Dependabot get no secrets: if somebody else's push gave this pull request an environment, "
            "the platform's janitor destroys it"
        ),
    ),
)


def table() -> str:
    """The rows as a Markdown table, for docs/trust.md."""
    lines = ["| To | When | Answer |", "|---|---|---|"]
    sample = Facts(
        purpose="deploy",
        event="…",
        action="",
        label="",
        actor="",
        repository_id=0,
        owner_id=0,
        head_sha="",
        pull=None,
        seen=pull_request.Unknown("no answer"),
    )
    lines += [f"| {row.purpose} | {row.when} | {row.deny(sample).kind} |" for row in TABLE]
    return "\n".join([*lines, "| deploy, destroy | anything else | allow |", ""])
