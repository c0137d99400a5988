"""What docs/databases/reconnecting.md tells apps to write is run, while the database they are connected to restarts."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import threading
from typing import Any

import pytest
import sqlalchemy

from tests import servers

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "databases" / "reconnecting.md").read_text()
# The driver, as far as the example has to do with it.
PG = "exports.Pool = class extends require('node:events') {}"


def example(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def row(library: str) -> str:
    """The code in its row of the table."""
    (found,) = re.findall(rf"^\| {re.escape(library)} \| `(.*?)` \|$", PAGE, re.MULTILINE)
    return str(found)


def test_redis_waits_for_seconds_until_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.made("redis", image="valkey") as server:
        monkeypatch.setenv("REDIS_URL", f"redis://:{servers.PASSWORD}@127.0.0.1:{server.port}")
        names: dict[str, Any] = {}
        exec(f"import os, redis\n{example('python')}", names)  # noqa: S102
        with names["client"] as client:
            with server.running():
                assert client.ping()
            answers: list[object] = []
            asking = threading.Thread(target=lambda: answers.append(client.ping()))
            asking.start()
            asking.join(1)
            assert asking.is_alive(), "it is away"
            with server.running():
                asking.join(10)
            assert answers == [True]


@pytest.mark.parametrize("told", [True, False])
def test_sqlalchemy_asks_a_connection_before_it_is_lent(told: bool) -> None:
    code = row("SQLAlchemy")
    with servers.made("postgresql") as server:
        url = f"postgresql+pg8000://app:{servers.PASSWORD}@127.0.0.1:{server.port}/app"
        written = code if told else code.replace(", pool_pre_ping=True", "")
        engine: sqlalchemy.Engine = eval(written, {"create_engine": sqlalchemy.create_engine, "url": url})  # noqa: S307
        for start in range(2):
            with server.running():
                if start and not told:
                    with pytest.raises(sqlalchemy.exc.DBAPIError), engine.connect() as connection:
                        connection.execute(sqlalchemy.text("SELECT 1"))
                    break
                with engine.connect() as connection:
                    assert connection.execute(sqlalchemy.text("SELECT 1")).scalar() == 1
        engine.dispose()


@pytest.mark.parametrize("told", [True, False])
def test_an_idle_connection_of_node_that_is_lost_ends_no_process(tmp_path: pathlib.Path, told: bool) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node")
    (tmp_path / "pg.js").write_text(PG)
    code = example("js") if told else re.sub(r"^pool\.on.*$", "", example("js"), flags=re.MULTILINE)
    lost = "pool.emit('error', new Error('terminated unexpectedly')); console.log('goes on');"
    (tmp_path / "app.js").write_text(f"const pg = require('./pg');\n{code}\n{lost}\n")
    done = subprocess.run([node, "app.js"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ("goes on" in done.stdout) == told == (done.returncode == 0), done.stderr
    assert "terminated unexpectedly" in done.stderr
