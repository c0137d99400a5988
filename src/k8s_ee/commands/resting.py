"""sleep and wake: an environment that is not needed now stops, keeps its data, and comes back as it was."""

from __future__ import annotations

import contextlib
import functools
import time

from k8s_ee import environment, errors, outcome, plan
from k8s_ee.cluster import pool, sleeping, waiting
from k8s_ee.commands import inspect, keeping, session

_ENDING_SECONDS = 60.0
_ENDPOINT_SECONDS = 10.0


def sleep(ctx: session.Session, *, project: str = "") -> outcome.Outcome:
    """Stops app and databases. Raises Refused when it is being destroyed, or deployed at the same time."""
    found = keeping.chosen(ctx, project)
    with ctx.phase("sleep"):
        rows = pool.side_by_side([functools.partial(_sleep, ctx, one) for one in found])
    return keeping.result(ctx, "sleep", "sleeping", rows)


def wake(ctx: session.Session, *, project: str = "") -> outcome.Outcome:
    """Starts databases, then app. Raises NotReady with the cause when something does not start, else as `sleep`."""
    found = keeping.chosen(ctx, project)
    for one in found:
        inspect.hide_credentials(ctx, one.namespace)
    with ctx.phase("wake"):
        rows = pool.side_by_side([functools.partial(_wake, ctx, one) for one in found])
    return keeping.result(ctx, "wake", "awake", rows)


def _sleep(ctx: session.Session, observed: environment.Observed) -> keeping.Row:
    asleep = sleeping.sleep(ctx.cluster, observed, ctx.now())
    deadline = min(ctx.deadline, time.monotonic() + _ENDING_SECONDS)
    left = sleeping.stopped(ctx.cluster, asleep.namespace, deadline=deadline)
    if left:
        ctx.notes.append(f"still ending in {asleep.namespace}: {', '.join(left)}")
    return keeping.row(asleep, until=asleep.asleep_since)


def _wake(ctx: session.Session, observed: environment.Observed) -> keeping.Row:
    awake = sleeping.wake(
        ctx.cluster, observed, ctx.now(), deadline=ctx.deadline, progress=ctx.say, redact=ctx.redactor.redact
    )
    if awake is observed:
        ctx.notes.append(f"{observed.namespace} was awake")
    elif awake.head_sha:  # The pods are ready; their endpoints follow.
        deadline = min(ctx.deadline, time.monotonic() + _ENDPOINT_SECONDS)
        with contextlib.suppress(errors.NotReady):
            waiting.served(ctx.cluster, awake.namespace, plan.APP, awake.head_sha, deadline=deadline)
    return keeping.row(awake, until=None, commit=keeping.serving(ctx, awake))
