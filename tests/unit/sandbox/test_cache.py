import pathlib
import subprocess

import pytest

from k8s_ee_sandbox import cache


def _file_system(folder: pathlib.Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()


def test_ext4_is_told_of_folders_that_have_nothing_to_do_with_each_other(tmp_path: pathlib.Path) -> None:
    cache.set_apart(tmp_path)  # whatever file system it is
    if "ext" in _file_system(tmp_path):
        flags = subprocess.run(["lsattr", "-d", tmp_path], capture_output=True, text=True, check=True).stdout.split()[0]
        assert "T" in flags


def test_without_the_program_for_it_nothing_happens(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cache.set_apart(tmp_path)
