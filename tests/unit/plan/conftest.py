"""Charts are rendered by the pinned Helm, whatever the machine has."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.unit.plan import facts


@pytest.fixture(scope="session", autouse=True)
def _helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        folder: pathlib.Path = tmp_path_factory.mktemp("helm")
        patch.setenv("PATH", facts.helm_folder(folder), prepend=":")
        yield
