"""Reading a file somebody named, whatever it turns out to be."""

from __future__ import annotations

import difflib
import pathlib

from k8s_ee import errors
from k8s_ee.config import document, syntax


def read(path: pathlib.Path) -> bytes:
    """At most one byte more than a file may have. Raises InputError."""
    try:
        # Its target may be any file of the machine, and messages quote what they find. How an absolute path begins is
        # not the choice of who can change nothing but the checkout.
        for part in [path] if path.is_absolute() else [path, *path.parents]:
            if part.is_symlink():
                raise errors.InputError(f"{part}: is a symbolic link", hint="name the file itself")
        if path.exists() and not path.is_file():
            hint = _within(path) if path.is_dir() else "name a file"
            raise errors.InputError(f"{path}: is not a file", hint=hint)
        with path.open("rb") as file:
            return file.read(document.MAX_BYTES + 1)
    except FileNotFoundError:
        raise errors.InputError(f"{path}: no such file", hint=_instead(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise errors.InputError(f"{path}: can't be read: {reason}", hint="check the path and its permissions") from None


def _within(folder: pathlib.Path) -> str:
    names = [
        name for name in ("k8s-ee.yaml", "k8s-ee.yml", "platform.yaml", "platform.yml") if (folder / name).is_file()
    ]
    return f"did you mean {folder / names[0]}?" if names else "name a file in it"


def _instead(path: pathlib.Path) -> str:
    try:
        names = sorted(one.name for one in path.parent.iterdir() if one.suffix in (".yaml", ".yml"))
    except OSError:
        return f"there is no folder {path.parent} either; check the path"
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {path.parent / near[0]}?"
    if path.name != "k8s-ee.yaml":
        return "check the path"
    return f"check config-path, or create it: {syntax.SMALLEST}"
