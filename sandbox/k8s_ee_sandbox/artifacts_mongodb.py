"""What stands in for MongoDB, which no registry of sources has: FerretDB, MongoDB's own tools, a shell of ours."""

import pathlib
import shutil

from k8s_ee_sandbox import artifacts_recipe, sources, toolchain

_TOOLS = "github.com/mongodb/mongo-tools"
_PACKAGES = {
    "ferretdb": "github.com/FerretDB/FerretDB/cmd/ferretdb",
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
