"""Files somebody named."""

from __future__ import annotations

import os
import pathlib

import pytest

from k8s_ee import config, errors
from k8s_ee.config import document


def failure(path: pathlib.Path) -> errors.InputError:
    with pytest.raises(errors.InputError) as caught:
        config.read(path)
    assert not isinstance(caught.value, errors.ConfigError)
    return caught.value


def test_a_file_is_read_and_keeps_its_name(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "k8s-ee.yaml"
    path.write_text("projectId: a\n")
    assert config.read(path).path == str(path)


def test_a_missing_file_is_shown_the_smallest_one(tmp_path: pathlib.Path) -> None:
    error = failure(tmp_path / "k8s-ee.yaml")
    assert error.message.endswith("k8s-ee.yaml: no such file")
    assert "create it" in error.hint


def test_a_missing_file_names_the_one_that_is_there(tmp_path: pathlib.Path) -> None:
    (tmp_path / "k8s-ee.yml").touch()
    assert failure(tmp_path / "k8s-ee.yaml").hint == f"did you mean {tmp_path / 'k8s-ee.yml'}?"


def test_a_missing_folder_is_named(tmp_path: pathlib.Path) -> None:
    assert str(tmp_path / "x") in failure(tmp_path / "x" / "k8s-ee.yaml").hint


def test_a_folder_is_not_a_file_and_only_what_is_in_it_is_named(tmp_path: pathlib.Path) -> None:
    error = failure(tmp_path)
    assert error.message == f"{tmp_path}: is not a file"
    assert error.hint == "name a file in it"
    for name in ("k8s-ee.yml", "k8s-ee.yaml"):
        (tmp_path / name).touch()
        assert failure(tmp_path).hint == f"did you mean {tmp_path / name}?"


def test_a_pipe_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "k8s-ee.yaml")
    assert "is not a file" in failure(tmp_path / "k8s-ee.yaml").message


def test_a_folder_that_is_a_link_is_not_followed_either(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "k8s-ee.yaml").write_text("hunter2")
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "deploy").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "checkout")
    error = failure(pathlib.Path("deploy/k8s-ee.yaml"))
    assert error.message == "deploy: is a symbolic link"


def test_a_symbolic_link_is_not_followed_and_its_target_not_shown(tmp_path: pathlib.Path) -> None:
    secret = tmp_path / "kubeconfig"
    secret.write_text("token: hunter2")
    (tmp_path / "k8s-ee.yaml").symlink_to(secret)
    error = failure(tmp_path / "k8s-ee.yaml")
    assert "is a symbolic link" in error.message
    assert "hunter2" not in str(error) + error.hint


def test_an_impossible_name_is_refused() -> None:
    assert failure(pathlib.Path("x" * 5000)).message
    assert failure(pathlib.Path("a\0b")).message


def test_no_more_is_read_than_a_file_may_have(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "k8s-ee.yaml"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    assert len(config.read_text(path)) == document.MAX_BYTES + 1
    with pytest.raises(errors.ConfigError) as caught:
        config.read(path)
    assert caught.value.problems[0].message == "larger than 256 KiB"


def test_a_file_that_cant_be_read_says_why() -> None:
    """This one can't be read from its start by anybody, root included."""
    assert failure(pathlib.Path("/proc/self/mem")).message == "/proc/self/mem: can't be read: Input/output error"
