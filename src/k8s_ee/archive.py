"""A backup as a file: a tar of `manifest.json` and of `<engine>.dump.gz` each, which tar and gunzip open.

It is written beside its place and put there when all of it is on the disk. Before anything of it is used, all of it is
read and compared with what its manifest says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from k8s_ee import errors

FORMAT = 1
_CHUNK = 1 << 20
_MANIFEST = "manifest.json"
_MANIFEST_BYTES = 1 << 20
_LEVEL = 6
_ENGINE = re.compile(r"[a-z0-9]{1,32}", re.ASCII)
_VERSION = re.compile(r"[ -~]{0,80}")
_BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One database. `size` and `sha256` are of the plain dump, the others of the compressed file; sizes in bytes."""

    engine: str
    version: str
    image: str
    size: int
    sha256: str
    file_size: int
    file_sha256: str

    @property
    def file(self) -> str:
        return f"{self.engine}.dump.gz"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Whose data it is. `commit` is the one that was served then, empty when none was; `at` is ISO 8601."""

    project: str
    repository: str
    repository_id: int
    number: int
    commit: str
    at: str
    made_by: str
    entries: tuple[Entry, ...] = ()

    def entry(self, engine: str) -> Entry | None:
        return next((one for one in self.entries if one.engine == engine), None)


class Dump:
    """Takes one database's dump as it comes, and compresses it into a file of the folder."""

    def __init__(self, folder: pathlib.Path, engine: str) -> None:
        self.size = 0
        self._engine, self._path = engine, folder / f"{engine}.dump.gz"
        self._file = self._path.open("xb")
        self._gzip = gzip.GzipFile(filename="", mode="wb", fileobj=self._file, compresslevel=_LEVEL, mtime=0)
        self._sha256 = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        self._sha256.update(chunk)
        self._gzip.write(chunk)

    def close(self) -> None:
        try:
            self._gzip.close()
        finally:
            self._file.close()

    def entry(self, *, version: str, image: str) -> Entry:
        """Of what has come until it was closed."""
        with self._path.open("rb") as file:
            compressed = hashlib.file_digest(file, "sha256").hexdigest()
        return Entry(
            engine=self._engine,
            version=version,
            image=image,
            size=self.size,
            sha256=self._sha256.hexdigest(),
            file_size=self._path.stat().st_size,
            file_sha256=compressed,
        )


def write(path: pathlib.Path, manifest: Manifest, folder: pathlib.Path) -> None:
    """Of the dumps in the folder, which are moved into it. For its owner only, and on the disk when this returns."""
    text = json.dumps(_document(manifest), indent=2).encode()
    private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(private, "wb") as file:
        # The other format of old has no room for the size of more than 8 GiB.
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
            _add(tar, _MANIFEST, io.BytesIO(text), len(text))
            for one in manifest.entries:
                with (folder / one.file).open("rb") as source:
                    _add(tar, one.file, source, one.file_size)
                (folder / one.file).unlink()
        file.flush()
        os.fsync(file.fileno())


def place(path: pathlib.Path, final: pathlib.Path) -> None:
    """Moves a file to its name, at once. Raises InputError, and nothing is done, when there is one of that name."""
    try:
        os.link(path, final)
        path.unlink()
    except FileExistsError:
        raise taken(str(final)) from None
    except OSError:  # Not every file system has links.
        if final.exists():
            raise taken(str(final)) from None
        path.rename(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def taken(name: str) -> errors.InputError:
    return errors.InputError(f"there is {name} already", hint="nothing is overwritten: give another name to --to")


def verify(path: pathlib.Path, *, name: str) -> Manifest:
    """The manifest, after every byte was compared with it. Raises InputError that says what is wrong with `name`."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            members = tar.getmembers()
            manifest = _manifest(tar, members, name=name)
            wanted = {_MANIFEST, *(one.file for one in manifest.entries)}
            found = [one.name for one in members]
            if sorted(found) != sorted(wanted):
                odd = ", ".join(sorted({*found} ^ wanted)) or "a file twice"
                raise _unusable(name, f"it has not the files that its manifest names: {odd}")
            for one in manifest.entries:
                _compare(tar, one, name=name)
            return manifest
    except OSError as error:
        if not isinstance(error, _BROKEN):
            raise errors.InputError(f"{name} can't be read: {error.strerror or error}") from None
        raise _unusable(name, f"it is damaged or cut off ({error})") from None
    except _BROKEN as error:
        raise _unusable(name, f"it is no tar archive, damaged or cut off ({error})") from None


@contextlib.contextmanager
def reading(path: pathlib.Path, entry: Entry, *, name: str) -> Iterator[BinaryIO]:
    """The plain dump of a database, of `entry.size` bytes, from an archive that was verified.

    Raises InputError when it is not what it was then.
    """
    try:
        with tarfile.open(path, mode="r:") as tar, gzip.GzipFile(fileobj=_member(tar, entry.file)) as plain:
            yield plain  # type: ignore[misc]
    except (OSError, *_BROKEN) as error:
        raise errors.InputError(f"{name} can't be read any more: {getattr(error, 'strerror', None) or error}") from None


def _add(tar: tarfile.TarFile, name: str, source: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, source)


def _member(tar: tarfile.TarFile, name: str) -> BinaryIO:
    found = tar.extractfile(name)
    if found is None:
        raise tarfile.ReadError(f"{name} is no file")
    return found  # type: ignore[return-value]


def _compare(tar: tarfile.TarFile, entry: Entry, *, name: str) -> None:
    compressed = hashlib.sha256()
    size = _digest(_member(tar, entry.file), compressed, limit=entry.file_size)
    if (size, compressed.hexdigest()) != (entry.file_size, entry.file_sha256):
        raise _unusable(name, f"{entry.file} is damaged or cut off: its checksum is another")
    plain = hashlib.sha256()
    with gzip.GzipFile(fileobj=_member(tar, entry.file)) as file:
        size = _digest(file, plain, limit=entry.size)
    if (size, plain.hexdigest()) != (entry.size, entry.sha256):
        raise _unusable(name, f"the dump in {entry.file} is not the one that was made: its checksum is another")


def _digest(file: Any, into: Any, *, limit: int) -> int:
    """Bytes read: at most one chunk more than `limit`, however much a compressed file claims to have."""
    size = 0
    while size <= limit and (chunk := file.read(_CHUNK)):
        into.update(chunk)
        size += len(chunk)
    return size


def _document(manifest: Manifest) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "madeBy": manifest.made_by,
        "at": manifest.at,
        "project": manifest.project,
        "repository": manifest.repository,
        "repositoryId": manifest.repository_id,
        "pr": manifest.number,
        "commit": manifest.commit,
        "databases": {
            one.engine: {
                "version": one.version,
                "image": one.image,
                "file": one.file,
                "size": one.size,
                "sha256": one.sha256,
                "fileSize": one.file_size,
                "fileSha256": one.file_sha256,
            }
            for one in manifest.entries
        },
    }


def _manifest(tar: tarfile.TarFile, members: list[tarfile.TarInfo], *, name: str) -> Manifest:
    first = members[0] if members else tarfile.TarInfo()
    if first.name != _MANIFEST or first.size > _MANIFEST_BYTES:
        raise _unusable(name, f"it does not begin with a {_MANIFEST}: it is no backup of k8s-ee")
    try:
        found = json.loads(_member(tar, _MANIFEST).read())
        if found["format"] != FORMAT:
            raise _unusable(
                name, f"it is of format {found['format']}, and this k8s-ee knows {FORMAT}: take a newer one"
            )
        return Manifest(
            project=str(found["project"]),
            repository=str(found["repository"]),
            repository_id=int(found["repositoryId"]),
            number=int(found["pr"]),
            commit=str(found["commit"]),
            at=str(found["at"]),
            made_by=str(found["madeBy"]),
            entries=tuple(_entry(engine, one) for engine, one in found["databases"].items()),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _unusable(name, f"its {_MANIFEST} is none of k8s-ee") from None


def _entry(engine: str, found: Mapping[str, Any]) -> Entry:
    version = str(found["version"])
    if not _ENGINE.fullmatch(engine) or not _VERSION.fullmatch(version):
        raise ValueError(engine)
    return Entry(
        engine=engine,
        version=version,
        image=str(found["image"]),
        size=int(found["size"]),
        sha256=str(found["sha256"]),
        file_size=int(found["fileSize"]),
        file_sha256=str(found["fileSha256"]),
    )


def _unusable(name: str, why: str) -> errors.InputError:
    return errors.InputError(f"{name} can't be restored: {why}", hint="nothing was changed; take another backup")
