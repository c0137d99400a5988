"""A small HTTP server that nobody can tire: one short answer per connection, bounds on all that a client sends."""

from __future__ import annotations

import contextlib
import dataclasses
import http.server
import io
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from email import message
from typing import Any

from k8s_ee import pages

_HEAD_SECONDS = 5.0
"""For all of a request's head, however slowly it drips."""
_HEAD_BYTES = 16384
_SEND_SECONDS = 5.0
_DRAIN_SECONDS = 1.0
_DRAIN_BYTES = 65536
_AT_ONCE = 64
_END = re.compile(rb"\r?\n\r?\n")
_HOST = re.compile(r"([a-z0-9._-]{1,253}?)\.?(:[0-9]{1,5})?", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Request:
    """`host` in lower case without a port; empty when there is none, several, or one that can't be a name."""

    host: str
    path: str
    accept: str


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: Mapping[str, str]


Respond = Callable[[Request], Reply]


def reply(page: pages.Page, accept: str) -> Reply:
    """As JSON for whoever asks for it and not for HTML."""
    as_json = "application/json" in accept and "text/html" not in accept
    body = pages.as_json(page) if as_json else pages.as_html(page)
    headers = {
        "Content-Type": "application/json" if as_json else "text/html; charset=utf-8",
        "Content-Security-Policy": pages.POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
        "Vary": "Accept",
    }
    if page.again:
        headers["Retry-After"] = str(page.again)
    return Reply(page.status, body.encode(), headers)


def plain(status: int, text: str) -> Reply:
    return Reply(status, f"{text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Serves from `start` to the end of the `with` block. At most `at_once` connections; who comes then hears 503."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

    def __init__(self, port: int, respond: Respond, *, at_once: int = _AT_ONCE) -> None:
        self.respond = respond
        self._room = threading.BoundedSemaphore(at_once)
        super().__init__(("", port), _Handler)

    def server_bind(self) -> None:
        """Without looking up our own name, which may take as long as a broken DNS server likes."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "", self.server_address[1]

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True, name="k8s-ee-responder").start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            return self._too_many(request)
        try:
            return super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: a client that goes away is no event, and a log that clients can fill is a fault."""

    def shutdown_request(self, request: Any) -> None:
        """Takes what the client still sends, within bounds: to close before that would take our answer back, too."""
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            _drain(request)
        self.close_request(request)

    def _too_many(self, request: Any) -> None:
        with contextlib.suppress(OSError):
            request.settimeout(_DRAIN_SECONDS)
            request.sendall(_bare(503, "Service Unavailable"))
        self.close_request(request)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        head, self._too_long = _head(self.connection)
        self.connection.settimeout(_SEND_SECONDS)
        self.rfile = io.BufferedReader(io.BytesIO(head))

    def handle(self) -> None:
        if self._too_long:
            self.wfile.write(_bare(431, "Request Header Fields Too Large"))
        else:
            self.raw_requestline = self.rfile.readline()
            if self.raw_requestline and self.parse_request():
                self._answer()

    def _answer(self) -> None:
        accept = ",".join(self.headers.get_all("Accept") or [])
        self._send(self.server.respond(Request(_host(self.headers), self.path, accept)))

    def _send(self, answer: Reply) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def send_error(self, code: int, _message: str | None = None, _explain: str | None = None) -> None:
        """What can't be parsed is answered without repeating any of it."""
        self.wfile.write(_bare(int(code), http.server.BaseHTTPRequestHandler.responses[code][0]))

    def handle_expect_100(self) -> bool:
        return True  # nobody reads the body

    def version_string(self) -> str:
        return "k8s-ee"

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _bare(status: int, reason: str) -> bytes:
    return (
        f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode()


def _head(connection: socket.socket) -> tuple[bytes, bool]:
    """The head of the request and whether it was too long; as much as came when the time was up is no head."""
    read, ends = b"", time.monotonic() + _HEAD_SECONDS
    while len(read) <= _HEAD_BYTES:
        try:
            connection.settimeout(max(0.001, ends - time.monotonic()))
            more = connection.recv(_HEAD_BYTES)
        except OSError:
            return b"", False
        read += more
        end = _END.search(read)
        if end:
            return read[: end.end()], end.end() > _HEAD_BYTES
        if not more:
            return b"", False
    return b"", True


def _drain(connection: socket.socket) -> None:
    ends, left = time.monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
    while left > 0 and time.monotonic() < ends:
        connection.settimeout(max(0.001, ends - time.monotonic()))
        more = connection.recv(min(left, 16384))
        if not more:
            return
        left -= len(more)


def _host(headers: message.Message) -> str:
    given = headers.get_all("Host") or []
    match = _HOST.fullmatch(given[0].strip().lower()) if len(given) == 1 else None
    return match[1] if match else ""
