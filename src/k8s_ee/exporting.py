"""Hands metrics on: to a file that the node exporter's textfile collector reads, or to a Pushgateway."""

from __future__ import annotations

import contextlib
import http.client
import os
import pathlib
import tempfile
import urllib.parse
from collections.abc import Sequence

from k8s_ee import errors, metrics

_SECONDS = 10.0
_JOB = "k8s-ee-janitor"
_MODE = 0o644


def to_file(gauges: Sequence[metrics.Gauge], path: pathlib.Path) -> None:
    """Replaces the file at once: whoever reads it never sees a part. Raises InputError when it can't be written."""
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        text = metrics.text(metrics.carried_over(gauges, before))
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), _MODE)  # The exporter is another user.
                pathlib.Path(file.name).replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    pathlib.Path(file.name).unlink()
                raise
    except (OSError, ValueError) as error:
        raise errors.InputError(f"metrics can't be written to {path}: {error}", hint="see --metrics-file") from None


def to_gateway(gauges: Sequence[metrics.Gauge], address: str) -> None:
    """Replaces the metrics of these names there and leaves others: those of an earlier pass stay.

    Raises InputError for an address that is none, ClusterUnavailable when it does not take them.
    """
    given = urllib.parse.urlsplit(address)
    if given.scheme not in {"http", "https"} or not given.hostname:
        raise errors.InputError(f"{address!r} is not the address of a Pushgateway", hint="as in http://HOST:9091")
    secure = given.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    headers = {"Content-Type": "text/plain; version=0.0.4", "User-Agent": "k8s-ee"}
    try:
        connection = kind(given.hostname, given.port, timeout=_SECONDS)
        with contextlib.closing(connection):
            path = f"{given.path.rstrip('/')}/metrics/job/{_JOB}"
            connection.request("POST", path, body=metrics.text(gauges).encode(), headers=headers)
            status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _not_taken(f"{type(error).__name__}: {error}") from None
    if status not in {200, 202}:
        raise _not_taken(f"it answered {status}")


def _not_taken(why: str) -> errors.ClusterUnavailable:
    return errors.ClusterUnavailable(f"the Pushgateway did not take the metrics: {why}", hint="see --pushgateway")
