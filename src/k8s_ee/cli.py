"""The command line: options in, a command called, its Outcome out. Every option is also read from `K8S_EE_<OPTION>`."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import click

import k8s_ee
from k8s_ee import examples, outcome, runner, settings
from k8s_ee.commands import session

# Commands are imported inside the functions that call them: `validate` must not pay for the Kubernetes client.

Command = Callable[..., outcome.Outcome]


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


_FACTS = (
    option("--pr", type=click.IntRange(1), help="Number of the pull request."),
    option("--repository", help="OWNER/NAME of the consumer repository."),
    option("--repository-id", type=click.IntRange(1), help="Its numeric id on GitHub."),
    option("--owner-id", type=click.IntRange(1), help="Numeric id of its owner."),
    option("--head-sha", help="Commit of the pull request's head, 40 hex digits."),
    option("--branch", help="Name of the pull request's branch."),
)
_CLUSTER = (
    option("--kubeconfig", help="Path of a kubeconfig, or its content."),
    option("--context", help="Context of the kubeconfig."),
)
_COMMON = (
    option("--dry-run", is_flag=True, help="Say what would happen; the API server checks it, nothing is kept."),
    option("--timeout", type=click.FloatRange(1), default=600, show_default=True, help="Seconds for all of it."),
)
_CONFIG = (
    option(
        "--config-path",
        type=click.Path(path_type=pathlib.Path),
        default="k8s-ee.yaml",
        show_default=True,
        help="The environment's description.",
    ),
    option("--platform-file", type=click.Path(path_type=pathlib.Path), help="Platform settings from a file."),
)
_OUTPUT = (
    option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="On stdout."),
    option("--debug", is_flag=True, help="Show the traceback of an error."),
)
_IMAGE = (option("--image", required=True, help="What to run: REGISTRY/NAME@sha256:…"),)


def command(name: str, *groups: tuple[Callable[[Command], Command], ...]) -> Callable[[Command], click.Command]:
    """Registers `function(session, **own options)`; the options of `groups` and the common ones go into the session."""

    def register(function: Command) -> click.Command:
        shared = [one for group in (*groups, _COMMON, _OUTPUT) for one in group]

        @functools.wraps(function)
        def wrapped(**given: Any) -> outcome.Outcome:
            run = click.get_current_context().find_object(Run) or Run()
            run.command, run.output, run.debug = name, given.pop("output"), given.pop("debug")
            run.session, own = _session(given, commands_to=sys.stderr if run.output == "json" else sys.stdout)
            return function(run.session, **own)

        for decorate in reversed(shared):
            wrapped = decorate(wrapped)  # type: ignore[assignment]
        example = examples.EXAMPLES[name]
        return main.command(name, help=f"{function.__doc__}\n\n\b\nExample:\n  {example}")(wrapped)

    return register


_SETTINGS = ("pr", "repository", "repository_id", "owner_id", "head_sha", "branch", "kubeconfig", "context")


def _session(given: dict[str, Any], *, commands_to: TextIO) -> tuple[session.Session, dict[str, Any]]:
    """`commands_to` is where the runner reads its commands: it listens to both, and a document must stay alone."""
    facts: Mapping[str, str] = {
        f"K8S_EE_{key.upper()}": str(value) for key in _SETTINGS if (value := given.pop(key, None)) is not None
    }
    found = settings.Settings.from_environ(settings.environ(facts))
    options = session.Options(
        **{key: given.pop(key) for key in ("config_path", "platform_file", "timeout", "dry_run") if key in given}
    )
    protocol = runner.Runner(found, stream=commands_to)
    return session.Session(settings=found, options=options, runner=protocol, say=_progress()), given


def _progress() -> Callable[[str], None]:
    started, colour = time.monotonic(), sys.stderr.isatty() and settings.colours()

    def say(text: str) -> None:
        stamp = click.style(f"{time.monotonic() - started:6.1f}s", dim=True) if colour else ""
        click.echo(f"{stamp or f'{time.monotonic() - started:6.1f}s'} {text}", err=True)

    return say


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(k8s_ee.__version__, prog_name="k8s-ee")
@click.pass_context
def main(context: click.Context) -> None:
    """A preview environment on Kubernetes for every pull request.

    \b
    Exit codes: 0 done, 2 wrong input, 3 refused, 4 the environment did not become ready,
    5 cluster or GitHub unavailable, 130/143 interrupted.
    """
    context.ensure_object(Run)


@command("validate", _CONFIG, _FACTS)
def validate(ctx: session.Session) -> outcome.Outcome:
    """Check k8s-ee.yaml: every problem at once, each at its line."""
    from k8s_ee.commands import validate as commands

    return commands.validate(ctx)


@command("render", _CONFIG, _FACTS, _IMAGE)
def render(ctx: session.Session, image: str) -> outcome.Outcome:
    """Print every manifest a deploy would apply."""
    from k8s_ee.commands import validate as commands

    return commands.render(ctx, image=image)


@command("build", _CONFIG, _FACTS)
@option("--registry", help="REGISTRY/NAME to push to. [default: image.repository of the config]")
@option("--registry-username", help="For the push.")
@option("--registry-password", help="For the push; give it by its variable.")
@option("--registry-insecure", is_flag=True, help="The registry speaks plain HTTP.")
def build(ctx: session.Session, **given: Any) -> outcome.Outcome:
    """Build the app's image, push it and print its digest. Needs no cluster."""
    from k8s_ee.commands import build as commands

    return commands.build_for(ctx, **given)


@command("create-namespace", _CONFIG, _FACTS, _CLUSTER)
def create_namespace(ctx: session.Session) -> outcome.Outcome:
    """Create the namespace with its fence: limits, quota, network policies."""
    from k8s_ee.commands import namespace as commands

    return commands.create_namespace(ctx)


@command("deploy-db", _CONFIG, _FACTS, _CLUSTER)
def deploy_db(ctx: session.Session) -> outcome.Outcome:
    """Start the databases and wait until each answers an authenticated query."""
    from k8s_ee.commands import databases as commands

    return commands.deploy_db(ctx)


@command("deploy-app", _CONFIG, _FACTS, _CLUSTER, _IMAGE)
def deploy_app(ctx: session.Session, image: str) -> outcome.Outcome:
    """Migrate, roll out, and check the link. What served before goes on serving if that fails."""
    from k8s_ee.commands import app as commands

    return commands.deploy_app(ctx, image=image)


@command("up", _CONFIG, _FACTS, _CLUSTER, _IMAGE)
def up(ctx: session.Session, image: str) -> outcome.Outcome:
    """Bring the whole environment up: namespace, databases, app."""
    from k8s_ee.commands import up as commands

    return commands.up(ctx, image=image)


@command("cleanup", _FACTS, _CLUSTER)
@option("--project", default="", help="Only this project's environment. [default: all of the pull request]")
def cleanup(ctx: session.Session, project: str) -> outcome.Outcome:
    """Destroy the environments of a pull request and prove that they are gone."""
    from k8s_ee.commands import cleanup as commands

    return commands.cleanup(ctx, project=project)


main.add_command(cleanup, "down")


@command("run", _CONFIG, _FACTS, _CLUSTER)
@option("--image", default="", help="What to run: REGISTRY/NAME@sha256:… Not needed when the pull request is closed.")
def run(ctx: session.Session, image: str) -> outcome.Outcome:
    """Do what the GitHub event asks: `up` for an open pull request, `cleanup` for a closed one."""
    from k8s_ee.commands import cleanup as cleaning
    from k8s_ee.commands import up as deploying

    return cleaning.cleanup(ctx) if ctx.settings.closed else deploying.up(ctx, image=image)


@command("status", _FACTS, _CLUSTER)
def status(ctx: session.Session) -> outcome.Outcome:
    """Show the environments of a pull request and the commit each of them serves."""
    from k8s_ee.commands import inspect as commands

    return commands.status(ctx)


@command("list", (option("--repository", help="Only those of OWNER/NAME."),), _CLUSTER)
def list_environments(ctx: session.Session) -> outcome.Outcome:
    """List every environment of the cluster, or of one repository."""
    from k8s_ee.commands import inspect as commands

    return commands.list_environments(ctx)


@command("logs", _FACTS, _CLUSTER)
@option("--component", default="app", show_default=True, help="`app`, or a database.")
@option("--lines", type=click.IntRange(1, 10000), default=100, show_default=True, help="Per container.")
def logs(ctx: session.Session, component: str, lines: int) -> outcome.Outcome:
    """Show the last log lines of an environment, secrets taken out."""
    from k8s_ee.commands import inspect as commands

    return commands.logs(ctx, component=component, lines=lines)


@command("report", _FACTS)
@option("--needs", required=True, help="The `needs` context of the calling job, as JSON.")
def report_jobs(ctx: session.Session, needs: str) -> outcome.Outcome:
    """Write into the pull request what failed in jobs that can't write there themselves."""
    from k8s_ee.commands import jobs as commands

    return commands.report(ctx, needs=needs)


@main.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Example:
      k8s-ee completion bash > ~/.local/share/bash-completion/completions/k8s-ee
    """
    from click import shell_completion

    found = shell_completion.get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choice above lists what click has
    click.echo(found(main, {}, "k8s-ee", "_K8S_EE_COMPLETE").source())


@main.command("sandbox", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run a real Kubernetes cluster on this machine: up, down, status (Linux, root)."""
    from k8s_ee_sandbox import __main__ as embedded

    raise SystemExit(embedded.main(list(arguments)))
