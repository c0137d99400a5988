"""A password that is changed while a deploy is under way: whoever comes last, the app has what the server has."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from k8s_ee import environment, errors, plan
from k8s_ee.commands import app, logins, rotating, session
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.unit.commands.test_logins import APPS, NAMESPACE, REDIS, SECRETS, Home
from tests.unit.commands.test_logins import home as home  # noqa: PLC0414 - the fixture
from tests.wire import commands

NEW = "a" * 40
FIRST, SECOND = ("redis-credentials-v1", "redis-credentials-v2")


def template(secret: str, commit: str = NEW) -> dict[str, Any]:
    container = {"name": "app", "envFrom": [{"secretRef": {"name": secret}}]}
    return {"metadata": {"annotations": {environment.HEAD_SHA: commit}}, "spec": {"containers": [container]}}


def read(found: dict[str, Any]) -> str:
    (container,) = found["spec"]["containers"]
    return str(container["envFrom"][0]["secretRef"]["name"])


def workload(kind: str, name: str, secret: str) -> dict[str, Any]:
    labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "app"}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    version = "batch/v1" if kind == "Job" else "apps/v1"
    spec = {"template": template(secret)} | ({"replicas": 2} if kind == "Deployment" else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def rotated(home: Home, *, rolls: bool = True) -> None:
    """As by somebody else, to its end."""
    found = home.login()
    numbered = {environment.CREDENTIALS: str(plan.logins.number(found) + 1)}
    home.world.kube.put(SECRETS, {**found, "metadata": {**found["metadata"], "annotations": numbered}})
    if rolls:
        logins.roll(home.ctx(), NAMESPACE, {"redis": REDIS.credentials(plan.logins.number(home.login()))})


def served_from(home: Home, commit: str = NEW) -> None:
    pods, slices = (
        f"/api/v1/namespaces/{NAMESPACE}/pods",
        f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices",
    )
    reference = {"kind": "Pod", "name": "app-1", "uid": "1", "namespace": NAMESPACE}
    endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": True}, "targetRef": reference}
    home.world.kube.put(
        pods, {"metadata": {"name": "app-1", "uid": "1", "annotations": {environment.HEAD_SHA: commit}}}
    )
    labels = {"kubernetes.io/service-name": "app"}
    home.world.kube.put(slices, {"metadata": {"name": "app-1", "labels": labels}, "endpoints": [endpoint]})


@pytest.fixture
def deploying(home: Home) -> session.Session:
    """With what it renders read while the first password held."""
    home.deploy()
    home.run_app()
    served_from(home)
    ctx = home.ctx()
    ctx.fresh = True
    return ctx


def test_a_deploy_gives_the_app_the_password_that_holds_when_it_rolls_it_out(
    home: Home, deploying: session.Session
) -> None:
    rotated(home)
    app.roll_out(deploying, (workload("Deployment", "app", FIRST),))
    assert read(home.app["template"]) == SECOND
    written = home.world.kube.of("PATCH", "deployments/app")
    assert read(written[-1].body["spec"]["template"]) == SECOND


def test_one_that_overwrites_what_the_app_was_given_meanwhile_gives_it_again(
    home: Home, deploying: session.Session
) -> None:
    """Whoever changed the password has ended by then, and looks no more."""

    def twice() -> None:
        rotated(home)
        home.world.kube.meanwhile("PATCH", "deployments/app", lambda: rotated(home))

    home.world.kube.meanwhile("PATCH", "deployments/app", twice)
    app.roll_out(deploying, (workload("Deployment", "app", FIRST),))
    assert read(home.app["template"]) == "redis-credentials-v3"


@contextlib.contextmanager
def controlled(home: Home, judge: Callable[[str], bool]) -> Iterator[list[str]]:
    """Jobs end at once, well or not by the Secret they read; which ones were begun."""
    jobs, over, seen = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs", threading.Event(), list[str]()

    def control() -> None:
        while not over.wait(0.02):
            for found in [one for one in home.world.kube.listed(jobs) if not one.get("status")]:
                seen.append(read(found["spec"]["template"]))
                end = "Complete" if judge(seen[-1]) else "Failed"
                status = {"conditions": [{"type": end, "status": "True", "reason": "BackoffLimitExceeded"}]}
                home.world.kube.put(jobs, found | {"status": status})

    thread = threading.Thread(target=control)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_a_migration_whose_password_was_changed_while_it_ran_is_tried_again_with_the_next(
    home: Home, deploying: session.Session
) -> None:
    def judge(secret: str) -> bool:
        if secret == FIRST:
            rotated(home)
        return secret == SECOND

    with controlled(home, judge) as begun:
        app.migrate(deploying, (workload("Job", "migrate", FIRST),))
    assert begun == [FIRST, SECOND]


def test_one_that_fails_by_itself_is_not_tried_again(home: Home, deploying: session.Session) -> None:
    with controlled(home, lambda _secret: False) as begun, pytest.raises(errors.NotReady):
        app.migrate(deploying, (workload("Job", "migrate", FIRST),))
    assert begun == [FIRST]


def test_one_that_failed_while_the_databases_were_waited_for_is_not_tried_again(
    home: Home, deploying: session.Session
) -> None:
    release = (workload("Job", "migrate", FIRST),)
    with controlled(home, lambda _secret: False) as begun:
        app.begin(deploying, release)
        deadline = time.monotonic() + 10
        while not begun and time.monotonic() < deadline:
            time.sleep(0.01)
        with pytest.raises(errors.NotReady):
            app.migrate(deploying, release)
    assert begun == [FIRST]


def test_a_newer_run_that_came_meanwhile_is_not_overwritten(home: Home, deploying: session.Session) -> None:
    deploying.settings = dataclasses.replace(deploying.settings, run=1)
    deploying.environment = None
    home.world.put(7, run="2")
    with pytest.raises(errors.Superseded):
        app.roll_out(deploying, (workload("Deployment", "app", FIRST),))
    with pytest.raises(errors.Superseded):
        app.finish(deploying, (), command="up", started=0)
    assert home.world.kube.of("PATCH", "deployments/app") == []


@pytest.mark.parametrize("looked_for", ["deployments$", "endpointslices$"])
@pytest.mark.parametrize("commit", [NEW, "b" * 40])
def test_who_changes_it_takes_no_secret_away_that_a_deploy_has_given_the_app_again(
    home: Home, commit: str, looked_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And waits for the commit that is there then: the one of before never serves again."""
    monkeypatch.setattr(rotating, "_SERVED_SECONDS", 0.3)
    home.deploy()
    home.run_redis()
    home.run_app(NEW)
    served_from(home, commit)
    home.world.put(7, head_sha=NEW)

    def deployed() -> None:
        found = home.world.kube.objects[f"{APPS}/deployments", "app"]
        spec = {**found["spec"], "template": template(FIRST, commit)}
        home.world.kube.put(f"{APPS}/deployments", {**found, "spec": spec})

    def rolled() -> None:
        home.world.kube.meanwhile("GET", looked_for, deployed)

    home.world.kube.meanwhile("PATCH", "deployments/app", rolled)
    rotating.rotate(home.ctx(), engines=())
    assert read(home.app["template"]) == SECOND
    assert FIRST not in home.secrets


def test_of_two_changes_at_once_the_app_keeps_the_later_password(home: Home) -> None:
    home.deploy()
    home.run_redis()
    home.run_app()
    home.world.kube.meanwhile("PATCH", "deployments/app", lambda: rotated(home))
    rotating.rotate(home.ctx(), engines=())
    assert read(home.app["template"]) == "redis-credentials-v3"


@pytest.mark.parametrize("late", ["NEXT", "password.sh"])
def test_one_that_a_deploy_has_ended_is_no_failure_of_who_began_it(home: Home, late: str) -> None:
    home.deploy()
    home.run_redis()
    home.run_app()
    served_from(home)

    def run(command: commands.Command) -> commands.Ended:
        if late not in command.text or not plan.logins.pending(home.login()):
            return commands.Ended()
        ended = plan.logins.following(REDIS, home.login())
        home.world.kube.put(SECRETS, {**ended, "data": plan.logins.credentials(REDIS, ended)["data"]})
        return commands.Ended(1, stderr=b"k8s-ee: somebody else has changed it meanwhile")

    home.world.kube.run = run
    result = rotating.rotate(home.ctx(), engines=())
    assert result.state == "rotated"
    assert (read(home.app["template"]), home.secrets) == (SECOND, [SECOND, REDIS.login])
