"""A consumer, GitHub and a platform in miniature: pull requests go through the real workflow onto the real cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import pathlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from k8s_ee_sandbox import artifacts, cluster, packages, platform, progress
from tests.wire import github
from tests.wire import github_state as states
from tests.workflows import events, harness

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "guestbook"
WORKFLOW = ".github/workflows/preview.yml"


@dataclasses.dataclass
class World:
    """One consumer repository with one pull request. `env` reaches every step of its workflow runs."""

    sandbox: cluster.Sandbox
    tools: Mapping[str, pathlib.Path]
    github: github.Server
    toolkit: pathlib.Path
    consumer: pathlib.Path
    bin: pathlib.Path
    ci_kubeconfig: pathlib.Path
    number: int = 7
    env: dict[str, str] = dataclasses.field(default_factory=dict)

    def push(self, changes: Mapping[str, str] | None = None, *, config: Mapping[str, Any] | None = None) -> str:
        """Commits files, and keys laid over k8s-ee.yaml; returns the new head, which GitHub knows from then on."""
        for path, text in (changes or {}).items():
            (self.consumer / path).parent.mkdir(parents=True, exist_ok=True)
            (self.consumer / path).write_text(text)
        if config is not None:
            file = self.consumer / "k8s-ee.yaml"
            file.write_text(yaml.safe_dump(_laid_over(yaml.safe_load(file.read_text()), config)))
        sha = harness.commit(self.consumer, "Change something")
        self._tell_github("open", sha)
        return sha

    def run(self, action: str, *, workflow: str = WORKFLOW, fork: bool = False, timeout: float = 400) -> harness.Result:
        """What GitHub does for this event of the pull request, at its present head."""
        closing = action == "closed"
        head = harness.git(self.consumer, "rev-parse", "HEAD")
        self._tell_github("closed" if closing else "open", head, fork=fork)
        return harness.run(
            events.pull_request(action, number=self.number, head_sha=head, fork=fork),
            workflow,
            event="pull_request_target" if closing else "pull_request",
            consumer_dir=self.consumer,
            toolkit_dir=self.toolkit,
            act=self.tools["act"],
            path=(self.bin,),
            secrets={
                "KUBECONFIG": self.ci_kubeconfig.read_text(),
                "REGISTRY_USERNAME": self.sandbox.registry_user,
                "REGISTRY_PASSWORD": self.sandbox.registry_password,
            },
            env={"K8S_EE_REGISTRY_INSECURE": "true", "GITHUB_RUN_ID": str(next(_RUNS)), **self.env},
            github_api_url=self.github.url,
            timeout=timeout,
        )

    @property
    def namespace(self) -> str:
        return f"{self.project}-pr-{self.number}"

    @property
    def project(self) -> str:
        return str(yaml.safe_load((self.consumer / "k8s-ee.yaml").read_text())["projectId"])

    def comments(self) -> list[str]:
        """Bodies of the pull request's comments, oldest first."""
        known = self.github.state.repository(events.REPOSITORY).comments
        return [one.body for one in known.values() if one.number == self.number]

    def deployments(self) -> list[str]:
        """States of the pull request's GitHub Deployments, oldest first."""
        return [one.state for one in self.github.state.repository(events.REPOSITORY).deployments.values()]

    def ask(self, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Status and body, through the ingress, as a reviewer's browser would."""
        return ask(self.sandbox, f"{self.namespace}.{self.sandbox.domain}", path, method=method, body=body)

    def _tell_github(self, state: str, sha: str, *, fork: bool = False) -> None:
        pulls = self.github.state.repository(events.REPOSITORY).pulls
        outsider = 9999 if fork else None
        pulls[self.number] = states.Pull(self.number, head_sha=sha, state=state, head_repository_id=outsider)


def _run_ids() -> Iterator[int]:
    """Growing over processes, too, as GitHub's do."""
    import time

    start = time.time_ns() // 1_000_000
    while True:
        start += 1
        yield start


_RUNS = _run_ids()


def ask(
    sandbox: cluster.Sandbox, host: str, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
) -> tuple[int, str]:
    connection = http.client.HTTPConnection(sandbox.ingress_address, timeout=10)
    try:
        headers = {"Host": host, "Content-Type": "application/json"}
        connection.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@contextlib.contextmanager
def world(
    sandbox: cluster.Sandbox,
    directory: pathlib.Path,
    *,
    project: str = "guestbook",
    number: int = 7,
    toolkit: pathlib.Path | None = None,
) -> Iterator[World]:
    """Everything but the cluster, and a toolkit that is there already, is made in `directory`.

    The consumer is a git repository made from the example.
    """
    packages.ensure("buildah", progress=progress.Progress())
    tools = artifacts.ensure("act", "kubectl", "helm", progress=progress.Progress())
    ci_kubeconfig = platform.install(sandbox, kubectl=tools["kubectl"])
    harness.repository(EXAMPLE, directory / "consumer")
    home = states.Repository(id=events.REPOSITORY_ID, owner_id=events.OWNER_ID, full_name=events.REPOSITORY)
    with github.Server(states.State(repositories=[home])) as server:
        made = World(
            sandbox=sandbox,
            tools=tools,
            github=server,
            toolkit=toolkit or harness.variant(directory / "toolkit"),
            consumer=directory / "consumer",
            bin=runner_path(directory / "bin", tools),
            ci_kubeconfig=ci_kubeconfig,
            number=number,
        )
        made.push(config=settings(sandbox, project=project))
        yield made


def settings(sandbox: cluster.Sandbox, *, project: str) -> dict[str, Any]:
    """What the example's k8s-ee.yaml needs where the only registry is the sandbox's."""
    return {
        "projectId": project,
        "image": {
            "repository": f"{sandbox.registry}/{events.REPOSITORY}",
            "args": {"BASE": sandbox.images["base"]},
        },
    }


def runner_path(folder: pathlib.Path, tools: Mapping[str, pathlib.Path]) -> pathlib.Path:
    """A folder for PATH with what a prepared runner has: k8s-ee and helm."""
    folder.mkdir(parents=True)
    # Not `python -m`, which would look for modules in the working directory first: the pull request's files.
    installed = pathlib.Path(sys.executable).with_name("k8s-ee")
    for name, command in {"k8s-ee": [str(installed)], "helm": [str(tools["helm"])]}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def _laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm merges values: mappings key by key, None removes."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _laid_over(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged
