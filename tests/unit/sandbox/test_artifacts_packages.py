"""Debian packages, with dpkg-query and apt-get stood in for by small programs on PATH."""

import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import pytest

from k8s_ee_sandbox import errors, packages, progress

_NOT_FOUND = """
case "$*" in
  *update*) touch {folder}/updated;;
  *) echo "E: Unable to locate package mmdebstrap"; exit 100;;
esac
"""
_STALE_LISTS = """
case "$*" in
  *update*) touch {folder}/updated;;
  *) if [ -e {folder}/updated ]; then touch {folder}/installed; else exit 100; fi;;
esac
"""
_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="packages are installed by root")


@pytest.fixture
def lines() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def debian(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """A machine that has bash and no more; its apt-get does nothing. Not below tmp_path: others may not look there."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        path.chmod(0o755)
        _furnish(path)
        monkeypatch.setenv("PATH", folder)
        monkeypatch.setenv("K8S_EE_CACHE", str(tmp_path / "cache"))
        yield path


def _furnish(folder: pathlib.Path) -> None:
    _program(folder / "dpkg-query", 'echo "installed bash"')
    _program(folder / "apt-get", "exit 0")
    _program(folder / "dpkg", "exit 0")
    for tool in ("sh", "touch", "setpriv"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)


def _program(path: pathlib.Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@_as_root
def test_what_a_stopped_installation_left_half_done_is_finished_first(debian: pathlib.Path, lines: io.StringIO) -> None:
    _program(debian / "dpkg", f'echo "dpkg $*" >>{debian}/order')
    _program(debian / "apt-get", f'echo "apt-get" >>{debian}/order')
    packages.ensure("runc", progress=progress.Progress(lines))
    assert (debian / "order").read_text().splitlines()[:2] == ["dpkg --configure --pending", "apt-get"]


def test_services_are_started_again_after_an_installation_that_was_killed(
    debian: pathlib.Path, lines: io.StringIO, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "_POLICY", policy)
    for text, kept in ((packages._POLICY_TEXT, False), ("#!/bin/sh\nexit 0\n", True)):
        policy.write_text(text)
        packages.ensure("bash", progress=progress.Progress(lines))
        assert policy.exists() == kept


def test_nothing_is_done_when_nothing_is_missing(debian: pathlib.Path, lines: io.StringIO) -> None:
    _program(debian / "apt-get", "exit 1")
    packages.ensure("bash", progress=progress.Progress(lines))
    assert lines.getvalue() == ""


def test_without_apt_get_it_says_where_the_embedded_cluster_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, lines: io.StringIO
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.SandboxError, match=r"(?s)no apt-get.*Debian or Ubuntu.*--context"):
        packages.ensure("runc", progress=progress.Progress(lines))


def test_an_ordinary_user_gets_the_command_to_run_as_root(debian: pathlib.Path, lines: io.StringIO) -> None:
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(errors.SandboxError, match="apt-get install --no-install-recommends runc"):
            packages.ensure("bash", "runc", progress=progress.Progress(lines))
    finally:
        if root:
            os.seteuid(0)


@_as_root
def test_a_package_that_no_source_has_is_named(debian: pathlib.Path, lines: io.StringIO) -> None:
    _program(debian / "apt-get", _NOT_FOUND.format(folder=debian))
    with pytest.raises(errors.SandboxError, match="package sources do not have: mmdebstrap"):
        packages.ensure("mmdebstrap", progress=progress.Progress(lines))
    assert (debian / "updated").exists()


@_as_root
def test_old_package_lists_are_updated_once(debian: pathlib.Path, lines: io.StringIO) -> None:
    _program(debian / "apt-get", _STALE_LISTS.format(folder=debian))
    packages.ensure("runc", progress=progress.Progress(lines))
    assert (debian / "installed").exists()
    assert lines.getvalue().startswith("[1/1] Debian packages: runc …\n")
