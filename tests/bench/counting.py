"""Counts what is asked of the API server: plain HTTP in, the same request with a token out. Never used for timing."""

from __future__ import annotations

import collections
import contextlib
import http.client
import http.server
import re
import select
import socket
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator

Counts = collections.Counter[str]
Fault = Callable[[str], int]
"""From what is asked to the status it is refused with; 0 = it is passed on, DROPPED = the connection ends."""
DROPPED = -1

_HOP = {"connection", "host", "transfer-encoding", "content-length", "authorization", "keep-alive"}
_BODILESS = {204, 304}
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_RESOURCE = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/[^/]+(?=/[^/]))?/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>.+))?"
)


def named(method: str, target: str) -> str:
    """ "list pods", "patch namespaces", "get /version": as the verbs of RBAC."""
    parts = urllib.parse.urlsplit(target)
    found = _RESOURCE.fullmatch(parts.path)
    if not found:
        return f"{_VERBS[method]} {_discovery(parts.path)}"
    resource = found["plural"] + (f"/{found['sub']}" if found["sub"] else "")
    if method != "GET" or found["name"]:
        collection = "collection" if method == "DELETE" and not found["name"] else ""
        return f"{_VERBS[method]}{collection} {resource}"
    watched = urllib.parse.parse_qs(parts.query).get("watch", ["0"])[0] in {"1", "true"}
    return f"{'watch' if watched else 'list'} {resource}"


def _discovery(path: str) -> str:
    """Of the many documents that describe the API, the kind only."""
    return re.sub(r"^/(openapi|apis?)(/.*)?$", r"/\1", path)


@contextlib.contextmanager
def running(
    server: str, *, authority: str, token: str, fault: Fault = lambda _asked: 0
) -> Iterator[tuple[str, Counts]]:
    """URL and what was counted so far. `server` is the API server's https URL, `authority` its CA as PEM."""
    counts: Counts = collections.Counter()
    address = urllib.parse.urlsplit(server).netloc
    context = ssl.create_default_context(cadata=authority)

    class Bound(_Handler):
        def upstream(self) -> http.client.HTTPSConnection:
            return http.client.HTTPSConnection(address, timeout=300, context=context)

        def count(self) -> None:
            counts[named(self.command, self.path)] += 1

        def fault(self) -> int:
            return fault(named(self.command, self.path))

        authorization = f"Bearer {token}"

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}", counts
    finally:
        listening.shutdown()
        listening.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    authorization = ""

    def upstream(self) -> http.client.HTTPSConnection:
        raise NotImplementedError

    def count(self) -> None:
        raise NotImplementedError

    def fault(self) -> int:
        raise NotImplementedError

    def _forward(self) -> None:
        self.count()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        if status := self.fault():
            return self._refuse(status)
        if self.headers.get("Upgrade"):
            return self._tunnel()
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
        with contextlib.closing(self.upstream()) as connection, contextlib.suppress(ConnectionError):
            connection.request(self.command, self.path, body, {**headers, "Authorization": self.authorization})
            self._answer(connection.getresponse())
        return None

    def _tunnel(self) -> None:
        """A command in a pod: what follows the request is no HTTP."""
        self.close_connection = True
        kept = [(key, value) for key, value in self.headers.items() if key.lower() not in {"host", "authorization"}]
        connection = self.upstream()
        kept += [("Host", connection.host), ("Authorization", self.authorization)]
        connection.connect()
        with contextlib.closing(connection.sock) as upstream:
            head = [f"{self.command} {self.path} HTTP/1.1", *(f"{key}: {value}" for key, value in kept)]
            upstream.sendall("\r\n".join([*head, "", ""]).encode())
            with contextlib.suppress(OSError):
                _pump(self.connection, upstream)

    def _refuse(self, status: int) -> None:
        self.close_connection = True
        if status != DROPPED:
            self.send_response_only(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _answer(self, answer: http.client.HTTPResponse) -> None:
        """In chunks, each as soon as it is there: a watch has no end."""
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP:
                self.send_header(key, value)
        if answer.status in _BODILESS:
            return self.end_headers()
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = b"first"
        while data:
            data = answer.read1()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()
        return None

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward

    def log_message(self, *_: object) -> None:
        pass


def _pump(client: socket.socket, upstream: ssl.SSLSocket) -> None:
    """Both ways, until one side ends. One at a time: TLS bears no more."""
    while True:
        sides = [upstream] if upstream.pending() else select.select([client, upstream], [], [])[0]
        for side in sides:
            data = side.recv(65536)
            if not data:
                return
            (client if side is upstream else upstream).sendall(data)
