"""What the sandbox puts into every new cluster: YAML from the folder `manifests`, with this cluster's addresses."""

import string
from collections.abc import Mapping
from typing import Any

import yaml

from k8s_ee_sandbox import sources

Manifest = dict[str, Any]


def read(name: str, values: Mapping[str, str]) -> list[Manifest]:
    """The objects of `manifests/<name>.yaml`, in order. Raises KeyError for a value that is not given."""
    text = (sources.path("manifests") / f"{name}.yaml").read_text()
    return [manifest for manifest in yaml.safe_load_all(string.Template(text).substitute(values)) if manifest]
