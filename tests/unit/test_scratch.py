"""A folder for what is being written: nobody takes one that is in use, or that is none of ours, for left over."""

from __future__ import annotations

import fcntl
import pathlib

import pytest

from k8s_ee import scratch


def left(near: pathlib.Path, name: str = ".k8s-ee-backup-abc") -> pathlib.Path:
    """As by a process that was killed."""
    folder = near / name
    folder.mkdir()
    for file in ("lock", "archive"):
        (folder / file).write_text("x")
    return folder


def test_one_in_use_stays_and_is_gone_when_its_user_is_done(tmp_path: pathlib.Path) -> None:
    with scratch.folder(tmp_path) as folder:
        assert scratch.remove_left(tmp_path) == 0
        assert folder.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_counted(tmp_path: pathlib.Path) -> None:
    left(tmp_path)
    left(tmp_path, ".k8s-ee-backup-def")
    assert scratch.remove_left(tmp_path) == 2
    assert scratch.remove_left(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_may_be_in_use_or_is_somebody_elses_stays(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    left(tmp_path, "mine/lock-of-mine")
    (tmp_path / ".k8s-ee-backup-link").symlink_to(tmp_path / "mine" / "lock-of-mine")
    (tmp_path / ".k8s-ee-backup-new").mkdir()  # before its lock is there, or where there are no locks
    (tmp_path / ".k8s-ee-backup-file").write_text("x")
    other = left(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("os.geteuid", lambda: other.stat().st_uid + 1)
    assert scratch.remove_left(tmp_path) == 0
    monkeypatch.undo()
    other.rename(tmp_path / "mine" / "other")
    assert scratch.remove_left(tmp_path) == 0
    (tmp_path / "mine" / "other").rename(other)
    assert sorted(tmp_path.rglob("*")) == before


def test_where_a_file_system_has_no_locks_it_works_and_nothing_is_taken_for_left_over(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_arguments: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with scratch.folder(tmp_path):
        monkeypatch.undo()
        assert scratch.remove_left(tmp_path) == 0
        monkeypatch.setattr(fcntl, "flock", none)
        left(tmp_path)
        assert scratch.remove_left(tmp_path) == 0
