"""Where the recipes lie: beside this package in a checkout, inside it in a wheel."""

import hashlib
import pathlib

_PACKAGE = pathlib.Path(__file__).resolve().parent


def path(name: str) -> pathlib.Path:
    """One of the folders beside the package. Raises FileNotFoundError for an incomplete installation of k8s-ee."""
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{name}: not part of this installation of k8s-ee")


def digest(folder: pathlib.Path) -> str:
    """A hash over names and contents. Go tests and notes don't count: they change no binary."""
    total = hashlib.sha256()
    for file in sorted(entry for entry in folder.rglob("*") if entry.is_file()):
        if not file.name.endswith(("_test.go", ".md")):
            total.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()
