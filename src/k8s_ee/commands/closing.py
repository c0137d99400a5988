"""Deploys whose pull request is closed meanwhile leave nothing behind.

Who closes it may look for an environment before there is one, or wait for one to go that the deploy then makes anew.
"""

from __future__ import annotations

from collections.abc import Callable

from k8s_ee import errors, outcome
from k8s_ee.commands import admission, session


def deploying(ctx: session.Session, deploy: Callable[[], outcome.Outcome]) -> outcome.Outcome:
    """What `deploy` comes to; of a closed pull request, which can only fail or be skipped, the end of its environment.

    Raises what `deploy` does, and what cleaning up does.
    """
    try:
        done = deploy()
    except (errors.Interrupted, errors.Superseded):
        raise
    except errors.K8sEEError as error:
        ended = _ended(ctx)
        if ended is None:
            raise
        ctx.notes.append(f"its deploy had failed: {error.message}")
        return ctx.result("cleanup", ended.state, outputs=ended.outputs, data=ended.data)
    return (_ended(ctx) if done.state == "skipped" else None) or done


def _ended(ctx: session.Session) -> outcome.Outcome | None:
    """None where the pull request is open, or nobody can say, and where its environment stays."""
    if ctx.settings.closed or ctx.options.dry_run:
        return None
    try:
        decision = admission.obsolete(ctx)
    except errors.ONE_OF_MANY:
        return None
    if decision is None or decision.kind != "closed":
        return None
    ctx.notes.append("the pull request was closed while it was being deployed")
    from k8s_ee.commands import cleanup  # Not needed to begin: `up` reads it while Helm works.

    ended = cleanup.cleanup(ctx, project=ctx.config.project, closed=True)
    return None if ended.state == "skipped" else ended
