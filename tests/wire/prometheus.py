"""A Prometheus that gives one answer."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

SCRAPED = {"metric": {}, "value": [0, "0"]}
"""The row that says no more than that somebody counts."""


@contextlib.contextmanager
def answering(body: bytes, *, status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """Its address and the paths it is asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def row(value: object, /, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [0, value]}


def vector(*rows: object, **more: object) -> bytes:
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": rows}, **more}).encode()


def at(when: datetime.datetime) -> str:
    return str(when.timestamp())
