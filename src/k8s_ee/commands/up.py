"""up: namespace, databases and app in one process, each as early as it can be."""

from __future__ import annotations

import functools
import time

from k8s_ee import outcome
from k8s_ee.cluster import pool
from k8s_ee.commands import admission, databases, session


def up(ctx: session.Session, *, image: str) -> outcome.Outcome:
    """Raises what the single steps raise; whatever happened, the next run goes on from there."""
    refusal = admission.check(ctx)
    if refusal:
        return ctx.skipped("up", refusal)
    started = time.monotonic()
    ctx.target()  # From here on a failure is told of in the environment's comment.
    with pool.beside(functools.partial(databases.render, ctx)) as stores:
        # Read while Helm works on that: either takes a tenth of a second, and until then nothing has been begun.
        from k8s_ee.commands import whole

        return whole.deploy(ctx, stores, image=image, started=started)
