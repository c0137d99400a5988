from __future__ import annotations

import dataclasses
import json
import pathlib
import shlex
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from k8s_ee_sandbox import artifacts, progress
from tests.workflows import events, harness

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def act() -> pathlib.Path:
    return artifacts.ensure("act", progress=progress.Progress())["act"]


@pytest.fixture(scope="session")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return harness.variant(tmp_path_factory.mktemp("toolkit"))


@dataclasses.dataclass
class Consumer:
    """A consumer's repository and a runner on which `k8s-ee` only writes down how it was called."""

    directory: pathlib.Path
    toolkit: pathlib.Path
    act: pathlib.Path
    bin: pathlib.Path
    journal: pathlib.Path

    def write(self, path: str, text: str) -> str:
        """The commit that has it."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return harness.commit(self.directory, f"Change {path}")

    def run(
        self,
        action: str,
        *,
        workflow: str = ".github/workflows/preview.yml",
        event: str = "pull_request",
        answers: Mapping[str, Any] | None = None,
        payload: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> harness.Result:
        head = harness.git(self.directory, "rev-parse", "HEAD")
        return harness.run(
            {**events.pull_request(action, number=7, head_sha=head, **more), **(payload or {})},
            workflow,
            event=event,
            consumer_dir=self.directory,
            toolkit_dir=self.toolkit,
            act=self.act,
            path=(self.bin,),
            secrets={"KUBECONFIG": "kind: Config\nusers: [s3cret-of-the-cluster]\n"},
            env={"FAKE_JOURNAL": str(self.journal), "FAKE_ANSWERS": json.dumps({**ANSWERS, **(answers or {})})},
            timeout=120,
        )

    def calls(self) -> dict[str, dict[str, Any]]:
        """By command, the last one of each."""
        if not self.journal.exists():
            return {}
        return {call["command"]: call for call in map(json.loads, self.journal.read_text().splitlines())}


IMAGE = "ghcr.io/acme/guestbook@sha256:" + "a" * 64

ANSWERS: dict[str, dict[str, Any]] = {
    "validate": {
        "outputs": {
            "namespace": "guestbook-pr-7",
            "url": "https://guestbook-pr-7.preview.test",
            "project": "guestbook",
            "databases": '["postgresql"]',
            "trigger": "automatic",
            "deploy": "true",
            "config": '{"project": "guestbook"}',
        }
    },
    "build": {"outputs": {"digest": "sha256:" + "a" * 64, "image": IMAGE}},
    "create-namespace": {"outputs": {"namespace": "guestbook-pr-7", "created": "true", "uid": "6f1d"}},
    "deploy-db": {
        "outputs": {
            "ready": '{"postgresql": true}',
            "seconds": "5.1",
            "credentials": '["postgresql-credentials-v1"]',
        }
    },
    "deploy-app": {
        "outputs": {
            "url": "https://guestbook-pr-7.preview.test",
            "ready": "true",
            "seconds": "3.2",
            "sha": "b" * 40,
        }
    },
    "run": {
        "outputs": {
            "url": "https://guestbook-pr-7.preview.test",
            "namespace": "guestbook-pr-7",
            "state": "ready",
            "failure": "none",
        }
    },
    "cleanup": {
        "outputs": {
            "namespace": "guestbook-pr-7",
            "deleted": '["guestbook-pr-7"]',
            "left-over": "[]",
            "state": "destroyed",
            "failure": "none",
        }
    },
}


@pytest.fixture
def consumer(act: pathlib.Path, toolkit: pathlib.Path, tmp_path: pathlib.Path) -> Consumer:
    return made(act, toolkit, tmp_path)


def made(act: pathlib.Path, toolkit: pathlib.Path, directory: pathlib.Path) -> Consumer:
    """In an empty directory."""
    folder = directory / "bin"
    folder.mkdir()
    # By path: with -m, a folder `tests` of the consumer in the working directory would be taken instead.
    _command(folder / "k8s-ee", shlex.join([sys.executable, str(ROOT / "tests/workflows/fake_cli.py")]) + ' "$@"')
    _command(folder / "helm", "echo v3.22.0")
    harness.repository(ROOT / "examples" / "guestbook", directory / "consumer")
    return Consumer(directory / "consumer", toolkit, act, folder, directory / "journal")


def _command(path: pathlib.Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\nexec {body}\n", encoding="utf-8")
    path.chmod(0o755)
