"""What the sandbox needs and does not find on the machine: made once, kept in one cache, keyed by what made it."""

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from k8s_ee_sandbox import (
    artifacts_cilium,
    artifacts_images,
    artifacts_mongodb,
    artifacts_recipe,
    artifacts_trees,
    cache,
    errors,
    logged,
    packages,
    toolchain,
)
from k8s_ee_sandbox import progress as progress_lines

_KEPT_SECONDS = 14 * 24 * 3600

_MODULES = (toolchain, artifacts_images, artifacts_mongodb, artifacts_trees, artifacts_cilium)
RECIPES = {recipe.name: recipe for module in _MODULES for recipe in module.RECIPES}


def ensure(*names: str, progress: progress_lines.Progress) -> dict[str, pathlib.Path]:
    """Make what is missing, independent things side by side. Raises SandboxError, after stopping what still runs."""
    os.umask(0o022)  # What is made here is also run by others than root, and in images.
    return Maker(RECIPES, root=cache.directory(), progress=progress).ensure(names)


class Maker:
    def __init__(
        self,
        recipes: dict[str, artifacts_recipe.Recipe],
        *,
        root: pathlib.Path,
        progress: progress_lines.Progress,
    ) -> None:
        self._recipes = recipes
        self._root = root
        self._progress = progress
        self._runner = logged.Runner()
        self._lanes = {recipe.lane: threading.Lock() for recipe in recipes.values()}

    def ensure(self, names: Sequence[str]) -> dict[str, pathlib.Path]:
        missing = self._missing(names)
        self._progress.expect(len(missing))
        packages.ensure(*_packages(missing), progress=self._progress)
        with concurrent.futures.ThreadPoolExecutor(max_workers=len(missing) or 1) as pool:
            futures: dict[str, concurrent.futures.Future[None]] = {}
            for recipe in missing:  # needs come first
                awaited = [futures[need] for need in recipe.needs if need in futures]
                futures[recipe.name] = pool.submit(self._make_after, recipe, awaited)
            self._await(list(futures.values()))
        for name in names:
            os.utime(self._folder(name))
        return {name: self._result(name) for name in names}

    def _await(self, futures: list[concurrent.futures.Future[None]]) -> None:
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        except BaseException:
            self._runner.stop()
            raise

    def _missing(self, names: Sequence[str]) -> list[artifacts_recipe.Recipe]:
        found: dict[str, artifacts_recipe.Recipe] = {}
        for name in names:
            recipe = self._recipe(name)
            if name not in found and not self._folder(name).exists():
                found |= {need.name: need for need in self._missing(recipe.needs)}
                found[name] = recipe
        return list(found.values())

    def _recipe(self, name: str) -> artifacts_recipe.Recipe:
        try:
            return self._recipes[name]
        except KeyError:
            raise errors.SandboxError(
                f"no artefact is called {name!r}", hint=f"There are: {', '.join(sorted(self._recipes))}."
            ) from None

    def _key(self, name: str) -> str:
        recipe = self._recipe(name)
        return recipe.key({need: self._key(need) for need in recipe.needs})

    def _folder(self, name: str) -> pathlib.Path:
        return self._root / "artifacts" / self._key(name)

    def _result(self, name: str) -> pathlib.Path:
        return self._folder(name) / self._recipe(name).result

    def _make_after(self, recipe: artifacts_recipe.Recipe, awaited: list[concurrent.futures.Future[None]]) -> None:
        for future in awaited:
            future.result()
        with self._lane(recipe), cache.locked(recipe.name, root=self._root, busy=lambda: self._tell_waiting(recipe)):
            folder = self._folder(recipe.name)
            if not folder.exists():
                with self._progress.step(f"{recipe.name}: {recipe.what}"):
                    self._make(recipe, folder=folder)
                self._forget(recipe.name)

    def _tell_waiting(self, recipe: artifacts_recipe.Recipe) -> None:
        self._progress.note(f"{recipe.name}: waiting for the process that is making it")

    def _lane(self, recipe: artifacts_recipe.Recipe) -> contextlib.AbstractContextManager[object]:
        return self._lanes[recipe.lane] if recipe.lane else contextlib.nullcontext()

    def _forget(self, name: str) -> None:
        """Remove what older recipes made and nobody asked for lately: each edit of `kube` makes another 130 MB."""
        for folder in (self._root / "artifacts").glob(f"{name}-{'[0-9a-f]' * artifacts_recipe.KEY_DIGITS}"):
            if time.time() - folder.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(folder)

    def _make(self, recipe: artifacts_recipe.Recipe, *, folder: pathlib.Path) -> None:
        for leftover in folder.parent.glob(f".{recipe.name}.*"):  # of a maker that was killed: we hold its lock
            shutil.rmtree(leftover)
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = self._root / "logs" / f"{recipe.name}.log"
        log.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{recipe.name}.") as scratch:
            into = pathlib.Path(scratch) / "made"
            into.mkdir()
            needs = {need: self._result(need) for need in recipe.needs}
            recipe.make(
                artifacts_recipe.Workshop(into=into, needs=needs, cache=self._root, log=log, runner=self._runner)
            )
            into.rename(folder)


def _packages(recipes: Sequence[artifacts_recipe.Recipe]) -> list[str]:
    return sorted({package for recipe in recipes for package in recipe.packages})


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m k8s_ee_sandbox.artifacts", description=__doc__)
    parser.add_argument("command", choices=["ensure"])
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(sorted(RECIPES)))
    options = parser.parse_args(argv)
    try:
        paths = ensure(*options.names, progress=progress_lines.Progress())
    except errors.SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, path in paths.items():
        print(f"{name}={path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
