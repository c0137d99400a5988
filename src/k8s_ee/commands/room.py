"""Where the platform has a maximum: a place for the environment before anything is made, or a wait for one."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING

from k8s_ee import environment, errors, lifecycle, outcome
from k8s_ee.cluster import marks, namespaces, places, queueing, sleeping, slots
from k8s_ee.commands import admission, reporting, session
from k8s_ee.github import states
from k8s_ee.plan import capacity

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from k8s_ee import cluster as clusters
    from k8s_ee import github as githubs
    from k8s_ee.config import model

_TOLD_SECONDS = 30.0
_RERUN_SECONDS = 3600.0
_ASKING_SECONDS = 60.0


def enter(ctx: session.Session, command: str) -> outcome.Outcome | None:
    """None = it has a place, or needs none: go on. Otherwise it waited in vain, and this is what came of it.

    Raises Refused for a namespace that is not this environment's, and Superseded when a newer run waits instead.
    """
    policy, target = ctx.platform.capacity, ctx.target()
    if not policy.is_limited or ctx.options.dry_run:
        return None
    claim = capacity.Claim(target.namespace, target.repository_id, capacity.requests(ctx.config))
    found = ctx.cluster.get("Namespace", target.namespace)
    observed = namespaces.owned(found, target) if found else None
    if observed and not observed.terminating and not observed.asleep_since:
        places.settle(ctx.cluster, claim, observed, policy=policy, home=ctx.platform.namespace)
        return None
    sleeps = observed and not observed.terminating
    holder = places.owner(observed) if observed and sleeps else places.reserved(claim)
    line = _line(ctx, claim, holder, target)
    return None if line.try_once() else _wait(ctx, line, command)


def settle(ctx: session.Session) -> None:
    """The namespace exists now, awake."""
    if ctx.observed and ctx.platform.capacity.is_limited and not ctx.options.dry_run:
        claim = capacity.Claim(ctx.observed.namespace, ctx.observed.repository_id, capacity.requests(ctx.config))
        places.settle(ctx.cluster, claim, ctx.observed, policy=ctx.platform.capacity, home=ctx.platform.namespace)


def leave(ctx: session.Session) -> None:
    """The namespace was not made: nothing needs what was reserved for it."""
    if ctx.platform.capacity.is_limited and not ctx.options.dry_run:
        claim = capacity.Claim(ctx.target().namespace, ctx.target().repository_id)
        with contextlib.suppress(*errors.ONE_OF_MANY):  # The janitor does it, too, and something worse is being told.
            places.give_back(ctx.cluster, places.reserved(claim), home=ctx.platform.namespace)


def sleep(ctx: session.Session, observed: environment.Observed) -> environment.Observed:
    """Puts it to sleep, which frees its place. Raises what `sleeping.sleep` does."""
    try:
        home = ctx.platform.namespace
    except errors.ONE_OF_MANY:  # Who may not read the settings may not write Leases either: the janitor frees it.
        return sleeping.sleep(ctx.cluster, observed, ctx.now())
    return places.sleep(ctx.cluster, observed, ctx.now(), home=home)


def wake(ctx: session.Session, observed: environment.Observed) -> None:
    """A place for one that sleeps and is to be woken. Raises Refused when there is none."""
    if ctx.options.dry_run or not sleeping.is_stopped(observed):
        return
    try:
        policy = ctx.platform.capacity
    except errors.ONE_OF_MANY:  # As in `sleep`: the janitor counts it.
        return
    if not policy.is_limited:
        return
    marks.require_kept(observed)
    claim = capacity.Claim(observed.namespace, observed.repository_id, _requests(ctx, observed))
    line = _line(ctx, claim, places.owner(observed), _target(observed))
    if not line.try_once():
        raise errors.Refused(
            f"{observed.namespace} stays asleep: {line.why()}",
            hint="put another to sleep with `k8s-ee sleep`, or try again later; a push waits for its turn",
        )


def give_back(ctx: session.Session, receipts: list[clusters.Receipt]) -> None:
    """Those seen gone need no place any more. What fails here the janitor does in its next pass."""
    try:
        for one in receipts:
            if one.deleted:
                places.give_back(ctx.cluster, f"{one.uid} {one.namespace}", home=ctx.platform.namespace)
    except errors.ONE_OF_MANY as error:
        ctx.say(f"the place is given back later, by the janitor: {error.message}")


def look_after(ctx: session.Session, github: githubs.GitHub, *, check: slots.Check) -> None:
    """The janitor's part: places that nobody uses are freed, and runs that waited for one are started again.

    Raises what `check` does, before the next act.
    """
    policy, home = ctx.platform.capacity, ctx.platform.namespace
    places.tidy(ctx.cluster, policy=policy, home=home, now=ctx.now(), check=check)
    left = max(1.0, min(_ASKING_SECONDS, ctx.deadline - time.monotonic()))
    release_queue(ctx.cluster, github, policy=policy, home=home, now=ctx.now(), say=ctx.say, seconds=left, check=check)


def release_queue(
    cluster: clusters.Cluster,
    github: githubs.GitHub,
    *,
    policy: model.Capacity,
    home: str,
    now: datetime.datetime,
    say: Callable[[str], None],
    seconds: float = _ASKING_SECONDS,
    check: slots.Check = lambda: None,
) -> int:
    """Starts the runs again that ended as queued and for which there is room now; how many.

    For the janitor. A run of a pull request that is closed by now is forgotten. Where GitHub does not let this App
    start runs (`actions: write`), `say` hears of it, and the run stays in line. GitHub is asked for at most `seconds`.
    """
    found = cluster.list("Lease", home)
    waiting = queueing.drop_stale(cluster, queueing.tickets(found), now)
    parked = [one for one in waiting if not one.is_held]
    if not parked:
        return 0
    there = places.room(cluster, policy, found)
    turns = capacity.turns([one.claim for one in waiting], there, policy)
    due = [one for one in parked if one.claim in turns and not _is_on_its_way(one, now)]
    subjects = {one.name: states.Subject(one.repository, one.claim.repository_id, one.number) for one in due}
    known = github.states(set(subjects.values()), seconds=seconds) if due else {}
    rerun = functools.partial(_rerun, cluster, github, now=now, say=say, check=check)
    return sum(rerun(one, known.get(subjects[one.name])) for one in due)


def _rerun(
    cluster: clusters.Cluster,
    github: githubs.GitHub,
    ticket: queueing.Ticket,
    state: lifecycle.PullRequestState | None,
    *,
    now: datetime.datetime,
    say: Callable[[str], None],
    check: slots.Check,
) -> int:
    check()
    if isinstance(state, lifecycle.Closed):
        slots.drop(cluster, ticket.lease)
        return 0
    if not isinstance(state, lifecycle.Open):
        return 0
    try:
        github.at(ticket.repository, ticket.claim.repository_id).rerun(ticket.run)
    except errors.ONE_OF_MANY as error:
        say(f"run {ticket.run} of {ticket.repository} waits for somebody to start it again: {error.message}")
        return 0
    noted = {environment.RERUN_AT: now.isoformat(timespec="seconds")}
    places.amend(cluster, ticket.lease, spec={}, annotations=noted)
    say(f"there is room for {ticket.claim.namespace}: run {ticket.run} of {ticket.repository} was started again")
    return 1


def _is_on_its_way(ticket: queueing.Ticket, now: datetime.datetime) -> bool:
    return ticket.rerun_at is not None and (now - ticket.rerun_at).total_seconds() < _RERUN_SECONDS


def _line(ctx: session.Session, claim: capacity.Claim, holder: str, target: environment.Environment) -> queueing.Line:
    return queueing.Line(
        cluster=ctx.cluster,
        policy=ctx.platform.capacity,
        home=ctx.platform.namespace,
        target=target,
        claim=claim,
        holder=holder,
        now=ctx.now,
        say=ctx.say,
    )


def _wait(ctx: session.Session, line: queueing.Line, command: str) -> outcome.Outcome | None:
    """What the wait takes is not taken from the time that the deploy has."""
    began = time.monotonic()
    told = _Told(ctx, command)
    with ctx.phase("queue"):
        standing = line.wait(began + line.policy.queue_wait.total_seconds(), told)
    ctx.waited += time.monotonic() - began
    if not standing.position:
        return _unless_obsolete(ctx, line, command)
    minutes = round(line.policy.queue_wait.total_seconds() / 60)
    ctx.notes.append(f"{standing.why}: waited {minutes} min for room, and is number {standing.position} in line")
    ctx.notes.append(
        "when there is room, the platform's janitor starts this run again, if its GitHub App may (actions: write); "
        "otherwise choose `Re-run all jobs` on the run's page, or push again"
    )
    return _queued(ctx, command, standing)


def _unless_obsolete(ctx: session.Session, line: queueing.Line, command: str) -> outcome.Outcome | None:
    """Much can have happened while it waited: the pull request was closed, or got another head."""
    try:
        refusal = admission.check(ctx)
    except errors.K8sEEError:
        places.give_back(ctx.cluster, line.holder, home=line.home)
        raise
    if not refusal:
        return None
    places.give_back(ctx.cluster, line.holder, home=line.home)
    return ctx.skipped(command, refusal)


class _Told:
    """Says where in line it is; in the pull request not more often than people read."""

    def __init__(self, ctx: session.Session, command: str) -> None:
        self._ctx, self._command, self._at = ctx, command, -_TOLD_SECONDS

    def __call__(self, standing: queueing.Standing) -> None:
        said = f"number {standing.position} in line: {standing.why}"
        self._ctx.say(said)
        if time.monotonic() - self._at >= _TOLD_SECONDS:
            self._at = time.monotonic()
            reporting.tell(self._ctx, _queued(self._ctx, self._command, standing, note=said))


def _queued(ctx: session.Session, command: str, standing: queueing.Standing, *, note: str = "") -> outcome.Outcome:
    outputs = {
        "deploy": "false",
        "ready": "false",
        "namespace": ctx.target().namespace,
        "reason": standing.why,
        "position": str(standing.position),
    }
    more = {"notes": (*ctx.notes, note)} if note else {}
    return ctx.result(command, "queued", outputs=outputs, **more)


def _requests(ctx: session.Session, observed: environment.Observed) -> capacity.Requests:
    """What it may use at most; from its quota, as its configuration is not at hand."""
    quota = ctx.cluster.get("ResourceQuota", "environment", observed.namespace)
    hard = ((quota or {}).get("spec") or {}).get("hard") or {}
    return capacity.parse(f"{hard.get('requests.cpu', '')} {hard.get('requests.memory', '')}")


def _target(observed: environment.Observed) -> environment.Environment:
    return environment.Environment(
        project=observed.project,
        number=observed.number,
        repository=observed.repository,
        repository_id=observed.repository_id,
        domain="",
    )
