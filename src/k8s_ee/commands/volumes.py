"""The volumes of databases: made larger where that can be, and what is noted on them of their data."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from k8s_ee import errors, plan
from k8s_ee.cluster import kinds, messages, refusals, watching
from k8s_ee.commands import contents, session
from k8s_ee.config import model, quantities
from k8s_ee.plan import keeping

Manifest = dict[str, Any]

_KIND = "PersistentVolumeClaim"
_EXCEEDED = "exceeded quota"
_FOLLOWING_SECONDS, _PAUSE_SECONDS = 10.0, 0.5


def grow(ctx: session.Session, wanted: model.Database, claim: Manifest | None) -> bool:
    """Asks for a larger volume where it has to be; whether there is one to wait for.

    Raises ConfigError, at its line, where the StorageClass has none to give.
    """
    if claim is None or not keeping.grows(wanted, claim):
        return False
    body = {"spec": {"resources": {"requests": {"storage": wanted.storage}}}}
    answer = _request(ctx, plan.ENGINES[wanted.engine], body)
    if answer.status == 403 and "must support resize" in answer.message:
        raise keeping.not_growing(ctx.config, wanted, ctx.target(), claim=claim)
    if answer.status == 403:
        raise refusals.error_of(messages.Request("PATCH", "", f"{_KIND} {claim['metadata']['name']}"), answer)
    ctx.notes.append(f"the volume of {wanted.engine} grows to {wanted.storage}")
    return not ctx.options.dry_run


def _request(ctx: session.Session, engine: plan.Engine, body: Manifest) -> messages.Answer:
    """The answer, which may be 403. The quota was raised just now, and is judged by what its controller has seen of it.

    So only a refusal that came after it had seen all of it is one.
    """
    until = min(ctx.deadline, time.monotonic() + _FOLLOWING_SECONDS)
    followed = False
    while True:
        answer = _patch(ctx, engine, body, expected={403})
        refused = answer.status == 403 and _EXCEEDED in answer.message
        if not refused or followed or time.monotonic() >= until:
            return answer
        followed = _is_followed(ctx)
        if ctx.interrupted.wait(_PAUSE_SECONDS):
            return answer


def _is_followed(ctx: session.Session) -> bool:
    quota = ctx.cluster.get("ResourceQuota", "environment", ctx.target().namespace) or {}
    return (quota.get("spec") or {}).get("hard") == (quota.get("status") or {}).get("hard")


def wait(ctx: session.Session, wanted: model.Database) -> None:
    """Until the volume has grown; its pod must be there for that. Raises NotReady."""
    size, until = quantities.parse(wanted.storage), min(ctx.deadline, time.monotonic() + wanted.startup_seconds)
    name, claim = plan.ENGINES[wanted.engine].claim, None
    with watching.watching(ctx.cluster, [watching.Subject(_KIND, ctx.target().namespace, name)]) as watch:
        for view in watch.until(until):
            claim = view.get(_KIND, name)
            if claim and keeping.capacity(claim) >= size:
                return
    conditions = ((claim or {}).get("status") or {}).get("conditions") or []
    said = "; ".join(f"{one['type']}: {one.get('message', '')}".strip(": ") for one in conditions)
    raise errors.NotReady(
        f"the volume of {wanted.engine} has not grown to {wanted.storage}: {said or 'nobody has said why'}",
        hint=f"the data is as it was; look at kubectl -n {ctx.target().namespace} describe pvc {name}",
    )


def note_version(ctx: session.Session, wanted: model.Database, claim: Manifest | None) -> None:
    """Once it answers: of which version its data is, for as long as there is a volume. Asked where the config is vague.

    A later version is judged by this, and not by whether the database happens to answer at that moment.
    """
    engine, version = plan.ENGINES[wanted.engine], keeping.asked_version(wanted, ctx.platform)
    if claim is None or keeping.known_version(claim) or not version:
        return
    if not keeping.is_exact(version, engine):
        version = contents.version(ctx, ctx.target().namespace, engine) or version
    _patch(ctx, engine, {"metadata": {"annotations": {keeping.VERSION: version}}})


def retire(ctx: session.Session, engine: plan.Engine, claim: Manifest) -> None:
    """Before its workload goes: that it goes on purpose."""
    if not keeping.is_retired(claim):
        running = ctx.cluster.get("StatefulSet", engine.name, ctx.target().namespace)
        _patch(ctx, engine, {"metadata": {"annotations": keeping.retired(claim, running, engine)}})


def deploy_again(ctx: session.Session, engine: plan.Engine, claim: Manifest | None) -> None:
    """Once its workload is there again."""
    if claim and keeping.is_retired(claim):
        _patch(ctx, engine, {"metadata": {"annotations": {keeping.RETIRED: None}}})


def of(ctx: session.Session, engine: plan.Engine) -> Manifest | None:
    """Its PersistentVolumeClaim as it is now."""
    return ctx.cluster.get(_KIND, engine.claim, ctx.target().namespace)


def annotate(ctx: session.Session, engine: plan.Engine, noted: Mapping[str, str], *, version: str) -> bool:
    """False when the claim is not this `version` of it any more."""
    body = {"metadata": {"resourceVersion": version, "annotations": dict(noted)}}
    return _patch(ctx, engine, body, expected={409}).status != 409


def _patch(
    ctx: session.Session, engine: plan.Engine, body: Manifest, *, expected: Collection[int] = ()
) -> messages.Answer:
    return ctx.cluster.write(
        "PATCH",
        kinds.kind(_KIND).path(engine.claim, namespace=ctx.target().namespace),
        what=f"{_KIND} {engine.claim}",
        body=body,
        content_type=messages.MERGE_PATCH,
        expected=expected,
    )
