"""Where a dump comes from: a file in the repository, an address, an image. In the end it is a whole, plain, local file.

The repository belongs to the pull request, and this process holds the key to the cluster: a dump may be any file that
was committed, and nothing else of this machine.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import pathlib
import zlib
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from k8s_ee import downloads, errors, plan, scratch
from k8s_ee.commands import contents, session
from k8s_ee.config import model, problems, rules
from k8s_ee.plan import seeding

LARGEST = 1 << 30
"""Bytes of a dump, packed and unpacked."""
_CHUNK = 1 << 20
_LFS = b"version https://git-lfs"
_GZIP = b"\x1f\x8b"
_PACKED: Mapping[bytes, str] = {
    b"PK\x03\x04": "zip",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}
_SQL = {b"PGDMP": "pg_dump's custom format: write it with pg_dump --format plain"}
_WRONG: Mapping[str, Mapping[bytes, str]] = {
    "postgresql": _SQL,
    "mariadb": _SQL,
    "redis": {b"REDIS": "an RDB file: docs/databases/redis.md says how to make a dump"},
}
_RIGHT: Mapping[str, tuple[int, bytes, str]] = {
    "mongodb": (0, b"\x6d\xe2\x99\x81", "no archive of mongodump: write it with mongodump --archive"),
    "minio": (257, b"ustar", "no tar archive: docs/databases/minio.md says how to make one"),
}
"""Where the bytes are by which one is known, and what it is without them."""


def wrong(config: model.Config, wanted: model.Database, message: str, hint: str) -> errors.ConfigError:
    key = f"databases.{wanted.engine}.seed"
    found = problems.Problems(config.path)
    rules.add([rules.Finding(key, f"`{key}`: {message}", hint)], config, found)
    return found.error()


def locate(config: model.Config, wanted: model.Database, checkout: pathlib.Path) -> pathlib.Path:
    """The file in the repository, every link followed. Raises ConfigError at its line."""
    assert wanted.seed is not None  # noqa: S101
    shown = problems.quote(wanted.seed.file)
    root = checkout.resolve()
    try:
        path = (root / wanted.seed.file).resolve()
        inside = path.is_relative_to(root) and ".git" not in path.relative_to(root).parts
        size = path.stat().st_size if inside and path.is_file() else -1
    except (OSError, RuntimeError) as error:  # a loop of links is the one or the other, by Python version
        raise wrong(config, wanted, f"{shown} can't be read: {error}", "give the path of a file") from None
    if not inside:
        raise wrong(config, wanted, f"{shown} leads outside the repository", "a link in it leaves the checkout")
    if size < 0:
        raise wrong(config, wanted, f"there is no file {shown}", "the path is relative to the repository's root")
    _check_size(config, wanted, size)
    return path


def check(config: model.Config, wanted: model.Database, checkout: pathlib.Path) -> None:
    """What can be known of a file before there is a database. Raises ConfigError at its line."""
    with locate(config, wanted, checkout).open("rb") as file:
        if file.read(2) != _GZIP:
            _check_format(config, wanted, file)


def digest(config: model.Config, wanted: model.Database, checkout: pathlib.Path) -> str:
    """What tells this seed from another; empty = none is wanted. Raises ConfigError for a file that is not there."""
    if wanted.seed is None:
        return ""
    if not wanted.seed.file:
        return seeding.digest(wanted.seed)
    with locate(config, wanted, checkout).open("rb") as file:
        return seeding.digest(wanted.seed, file=hashlib.file_digest(file, "sha256").digest())


@contextlib.contextmanager
def opened(ctx: session.Session, wanted: model.Database, checkout: pathlib.Path) -> Iterator[BinaryIO]:
    """Plain, and of a format its engine can load.

    Raises ConfigError for a file that is none, Unavailable when an address does not answer, NotReady for an image.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_packed(ctx, wanted, checkout))
        file.seek(0)
        if file.read(2) == _GZIP:
            file.seek(0)
            file = _unpacked(ctx.config, wanted, file, stack.enter_context(scratch.file(_key(wanted))))
        _check_format(ctx.config, wanted, file)
        file.seek(0)
        yield file


@contextlib.contextmanager
def _packed(ctx: session.Session, wanted: model.Database, checkout: pathlib.Path) -> Iterator[BinaryIO]:
    seed = wanted.seed
    assert seed is not None  # noqa: S101
    if seed.file:
        with locate(ctx.config, wanted, checkout).open("rb") as file:
            yield file
        return
    with scratch.file(_key(wanted)) as temporary:
        keep = _Bounded(ctx.config, wanted, temporary)
        if seed.url:
            _download(ctx, wanted, seed, keep)
        else:
            _carry(ctx, wanted, seed, keep)
        yield temporary


class _Bounded:
    """Writes to a temporary `file`. Raises ConfigError when that gets too large, InputError when there is no room."""

    def __init__(self, config: model.Config, wanted: model.Database, file: BinaryIO) -> None:
        self._config, self._wanted, self._file = config, wanted, file
        self._size = 0

    def __call__(self, chunk: bytes) -> None:
        self._size += len(chunk)
        _check_size(self._config, self._wanted, self._size)
        with scratch.kept(_key(self._wanted)):
            self._file.write(chunk)
            self._file.flush()


def _key(wanted: model.Database) -> str:
    return f"`databases.{wanted.engine}.seed`"


def _check_size(config: model.Config, wanted: model.Database, size: int) -> None:
    if size > LARGEST:
        message = f"more than {LARGEST >> 30} GiB, packed or unpacked"
        raise wrong(config, wanted, message, "a seed is for examples; copy less, or load the rest in app.migrate")


def _unpacked(config: model.Config, wanted: model.Database, packed: BinaryIO, plain: BinaryIO) -> BinaryIO:
    write = _Bounded(config, wanted, plain)
    try:
        with gzip.open(packed) as source:
            while chunk := source.read(_CHUNK):
                write(chunk)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise wrong(config, wanted, f"it can't be unpacked: {error}", "write it with gzip again") from None
    return plain


def _check_format(config: model.Config, wanted: model.Database, file: BinaryIO) -> None:
    file.seek(0)
    head = file.read(512)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise wrong(config, wanted, f"it is packed with {name}", "plain and gzip can be loaded")
    found = [what for magic, what in _WRONG.get(wanted.engine, {}).items() if head.startswith(magic)]
    at, magic, otherwise = _RIGHT.get(wanted.engine, (0, b"", ""))
    if not head[at:].startswith(magic):
        found.append(otherwise)
    if head.startswith(_LFS):
        raise wrong(
            config, wanted, "it is a pointer of Git LFS", "commit the dump itself, or give its `url` and `sha256`"
        )
    if not head:
        raise wrong(config, wanted, "it is empty", "remove the key if there is nothing to load")
    for one in found:
        what, _, hint = one.partition(": ")
        raise wrong(config, wanted, f"it is {what}", hint)


def _download(ctx: session.Session, wanted: model.Database, seed: model.Seed, keep: _Bounded) -> None:
    """Raises Unavailable, and ConfigError for another checksum."""
    found = hashlib.sha256()
    for chunk in downloads.read(seed.url, deadline=ctx.deadline):
        keep(chunk)
        found.update(chunk)
    if found.hexdigest() != seed.sha256:
        message = f"what `url` gives has another checksum: {found.hexdigest()}"
        raise wrong(ctx.config, wanted, message, "nothing was loaded; if it is what was meant, write this one")


def _carry(ctx: session.Session, wanted: model.Database, seed: model.Seed, keep: _Bounded) -> None:
    """Out of an image, through a pod of it. Raises NotReady when it does not start or has no such file."""
    engine, namespace = plan.ENGINES[wanted.engine], ctx.target().namespace
    manifest = plan.carrier(ctx.target(), ctx.platform, engine, seed.image)
    name = manifest["metadata"]["name"]
    (applied,) = ctx.cluster.apply((manifest,), manager=plan.manager(engine.name), namespace=namespace)
    try:
        ctx.await_ready(namespace, [("Deployment", name)])
        pods = ctx.cluster.list("Pod", namespace, labels={"app.kubernetes.io/name": name})
        # That of a run that was cut off may still be going.
        pod = max(pods, key=lambda one: str(one["metadata"]["creationTimestamp"]))["metadata"]["name"]
        ended = contents.copy(ctx, namespace, pod, seed.path, keep)
    finally:
        ctx.cluster.delete("Deployment", name, namespace, uid=applied["metadata"]["uid"])
    if ended.code:
        said = ctx.redactor.redact(ended.said)[-200:]
        raise wrong(ctx.config, wanted, f"{seed.image} has no {seed.path} that can be read", f"cat said: {said}")
