"""Backup and restore on the real cluster: the same data in another pull request, and nothing that only looks whole."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import signal
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import plan, settings
from k8s_ee import runner as runners
from k8s_ee.commands import contents, session
from tests import processes
from tests.cluster import cli, test_object_storage
from tests.unit import test_archive

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]  # two environments of four databases each

_SQL = """
CREATE TABLE parent (id int PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
INSERT INTO parent VALUES (2, 'it''s \u2713 \U0001f600'), (1, 'caf\u00e9');
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent (id), amount numeric(10, 2));
INSERT INTO child VALUES (1, 2, 12.50), (2, NULL, NULL);
"""
MEGABYTES = 20


def content() -> dict[str, bytes]:
    """What each reads as a dump: names and references, bytes of every kind, keys that expire, twenty megabytes."""
    noise = random.Random(5)  # noqa: S311
    rows = "\n".join(f"{number}\t{noise.randbytes(512).hex()}" for number in range(MEGABYTES * 1000))
    large = f"CREATE TABLE large (id int, text text);\nCOPY large FROM stdin;\n{rows}\n\\.\n"
    blobs = "CREATE TABLE bytes (some varbinary(300), emoji text);\n"
    blobs += f"INSERT INTO bytes VALUES (x'{bytes(range(256)).hex()}', '\u2713 \U0001f600');\n"  # noqa: S608
    keys = ["0 x656e747279 0 SET x00ff0a", "0 x736f6f6e 4102444800000 SET x78", "3 xe29c93 0 RPUSH x6f6e65 x74776f"]
    return {
        "postgresql": (_SQL + large).encode(),
        "mariadb": f"SET NAMES utf8mb4;\n{_SQL}{blobs}".encode(),
        "redis": "".join(f"{key}\n" for key in keys).encode(),
    }


ENGINES = ("postgresql", "mariadb", "redis", "minio")
DATABASES = {engine: {"storage": "512Mi" if engine == "postgresql" else "256Mi"} for engine in ENGINES}


def dumps(preview: cli.Preview) -> dict[str, str]:
    """Checksum of each database's dump, its lines sorted."""
    found = {}
    for engine in ENGINES:
        script = "sh /etc/k8s-ee/scripts/dump.sh > /tmp/dump; LC_ALL=C sort /tmp/dump | sha256sum; rm /tmp/dump"
        if engine == "minio":  # An archive: of what is in it.
            script = "cd $VOLUME && find data meta versions -type f -exec sha256sum {} + | LC_ALL=C sort; ls data"
        found[engine] = preview.kubectl("exec", f"{engine}-0", "--", "sh", "-c", script)
    return found


def up(preview: cli.Preview, *, sha: str = "") -> None:
    """Four databases at once."""
    done = preview.run("up", image=preview.installed.sandbox.images["base"], sha=sha, timeout=300)
    assert done.code == 0, done.said


def fill(preview: cli.Preview) -> None:
    for engine, text in content().items():
        script = ("exec", "-i", f"{engine}-0", "--", "sh", "/etc/k8s-ee/scripts/load.sh")
        preview.kubectl(*script, stdin=text.decode())
    test_object_storage.put(preview, "reports/\u2713 one.bin", bytes(range(256)) * 4096)
    test_object_storage.put(preview, "empty", b"")


@dataclasses.dataclass(frozen=True)
class Archived:
    """The backup of an environment that is gone, and what its dumps were."""

    path: pathlib.Path
    dumps: dict[str, str]
    commit: str
    number: int


@pytest.fixture(scope="module")
def archived(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder, sha = tmp_path_factory.mktemp("archived"), cli.commit()
    with cli.preview(runner, folder) as first:
        first.configure({**cli.small(), "databases": DATABASES})
        up(first, sha=sha)
        fill(first)
        before = dumps(first)
        done = first.run("backup", "--to", "backup.tar", "--output", "json")
        assert done.code == 0, done.said
        assert done.outcome["outputs"]["databases"].split() == list(ENGINES)
        assert dumps(first) == before
        gone = first.run("cleanup")
        assert gone.code == 0, gone.said
        yield Archived(folder / "backup.tar", before, sha, first.number)


@pytest.fixture(scope="module")
def other(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """Another pull request, whose databases are empty, and whose app has a migration."""
    with cli.preview(runner, tmp_path_factory.mktemp("other")) as made:
        made.configure({**cli.small(migrate=["python3", "-c", ""]), "databases": DATABASES})
        up(made)
        yield made


@pytest.fixture(scope="module")
def restored(archived: Archived, other: cli.Preview) -> cli.Preview:
    before, (migrated,) = apps(other), migrations(other)
    done = other.run("restore", str(archived.path), "--output", "json")
    assert done.code == 0, done.said
    assert done.outcome["state"] == "restored"
    ends = ("the app's migration ran on it", "the app is restarted")
    assert {*done.outcome["notes"]} == {*(f"{engine} is restored" for engine in ENGINES), *ends}
    assert apps(other) - before, "its pods are the same"
    (again,) = migrations(other)
    assert again["metadata"]["name"] == migrated["metadata"]["name"]
    assert again["metadata"]["uid"] != migrated["metadata"]["uid"]
    assert again["status"]["succeeded"] == 1
    assert not list(archived.path.parent.glob(".k8s-ee*"))
    return other


def migrations(preview: cli.Preview) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(preview.kubectl("get", "jobs", "-o", "json"))["items"]
    return found


def apps(preview: cli.Preview) -> set[str]:
    """Uids of its pods."""
    found = preview.kubectl(
        "get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].metadata.uid}"
    )
    return {*found.split()}


def test_in_another_pull_request_every_database_is_as_it_was_and_the_app_is_started_anew(
    archived: Archived, restored: cli.Preview
) -> None:
    assert dumps(restored) == archived.dumps
    assert test_object_storage.get(restored, "reports/\u2713 one.bin") == bytes(range(256)) * 4096
    ready = restored.run("status", "--output", "json")
    assert ready.outcome["data"]["environments"][0]["serving"], ready.said


def test_a_dump_arrives_whole_however_slowly_it_is_read(
    archived: Archived, restored: cli.Preview, runner: cli.Installed
) -> None:
    given = settings.Settings(connection=settings.Connection(kubeconfig=str(runner.kubeconfig)))
    protocol = runners.Runner(given, stream=io.StringIO())
    ctx = session.Session(settings=given, options=session.Options(), runner=protocol, say=lambda _line: None)
    got = bytearray()

    def slowly(chunk: bytes) -> None:
        got.extend(chunk)
        time.sleep(0.003)

    contents.dump(ctx, restored.namespace, plan.ENGINES["postgresql"], slowly)
    assert len(got) > MEGABYTES * 1_000_000
    assert b"PostgreSQL database dump complete" in got[-200:]


def test_the_manifest_says_what_it_is(archived: Archived) -> None:
    with tarfile.open(archived.path) as tar:
        document = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert (document["pr"], document["commit"], document["format"]) == (archived.number, archived.commit, 1)
    assert {engine: one["version"].split(".")[0] for engine, one in document["databases"].items()} == {
        "postgresql": "17",
        "mariadb": "11",
        "redis": "8",
        "minio": "1",
    }
    assert all("@sha256:" in one["image"] or ":" in one["image"] for one in document["databases"].values())


def test_what_has_data_is_left_alone_unless_it_is_to_be_replaced(archived: Archived, restored: cli.Preview) -> None:
    refused = restored.run("restore", str(archived.path), "redis", "postgresql")
    assert refused.code == 3, refused.said
    assert "redis has data already" in refused.said
    assert "postgresql has data already" in refused.said
    assert dumps(restored) == archived.dumps
    replaced = restored.run("restore", str(archived.path), "redis", "minio", "mariadb", "--replace")
    assert replaced.code == 0, replaced.said
    assert dumps(restored) == archived.dumps


def test_what_is_corrupt_cut_off_or_of_another_repository_is_refused_before_anything_is_touched(
    archived: Archived, restored: cli.Preview, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "broken.tar"
    shutil.copy(archived.path, path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    cut = restored.run("restore", str(path), "--replace")
    assert (cut.code, "broken.tar can't be restored" in cut.said) == (2, True), cut.said
    shutil.copy(archived.path, path)
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\0\0\0\0\0\0\0\0")
    corrupt = restored.run("restore", str(path), "redis", "--replace")
    assert (corrupt.code, "postgresql.dump.gz" in corrupt.said) == (2, True), corrupt.said
    shutil.copy(archived.path, path)
    test_archive.changed(path, repositoryId=1, repository="acme/other")
    foreign = restored.run("restore", str(path), "--replace")
    assert (foreign.code, "is of acme/other" in foreign.said) == (3, True), foreign.said
    assert dumps(restored) == archived.dumps


def test_a_file_that_is_there_is_never_overwritten_and_a_folder_gets_a_name(
    restored: cli.Preview, tmp_path: pathlib.Path
) -> None:
    done = restored.run("backup", "redis", "--to", str(tmp_path), "--output", "json")
    assert done.code == 0, done.said
    (made,) = tmp_path.iterdir()
    assert done.outcome["outputs"]["archive"] == str(made)
    assert made.name.startswith(f"{restored.namespace}-")
    before = hashlib.sha256(made.read_bytes())
    again = restored.run("backup", "redis", "--to", str(made))
    assert (again.code, "there is" in again.said) == (2, True), again.said
    assert hashlib.sha256(made.read_bytes()).digest() == before.digest()


@contextlib.contextmanager
def frozen(preview: cli.Preview, pod: str) -> Iterator[None]:
    """Its server answers nobody until the block is over."""
    uid = preview.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    process = processes.first_of(uid)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def test_an_interrupted_backup_leaves_nothing_and_says_what_to_do(
    archived: Archived, restored: cli.Preview, tmp_path: pathlib.Path
) -> None:
    with frozen(restored, "redis-0"):
        running = restored.start("backup", "--to", str(tmp_path / "backup.tar"))
        running.until("postgresql 17")  # By now the others are on their way; one will never end.
        running.send(signal.SIGINT)
        done = running.end()
    assert done.code == 130, done.said
    assert "an archive is whole or not there" in done.said
    assert list(tmp_path.iterdir()) == []
    restored.kubectl("wait", "pod/redis-0", "--for=condition=Ready", "--timeout=60s")
    assert dumps(restored) == archived.dumps


def test_an_interrupted_restore_says_what_is_not_known_and_can_be_done_again(
    archived: Archived, restored: cli.Preview
) -> None:
    before = hashlib.sha256(archived.path.read_bytes()).digest()
    with frozen(restored, "redis-0"):
        running = restored.start("restore", str(archived.path), "redis", "--replace")
        running.until("load")
        running.send(signal.SIGINT)
        done = running.end()
    assert done.code == 130, done.said
    assert "what is in redis now is not known" in done.said
    assert "--replace" in done.said
    assert hashlib.sha256(archived.path.read_bytes()).digest() == before
    restored.kubectl("wait", "pod/redis-0", "--for=condition=Ready", "--timeout=60s")
    for _attempt in range(5):  # What was interrupted may still be at work in there.
        again = restored.run("restore", str(archived.path), "redis", "--replace")
        if again.code == 0:
            break
        assert "somebody wrote to redis meanwhile" in again.said
    assert again.code == 0, again.said
    assert dumps(restored) == archived.dumps


def test_an_object_of_s3_is_a_place_like_a_file(archived: Archived, restored: cli.Preview) -> None:
    """The storage is the one of the environment itself."""
    given = test_object_storage.variables(restored)
    address = restored.kubectl("get", "service", "minio", "-o", "jsonpath={.spec.clusterIP}")
    login: dict[str, Any] = {
        "AWS_ACCESS_KEY_ID": given["S3_ACCESS_KEY"],
        "AWS_SECRET_ACCESS_KEY": given["S3_SECRET_KEY"],
        "AWS_ENDPOINT_URL": f"http://{address}:9000",
    }
    place = "s3://app/backups/one.tar"
    done = restored.run("backup", "postgresql", "redis", "--to", place, **login)
    assert done.code == 0, done.said
    again = restored.run("backup", "redis", "--to", place, **login)
    assert (again.code, f"there is {place} already" in again.said) == (2, True), again.said
    back = restored.run("restore", place, "--replace", **login)
    assert back.code == 0, back.said
    after = dumps(restored)
    assert {engine: after[engine] for engine in ("postgresql", "redis")} == {
        engine: archived.dumps[engine] for engine in ("postgresql", "redis")
    }
    absent = restored.run("restore", "s3://app/no/such.tar", **login)
    assert (absent.code, "there is no s3://app/no/such.tar" in absent.said) == (2, True), absent.said
    stranger = restored.run("restore", place, **{**login, "AWS_SECRET_ACCESS_KEY": "wrong"})
    assert (stranger.code, "the storage refuses" in stranger.said) == (3, True), stranger.said
    nobody = restored.run("restore", place, **{**login, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert (nobody.code, "can't be reached" in nobody.said) == (5, True), nobody.said
    assert all(given["S3_SECRET_KEY"] not in one.said for one in (done, again, back, absent, stranger, nobody))
    cleared = restored.run("restore", str(archived.path), "minio", "--replace")
    assert cleared.code == 0, cleared.said
