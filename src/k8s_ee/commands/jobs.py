"""report: what failed in jobs of the workflow that hold no right to write into the pull request."""

from __future__ import annotations

import json
from typing import Any

from k8s_ee import errors, outcome
from k8s_ee.commands import session

_BAD = frozenset({"failure", "cancelled"})


def report(ctx: session.Session, *, needs: str) -> outcome.Outcome:
    """The Outcome is the failure of those jobs, except where they have said it in the comment themselves.

    Raises InputError for anything but the `needs` context.
    """
    jobs = _parsed(needs)
    namespace = _output(jobs.get("validate", {}), "namespace")
    # Jobs that hold the right to comment have said it themselves, unless they were cut off before they could.
    silent = {name: job for name, job in jobs.items() if _is_silent(name, job)}
    if not silent:
        return ctx.skipped("report", "every failed job has said so itself")
    reasons = [f"{name}: {_output(job, 'failure') or _ended(job)}" for name, job in sorted(silent.items())]
    failure = outcome.Failure(message="; ".join(reasons), hint="the log of the job says more")
    return ctx.result("report", "failed", failure=failure, outputs={"namespace": namespace})


def _is_silent(name: str, job: dict[str, Any]) -> bool:
    return job.get("result") in _BAD and (name in {"validate", "build"} or job["result"] == "cancelled")


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
