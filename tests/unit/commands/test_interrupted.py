"""A signal while GitHub or the cluster is asked for what may fail: it ends the run, and is no such failure."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from k8s_ee import __main__ as program
from k8s_ee import config as configs
from k8s_ee import environment, errors, options, outcome
from k8s_ee import github as githubs
from k8s_ee.commands import reporting, room, seeds, session
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import commands
from tests.wire import github_state as states

Act = Callable[[session.Session, githubs.GitHub], object]
FACTS: dict[str, Any] = {"repository": "acme/shop", "repository_id": 42, "number": 7}


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of the program, for as long as a test."""
    before = {number: signal.signal(number, program._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def ended() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


ASKING_GITHUB: dict[str, Act] = {
    "begin": lambda ctx, _hub: reporting.begin(ctx, "up", phase="databases"),
    "publish": lambda ctx, _hub: reporting.publish(ctx, outcome.Outcome("up", "ready", outputs={"namespace": "n"})),
    "pull request": lambda _ctx, hub: hub.pull_request(7),
    "states": lambda _ctx, hub: hub.states([githubs.Subject("acme/shop", 42, 7)]),
    "own login": lambda _ctx, hub: hub._api.login(),
}


@pytest.mark.parametrize("act", ASKING_GITHUB.values(), ids=ASKING_GITHUB)
def test_while_github_is_asked(world: sweeps.World, act: Act) -> None:
    world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.observed = environment.from_namespace(world.kube.objects[(sweeps.NS, "shop-pr-7")])
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    handle = world.github.github.handle

    def handled(request: object) -> object:
        ended()
        return handle(request)  # type: ignore[arg-type]

    world.github.github.handle = handled  # type: ignore[method-assign,assignment]
    with pytest.raises(errors.Interrupted):
        act(ctx, ctx.github)


def test_while_a_place_is_given_back(world: sweeps.World) -> None:
    world.platform.write_text("domain: preview.test\ncapacity: {environments: 1}\n")
    ctx = world.session(after=sweeps.HOUR, **FACTS, head_sha="a" * 40)
    ctx.environment = environment.Environment(
        project=environment.ProjectId("shop"), number=7, repository="acme/shop", repository_id=42, domain="preview.test"
    )
    world.kube.meanwhile("GET", sweeps.LEASES, ended)
    with pytest.raises(errors.Interrupted):
        room.leave(ctx)


def failing(world: sweeps.World) -> options.Run:
    """One whose failure is about to be reported, of an environment in which an older commit may serve."""
    world.put(7, head_sha="b" * 40)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.observed = environment.from_namespace(world.kube.objects[(sweeps.NS, "shop-pr-7")])
    ctx.environment = environment.Environment(
        project=environment.ProjectId("shop"), number=7, repository="acme/shop", repository_id=42, domain="preview.test"
    )
    return options.Run(output="json", command="up", session=ctx)


def test_while_a_failure_is_reported_which_is_still_told(
    world: sweeps.World, capsys: pytest.CaptureFixture[str]
) -> None:
    run = failing(world)
    world.kube.meanwhile("GET", "/apis/discovery.k8s.io/v1/namespaces/shop-pr-7/endpointslices", ended)
    assert program._failed(run, errors.NotReady("the app crashes", hint="look at its log")) == 143
    found = json.loads(capsys.readouterr().out)
    assert (found["failure"]["message"], found["failure"]["exitCode"]) == ("the app crashes", 143)
    (comment,) = world.comments
    assert "the app crashes" in comment


def test_while_the_pull_request_is_told_of_a_failure(world: sweeps.World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.shop.pulls[7] = states.Pull(7, head_sha="a" * 40)
    handle = world.github.github.handle

    def handled(request: object) -> object:
        ended()
        return handle(request)  # type: ignore[arg-type]

    world.github.github.handle = handled  # type: ignore[method-assign,assignment]
    arguments = world.arguments("deploy-db", monkeypatch=monkeypatch)  # fails: create-namespace has not run
    monkeypatch.setattr(sys, "argv", ["k8s-ee", *arguments])
    with pytest.raises(SystemExit) as caught:
        program.main()
    assert caught.value.code == 143


def test_while_seeds_are_loaded_which_are_given_up_then(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    """What goes on would keep the process from ending, for as long as the whole command may take."""
    name, over = world.put(7), threading.Event()
    (tmp_path / "seed").write_text("SELECT 1;\n")
    ctx = world.session(after=sweeps.HOUR, head_sha="a" * 40, workspace=tmp_path, **FACTS)
    ctx.__dict__["config"] = configs.load(
        "projectId: shop\ndatabases:\n  postgresql: {seed: seed}\n  mariadb: {seed: seed}\n", path="k8s-ee.yaml"
    )
    for claim in ("data-postgresql-0", "data-mariadb-0"):
        world.kube.put(f"/api/v1/namespaces/{name}/persistentvolumeclaims", {"metadata": {"name": claim}, "spec": {}})

    def run(command: commands.Command) -> commands.Ended:
        if command.stdin and command.pod == "mariadb-0":
            ended()
        if command.stdin:
            over.wait(20)
        return commands.Ended()

    world.kube.run = run
    with pytest.raises(errors.Interrupted):
        seeds.apply(ctx)
    end = time.monotonic() + 5
    while [one for one in threading.enumerate() if one.name.startswith("ThreadPool")] and time.monotonic() < end:
        time.sleep(0.05)
    left = [one.name for one in threading.enumerate() if one.name.startswith("ThreadPool")]
    over.set()
    assert left == []
