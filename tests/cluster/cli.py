"""The installed `k8s-ee` as a process of its own, with the identity and the environment variables that CI has."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from k8s_ee_sandbox import artifacts, platform, progress
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest, world
from tests.cluster import crowd
from tests.wire import github
from tests.wire import github_state as states
from tests.workflows import events

# Answers every path with the commit it was started with, as the guestbook does on /version.
SERVER = """
import http.server, json, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"commit": os.environ["COMMIT_SHA"]}).encode())
    def log_message(self, *args):
        pass
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


@dataclasses.dataclass(frozen=True)
class Finished:
    """`seconds` is wall-clock time from start to exit."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    @property
    def outcome(self) -> dict[str, Any]:
        """Of a command with `--output json`."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


@dataclasses.dataclass
class Running:
    process: subprocess.Popen[str]
    began: float

    def until(self, words: str = "") -> str:
        """Waits for the first line of its progress that has these words. Raises AssertionError if it ends without."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if words in line:
                return line
        raise AssertionError(f"it ended without saying {words!r}")

    def send(self, number: int) -> None:
        """To its whole process group, as Ctrl-C in a terminal does; its time counts from now."""
        self.began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def end(self, *, timeout: float = 60) -> Finished:
        """Kills it when the time is up."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.communicate()
            raise
        return Finished(self.process.returncode, stdout, stderr, time.monotonic() - self.began)


@dataclasses.dataclass(frozen=True)
class Installed:
    """`image` is the guestbook's, by digest. `bin` comes before the rest of PATH."""

    sandbox: sandboxes.Sandbox
    kubectl: conftest.Kubectl
    kubeconfig: pathlib.Path
    bin: pathlib.Path
    image: str = ""

    def environ(self) -> dict[str, str]:
        """Nothing of the surrounding CI, if there is one, reaches the process."""
        foreign = ("K8S_EE_", "GITHUB_", "KUBE", "RUNNER_")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        own = {
            "K8S_EE_REPOSITORY": events.REPOSITORY,
            "K8S_EE_REPOSITORY_ID": str(events.REPOSITORY_ID),
            "K8S_EE_OWNER_ID": str(events.OWNER_ID),
            "K8S_EE_BRANCH": "feature",
            "K8S_EE_KUBECONFIG": str(self.kubeconfig),
        }
        return {**clean, "PATH": f"{self.bin}{os.pathsep}{clean['PATH']}", **own}

    def start(self, directory: pathlib.Path, *arguments: str, **environ: str) -> Running:
        """Empty values are removed from the environment."""
        merged = {key: value for key, value in {**self.environ(), **environ}.items() if value}
        process = subprocess.Popen(
            [str(self.bin / "k8s-ee"), *arguments],
            cwd=directory,
            env=merged,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Running(process, time.monotonic())


def example(sandbox: sandboxes.Sandbox) -> dict[str, Any]:
    """The guestbook's k8s-ee.yaml, with its database, for the sandbox's registry."""
    shipped = yaml.safe_load((world.EXAMPLE / "k8s-ee.yaml").read_text())
    return {**shipped, **world.settings(sandbox, project="guestbook")}


def small(source: str = SERVER, **app: Any) -> dict[str, Any]:
    """A k8s-ee.yaml without a database, whose app is a Python script in the sandbox's base image."""
    return {"app": {"command": ["python3", "-uc", source], "runAsUser": 1000, **app}}


def install(sandbox: sandboxes.Sandbox, folder: pathlib.Path, kubectl: conftest.Kubectl) -> Installed:
    """What a runner has before the first step."""
    tools = artifacts.ensure("kubectl", "helm", progress=progress.Progress())
    return Installed(
        sandbox=sandbox,
        kubectl=kubectl,
        kubeconfig=platform.install(sandbox, kubectl=tools["kubectl"]),
        bin=world.runner_path(folder / "bin", tools),
    )


def with_image(runner: Installed, folder: pathlib.Path) -> Installed:
    """With the guestbook's image in the sandbox's registry, built by the command that builds it everywhere."""
    sandbox, config = runner.sandbox, folder / "k8s-ee.yaml"
    config.write_text(yaml.safe_dump(example(sandbox)))
    login = {
        "K8S_EE_REGISTRY_USERNAME": sandbox.registry_user,
        "K8S_EE_REGISTRY_PASSWORD": sandbox.registry_password,
        "K8S_EE_REGISTRY_INSECURE": "true",
    }
    arguments = ("build", "--config-path", str(config), "--output", "json")
    built = runner.start(world.EXAMPLE, *arguments, **login).end(timeout=300)
    assert built.code == 0, built.said
    return dataclasses.replace(runner, image=built.outcome["outputs"]["image"])


@dataclasses.dataclass
class Preview:
    """One pull request of one consumer: its directory with k8s-ee.yaml, and its environment in the cluster."""

    installed: Installed
    directory: pathlib.Path
    number: int
    project: str = "robust"
    environ: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def namespace(self) -> str:
        return f"{self.project}-pr-{self.number}"

    @property
    def config(self) -> pathlib.Path:
        return self.directory / "k8s-ee.yaml"

    def configure(self, keys: Mapping[str, Any]) -> None:
        self.config.write_text(yaml.safe_dump({**keys, "projectId": self.project}))

    def start(self, *arguments: str, sha: str = "", image: str = "", **environ: str) -> Running:
        own = {"K8S_EE_PR": str(self.number), "K8S_EE_HEAD_SHA": sha or commit()}
        own["K8S_EE_IMAGE"] = image or self.installed.image
        return self.installed.start(self.directory, *arguments, **{**own, **self.environ, **environ})

    def run(self, *arguments: str, sha: str = "", image: str = "", timeout: float = 300, **environ: str) -> Finished:
        return self.start(*arguments, sha=sha, image=image, **environ).end(timeout=timeout)

    def up(self, *, sha: str = "", image: str = "", **environ: str) -> Finished:
        """Asserts that it is ready."""
        done = self.start("up", sha=sha, image=image, **environ).end(timeout=300)
        assert done.code == 0, done.said
        return done

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """As the cluster's administrator, in this namespace."""
        return self.installed.kubectl("-n", self.namespace, *arguments, stdin=stdin, check=check)

    def begin_anew(self, *databases: str) -> None:
        """Deletes their pods, and waits for the next ones to be ready."""
        names = [f"pod/{one}-0" for one in databases]

        def uids() -> set[str]:
            return set(self.kubectl("get", *names, "--ignore-not-found", "-o", "jsonpath={..metadata.uid}").split())

        before = uids()
        # `kubectl delete --wait` may take the next one, which is called the same, for the one that it waits for.
        self.kubectl("delete", *names, "--wait=false")
        crowd.until(lambda: len(uids() - before) == len(names))
        for name in names:
            self.kubectl("wait", name, "--for=condition=Ready", "--timeout=110s")

    def ask(self, path: str, *, method: str = "GET", body: Mapping[str, Any] | None = None) -> tuple[int, str]:
        """Status and body, through the ingress. Status 0 when nothing answers."""
        host = f"{self.namespace}.{self.installed.sandbox.domain}"
        try:
            return world.ask(self.installed.sandbox, host, path, method=method, body=body)
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)

    def write_row(self) -> str:
        """A message that only this row has."""
        message = secrets.token_hex(8)
        status, answer = self.ask("/entries", method="POST", body={"author": "test", "message": message})
        assert status == 201, answer
        return message

    def rows(self) -> list[str]:
        status, answer = self.ask("/entries")
        assert status == 200, answer
        return [entry["message"] for entry in json.loads(answer)]

    def serving(self) -> str:
        """The commit that the guestbook behind the link was started with."""
        status, answer = self.ask("/version")
        return str(json.loads(answer)["commit"]) if status == 200 else ""

    def pushed(self, server: github.Server, sha: str) -> dict[str, str]:
        """The environment variables of the workflow run that GitHub starts for this push."""
        payload = self.directory / f"{sha}.json"
        payload.write_text(json.dumps(events.pull_request("synchronize", number=self.number, head_sha=sha)))
        repository = server.state.repository(events.REPOSITORY)
        repository.pulls[self.number] = states.Pull(self.number, head_sha=sha)
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(payload),
            "GITHUB_REPOSITORY": events.REPOSITORY,
            "GITHUB_RUN_ID": str(time.time_ns() // 1_000_000),
            "GITHUB_API_URL": server.url,
            "GITHUB_TOKEN": "token-of-this-run",
        }

    def close(self, server: github.Server) -> None:
        server.state.repository(events.REPOSITORY).pulls[self.number].state = "closed"

    def comment(self, server: github.Server) -> str:
        """The body of the one comment there is; empty when there is none."""
        known = server.state.repository(events.REPOSITORY).comments.values()
        bodies = [one.body for one in known if one.number == self.number]
        assert len(bodies) <= 1, bodies
        return "".join(bodies)


@contextlib.contextmanager
def hub() -> Iterator[github.Server]:
    """A local GitHub that knows the consumer's repository."""
    home = states.Repository(id=events.REPOSITORY_ID, owner_id=events.OWNER_ID, full_name=events.REPOSITORY)
    with github.Server(states.State(repositories=[home])) as server:
        yield server


def commit() -> str:
    return secrets.token_hex(20)


@contextlib.contextmanager
def preview(installed: Installed, directory: pathlib.Path, *, project: str = "robust") -> Iterator[Preview]:
    """Its namespace is deleted in the end, without waiting."""
    made = Preview(installed, directory, number=1 + secrets.randbelow(10**6), project=project)
    try:
        yield made
    finally:
        installed.kubectl("delete", "namespace", made.namespace, "--wait=false", "--ignore-not-found")
