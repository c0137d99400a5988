"""Where there is no room, that is what is said, with what to do; and nothing is left."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import http.server
import os
import pathlib
import resource
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest

from k8s_ee import archive, config, errors, settings
from k8s_ee.commands import backup, dumps, restore, session
from tests.unit.commands.test_backup import deploy
from tests.unit.commands.test_lifecycle import CREATED, World
from tests.unit.commands.test_lifecycle import world as world  # noqa: PLC0414 - the fixture
from tests.wire import commands

ROOM = 1 << 20
DATA = os.urandom(2 * ROOM)
PLACE = "s3://bucket/a.tar"


@contextlib.contextmanager
def full(room: int = ROOM) -> Iterator[None]:
    """No file can become larger than that, whatever the disk has."""
    before, compiles = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # A module that is imported meanwhile would leave half of it for every later run.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = compiles


@pytest.fixture
def temporary(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    yield tmp_path / "temporary"
    assert list((tmp_path / "temporary").iterdir()) == [], "nothing is left"


class Handler(http.server.BaseHTTPRequestHandler):
    """A storage that has nothing, but gives the same data for every key."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(DATA)


@pytest.fixture
def bucket() -> Iterator[settings.S3]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield settings.S3(key="k", secret="s", endpoint=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


def asked(world: World, s3: settings.S3 | None = None) -> session.Session:
    deploy(world, "redis")
    ctx = world.session(now=CREATED)
    ctx.settings = dataclasses.replace(ctx.settings, s3=s3 or settings.S3())
    return ctx


def dumping(command: commands.Command) -> commands.Ended:
    words = command.words
    return commands.Ended(stdout=DATA[:60000] + words[4].encode() if "dump.sh" in words[2] else b"8.1")


def refusal(caught: pytest.ExceptionInfo[errors.InputError]) -> str:
    assert caught.value.exit_code == 2
    return f"{caught.value.message}; {caught.value.hint}"


def test_a_backup_to_a_folder_without_room(world: World, tmp_path: pathlib.Path) -> None:
    world.kube.run = dumping
    before = {one.name for one in tmp_path.iterdir()}
    with full(1000), pytest.raises(errors.InputError, match="can't be written: File too large") as caught:
        backup.backup(asked(world), engines=(), to=str(tmp_path / "a.tar"))
    assert "is there room" in refusal(caught)
    assert "run the same command again" in refusal(caught)
    assert {one.name for one in tmp_path.iterdir()} == before


def test_a_backup_to_a_bucket_without_room_to_put_it_together(
    world: World, bucket: settings.S3, temporary: pathlib.Path
) -> None:
    world.kube.run = dumping
    said = f"{PLACE} can't be kept in {temporary}: File too large"
    with full(1000), pytest.raises(errors.InputError, match=said) as caught:
        backup.backup(asked(world, bucket), engines=(), to=PLACE)
    assert "TMPDIR" in refusal(caught)


def test_a_restore_from_a_bucket_without_room_for_the_archive(
    world: World, bucket: settings.S3, temporary: pathlib.Path
) -> None:
    said = f"{PLACE} can't be kept in {temporary}: File too large"
    with full(), pytest.raises(errors.InputError, match=said) as caught:
        restore.restore(asked(world, bucket), source=PLACE, engines=(), replace=False)
    assert "TMPDIR" in refusal(caught)
    assert world.kube.commands == [], "nothing was touched"


def test_where_there_is_no_folder_for_temporary_files(
    world: World, bucket: settings.S3, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    said = f"can't be kept in {tmp_path}/none: No such file"
    with pytest.raises(errors.InputError, match=said):
        restore.restore(asked(world, bucket), source=PLACE, engines=(), replace=False)
    with pytest.raises(errors.InputError, match=said):
        backup.backup(asked(world, bucket), engines=(), to=PLACE)


def test_an_archive_that_becomes_unreadable_while_it_is_loaded(world: World, tmp_path: pathlib.Path) -> None:
    """Verified is what was read before."""
    dump = archive.Dump(tmp_path, "redis")
    dump.write(DATA)
    dump.close()
    facts = {"project": "shop", "repository": "acme/shop", "repository_id": 42, "number": 6, "commit": ""}
    entry = dump.entry(version="8.1", image="")
    manifest = archive.Manifest(**facts, at="", made_by="", entries=(entry,))  # type: ignore[arg-type]
    archive.write(tmp_path / "a.tar", manifest, tmp_path)

    def cut(command: commands.Command) -> commands.Ended:
        if "version.sh" in command.text:
            with (tmp_path / "a.tar").open("r+b") as file:
                file.truncate(ROOM)
        return commands.Ended(stdout=b"8.1")

    world.kube.run = cut
    with pytest.raises(errors.InputError, match="can't be read any more") as caught:
        restore.restore(asked(world), source=str(tmp_path / "a.tar"), engines=(), replace=True)
    assert "what is in redis now is not known" in refusal(caught)


def test_a_seed_without_room_to_unpack_it(world: World, tmp_path: pathlib.Path, temporary: pathlib.Path) -> None:
    (tmp_path / "seed").write_bytes(gzip.compress(DATA, 1))
    ctx = world.session(now=CREATED)
    ctx.__dict__["config"] = config.load("projectId: shop\ndatabases: {redis: {seed: seed}}\n", path="k8s-ee.yaml")
    (wanted,) = ctx.config.deployed
    said = f"seed` can't be kept in {temporary}: File too large"
    with full(), pytest.raises(errors.InputError, match=said) as caught, dumps.opened(ctx, wanted, tmp_path):
        pass
    assert "TMPDIR" in refusal(caught)
