"""What stands in kubeconfigs: several files merged into one, and nothing taken for text that is none."""

from __future__ import annotations

import base64
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from k8s_ee import errors

_WHOLE = "a kubeconfig that works shows how it is written: kubectl config view"


def read(file: pathlib.Path) -> dict[str, Any]:
    try:
        return parsed(file.read_bytes(), f"kubeconfig {file}")
    except OSError as error:
        raise errors.ClusterUnavailable(f"kubeconfig {file} can't be read: {error.strerror}") from None


def parsed(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, ValueError):  # also of what looks like a date and is none
        raise errors.ClusterUnavailable(f"{what} is not YAML") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("clusters"), list):
        raise errors.ClusterUnavailable(
            f"{what} is not a kubeconfig",
            hint="it needs clusters, users and contexts; a workflow secret must hold the file's text, not its path",
        )
    return loaded


def merged(documents: list[tuple[pathlib.Path, dict[str, Any]]]) -> dict[str, Any]:
    """The first file to name something wins. Each entry remembers the directory its relative paths start from."""
    found: dict[str, Any] = {}
    for file, document in documents:
        for section in ("clusters", "users", "contexts"):
            for name, inner in _entries(document, section):
                entry = {**inner, "_directory": file.resolve().parent}
                found.setdefault(section, {}).setdefault(name, entry)
        if document.get("current-context"):
            found.setdefault("current-context", document["current-context"])
    return found


def _entries(document: Mapping[str, Any], section: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Raises ClusterUnavailable for what is no list of them."""
    listed, kind = document.get(section) or [], section[:-1]
    for entry in listed if isinstance(listed, list) else [listed]:
        inner = (entry.get(kind) or {}) if isinstance(entry, dict) else None
        if not isinstance(inner, dict) or not isinstance(entry.get("name"), str):
            raise errors.ClusterUnavailable(
                f"the kubeconfig's {section} are not a list with a `name` and a `{kind}` each", hint=_WHOLE
            )
        yield entry["name"], inner


def named(config: Mapping[str, Any], section: str, name: Any) -> dict[str, Any]:
    """The cluster, user or context itself. Raises ClusterUnavailable when it is not there."""
    found: dict[str, Any] | None = (config.get(section) or {}).get(name) if isinstance(name, str) else None
    if found is None:
        names = ", ".join(config.get(section) or {}) or "none"
        asked = f"no {section[:-1]} {name!r}" if name else "no current context"
        raise errors.ClusterUnavailable(f"the kubeconfig has {asked}", hint=f"it has: {names}")
    return found


def text(entry: Mapping[str, Any], key: str) -> str:
    """Empty when it is not there. Raises ClusterUnavailable for a number or anything else: YAML may have changed it."""
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise errors.ClusterUnavailable(f"the kubeconfig's {key} is not text", hint=f"quotes make it text; {_WHOLE}")
    return value


def pem(entry: Mapping[str, Any], key: str) -> str:
    """PEM text given as `<key>-data` (base64) or as a path; empty when neither is there."""
    given, path = "".join(text(entry, f"{key}-data").split()), text(entry, key)
    try:
        if given:
            return base64.b64decode(given, validate=True).decode("ascii")
        if path:
            return str((entry["_directory"] / path).read_text("ascii"))
    except (OSError, ValueError):
        hint = f"{key}-data is PEM text in base64, {key} the path of such a text"
        raise errors.ClusterUnavailable(f"the kubeconfig's {key} can't be read", hint=hint) from None
    return ""
