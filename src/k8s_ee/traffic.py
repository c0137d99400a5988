"""When requests last went through the ingress to which namespace, as a Prometheus of the platform counted them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.client
import json
import math
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from k8s_ee.config import model

_SECONDS = 20.0
_MOST = 16 << 20
_QUOTED = 200
_LABELS = ("exported_namespace", "namespace")
"""Of the environment. Where Prometheus keeps `namespace` for the controller's own, it moves that of the request."""


@dataclasses.dataclass(frozen=True)
class Traffic:
    """`last` by namespace; one that is not in it had none. `unknown`: why nobody knows, though requests are counted."""

    last: Mapping[str, datetime.datetime] = dataclasses.field(default_factory=dict)
    unknown: str = ""


class _NoAnswer(Exception):
    pass


def read(source: model.Traffic, now: datetime.datetime) -> Traffic:
    """Never raises: without an answer nothing is known, which is not the same as no traffic."""
    if not source.prometheus:
        return Traffic()
    try:
        rows = _vector(_asked(source))
        return Traffic({name: min(at, now) for name, at in _times(rows)})
    except (OSError, ValueError, ArithmeticError, LookupError, TypeError, http.client.HTTPException) as error:
        return Traffic(unknown=f"Prometheus: {type(error).__name__}: {error}"[:_QUOTED])
    except _NoAnswer as error:
        return Traffic(unknown=f"Prometheus: {error}"[:_QUOTED])


def _asked(source: model.Traffic) -> Any:
    given = urllib.parse.urlsplit(source.prometheus)
    kind = http.client.HTTPSConnection if given.scheme == "https" else http.client.HTTPConnection
    connection = kind(given.hostname or "", given.port, timeout=_SECONDS)
    path = f"{given.path.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': source.query})}"
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept": "application/json", "User-Agent": "k8s-ee"})
        response = connection.getresponse()
        body = response.read(_MOST + 1)
    if response.status != http.HTTPStatus.OK:
        raise _NoAnswer(f"it answered {response.status} {_reason(body)}".rstrip())
    if len(body) > _MOST:
        raise _NoAnswer("its answer is too long: the query has to sum up by namespace")
    return json.loads(body)


def _reason(body: bytes) -> str:
    """What Prometheus says about a query that it can't read."""
    with contextlib.suppress(ValueError, AttributeError):
        return " ".join(str(json.loads(body).get("error") or "").split())
    return ""


def _vector(answer: Any) -> list[Any]:
    """Raises _NoAnswer for one that is not whole. One without a row is none: not even the controller is in it."""
    if answer["status"] != "success" or answer.get("warnings"):
        raise _NoAnswer(f"its answer is not whole: {answer.get('warnings') or answer['status']}")
    if answer["data"]["resultType"] != "vector":
        raise _NoAnswer(f"the query gives a {answer['data']['resultType']}, not a vector")
    rows = answer["data"]["result"]
    if not isinstance(rows, list) or not rows:
        raise _NoAnswer("it has no figures of the ingress controller")
    return rows


def _times(rows: list[Any]) -> Iterator[tuple[str, datetime.datetime]]:
    """By namespace, oldest first."""
    found = []
    for row in rows:
        seconds = float(row["value"][1])
        named = [name for name in (row["metric"].get(label) for label in _LABELS) if name]
        if named and math.isfinite(seconds) and seconds > 0:
            found.append((seconds, str(named[0])))
    for seconds, name in sorted(found):
        yield name, datetime.datetime.fromtimestamp(seconds, datetime.UTC)
