"""Runs a consumer's real workflow on this machine, offline, with act in host mode.

What act does not do as GitHub does, and how it is met here:

- it copies no files for a checkout with `ref:` → a stand-in for actions/checkout fetches that commit from the consumer;
- it resolves every `uses:` before it looks at `if:` → stand-ins for the third-party actions, mapped like the toolkit;
- it does not know `$/` and `queue` → the toolkit given here is the variant that scripts/variant.py derives;
- it does not wait for what a failing step last wrote to the terminal it gave it → it finds none (`_NO_TERMINAL`);
- it leaves `INPUT_*` of the surrounding action in the environment → tests/contract forbids reading them;
- it ignores concurrency and permissions → tests/contract reads them from the files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests import processes

TOOLKIT = "k8s-ee/k8s-ee"
SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_NO_TERMINAL = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /dev/ptmx && exec "$@"', "sh")
"""Before a command: without terminals act reads what steps print from a pipe, to its end. Needs root."""
_PINNED = re.compile(r"^\s*(?:- )?uses: (?P<action>[\w.-]+/[\w.-]+)(?:/[\w./-]+)?@(?P<ref>\S+)", re.MULTILINE)


class ActError(Exception):
    """act itself failed: a workflow it can't read, an action that is not mapped, or the time was up."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What one run did. Jobs that were skipped are in none of the mappings.

    `jobs`: result by job id ("success", "failure"). `steps`: result by "job/step" ("deploy/app", nested ones below it:
    "deploy/app/run"). `times`: start and end of each job in seconds since 1970, as exact as act says it.
    `outputs`: outputs by the same key. `annotations`: ("error", message, {"file": …}) in order. `summaries`: by step.
    `log`: what the steps printed, a line each, with the job in front; secrets are `***` in it.
    """

    returncode: int
    jobs: Mapping[str, str]
    steps: Mapping[str, str]
    outputs: Mapping[str, Mapping[str, str]]
    annotations: tuple[tuple[str, str, Mapping[str, str]], ...]
    summaries: Mapping[str, str]
    log: str
    times: Mapping[str, tuple[float, float]]


def run(
    payload: Mapping[str, Any],
    workflow: str,
    *,
    consumer_dir: pathlib.Path,
    toolkit_dir: pathlib.Path,
    act: pathlib.Path,
    event: str = "pull_request",
    ref: str = "v1",
    secrets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    path: tuple[pathlib.Path, ...] = (),
    github_api_url: str = "http://127.0.0.1:9",
    timeout: float = 600,
) -> Result:
    """`workflow` is a path in `consumer_dir`, a git repository; `toolkit_dir` is what scripts/variant.py wrote.

    `env` reaches every step; `path` is searched before the system's folders, and holds `k8s-ee`, `helm` and what else
    the runner has. Everything act writes is in a temporary home that is gone afterwards. Raises ActError.
    """
    secrets = {"GITHUB_TOKEN": "ghs_harness", **(secrets or {})}
    with tempfile.TemporaryDirectory(prefix="k8s-ee-act-") as scratch:
        home = pathlib.Path(scratch)
        (home / "event.json").write_text(json.dumps(payload), encoding="utf-8")
        command = [*_NO_TERMINAL, str(act), event, "--json"]
        command += ["--eventpath", str(home / "event.json"), "--workflows", workflow]
        command += ["--actor", payload["sender"]["login"], "--platform", "ubuntu-latest=-self-hosted"]
        command += _flags("--local-repository", {f"{TOOLKIT}@{ref}": toolkit_dir})
        command += _flags("--local-repository", _stand_ins(home / "stand-ins", consumer_dir, toolkit_dir))
        runner = {"GITHUB_API_URL": github_api_url, **_identity(payload["repository"])}
        command += _flags("--env", {**runner, **(env or {})})
        for name in secrets:  # by name only: act takes the value from its environment, so that no process list shows it
            command += ["--secret", name]
        folders = os.pathsep.join([*map(str, path), *SYSTEM_PATH])
        environ = {**secrets, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": folders}
        returncode, output, complaint = _bounded(command, cwd=consumer_dir, environ=environ, timeout=timeout)
    result = parse(output.splitlines(), returncode=returncode)
    if not result.jobs and returncode:
        raise ActError(complaint.strip() or output)
    return result


def _flags(flag: str, values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]


def _identity(repository: Mapping[str, Any]) -> dict[str, str]:
    return {
        "GITHUB_REPOSITORY": repository["full_name"],
        "GITHUB_REPOSITORY_ID": str(repository["id"]),
        "GITHUB_REPOSITORY_OWNER_ID": str(repository["owner"]["id"]),
    }


def parse(lines: list[str], *, returncode: int) -> Result:
    """Reads act's `--json` log. Of a step's several reports the last one counts."""
    jobs: dict[str, str] = {}
    steps: dict[str, str] = {}
    outputs: dict[str, dict[str, str]] = {}
    annotations: list[tuple[str, str, Mapping[str, str]]] = []
    summaries: dict[str, str] = {}
    log: list[str] = []
    times: dict[str, tuple[float, float]] = {}
    for entry in _entries(lines):
        job, message = entry.get("jobID", ""), entry.get("msg", "")
        key = "/".join([job, *entry.get("stepID", [])])
        if job:
            now = datetime.datetime.fromisoformat(entry["time"]).timestamp()
            times[job] = (times.get(job, (now, now))[0], now)
        if "jobResult" in entry:
            jobs[job] = entry["jobResult"]
        elif "stepResult" in entry and entry.get("stage") == "Main":
            steps[key] = entry["stepResult"]
        elif entry.get("command") == "set-output":
            outputs.setdefault(key, {})[entry["name"]] = entry["arg"]
        elif entry.get("command") in {"error", "warning", "notice"}:
            annotations.append((entry["command"], entry["arg"], entry.get("kvPairs") or {}))
        elif entry.get("command") == "summary":
            summaries[key] = entry["content"]
        if entry.get("raw_output") or entry.get("level") == "error":
            log.append(f"{job} | {message.rstrip()}")
    return Result(returncode, jobs, steps, outputs, tuple(annotations), summaries, "\n".join(log), times)


def third_party(directory: pathlib.Path) -> set[str]:
    """`OWNER/REPO@REF` of every action that the workflows and actions in a folder use, but the toolkit's own."""
    found = set()
    for file in (*directory.glob("**/action.yml"), *directory.glob(".github/workflows/*.yml")):
        found |= {f"{one['action']}@{one['ref']}" for one in _PINNED.finditer(file.read_text(encoding="utf-8"))}
    return {one for one in found if not one.startswith(f"{TOOLKIT}@")}


def _stand_ins(folder: pathlib.Path, *users: pathlib.Path) -> dict[str, pathlib.Path]:
    consumer = users[0]
    made = {}
    for number, action in enumerate(sorted(set.union(*(third_party(user) for user in users)))):
        made[action] = folder / str(number)
        made[action].mkdir(parents=True)
        description = _checkout(consumer) if action.startswith("actions/checkout@") else _refuse(action)
        (made[action] / "action.yml").write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
    return made


def _checkout(consumer: pathlib.Path) -> dict[str, Any]:
    script = 'git init -q . && git fetch -q --depth 1 "$FROM" "$REF" && git checkout -q --force FETCH_HEAD'
    env = {"FROM": consumer.resolve().as_uri(), "REF": "${{ inputs.ref }}"}
    step = {"shell": "bash", "env": env, "run": script}
    inputs = {"ref": {"description": "the commit"}, "persist-credentials": {"description": "not needed here"}}
    return _composite("checkout", inputs, [step])


def _refuse(action: str) -> dict[str, Any]:
    """Said when a step that a prepared runner skips was run after all: there is no network to do it with."""
    complaint = f"echo '::error::{action} is not available offline'; exit 1"
    return _composite(action, {}, [{"shell": "bash", "run": complaint}])


def _composite(name: str, inputs: Mapping[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "description": name, "inputs": inputs, "runs": {"using": "composite", "steps": steps}}


def _bounded(
    command: list[str], *, cwd: pathlib.Path, environ: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Return code, stdout, stderr. Nothing that act started outlives this call."""
    with subprocess.Popen(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            output, complaint = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise ActError(f"act was not done after {timeout} s") from error
        finally:
            process.kill()
            _kill_all(f"HOME={environ['HOME']}")
    return process.returncode, output, complaint


def _kill_all(variable: str) -> None:
    """Ends every process with this variable in its environment; steps have process groups of their own."""
    while found := [pid for pid in _numbers() if _has(pid, variable)]:
        for pid in found:  # until there is none: one may just have started another
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert all(processes.gone(pid) for pid in found)


def _numbers() -> list[int]:
    return [int(entry.name) for entry in pathlib.Path("/proc").glob("[0-9]*")]


def _has(pid: int, variable: str) -> bool:
    """A zombie has no environment any more."""
    with contextlib.suppress(OSError):
        return variable.encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


def _entries(lines: list[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("{"):
            yield json.loads(line)


def repository(source: pathlib.Path, target: pathlib.Path) -> str:
    """Makes a git repository of a copy of `source`; its commit."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    git(target, "init", "--quiet", "--initial-branch=main")
    return commit(target, "Start")


def commit(directory: pathlib.Path, message: str) -> str:
    """Commits everything that lies in the folder; the new commit."""
    git(directory, "add", "--all")
    identity = ("-c", "user.name=dev", "-c", "user.email=dev@acme.test", "-c", "commit.gpgsign=false")
    git(directory, *identity, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(directory, "rev-parse", "HEAD")


def git(directory: pathlib.Path, *arguments: str) -> str:
    """Raises CalledProcessError."""
    done = subprocess.run(
        ["git", *arguments], cwd=directory, check=True, capture_output=True, text=True, timeout=60, env=_plain_git()
    )
    return done.stdout.strip()


def _plain_git() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


def variant(out: pathlib.Path, *, repository: str = TOOLKIT, ref: str = "v1") -> pathlib.Path:
    """The toolkit as it lies in the work tree, in the form act understands."""
    script = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "variant.py"
    command = [sys.executable, str(script), "--worktree", "--repository", repository, "--ref", ref, "--out", str(out)]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return out
