"""The rules that actions and workflows keep, as functions from a parsed file to what it breaks.

They are functions of a value so that each can be shown to fail on a broken copy.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTIONS = (ROOT / "action.yml", *sorted((ROOT / "actions").glob("*/action.yml")))
COMMANDS = tuple(path for path in ACTIONS if path.parent.name != "setup")
WORKFLOWS = tuple(sorted((ROOT / ".github" / "workflows").glob("*.yml")))
REUSABLE = ROOT / ".github" / "workflows" / "pr-environment.yml"

BUILDS = {"contents": "read", "packages": "write"}
CLUSTER_KEY = "secrets.kubeconfig"
HEAD = "${{ github.event.pull_request.head.sha }}"

_PINNED = re.compile(r"(\$/[\w./-]+|[\w.-]+/[\w./-]+@[0-9a-f]{40})", re.ASCII)

Yaml = Mapping[str, Any]


def load(path: pathlib.Path) -> dict[str, Any]:
    """`on` is read as the boolean it is in YAML 1.1, so it is put back."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in found:
        found["on"] = found.pop(True)
    return found


def variable(name: str) -> str:
    """The environment variable through which an input reaches the command line."""
    return "GITHUB_TOKEN" if name == "github-token" else "K8S_EE_" + name.upper().replace("-", "_")


def steps(definition: Yaml) -> list[Yaml]:
    """Of an action, or of every job of a workflow."""
    if "runs" in definition:
        return list(definition["runs"]["steps"])
    return [step for job in definition["jobs"].values() for step in job.get("steps", [])]


def unpinned(definition: Yaml) -> list[str]:
    used = [step["uses"] for step in steps(definition) if "uses" in step]
    used += [job["uses"] for job in definition.get("jobs", {}).values() if "uses" in job]
    return [one for one in used if not _PINNED.fullmatch(one)]


def missing_targets(definition: Yaml) -> list[str]:
    """`$/path` that names no action of this repository."""
    own = [step["uses"].removeprefix("$/") for step in steps(definition) if step.get("uses", "").startswith("$/")]
    return [path for path in own if not (ROOT / path / "action.yml").is_file()]


def interpolated(definition: Yaml) -> list[str]:
    """Scripts into which an expression is pasted: what it holds would run as shell."""
    return [step["run"] for step in steps(definition) if "${{" in step.get("run", "")]


def unforwarded(action: Yaml) -> list[str]:
    """Inputs that do not reach the command by their variable, and variables that no input feeds."""
    env = steps(action)[-1].get("env", {})
    wanted = {variable(name): f"${{{{ inputs.{name} }}}}" for name in action.get("inputs", {})}
    return sorted(name for name in {*env, *wanted} if env.get(name) != wanted.get(name))


def unmapped(action: Yaml) -> list[str]:
    """Outputs that are not the command's output of the same name."""
    identity = steps(action)[-1].get("id")
    outputs = action.get("outputs", {})
    return [name for name, one in outputs.items() if one["value"] != f"${{{{ steps.{identity}.outputs.{name} }}}}"]


def undescribed(action: Yaml) -> list[str]:
    parts = {**action.get("inputs", {}), **action.get("outputs", {})}
    return [name for name, one in parts.items() if not one.get("description", "").strip().endswith(".")]


def shell_lines(action: Yaml) -> int:
    return sum(len(step["run"].strip().splitlines()) for step in steps(action) if "run" in step)


def text_of(job: Yaml) -> str:
    return yaml.safe_dump(dict(job))


def builders(workflow: Yaml) -> dict[str, Yaml]:
    """Jobs that run code of the pull request."""
    return {
        name: job
        for name, job in workflow["jobs"].items()
        if any(re.search(r"(^|/)actions/build(@|$)", step.get("uses", "")) for step in job.get("steps", []))
    }


def zone_leaks(workflow: Yaml) -> list[str]:
    """What a job that builds holds beyond reading the repository and pushing an image."""
    found = []
    for name, job in builders(workflow).items():
        if job.get("permissions") != BUILDS:
            found.append(f"{name}: permissions are {job.get('permissions')}, not {BUILDS}")
        secrets = set(re.findall(r"secrets\.([\w-]+)", text_of(job)))
        found += [f"{name}: holds secrets.{one}" for one in sorted(secrets) if "registry" not in one.lower()]
        if re.search(r"secrets\s*\[|toJSON\(\s*secrets", text_of(job)) or "environment" in job:
            found.append(f"{name}: holds all secrets, or those of an environment")
        if any(_leaky_checkouts(job)):
            found.append(f"{name}: its checkout leaves a token behind")
    return found


def _leaky_checkouts(job: Yaml) -> Iterator[Yaml]:
    for step in job.get("steps", []):
        checkout = step.get("uses", "").startswith("actions/checkout@")
        if checkout and step.get("with", {}).get("persist-credentials") is not False:
            yield step


def unguarded(workflow: Yaml) -> list[str]:
    """What deploys into a namespace without asking whether the platform had room for one."""
    found = []
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            action = re.search(r"actions/(deploy-(?:db|app))(@|$)", step.get("uses", ""))
            if action and "outputs.state != 'queued'" not in f"{job.get('if')} {step.get('if')}":
                found.append(f"{name}: {action[1]}")
    return found


def wrong_checkouts(workflow: Yaml) -> list[str]:
    """Checkouts of something else than the head of the pull request, or with a token left behind."""
    found = [f"{name}: token" for name, job in workflow["jobs"].items() for _ in _leaky_checkouts(job)]
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            if step.get("uses", "").startswith("actions/checkout@") and step.get("with", {}).get("ref") != HEAD:
                found.append(f"{name}: ref")
    return found


def wrong_concurrency(workflow: Yaml) -> list[str]:
    """One group for all that deploys, another for what destroys, on jobs only; nothing is cancelled or dropped."""
    found = ["the workflow has one of its own: with a job in the same group it waits for itself"]
    found = found if "concurrency" in workflow else []
    groups: dict[str, set[str]] = {}
    for name, job in workflow["jobs"].items():
        holds_key = CLUSTER_KEY in text_of(job)
        if holds_key != ("concurrency" in job):
            found.append(f"{name}: has the key to the cluster and no concurrency, or the other way round")
        if "concurrency" not in job:
            continue
        group = job["concurrency"]
        groups.setdefault(group["group"], set()).add(name)
        if (group.get("cancel-in-progress"), group.get("queue")) != (False, "max"):
            found.append(f"{name}: a run of it could be cancelled or dropped")
        if not re.fullmatch(
            r"[a-z0-9-]+-\$\{\{ github\.repository_id \}\}-\$\{\{ github\.event\.pull_request\.number \}\}",
            group["group"],
        ):
            found.append(f"{name}: its group is not a literal, the repository and the pull request")
    if {"destroy"} not in groups.values():
        found.append("destroy: shares its group, so it can wait behind a deploy")
    if len(groups) != 2:
        found.append("what deploys is in more than one group, so two runs could deploy at once")
    return found


def missing_needs(workflow: Yaml) -> list[str]:
    """`needs.X` of a job that does not need X: it would be empty, silently."""
    found = []
    for name, job in workflow["jobs"].items():
        needs = job.get("needs", [])
        known = {needs} if isinstance(needs, str) else set(needs)
        found += [
            f"{name}: needs.{one}"
            for one in sorted(set(re.findall(r"needs\.([\w-]+)\.", text_of(job))) - known)
            if one != "*"
        ]
    return found


def missing_limits(workflow: Yaml) -> list[str]:
    """Jobs without permissions or time limit of their own."""
    found = [] if workflow.get("permissions") == {} else ["the workflow does not start from no permissions"]
    for name, job in workflow["jobs"].items():
        if not isinstance(job.get("permissions"), dict):
            found.append(f"{name}: permissions")
        if "uses" not in job and not isinstance(job.get("timeout-minutes"), int):
            found.append(f"{name}: timeout-minutes")
    return found
