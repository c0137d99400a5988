"""No password changes, no app starts before its databases, and no failure of an app reaches one, however often."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import pathlib
import random
import tempfile
from collections.abc import Iterator
from concurrent import futures

import pytest
import yaml

from tests.bench import counting
from tests.cluster import cli, stores
from tests.cluster.stores import databases as databases  # noqa: PLC0414 - the fixture
from tests.cluster.stores import image as image  # noqa: PLC0414 - the fixture
from tests.cluster.stores import ready as ready  # noqa: PLC0414 - the fixture

pytestmark = pytest.mark.cluster

_SIDE_BY_SIDE = 3
"""A slow start is mostly waiting; a node of two cores has no room for more of them."""


# Talks to each as an app does, once: what is not there yet is a failure.
MIGRATE = r"""
import os, socket, struct, urllib.error, urllib.parse, urllib.request, psycopg
psycopg.connect(os.environ["DATABASE_URL"]).execute("INSERT INTO entry VALUES ('migrated')")
def said(host, port, send=b""):
    with socket.create_connection((host, int(port)), timeout=5) as one:
        one.sendall(send)
        return one.recv(999)
def at(prefix):
    return os.environ[prefix + "_HOST"], os.environ[prefix + "_PORT"]
assert b"MariaDB" in said(*at("MYSQL"))
assert said(*at("REDIS"), b"AUTH %s\r\n" % os.environ["REDIS_PASSWORD"].encode()) == b"+OK\r\n"
document = b"\x10hello\0\1\0\0\0\2$db\0\6\0\0\0admin\0\0"
hello = b"\0" * 5 + struct.pack("<i", len(document) + 4) + document
mongodb = urllib.parse.urlsplit(os.environ["MONGODB_URL"])
assert b"maxWireVersion" in said(
    mongodb.hostname, mongodb.port, struct.pack("<iiii", len(hello) + 16, 1, 0, 2013) + hello
)
try:
    urllib.request.urlopen(os.environ["S3_ENDPOINT"], timeout=5)
except urllib.error.HTTPError as error:
    assert error.code == 403
"""
SLOW = {
    "postgresql": "CREATE TABLE entry (text text); SELECT pg_sleep({});",
    "mariadb": "CREATE TABLE entry (text text); DO sleep({});",
    "mongodb": "sleep({}000);",
}


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 5), pytest.param(100, 30, marks=[pytest.mark.long, pytest.mark.timeout(9000)])]
)
def test_after_a_cold_start_with_a_slow_init_script_no_app_restarted_and_no_migration_failed(
    runner: cli.Installed,
    tmp_path: pathlib.Path,
    image: str,
    databases: stores.Keys,
    times: int,
    seconds: int,
) -> None:
    slow = {
        engine: {**keys, **({"bootstrap": SLOW[engine].format(seconds)} if engine in SLOW else {})}
        for engine, keys in databases.items()
    }
    with futures.ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        starts = [pool.submit(_start_cold, runner, tmp_path, image=image, databases=slow) for _ in range(times)]
    assert [error for one in starts if (error := one.exception())] == []


def _start_cold(runner: cli.Installed, folder: pathlib.Path, *, image: str, databases: stores.Keys) -> None:
    with cli.preview(runner, pathlib.Path(tempfile.mkdtemp(dir=folder))) as preview:
        preview.configure({**cli.small(migrate=["python3", "-uc", MIGRATE]), "databases": databases})
        preview.up(image=image)
        pods = json.loads(preview.kubectl("get", "pods", "-o", "json"))["items"]
        statuses = [one["status"] for one in pods]
        counts = [one["restartCount"] for status in statuses for one in status["containerStatuses"]]
        assert set(counts) == {0}
        jobs = json.loads(preview.kubectl("get", "jobs", "-o", "json"))["items"]
        assert [one["status"].get("failed", 0) for one in jobs] == [0]
        runner.kubectl("delete", "namespace", preview.namespace, timeout=180)  # so that the node has room again


@contextlib.contextmanager
def faulty(installed: cli.Installed, folder: pathlib.Path, fault: counting.Fault) -> Iterator[str]:
    """Path of a kubeconfig whose API server fails so."""
    config = yaml.safe_load(installed.kubeconfig.read_text())
    reached = config["clusters"][0]["cluster"]
    authority = base64.b64decode(reached["certificate-authority-data"]).decode()
    token = config["users"][0]["user"]["token"]
    with counting.running(reached["server"], authority=authority, token=token, fault=fault) as (url, _):
        config["clusters"][0]["cluster"] = {"server": url}
        path = folder / "faulty.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield str(path)


def secrets_fail(answer: int, asked: str) -> int:
    return answer if asked == "get secrets" else 0


@pytest.mark.parametrize("rounds", [4, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_the_password_outlives_redeploys_whatever_the_api_server_answers(
    ready: cli.Preview, tmp_path: pathlib.Path, rounds: int
) -> None:
    before, pods = stores.kept(ready), stores.uids(ready)
    chance = random.Random(5)  # noqa: S311 - the same faults every time
    answers = (403, 500, 504, counting.DROPPED)

    def some_fail(_asked: str) -> int:
        return chance.choice((0, 0, 0, *answers))

    for number in range(rounds):
        answer = answers[number % len(answers)]
        with faulty(ready.installed, tmp_path, functools.partial(secrets_fail, answer)) as kubeconfig:
            failed = ready.run("deploy-db", "--timeout", "20", K8S_EE_KUBECONFIG=kubeconfig)
            assert failed.code in {3, 5}, (number, answer, failed.said)
        with faulty(ready.installed, tmp_path, some_fail) as kubeconfig:
            ready.run("deploy-db", "--timeout", "20", K8S_EE_KUBECONFIG=kubeconfig)
        assert ready.run("deploy-db", "--dry-run").code == 0, number
        assert stores.kept(ready) == before, (number, answer)
    done = ready.run("deploy-db")
    assert done.code == 0, done.said
    assert (stores.kept(ready), stores.uids(ready)) == (before, pods)
    stores.assert_kept(ready)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_an_app_that_crashes_and_is_taken_back_never_touches_a_database(
    ready: cli.Preview, image: str, databases: stores.Keys, times: int
) -> None:
    before = stores.uids(ready), stores.kept(ready)
    for number in range(times):
        ready.configure({**cli.small(f"raise SystemExit({number + 1})"), "databases": databases})
        failed = ready.run("up", image=image)
        assert failed.code == 4, failed.said
        assert "was taken back" in failed.said
        assert (stores.uids(ready), stores.kept(ready)) == before
    stores.assert_kept(ready)
    ready.configure({**cli.small(), "databases": databases})
