"""cleanup: destroys the environments of one pull request and proves it. Needs nothing of the pull request's files."""

from __future__ import annotations

import json

from k8s_ee import environment, errors, outcome
from k8s_ee.cluster import destroy
from k8s_ee.commands import session


def cleanup(ctx: session.Session, *, project: str = "") -> outcome.Outcome:
    """Raises NotReady when something is left, naming it and who holds it."""
    facts = ctx.settings
    if not facts.number or not facts.repository_id:
        raise errors.InputError(
            "which pull request? --pr and --repository-id are needed",
            hint="in a workflow they come from the pull_request event; elsewhere give them as options",
        )
    found = [
        one for one in ctx.cluster.find(facts.repository_id, facts.number) if not project or one.project == project
    ]
    if ctx.options.dry_run:
        return _report(ctx, "planned", found, receipts=[])
    with ctx.phase("destroy"):
        receipts = session.side_by_side(*(lambda one=one: _destroy(ctx, one) for one in found))
    outcome_ = _report(ctx, "destroyed", found, receipts=[one for one in receipts if isinstance(one, destroy.Receipt)])
    left = [item for one in receipts if isinstance(one, destroy.Receipt) for item in one.left]
    if left:
        raise errors.NotReady(
            f"not everything is gone: {'; '.join(left)}",
            hint="run the same command again once the named blocker is gone; nothing is ever forced",
            evidence=tuple(left),
        )
    return outcome_


def _destroy(ctx: session.Session, observed: environment.Observed) -> destroy.Receipt:
    return destroy.destroy(ctx.cluster, observed, deadline=ctx.deadline, progress=ctx.say)


def _report(
    ctx: session.Session,
    state: outcome.State,
    found: list[environment.Observed],
    *,
    receipts: list[destroy.Receipt],
) -> outcome.Outcome:
    outputs = {
        "namespace": " ".join(one.namespace for one in found),
        "deleted": json.dumps([one.namespace for one in receipts if one.deleted]),
        "left-over": json.dumps([item for one in receipts for item in one.left]),
    }
    if not found:
        ctx.notes.append("nothing to clean up: this pull request has no environment")
    data = {"environments": [{"namespace": one.namespace, "uid": one.uid, "url": one.url} for one in found]}
    return ctx.result("cleanup", state, outputs=outputs, data=data)
