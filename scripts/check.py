"""`make check`: every static check, side by side, with one line each and the output of those that fail."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

from k8s_ee_sandbox import artifacts, progress
from scripts import kubeconform, variant

_SHELL = frozenset({"scripts/bootstrap", ".ci/run"})
"""Without the ending."""
_ACTIONLINT = ".github/actionlint.yaml"
"""Which it finds by itself only in a git repository."""


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    check: Check
    code: int
    output: str
    seconds: float


def checks(tools: dict[str, pathlib.Path]) -> list[Check]:
    workflows = sorted(str(one) for one in pathlib.Path(".github/workflows").glob("*.yml"))
    examples = sorted(str(one) for one in pathlib.Path("examples").glob("*/.github/workflows/*.yml"))
    actions = ["action.yml", *sorted(str(one) for one in pathlib.Path("actions").glob("*/action.yml"))]
    shell = [name for name in variant.worktree_files() if name.endswith(".sh") or name in _SHELL]
    found = [
        Check("ruff", ("ruff", "check", ".")),
        Check("format", ("ruff", "format", "--check", ".")),
        Check("mypy", ("mypy",)),
        Check("layers", ("lint-imports",)),
        Check("docs", (sys.executable, "-m", "scripts.docs", "--check")),
        Check("kubeconform", (sys.executable, "-m", "scripts.kubeconform")),
        Check("yamllint", ("yamllint", "--strict", ".")),
        Check("shellcheck", ("shellcheck", *shell)),
        Check(
            "actionlint", (str(tools["actionlint"]), "-no-color", "-config-file", _ACTIONLINT, *workflows, *examples)
        ),
        Check("zizmor", ("zizmor", "--offline", "--persona=pedantic", "--no-progress", ".", "examples/guestbook")),
        Check("schema", ("check-jsonschema", "--check-metaschema", *map(str, pathlib.Path("schemas").glob("*.json")))),
        Check("workflows", ("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows, *examples)),
        Check("actions", ("check-jsonschema", "--builtin-schema", "vendor.github-actions", *actions)),
        Check("dependabot", ("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")),
        Check("lock", (os.environ.get("UV", "uv"), "lock", "--check")),
    ]
    charts = [one.parent for one in sorted(pathlib.Path("charts").glob("*/Chart.yaml"))]
    found += [Check(f"helm lint {one.name}", (str(tools["helm"]), "lint", "--quiet", str(one))) for one in charts]
    return found


def run(check: Check) -> Result:
    start = time.monotonic()
    done = subprocess.run(check.command, capture_output=True, text=True, timeout=600, check=False)
    return Result(check, done.returncode, done.stdout + done.stderr, time.monotonic() - start)


def main(make: Callable[..., dict[str, pathlib.Path]] = artifacts.ensure) -> int:
    tools = make("actionlint", *kubeconform.TOOLS, progress=progress.Progress())
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for result in pool.map(run, checks(tools)):
            print(f"{'ok  ' if result.code == 0 else 'FAIL'} {result.seconds:5.1f}s  {result.check.name}", flush=True)
            if result.code:
                failed += 1
                print(result.output, flush=True)
    print(f"{failed} failed" if failed else "all clean")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
