"""cleanup: destroys the environments of one pull request and proves it. Needs nothing of the pull request's files."""

from __future__ import annotations

import functools
import json

from k8s_ee import cluster, environment, errors, outcome
from k8s_ee.cluster import pool
from k8s_ee.commands import admission, room, session

_ATTEMPTS = 5


def cleanup(ctx: session.Session, *, project: str = "") -> outcome.Outcome:
    """Raises NotReady when something is left, naming it and who holds it, and Refused when it was reopened."""
    refusal = admission.may_destroy(ctx)
    if refusal:
        return ctx.skipped("cleanup", refusal)
    found = [one for one in ctx.observed_environments() if not project or one.project == project]
    ctx.outputs |= {"namespace": " ".join(one.namespace for one in found), "deleted": "[]", "left-over": "[]"}
    if not found:
        ctx.notes.append("nothing to clean up: this pull request has no environment")
    if ctx.options.dry_run:
        return _result(ctx, "planned", found, receipts=[], project=project)
    with ctx.phase("destroy"):
        receipts = pool.side_by_side([functools.partial(_destroy, ctx, one) for one in found])
    room.give_back(ctx, receipts)
    left = tuple(item for one in receipts for item in one.left)
    deleted = [one.namespace for one in receipts if one.deleted]
    ctx.outputs |= {"deleted": json.dumps(deleted), "left-over": json.dumps(left)}
    if left:
        raise errors.NotReady(
            f"not everything is gone: {'; '.join(left)}",
            hint="run the same command again once the named blocker is gone; nothing is ever forced",
            evidence=left,
        )
    return _result(ctx, "destroyed", found, receipts=receipts, project=project)


def _destroy(ctx: session.Session, observed: environment.Observed) -> cluster.Receipt:
    """Decides anew when somebody wrote to the environment in between: a deploy that ends just now does."""
    for _attempt in range(_ATTEMPTS):
        try:
            return cluster.destroy.destroy(ctx.cluster, observed, deadline=ctx.deadline, progress=ctx.say)
        except cluster.Changed:
            refusal = admission.may_destroy(ctx)
            if refusal:
                raise errors.Refused(refusal) from None
            observed = next((one for one in ctx.observed_environments() if one.uid == observed.uid), observed)
    return cluster.destroy.destroy(ctx.cluster, observed, deadline=ctx.deadline, progress=ctx.say)


def _result(
    ctx: session.Session,
    state: outcome.State,
    found: list[environment.Observed],
    *,
    receipts: list[cluster.Receipt],
    project: str,
) -> outcome.Outcome:
    gone = {
        "environments": [{"namespace": one.namespace, "uid": one.uid} for one in found],
        "project": project,
        "volumes": [volume for one in receipts for volume in one.volumes],
    }
    return ctx.result("cleanup", state, outputs=ctx.outputs, data=gone)
