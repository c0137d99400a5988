"""The schemas as lists of keys, with an example of each in a file of its own."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from k8s_ee import plan
from k8s_ee.config import checking

EDITOR_ONLY = "$schema"
Rule = Mapping[str, Any]


class Leaf(NamedTuple):
    """A key that has a value of its own. `path` as a file has it; "0" stands for the items of a list."""

    path: str
    rule: Rule
    required: bool


def leaves(name: str) -> list[Leaf]:
    return list(_leaves(checking.schema(name), ()))


def _leaves(rule: Rule, above: tuple[str, ...]) -> Iterator[Leaf]:
    for key, below in rule.get("properties", {}).items():
        path = (*above, key)
        if "properties" not in below or "default" in below:
            yield Leaf(".".join(path), below, required=key in rule.get("required", ()))
        yield from _leaves(below, path)
        yield from _leaves(below.get("items", {}), (*path, "0"))


def rules(name: str) -> Iterator[Rule]:
    """Every schema within the schema."""
    waiting: list[Rule] = [checking.schema(name)]
    while waiting:
        rule = waiting.pop()
        yield rule
        waiting += rule.get("properties", {}).values()
        waiting += [
            rule[key] for key in ("items", "additionalProperties", "propertyNames") if isinstance(rule.get(key), dict)
        ]


class Change(NamedTuple):
    """Two files that differ in one key."""

    before: str
    after: str


_URL, _IMAGE = {"url": "https://example.com/a", "sha256": "0" * 64}, {"image": "ghcr.io/acme/a", "path": "/a"}
_SEEDS = {"file": {"file": "a"}, "url": _URL, "sha256": _URL, "image": _IMAGE, "path": _IMAGE}
_CONTEXT: dict[str, Any] = {
    **{
        f"databases.{engine}.seed.{key}": {"databases": {engine: {"seed": seed}}}
        for engine in plan.ENGINES
        for key, seed in _SEEDS.items()
    },
    "backup": {"databases": {"postgresql": {}}},
    "metrics": {"metrics": {"enabled": True}},
    "app.metricsPath": {"metrics": {"enabled": True}},
    **{f"databases.{engine}.": {"databases": {engine: {}}} for engine in plan.ENGINES},
    "envFrom.0.secretRef": {"envFrom": [{"secretRef": {"name": "other"}}]},
    "envFrom.0.configMapRef": {"envFrom": [{"configMapRef": {"name": "other"}}]},
    "resources.requests.": {"resources": {"limits": {"cpu": "2", "memory": "2Gi"}}},
}
_SMALLEST = {"k8s-ee": {"projectId": "project"}, "platform": {"domain": "example.com"}}


def changes(name: str) -> dict[str, Change]:
    """Of each key: a file without it, and the same file with the key's own example."""
    return {leaf.path: _change(name, leaf) for leaf in leaves(name) if leaf.path != EDITOR_ONLY}


def _change(name: str, leaf: Leaf) -> Change:
    before: dict[str, Any] = copy.deepcopy(_SMALLEST[name])
    context: dict[str, Any] = next((extra for start, extra in _CONTEXT.items() if leaf.path.startswith(start)), {})
    before |= copy.deepcopy(context) if name == "k8s-ee" and leaf.path != "metrics.enabled" else {}
    after = copy.deepcopy(before)
    *above, last = leaf.path.split(".")
    place: Any = after
    for step in above:
        place = place[0] if step == "0" else place.setdefault(step, {})
    place[last] = leaf.rule["examples"][0]
    return Change(before=json.dumps(before), after=json.dumps(after))
