import os
import pathlib


def directory() -> pathlib.Path:
    """`$K8S_EE_CACHE`, else `~/.cache/k8s-ee`: everything the sandbox keeps lies below it."""
    override = os.environ.get("K8S_EE_CACHE")
    return pathlib.Path(override).absolute() if override else pathlib.Path.home() / ".cache" / "k8s-ee"
