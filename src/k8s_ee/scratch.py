"""Temporary files. Where there is no room for them, that is said; what a killed process left, the next one removes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from k8s_ee import errors

_PREFIX = ".k8s-ee-backup-"
_LOCK = "lock"


@contextlib.contextmanager
def kept(what: str) -> Iterator[None]:
    """For what is written where temporary files are. Raises InputError for an OSError."""
    try:
        yield
    except OSError as error:
        here = tempfile.tempdir or "a temporary file"
        message = f"{what} can't be kept in {here}: {error.strerror or error}"
        raise errors.InputError(message, hint="make room there, or set TMPDIR") from None


@contextlib.contextmanager
def file(what: str) -> Iterator[BinaryIO]:
    """Without a name. Raises InputError where there can be none; `kept` is for what is written to it."""
    with kept(what):
        made = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):  # What found no room is still in its buffer, and finds none now.
            made.close()


@contextlib.contextmanager
def folder(near: pathlib.Path | None) -> Iterator[pathlib.Path]:
    """In the folder `near`, or None = where temporary files are. Raises OSError."""
    # Interrupted, a thread may still be writing.
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=near, ignore_cleanup_errors=True) as made:
        path = pathlib.Path(made)
        with _held(path):
            yield path


def remove_left(near: pathlib.Path) -> int:
    """How many folders of processes that live no more were removed; those of others are left alone."""
    return sum(_remove(one) for one in near.glob(f"{_PREFIX}*"))


@contextlib.contextmanager
def _held(path: pathlib.Path) -> Iterator[None]:
    """The kernel lets go of it, however the process ends. What has no lock by its name is never taken for left over."""
    with (path / "unlocked").open("xb") as file:
        with contextlib.suppress(OSError):  # Not every file system has locks.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (path / "unlocked").rename(path / _LOCK)
        yield


def _remove(path: pathlib.Path) -> bool:
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # In /tmp, anybody may have made it.
            return False
        with (path / _LOCK).open("r+b") as file:  # NFS locks only what may be written.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for one in path.iterdir():
                if one.name != _LOCK:  # Killed in between, the next one must still be able to tell.
                    one.unlink()
            shutil.rmtree(path)
    except OSError:  # Somebody is writing there, or was faster.
        return False
    return True
