"""HTTP: what each path answers."""

import http
import http.server
import json
import sys
import urllib.parse
from collections.abc import Mapping
from typing import Any

from guestbook import page, store

LONGEST_BODY = 16 * 1024
FIELDS = {"author": 80, "message": 500}


class Invalid(Exception):
    """A request that can't be served; `status` says why in HTTP."""

    def __init__(self, message: str, *, status: http.HTTPStatus = http.HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # closing waits for the requests that are being served
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], *, entries: store.Store, version: Mapping[str, str]) -> None:
        super().__init__(address, Handler)
        self.entries = entries
        self.version = version

    def drain(self) -> None:
        """Serves what is already connected; for after `shutdown`, so that nobody gets a reset connection."""
        self.timeout = 0
        while self._one():
            pass

    def _one(self) -> bool:
        self.waiting = True
        self.handle_request()
        return self.waiting

    def handle_timeout(self) -> None:
        self.waiting = False


class Handler(http.server.BaseHTTPRequestHandler):
    """One request per connection (HTTP/1.0): a proxy never reuses a connection that a shutdown is about to close."""

    server: Server
    timeout = 10
    server_version = "guestbook"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer({"/": self._page, "/entries": self._list, "/health": self._health, "/version": self._version})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer({"/entries": self._add})

    def _answer(self, routes: Mapping[str, Any]) -> None:
        route = routes.get(urllib.parse.urlsplit(self.path).path)
        try:
            if route is None:
                raise Invalid("there is nothing here", status=http.HTTPStatus.NOT_FOUND)
            route()
        except Invalid as error:
            self._json(error.status, {"error": str(error)})
        except store.Unavailable as error:
            self.log_error("database: %s", error)
            self._json(http.HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the database is not available"})

    def _page(self) -> None:
        entries = self.server.entries.entries()
        version = self.server.version
        text = page.render(entries, commit=version["commit"], pull_request=version["pr"])
        self._send(http.HTTPStatus.OK, text.encode(), kind="text/html; charset=utf-8")

    def _list(self) -> None:
        self._json(http.HTTPStatus.OK, self.server.entries.entries())

    def _health(self) -> None:
        self.server.entries.ping()
        self._send(http.HTTPStatus.NO_CONTENT, b"")

    def _version(self) -> None:
        self._json(http.HTTPStatus.OK, self.server.version)

    def _add(self) -> None:
        is_form = self.headers.get_content_type() == "application/x-www-form-urlencoded"
        entry = self.server.entries.add(**_fields(self._body(), is_form=is_form))
        if is_form:
            self._send(http.HTTPStatus.SEE_OTHER, b"", location="/")
        else:
            self._json(http.HTTPStatus.CREATED, entry)

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise Invalid("Content-Length is missing", status=http.HTTPStatus.LENGTH_REQUIRED)
        if int(length) > LONGEST_BODY:
            raise Invalid("the body is too long", status=http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.rfile.read(int(length))

    def _json(self, status: http.HTTPStatus, value: object) -> None:
        self._send(status, json.dumps(value, default=str).encode() + b"\n", kind="application/json")

    def _send(self, status: http.HTTPStatus, body: bytes, *, kind: str = "", location: str = "") -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Location": location}.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.path != "/health" or code != http.HTTPStatus.NO_CONTENT:
            super().log_request(code, size)

    def log_message(self, format: str, *args: object) -> None:
        print(format % args, file=sys.stderr, flush=True)


def _fields(body: bytes, *, is_form: bool) -> dict[str, str]:
    try:
        text = body.decode()
        given = dict(urllib.parse.parse_qsl(text)) if is_form else json.loads(text)
    except ValueError as error:
        raise Invalid("the body is neither JSON nor a form") from error
    if not isinstance(given, dict):
        raise Invalid("the body is not an object")
    return {name: _field(given.get(name), name=name, longest=longest) for name, longest in FIELDS.items()}


def _field(value: object, *, name: str, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    storable = not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)
    if not storable or not 0 < len(text) <= longest:
        raise Invalid(f"{name}: 1 to {longest} characters of text")
    return text
