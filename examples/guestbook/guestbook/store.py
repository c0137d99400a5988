"""The entries in PostgreSQL, over a handful of connections that are replaced when the database restarts."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import psycopg.rows

CONNECTIONS = 8
PATIENCE_SECONDS = 3
NEWEST = 100

Connection = psycopg.Connection[dict[str, Any]]


class Unavailable(Exception):
    """The database did not answer, or not as it should."""


def connect(url: str) -> Connection:
    """Raises psycopg.OperationalError within a few seconds, also when packets just vanish."""
    return psycopg.connect(
        url,
        autocommit=True,
        row_factory=psycopg.rows.dict_row,
        connect_timeout=PATIENCE_SECONDS,
        tcp_user_timeout=PATIENCE_SECONDS * 1000,
        application_name="guestbook",
    )


class Store:
    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(CONNECTIONS)

    def ping(self) -> None:
        """Raises Unavailable."""
        with self._connection():
            pass

    def entries(self) -> list[dict[str, Any]]:
        """The newest entries first. Raises Unavailable."""
        with self._connection() as connection:
            query = "SELECT id, author, message, written_at FROM entries ORDER BY written_at DESC, id DESC LIMIT %s"
            return connection.execute(query, [NEWEST]).fetchall()

    def add(self, *, author: str, message: str) -> dict[str, Any]:
        """Raises Unavailable."""
        with self._connection() as connection:
            query = "INSERT INTO entries (author, message) VALUES (%s, %s) RETURNING id, author, message, written_at"
            (entry,) = connection.execute(query, [author, message]).fetchall()
            return entry

    def close(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[Connection]:
        if not self._slots.acquire(timeout=PATIENCE_SECONDS):
            raise Unavailable(f"all {CONNECTIONS} connections are busy")
        try:
            connection = self._checked() or connect(self._url)
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.put(connection)
        except psycopg.Error as error:
            raise Unavailable(str(error).strip()) from error
        finally:
            self._slots.release()

    def _checked(self) -> Connection | None:
        """An idle connection that still works: asked before use, so that no write has to be repeated blindly."""
        with contextlib.suppress(queue.Empty):
            while True:
                connection = self._idle.get_nowait()
                try:
                    connection.execute("SELECT 1")
                except psycopg.OperationalError:
                    connection.close()
                else:
                    return connection
        return None
