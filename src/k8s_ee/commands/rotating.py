"""rotate-credentials: another password for databases that run, without a restart of any of them."""

from __future__ import annotations

import functools
import time
from collections.abc import Collection, Iterable
from typing import Any

from k8s_ee import environment, errors, outcome, plan
from k8s_ee.cluster import kinds, marks, messages, pool, sleeping, waiting
from k8s_ee.commands import contents, keeping, logins, session

Manifest = dict[str, Any]

_SERVED_SECONDS = 20.0
"""Then it is looked whether a deploy has brought another commit."""


def rotate(ctx: session.Session, *, engines: Collection[str], project: str = "") -> outcome.Outcome:
    """Of these databases, or of all that are deployed; the app is rolled and works with the new ones when it returns.

    Raises InputError for a database that is not deployed, Refused for an environment that sleeps or is being destroyed,
    NotReady when a database does not change its password, or the app does not start with it.
    """
    unknown = sorted({*engines} - {*plan.ENGINES})
    if unknown:
        raise errors.InputError(f"there is no database {', '.join(unknown)}", hint=f"known: {', '.join(plan.ENGINES)}")
    found = keeping.chosen(ctx, project)
    rows = pool.side_by_side([functools.partial(_rotate, ctx, engines, one) for one in found])
    return keeping.result(ctx, "rotate-credentials", "rotated", rows)


def _rotate(ctx: session.Session, engines: Collection[str], observed: environment.Observed) -> keeping.Row:
    marks.require_kept(observed)
    if sleeping.is_stopped(observed):
        raise errors.Refused(
            f"environment {observed.namespace} is asleep: its databases can't be given another password",
            hint="wake it first: k8s-ee wake",
        )
    chosen = _chosen(ctx, engines, observed.namespace)
    with ctx.phase("passwords"):
        ends = contents.side_by_side(ctx, [functools.partial(_change, ctx, observed.namespace, one) for one in chosen])
    changed = [(one, login) for one, login in zip(chosen, ends, strict=True) if isinstance(login, dict)]
    names = {one.name: logins.named(one, login) for one, login in changed}
    if names and not ctx.options.dry_run:
        with ctx.phase("app"):
            _hand_over(ctx, observed, names)
        pool.side_by_side([functools.partial(_end, ctx, one, login) for one, login in changed])
    for failed in ends:
        if isinstance(failed, errors.K8sEEError):
            raise failed
    return {**keeping.row(observed, until=None), "secrets": " ".join(names.values())}


def _chosen(ctx: session.Session, engines: Collection[str], namespace: str) -> list[plan.Engine]:
    there = {one["metadata"]["name"]: one for one in ctx.cluster.list("StatefulSet", namespace)}
    missing = sorted({*engines} - {*there})
    if missing:
        raise errors.InputError(
            f"{namespace} runs no {', '.join(missing)} of its own",
            hint="only a database that is deployed can be given a password; an external one has its team's",
        )
    chosen = [plan.ENGINES[name] for name in engines or there if name in plan.ENGINES]
    old = [one.name for one in chosen if not _sees_changes(there[one.name], one)]
    if old:
        raise errors.Refused(
            f"{', '.join(old)} of {namespace} was deployed by a version of k8s-ee that could not do that",
            hint="deploy it again, then try once more",
        )
    return chosen


def _sees_changes(stateful: Manifest, engine: plan.Engine) -> bool:
    volumes = stateful["spec"]["template"]["spec"].get("volumes") or []
    return engine.login in [(one.get("secret") or {}).get("secretName") for one in volumes]


def _change(ctx: session.Session, namespace: str, engine: plan.Engine) -> Manifest | errors.K8sEEError:
    """The login, or why it could not be changed: the app still has to hear of the others, which refuse the old ones."""
    try:
        begun = logins.begin(ctx, engine, logins.current(ctx, namespace, engine))
        return begun if ctx.options.dry_run else logins.finish(ctx, engine, begun)
    except errors.ONE_OF_MANY as error:
        return error


def _hand_over(ctx: session.Session, observed: environment.Observed, names: dict[str, str]) -> None:
    """To the app, until nothing serves any more that has the old ones: a deploy may give it those again meanwhile."""
    ctx.notes.append(f"{observed.namespace}: changed the password of {', '.join(names)}")
    given, template = None, _roll(ctx, observed.namespace, names)
    while template != given:
        given = template
        ctx.await_ready(observed.namespace, [("Deployment", plan.APP)])
        _await_service(ctx, observed.namespace, names, given)
        template = _roll(ctx, observed.namespace, names)


def _roll(ctx: session.Session, namespace: str, engines: Iterable[str]) -> Manifest | None:
    """To the passwords that hold by now: somebody else may have changed them once more, and has handed over his own."""
    now = logins.read(ctx, namespace, engines)
    names = {name: plan.ENGINES[name].credentials(plan.logins.number(login)) for name, login in now.items()}
    return logins.roll(ctx, namespace, names)


def _await_service(ctx: session.Session, namespace: str, engines: Iterable[str], template: Manifest | None) -> None:
    """Until only its commit serves, or a deploy has brought another one. Raises NotReady."""
    commit = ((template or {}).get("metadata", {}).get("annotations") or {}).get(environment.HEAD_SHA)
    while commit and _roll(ctx, namespace, engines) == template:
        deadline = min(ctx.deadline, time.monotonic() + _SERVED_SECONDS)
        try:
            waiting.served(ctx.cluster, namespace, plan.APP, commit, deadline=deadline)
        except errors.NotReady:
            if time.monotonic() >= ctx.deadline:
                raise
        else:
            return


def _end(ctx: session.Session, engine: plan.Engine, login: Manifest) -> None:
    """The files of the server's pod have nothing old, and neither have Secrets that nobody reads."""
    logins.show(ctx, engine, login)
    namespace = login["metadata"]["namespace"]
    for number in range(1, plan.logins.number(login)):
        name = engine.credentials(number)
        ctx.cluster.write(
            "DELETE",
            kinds.kind("Secret").path(name, namespace=namespace),
            what=f"Secret {name}",
            body=messages.delete_options("Background"),
            expected={404},
        )
