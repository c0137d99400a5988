"""Tells everybody what happened: the runner, the pull request, the deployments. A good deploy never fails of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from k8s_ee import environment, errors, outcome, report
from k8s_ee.commands import session

if TYPE_CHECKING:
    from k8s_ee import github as githubs

_COMMENTED = frozenset({"create-namespace", "deploy-db", "deploy-app", "up", "run", "cleanup", "report"})
_ON_REQUEST = frozenset({"preserve", "unpreserve", "extend", "sleep", "wake"})
_DEPLOYS = frozenset({"deploy-app", "up"})
_STATUS: Mapping[outcome.State, Literal["in_progress", "success", "failure"]] = {
    "deploying": "in_progress",
    "ready": "success",
    "failed": "failure",
}
_HANDED_ON = 5
_QUIET = frozenset({"skipped", "planned", "valid", "built", "listed"})


def failure(
    ctx: session.Session | None, error: errors.K8sEEError, *, command: str, cut: errors.Interrupted | None = None
) -> outcome.Outcome:
    """The Outcome of a command that raised. `cut` came while this was asked before: the cluster is not asked again."""
    if ctx and isinstance(error, errors.Superseded):
        return ctx.skipped(command, error.message)
    reason = outcome.Failure(
        message=error.message,
        hint=error.hint,
        evidence=error.evidence if isinstance(error, errors.NotReady) else (),
        exit_code=(cut or error).exit_code,
    )
    problems = error.problems if isinstance(error, (errors.ConfigError, errors.NotReady)) else ()
    if ctx is None:
        return outcome.Outcome(command=command, state="failed", failure=reason, problems=problems)
    if isinstance(cut or error, errors.Interrupted) and ctx.github:
        ctx.github.hurry()
    return ctx.result(
        command,
        "failed",
        failure=reason,
        problems=problems,
        serving_sha="" if cut else _serving(ctx, error),
        outputs={"failure": _line(error), "url": "", "namespace": _concerned(ctx, error), **ctx.outputs},
    )


def _serving(ctx: session.Session, error: errors.K8sEEError) -> str:
    """The one commit behind the Service now; empty when that can't be seen, or when nothing or several serve."""
    if not ctx.observed or not ctx.observed.head_sha or isinstance(error, errors.Unavailable):
        return ""
    from k8s_ee import cluster, plan

    try:
        seen = cluster.serving(ctx.cluster, ctx.observed.namespace, plan.APP)
    except errors.ONE_OF_MANY:
        return ""
    return next(iter(seen)) if len(seen) == 1 else ""


def hand_on(ctx: session.Session | None, result: outcome.Outcome) -> outcome.Failure | None:
    """Outputs and summary for the runner; why a step after this one would miss the outputs. Nobody misses a summary."""
    if ctx is None:
        return None
    try:
        ctx.runner.summary(report.summary(result, _facts(ctx, result)))
    except errors.InputError as error:
        ctx.say(f"warning: {error.message}: {error.hint}")
    try:
        ctx.runner.outputs(result.outputs)
    except errors.InputError as error:
        return outcome.Failure(message=error.message, hint=error.hint, exit_code=error.exit_code)
    return None


def publish(ctx: session.Session | None, result: outcome.Outcome) -> None:
    """Annotations for the runner, then comment and deployment."""
    if ctx is None:
        return
    ctx.runner.problems(result.problems)
    if result.failure and result.command != "report":
        ctx.runner.error(_sentence(result.failure), title=f"k8s-ee {result.command}")
    elif result.notes and result.state in {"skipped", "valid"}:
        ctx.runner.notice("; ".join(result.notes), title=f"k8s-ee {result.command}")
    if _is_news(result):
        _tell_github(ctx, result, _facts(ctx, result))


def _facts(ctx: session.Session, result: outcome.Outcome) -> report.Facts:
    return report.facts(ctx.settings, namespace=_namespace(ctx) or result.outputs.get("namespace", ""))


def _is_news(result: outcome.Outcome) -> bool:
    """The comment says how the environment is, and a refused request changed nothing about that."""
    if result.command in _ON_REQUEST and result.failure and result.failure.exit_code != errors.NotReady.exit_code:
        return False
    return result.command in _COMMENTED | _ON_REQUEST and result.state not in _QUIET


def tell(ctx: session.Session, result: outcome.Outcome) -> None:
    """Writes into the pull request how it stands."""
    _tell_github(ctx, result, report.facts(ctx.settings, namespace=_namespace(ctx)))


def begin(ctx: session.Session, command: str, *, phase: str) -> None:
    """Says in the pull request that its environment is on the way."""
    known = report.facts(ctx.settings, namespace=_namespace(ctx), phase=phase)
    _tell_github(ctx, ctx.result(command, "deploying"), known)


def _tell_github(ctx: session.Session, result: outcome.Outcome, known: report.Facts) -> None:
    """Each of the two may fail alone, and neither makes a good deploy a bad one."""
    github = ctx.github
    if not github or not ctx.settings.number or ctx.options.dry_run:
        return
    for tell in (_comment, _deployment):
        try:
            tell(ctx, _addressed(ctx, github), result, known)
        except errors.ONE_OF_MANY as error:
            ctx.runner.warning(f"GitHub was not told: {error.message}", title="k8s-ee")
            ctx.say(f"warning: GitHub was not told: {error.message}")


def _addressed(ctx: session.Session, github: githubs.GitHub) -> githubs.GitHub:
    """Who types a command names the repository by its id. The environments know the name, and GitHub confirms it."""
    if ctx.settings.repository:
        return github
    if not ctx.repository:
        raise errors.InputError("which repository? --repository not given")
    return github.at(ctx.repository, ctx.settings.repository_id)


def _comment(ctx: session.Session, github: githubs.GitHub, result: outcome.Outcome, known: report.Facts) -> None:
    for namespace in (*known.namespace.split(), *_gone_before(ctx, github, result, known)):
        body = report.comment(result, dataclasses.replace(known, namespace=namespace))
        remembered = ctx.observed.annotations.get(environment.COMMENT_ID, "") if ctx.observed else ""
        written = github.upsert_comment(
            ctx.settings.number,
            report.marker(namespace),
            body,
            comment_id=int(remembered) if remembered.isdecimal() and remembered.isascii() else None,
        )
        if ctx.observed and result.state != "destroyed" and str(written) != remembered:
            changes = {environment.COMMENT_ID: str(written)}
            ctx.observed = ctx.cluster.annotate(namespace, ctx.observed.uid, changes)


def _gone_before(
    ctx: session.Session, github: githubs.GitHub, result: outcome.Outcome, known: report.Facts
) -> tuple[str, ...]:
    """What a cleanup of the whole pull request found gone already, as deleted by hand, and no comment says so yet."""
    if result.state != "destroyed" or result.environment or result.data.get("project"):
        return ()
    told, known_of = github.comments(ctx.settings.number, report.MARKER), {*known.namespace.split(), *_kept(result)}
    return tuple(one for one in report.still_there(told) if one not in known_of)


def _kept(result: outcome.Outcome) -> list[str]:
    """Namespaces that a cleanup left alone."""
    found: list[str] = result.data.get("kept") or []
    return found


def _deployment(ctx: session.Session, github: githubs.GitHub, result: outcome.Outcome, known: report.Facts) -> None:
    """One Deployment per commit; those of older commits, and all after a cleanup, are set inactive."""
    number, target = ctx.settings.number, result.environment
    if result.state == "destroyed":
        # Without a project it was the whole pull request: also what a renamed project has left behind.
        one_of_many = bool(result.data.get("project") or target or _kept(result))
        for namespace in known.namespace.split() if one_of_many else ("",):
            github.deactivate(number, namespace=namespace)
    elif result.state == "backing-up":
        for namespace in json.loads(result.outputs["deleted"]):  # Those had no backup to wait for.
            github.deactivate(number, namespace=namespace)
    elif target and result.command in _DEPLOYS and result.state in _STATUS:
        deployment = github.deployment(number, namespace=target.namespace, sha=target.head_sha)
        url = target.url if result.state == "ready" else ""
        github.deployment_status(deployment, _STATUS[result.state], url=url, log_url=known.run_url)
        if result.state == "ready":
            github.deactivate(number, namespace=target.namespace, keep=deployment)


def _namespace(ctx: session.Session) -> str:
    if ctx.environment:
        return ctx.environment.namespace
    return ctx.observed.namespace if ctx.observed else ""


def _concerned(ctx: session.Session, error: errors.K8sEEError) -> str:
    """Also where it failed before there was an environment: of the file, or of its mistakes, as much is known."""
    if (known := _namespace(ctx)) or not ctx.settings.number:
        return known
    config = ctx.config_read
    project = config.project if config else error.project if isinstance(error, errors.ConfigError) else ""
    return environment.namespace_name(environment.ProjectId(project), ctx.settings.number) if project else ""


def _line(error: errors.K8sEEError) -> str:
    """For a job that can only hand on a line: with the first problems, so that nobody has to go and look for them."""
    named = "; ".join(str(one) for one in error.problems[:_HANDED_ON]) if isinstance(error, errors.ConfigError) else ""
    return " ".join(f"{error.message}. {named} {error.hint}".split()).strip()


def _sentence(reason: outcome.Failure) -> str:
    return f"{reason.message}\n{reason.hint}".strip()
