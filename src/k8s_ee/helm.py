"""`helm template`: a component's chart and values become manifests. The only caller of helm."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any, ClassVar

import yaml

from k8s_ee import errors, resources
from k8s_ee.config import problems
from k8s_ee.plan import components

OLDEST_KUBERNETES = "v1.30.0"
TIMEOUT = 30.0

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_PARSER):  # type: ignore[misc]
    """Sees only what helm writes plain and manifests have: beside these, PyYAML sees dates, `=` and numbers of
    YAML 1.1 in text that helm has no reason to quote."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # Its own, not those of everybody.


for _kind, _pattern, _first in (
    ("null", r"null|", ["n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first)


def render(component: components.Component, *, namespace: str, kube_version: str) -> tuple[components.Manifest, ...]:
    """Talks to no cluster. `kube_version` as the API server gives it ("v1.34.4").

    Raises ToolMissing without helm, InputError for values or a Kubernetes version that the chart refuses.
    """
    command = [executable(), "template", component.name, str(resources.directory("charts") / component.chart)]
    command += ["--namespace", namespace, "--kube-version", kube_version, "--no-hooks", "--skip-tests"]
    rendered = _run([*command, "--values", "-"], stdin=_yaml(component.values), component=component.name)
    return tuple(one for one in yaml.load_all(rendered, Loader=_Loader) if one)


def executable() -> str:
    """Its path. Raises ToolMissing."""
    found = shutil.which("helm")
    if found is None:
        raise errors.ToolMissing(
            "helm is not on the PATH",
            hint="install Helm 3.22 or 4 (https://helm.sh); in a workflow use actions/setup",
        )
    return found


def _yaml(values: Mapping[str, Any]) -> str:
    """JSON whose escapes YAML has, too: it knows no surrogates, and folds or drops some characters that stand raw."""
    return problems.visible(json.dumps(values, ensure_ascii=False))


def _run(command: list[str], *, stdin: str, component: str) -> str:
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf-8", timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise errors.Unavailable(f"helm took more than {TIMEOUT:.0f} s to render the chart {component}") from error
    except OSError as error:
        raise errors.ToolMissing(f"helm can't be run: {error}", hint=f"try it: {command[0]} version") from error
    if done.returncode:
        raise errors.InputError(f"the chart {component} can't be rendered: {_reason(done.stderr)}")
    return done.stdout


def _reason(stderr: str) -> str:
    """What helm complains about, without its log lines and its advice on how to debug a template."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(("level=", "Use --debug", "time=", "walk.go"))]
    return " ".join(said).removeprefix("Error: ") or f"helm failed without a word ({len(lines)} lines)"
