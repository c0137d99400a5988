"""What is in the Secrets of databases never shows in anything we print."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Mapping
from typing import Any

from k8s_ee import plan
from k8s_ee.commands import session


def decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    """A team's own Secret may have a key store in it, which is no text."""
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}


def hide(ctx: session.Session, engine: plan.Engine, values: Mapping[str, str]) -> None:
    """Passwords and whatever contains one; a port or a user name would star out half of every log."""
    passwords = {values.get(engine.password, ""), *(_in_url(value) for value in values.values())} - {""}
    forms = passwords | {urllib.parse.quote(one, safe="") for one in passwords}
    ctx.hide(*passwords, *(value for value in values.values() if any(form in value for form in forms)))


def _in_url(value: str) -> str:
    try:
        return urllib.parse.unquote(urllib.parse.urlsplit(value).password or "")
    except ValueError:
        return ""
