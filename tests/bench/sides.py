"""The ways that are compared, as the commands one would type. Nothing is run here."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from k8s_ee import resources
from tests.bench import scenario

A, B, ORDERED, OURS = "A", "B", "B in order", "k8s-ee"
SIDES = (A, B, ORDERED, OURS)
NAMESPACES = (A, B, OURS)
"""Without pods there is no order to keep."""


@dataclasses.dataclass(frozen=True)
class Command:
    """`into` is the file that its standard output goes to."""

    argv: tuple[str, ...]
    into: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Tools:
    """What is installed, and how the cluster is reached: `admin` by hand, `ci` by k8s-ee, both with a token."""

    kubectl: pathlib.Path
    helm: pathlib.Path
    k8s_ee: pathlib.Path
    admin: pathlib.Path
    ci: pathlib.Path

    def kubectl_(self, *arguments: str) -> Command:
        return Command((str(self.kubectl), f"--kubeconfig={self.admin}", *arguments))

    def helm_(self, *arguments: str, into: pathlib.Path | None = None) -> Command:
        return Command((str(self.helm), f"--kubeconfig={self.admin}", *arguments), into=into)


def create_namespace(side: str, tools: Tools, wanted: scenario.Scenario) -> list[Command]:
    if side == A:
        return [tools.kubectl_("apply", "-f", str(file)) for file in wanted.fence]
    if side == OURS:
        return [Command((str(tools.k8s_ee), "create-namespace"))]
    return [tools.kubectl_("apply", "--server-side", *_files(wanted.fence))]


def deploy(side: str, tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    """The whole of it, from no namespace to a ready app."""
    if side == A:
        return _one_by_one(tools, wanted, scratch=scratch)
    if side == B:
        return _at_once(tools, wanted, scratch=scratch)
    if side == ORDERED:
        return _in_order(tools, wanted, scratch=scratch)
    return [Command((str(tools.k8s_ee), "up"))]


def environ(tools: Tools, wanted: scenario.Scenario, *, image: str) -> Mapping[str, str]:
    """For k8s-ee; the others ignore it."""
    return {
        "K8S_EE_KUBECONFIG": str(tools.ci),
        "K8S_EE_PR": str(wanted.number),
        "K8S_EE_HEAD_SHA": scenario.COMMIT,
        "K8S_EE_IMAGE": image,
    }


_MIGRATION = ("--show-only", "templates/job.yaml", "--show-only", "templates/configmap.yaml")


def _one_by_one(tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    migration = scratch / "migration.yaml"
    migrate = [
        _template(tools, wanted, "app", *_MIGRATION, into=migration),
        tools.kubectl_("apply", "--namespace", wanted.namespace, "-f", str(migration)),
        *_migrated(tools, wanted),
    ]
    return [
        *create_namespace(A, tools, wanted),
        *(tools.kubectl_("apply", "-f", str(file)) for file in wanted.credentials),
        _install(tools, wanted, "postgresql"),
        *(migrate if wanted.migration else []),
        _install(tools, wanted, "app", "--take-ownership", "--force-conflicts"),  # The Job is in its chart, too.
    ]


def _at_once(tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    rendered = {name: scratch / f"{name}.yaml" for name in _CHARTS}
    return [
        *(_template(tools, wanted, name, into=file) for name, file in rendered.items()),
        _apply(tools, wanted, *wanted.fence, *wanted.credentials, *rendered.values()),
        _rolled_out(tools, wanted, "statefulset/postgresql"),
        *_migrated(tools, wanted),
        _rolled_out(tools, wanted, "deployment/app"),
    ]


def _in_order(tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    """The app is not started before its migration is over, as with A and with k8s-ee."""
    rendered = {name: scratch / f"{name}.yaml" for name in _CHARTS}
    migration = scratch / "migration.yaml"
    return [
        *(_template(tools, wanted, name, into=file) for name, file in rendered.items()),
        _template(tools, wanted, "app", *_MIGRATION, into=migration),
        _apply(tools, wanted, *wanted.fence, *wanted.credentials, rendered["postgresql"], migration),
        *_migrated(tools, wanted),
        _apply(tools, wanted, rendered["app"]),
        _rolled_out(tools, wanted, "statefulset/postgresql"),
        _rolled_out(tools, wanted, "deployment/app"),
    ]


_CHARTS = ("postgresql", "app")


def _chart(wanted: scenario.Scenario, name: str) -> tuple[str, ...]:
    values = {"postgresql": wanted.postgresql, "app": wanted.app}[name]
    return name, str(resources.directory("charts") / name), "--namespace", wanted.namespace, f"--values={values}"


def _install(tools: Tools, wanted: scenario.Scenario, name: str, *more: str) -> Command:
    return tools.helm_("upgrade", "--install", *_chart(wanted, name), *more, "--wait", "--timeout=3m")


def _template(tools: Tools, wanted: scenario.Scenario, name: str, *more: str, into: pathlib.Path) -> Command:
    return tools.helm_("template", *_chart(wanted, name), *more, into=into)


def _apply(tools: Tools, wanted: scenario.Scenario, *files: pathlib.Path) -> Command:
    return tools.kubectl_("apply", "--server-side", "--namespace", wanted.namespace, *_files(files))


def _migrated(tools: Tools, wanted: scenario.Scenario) -> list[Command]:
    if not wanted.migration:
        return []
    condition = ("--for=condition=complete", "--timeout=3m")
    return [tools.kubectl_("wait", "--namespace", wanted.namespace, "job", "-l", wanted.migration, *condition)]


def _rolled_out(tools: Tools, wanted: scenario.Scenario, workload: str) -> Command:
    return tools.kubectl_("rollout", "status", "--namespace", wanted.namespace, workload, "--timeout=3m")


def _files(paths: Sequence[pathlib.Path]) -> list[str]:
    return [f"--filename={path}" for path in paths]
