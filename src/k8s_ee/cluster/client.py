"""The one door to the API server: plain objects in and out, by kind and name."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import urllib3

from k8s_ee import environment, errors, settings
from k8s_ee.cluster import apply, genuine, kinds, kubeconfig, messages, patches, pool, refusals, transport

if TYPE_CHECKING:
    import websocket

Manifest = dict[str, Any]

_VERSION = messages.Request("GET", "/version", "its version")
_PAGE = "500"
_BESIDE = 2
"""Connections for what is read while a step is applied `pool.SIZE` wide."""
_WATCH_SECONDS = 240
_WATCH_SILENCE = 90
"""Seconds after which a connection counts as lost. The API server sends a bookmark a minute (none of Events: they are
listed again when nothing happens for that long)."""


@dataclasses.dataclass(frozen=True)
class Listing:
    items: tuple[Manifest, ...]
    resource_version: str


def connect(connection: settings.Connection, *, dry_run: bool = False, hide: kubeconfig.Hide | None = None) -> Cluster:
    """Sends nothing yet. `hide` as for `kubeconfig.access`. Raises ClusterUnavailable for one that can't be used."""
    access = kubeconfig.access(connection, hide=hide)
    return Cluster(transport.Transport(access, user_agent="k8s-ee"), dry_run=dry_run)


class Cluster:
    """Safe to use from many threads. With `dry_run` every write is judged by the API server and none is kept.

    Every method raises what `transport.Transport.send` raises.
    """

    def __init__(self, transport_: transport.Transport, *, dry_run: bool = False) -> None:
        self._transport = transport_
        self.dry_run = dry_run
        self._version = ""

    def warm(self) -> None:
        """Opens in the background the connections that work side by side, and what goes beside it, will need."""
        for _ in range(pool.SIZE + _BESIDE):
            threading.Thread(target=self._touch, daemon=True).start()

    def _touch(self) -> None:
        """Never fails and never prints, which Python would do for a thread: that is left to whoever needs an answer."""
        with contextlib.suppress(Exception):
            self._ask_version()

    def version(self) -> str:
        """The API server's version, for example `1.34.5`; asked once."""
        return self._version or self._ask_version()

    def _ask_version(self) -> str:
        answer = self._transport.send(_VERSION)
        self._version = str(answer.body.get("gitVersion", "")).removeprefix("v").split("+")[0].split("-")[0]
        return self._version

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """None only when the API server says that the object does not exist."""
        path = kinds.kind(kind).path(name, namespace=namespace or "")
        answer = self._transport.send(messages.Request("GET", path, f"{kind} {name}"), expected={404})
        return None if answer.status == 404 else answer.body

    def list(
        self, kind: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> tuple[Manifest, ...]:
        """All of them, or an error: never a part."""
        return self.listing(kind, namespace or "", labels=labels or {}).items

    def listing(
        self,
        kind: str,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        name: str = "",
        metadata_only: bool = False,
    ) -> Listing:
        path = kinds.kind(kind).path(namespace=namespace)
        selectors = messages.selectors(labels or {}, name)
        return self._pages(path, f"the list of {kind}s", selectors=selectors, metadata_only=metadata_only)

    def metadata(self, path: str, *, what: str) -> tuple[Manifest, ...]:
        """Of all objects at the path of a collection, of a kind that need not be known."""
        return self._pages(path, what, selectors={}, metadata_only=True).items

    def preferred_version(self, group: str) -> str:
        """As in "example.com/v1", of the kinds of a group. Raises InputError when the cluster has no such group."""
        answer = self._transport.send(messages.Request("GET", f"/apis/{group}", f"the API group {group}"))
        return str(answer.body["preferredVersion"]["groupVersion"])

    def _pages(self, path: str, what: str, *, selectors: Mapping[str, str], metadata_only: bool) -> Listing:
        query = {**selectors, "limit": _PAGE}
        accept = messages.METADATA_LIST if metadata_only else messages.JSON
        items: list[Manifest] = []
        while True:
            request = messages.Request("GET", path, what, query=query, accept=accept)
            answer = self._transport.send(request, expected={410})
            if answer.status == 410:  # The pages' snapshot is gone; a new one starts over.
                items, query = [], {key: value for key, value in query.items() if key != "continue"}
                continue
            if not genuine.is_list(answer):
                raise self._transport.stranger(answer)
            items += answer.body.get("items") or []
            metadata = answer.body.get("metadata") or {}
            if not metadata.get("continue"):
                return Listing(tuple(items), str(metadata.get("resourceVersion", "")))
            query["continue"] = metadata["continue"]

    def watch(
        self,
        kind: str,
        namespace: str = "",
        *,
        resource_version: str,
        name: str = "",
        labels: Mapping[str, str] | None = None,
        opened: Callable[[urllib3.BaseHTTPResponse], None] = lambda _response: None,
    ) -> Iterator[tuple[str, Manifest]]:
        """(type, object) of each change, bookmarks included, until the server ends the watch.

        Raises Expired, what `Transport.send` raises, and urllib3's errors when the connection breaks or says nothing
        for too long. `opened` gets the open answer, so that another thread can shut it down.
        """
        query = messages.selectors(labels or {}, name) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        request = messages.Request("GET", kinds.kind(kind).path(namespace=namespace), f"{kind}s", query=query)
        with self._transport.stream(request, seconds=_WATCH_SILENCE) as response:
            opened(response)
            for line in messages.lines(response):
                event = json.loads(line)
                if not isinstance(event, dict) or "type" not in event or not isinstance(event.get("object"), dict):
                    raise ValueError("not an event")
                if event["type"] == "ERROR":
                    raise refusals.Expired(str(event["object"].get("message")))
                yield event["type"], event["object"]

    def create_only(self, manifest: Manifest) -> Manifest:
        """Creates it, or returns the one that is there, unchanged."""
        metadata = manifest["metadata"]
        created = self.create(manifest)
        if created is not None:
            return created
        found = self.get(manifest["kind"], metadata["name"], metadata.get("namespace"))
        if found is None:
            raise errors.ClusterUnavailable(
                f"{manifest['kind']} {metadata['name']} is there and not there at once",
                hint="somebody deletes it at the same time; run the same command again",
            )
        return found

    def create(self, manifest: Manifest) -> Manifest | None:
        """None when the name is taken."""
        kind, metadata = kinds.kind(manifest["kind"], api_version=manifest["apiVersion"]), manifest["metadata"]
        answer = self.write(
            "POST",
            kind.path(namespace=metadata.get("namespace", "")),
            what=f"{kind.name} {metadata['name']}",
            body=manifest,
            query={"fieldManager": environment.MANAGER, "fieldValidation": "Strict"},
            expected={409},
        )
        if answer.status == 409:
            return None
        answer.body["metadata"].setdefault("resourceVersion", "")  # What only exists on paper has none.
        return answer.body

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        uid: str,
        resource_version: str = "",
        propagation: str = "Background",
    ) -> messages.Answer:
        """The raw answer: 200/202 accepted (not: gone), 404 absent, 409 another object, or another version, by now."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        return self.write(
            "DELETE",
            kinds.kind(kind).path(name, namespace=namespace),
            what=f"{kind} {name}",
            body=messages.delete_options(propagation, preconditions=preconditions),
            expected={404, 409},
        )

    def delete_all(self, kind: str, namespace: str, *, grace_seconds: int | None = None) -> None:
        """Every object of the kind in the namespace; a kind or namespace that is not there is no error."""
        extra = {} if grace_seconds is None else {"gracePeriodSeconds": grace_seconds}
        self.write(
            "DELETE",
            kinds.kind(kind).path(namespace=namespace),
            what=f"the {kind}s of {namespace}",
            body=messages.delete_options("Background", **extra),
            expected={404},
        )

    def apply(self, manifests: Sequence[Manifest], *, manager: str, namespace: str) -> tuple[Manifest, ...]:
        """See `apply.apply`."""
        return apply.apply(self, manifests, manager=manager, namespace=namespace)

    def prune(
        self, namespace: str, component: str, manager: str, keep: Collection[tuple[str, str]]
    ) -> tuple[tuple[str, str], ...]:
        """See `apply.prune`."""
        return apply.prune(self, namespace, component=component, manager=manager, keep=keep)

    def annotate(self, name: str, uid: str, changes: Mapping[str, str | None]) -> environment.Observed:
        """Sets or (None) removes annotations of one live namespace; returns it as it is then.

        Raises Refused when that namespace is gone, another one by now, or being deleted.
        """
        answer = self.json_patch(name, [*patches.alive(uid), *patches.annotate(changes)])
        if answer.status != 200:
            raise errors.Refused(
                f"namespace {name} is being deleted or was replaced meanwhile: nothing was changed",
                hint="run the whole deploy again if the environment should exist",
            )
        return environment.from_namespace(answer.body)

    def json_patch(self, namespace_name: str, operations: Sequence[Mapping[str, Any]]) -> messages.Answer:
        """The raw answer: 200, 404, 409, or 422 when one of the `test`s failed."""
        return self.write(
            "PATCH",
            kinds.kind("Namespace").path(namespace_name),
            what=f"Namespace {namespace_name}",
            body=list(operations),
            content_type=messages.JSON_PATCH,
            query={"fieldManager": environment.MANAGER},
            expected={404, 409, 422},
        )

    def write(
        self,
        method: str,
        path: str,
        *,
        what: str,
        body: Any,
        content_type: str = messages.JSON,
        query: Mapping[str, str] | None = None,
        expected: Collection[int] = (),
    ) -> messages.Answer:
        """Every write of this package goes through here, so that a dry run can't miss one."""
        asked = dict(query or {})
        if self.dry_run and method == "DELETE":  # Where a body has options, those of the query are not looked at.
            body = {**body, "dryRun": ["All"]}
        elif self.dry_run:
            asked["dryRun"] = "All"
        request = messages.Request(method, path, what, query=asked, body=body, content_type=content_type)
        if not self.dry_run:
            return self._transport.send(request, expected=expected)
        answer = self._transport.send(request, expected={*expected, 404})
        if answer.status == 404 and answer.message.startswith("namespaces "):
            return messages.Answer(200, body)  # The namespace, too, was only created on paper.
        if answer.status == 404 and 404 not in expected:
            raise refusals.error_of(request, answer)
        return answer

    def text(self, path: str, query: Mapping[str, str], *, what: str, limit: int) -> bytes:
        """At most `limit` bytes of an answer that is not JSON; empty when the API server has none (400, 404)."""
        request = messages.Request("GET", path, what, query=query, accept="*/*")
        try:
            with self._transport.stream(request, seconds=10) as response:
                return response.read(limit)
        except (errors.InputError, errors.NotReady, urllib3.exceptions.HTTPError):
            return b""

    def lines(self, path: str, query: Mapping[str, str], *, what: str, seconds: float) -> Iterator[bytes]:
        """Lines of an answer that goes on until either side ends it."""
        request = messages.Request("GET", path, what, query=query, accept="*/*")
        with self._transport.stream(request, seconds=seconds) as response:
            yield from messages.lines(response)

    def channel(self, path: str, query: Sequence[tuple[str, str]], *, what: str, protocol: str) -> websocket.WebSocket:
        """What it does can't be done on paper: a dry run has no use for it."""
        assert not self.dry_run  # noqa: S101
        return self._transport.channel(messages.Request("POST", path, what), query=query, protocol=protocol)
