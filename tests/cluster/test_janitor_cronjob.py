"""The janitor as it is shipped, in a pod of its own: image, rights, App key, and a clock that the test moves."""

import contextlib
import dataclasses
import datetime
import json
import pathlib
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml

from k8s_ee import environment
from k8s_ee.cluster import preserving
from k8s_ee_sandbox import cluster as sandboxes
from k8s_ee_sandbox import network, platform, state
from tests import conftest
from tests.cluster import cli, toolkit
from tests.wire import github
from tests.wire import github_apps as apps
from tests.wire import github_state as states
from tests.workflows import events

# The image is built first.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

HOME = "k8s-ee-system"
SECRET = "k8s-ee-janitor-app"
APP = 3
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_PASS_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Janitor:
    """`sweep` is one pass, by a Job made from the CronJob as `kubectl create job --from` makes it.

    `folder` is the kustomization that it was installed by.
    """

    kubectl: conftest.Kubectl
    github: github.Server
    folder: pathlib.Path

    def sweep(self, now: datetime.datetime | None = None, *, code: int = 0) -> dict[str, Any]:
        """The Outcome that the pod's log shows. The clock stands still at `now`."""
        return self.run("janitor", now, code=code)

    def run(self, role: str, now: datetime.datetime | None = None, *, code: int = 0) -> dict[str, Any]:
        """As `sweep`, of the janitor or of what is installed beside it."""
        name = f"pass-{secrets.token_hex(4)}"
        shown = self.kubectl(
            *("-n", HOME, "create", "job", name, f"--from=cronjob/k8s-ee-{role}"), "--dry-run=client", "-o", "json"
        )
        job = json.loads(shown)
        clock = ["--now", now.isoformat(timespec="seconds")] if now else []
        job["spec"]["template"]["spec"]["containers"][0]["args"] += ["--output", "json", *clock]
        self.kubectl("create", "-f", "-", stdin=json.dumps(job))
        pod = self._ended(name)
        said = self.kubectl("-n", HOME, "logs", pod["metadata"]["name"])
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert ended["exitCode"] == code, said
        self.kubectl("-n", HOME, "delete", "job", name, "--wait=false")
        outcome: dict[str, Any] = json.loads(said[said.index("\n{") :])
        return outcome

    def done_to(self, namespace: str, now: datetime.datetime) -> str:
        """By one pass: as which it counted this environment."""
        rows = self.sweep(now)["data"]["environments"]
        return next((str(one["done"]) for one in rows if one["namespace"] == namespace), "not there")

    def schedule(self, when: str) -> None:
        """Not suspended any more."""
        file = self.folder / "kustomization.yaml"
        written = yaml.safe_load(file.read_text())
        patch = [{"op": "replace", "path": "/spec/schedule", "value": when}]
        written["patches"].append({**written["patches"][0], "patch": yaml.safe_dump(patch)})
        file.write_text(yaml.safe_dump({**written, "components": []}))
        self.kubectl("apply", "--server-side", "-k", str(self.folder))

    def scheduled(self) -> str:
        """The name of the first Job that the schedule made, as soon as there is one."""
        began = "--for=jsonpath={.status.lastScheduleTime}"
        self.kubectl("-n", HOME, "wait", "cronjob/k8s-ee-janitor", began, "--timeout=180s", timeout=200)
        made = json.loads(self.kubectl("-n", HOME, "get", "jobs", "-o", "json"))["items"]
        return next(str(one["metadata"]["name"]) for one in made if SCHEDULED in one["metadata"].get("annotations", {}))

    def _ended(self, job: str) -> dict[str, Any]:
        until = time.monotonic() + _PASS_SECONDS
        while time.monotonic() < until:
            listed = self.kubectl("-n", HOME, "get", "pods", "-l", f"job-name={job}", "-o", "json")
            for pod in json.loads(listed)["items"]:
                if pod["status"]["phase"] in {"Succeeded", "Failed"}:
                    ended: dict[str, Any] = pod
                    return ended
            time.sleep(0.5)
        raise AssertionError(self.kubectl("-n", HOME, "describe", "pods", "-l", f"job-name={job}"))


@contextlib.contextmanager
def hub(sandbox: sandboxes.Sandbox) -> Iterator[github.Server]:
    """A GitHub that pods reach, with an App that is installed for the consumer's owner."""
    running = state.read(state.place(sandbox.name))
    assert running
    home = states.Repository(id=events.REPOSITORY_ID, owner_id=events.OWNER_ID, full_name=events.REPOSITORY)
    app = states.App(APP, "previews", apps.keys().public, [states.Installation(1, home.owner)])
    address = network.Network(name=sandbox.name, slot=running.slot).host
    with github.Server(states.State(repositories=[home], apps=[app]), host=address) as server:
        yield server


def overlay(folder: pathlib.Path, *, image: str, api_url: str, components: Sequence[str] = ()) -> pathlib.Path:
    """What a platform engineer writes, and where this GitHub and this registry's login are."""
    shutil.copytree(toolkit.ROOT / "k8s" / "janitor", folder / "janitor")
    name, _, digest = image.partition("@")
    pod = "/spec/jobTemplate/spec/template/spec"
    added = [
        {
            "op": "add",
            "path": f"{pod}/containers/0/env/-",
            "value": {"name": "K8S_EE_API_URL", "value": api_url},
        },
        {"op": "add", "path": f"{pod}/imagePullSecrets", "value": [{"name": platform.PULL_SECRET}]},
    ]
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["janitor/base"],
        # The test says when.
        "components": [f"janitor/components/{one}" for one in ("suspended", *components)],
        "images": [{"name": "k8s-ee", "newName": name, "digest": digest}],
        "patches": [
            {"target": {"kind": "CronJob", "name": f"k8s-ee-{role}"}, "patch": yaml.safe_dump(added)}
            for role in ("janitor", *(["keeper"] if "backup" in components else []))
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(written))
    return folder


@pytest.fixture
def janitor(runner: cli.Installed, toolkit_image: str, tmp_path: pathlib.Path) -> Iterator[Janitor]:
    with installed(runner, toolkit_image, tmp_path) as made:
        yield made


@contextlib.contextmanager
def installed(
    runner: cli.Installed, toolkit_image: str, tmp_path: pathlib.Path, components: Sequence[str] = ()
) -> Iterator[Janitor]:
    kubectl = runner.kubectl
    # What other tests left would be counted, too, and look stuck to a clock that is days ahead.
    kubectl("delete", "namespace", "-l", "k8s-ee/type=ephemeral", "--timeout=90s")
    key = tmp_path / "key.pem"
    key.write_text(apps.keys().private)
    with hub(runner.sandbox) as server:
        (tmp_path / "overlay").mkdir()
        folder = overlay(tmp_path / "overlay", image=toolkit_image, api_url=server.url, components=components)
        made = ("generic", SECRET, f"--from-literal=app-id={APP}", f"--from-file=private-key={key}")
        kubectl("-n", HOME, "create", "secret", *made)
        try:
            kubectl("apply", "--server-side", "-k", str(folder))
            yield Janitor(kubectl, server, folder)
        finally:
            kubectl("delete", "-k", str(folder), "--ignore-not-found")
            kubectl("-n", HOME, "delete", "secret", SECRET)


def test_preserved_warned_expired_and_gone(janitor: Janitor, runner: cli.Installed, tmp_path: pathlib.Path) -> None:
    (tmp_path / "consumer").mkdir()
    with cli.preview(runner, tmp_path / "consumer", project="sweep") as preview:
        server, namespace, sha = janitor.github, preview.namespace, cli.commit()
        preview.configure(cli.small())
        event = preview.pushed(server, sha)
        preview.up(sha=sha, image=runner.sandbox.images["base"], **event)
        kept = preview.start("preserve", "48h", "--output", "json", sha=sha, **event).end()
        assert kept.code == 0, kept.said
        until = datetime.datetime.fromisoformat(kept.outcome["outputs"]["until"])
        uid = preview.kubectl("get", "namespace", namespace, "-o", "jsonpath={.metadata.uid}")
        preview.close(server)

        def at(**shift: float) -> str:
            return janitor.done_to(namespace, until + datetime.timedelta(**shift))

        assert at(hours=-47) == "kept", "closed, and preserved"
        assert "is preserved" in preview.comment(server)
        assert at(minutes=-58) == "warned"
        said = preview.comment(server)
        assert "will be destroyed soon" in said
        assert f"{until:%Y-%m-%d %H:%M} UTC" in said
        assert at(minutes=-53) == "kept", "warned once"
        assert at(minutes=1) == "kept", "an hour after the warning has to pass"
        assert [at(minutes=5), at(minutes=10)] == ["expired", "deleted"]

        there = preview.kubectl("get", "namespace", namespace, "-o", "jsonpath={.metadata.uid}", check=False)
        assert uid not in there
        assert "NotFound" in there
        assert "gone" in preview.comment(server), preview.comment(server)
        slots = janitor.kubectl("-n", HOME, "get", "leases", "-o", "jsonpath={.items[*].spec.holderIdentity}")
        assert uid not in slots, f"{preserving.PREFIX}: its slot is free"
        told = janitor.kubectl("-n", "default", "get", "events", "-o", "json")
        reasons = {one["reason"] for one in json.loads(told)["items"] if one["involvedObject"].get("uid") == uid}
        assert {"Warned", "PreserveEnded", "Destroying"} <= reasons


def test_a_pass_begins_by_the_schedule(janitor: Janitor, runner: cli.Installed, tmp_path: pathlib.Path) -> None:
    (tmp_path / "consumer").mkdir()
    with cli.preview(runner, tmp_path / "consumer", project="sweep") as preview:
        preview.configure(cli.small())
        event = preview.pushed(janitor.github, sha := cli.commit())
        assert preview.start("create-namespace", sha=sha, **event).end().code == 0
        preview.close(janitor.github)
        janitor.schedule("* * * * *")
        begun = janitor.scheduled()
        janitor.kubectl("-n", HOME, "wait", f"job/{begun}", "--for=condition=Complete", "--timeout=110s")
        assert "NotFound" in preview.kubectl("get", "namespace", preview.namespace, check=False)
        assert "gone" in preview.comment(janitor.github)


def test_a_pass_leaves_alone_what_github_does_not_speak_of(
    janitor: Janitor, runner: cli.Installed, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "consumer").mkdir()
    with cli.preview(runner, tmp_path / "consumer", project="sweep") as preview:
        preview.configure(cli.small())
        preview.up(image=runner.sandbox.images["base"])  # a pull request that GitHub does not know
        outcome = janitor.sweep(code=5)
        assert outcome["data"]["summary"]["unknown"] == 1
        assert outcome["data"]["summary"]["deleted"] == 0
        known = preview.kubectl("get", "namespace", preview.namespace, "-o", "jsonpath={.metadata.annotations}")
        assert environment.UNKNOWN_SINCE in known
