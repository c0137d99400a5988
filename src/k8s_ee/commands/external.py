"""Databases that are there already: what the app needs to find them is in a Secret that its team provides."""

from __future__ import annotations

import functools
import time
from typing import Any

from k8s_ee import errors, plan
from k8s_ee.cluster import kinds, pool
from k8s_ee.commands import secrecy, session
from k8s_ee.config import model, problems, rules

Manifest = dict[str, Any]

_EVERY = 1.0


def wait(ctx: session.Session) -> None:
    """Until each Secret is there, which whoever copies it into new namespaces may take a while for.

    Raises ConfigError, at its line, for one that is missing or has not all variables.
    """
    if not ctx.options.dry_run:
        pool.side_by_side([functools.partial(_wait, ctx, one) for one in ctx.config.external])


def hide_credentials(ctx: session.Session, namespace: str) -> None:
    """Of the databases that its app as it runs waits for. Raises Refused when one may not be read."""
    app = ctx.cluster.get("Deployment", plan.APP, namespace) or {"spec": {"template": {"spec": {}}}}
    for volume in app["spec"]["template"]["spec"].get("volumes") or []:
        engine, name = plan.ENGINES.get(volume["name"]), (volume.get("secret") or {}).get("secretName")
        if engine and name and not name.startswith(f"{engine.name}-credentials-v"):  # which is ours
            found = ctx.cluster.get("Secret", name, namespace)
            if found:
                secrecy.hide(ctx, engine, secrecy.decoded(found))


def _wait(ctx: session.Session, wanted: model.Database) -> None:
    # Nobody gives us the right to watch other people's Secrets.
    until = min(ctx.deadline, time.monotonic() + wanted.startup_seconds)
    while (lacking := _lacking(ctx, wanted)) is None and time.monotonic() < until:
        time.sleep(_EVERY)
    names = ", ".join(plan.ENGINES[wanted.engine].env(""))
    if lacking is None:
        _fail(ctx, wanted, f"there is no Secret `{wanted.external}` in namespace {ctx.target().namespace}", names)
    elif lacking:
        _fail(ctx, wanted, f"the Secret `{wanted.external}` has no {', '.join(lacking)}", names)


def _lacking(ctx: session.Session, wanted: model.Database) -> list[str] | None:
    """Variables that are not in the Secret, as far as that may be known; None while there is no such Secret."""
    try:
        values = _read(ctx, wanted)
    except errors.Refused:
        return [] if _is_there(ctx, wanted) else None
    return None if values is None else [name for name in plan.ENGINES[wanted.engine].env("") if name not in values]


def _read(ctx: session.Session, wanted: model.Database) -> dict[str, str] | None:
    found = ctx.cluster.get("Secret", wanted.external, ctx.target().namespace)
    if found is None:
        return None
    values = secrecy.decoded(found)
    secrecy.hide(ctx, plan.ENGINES[wanted.engine], values)
    return values


def _is_there(ctx: session.Session, wanted: model.Database) -> bool:
    """Who may create a Secret but not read it is told whether the name is taken; nothing is created."""
    manifest = plan.logins.login(plan.ENGINES[wanted.engine], ctx.target(), token=str)
    manifest["metadata"]["name"] = wanted.external
    answer = ctx.cluster.write(
        "POST",
        kinds.kind("Secret").path(namespace=ctx.target().namespace),
        what=f"Secret {wanted.external}",
        body=manifest,
        query={"dryRun": "All"},
        expected={409},
    )
    return answer.status == 409


def _fail(ctx: session.Session, wanted: model.Database, message: str, names: str) -> None:
    found = problems.Problems(ctx.config.path)
    key = f"databases.{wanted.engine}.external.secretName"
    rules.add([rules.Finding(key, message, f"its keys are the app's variables: {names}")], ctx.config, found)
    found.raise_if_any()
