"""One question to the API server and its answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import urllib3

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


@dataclasses.dataclass(frozen=True)
class Answer:
    """`body` is the decoded JSON object; a Status object when `status` is not 2xx."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message") or "")


@dataclasses.dataclass(frozen=True)
class Request:
    """`what` names the object in messages ("Deployment app"); `body` is sent as JSON with type `content_type`."""

    method: str
    path: str
    what: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON


def selectors(labels: Mapping[str, str], name: str) -> dict[str, str]:
    query = {}
    if labels:
        query["labelSelector"] = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    if name:
        query["fieldSelector"] = f"metadata.name={name}"
    return query


def delete_options(propagation: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation, **more}


def lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(65536):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
