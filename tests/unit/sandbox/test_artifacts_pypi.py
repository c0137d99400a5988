"""Wheels, from a folder that stands in for the package index."""

import hashlib
import pathlib
import zipfile

import pytest

from k8s_ee_sandbox import artifacts_recipe, errors, logged, pypi

_METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
_WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def wheel(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    index = tmp_path / "index"
    index.mkdir()
    for variable in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(variable, str(index))
    for variable in ("PIP_NO_INDEX", "UV_NO_INDEX", "UV_NO_CACHE"):
        monkeypatch.setenv(variable, "1")
    path = index / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/tool", "the tool")
        archive.writestr("tiny-1.0.dist-info/METADATA", _METADATA)
        archive.writestr("tiny-1.0.dist-info/WHEEL", _WHEEL)
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def workshop(tmp_path: pathlib.Path) -> artifacts_recipe.Workshop:
    into = tmp_path / "into"
    into.mkdir()
    return artifacts_recipe.Workshop(
        into=into, needs={}, cache=tmp_path / "cache", log=tmp_path / "log", runner=logged.Runner()
    )


def test_a_wheel_with_the_pinned_hash_is_unpacked(wheel: pathlib.Path, workshop: artifacts_recipe.Workshop) -> None:
    pinned = pypi.Wheel("tiny", "1.0", sha256=(hashlib.sha256(wheel.read_bytes()).hexdigest(),))
    unpacked = pypi.unpack(pinned, workshop=workshop)
    assert (unpacked / "tiny" / "tool").read_text() == "the tool"
    assert list(workshop.into.iterdir()) == [unpacked]


def test_a_wheel_with_another_hash_is_refused(wheel: pathlib.Path, workshop: artifacts_recipe.Workshop) -> None:
    pinned = pypi.Wheel("tiny", "1.0", sha256=("0" * 64,))
    with pytest.raises(errors.SandboxError, match=r"(?is)failed with exit code.*hash"):
        pypi.unpack(pinned, workshop=workshop)
    assert not (workshop.into / "unpacked" / "tiny").exists()
