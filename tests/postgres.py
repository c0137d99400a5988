"""PostgreSQL as the chart starts it, with a table for what a test writes."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

from tests import servers


class Database(servers.Server):
    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__("postgresql", folder)
        self.bootstrap("CREATE TABLE entry (text text);\n")

    def query(self, sql: str) -> str:
        command = ("psql", "-XAt", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", sql)
        done = self.run(*command, PGPASSWORD=servers.PASSWORD)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextlib.contextmanager
def made() -> Iterator[Database]:
    with servers.room() as folder:
        yield Database(folder)
