"""sleep and wake: an environment that is not needed now stops, keeps its data, and comes back as it was."""

from __future__ import annotations

import contextlib
import functools
import time
import urllib.parse

from k8s_ee import environment, errors, outcome, plan
from k8s_ee.cluster import pool, routing, sleeping
from k8s_ee.commands import app, inspect, keeping, room, session

_ENDING_SECONDS = 60.0


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
    asleep = room.sleep(ctx, observed)
    deadline = min(ctx.deadline, time.monotonic() + _ENDING_SECONDS)
    left = sleeping.stopped(ctx.cluster, asleep.namespace, deadline=deadline)
    if left:
        ctx.notes.append(f"still ending in {asleep.namespace}: {', '.join(left)}")
    return keeping.row(asleep, until=asleep.asleep_since)


def _wake(ctx: session.Session, observed: environment.Observed) -> keeping.Row:
    room.wake(ctx, observed)
    awake = sleeping.wake(
        ctx.cluster, observed, ctx.now(), deadline=ctx.deadline, progress=ctx.say, redact=ctx.redactor.redact
    )
    if awake is observed:
        ctx.notes.append(f"{observed.namespace} was awake")
    else:
        _link(ctx, awake)
    return keeping.row(awake, until=None, commit=keeping.serving(ctx, awake))


def _link(ctx: session.Session, awake: environment.Observed) -> None:
    """Awake is what can be used: its ingress controller has taken over the route, too. Raises NotReady if not."""
    path = _health_path(ctx, awake)
    if ctx.options.dry_run or not path or not routing.leading(ctx.cluster, awake.namespace):
        return
    address = ""
    with contextlib.suppress(*errors.ONE_OF_MANY):  # whoever may not read the settings asks by name
        address = ctx.platform.ingress.address
    link = urllib.parse.urlsplit(awake.url)
    target = environment.Environment(
        project=awake.project,
        number=awake.number,
        repository=awake.repository,
        repository_id=awake.repository_id,
        domain=(link.hostname or "").removeprefix(f"{awake.namespace}."),
        scheme=link.scheme,
    )
    app.reachable(ctx, target, path=path, address=address)


def _health_path(ctx: session.Session, awake: environment.Observed) -> str:
    """Of the app as it runs; empty when it has none."""
    found = ctx.cluster.get("Deployment", plan.APP, awake.namespace) or {"spec": {"template": {"spec": {}}}}
    for container in found["spec"]["template"]["spec"].get("containers") or []:
        asked = (container.get("readinessProbe") or {}).get("httpGet") or {}
        if asked.get("path"):
            return str(asked["path"])
    return ""
