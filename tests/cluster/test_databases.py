"""Every database on the real cluster: there before the app, keeps its data and its password, whatever happens to it."""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import os
import pathlib
import random
import secrets
import signal
from collections.abc import Iterator

import pytest
import yaml

from k8s_ee_sandbox import platform
from tests import conftest, processes, world
from tests.bench import counting
from tests.cluster import cli

pytestmark = pytest.mark.cluster

# What each reads as a dump, so that one row is there, and what its own dump then has.
ROWS = {
    "postgresql": ("CREATE TABLE entry (text text); INSERT INTO entry VALUES ('kept');\n", "kept"),
    "mariadb": ("CREATE TABLE entry (text text); INSERT INTO entry VALUES ('kept');\n", "'kept'"),
    "redis": ("0 x656e747279 0 SET x6b657074\n", "0 x656e747279 0 SET x6b657074"),
}
ENGINES = tuple(ROWS)


@pytest.fixture
def databases() -> dict[str, object]:
    return {engine: {"storage": "256Mi"} for engine in ENGINES}


def script(preview: cli.Preview, engine: str, name: str, *, stdin: str = "") -> str:
    """In the database's own container, as the app's own user."""
    return preview.kubectl("exec", "-i", f"{engine}-0", "--", "sh", f"/etc/k8s-ee/scripts/{name}", stdin=stdin)


def write(preview: cli.Preview) -> None:
    for engine, (row, _) in ROWS.items():
        script(preview, engine, "load.sh", stdin=row)


def assert_kept(preview: cli.Preview) -> None:
    for engine, (_, kept) in ROWS.items():
        assert kept in script(preview, engine, "dump.sh"), engine


def kept(preview: cli.Preview) -> str:
    """Names, uids and contents of what must never be lost."""
    found = json.loads(preview.kubectl("get", "secrets,persistentvolumeclaims", "-o", "json"))["items"]
    return json.dumps(
        [[one["metadata"]["name"], one["metadata"]["uid"], one.get("data")] for one in found], sort_keys=True
    )


def uids(preview: cli.Preview) -> dict[str, str]:
    """Of the databases' pods."""
    names = [f"pod/{engine}-0" for engine in ENGINES]
    found = json.loads(preview.kubectl("get", *names, "-o", "json"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}


@pytest.fixture
def image(installed: cli.Installed) -> str:
    return installed.sandbox.images["base"]


@pytest.fixture
def ready(preview: cli.Preview, image: str, databases: dict[str, object]) -> cli.Preview:
    """With one row in each."""
    preview.configure({**cli.small(), "databases": databases})
    preview.up(image=image)
    write(preview)
    return preview


def test_the_example_writes_and_reads_through_each_also_after_it_was_away(
    preview: cli.Preview, image: str, databases: dict[str, object]
) -> None:
    source = (world.ROOT / "examples" / "pinboard" / "pinboard.py").read_text()
    preview.configure({**cli.small(source), "databases": databases})
    preview.up(image=image)
    pinned = {engine: preview.ask(f"/{engine}", method="POST", body={"pin": engine}) for engine in ENGINES}
    assert pinned == {engine: (200, json.dumps([json.dumps({"pin": engine})])) for engine in ENGINES}
    app = preview.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].metadata.uid}")
    preview.kubectl("delete", *(f"pod/{engine}-0" for engine in ENGINES), "--wait")
    for engine in ENGINES:
        preview.kubectl("rollout", "status", f"statefulset/{engine}", "--timeout=120s")
        assert preview.ask(f"/{engine}") == pinned[engine]
    left = preview.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].metadata.uid}")
    assert left == app


def test_the_app_starts_after_each_database_and_every_row_outlives_the_pods(ready: cli.Preview) -> None:
    (pod,) = json.loads(ready.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "json"))["items"]
    waited = {one["name"]: one["restartCount"] for one in pod["status"]["initContainerStatuses"]}
    assert waited == {f"wait-for-{engine}": 0 for engine in ENGINES}
    assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0]
    before = uids(ready)
    ready.kubectl("delete", *(f"pod/{engine}-0" for engine in ENGINES), "--wait")
    for engine in ENGINES:
        ready.kubectl("rollout", "status", f"statefulset/{engine}", "--timeout=120s")
    assert not set(before.values()) & set(uids(ready).values())
    assert_kept(ready)


def test_killed_as_when_memory_runs_out_every_row_is_there(ready: cli.Preview) -> None:
    for name, uid in uids(ready).items():
        os.kill(processes.first_of(uid), signal.SIGKILL)  # nothing is asked, nothing can be finished
        ready.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1")
        ready.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    assert_kept(ready)


def test_out_of_the_config_the_workload_goes_and_comes_back_to_the_same_data_and_password(
    ready: cli.Preview, image: str, databases: dict[str, object]
) -> None:
    before = kept(ready)
    ready.configure(cli.small())
    planned = ready.run("up", "--dry-run", "--output", "json", image=image)
    without = ready.run("up", "--output", "json", image=image)
    for said in (planned, without):
        assert said.code == 0, said.said
        for engine in ENGINES:
            assert f"{engine} is not in the config any more: its volume and password are kept" in said.stdout
    assert ready.kubectl("get", "statefulsets", "-o", "name") == ""
    assert kept(ready) == before
    ready.configure({**cli.small(), "databases": databases})
    ready.up(image=image)
    assert kept(ready) == before
    assert_kept(ready)


def test_each_database_says_whether_it_is_ready(ready: cli.Preview, tmp_path: pathlib.Path, image: str) -> None:
    done = ready.run("deploy-db", "--output", "json")
    outputs = done.outcome["outputs"]
    assert json.loads(outputs["ready"]) == dict.fromkeys(ENGINES, True)


def test_a_volume_that_is_kept_leaves_room_for_another_database(ready: cli.Preview, image: str) -> None:
    ready.configure({**cli.small(), "databases": {"redis": {"storage": "256Mi"}}})
    ready.up(image=image)
    ready.kubectl("delete", "statefulset/redis", "pvc/data-redis-0", "--wait")
    ready.kubectl("delete", "secret/redis-credentials-v1")
    ready.up(image=image)
    assert "data-redis-0" in ready.kubectl("get", "pvc", "-o", "name")


def test_another_major_version_is_refused_on_its_line_also_when_the_database_was_away(
    preview: cli.Preview, image: str
) -> None:
    store = {"storage": "64Mi", "version": "8"}
    preview.configure({**cli.small(), "databases": {"redis": store}})
    preview.up(image=image)
    for away in (False, True):
        if away:
            preview.configure(cli.small())
            preview.up(image=image)
        preview.configure({**cli.small(), "databases": {"redis": {**store, "version": "7"}}})
        refused = preview.run("up", image=image)
        line = next(at for at, text in enumerate(preview.config.read_text().splitlines(), 1) if "version" in text)
        assert refused.code == 2, refused.said
        assert f"k8s-ee.yaml:{line}" in refused.said
        assert "the data is of version 8" in refused.said


@pytest.fixture
def growing(kubectl: conftest.Kubectl, tmp_path: pathlib.Path, installed: cli.Installed) -> Iterator[pathlib.Path]:
    """Platform settings with a StorageClass whose volumes may grow."""
    (standard,) = json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]
    name = f"growing-{secrets.token_hex(3)}"
    larger = {**standard, "metadata": {"name": name}, "allowVolumeExpansion": True}
    kubectl("create", "-f", "-", stdin=json.dumps(larger))
    path = tmp_path / "platform.yaml"
    path.write_text(json.dumps({**platform.settings(installed.sandbox), "storageClass": name}))
    yield path
    kubectl("delete", "storageclass", name)


def test_larger_storage_is_asked_for_and_waited_for(preview: cli.Preview, image: str, growing: pathlib.Path) -> None:
    """The sandbox's volumes are folders: what a storage driver does when a volume grows is done by hand here."""
    up = ("up", "--platform-file", str(growing))
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "64Mi"}}})
    assert preview.run(*up, image=image).code == 0
    script(preview, "redis", "load.sh", stdin=ROWS["redis"][0])
    before = preview.kubectl("get", "pod/redis-0", "pvc/data-redis-0", "-o", "jsonpath={.items[*].metadata.uid}")
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "96Mi"}}})
    running = preview.start(*up, image=image)
    asked = "--for=jsonpath={.spec.resources.requests.storage}=96Mi"
    preview.kubectl("wait", "pvc/data-redis-0", asked, "--timeout=60s")
    has = '{"status": {"capacity": {"storage": "96Mi"}}}'
    preview.kubectl("patch", "pvc/data-redis-0", "--subresource=status", "--type=merge", "-p", has)
    done = running.end(timeout=120)
    assert done.code == 0, done.said
    assert "the volume of redis grows to 96Mi" in done.said
    after = preview.kubectl("get", "pod/redis-0", "pvc/data-redis-0", "-o", "jsonpath={.items[*].metadata.uid}")
    assert after == before
    assert ROWS["redis"][1] in script(preview, "redis", "dump.sh")


def test_larger_storage_is_refused_on_its_line_where_no_volume_can_grow(preview: cli.Preview, image: str) -> None:
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "64Mi"}}})
    preview.up(image=image)
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "96Mi"}}})
    for options in ((), ("--dry-run",)):
        refused = preview.run("up", *options, image=image)
        line = next(at for at, text in enumerate(preview.config.read_text().splitlines(), 1) if "96Mi" in text)
        assert (refused.code, f"k8s-ee.yaml:{line}" in refused.said) == (2, True), refused.said
        assert "its StorageClass can't make volumes larger" in refused.said


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
    before, pods, chance = kept(ready), uids(ready), random.Random(5)  # noqa: S311 - the same faults every time
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
        assert kept(ready) == before, (number, answer)
    done = ready.run("deploy-db")
    assert done.code == 0, done.said
    assert (kept(ready), uids(ready)) == (before, pods)
    assert_kept(ready)


# Talks to each as an app does, once: what is not there yet is a failure.
MIGRATE = r"""
import os, socket, psycopg
psycopg.connect(os.environ["DATABASE_URL"]).execute("INSERT INTO entry VALUES ('migrated')")
def said(prefix, send=b""):
    with socket.create_connection((os.environ[prefix + "_HOST"], int(os.environ[prefix + "_PORT"])), timeout=5) as one:
        one.sendall(send)
        return one.recv(99)
assert b"MariaDB" in said("MYSQL")
assert said("REDIS", b"AUTH %s\r\n" % os.environ["REDIS_PASSWORD"].encode()) == b"+OK\r\n"
"""
SLOW = {
    "postgresql": "CREATE TABLE entry (text text); SELECT pg_sleep({});",
    "mariadb": "CREATE TABLE entry (text text); DO sleep({});",
}


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 5), pytest.param(100, 30, marks=[pytest.mark.long, pytest.mark.timeout(9000)])]
)
def test_after_a_cold_start_with_a_slow_init_script_no_app_restarted_and_no_migration_failed(
    installed: cli.Installed, tmp_path: pathlib.Path, image: str, times: int, seconds: int
) -> None:
    stores = {engine: {"storage": "64Mi"} for engine in ENGINES}
    for engine, sql in SLOW.items():
        stores[engine]["bootstrap"] = sql.format(seconds)
    for _ in range(times):
        with cli.preview(installed, tmp_path) as preview:
            app = cli.small(migrate=["python3", "-uc", MIGRATE])
            preview.configure({**app, "databases": stores})
            preview.up(image=image)
            pods = json.loads(preview.kubectl("get", "pods", "-o", "json"))["items"]
            statuses = [one["status"] for one in pods]
            counts = [one["restartCount"] for status in statuses for one in status["containerStatuses"]]
            assert set(counts) == {0}
            jobs = json.loads(preview.kubectl("get", "jobs", "-o", "json"))["items"]
            assert [one["status"].get("failed", 0) for one in jobs] == [0]


def test_of_databases_that_do_not_all_start_each_says_whether_it_answers(preview: cli.Preview, image: str) -> None:
    stores = {"redis": {"storage": "64Mi"}, "mariadb": {"storage": "64Mi", "bootstrap": "SELEC 1;"}}
    preview.configure({**cli.small(), "databases": stores})
    assert preview.run("create-namespace").code == 0
    done = preview.run("deploy-db", "--output", "json")
    assert done.code == 4, done.said
    assert json.loads(done.outcome["outputs"]["ready"]) == {"redis": True, "mariadb": False}
    assert "the bootstrap SQL failed" in done.said


def test_drained_from_its_node_every_database_comes_back_with_its_rows(
    ready: cli.Preview, kubectl: conftest.Kubectl
) -> None:
    node = ready.kubectl("get", "pod/mariadb-0", "-o", "jsonpath={.spec.nodeName}")
    before = uids(ready)
    try:
        selector = f"--pod-selector=k8s-ee/pr={ready.number}"
        kubectl("drain", node, selector, "--delete-emptydir-data", "--timeout=90s")
    finally:
        kubectl("uncordon", node)
    for engine in ENGINES:
        ready.kubectl("rollout", "status", f"statefulset/{engine}", "--timeout=120s")
    assert not set(before.values()) & set(uids(ready).values())
    assert_kept(ready)


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_an_app_that_crashes_and_is_taken_back_never_touches_a_database(
    ready: cli.Preview, image: str, databases: dict[str, object], times: int
) -> None:
    before = uids(ready), kept(ready)
    for number in range(times):
        ready.configure({**cli.small(f"raise SystemExit({number + 1})"), "databases": databases})
        failed = ready.run("up", image=image)
        assert failed.code == 4, failed.said
        assert "was taken back" in failed.said
        assert (uids(ready), kept(ready)) == before
    assert_kept(ready)
