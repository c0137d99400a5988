"""A Kubernetes API server in miniature, on a local port: the protocol, not the controllers.

Objects live in memory, every request is recorded, and `fail` makes the next ones go wrong.
"""

from __future__ import annotations

import copy
import dataclasses
import http.server
import json
import re
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

from tests.wire import commands

Manifest = dict[str, Any]

_PATH = re.compile(
    r"/(?:api/v1|apis/[^/]+/[^/]+)(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[^/]+))?"
)
_SINGULAR = {"ingresses": "Ingress", "networkpolicies": "NetworkPolicy"}


@dataclasses.dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclasses.dataclass
class Fault:
    """`times` requests that match are answered with `status`, or cut off when it is 0, but not the first `after`."""

    method: str
    path: str
    status: int
    times: int
    message: str
    headers: dict[str, str]
    after: int = 0


class Kube:
    """`objects` by (collection path, name). All methods may be called from the test's thread."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.history: list[tuple[int, str, str, Manifest]] = []
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.events: list[tuple[str, str, Callable[[], object]]] = []
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.run: commands.Run = commands.nothing
        self.commands: list[commands.Command] = []
        self.changed = threading.Condition(threading.RLock())
        self.version = 100
        self.oldest = 0
        self.watches = 0
        self.watch_epoch = 0
        self.lost_watches = 0
        self.page = 500
        self.tokens: set[str] = set()
        self.dropped_label = ""

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        times: int = 1,
        after: int = 0,
        message: str = "",
        **headers: str,
    ) -> None:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        self.faults.append(Fault(method, path, status, times, message, named, after))

    def meanwhile(self, method: str, path: str, act: Callable[[], object]) -> None:
        """Once, while the next request that matches is on its way: before it is judged."""
        self.events.append((method, path, act))

    def put(self, collection: str, manifest: Manifest) -> Manifest:
        with self.changed:
            key = (collection, manifest["metadata"]["name"])
            kind = "MODIFIED" if key in self.objects else "ADDED"
            self.version += 1
            manifest = copy.deepcopy(manifest)
            (manifest["metadata"].get("labels") or {}).pop(self.dropped_label, None)
            manifest["metadata"].setdefault("uid", f"uid-{self.version}")
            manifest["metadata"].setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
            manifest["metadata"]["resourceVersion"] = str(self.version)
            self.objects[key] = manifest
            self._record(kind, collection, manifest)
            return copy.deepcopy(manifest)

    def remove(self, collection: str, name: str) -> None:
        with self.changed:
            manifest = self.objects.pop((collection, name))
            self.version += 1
            manifest["metadata"]["resourceVersion"] = str(self.version)
            self._record("DELETED", collection, manifest)

    def _record(self, type_: str, collection: str, manifest: Manifest) -> None:
        self.history.append((self.version, type_, collection, copy.deepcopy(manifest)))
        self.changed.notify_all()

    def forget_history(self) -> None:
        """Watches from any earlier version are answered 410 from now on."""
        with self.changed:
            self.version += 1
            self.oldest = self.version

    def drop_watches(self) -> None:
        with self.changed:
            self.watch_epoch += 1
            self.changed.notify_all()

    def lose_watches(self) -> None:
        """Those that are open stay so and say nothing more, as when something in between forgets a connection."""
        with self.changed:
            self.lost_watches = self.watches

    def await_watches(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: self.watches >= count, timeout=10)

    def of(self, method: str, path: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and re.search(path, seen.path)]

    @property
    def writes(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method != "GET"]

    def listed(self, collection: str) -> list[Manifest]:
        """A collection, or that of all namespaces."""
        prefix, _, plural = collection.rpartition("/")
        across = re.compile(re.escape(prefix) + r"(/namespaces/[^/]+)?/" + re.escape(plural))
        return [copy.deepcopy(o) for (c, _n), o in sorted(self.objects.items()) if across.fullmatch(c)]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    kube: Kube

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:  # noqa: PLR0911 - one way out for each kind of request
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        seen = Seen(self.command, parts.path, query, dict(self.headers), body)
        if self.command == "DELETE" and body is not None:  # As the real one: a body's options are the only ones.
            query.pop("dryRun", None)
            query |= {"dryRun": "All"} if body.get("dryRun") else {}
        with self.kube.changed:
            self.kube.seen.append(seen)
            fault = self._fault(seen)
        self._happen(seen)
        if fault is not None:
            return self._break(fault)
        if self.kube.tokens and self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.kube.tokens:
            return self._status(401, "Unauthorized")
        if parts.path == "/version":
            return self._json(200, {"gitVersion": "v1.34.5+test"})
        match = _PATH.fullmatch(parts.path)
        if match is None:
            return self._raw(404, b"404 page not found\n", "text/plain")
        collection = (
            parts.path if not match["name"] else parts.path.split(f"/{match['plural']}/")[0] + f"/{match['plural']}"
        )
        if match["sub"] == "log":
            return self._log(match["name"], query)
        if match["sub"] == "exec":
            return self._exec(match["name"], parts.query)
        if query.get("watch"):
            return self._watch(collection, query)
        with self.kube.changed:
            handler: Callable[..., None] = getattr(self, f"_{self.command.lower()}")
            return handler(collection, match["name"], query, body)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _happen(self, seen: Seen) -> None:
        with self.kube.changed:
            due = [e for e in self.kube.events if e[0] == seen.method and re.search(e[1], seen.path)][:1]
            self.kube.events = [event for event in self.kube.events if event not in due]
        for _method, _path, act in due:
            act()

    def _fault(self, seen: Seen) -> Fault | None:
        for fault in self.kube.faults:
            if not fault.times or fault.method != seen.method or not re.search(fault.path, seen.path):
                continue
            if not fault.after:
                fault.times -= 1
                return fault
            fault.after -= 1
        return None

    def _break(self, fault: Fault) -> None:
        if not fault.status:
            self.close_connection = True
            self.connection.close()
            return
        self._status(fault.status, fault.message or "broken on purpose", **fault.headers)

    def _get(self, collection: str, name: str | None, query: dict[str, str], _body: Any) -> None:
        if name:
            found = self.kube.objects.get((collection, name))
            return self._json(200, found) if found else self._missing(collection, name)
        items = [item for item in self.kube.listed(collection) if _selected(item, query)]
        start, size = int(query.get("continue", 0)), min(int(query.get("limit", 500)), self.kube.page)
        metadata = {"resourceVersion": str(self.kube.version)}
        if start + size < len(items):
            metadata["continue"] = str(start + size)
        return self._json(200, {"kind": "List", "metadata": metadata, "items": items[start : start + size]})

    def _post(self, collection: str, _name: str | None, query: dict[str, str], body: Manifest) -> None:
        if self._no_namespace(collection):
            return None
        name = body["metadata"]["name"]
        if (collection, name) in self.kube.objects:
            return self._status(409, f'{collection} "{name}" already exists')
        return self._json(201, self._keep(collection, body, query))

    def _patch(self, collection: str, name: str, query: dict[str, str], body: Any) -> None:
        if self._no_namespace(collection):
            return None
        found = copy.deepcopy(self.kube.objects.get((collection, name)))
        kind = self.headers["Content-Type"]
        if found is None and "apply" not in kind:
            return self._missing(collection, name)
        if "json-patch" in kind:
            assert found is not None
            if not _json_patch(found, body):
                return self._status(422, "the server rejected our request due to an error in our request")
            return self._json(200, self._keep(collection, found, query))
        metadata = body.get("metadata") or {}
        for key in ("uid", "resourceVersion"):
            if found and metadata.get(key) and metadata[key] != found["metadata"][key]:
                return self._status(409, "the object has been modified")
        merged = _merge(found or {}, body)
        if "apply" in kind:
            merged["metadata"]["managedFields"] = [{"manager": query["fieldManager"], "operation": "Apply"}]
        return self._json(200 if found else 201, self._keep(collection, merged, query))

    def _delete(self, collection: str, name: str | None, query: dict[str, str], body: Any) -> None:
        if not name:
            for item in self.kube.listed(collection):
                if "dryRun" not in query:
                    self.kube.remove(collection, item["metadata"]["name"])
            return self._json(200, {"kind": "List", "metadata": {}, "items": []})
        found = self.kube.objects.get((collection, name))
        if found is None:
            return self._missing(collection, name)
        for key, value in ((body or {}).get("preconditions") or {}).items():
            if found["metadata"][key] != value:
                return self._status(409, f"precondition failed: {key}")
        if "dryRun" in query:
            return self._json(200, found)
        if collection.endswith("/namespaces"):
            found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:01Z"
            return self._json(200, self.kube.put(collection, found))
        self.kube.remove(collection, name)
        return self._json(200, {"kind": "Status", "status": "Success"})

    def _keep(self, collection: str, manifest: Manifest, query: dict[str, str]) -> Manifest:
        if "dryRun" not in query:
            return self.kube.put(collection, manifest)
        shown = copy.deepcopy(manifest)
        shown["metadata"] = {
            "uid": "dry",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **shown["metadata"],
        }
        return shown

    def _no_namespace(self, collection: str) -> bool:
        match = re.search(r"/namespaces/([^/]+)/", collection)
        if match is None or ("/api/v1/namespaces", match[1]) in self.kube.objects:
            return False
        self._status(404, f'namespaces "{match[1]}" not found')
        return True

    def _watch(self, collection: str, query: dict[str, str]) -> None:
        since = int(query["resourceVersion"] or 0)
        with self.kube.changed:
            epoch = self.kube.watch_epoch
            self.kube.watches += 1
            number = self.kube.watches
            self.kube.changed.notify_all()
        self._head(200, "application/json", {"Transfer-Encoding": "chunked"})
        if since < self.kube.oldest:
            self._chunk({"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}})
        else:
            for event in self._changes(collection, since, query, epoch):
                if number > self.kube.lost_watches:
                    self._chunk(event)
        self.wfile.write(b"0\r\n\r\n")

    def _changes(self, collection: str, since: int, query: dict[str, str], epoch: int) -> Iterator[Manifest]:
        prefix, _, plural = collection.rpartition("/")
        across = re.compile(re.escape(prefix) + r"(/namespaces/[^/]+)?/" + re.escape(plural))
        while self.kube.watch_epoch == epoch:
            with self.kube.changed:
                news = [
                    (t, o)
                    for v, t, c, o in self.kube.history
                    if v > since and across.fullmatch(c) and _selected(o, query)
                ]
                since = self.kube.version
                if not news:
                    self.kube.changed.wait(0.2)
            yield from ({"type": type_, "object": item} for type_, item in news)

    def _chunk(self, event: Manifest) -> None:
        data = json.dumps(event).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _log(self, pod: str, query: dict[str, str]) -> None:
        text = self.kube.logs.get((pod, query["container"], query.get("previous") == "true"))
        if text is None:
            return self._status(400, "container is not there")
        return self._raw(200, text.encode(), "text/plain")

    def _exec(self, pod: str, query: str) -> None:
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", commands.accept(self.headers["Sec-WebSocket-Key"])),
            ("Sec-WebSocket-Protocol", self.headers["Sec-WebSocket-Protocol"]),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        words = tuple(value for name, value in urllib.parse.parse_qsl(query) if name == "command")
        done = commands.serve(self.rfile, self.wfile, pod=pod, words=words, run=self.kube.run)
        with self.kube.changed:
            self.kube.commands.append(done)

    def _missing(self, collection: str, name: str) -> None:
        self._status(404, f'{collection.rpartition("/")[2]} "{name}" not found')

    def _status(self, status: int, message: str, **headers: str) -> None:
        body = {"kind": "Status", "status": "Failure", "code": status, "message": message}
        self._raw(status, json.dumps(body).encode(), "application/json", headers)

    def _json(self, status: int, body: Manifest) -> None:
        """No answer of an API server is without a kind; objects of tests may be."""
        self._raw(status, json.dumps({"kind": "Object", **body}).encode(), "application/json")

    def _raw(self, status: int, data: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self._head(status, kind, {"Content-Length": str(len(data)), **(headers or {})})
        self.wfile.write(data)

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, **headers}.items():
            self.send_header(key, value)
        self.end_headers()


def _selected(item: Manifest, query: dict[str, str]) -> bool:
    labels = item["metadata"].get("labels") or {}
    wanted = [pair.split("=", 1) for pair in query.get("labelSelector", "").split(",") if pair]
    name = query.get("fieldSelector", "").removeprefix("metadata.name=")
    return all(labels.get(key) == value for key, value in wanted) and name in ("", item["metadata"]["name"])


def _merge(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    merged = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key), value)
    return merged


def _json_patch(target: Manifest, operations: list[Manifest]) -> bool:
    """Changes `target`; False when a test fails."""
    for operation in operations:
        *steps, last = [s.replace("~1", "/").replace("~0", "~") for s in operation["path"].split("/")[1:]]
        holder = target
        for step in steps:
            holder = holder[step]
        if operation["op"] == "test" and holder.get(last) != operation["value"]:
            return False
        if operation["op"] == "add":
            holder[last] = operation["value"]
        if operation["op"] == "remove":
            del holder[last]
    return True


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up in the middle of watches; that is no error of the server."""


def serve(kube: Kube, *, tls: ssl.SSLContext | None = None) -> tuple[http.server.HTTPServer, str]:
    """The running server and its URL; who starts it calls `shutdown` and `server_close`."""
    handler = type("Handler", (_Handler,), {"kube": kube})
    server = _Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server, f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
