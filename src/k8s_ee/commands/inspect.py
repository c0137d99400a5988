"""status, list and logs: what is there, as the cluster has it now."""

from __future__ import annotations

import dataclasses
from typing import Any

from k8s_ee import backups, environment, errors, outcome, plan
from k8s_ee import cluster as kube
from k8s_ee.commands import external, logins, session


def list_environments(ctx: session.Session) -> outcome.Outcome:
    wanted = ctx.settings.repository
    found = [one for one in kube.environments(ctx.cluster) if not wanted or one.repository == wanted]
    return ctx.result("list", "listed", data={"environments": [_row(one) for one in found]})


def status(ctx: session.Session) -> outcome.Outcome:
    """Raises InputError when the pull request has no environment."""
    rows = []
    for one in _mine(ctx):
        served = sorted(kube.serving(ctx.cluster, one.namespace, plan.APP))
        rows.append({**_row(one), "serving": served})
    return ctx.result("status", "listed", data={"environments": rows})


def logs(ctx: session.Session, *, component: str, lines: int) -> outcome.Outcome:
    """The last lines of each container of one component, redacted."""
    mine = _mine(ctx)
    for one in mine:
        hide_credentials(ctx, one.namespace)
    found = [
        log
        for one in mine
        for log in kube.logs(ctx.cluster, one.namespace, component, lines=lines, redact=ctx.redactor.redact)
    ]
    shown = [f"{log.pod}/{log.container} | {line}" for log in found for line in log.lines]
    return ctx.result("logs", "listed", data={"logs": [dataclasses.asdict(log) for log in found], "lines": shown})


def hide_credentials(ctx: session.Session, namespace: str) -> None:
    refused = False
    for hide in (logins.read, external.hide_credentials):
        try:
            hide(ctx, namespace)
        except errors.Refused:  # as for a developer, who may see logs and no Secrets
            refused = True
    if refused:
        ctx.notes.append(f"the passwords of {namespace} may not be read, and so could not be taken out")


def _mine(ctx: session.Session) -> list[environment.Observed]:
    found = ctx.observed_environments()
    if not found:
        raise errors.InputError(
            f"pull request {ctx.settings.number} of repository {ctx.settings.repository_id} has no environment",
            hint="k8s-ee list shows what is there",
        )
    return found


def _row(one: environment.Observed) -> dict[str, Any]:
    return {
        "namespace": one.namespace,
        "repository": one.repository,
        "pr": one.number,
        "state": _state(one),
        "commit": one.head_sha,
        "url": one.url,
        "created": one.created_at.isoformat(),
        "deployed": one.annotations.get(environment.DEPLOYED_AT, ""),
        "preserved": one.annotations.get(environment.PRESERVED_UNTIL, ""),
    }


def _state(one: environment.Observed) -> str:
    if one.terminating:
        return "terminating"
    if environment.BACKUP_FAILED_AT in one.annotations:
        return "backup-failed"
    if backups.wanted_at(one) is not None:
        return "backing-up"
    return "asleep" if one.asleep_since else "live"
