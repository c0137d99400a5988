"""PURE. Outcome → comment, summary, terminal, JSON. Says only what the Outcome proves.

Whatever a pull request's author can write (branch names, log lines, problems) goes through `quoting`.

    comment()   what the sticky comment of one environment says, ≤ 65,536 characters
    summary()   the same for the job summary, with more of the evidence
    text()      a few lines for a terminal or a log
    as_json()   {schema: 1, command, state, dryRun, environment, outputs, servingSha, verifiedFrom, phases, seconds,
                 notes, problems, failure, data}; keys are only ever added
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from typing import Any

from k8s_ee import outcome, quoting, settings, staying, sweeping, terminal

COMMENT_CHARACTERS = 65_536
MARKER = "<!-- k8s-ee:"
GONE = "🧹"
_EVIDENCE_IN_COMMENT = 16_000
_EVIDENCE_IN_SUMMARY = 200_000

# What is left of a comment beside its evidence, in characters of Markdown; quoting makes text up to five times longer.
_PROBLEMS = 12_000
_NOTES = 6_000
_PHASES = 4_000
_MESSAGE = 1_500

_VERIFIED = {
    "runner": "asked through its link from the runner",
    "cluster": "seen in the cluster; the link itself was not tried from the runner",
}


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a report needs beside the Outcome. `repository_url` makes commits links; `phase` is what is being done.

    `namespace` is for outcomes without an environment, as those of cleanup.
    """

    namespace: str = ""
    repository_url: str = ""
    run_url: str = ""
    phase: str = ""


def facts(given: settings.Settings, **more: str) -> Facts:
    repository_url = f"{given.server_url}/{given.repository}" if given.repository else ""
    return dataclasses.replace(Facts(repository_url=repository_url, run_url=given.run_url), **more)


def marker(namespace: str) -> str:
    """The first line of the comment, by which it is found again."""
    return f"{MARKER}{namespace} -->"


def still_there(comments: Iterable[str]) -> tuple[str, ...]:
    """The namespaces of those of our comments that do not say yet that the environment is gone."""
    told = (re.match(rf"{MARKER}([a-z0-9-]+) -->\n### (.?)", body) for body in comments)
    return tuple(found[1] for found in told if found and found[2] != GONE)


def comment(result: outcome.Outcome, known: Facts) -> str:
    """Raises ValueError when neither the Outcome nor the facts name an environment."""
    namespace = _namespace(result, known)
    if not namespace:
        raise ValueError("a comment is about one environment")
    if result.state == "backing-up" and namespace in json.loads(result.outputs.get("deleted") or "[]"):
        result = dataclasses.replace(result, state="destroyed", notes=())  # the others of its pull request are not
    return f"{marker(namespace)}\n{_page(result, known, evidence=_EVIDENCE_IN_COMMENT)}"


def summary(result: outcome.Outcome, known: Facts | None = None) -> str:
    return _page(result, known or Facts(), evidence=_EVIDENCE_IN_SUMMARY)


def text(result: outcome.Outcome, *, colour: bool) -> str:
    return terminal.text(result, colour=colour)


def as_json(result: outcome.Outcome) -> str:
    """The runner obeys `##[` wherever it stands in a line; written like this it means the same and is not seen."""
    fields = {
        "schema": 1,
        "command": result.command,
        "state": result.state,
        "dryRun": result.dry_run,
        "environment": _environment(result),
        "outputs": dict(result.outputs),
        "servingSha": result.serving_sha,
        "verifiedFrom": result.verified_from,
        "phases": [dataclasses.asdict(one) for one in result.phases],
        "seconds": round(sum(one.seconds for one in result.phases), 3),
        "notes": list(result.notes),
        "problems": [dataclasses.asdict(one) for one in result.problems],
        "failure": _failure(result.failure),
        "data": dict(result.data),
    }
    document = json.dumps(fields, indent=2, ensure_ascii=False, default=str)
    return document.replace("##[", "#\\u0023[")


def _page(result: outcome.Outcome, known: Facts, *, evidence: int) -> str:
    parts = [
        f"### {_title(result, known)}",
        *_state(result, known),
        *_problems(result),
        *_swept(result),
        *_why(result, known, evidence=evidence),
        *_fitting([f"> {quoting.markdown(note, limit=1000)}" for note in result.notes], _NOTES),
        *_phases(result),
        _footer(result, known),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(result: outcome.Outcome, known: Facts) -> str:
    name = quoting.code(_namespace(result, known))
    if not name and result.state in {"destroyed", "failed"}:
        return f"{GONE} There was nothing to clean up" if result.state == "destroyed" else f"❌ {_what(result)} failed"
    name = name or quoting.code(result.command)
    if result.state in staying.STATES:
        return staying.TITLES[result.state].format(name=name)
    titles: dict[outcome.State, str] = {
        "queued": f"🕒 Preview {name} waits for room",
        "deploying": f"⏳ Preview {name} is being deployed",
        "ready": f"✅ Preview {name} is ready",
        "failed": f"❌ Preview {name}: {_what(result)} failed",
        "destroyed": f"{GONE} Preview {name} is gone",
        "skipped": f"⏭️ Preview {name}: nothing done",
        "valid": "✅ The configuration is valid",
        "planned": f"📝 Plan for {name}: nothing was changed",
        "built": "✅ The image is built",
        "rotated": f"🔑 Preview {name} has new passwords",
        "listed": f"Preview {name}",
        "backed-up": f"💾 The databases of {name} are backed up",
        "restored": f"💾 The databases of {name} are restored",
        "saved": "💾 The keeper looked after the backups that are owed",
        "swept": "🧹 The janitor looked after all environments",
    }
    return titles[result.state]


def _what(result: outcome.Outcome) -> str:
    """`report` speaks for other jobs, and did not fail itself."""
    return "the run" if result.command == "report" else quoting.markdown(result.command)


def _state(result: outcome.Outcome, known: Facts) -> list[str]:
    target = result.environment
    sha = target.head_sha if target else ""
    if result.state == "deploying":
        doing = f": {quoting.markdown(known.phase)}" if known.phase else ""
        return [f"Commit {_commit(sha, known)} is on its way{doing}." if sha else ""]
    if result.state == "ready":
        return [_ready(result, known)]
    if result.state == "failed":
        return [_both_commits(result, known)]
    if result.state == "destroyed":
        return [_destroyed(result, _namespace(result, known))]
    return _staying(result, known) if result.state in staying.STATES else []


def _staying(result: outcome.Outcome, known: Facts) -> list[str]:
    """Of the environment that the page is about, or of several."""
    about = _namespace(result, known).split()
    rows = [one for one in result.data.get("environments", []) if one["namespace"] in about]
    return staying.paragraphs(result.state, rows, commit=lambda sha: _commit(sha, known))


def _swept(result: outcome.Outcome) -> list[str]:
    """Also when some of it failed: the others were looked after."""
    return sweeping.markdown(result.data) if "summary" in result.data else []


def _ready(result: outcome.Outcome, known: Facts) -> str:
    url = result.outputs.get("url", "")
    where = f"**<{url}>** serves" if url else "Its pods serve"
    proof = _VERIFIED.get(result.verified_from, "not verified")
    return f"{where} commit {_commit(result.serving_sha, known)} ({proof})."


def _both_commits(result: outcome.Outcome, known: Facts) -> str:
    target = result.environment
    failed = f"Commit {_commit(target.head_sha, known)} failed." if target and target.head_sha else ""
    if not result.serving_sha or not target or result.serving_sha == target.head_sha:
        return failed
    at = f" at <{target.url}>" if target.url else ""
    return f"{failed} Commit {_commit(result.serving_sha, known)} still serves{at}."


def _destroyed(result: outcome.Outcome, namespace: str) -> str:
    try:
        gone = json.loads(result.outputs.get("deleted", "[]"))
    except ValueError:
        gone = []
    if namespace and not {*namespace.split()} & {*gone}:
        return "It was gone already when this run looked for it."
    names = ", ".join(quoting.code(str(one)) for one in gone)
    return f"Deleted, and seen to be gone with all its volumes: {names}." if names else ""


def _problems(result: outcome.Outcome) -> list[str]:
    lines = [
        f"- {quoting.code(f'{one.path}:{one.line}:{one.column}' if one.line else one.path)} "
        f"{quoting.markdown(one.message, limit=300)}"
        + (f" ({quoting.markdown(one.hint, limit=300)})" if one.hint else "")
        for one in result.problems
    ]
    return ["\n".join(_fitting(lines, _PROBLEMS))]


def _fitting(lines: list[str], limit: int) -> list[str]:
    """The first lines that fit into `limit` characters together, and how many do not."""
    total = 0
    shown: list[str] = []
    for line in lines:
        total += len(line)
        if total > limit:
            return [*shown, f"- and {len(lines) - len(shown)} more"]
        shown.append(line)
    return shown


def _why(result: outcome.Outcome, known: Facts, *, evidence: int) -> list[str]:
    failure = result.failure
    if failure is None:
        return []
    parts = [f"**What failed:** {quoting.markdown(failure.message, limit=_MESSAGE)}"]
    if failure.hint:
        parts.append(f"**What to do:** {quoting.markdown(failure.hint, limit=_MESSAGE)}")
    if failure.evidence:
        parts.append(quoting.fence(failure.evidence, limit=evidence))
    if namespace := _namespace(result, known):
        commands = [f"kubectl -n {namespace} get pods,events"]
        if result.environment:
            number, repository_id = result.environment.number, result.environment.repository_id
            commands.insert(0, f"k8s-ee logs --pr {number} --repository-id {repository_id}")
        parts.append(f"To look further:\n\n{quoting.fence(tuple(commands), limit=1000)}")
    return parts


def _phases(result: outcome.Outcome) -> list[str]:
    if not result.phases:
        return []
    rows = [f"| {quoting.markdown(one.name, limit=80)} | {one.seconds:.1f} s |" for one in result.phases]
    return ["\n".join(["| Phase | Time |", "|---|---:|", *_fitting(rows, _PHASES)])]


def _footer(result: outcome.Outcome, known: Facts) -> str:
    target = result.environment
    parts = [f"[Log of this run]({known.run_url})" if known.run_url else ""]
    if target and target.branch:
        parts.append(f"branch {quoting.code(target.branch)}")
    shown = " · ".join(part for part in parts if part)
    return f"<sub>{shown}</sub>" if shown else ""


def _commit(sha: str, known: Facts) -> str:
    if not sha:
        return "(unknown)"
    short = quoting.code(sha[:7])
    return f"[{short}]({known.repository_url}/commit/{sha})" if known.repository_url else short


def _namespace(result: outcome.Outcome, known: Facts) -> str:
    return result.environment.namespace if result.environment else known.namespace


def _environment(result: outcome.Outcome) -> dict[str, Any] | None:
    target = result.environment
    if target is None:
        return None
    return {
        "namespace": target.namespace,
        "url": target.url,
        "project": target.project,
        "repository": target.repository,
        "repositoryId": target.repository_id,
        "pr": target.number,
        "branch": target.branch,
        "headSha": target.head_sha,
    }


def _failure(failure: outcome.Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "message": failure.message,
        "hint": failure.hint,
        "evidence": list(failure.evidence),
        "exitCode": failure.exit_code,
    }
