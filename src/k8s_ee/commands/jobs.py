"""report: what failed in jobs of the workflow that hold no right to write into the pull request."""

from __future__ import annotations

import json
from typing import Any

from k8s_ee import errors, outcome, pull_request
from k8s_ee.commands import admission, session

_ON_THE_WAY = frozenset({"", "deploying"})


def report(ctx: session.Session, *, needs: str) -> outcome.Outcome:
    """The Outcome is the failure of those jobs, except where they have said it in the comment themselves, or where the
    comment belongs to a later run by now.

    Raises InputError for anything but the `needs` context.
    """
    jobs = _parsed(needs)
    # The first job that reads the config names it, in the reusable workflow `validate`.
    namespace = next(filter(None, (_output(job, "namespace") for job in jobs.values())), "")
    silent = {name: job for name, job in jobs.items() if _is_silent(job)}
    if not silent:
        return ctx.skipped("report", "every failed job has said so itself")
    if _is_over(ctx):
        return ctx.skipped(
            "report", "the pull request is closed or has a newer commit: its comment is not about this run"
        )
    reasons = [f"{name}: {_output(job, 'failure') or _ended(job)}" for name, job in sorted(silent.items())]
    failure = outcome.Failure(message="; ".join(reasons), hint="the log of the job says more")
    return ctx.result("report", "failed", failure=failure, outputs={"namespace": namespace})


def _is_over(ctx: session.Session) -> bool:
    """Nobody has ordered this run: a build of an older commit may well end after a newer commit is live."""
    known, sha = admission.seen(ctx), ctx.settings.head_sha
    if isinstance(known, pull_request.Unknown):
        return False
    return known.state == "closed" or bool(sha and known.head_sha != sha)


def _is_silent(job: dict[str, Any]) -> bool:
    """Jobs that may comment have said it themselves, unless they were cut off or died before they could.

    These hand on a `state`, which those that validate and build have none of. A `failure` all of them have.
    """
    result = job.get("result")
    return result == "cancelled" or (result == "failure" and _output(job, "state") in _ON_THE_WAY)


def _ended(job: dict[str, Any]) -> str:
    return "was cancelled" if job["result"] == "cancelled" else "ended before it could say why"


def _output(job: dict[str, Any], name: str) -> str:
    value = str(job.get("outputs", {}).get(name, ""))
    return "" if value.startswith("${{") else value


def _parsed(needs: str) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(needs)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(job, dict) for job in found.values()):
        raise errors.InputError("--needs is not the `needs` context", hint="give it as ${{ toJSON(needs) }}")
    return found
