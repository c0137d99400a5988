"""PURE. JSON Patch operations on a namespace, guarded so that they only change what was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Operation = dict[str, Any]


def same(uid: str, *, resource_version: str) -> list[Operation]:
    """Fails on another object, and on any change since."""
    return [_test("uid", uid), _test("resourceVersion", resource_version)]


def alive(uid: str) -> list[Operation]:
    """Fails on another object, and on one that is being deleted, whose patches are otherwise answered 200."""
    return [_test("uid", uid), _test("deletionTimestamp", None)]


def unchanged(annotations: Mapping[str, str], keys: Iterable[str]) -> list[Operation]:
    """Fails when one of these annotations is not what it was; null stands for one that is not there."""
    return [_test(_annotation(key), annotations.get(key)) for key in sorted(keys)]


def _test(field: str, value: str | None) -> Operation:
    return {"op": "test", "path": f"/metadata/{field}", "value": value}


def _annotation(key: str) -> str:
    return "annotations/" + key.replace("~", "~0").replace("/", "~1")


def annotate(changes: Mapping[str, str | None]) -> list[Operation]:
    """None removes. Removing what is not there is an error in JSON Patch, so it is put there first."""
    operations: list[Operation] = []
    for key, value in sorted(changes.items()):
        path = f"/metadata/{_annotation(key)}"
        operations.append({"op": "add", "path": path, "value": value or ""})
        if value is None:
            operations.append({"op": "remove", "path": path})
    return operations
