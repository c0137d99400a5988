"""A local GitHub: pull requests, comments, deployments over HTTP, in memory, with switches for what can go wrong.

In a test:

    with github.Server(state) as server:
        server.faults.add(github_faults.Fault(method="POST", status=502))
        ...                                    # GITHUB_API_URL = server.url; server.log has every request

By hand: `python -m tests.wire.github --port 8080 --state github.json`, which keeps its state in the file. From outside
it is steered by GET `/_control/state` and `log`, POST and DELETE `/_control/faults`, POST `/_control/pulls`.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.server
import json
import pathlib
import re
import socket
import threading
import urllib.parse
from typing import Any

from tests.wire import github_faults as faults
from tests.wire import github_routes as routes
from tests.wire import github_state as states

_PREFIX = "/api/v3"
_ANSWERED = {"slow", "truncated", "garbled", "altered"}


class Server:
    """Listens on `port` (0 = any) from the start; a context manager that leaves no thread and no socket behind.

    `host` is an address of this machine: the pods of a sandbox reach the one of its link, and not the loopback.
    """

    def __init__(
        self,
        state: states.State | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        file: pathlib.Path | None = None,
    ) -> None:
        self.faults = faults.Faults()
        self.log: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        self._file = file
        self._connections: set[socket.socket] = set()
        self._http = http.server.ThreadingHTTPServer((host, port), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://{host}:{self._http.server_address[1]}"
        self.github = routes.GitHub(state or states.State(), base=self.url)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def state(self) -> states.State:
        return self.github.state

    def count(self, path: str) -> int:
        """How many requests there were to this path, a regular expression."""
        return sum(1 for one in self.log if re.fullmatch(path, one["path"]))

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        for one in tuple(self._connections):
            one.close()

    def answer(self, request: routes.Request) -> routes.Answer:
        with self.lock:
            found = self.github.handle(request)
            entry = {"method": request.method, "path": request.path, "query": request.query, "body": request.body}
            self.log.append({**entry, "status": found.status})
            if self._file and request.method != "GET":
                states.save(self.state, self._file)
        return found

    def control(self, request: routes.Request) -> routes.Answer:
        name = request.path.removeprefix("/_control/")
        if request.method == "GET":
            return routes.Answer(200, self.log if name == "log" else dataclasses.asdict(self.state))
        if name == "faults":
            self.faults.clear() if request.method == "DELETE" else self.faults.add(faults.Fault(**request.body))
            return routes.Answer(204)
        if name == "pulls":
            return self._put_pull(dict(request.body))
        return routes.Answer(404, {"message": "Not Found"})

    def _put_pull(self, given: dict[str, Any]) -> routes.Answer:
        """Adds or changes a pull request; its `repository` is made if it is not there yet."""
        wanted = states.Repository(**given.pop("repository"))
        with self.lock:
            try:
                repository = self.state.repository(wanted.full_name)
            except KeyError:
                repository = wanted
                self.state.repositories.append(repository)
            repository.pulls[given["number"]] = states.Pull(**given)
            if self._file:
                states.save(self.state, self._file)
        return routes.Answer(204)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        server = self

        class Handler(_Handler):
            owner = server
            connections = server._connections

        return Handler


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server
    connections: set[socket.socket]

    def setup(self) -> None:
        super().setup()
        self.connections.add(self.connection)

    def finish(self) -> None:
        self.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """The requests are in the server's log."""

    def _serve(self) -> None:
        request = self._request()
        if request.path.startswith("/_control/"):
            self._send(self.owner.control(request))
            return
        fault = self.owner.faults.take(request.method, request.path)
        if fault is None:
            self._send(self.owner.answer(request))
            return
        (fault.until or threading.Event()).wait(fault.delay)
        right = self.owner.answer(request) if fault.applied or fault.kind in _ANSWERED else None
        if right is None:
            entry = {"method": request.method, "path": request.path, "query": request.query, "body": request.body}
            self.owner.log.append({**entry, "status": fault.status if fault.kind != "drop" else 0})
        self._fail(fault, right)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _request(self) -> routes.Request:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        return routes.Request(
            method=self.command,
            path=path.removeprefix(_PREFIX).replace("/api/graphql", "/graphql"),
            query=dict(urllib.parse.parse_qsl(query)),
            body=json.loads(body) if body else None,
            token=(self.headers.get("Authorization") or "").rpartition(" ")[2],
        )

    def _fail(self, fault: faults.Fault, right: routes.Answer | None) -> None:
        if fault.kind == "slow" and right:
            self._send(right)
        elif fault.kind == "altered" and right:
            self._send(routes.Answer(200, faults.alter(right.body, right.seen, fault), fault.headers), null=b"null")
        elif fault.kind == "empty":
            self._write(200, b"", {})
        elif fault.kind == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault.kind == "html":
            self._write(fault.status, b"<!DOCTYPE html><title>Unicorn!</title>", {"Content-Type": "text/html"})
        elif fault.kind in {"truncated", "garbled"} and right:
            data = json.dumps(right.body).encode()
            claimed = len(data) if fault.kind == "truncated" else len(data) // 2
            self._write(right.status, data[: len(data) // 2], {"Content-Length": str(claimed)})
            self.close_connection = True
        else:
            self._send(routes.Answer(fault.status, {"message": fault.message}, fault.headers))

    def _send(self, answer: routes.Answer, *, null: bytes = b"") -> None:
        data = null if answer.body is None else json.dumps(answer.body).encode()
        self._write(answer.status, data, answer.headers)

    def _write(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        defaults = {"Content-Type": "application/json; charset=utf-8", "Content-Length": str(len(data))}
        try:
            self.send_response(status)
            for name, value in {**defaults, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def main() -> None:
    parser = argparse.ArgumentParser(description="A local GitHub for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=pathlib.Path, help="JSON file the state is read from and kept in")
    given = parser.parse_args()
    state = states.load(given.state) if given.state and given.state.exists() else states.State()
    with Server(state, port=given.port, file=given.state) as server:
        print(server.url, flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
