"""`k8s-ee.yaml` and the platform's settings: text → model, with every problem of a file said at once, at its line."""

from __future__ import annotations

import pathlib

from k8s_ee.config import model

# What reads YAML is imported where it is used: `cleanup` and `--help` need none of it.


def load(text: bytes | str, *, path: str, platform: model.Platform | None = None) -> model.Config:
    """`path` is what messages and annotations call the file. Raises ConfigError with every problem."""
    from k8s_ee.config import loading

    return loading.config(text, path=path, platform=platform)


def load_platform(text: bytes | str, *, path: str) -> model.Platform:
    """Raises ConfigError with every problem."""
    from k8s_ee.config import loading

    return loading.platform(text, path=path)


def read(path: pathlib.Path, *, platform: model.Platform | None = None) -> model.Config:
    """Raises InputError for a file that can't be read, ConfigError with every problem of one that can."""
    return load(read_text(path), path=str(path), platform=platform)


def read_text(path: pathlib.Path) -> bytes:
    """At most one byte more than a file may have. Raises InputError."""
    from k8s_ee.config import files

    return files.read(path)


def check_fit(config: model.Config, platform: model.Platform) -> None:
    """What this platform does not allow, for a config that was loaded without it. Raises ConfigError."""
    from k8s_ee.config import fit

    fit.check(config, platform)
