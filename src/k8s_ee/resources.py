"""Where the files that ship beside the code are: in the wheel's `_data`, or in the checkout."""

from __future__ import annotations

import pathlib

_PACKAGE = pathlib.Path(__file__).parent


def directory(name: str) -> pathlib.Path:
    """Path of `charts`, `schemas` or `k8s`."""
    packaged = _PACKAGE / "_data" / name
    return packaged if packaged.is_dir() else _PACKAGE.parents[1] / name
