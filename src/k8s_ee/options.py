"""What all commands of the command line share: their options, the session made of these, how progress is shown.

Every option is also read from `K8S_EE_<OPTION>`, but for those that give data up and are not of an action.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import functools
import math
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

from k8s_ee import errors, examples, outcome, redact, runner, settings
from k8s_ee.commands import session

Command = Callable[..., outcome.Outcome]
Group = tuple[Callable[[Command], Command], ...]


def duration(value: str) -> datetime.timedelta:
    """`90m`, `24h`, `7d`. Raises BadParameter."""
    from k8s_ee.config import durations

    try:
        found = durations.parse(value)
    except errors.InputError:
        found = None
    if found is None:
        raise click.BadParameter(f"{value!r} is not a length of time: a number and m, h or d, as in 24h")
    return found


def moment(value: str) -> datetime.datetime:
    """Raises BadParameter."""
    try:
        found: datetime.datetime | None = datetime.datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise click.BadParameter(f"{value!r} is not a time as in 2026-01-31T12:00:00+00:00")
    return found


def only_for_tests(ctx: session.Session, option: str) -> None:
    """Every real GitHub speaks TLS. Raises InputError unless this one does not, or nothing would be done anyway."""
    if ctx.settings.api_url.startswith("https:") and not ctx.options.dry_run:
        raise errors.InputError(f"{option} is for tests, and for looking ahead", hint="add --dry-run")


@dataclasses.dataclass
class Run:
    """What outlives the parsing: how to print the outcome, and the session whose journal a failure is reported from."""

    output: str = "text"
    debug: bool = False
    command: str = ""
    session: session.Session | None = None


def option(name: str, **attributes: Any) -> Callable[[Command], Command]:
    variable = "K8S_EE_" + name.removeprefix("--").upper().replace("-", "_")
    return click.option(name, envvar=variable, show_envvar=True, **attributes)


FACTS = (
    option("--pr", type=click.IntRange(1), help="Number of the pull request."),
    option("--repository", help="OWNER/NAME of the consumer repository."),
    option("--repository-id", type=click.IntRange(1), help="Its numeric id on GitHub."),
    option("--owner-id", type=click.IntRange(1), help="Numeric id of its owner."),
    option("--head-sha", help="Commit of the pull request's head, 40 hex digits."),
    option("--branch", help="Name of the pull request's branch."),
)
CLUSTER = (
    option("--kubeconfig", help="Path of a kubeconfig, or its content."),
    option("--context", help="Context of the kubeconfig."),
)
_MOST_SECONDS = 7 * 86400.0


def _seconds(_context: click.Context, _parameter: click.Parameter, value: float | None) -> float | None:
    """Nothing is less or more than `nan`: it would pass for any number, and no deadline would ever come."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("nan is not a number of seconds")
    return value


COMMON = (
    option("--dry-run", is_flag=True, help="Say what would happen; the API server checks it, nothing is kept."),
    option(
        "--timeout",
        type=click.FloatRange(1, _MOST_SECONDS),
        callback=_seconds,
        show_default="600; more for a build, a seed, a migration, or what a startupSeconds needs",
        help="Seconds for all of it.",
    ),
)
PLATFORM = (option("--platform-file", type=click.Path(path_type=pathlib.Path), help="Platform settings from a file."),)
CONFIG = (
    option(
        "--config-path",
        type=click.Path(path_type=pathlib.Path),
        default="k8s-ee.yaml",
        show_default=True,
        help="The environment's description.",
    ),
    *PLATFORM,
)
OUTPUT = (
    option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="On stdout."),
    option("--debug", is_flag=True, help="Show the traceback of an error."),
)
S3 = (option("--s3-endpoint", help="Of a storage that is not Amazon's, as in https://s3.example.com"),)
PROJECT = (option("--project", default="", help="Only this project's environment. [default: all of the pull request]"),)


def _image(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """At a terminal a forgotten one is misuse; one that a workflow handed on empty is told of in the pull request."""
    if value or context.resilient_parsing or settings.environ().get("GITHUB_EVENT_NAME"):
        return value
    raise click.MissingParameter(ctx=context, param=parameter)


IMAGE = (option("--image", required=True, default="", callback=_image, help="What to run: REGISTRY/NAME@sha256:…"),)


def command(
    program: click.Group, name: str, *groups: Group, reach_out: bool = False
) -> Callable[[Command], click.Command]:
    """Registers `function(session, **own options)`; the options of `groups` and the common ones go into the session.

    `reach_out`: it will need the cluster, so connections are opened while its code is loaded.
    """

    def register(function: Command) -> click.Command:
        shared = [one for group in (*groups, COMMON, OUTPUT) for one in group]

        @functools.wraps(function)
        def wrapped(**given: Any) -> outcome.Outcome:
            run = click.get_current_context().find_object(Run) or Run()
            run.command, run.output, run.debug = name, given.pop("output"), given.pop("debug")
            is_document = run.output == "json" or name == "render"
            run.session, own = _session(given, commands_to=sys.stderr if is_document else sys.stdout)
            if reach_out:
                run.session.reach_out()
            return function(run.session, **own)

        for decorate in reversed(shared):
            wrapped = decorate(wrapped)  # type: ignore[assignment]
        return program.command(name, help=with_example(str(function.__doc__), name))(wrapped)

    return register


def alias(program: click.Group, known: click.Command, name: str) -> None:
    """The same under another name, which its example has, too."""
    same = copy.copy(known)
    same.help = str(known.help).replace(f"k8s-ee {known.name}", f"k8s-ee {name}")
    program.add_command(same, name)


def with_example(text: str, name: str) -> str:
    """The whole help of a command."""
    return f"{text}\n\n\b\nExample:\n  {examples.EXAMPLES[name]}"


_FACTS = ("pr", "repository", "repository_id", "owner_id", "head_sha", "branch")
_SETTINGS = (*_FACTS, "kubeconfig", "context", "s3_endpoint")


def _session(given: dict[str, Any], *, commands_to: TextIO) -> tuple[session.Session, dict[str, Any]]:
    """`commands_to` is where the runner reads its commands: it listens to both, and a document must stay alone."""
    facts: Mapping[str, str] = {
        f"K8S_EE_{key.upper()}": str(value) for key in _SETTINGS if (value := given.pop(key, None)) is not None
    }
    found = settings.Settings.from_environ(settings.environ(facts))
    options = session.Options(
        **{key: given.pop(key) for key in ("config_path", "platform_file", "timeout", "dry_run") if key in given}
    )
    hidden = redact.Redactor(found.secrets)
    protocol = runner.Runner(found, stream=commands_to, redacted=hidden.redact)
    say = _progress(hidden.redact)
    return session.Session(settings=found, options=options, runner=protocol, say=say, redactor=hidden), given


def _progress(redacted: Callable[[str], str]) -> Callable[[str], None]:
    started, colour = time.monotonic(), sys.stderr.isatty() and settings.colours()

    def say(text: str) -> None:
        stamp = click.style(f"{time.monotonic() - started:6.1f}s", dim=True) if colour else ""
        runner.write(sys.stderr, f"{stamp or f'{time.monotonic() - started:6.1f}s'} {redacted(text)}\n")

    return say
