"""Images unpacked into folders: what is in them can be run by `chroot`, without a cluster."""

import pathlib
import shutil
import tarfile

from k8s_ee_sandbox import artifacts_recipe

_TIMEOUT = 10 * 60


def _tree(name: str) -> artifacts_recipe.Recipe:
    image = f"image-{name}"
    return artifacts_recipe.Recipe(
        name=f"tree-{name}",
        what="unpack",
        make=lambda workshop: _make(workshop, image=image),
        inputs=lambda: {"code": pathlib.Path(__file__).read_text()},
        needs=(image,),
    )


def _make(workshop: artifacts_recipe.Workshop, *, image: str) -> None:
    compressed = workshop.into.with_name("layer.tar.gz")
    with tarfile.open(workshop.needs[image]) as archive:
        layer = archive.extractfile("layer.tar")
        assert layer is not None  # noqa: S101 - written by `archive`
        with layer, compressed.open("wb") as copy:
            shutil.copyfileobj(layer, copy)
    # Not tarfile: what it does with owners and modes depends on the version of Python.
    options = ("--extract", "--gzip", "--preserve-permissions", "--numeric-owner")
    workshop.runner.run(
        ["tar", *options, f"--file={compressed}", f"--directory={workshop.into}"], log=workshop.log, timeout=_TIMEOUT
    )


RECIPES = tuple(_tree(name) for name in ("base", "postgresql", "mariadb", "valkey", "minio", "mongodb"))
