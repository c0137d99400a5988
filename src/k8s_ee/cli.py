"""The command line: options in, a command called, its Outcome out."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable
from typing import Any

import click

import k8s_ee
from k8s_ee import options, outcome, roles
from k8s_ee.commands import session

# Commands are imported inside the functions that call them: `validate` must not pay for the Kubernetes client.


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(k8s_ee.__version__, prog_name="k8s-ee")
@click.pass_context
def main(context: click.Context) -> None:
    """A preview environment on Kubernetes for every pull request.

    \b
    Exit codes: 0 done, 1 a bug of ours, 2 wrong input, 3 refused, 4 the environment did not become
    ready, 5 cluster or GitHub unavailable, 130/143 interrupted.

    \b
    Example (the help of each command has its own):
      k8s-ee validate --help
    """
    context.ensure_object(options.Run)


_WITHOUT_BACKUP = options.option("--without-backup", is_flag=True, help="Whatever `backup` of k8s-ee.yaml says.")

command = functools.partial(options.command, main)


def deploy(name: str, *groups: options.Group) -> Callable[[options.Command], click.Command]:
    """A command that reaches out, and ends what it deployed when its pull request was closed meanwhile."""

    def register(function: options.Command) -> click.Command:
        @functools.wraps(function)
        def unless_closed(ctx: session.Session, **given: Any) -> outcome.Outcome:
            from k8s_ee.commands import closing

            return closing.deploying(ctx, functools.partial(function, ctx, **given))

        return options.command(main, name, *groups, reach_out=True)(unless_closed)

    return register


for role in roles.ROLES.commands.values():
    main.add_command(role)


@command("validate", options.CONFIG, options.FACTS)
def validate(ctx: session.Session) -> outcome.Outcome:
    """Check k8s-ee.yaml: every problem at once, each at its line."""
    from k8s_ee.commands import validate as commands

    return commands.validate(ctx)


@command("render", options.CONFIG, options.FACTS, options.IMAGE)
def render(ctx: session.Session, image: str) -> outcome.Outcome:
    """Print every manifest a deploy would apply."""
    from k8s_ee.commands import validate as commands

    return commands.render(ctx, image=image)


@command("build", options.CONFIG, options.FACTS)
@options.option("--registry", help="REGISTRY/NAME to push to. [default: image.repository of the config]")
@options.option("--registry-username", help="For the push.")
@options.option("--registry-password", help="For the push; give it by its variable.")
@options.option("--registry-insecure", is_flag=True, help="The registry speaks plain HTTP.")
def build(ctx: session.Session, **given: Any) -> outcome.Outcome:
    """Build the app's image, push it and print its digest. Needs no cluster."""
    from k8s_ee.commands import build as commands

    return commands.build_for(ctx, **given)


@deploy("create-namespace", options.CONFIG, options.FACTS, options.CLUSTER)
def create_namespace(ctx: session.Session) -> outcome.Outcome:
    """Create the namespace with its fence: limits, quota, network policies."""
    from k8s_ee.commands import namespace as commands

    return commands.create_namespace(ctx)


@deploy("deploy-db", options.CONFIG, options.FACTS, options.CLUSTER)
def deploy_db(ctx: session.Session) -> outcome.Outcome:
    """Start the databases and wait until each answers an authenticated query."""
    from k8s_ee.commands import databases as commands

    return commands.deploy_db(ctx)


@deploy("deploy-app", options.CONFIG, options.FACTS, options.CLUSTER, options.IMAGE)
def deploy_app(ctx: session.Session, image: str) -> outcome.Outcome:
    """Migrate, roll out, and check the link. What served before goes on serving if that fails."""
    from k8s_ee.commands import app as commands

    return commands.deploy_app(ctx, image=image)


@deploy("up", options.CONFIG, options.FACTS, options.CLUSTER, options.IMAGE)
def up(ctx: session.Session, image: str) -> outcome.Outcome:
    """Bring the whole environment up: namespace, databases, app."""
    from k8s_ee.commands import up as commands

    return commands.up(ctx, image=image)


@command("cleanup", options.FACTS, options.CLUSTER, options.PROJECT, options.S3)
@options.option("--backup-to", default="", help="First back up the databases to a folder, or s3://BUCKET/PREFIX/.")
@_WITHOUT_BACKUP
def cleanup(ctx: session.Session, **given: Any) -> outcome.Outcome:
    """Destroy the environments of a pull request and prove that they are gone.

    One with `backup: onDestroy` is backed up before: by the platform, which then destroys it, or by --backup-to.
    """
    from k8s_ee.commands import cleanup as commands

    return commands.cleanup(ctx, **given)


options.alias(main, cleanup, "down")


@deploy("run", options.CONFIG, options.FACTS, options.CLUSTER)
@options.option(
    "--image", default="", help="What to run: REGISTRY/NAME@sha256:… Not needed when the pull request is closed."
)
@_WITHOUT_BACKUP
def run(ctx: session.Session, *, image: str, without_backup: bool) -> outcome.Outcome:
    """Do what the GitHub event asks: `up` for an open pull request, `cleanup` for a closed one."""
    from k8s_ee.commands import cleanup as cleaning
    from k8s_ee.commands import up as deploying

    if ctx.settings.closed:
        return cleaning.cleanup(ctx, without_backup=without_backup)
    return deploying.up(ctx, image=image)


@command("status", options.FACTS, options.CLUSTER)
def status(ctx: session.Session) -> outcome.Outcome:
    """Show the environments of a pull request and the commit each of them serves."""
    from k8s_ee.commands import inspect as commands

    return commands.status(ctx)


@command("list", (options.option("--repository", help="Only those of OWNER/NAME."),), options.CLUSTER)
def list_environments(ctx: session.Session) -> outcome.Outcome:
    """List every environment of the cluster, or of one repository."""
    from k8s_ee.commands import inspect as commands

    return commands.list_environments(ctx)


@command("logs", options.FACTS, options.CLUSTER)
@options.option("--component", default="app", show_default=True, help="`app`, or a database.")
@options.option("--lines", type=click.IntRange(1, 10000), default=100, show_default=True, help="Per container.")
def logs(ctx: session.Session, component: str, lines: int) -> outcome.Outcome:
    """Show the last log lines of an environment, secrets taken out."""
    from k8s_ee.commands import inspect as commands

    return commands.logs(ctx, component=component, lines=lines)


@command("extend", options.FACTS, options.CLUSTER, options.PLATFORM, options.PROJECT)
@click.argument("duration", type=options.duration)
def extend(ctx: session.Session, duration: datetime.timedelta, project: str) -> outcome.Outcome:
    """Let unused environments of an open pull request stay longer, for DURATION (24h, 3d) more."""
    from k8s_ee.commands import keeping as commands

    return commands.extend(ctx, duration=duration, project=project)


@command("preserve", options.FACTS, options.CLUSTER, options.PLATFORM, options.PROJECT)
@click.argument("duration", type=options.duration, required=False)
def preserve(ctx: session.Session, duration: datetime.timedelta | None, project: str) -> outcome.Outcome:
    """Keep environments for DURATION (48h, 3d) from now, also when the pull request is closed.

    Without DURATION as long as the platform's settings say.
    """
    from k8s_ee.commands import keeping as commands

    return commands.preserve(ctx, duration=duration, project=project)


@command("unpreserve", options.FACTS, options.CLUSTER, options.PLATFORM, options.PROJECT)
def unpreserve(ctx: session.Session, project: str) -> outcome.Outcome:
    """End what `preserve` began: the environment goes with its pull request again."""
    from k8s_ee.commands import keeping as commands

    return commands.unpreserve(ctx, project=project)


@command("sleep", options.FACTS, options.CLUSTER, options.PROJECT)
def sleep(ctx: session.Session, project: str) -> outcome.Outcome:
    """Stop app and databases. The data stays; the next deploy, or `wake`, brings them back."""
    from k8s_ee.commands import resting as commands

    return commands.sleep(ctx, project=project)


@command("wake", options.FACTS, options.CLUSTER, options.PROJECT)
def wake(ctx: session.Session, project: str) -> outcome.Outcome:
    """Start what `sleep` stopped and wait until it is ready: databases first, then the app."""
    from k8s_ee.commands import resting as commands

    return commands.wake(ctx, project=project)


@command("rotate-credentials", options.FACTS, options.CLUSTER, options.PROJECT)
@click.argument("engines", metavar="[DATABASE]...", nargs=-1)
def rotate_credentials(ctx: session.Session, engines: tuple[str, ...], project: str) -> outcome.Outcome:
    """Give databases another password while they run, and start the app anew with it.

    Without DATABASE all that are deployed. Interrupted, the same command or the next deploy goes on.
    """
    from k8s_ee.commands import rotating as commands

    return commands.rotate(ctx, engines=engines, project=project)


@command("reset-db", options.CONFIG, options.FACTS, options.CLUSTER)
@click.argument("engines", metavar="ENGINE...", nargs=-1, required=True)
def reset_db(ctx: session.Session, engines: tuple[str, ...]) -> outcome.Outcome:
    """Empty databases and begin anew: bootstrap, seed, migration. Deletes what is in ENGINE (postgresql, redis …)."""
    from k8s_ee.commands import resetting as commands

    return commands.reset_db(ctx, engines=engines)


@command("backup", options.FACTS, options.CLUSTER, options.PROJECT, options.S3)
@click.argument("engines", nargs=-1)
@options.option(
    "--to", default=".", show_default=True, help="A file that is not there yet, a folder, or s3://BUCKET/KEY"
)
def backup(ctx: session.Session, **given: Any) -> outcome.Outcome:
    """Write databases (ENGINES, else all that are deployed) into one archive that `restore` takes."""
    from k8s_ee.commands import backup as commands

    return commands.backup(ctx, **given)


@command("restore", options.FACTS, options.CLUSTER, options.PROJECT, options.S3)
@click.argument("source")
@click.argument("engines", nargs=-1)
@click.option("--replace", is_flag=True, help="Delete what is in these databases first.")
def restore(ctx: session.Session, **given: Any) -> outcome.Outcome:
    """Load databases (ENGINES, else all) of an archive, SOURCE (a file or s3://BUCKET/KEY), which `backup` wrote."""
    from k8s_ee.commands import restore as commands

    return commands.restore(ctx, **given)


@command("report", options.FACTS)
@options.option("--needs", required=True, help="The `needs` context of the calling job, as JSON.")
def report_jobs(ctx: session.Session, needs: str) -> outcome.Outcome:
    """Write into the pull request what failed in jobs that can't write there themselves."""
    from k8s_ee.commands import jobs as commands

    return commands.report(ctx, needs=needs)


@main.command("completion", help=options.with_example("Print the completion script of a shell.", "completion"))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    from click import shell_completion

    found = shell_completion.get_completion_class(shell)
    assert found is not None  # noqa: S101 - the choice above lists what click has
    click.echo(found(main, {}, "k8s-ee", "_K8S_EE_COMPLETE").source())


@main.command("sandbox", context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Run a real Kubernetes cluster on this machine: up, down, status (Debian, root)."""
    from k8s_ee_sandbox import __main__ as embedded

    raise SystemExit(embedded.main(list(arguments)))
