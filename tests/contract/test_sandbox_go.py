"""The Go programs of the sandbox by their own tests, with the Go that builds them."""

from __future__ import annotations

import pathlib

import pytest

from k8s_ee_sandbox import artifacts, artifacts_recipe, cache, logged, progress, sources, toolchain


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ["test", "vet"])
def test_go_has_nothing_to_complain_about(command: str, tmp_path: pathlib.Path) -> None:
    workshop = artifacts_recipe.Workshop(
        into=tmp_path,
        needs=artifacts.ensure("go", progress=progress.Progress()),
        cache=cache.directory(),
        log=tmp_path / "go.log",
        runner=logged.Runner(),
    )
    toolchain.go(workshop, command, "./...", env={}, cwd=sources.path("kube"))
