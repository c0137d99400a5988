"""The passwords of databases: made once, read back, and changed in steps that anybody may go on from.

    begin     the next password is in the login, beside the one that holds
    finish    the app's Secret of the next number is there; the server has the next password; the login has it alone
    roll      the app reads the Secret of that number

Killed between two of these, the next `rotate-credentials`, or the next deploy, goes on with the same next password.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from k8s_ee import environment, errors, plan
from k8s_ee.cluster import kinds, messages, pool
from k8s_ee.commands import contents, secrecy, session

Manifest = dict[str, Any]

_ATTEMPTS = 5
_ROLLS = 25
_PAUSE_SECONDS = 0.2
_SHOWN = 40
_AGAIN = "run the same command again: it goes on from what is there"


def read(ctx: session.Session, namespace: str, engines: Iterable[str] = tuple(plan.ENGINES)) -> dict[str, Manifest]:
    """The login of each engine that has one, hidden from now on; of an environment made before there were logins, what
    its app was given.

    Raises Refused when one may not be read, after all the others were.
    """
    wanted = [plan.ENGINES[name] for name in engines]
    answers = pool.side_by_side([functools.partial(_try, ctx, namespace, engine) for engine in wanted])
    for answer in answers:
        if isinstance(answer, errors.Refused):
            raise answer
    return {one.name: found for one, found in zip(wanted, answers, strict=True) if isinstance(found, dict)}


def of_config(ctx: session.Session) -> dict[str, Manifest]:
    """As `read`, of the databases that the config deploys."""
    return read(ctx, ctx.target().namespace, [one.engine for one in ctx.config.deployed])


def _try(ctx: session.Session, namespace: str, engine: plan.Engine) -> Manifest | errors.Refused | None:
    try:
        found = ctx.cluster.get("Secret", engine.login, namespace) or ctx.cluster.get(
            "Secret", engine.secret, namespace
        )
    except errors.Refused as error:
        return error
    if found:
        _hide(ctx, engine, found)
    return found


def current(ctx: session.Session, namespace: str, engine: plan.Engine) -> Manifest:
    """The login. Raises Refused when it is not there."""
    found = ctx.cluster.get("Secret", engine.login, namespace)
    if found is None:
        raise errors.Refused(
            f"Secret {engine.login} is gone, and with it the password that {engine.name} has",
            hint="restore it: nobody else knows",
        )
    _hide(ctx, engine, found)
    return found


def provide(
    ctx: session.Session, engine: plan.Engine, login: Manifest | None, first: Manifest | None, *, has_data: bool
) -> Manifest:
    """The login, which is made at most once. `first`: what the app was given as number 1, if that is there.

    Raises Refused for data whose password is gone.
    """
    if login is None and first is None and has_data:
        raise errors.Refused(
            f"{engine.name} has its data (PersistentVolumeClaim {engine.claim}) but not its password "
            f"(Secret {engine.login}); a new password would lock the app out",
            hint=f"restore the Secret, or give up the data: k8s-ee reset-db {engine.name}",
        )
    if login is None:
        made = (
            plan.logins.adopted(engine, ctx.target(), first)
            if first
            else plan.logins.login(engine, ctx.target(), token=_token, number=_unused(ctx, engine))
        )
        _hide(ctx, engine, made)
        login = ctx.cluster.create_only(made)
    _hide(ctx, engine, login)
    return login


def _unused(ctx: session.Session, engine: plan.Engine) -> int:
    app = None if ctx.fresh else ctx.cluster.get("Deployment", plan.APP, ctx.target().namespace)
    return plan.logins.unused(engine, app)


def give(ctx: session.Session, engine: plan.Engine, login: Manifest) -> None:
    """The app's Secret, if it is not there."""
    ctx.cluster.create(plan.logins.credentials(engine, login))


def begin(ctx: session.Session, engine: plan.Engine, login: Manifest) -> Manifest:
    """The login with the next password. One that somebody has begun with is kept: two never change it at once."""
    token = _token()
    secrecy.hide(ctx, engine, engine.env(token))
    for _attempt in range(_ATTEMPTS):
        if plan.logins.pending(login):
            return login
        login = _write(ctx, login, plan.logins.beginning(token)) or current(ctx, login["metadata"]["namespace"], engine)
    raise _contended(engine)


def finish(ctx: session.Session, engine: plan.Engine, login: Manifest) -> Manifest:
    """The login once the server has the password that was begun with. Raises NotReady with what the engine said."""
    following, password = plan.logins.following(engine, login), plan.logins.pending(login)
    namespace = login["metadata"]["namespace"]
    give(ctx, engine, following)
    try:
        show(ctx, engine, login)
        contents.change_password(ctx, namespace, engine, password)
    except errors.NotReady:
        found = current(ctx, namespace, engine)
        if plan.logins.pending(found) == password:
            raise
        return found  # Somebody else, a deploy perhaps, has ended it.
    written = _write(ctx, login, plan.logins.ending(following)) or current(ctx, namespace, engine)
    if plan.logins.pending(written) == password:
        raise _contended(engine)
    ctx.say(f"{engine.name} has its next password")
    return written


def show(ctx: session.Session, engine: plan.Engine, login: Manifest) -> None:
    """Until the files in the server's pod are this login. Raises NotReady."""
    metadata, wanted = login["metadata"], plan.logins.pending(login)
    for attempt in range(_SHOWN):
        # A node looks after the files of a pod that is changed at once, and of any other about once a minute. It may
        # hear of the pod before it hears of the Secret: then it has to be told again.
        told = {environment.CREDENTIALS: f"{metadata['resourceVersion']}-{attempt}"}
        ctx.cluster.write(
            "PATCH",
            kinds.kind("Pod").path(engine.pod, namespace=metadata["namespace"]),
            what=f"Pod {engine.pod}",
            body={"metadata": {"annotations": told}},
            content_type=messages.MERGE_PATCH,
        )
        if contents.has_next(ctx, metadata["namespace"], engine, wanted):
            return
        if wanted and plan.logins.pending(current(ctx, metadata["namespace"], engine)) != wanted:
            break
    raise errors.NotReady(f"the files of pod {engine.pod} don't follow Secret {engine.login}", hint=_AGAIN)


def settled(ctx: session.Session) -> dict[str, str]:
    """The Secrets, by engine, that the config's app is to read now. Ends what was begun. Raises NotReady."""
    found = of_config(ctx)
    for name, login in found.items():
        resume(ctx, plan.ENGINES[name], login)
    return {name: named(plan.ENGINES[name], login) for name, login in found.items()}


def names(ctx: session.Session, engines: Iterable[str] = tuple(plan.ENGINES)) -> dict[str, str]:
    """The same of these that have a login, and nothing is ended."""
    found = read(ctx, ctx.target().namespace, engines)
    return {name: named(plan.ENGINES[name], login) for name, login in found.items()}


def follow(ctx: session.Session, given: Mapping[str, str]) -> None:
    """Once the app was `given` these: who changed a password meanwhile has handed it to what was there before."""
    while (now := names(ctx, given)) != given:
        roll(ctx, ctx.target().namespace, now)
        given = now


def roll(ctx: session.Session, namespace: str, names: Mapping[str, str]) -> Manifest | None:
    """Gives the app these Secrets (by engine) instead of those of other numbers. Its pod template, None = no app."""
    for attempt in range(_ROLLS):
        # While it is being rolled, for another database perhaps, its status changes several times a second.
        if attempt:
            ctx.interrupted.wait(_PAUSE_SECONDS)
        found = ctx.cluster.get("Deployment", plan.APP, namespace)
        if found is None:
            return None
        template: Manifest = plan.logins.reading(found["spec"]["template"], names)
        if template == found["spec"]["template"] or _replace(ctx, found, template):
            return template
    raise errors.ClusterUnavailable(f"Deployment {plan.APP} keeps being changed by somebody else", hint=_AGAIN)


def _replace(ctx: session.Session, deployment: Manifest, template: Manifest) -> bool:
    """Whether it was still as it was read: what somebody else scaled or deployed meanwhile is not undone."""
    metadata = deployment["metadata"]
    rolled = {
        **{key: deployment[key] for key in ("apiVersion", "kind")},
        "metadata": {key: metadata.get(key) for key in ("name", "labels", "resourceVersion")},
        "spec": {**deployment["spec"], "template": template},
    }
    answer = ctx.cluster.write(
        "PATCH",
        kinds.kind("Deployment").path(plan.APP, namespace=metadata["namespace"]),
        what=f"Deployment {plan.APP}",
        body=rolled,
        content_type=messages.APPLY_PATCH,
        query={"fieldManager": plan.APP_MANAGER, "force": "true"},
        expected={409},
    )
    return answer.status == 200


def resume(ctx: session.Session, engine: plan.Engine, login: Manifest) -> None:
    """Ends the change of a password that was cut off, as soon as the server answers. Raises NotReady."""
    if ctx.options.dry_run or not plan.logins.pending(login):
        return
    ctx.notes.append(f"{engine.name}: a change of its password was cut off, and is ended now")
    namespace = login["metadata"]["namespace"]
    ctx.await_ready(namespace, [("StatefulSet", engine.name)])
    roll(ctx, namespace, {engine.name: named(engine, finish(ctx, engine, login))})


def named(engine: plan.Engine, login: Manifest | None) -> str:
    """The Secret that an app is to read: the next one where a password is being changed, as every deploy ends that."""
    return engine.credentials(plan.logins.number(plan.logins.following(engine, login)) if login else 1)


def _hide(ctx: session.Session, engine: plan.Engine, login: Manifest) -> None:
    secrecy.hide(ctx, engine, secrecy.decoded(login))
    if password := plan.logins.pending(login):
        secrecy.hide(ctx, engine, engine.env(password))


def _write(ctx: session.Session, login: Manifest, changes: Manifest) -> Manifest | None:
    """None when it is not what was read any more."""
    metadata = login["metadata"]
    guard = {key: metadata[key] for key in ("uid", "resourceVersion")}
    answer = ctx.cluster.write(
        "PATCH",
        kinds.kind("Secret").path(metadata["name"], namespace=metadata["namespace"]),
        what=f"Secret {metadata['name']}",
        body={**changes, "metadata": {**changes.get("metadata", {}), **guard}},
        content_type=messages.MERGE_PATCH,
        expected={404, 409},
    )
    return answer.body if answer.status == 200 else None


def _contended(engine: plan.Engine) -> errors.ClusterUnavailable:
    return errors.ClusterUnavailable(
        f"Secret {engine.login} keeps being changed by somebody else",
        hint=_AGAIN,
    )


def _token() -> str:
    return secrets.token_urlsafe(24)
