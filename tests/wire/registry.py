"""A container image registry with a login, in memory: as much of the OCI distribution protocol as a push needs.

`Registry.denies` is the status the next writes are answered with (401 and 403 are what registries say).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

USER, PASSWORD = "robot", "s3cret-of-the-registry"


class Registry(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.denies = 0
        self.lies = ""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def config(self, digest: str) -> dict[str, Any]:
        """The image config behind a manifest, or behind the first one of an index."""
        manifest = json.loads(self.manifests[digest][1])
        if "manifests" in manifest:
            return self.config(manifest["manifests"][0]["digest"])
        found: dict[str, Any] = json.loads(self.blobs[manifest["config"]["digest"]])
        return found


@contextlib.contextmanager
def serving() -> Iterator[Registry]:
    with Registry() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, name = self._route()
        found = self.server.manifests.get(name) if kind == "manifests" else ("", self.server.blobs.get(name, b""))
        if not self._allowed():
            return
        if kind == "v2":
            self._send(200)
        elif found and found[1]:
            digest = _digest(found[1])
            self._send(
                200, found[1], {"Content-Type": found[0] or "application/octet-stream", "Docker-Content-Digest": digest}
            )
        else:
            self._send(404, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if self._allowed(writes=True):
            self._send(202, headers={"Location": f"/v2/upload/blobs/{len(self.server.blobs)}-{id(self)}"})

    def do_PATCH(self) -> None:
        body = self._body()
        if self._allowed(writes=True):
            self.server.blobs[self.path] = body
            self._send(202, headers={"Location": self.path, "Range": f"0-{len(body) - 1}"})

    def do_PUT(self) -> None:
        body = self._body()
        kind, name = self._route()
        if not self._allowed(writes=True):
            return
        if kind == "manifests":
            entry = (self.headers["Content-Type"], body)
            self.server.manifests[name] = self.server.manifests[_digest(body)] = entry
        else:
            url = urllib.parse.urlsplit(self.path)
            data = self.server.blobs.pop(url.path, b"") + body
            self.server.blobs[_digest(data)] = data
        self._send(201, headers={"Docker-Content-Digest": self.server.lies or _digest(body), "Location": self.path})

    def _route(self) -> tuple[str, str]:
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        return (parts[-2], parts[-1]) if len(parts) > 2 else ("v2", "")

    def _allowed(self, *, writes: bool = False) -> bool:
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            self._send(401, b'{"errors": [{"code": "UNAUTHORIZED"}]}', {"WWW-Authenticate": 'Basic realm="registry"'})
        elif writes and self.server.denies:
            self._send(self.server.denies, b'{"errors": [{"code": "DENIED", "message": "denied"}]}')
        else:
            return True
        return False

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline().strip() or b"0", 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
