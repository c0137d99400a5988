"""How often `ready.sh` of each chart asks for a database that is not there yet, with clients that only count."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from k8s_ee import plan, resources

CLIENTS = {"postgresql": "psql", "mariadb": "mariadb", "redis": "valkey-cli", "mongodb": "mongoexport", "minio": "wget"}
LOGIN = {
    "PGHOST": "postgresql",
    "REDIS_PASSWORD": "x",
    "REDIS_HOST": "redis",
    **{f"MYSQL_{name}": "x" for name in ("HOST", "USER", "PASSWORD", "DATABASE")},
    "MONGODB_URL": "mongodb://app:x@mongodb:27017/app",
    **{f"S3_{name}": "x" for name in ("ACCESS_KEY", "SECRET_KEY", "BUCKET", "ENDPOINT")},
}
SECONDS = 2
"""`ready.sh` reads the clock in whole seconds: it may take almost one less."""


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list[str]]:
    """What each client was called with, by engine and $HOST. All of them at once: they mostly sleep."""
    waiting, counts = {}, {}
    for engine, client in CLIENTS.items():
        for host in ("", "127.0.0.1"):
            folder = tmp_path_factory.mktemp(engine)
            (folder / "count").touch()
            program = folder / "bin" / client
            program.parent.mkdir()
            program.write_text(
                f'#!/bin/sh\necho "$PGCONNECT_TIMEOUT $*" >>"{folder}/count"\necho refused >&2\nexit 1\n'
            )
            program.chmod(0o755)
            for name, value in LOGIN.items():
                (folder / name).write_text(value)
            script = resources.directory("charts") / engine / "files" / "ready.sh"
            environ = {"PATH": f"{program.parent}:{os.environ['PATH']}", "CREDENTIALS": str(folder), "HOST": host}
            waiting[engine, host] = (_start(script, environ), folder / "count")
    for key, (process, count) in waiting.items():
        _output, said = process.communicate(timeout=60)
        assert said.startswith("gave up: "), (key, said)
        counts[key] = count.read_text().splitlines()
    return counts


def _start(script: pathlib.Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(["sh", script, str(SECONDS)], env=environ, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("engine", plan.ENGINES)
def test_a_service_is_asked_no_more_often_than_a_node_refuses_at_once(
    engine: str, asked: dict[tuple[str, str], list[str]]
) -> None:
    """Linux sends six ICMP errors to an address at once, then one a second (net.ipv4.icmp_ratelimit). Who gets none
    sends its SYN again after one second, and again after two more."""
    through, itself = (len(asked[engine, host]) for host in ("", "127.0.0.1"))
    assert 2 <= through <= 6 + SECONDS
    assert itself > through, "the database asks itself, and is told at once"


LIMITS = {"postgresql": "{} ", "mariadb": "--connect-timeout={} ", "minio": "-T {} "}


@pytest.mark.parametrize("engine", LIMITS)
def test_a_question_that_was_lost_on_its_way_is_soon_asked_anew(
    engine: str, asked: dict[tuple[str, str], list[str]]
) -> None:
    """While a node learns of a Service's first address, a connection may be begun that leads nowhere for good."""
    for host, seconds in (("", 1), ("127.0.0.1", 3)):
        assert all(LIMITS[engine].format(seconds) in one for one in asked[engine, host])
