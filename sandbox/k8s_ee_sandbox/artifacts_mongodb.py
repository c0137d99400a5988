"""What stands in for MongoDB, which no registry of sources has: FerretDB, MongoDB's own tools, a shell of ours."""

import pathlib
import shutil

from k8s_ee_sandbox import artifacts_recipe, sources, toolchain

_TOOLS = "github.com/mongodb/mongo-tools"
_SERVER = "github.com/FerretDB/FerretDB"
_SERVER_VERSION = "v1.24.2"
_PACKAGES = {
    "mongosh": ".",
    **{name: f"{_TOOLS}/{name}/main" for name in ("mongodump", "mongoexport", "mongorestore")},
}


def _make(workshop: artifacts_recipe.Workshop) -> None:
    source = sources.path("images") / "mongodb"
    for name, package in _PACKAGES.items():
        toolchain.go(
            workshop,
            *("build", "-trimpath", "-ldflags=-s -w", f"-o={workshop.into / name}", package),
            env={},
            cwd=source,
        )
    shutil.copy2(source / "mongod", workshop.into)
    (workshop.into / "mongod").chmod(0o755)
    _make_server(workshop)


def _make_server(workshop: artifacts_recipe.Workshop) -> None:
    """Not without a file that its own build makes, and that a module of the proxy therefore does not have."""
    toolchain.go(workshop, "mod", "download", _SERVER, env={}, cwd=sources.path("images") / "mongodb")
    copy = workshop.into / "source"
    shutil.copytree(workshop.cache / "go" / "mod" / f"{_escaped(_SERVER)}@{_SERVER_VERSION}", copy)
    for folder in (copy, *(entry for entry in copy.rglob("*") if entry.is_dir())):
        folder.chmod(0o755)
    (copy / "build" / "version" / "version.txt").write_text(_SERVER_VERSION)
    toolchain.go(
        workshop,
        *("build", "-trimpath", "-ldflags=-s -w", f"-o={workshop.into / 'ferretdb'}", "./cmd/ferretdb"),
        env={},
        cwd=copy,
    )
    shutil.rmtree(copy)


def _escaped(module: str) -> str:
    """As the module cache writes capital letters: https://go.dev/ref/mod#module-cache"""
    return "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in module)


RECIPES = (
    artifacts_recipe.Recipe(
        name="mongodb",
        what="go build",
        make=_make,
        inputs=lambda: {
            "code": pathlib.Path(__file__).read_text(),
            "source": sources.digest(sources.path("images") / "mongodb"),
        },
        needs=("go",),
        packages=toolchain.host_packages(),
        lane="go",
    ),
)
