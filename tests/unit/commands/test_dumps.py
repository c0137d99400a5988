"""Dumps: whatever a pull request names, only its own files are read, and only what its engine can load gets through."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import pathlib
import resource
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import config, errors
from k8s_ee.commands import dumps
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

ZEROS = "0" * 64
SQL = b"CREATE TABLE entry (text text);\n" * 100


def read(
    world: sweeps.World, checkout: pathlib.Path, seed: Any, *, engine: str = "postgresql", timeout: float = 5
) -> bytes:
    ctx = world.session(after=sweeps.HOUR, timeout=timeout)
    text = f"projectId: shop\ndatabases:\n  {engine}:\n    seed: {seed}\n"
    ctx.__dict__["config"] = config.load(text, path="k8s-ee.yaml")
    with dumps.opened(ctx, ctx.config.databases[0], checkout) as file:
        return file.read()


def refused(world: sweeps.World, checkout: pathlib.Path, seed: Any, *, engine: str = "postgresql") -> errors.Problem:
    with pytest.raises(errors.ConfigError) as caught:
        read(world, checkout, seed, engine=engine)
    (problem,) = caught.value.problems
    assert (problem.path, problem.line) == ("k8s-ee.yaml", 4)
    return problem


def test_a_file_is_read_plain_or_unpacked_in_one_piece_or_several(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "plain.sql").write_bytes(SQL)
    (tmp_path / "packed").write_bytes(gzip.compress(SQL[:50]) + gzip.compress(SQL[50:]))
    (tmp_path / "link").symlink_to("plain.sql")
    for name in ("plain.sql", "packed", "{file: link}"):
        assert read(world, tmp_path, name) == SQL


def test_no_file_but_the_repositorys_own_is_read(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    (checkout / ".git" / "config").write_text("[http] extraheader = secret")
    (tmp_path / "secret").write_text("secret")
    (checkout / "out").symlink_to("../secret")
    (checkout / "up").symlink_to("..")
    (checkout / "git").symlink_to(".git")
    (checkout / "loop").symlink_to("loop")
    for name in ("out", "up/secret", "git/config"):
        assert "leads outside the repository" in refused(world, checkout, name).message
    assert "there is no file `gone`" in refused(world, checkout, "gone").message
    assert refused(world, checkout, "loop")


def test_one_that_is_too_large_is_refused_before_it_is_read(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(dumps.LARGEST + 1)
    assert "more than 1 GiB" in refused(world, tmp_path, "large").message


def test_no_room_for_it_here_is_said_as_that(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "packed").write_bytes(gzip.compress(bytes(4 << 20)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(errors.InputError, match=r"can't be kept in .*: File too large") as caught:
            read(world, tmp_path, "packed")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "TMPDIR" in caught.value.hint


@pytest.mark.parametrize(
    ("engine", "content", "message", "hint"),
    [
        ("postgresql", b"PGDMP\x01", "it is pg_dump's custom format", "write it with pg_dump --format plain"),
        ("mariadb", b"PGDMP\x01", "it is pg_dump's custom format", "pg_dump"),
        ("redis", b"REDIS0011", "it is an RDB file", "docs/databases/redis.md"),
        ("mongodb", b'{"a": 1}', "it is no archive of mongodump", "mongodump --archive"),
        ("minio", b"hello", "it is no tar archive", "docs/databases/minio.md"),
        ("postgresql", b"PK\x03\x04", "it is packed with zip", "plain and gzip"),
        ("postgresql", b"\x28\xb5\x2f\xfd", "it is packed with zstd", "plain and gzip"),
        ("postgresql", b"", "it is empty", "remove the key"),
        (
            "postgresql",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00",
            "it is a pointer of Git LFS",
            "url",
        ),
        ("postgresql", gzip.compress(b"PGDMP\x01", mtime=0), "it is pg_dump's custom format", "pg_dump"),
        ("postgresql", gzip.compress(SQL, mtime=0)[:-5], "it can't be unpacked", "write it with gzip again"),
        ("postgresql", b"\x1f\x8b" + bytes(50), "it can't be unpacked", "write it with gzip again"),
    ],
)
def test_what_its_engine_can_not_load_is_named(
    world: sweeps.World, tmp_path: pathlib.Path, engine: str, content: bytes, message: str, hint: str
) -> None:
    (tmp_path / "seed").write_bytes(content)
    found = refused(world, tmp_path, "seed", engine=engine)
    assert message in found.message
    assert hint in found.hint


class Site(http.server.BaseHTTPRequestHandler):
    """/seed is the dump, /away redirects to plain HTTP, /slow comes byte by byte, everything else is not there."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            return self._trickle()
        self.send_response({"/seed": 200, "/moved": 302, "/away": 302}.get(self.path.partition("?")[0], 404))
        self.send_header("Location", "/seed" if self.path == "/moved" else "http://127.0.0.1:1/")
        content = gzip.compress(SQL, mtime=0) if self.path.startswith("/seed") else b""
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return None

    def _trickle(self) -> None:
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200):
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def site(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    pem, key = tmp_path / "site.pem", tmp_path / "site.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days=2"]
    names = ["-subj=/CN=site", "-addext=subjectAltName=DNS:localhost", f"-keyout={key}", f"-out={pem}"]
    subprocess.run([*command, *(part for one in names for part in one.split("=", 1))], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_what_an_address_gives_is_loaded_only_with_its_checksum(
    world: sweeps.World, tmp_path: pathlib.Path, site: str
) -> None:
    right = hashlib.sha256(gzip.compress(SQL, mtime=0)).hexdigest()
    for path in ("seed", "moved"):
        assert read(world, tmp_path, f"{{url: '{site}/{path}', sha256: '{right}'}}") == SQL
    found = refused(world, tmp_path, f"{{url: '{site}/seed?signature=secret', sha256: '{ZEROS}'}}")
    assert f"has another checksum: {right}" in found.message
    assert "secret" not in found.message


def test_an_address_that_gives_byte_by_byte_is_given_up_in_time(
    world: sweeps.World, tmp_path: pathlib.Path, site: str
) -> None:
    started = time.monotonic()
    with pytest.raises(errors.Unavailable, match="/slow takes too long"):
        read(world, tmp_path, f"{{url: '{site}/slow', sha256: '{ZEROS}'}}", timeout=1)
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone", "answers 404"), ("away", "can't be read: unknown url type: http"), ("gone?key=secret", "404")],
)
def test_an_address_that_gives_nothing_is_told_without_its_query(
    world: sweeps.World, tmp_path: pathlib.Path, site: str, path: str, message: str
) -> None:
    with pytest.raises(errors.Unavailable, match=message) as caught:
        read(world, tmp_path, f"{{url: '{site}/{path}', sha256: '{ZEROS}'}}")
    assert f"{site}/{path.partition('?')[0]}" in caught.value.message
    assert "secret" not in str(caught.value)
