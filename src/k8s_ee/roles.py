"""The commands that the platform runs by itself, each under an account of its own (k8s/)."""

from __future__ import annotations

import datetime
import functools
import pathlib
from typing import Any

import click

from k8s_ee import options, outcome
from k8s_ee.commands import session

ROLES = click.Group()
command = functools.partial(options.command, ROLES)
_NOW = click.option(
    "--now", type=options.moment, hidden=True, help="For tests: the time of day, ISO 8601 with its zone."
)


@command(
    "janitor",
    (options.option("--repository", help="Only environments of OWNER/NAME."),),
    options.CLUSTER,
    options.PLATFORM,
)
@click.option(
    "--lease/--no-lease",
    default=None,
    envvar="K8S_EE_LEASE",
    show_envvar=True,
    help="Whether to keep out other janitors. [default: yes, but not in a workflow, which has its own concurrency]",
)
@options.option("--metrics-file", type=click.Path(path_type=pathlib.Path), help="For the textfile collector: NAME.prom")
@options.option("--pushgateway", default="", help="Address of a Pushgateway, as in http://HOST:9091")
@_NOW
def janitor(ctx: session.Session, now: datetime.datetime | None, **given: Any) -> outcome.Outcome:
    """One pass over all environments: warn, put to sleep, destroy what is over, say what can't be known."""
    from k8s_ee.commands import janitor as commands

    _stop_clock(ctx, now)
    return commands.janitor(ctx, **given)


@command("keeper", options.CLUSTER, options.PLATFORM, options.S3)
@_NOW
def keeper(ctx: session.Session, now: datetime.datetime | None) -> outcome.Outcome:
    """Back up the databases of every environment that is to be destroyed and has `backup: onDestroy`.

    To where `backup.to` of the platform's settings says. Destroys nothing: that is the janitor's.
    """
    from k8s_ee.commands import keeper as commands

    _stop_clock(ctx, now)
    return commands.keeper(ctx)


@command("responder", options.CLUSTER, options.PLATFORM)
@options.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="For people.")
@options.option(
    "--health-port", type=click.IntRange(1, 65535), default=8081, show_default=True, help="/healthz, /readyz"
)
def responder(ctx: session.Session, port: int, health_port: int) -> outcome.Outcome:
    """Answer where no app does: asleep since when, being deployed, not there. Runs until it is stopped."""
    from k8s_ee.commands import responding as commands

    return commands.answer(ctx, port=port, health_port=health_port)


def _stop_clock(ctx: session.Session, now: datetime.datetime | None) -> None:
    """Raises InputError where that could do harm."""
    if now is not None:
        options.only_for_tests(ctx, "--now")
        ctx.now = lambda: now
