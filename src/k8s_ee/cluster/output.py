"""What containers wrote, made safe to show."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from k8s_ee import environment
from k8s_ee.cluster import kinds, pool

if TYPE_CHECKING:
    from k8s_ee.cluster import client

_BYTES = 64 * 1024
_LINE = 500
_KEY = re.compile(r"-----(BEGIN|END) [A-Z ]*PRIVATE KEY-----")
_KEY_LINES = 200
"""More than any has. Who writes the first one only is not silenced for good."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclasses.dataclass(frozen=True)
class Log:
    """The end of one container's output, oldest line first; `previous`: of the container before its last restart."""

    pod: str
    container: str
    previous: bool
    lines: tuple[str, ...]


def clean(text: str, redact: Callable[[str], str]) -> str:
    """One line without terminal escapes, redacted before it is shortened so that no half of a secret stays."""
    return _shortened(redact(_ESCAPES.sub("", text)))


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def tail(
    cluster: client.Cluster,
    namespace: str,
    pod: str,
    container: str,
    *,
    lines: int,
    redact: Callable[[str], str],
    previous: bool = False,
) -> Log:
    """No lines when there is no such container (any more). Raises Refused and ClusterUnavailable."""
    query = {"container": container, "tailLines": str(lines), "limitBytes": str(_BYTES)}
    if previous:
        query["previous"] = "true"
    path = kinds.kind("Pod").path(pod, namespace=namespace, subresource="log")
    data = cluster.text(path, query, what=f"the log of pod {pod}", limit=_BYTES)
    # All of it at once: what is hidden may have several lines.
    text = redact(_ESCAPES.sub("", data.decode("utf-8", "replace")))
    return Log(pod, container, previous, tuple(map(_shortened, text.splitlines())))


def logs(
    cluster: client.Cluster, namespace: str, component: str = "", *, lines: int = 100, redact: Callable[[str], str]
) -> tuple[Log, ...]:
    """The last lines of every container of a component (all when empty), also of those that restarted.

    Raises Refused and ClusterUnavailable.
    """
    labels = {environment.COMPONENT: component} if component else {}
    read = []
    for pod in cluster.list("Pod", namespace, labels):
        status = pod.get("status") or {}
        for state in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            one = functools.partial(
                tail, cluster, namespace, pod["metadata"]["name"], state["name"], lines=lines, redact=redact
            )
            read += [functools.partial(one, previous=True)] if state.get("restartCount") else []
            read.append(one)
    return tuple(log for log in pool.side_by_side(read) if log.lines)


def follow(
    cluster: client.Cluster, namespace: str, pod: str, container: str, *, lines: int, redact: Callable[[str], str]
) -> Iterator[str]:
    """Lines as they come, until the container ends. Raises NotReady when there is no such container."""
    query = {"container": container, "tailLines": str(lines), "follow": "true"}
    path = kinds.kind("Pod").path(pod, namespace=namespace, subresource="log")
    inside = 0  # of a private key, and of how many of its lines
    for line in cluster.lines(path, query, what=f"the log of pod {pod}", seconds=3600):
        text = line.decode("utf-8", "replace")
        marks = _KEY.findall(text)
        if inside and not marks and inside < _KEY_LINES:
            inside += 1
            continue
        inside = 1 if marks and marks[-1] == "BEGIN" else 0
        yield clean(text, redact)
