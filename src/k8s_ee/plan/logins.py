"""PURE. A database's password: what its server has now, what it is to have next, and what the app is given of it.

    <engine>-login            what the server has now; its own pod has it mounted, and sees it change
    <engine>-credentials-vN   the same for the app, N being the number of the password: what is in it never changes

While a password is being changed, the first has the next one, too. docs/databases/engines.md has the steps.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.plan import components, engines

Manifest = components.Manifest

NEXT = "NEXT"
"""The key of the password that is to come. No variable of an app is called so."""
_NAMED = re.compile(f"({'|'.join(engines.ENGINES)})-credentials-v[0-9]+")


def login(
    engine: engines.Engine, target: environment.Environment, token: Callable[[], str], *, number: int = 1
) -> Manifest:
    """To be created once. `token` gives a password of letters, digits, '-' and '_'."""
    metadata = components.metadata(target, engine.login, component=engine.name)
    metadata["annotations"] = {environment.CREDENTIALS: str(number)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": _encoded(engine.env(token())),
    }


def adopted(engine: engines.Engine, target: environment.Environment, first: Manifest) -> Manifest:
    """For an environment that was made before there were logins: with what its app was given."""
    return {**login(engine, target, token=str), "data": dict(first["data"])}


def credentials(engine: engines.Engine, login: Manifest) -> Manifest:
    """For the app, to be created and never changed."""
    metadata, name = login["metadata"], engine.credentials(number(login))
    labels = {**(metadata.get("labels") or {}), "app.kubernetes.io/name": name}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": metadata["namespace"], "labels": labels},
        "type": "Opaque",
        "immutable": True,
        "data": {key: value for key, value in login["data"].items() if key != NEXT},
    }


def number(login: Manifest) -> int:
    """1 for the first password, and where nobody has said."""
    return int((login["metadata"].get("annotations") or {}).get(environment.CREDENTIALS, "1"))


def unused(engine: engines.Engine, app: Manifest | None) -> int:
    """A number that no Secret of this engine has: where `app` reads one of a login that is lost, that and the next may
    be there, with passwords that nothing takes."""
    found = re.findall(f'"{engine.name}-credentials-v([0-9]+)"', json.dumps(app))
    return max(map(int, found)) + 2 if found else 1


def pending(login: Manifest) -> str:
    """The password that the server is to have next, or has already; empty when none is being changed."""
    return base64.b64decode((login.get("data") or {}).get(NEXT, "")).decode()


def beginning(token: str) -> Manifest:
    """What is merged into a login so that this becomes the next password."""
    return {"data": _encoded({NEXT: token})}


def following(engine: engines.Engine, login: Manifest) -> Manifest:
    """The login once its server has the next password; as it is while there is none."""
    if not pending(login):
        return login
    numbered = {environment.CREDENTIALS: str(number(login) + 1)}
    metadata = {**login["metadata"], "annotations": {**(login["metadata"].get("annotations") or {}), **numbered}}
    return {**login, "metadata": metadata, "data": _encoded(engine.env(pending(login)))}


def ending(following: Manifest) -> Manifest:
    """What is merged into a login so that the next password is the one that holds."""
    return {
        "metadata": {"annotations": following["metadata"]["annotations"]},
        "data": {**following["data"], NEXT: None},
    }


def reading(template: Any, secrets: Mapping[str, str]) -> Any:
    """A pod template, or whatever has one in it, which reads these Secrets (by engine) instead of others."""
    if isinstance(template, (list, tuple)):
        return type(template)(reading(one, secrets) for one in template)
    if isinstance(template, dict):
        return {key: _renamed(key, value, secrets) for key, value in template.items()}
    return template


def _renamed(key: str, value: Any, secrets: Mapping[str, str]) -> Any:
    named = _NAMED.fullmatch(value) if key in {"name", "secretName"} and isinstance(value, str) else None
    return secrets.get(named[1], value) if named else reading(value, secrets)


def _encoded(values: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
