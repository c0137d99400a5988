"""A database that is not deployed any more: what is applied first leaves it alone, what comes last takes it away."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import environment, errors, plan, probe
from k8s_ee.cluster import objects
from k8s_ee.commands import app, databases, session
from k8s_ee.config import model
from k8s_ee.plan import keeping
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

FACTS: dict[str, Any] = {"repository": "acme/shop", "repository_id": 42, "number": 7, "head_sha": "a" * 40}


def deployed(world: sweeps.World) -> session.Session:
    """Where its volume and its workload are, and neither is in the config."""
    name = world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"))
    labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: "redis"}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "redis", "labels": labels},
        "spec": {"template": {"metadata": {}, "spec": {"containers": []}}},
    }
    ctx.cluster.apply((workload,), manager=plan.manager("redis"), namespace=name)
    claim = {"metadata": {"name": "data-redis-0"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}
    world.kube.put(f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    return ctx


def replica_set(revision: int, sha: str, *, ready: int = 0) -> dict[str, Any]:
    metadata = {"annotations": {environment.HEAD_SHA: sha}, "labels": {"pod-template-hash": str(revision)}}
    return {
        "metadata": {"annotations": {"deployment.kubernetes.io/revision": str(revision)}},
        "spec": {"template": {"metadata": metadata, "spec": {"revision": revision}}},
        "status": {"readyReplicas": ready},
    }


@pytest.mark.parametrize(("sets", "revision"), [
    ([replica_set(1, "a"), replica_set(2, "b")], 1),
    ([replica_set(1, "a", ready=1), replica_set(2, "a")], 1),
    ([replica_set(1, "a", ready=1), replica_set(2, "a"), replica_set(3, "a")], 1),
    ([replica_set(3, "a", ready=1)], None),
])  # fmt: skip
def test_what_is_put_back_is_never_what_failed_though_it_be_of_the_same_commit(
    sets: list[dict[str, Any]], revision: int | None
) -> None:
    failed = str(len(sets)) if revision else "3"
    found = objects.template_of(sets, "a", but=failed)
    assert (found and found["spec"]["revision"]) == revision


@pytest.mark.parametrize("fresh", [False, True])
def test_its_workload_goes_last_and_its_volume_stays(world: sweeps.World, fresh: bool) -> None:
    ctx = deployed(world)
    ctx.fresh, name = fresh, ctx.target().namespace
    databases.apply(ctx, {})
    assert ctx.cluster.get("StatefulSet", "redis", name)
    databases.retire(ctx)
    assert bool(ctx.cluster.get("StatefulSet", "redis", name)) is fresh
    claim = ctx.cluster.get("PersistentVolumeClaim", "data-redis-0", name)
    assert claim is not None
    assert keeping.is_retired(claim) is not fresh
    assert ctx.notes == ([] if fresh else ["redis is not deployed any more: its volume and password are kept"])


def test_it_stays_until_the_link_has_answered_for_the_commit_before_may_have_to_be_put_back(
    world: sweeps.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx = deployed(world)
    databases.require_namespace(ctx)
    monkeypatch.setattr(probe, "until_ready", lambda *_asked, **_how: probe.Answer(503))
    with pytest.raises(errors.NotReady, match="answered 503"):
        app.finish(ctx, (), command="up", started=0)
    assert ctx.cluster.get("StatefulSet", "redis", ctx.target().namespace)
    for answer, hint in (
        (probe.Answer(301), "app.healthPath must answer 2xx itself"),
        (probe.Answer(0, "has a certificate that is not trusted", untrusted=True), "no certificate for *.preview"),
    ):
        monkeypatch.setattr(probe, "until_ready", lambda *_asked, answer=answer, **_how: answer)
        with pytest.raises(errors.NotReady) as caught:
            app.finish(ctx, (), command="up", started=0)
        assert hint in caught.value.hint
    monkeypatch.setattr(probe, "until_ready", lambda *_asked, **_how: probe.Answer(200))
    assert app.finish(ctx, (), command="up", started=0).state == "ready"
    assert ctx.cluster.get("StatefulSet", "redis", ctx.target().namespace) is None
