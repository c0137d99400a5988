"""How one environment ends: at once, after a backup made here, or after one that the platform makes."""

from __future__ import annotations

import dataclasses

from k8s_ee import backups, cluster, environment, errors
from k8s_ee.cluster import marks, securing, sleeping
from k8s_ee.commands import backup, inspect, saving, session

Observed = environment.Observed
End = cluster.Receipt | Observed
"""Destroyed; or still there, and to be backed up first."""


@dataclasses.dataclass(frozen=True)
class Way:
    """Empty `backup_to` = who wants a backup has it made by the platform; with it everybody gets one, here."""

    backup_to: str = ""
    without_backup: bool = False
    keeps_preserved: bool = False

    def asks(self, observed: Observed) -> bool:
        """Whether the platform has to back it up first."""
        owes = environment.BACKUP in observed.annotations and backups.place(observed) is None
        return owes and not observed.is_ending and not self.backup_to and not self.without_backup

    def saves(self, observed: Observed) -> bool:
        return bool(self.backup_to) and not observed.is_ending


def plan(way: Way, observed: Observed) -> str:
    """What would come before its end; empty = nothing."""
    if way.asks(observed):
        return f"{observed.namespace} would be backed up by the platform first"
    return f"{observed.namespace} would be backed up to {way.backup_to} first" if way.saves(observed) else ""


def end(ctx: session.Session, observed: Observed, way: Way) -> End:
    """Raises Changed and Woken when somebody used it since it was `observed`; then it runs on."""
    if way.asks(observed):
        return _ask(ctx, observed)
    if way.saves(observed):
        observed = _save(ctx, observed, way.backup_to)
        ctx.notes.append(f"{observed.namespace}: {_saved(observed)}")
    elif saved := backups.place(observed):
        ctx.notes.append(f"{observed.namespace}: its databases were backed up to {saved}")
    elif way.backup_to:
        ctx.notes.append(f"{observed.namespace} was being destroyed already: it could not be backed up")
    return cluster.destroy.destroy(ctx.cluster, observed, deadline=ctx.deadline, progress=ctx.say)


def _save(ctx: session.Session, observed: Observed, to: str) -> Observed:
    inspect.hide_credentials(ctx, observed.namespace)
    stopped = sleeping.quiet(ctx.cluster, observed)
    try:
        return saving.save(ctx, stopped, to)
    except errors.K8sEEError as error:
        who = f"--pr {observed.number} --repository-id {observed.repository_id}"
        backup.advise(error, f"nothing was destroyed, and the app is stopped: try again, or k8s-ee wake {who}")
        raise


def _saved(observed: Observed) -> str:
    place = backups.place(observed)
    return f"its databases are backed up to {place}" if place else "it had no database to back up"


def _ask(ctx: session.Session, observed: Observed) -> Observed:
    """First that it is to go: from here on the janitor goes on if this process does not."""
    now = ctx.now()
    if environment.DESTROY_REQUESTED_AT not in observed.annotations:
        wish = {environment.DESTROY_REQUESTED_AT: now.isoformat(timespec="seconds")}
        written = marks.write(ctx.cluster, observed, wish, reads=(environment.ACTIVE_AT, environment.DEPLOYED_AT))
        if written is None:
            raise cluster.Changed(observed.namespace)
        observed = written
    if _is_on_its_way(ctx, observed):
        return observed
    return securing.ask(ctx.cluster, observed, now)


def _is_on_its_way(ctx: session.Session, observed: Observed) -> bool:
    """One whose backup failed gets another round of attempts."""
    if backups.wanted_at(observed) is None:
        return False
    return backups.standing(observed, ctx.platform.backup.deadline, ctx.now()).kind == "due"
