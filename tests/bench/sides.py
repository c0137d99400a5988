"""The three ways that are compared, as the commands one would type. Nothing is run here."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

from k8s_ee import resources
from tests.bench import scenario

A, B, OURS = "A", "B", "k8s-ee"
SIDES = (A, B, OURS)


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
    if side == B:
        return [tools.kubectl_("apply", "--server-side", *_files(wanted.fence))]
    return [Command((str(tools.k8s_ee), "create-namespace"))]


def deploy(side: str, tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    """The whole of it, from no namespace to a ready app."""
    if side == A:
        return [
            *create_namespace(A, tools, wanted),
            tools.kubectl_("apply", "-f", str(wanted.credentials)),
            _install(tools, "postgresql", wanted.postgresql, namespace=wanted.namespace),
            _install(tools, "app", wanted.app, namespace=wanted.namespace),
        ]
    if side == B:
        return _at_once(tools, wanted, scratch=scratch)
    return [Command((str(tools.k8s_ee), "up"))]


def environ(tools: Tools, wanted: scenario.Scenario, *, image: str) -> Mapping[str, str]:
    """For k8s-ee; the others ignore it."""
    return {
        "K8S_EE_KUBECONFIG": str(tools.ci),
        "K8S_EE_PR": str(wanted.number),
        "K8S_EE_HEAD_SHA": scenario.COMMIT,
        "K8S_EE_IMAGE": image,
    }


def _install(tools: Tools, name: str, values: pathlib.Path, *, namespace: str) -> Command:
    chart, where = str(resources.directory("charts") / name), ("--namespace", namespace)
    # The migration is a Job of the app's chart, which --wait alone would not wait for.
    return tools.helm_(
        *("upgrade", "--install", name, chart, *where, "--values", str(values)),
        *("--wait", "--wait-for-jobs", "--timeout", "3m"),
    )


def _at_once(tools: Tools, wanted: scenario.Scenario, *, scratch: pathlib.Path) -> list[Command]:
    rendered = {name: scratch / f"{name}.yaml" for name in ("postgresql", "app")}
    values = {"postgresql": wanted.postgresql, "app": wanted.app}
    inside = ("--namespace", wanted.namespace)
    return [
        *(
            tools.helm_(
                *("template", name, str(resources.directory("charts") / name), *inside),
                *("--values", str(values[name])),
                into=file,
            )
            for name, file in rendered.items()
        ),
        tools.kubectl_(
            "apply", "--server-side", *inside, *_files([*wanted.fence, wanted.credentials, *rendered.values()])
        ),
        tools.kubectl_("rollout", "status", *inside, "statefulset/postgresql", "--timeout=3m"),
        tools.kubectl_("wait", *inside, "job", "-l", wanted.migration, "--for=condition=complete", "--timeout=3m"),
        tools.kubectl_("rollout", "status", *inside, "deployment/app", "--timeout=3m"),
    ]


def _files(paths: tuple[pathlib.Path, ...] | list[pathlib.Path]) -> list[str]:
    return [f"--filename={path}" for path in paths]
