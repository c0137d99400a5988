"""What becomes of an environment: PURE, from facts, a policy and the time.

The docstrings of the rules, "when | then", are the table in docs/lifecycle.md: `make docs` writes it.

All times are UTC. A deadline is a whole second, because it is noted on the namespace as one.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable
from typing import Literal, get_args

from k8s_ee import backups, environment

Kind = Literal["keep", "warn", "sleep", "expire", "delete", "unstick", "leave", "backup", "hold"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Time = datetime.datetime

ENOUGH_FAILURES = 3  # passes in which a warning could not be posted; then the deadline holds without it
LATE_NOTICE = datetime.timedelta(hours=1)  # the least that is left to people after a warning that came late


@dataclasses.dataclass(frozen=True)
class Open:
    """The pull request is open."""


@dataclasses.dataclass(frozen=True)
class Closed:
    """The pull request is closed or merged. `at` None = GitHub did not say since when."""

    at: datetime.datetime | None = None


@dataclasses.dataclass(frozen=True)
class Unknown:
    """GitHub gave no answer that can be trusted. Never the same as closed."""

    reason: str


PullRequestState = Open | Closed | Unknown


@dataclasses.dataclass(frozen=True)
class OrphanedFinalizer:
    """`finalizer` may go once its controller is gone: the Deployment "namespace/name", or an APIService by its name."""

    finalizer: str
    deployment: str = ""
    api_service: str = ""


@dataclasses.dataclass(frozen=True)
class Policy:
    """The platform's. `sleep_after` and `soft_ttl` None = never."""

    sleep_after: datetime.timedelta | None = datetime.timedelta(hours=12)
    soft_ttl: datetime.timedelta | None = datetime.timedelta(days=7)
    hard_ttl: datetime.timedelta = datetime.timedelta(days=30)
    warn_before: datetime.timedelta = datetime.timedelta(hours=24)
    preserve_for: datetime.timedelta = datetime.timedelta(hours=48)
    preserve_limit: int = 3
    preserve_warn_before: datetime.timedelta = datetime.timedelta(hours=1)
    stuck_after: datetime.timedelta = datetime.timedelta(minutes=10)
    unknown_alert_after: datetime.timedelta = datetime.timedelta(hours=24)
    backup_deadline: datetime.timedelta = datetime.timedelta(hours=1)
    orphaned_finalizers: tuple[OrphanedFinalizer, ...] = ()


@dataclasses.dataclass(frozen=True)
class Facts:
    """`traffic_at` is the last request through the ingress, None where nobody counts them or there was none.

    `traffic_unknown`: why nobody knows, though they are counted.
    """

    environment: environment.Observed
    pull_request: PullRequestState
    traffic_at: datetime.datetime | None = None
    traffic_unknown: str = ""
    sleepable: bool = True


@dataclasses.dataclass(frozen=True)
class Decision:
    """`deadline` is what a warning is about, otherwise when the environment ends as things are."""

    kind: Kind
    reason: str
    deadline: datetime.datetime | None = None


Rule = Callable[[Facts, Policy, Time], Decision | None]


def decide(facts: Facts, policy: Policy, now: Time) -> Decision:
    """The first rule that has something to say."""
    return _first(RULES, facts, policy, now) or Decision("keep", "in use", deadline=end(facts, policy))


def end(facts: Facts, policy: Policy) -> Time:
    """When an environment of an open pull request goes if nothing happens: the soft deadline, never beyond the hard."""
    found, hard = facts.environment, hard_deadline(facts.environment, policy)
    unreadable = environment.EXTENDED_UNTIL in found.annotations and found.extended_until is None
    if policy.soft_ttl is None or unreadable:
        return hard
    soft = last_activity(facts) + policy.soft_ttl
    return min(max(soft, found.extended_until or soft), hard).replace(microsecond=0)


def hard_deadline(observed: environment.Observed, policy: Policy) -> Time:
    return (observed.created_at + policy.hard_ttl).replace(microsecond=0)


def last_activity(facts: Facts) -> Time:
    found = facts.environment
    times = (found.created_at, found.active_at, found.deployed_at, facts.traffic_at)
    return max(one for one in times if one is not None)


def alert_due(facts: Facts, policy: Policy, now: Time) -> bool:
    """Whether somebody must be told, once, that this one has been unknown for long."""
    since = facts.environment.unknown_since
    if not isinstance(facts.pull_request, Unknown) or since is None:
        return False
    return now - since >= policy.unknown_alert_after and facts.environment.unknown_alerted_at is None


def _terminating(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """the namespace is being deleted: for more than {stuck_after} · for less
    | find out what blocks it · leave it alone"""
    found = facts.environment
    if not found.terminating:
        return None
    if found.terminating_since is not None and now - found.terminating_since > policy.stuck_after:
        return Decision("unstick", f"terminating since {environment.write_time(found.terminating_since)}")
    return Decision("leave", "it is being deleted")


def _begun(facts: Facts, _policy: Policy, _now: Time) -> Decision | None:
    """destroying it was begun and not finished | delete"""
    if environment.CLEANUP_REQUESTED_AT in facts.environment.annotations:
        return Decision("delete", "a destroy was begun and not finished")
    return None


def _backed_up_first(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """a rule below would delete it, but it has `backup: onDestroy` and no backup · and none came of three attempts or
    within {backup_deadline} | ask for its backup and wait · hold it up to {hard_ttl} of age, say why"""
    found = facts.environment
    standing = backups.standing(found, policy.backup_deadline, now)
    if standing.kind not in ("due", "failed"):
        return None
    ended = _first(_BELOW, facts, policy, now)
    if ended is None or ended.kind != "delete":
        return None
    if standing.kind == "due":
        return Decision("backup", ended.reason)
    last = hard_deadline(found, policy)
    return None if now >= last else Decision("hold", standing.reason, deadline=last)


def _requested(facts: Facts, _policy: Policy, _now: Time) -> Decision | None:
    """destroying it was requested | delete"""
    if environment.DESTROY_REQUESTED_AT in facts.environment.annotations:
        return Decision("delete", "requested")
    return None


def _closed(facts: Facts, _policy: Policy, _now: Time) -> Decision | None:
    """its pull request is closed, and it was never preserved or no longer is
    | delete (also one made after the closing)"""
    # Before the deadlines: the notice that they give must not keep what nobody asked to keep.
    found, state = facts.environment, facts.pull_request
    if not isinstance(state, Closed) or environment.PRESERVED_UNTIL in found.annotations:
        return None
    if state.at is not None and found.created_at > state.at:
        return Decision("delete", "resurrected: made after its pull request closed")
    return Decision("delete", "its pull request is closed")


def _too_old(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """it reaches {hard_ttl} of age, whatever GitHub says, preserved or not | warn {warn_before} before, then delete"""
    # From the object alone, so that it holds for unknown and preserved ones, too.
    found, deadline = facts.environment, hard_deadline(facts.environment, policy)
    if now < deadline and _ends_before(facts, policy, deadline):
        return None  # only one warning is noted: two deadlines would take turns in being warned of, every pass
    return _by_deadline(
        found, now, deadline, kind="delete", notice=policy.warn_before, reason="it has reached its highest age"
    )


def _preserved(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """it is preserved · the preserve ends | keep · warn {preserve_warn_before} before, then end the preserve"""
    found = facts.environment
    if environment.PRESERVED_UNTIL not in found.annotations:
        return None
    until = found.preserved_until
    if until is None:
        return Decision("leave", "until when it is preserved can't be read")
    ended = _by_deadline(
        found, now, until, kind="expire", notice=policy.preserve_warn_before, reason="it is no longer preserved"
    )
    return ended or Decision("keep", "preserved", deadline=until)


def _unknown(facts: Facts, _policy: Policy, _now: Time) -> Decision | None:
    """GitHub did not say clearly whether the pull request is open
    | leave it alone, say why, report it once after {unknown_alert_after}"""
    if isinstance(facts.pull_request, Unknown):
        return Decision("leave", facts.pull_request.reason)
    return None


def _uncounted(facts: Facts, policy: Policy, _now: Time) -> Decision | None:
    """whether there was traffic can't be read, though it is counted | keep"""
    if not facts.traffic_unknown:
        return None
    reason = f"whether it is used can't be said: {facts.traffic_unknown}"
    return Decision("keep", reason, deadline=hard_deadline(facts.environment, policy))


def _unused(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """nobody used it for {soft_ttl}, and it is not extended beyond now | warn {warn_before} before, then delete"""
    return _by_deadline(
        facts.environment,
        now,
        end(facts, policy),
        kind="delete",
        notice=policy.warn_before,
        reason="nobody has used it",
        # Who counts its use may have forgotten all of it: then the deadline is past at once.
        late=policy.warn_before,
    )


def _idle(facts: Facts, policy: Policy, now: Time) -> Decision | None:
    """nobody used it for more than {sleep_after}, and it is not asleep | put it to sleep"""
    asleep = environment.ASLEEP_SINCE in facts.environment.annotations
    if policy.sleep_after is None or asleep or not facts.sleepable:
        return None
    since = last_activity(facts)
    if now - since <= policy.sleep_after:
        return None
    return Decision("sleep", f"nobody has used it since {environment.write_time(since)}", deadline=end(facts, policy))


_BELOW: tuple[Rule, ...] = (_requested, _closed, _too_old, _preserved, _unknown, _uncounted, _unused, _idle)
RULES: tuple[Rule, ...] = (_terminating, _begun, _backed_up_first, *_BELOW)


def _first(rules: tuple[Rule, ...], facts: Facts, policy: Policy, now: Time) -> Decision | None:
    return next((found for rule in rules if (found := rule(facts, policy, now)) is not None), None)


def _ends_before(facts: Facts, policy: Policy, hard: Time) -> bool:
    """Whether another deadline comes first. Where GitHub or the traffic is unknown there is no soft one."""
    found = facts.environment
    if found.preserved_until is not None:
        return found.preserved_until < hard
    return isinstance(facts.pull_request, Open) and not facts.traffic_unknown and end(facts, policy) < hard


def _by_deadline(
    found: environment.Observed,
    now: Time,
    deadline: Time,
    *,
    kind: Kind,
    notice: datetime.timedelta,
    reason: str,
    late: datetime.timedelta = LATE_NOTICE,
) -> Decision | None:
    """None = nothing to do about this deadline yet. A warning counts only for the deadline it was posted of.

    `late` is what is left to people when the warning came after the deadline.
    """
    if now < deadline - notice:
        return None
    about_this = found.warned_of == deadline
    if about_this and found.warned_at is not None:
        due = max(deadline, found.warned_at + min(notice, late if found.warned_at > deadline else LATE_NOTICE))
        if now >= due:
            return Decision(kind, reason, deadline=deadline)
        return Decision("keep", "its warning was late", deadline=due) if now >= deadline else None
    if now >= deadline and about_this and found.warning_failures >= ENOUGH_FAILURES:
        return Decision(kind, f"{reason}; its warning could not be posted", deadline=deadline)
    return Decision("warn", reason, deadline=deadline)
