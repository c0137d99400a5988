"""PURE. Whether an answer is one of an API server.

Login pages and proxies answer, too, and often with 200 or 404: taken for an empty list or for "not there", that would
be told as the end of an environment.
"""

from __future__ import annotations

from typing import Any

from k8s_ee import errors, quoting
from k8s_ee.cluster.messages import Answer, Request

_JUDGED = frozenset({*range(200, 300), 404, 409, 410, 422})
_GROUPS, _NO_SUCH_GROUP = "/apis/", "404 page not found"


def is_answer(request: Request, answer: Answer) -> bool:
    """Only statuses that anything is concluded from are looked at."""
    if answer.status not in _JUDGED:
        return True
    if request.path == "/version":
        return "gitVersion" in answer.body
    kind = answer.body.get("kind")
    if answer.status >= 300:
        # Of a kind whose group it does not have, an API server says so without a Status.
        return kind == "Status" or (request.path.startswith(_GROUPS) and answer.message.startswith(_NO_SUCH_GROUP))
    return isinstance(kind, str) and (not kind.endswith("List") or _are_objects(answer.body.get("items")))


def is_list(answer: Answer) -> bool:
    return str(answer.body.get("kind")).endswith("List")


def _are_objects(items: Any) -> bool:
    if items is None:  # Go's empty list
        return True
    return isinstance(items, list) and all(
        isinstance(one, dict) and isinstance(one.get("metadata"), dict) for one in items
    )


def stranger(server: str, answer: Answer) -> errors.ClusterUnavailable:
    said = quoting.one_line(answer.message, limit=80)
    return errors.ClusterUnavailable(
        f"what answers at {server} is not a Kubernetes API server: {answer.status}{f' “{said}”' if said else ''}",
        hint="is the kubeconfig's server the right one, or does a login page or a proxy stand before it?",
    )
