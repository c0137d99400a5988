"""Kubernetes Events about the namespaces of environments: what the janitor did or decided, for whoever looks there.

They are kept in the namespace `default`, as all Events about objects that have no namespace, and so outlive the
environment; the cluster forgets them after an hour.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING, Literal

from k8s_ee import environment
from k8s_ee.cluster import kinds

if TYPE_CHECKING:
    from k8s_ee.cluster import client

HOME = "default"
_SOURCE = "k8s-ee-janitor"
_MESSAGE = 1000


def tell(
    cluster: client.Cluster,
    observed: environment.Observed,
    *,
    reason: str,
    message: str,
    now: datetime.datetime,
    level: Literal["Normal", "Warning"] = "Normal",
) -> None:
    """The same words about the same environment are told once, as long as the cluster remembers them.

    Raises what the API server refuses.
    """
    words = hashlib.sha256(f"{observed.uid} {reason} {message}".encode()).hexdigest()[:16]
    when = now.astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    cluster.create(
        {
            "apiVersion": kinds.kind("Event").api_version,
            "kind": "Event",
            "metadata": {"name": f"{observed.namespace}.{words}", "namespace": HOME},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Namespace",
                "name": observed.namespace,
                "uid": observed.uid,
            },
            "reason": reason,
            "message": message[:_MESSAGE],
            "type": level,
            "source": {"component": _SOURCE},
            "reportingComponent": _SOURCE,
            "reportingInstance": _SOURCE,
            "firstTimestamp": when,
            "lastTimestamp": when,
            "count": 1,
        }
    )
