"""The responder as it is shipped: what visitors of a sleeping, waking, deploying and destroyed environment get."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import http.client
import json
import pathlib
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from k8s_ee import pages
from k8s_ee.cluster import routing
from k8s_ee_sandbox import platform
from tests.cluster import cli, toolkit

# The image is built first.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

HOME = "k8s-ee-system"
APP = ("-n", HOME, "deployment/k8s-ee-responder")
_PATIENCE = 60


@dataclasses.dataclass(frozen=True)
class Seen:
    """`by`: the app, the responder, or the ingress controller itself."""

    status: int
    by: str


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Somebody who reads the page behind a link through the ingress controller."""

    runner: cli.Installed

    def ask(self, name: str, *, method: str = "GET", accept: str = "text/html") -> tuple[int, Mapping[str, str], str]:
        sandbox = self.runner.sandbox
        address, _, port = sandbox.ingress_address.partition(":")
        with contextlib.closing(http.client.HTTPConnection(address, int(port), timeout=10)) as connection:
            connection.request(method, "/", headers={"Host": f"{name}.{sandbox.domain}", "Accept": accept})
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read().decode()

    def state(self, name: str) -> str:
        """What the responder says, empty when it is not the responder who answers."""
        _status, headers, body = self.ask(name, accept="application/json")
        return str(json.loads(body)["state"]) if headers.get("Server") == "k8s-ee" else ""

    def until(self, name: str, state: str) -> None:
        ends = time.monotonic() + _PATIENCE
        while (found := self.state(name)) != state:
            assert time.monotonic() < ends, f"{found!r} for {_PATIENCE} s"
            time.sleep(0.1)

    def seen(self, name: str) -> Seen:
        status, headers, body = self.ask(name)
        if headers.get("Server") == "k8s-ee":
            return Seen(status, "responder")
        return Seen(status, "controller" if body.startswith("ingress:") else "app")

    @contextlib.contextmanager
    def staying(self, name: str) -> Iterator[list[Seen]]:
        """Asks on and on, from two threads, what the block does meanwhile."""
        seen: list[Seen] = []
        ended = threading.Event()

        def stay() -> None:
            while not ended.is_set():
                seen.append(self.seen(name))
                time.sleep(0.03)

        threads = [threading.Thread(target=stay) for _ in range(2)]
        for one in threads:
            one.start()
        try:
            yield seen
        finally:
            ended.set()
            for one in threads:
                one.join()


def overlay(folder: pathlib.Path, runner: cli.Installed, image: str) -> pathlib.Path:
    """What a platform engineer writes, for this domain, controller and registry; no TLS in here."""
    shutil.copytree(toolkit.ROOT / "k8s" / "responder", folder / "responder")
    name, _, digest = image.partition("@")
    ingress: Any = platform.settings(runner.sandbox)["ingress"]
    route = [
        {"op": "replace", "path": "/spec/ingressClassName", "value": ingress["className"]},
        {"op": "replace", "path": "/spec/rules/0/host", "value": f"*.{runner.sandbox.domain}"},
        {"op": "remove", "path": "/spec/tls"},
    ]
    controller = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ingress["namespace"]}},
        "podSelector": {"matchLabels": ingress["podLabels"]},
    }
    network = [{"op": "replace", "path": "/spec/ingress/0/from/0", "value": controller}]
    login = {"op": "add", "path": "/spec/template/spec/imagePullSecrets", "value": [{"name": platform.PULL_SECRET}]}
    patches = {"Ingress": route, "NetworkPolicy": network, "Deployment": [login]}
    written = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["responder/base"],
        "images": [{"name": "k8s-ee", "newName": name, "digest": digest}],
        "patches": [
            {"target": {"kind": kind, "name": "k8s-ee-responder"}, "patch": yaml.safe_dump(patch)}
            for kind, patch in patches.items()
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(written))
    return folder


@pytest.fixture(scope="module")
def visitor(runner: cli.Installed, toolkit_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = overlay(tmp_path_factory.mktemp("overlay"), runner, toolkit_image)
    try:
        runner.kubectl("apply", "--server-side", "-k", str(folder))
        runner.kubectl("rollout", "status", *APP, "--timeout=120s")
        made = Visitor(runner)
        made.until("nobody-pr-1", "unknown")
        yield made
    finally:
        runner.kubectl("delete", "-k", str(folder), "--ignore-not-found")


@pytest.fixture
def awake(visitor: Visitor, tmp_path: pathlib.Path) -> Iterator[cli.Preview]:
    with cli.preview(visitor.runner, tmp_path, project="rest") as preview:
        preview.configure(cli.small())
        preview.up(image=visitor.runner.sandbox.images["base"])
        yield preview


def routes(preview: cli.Preview) -> str:
    return preview.kubectl("get", "ingress", "app", "-o", "jsonpath={.spec.ingressClassName}")


def test_asleep_it_says_so_and_once_awake_every_answer_is_the_apps(visitor: Visitor, awake: cli.Preview) -> None:
    name = awake.namespace
    assert visitor.seen(name) == Seen(200, "app")
    asleep = awake.run("sleep")
    assert (asleep.code, routes(awake)) == (0, routing.PARKED), asleep.said
    visitor.until(name, "sleeping")
    status, headers, body = visitor.ask(name)
    assert (status, headers["Retry-After"], headers["Cache-Control"]) == (503, "60", "no-store")
    assert f"k8s-ee wake --pr {awake.number}" in body
    assert visitor.ask(name, method="POST")[0] == 503
    assert visitor.ask(name, method="HEAD")[2] == ""

    with visitor.staying(name) as seen:
        woken = awake.run("wake")
        before = collections.Counter(seen)
        del seen[:]
        time.sleep(3)
    assert (woken.code, "reachable" in woken.said or "link" in woken.said) == (0, True), woken.said
    after = collections.Counter(seen)
    assert set(after) == {Seen(200, "app")}, after
    assert len(seen) > 50
    assert set(before) == {Seen(503, "responder"), Seen(200, "app")}, before
    assert routes(awake) == "sandbox"


def test_a_push_to_one_that_sleeps_is_a_page_until_the_new_commit_answers(visitor: Visitor, awake: cli.Preview) -> None:
    assert awake.run("sleep").code == 0
    visitor.until(awake.namespace, "sleeping")
    sha = cli.commit()
    with visitor.staying(awake.namespace) as seen:
        awake.up(sha=sha, image=visitor.runner.sandbox.images["base"])
    assert set(seen) == {Seen(503, "responder"), Seen(200, "app")}, collections.Counter(seen)
    assert awake.serving() == sha


def test_a_deploy_that_fails_leaves_what_slept_reachable_again(visitor: Visitor, awake: cli.Preview) -> None:
    before = awake.serving()
    assert awake.run("sleep").code == 0
    awake.configure(cli.small("raise SystemExit(3)"))
    failed = awake.run("up", image=visitor.runner.sandbox.images["base"])
    assert failed.code == 4, failed.said
    ends = time.monotonic() + _PATIENCE
    while visitor.seen(awake.namespace) != Seen(200, "app"):
        assert time.monotonic() < ends
        time.sleep(0.2)
    assert awake.serving() == before


def test_a_first_deploy_is_a_page_and_after_the_end_nothing_tells_that_there_was_one(
    visitor: Visitor, tmp_path: pathlib.Path
) -> None:
    with cli.preview(visitor.runner, tmp_path, project="rest") as preview:
        preview.configure(cli.small())
        image, name = visitor.runner.sandbox.images["base"], preview.namespace
        never = visitor.ask("never-pr-1")
        assert preview.run("create-namespace").code == 0
        visitor.until(name, "deploying")
        with visitor.staying(name) as seen:
            preview.up(image=image)
        assert set(seen) == {Seen(503, "responder"), Seen(200, "app")}, collections.Counter(seen)
        with visitor.staying(name) as seen:
            gone = preview.run("cleanup")
            assert gone.code == 0, gone.said
            visitor.until(name, "unknown")
        assert {one.status for one in seen if one.by == "responder"} <= {503, 410, 404}
        assert Seen(410, "responder") in seen
        after = visitor.ask(name)
    assert (after[0], after[2]) == (never[0], never[2]) == (404, pages.as_html(pages.NOBODY))


def test_its_rights_are_to_watch_namespaces_and_nothing_else(visitor: Visitor) -> None:
    account = f"--as=system:serviceaccount:{HOME}:k8s-ee-responder"
    for verb, kind, allowed in (("watch", "namespaces", "yes"), ("get", "secrets", "no"), ("list", "pods", "no")):
        answer = visitor.runner.kubectl("auth", "can-i", verb, kind, "--all-namespaces", account, check=False)
        assert answer.splitlines()[-1].startswith(allowed), (verb, kind, answer)


def test_a_new_version_of_it_rolls_out_without_an_answer_lost(visitor: Visitor) -> None:
    with visitor.staying("nobody-pr-1") as seen:
        visitor.runner.kubectl("rollout", "restart", *APP)
        visitor.runner.kubectl("rollout", "status", *APP, "--timeout=120s")
    assert set(seen) == {Seen(404, "responder")}, collections.Counter(seen)
