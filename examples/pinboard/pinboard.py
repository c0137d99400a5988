"""A pinboard on each database it was given: `POST /<database>` pins the body, `GET /<database>` lists what is pinned.

Each request opens a connection of its own, and so nothing has to be mended when a database was away for a while.
"""

import contextlib
import http.server
import json
import os
import signal
import sys
from collections.abc import Callable

Board = Callable[[str], list[str]]


def sql(connection, note: str) -> list[str]:
    """PostgreSQL and MariaDB, by the same statements."""
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS pins (note varchar(200))")
        if note:
            cursor.execute("INSERT INTO pins VALUES (%s)", [note])
        cursor.execute("SELECT note FROM pins ORDER BY note")
        found = [row[0] for row in cursor.fetchall()]
        connection.commit()
        return found


def postgresql(note: str) -> list[str]:
    import psycopg

    return sql(psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3), note)


def mariadb(note: str) -> list[str]:
    import pymysql

    login = {key: os.environ[f"MYSQL_{key.upper()}"] for key in ("host", "user", "password", "database")}
    return sql(pymysql.connect(port=int(os.environ["MYSQL_PORT"]), connect_timeout=3, **login), note)


def redis(note: str) -> list[str]:
    import redis

    with redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=3, decode_responses=True) as client:
        if note:
            client.sadd("pins", note)
        return sorted(client.smembers("pins"))


BOARDS: dict[str, tuple[str, Board]] = {
    "postgresql": ("DATABASE_URL", postgresql),
    "mariadb": ("MYSQL_URL", mariadb),
    "redis": ("REDIS_URL", redis),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()[:200])

    def _answer(self, note: str) -> None:
        name = self.path.strip("/")
        given, board = BOARDS.get(name, ("", None))
        try:
            status, body = 404, "there is no such board"
            if name == "health":
                status, body = 200, "ok"
            elif board and given in os.environ:
                status, body = 200, json.dumps(board(note))
        except Exception as error:  # whatever the driver calls it, the board does not answer
            status, body = 503, type(error).__name__
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    http.server.ThreadingHTTPServer(("", int(os.environ.get("PORT") or 3000)), Handler).serve_forever()
