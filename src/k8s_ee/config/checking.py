"""A tree and a JSON schema, side by side: every difference at its line, and plain values for what is right.

The keywords understood are those the schemas of this project use; a contract test holds the two together, and compares
the verdicts with those of a complete implementation. Walking the tree itself, not the values made from it, is what
keeps `3000.0` from being an integer and `010` from being eight, and costs a tenth of a general validator's start.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from k8s_ee import resources
from k8s_ee.config import document, expectations, problems, scalars, suggestions

INVALID: Any = object()
KEYWORDS = {"type", "properties", "additionalProperties", "required", "propertyNames", "minProperties", "maxProperties"}
KEYWORDS |= {"items", "maxItems", "uniqueItems", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum"}
ANNOTATIONS = {"$schema", "$id", "title", "description", "default", "examples", "patternErrorMessage"}
Schema = Mapping[str, Any]


@functools.cache
def schema(name: str) -> Schema:
    """`k8s-ee` or `platform`."""
    path = resources.directory("schemas") / f"{name}.schema.json"
    loaded: Schema = json.loads(path.read_text(encoding="utf-8"))
    return loaded


class Checker:
    """`marks` says, after `check`, where each key stands, by dotted path; items of lists count from 0."""

    def __init__(self, root: Schema, found: problems.Problems) -> None:
        self._root = root
        self._problems = found
        self.marks: dict[str, problems.Mark] = {}

    def check(self, node: document.Node, rule: Schema, key: str = "") -> Any:
        """The value as plain Python; INVALID, or a map without its wrong parts, when problems were added."""
        match node:
            case document.Broken():
                return INVALID
            case document.Mapping() if "object" in _types(rule):
                return self._mapping(node, rule, key)
            case document.Sequence() if "array" in _types(rule):
                return self._sequence(node, rule, key)
            case document.Scalar():
                return self._scalar(node, rule, key)
        return self._wrong(node, rule, key)

    def _wrong(self, node: document.Node, rule: Schema, key: str, *, reason: str = "") -> Any:
        message = f"`{key}`: found {expectations.found(node)}, expected {expectations.expected(rule)}"
        hint = reason or expectations.hint(node, rule, key)
        self._problems.add(node.mark, message, hint=hint, key=key)
        return INVALID

    def _mapping(self, node: document.Mapping, rule: Schema, key: str) -> Any:
        self._required(node, rule, key)
        self._count(node, rule, key)
        values: dict[str, Any] = {}
        for name, child in node.values.items():
            path = f"{key}.{name}" if key else name
            self.marks[path] = node.keys[name]
            below = self._rule_for(name, rule, key=key, mark=node.keys[name])
            value = self.check(child, below, path) if below is not None else INVALID
            if value is not INVALID:
                values[name] = value
        return values

    def _required(self, node: document.Mapping, rule: Schema, key: str) -> None:
        for name in rule.get("required", ()):
            if name not in node.values:
                path = f"{key}.{name}" if key else name
                wanted = expectations.expected(rule["properties"][name])
                self._problems.add(
                    node.mark,
                    f"`{path}` is missing: expected {wanted}",
                    hint=expectations.example(rule["properties"][name], path),
                    key=path,
                )

    def _count(self, node: document.Mapping, rule: Schema, key: str) -> None:
        least, most = rule.get("minProperties", 0), rule.get("maxProperties", len(node.values))
        if not least <= len(node.values) <= most:
            self._wrong(node, rule, key, reason=f"it has {len(node.values)} keys")

    def _rule_for(self, name: str, rule: Schema, *, key: str, mark: problems.Mark) -> Schema | None:
        """The schema of one key of a map; None after saying why the key can't be there."""
        path = f"{key}.{name}" if key else name
        properties = rule.get("properties", {})
        if name in properties:
            below: Schema = properties[name]
            return below
        others = rule.get("additionalProperties")
        names = rule.get("propertyNames", {})
        if not isinstance(others, dict):
            where = f" in `{key}`" if key else ""
            hint = suggestions.for_unknown(name, allowed=properties, schema=self._root)
            self._problems.add(mark, f"unknown key {problems.quote(name)}{where}", hint=hint, key=path)
            return None
        if not expectations.matches(names.get("pattern"), name):
            message = f"{problems.quote(name)} can't be a name in `{key}`"
            self._problems.add(mark, message, hint=f"allowed: {names['patternErrorMessage']}", key=path)
            return None
        return others

    def _sequence(self, node: document.Sequence, rule: Schema, key: str) -> Any:
        if len(node.items) > rule.get("maxItems", len(node.items)):
            return self._wrong(
                node, rule, key, reason=f"it has {len(node.items)} items, at most {rule['maxItems']} are allowed"
            )
        values: list[Any] = []
        seen: set[Any] = set()
        for index, item in enumerate(node.items):
            path = f"{key}.{index}"
            self.marks[path] = item.mark
            value = self.check(item, rule["items"], path)
            if value is INVALID:
                continue
            if rule.get("uniqueItems") and value in seen:
                self._problems.add(
                    item.mark, f"`{key}`: {problems.quote(str(value))} is listed twice", hint="keep one", key=path
                )
            elif rule.get("uniqueItems"):
                seen.add(value)
            values.append(value)
        return values

    def _scalar(self, node: document.Scalar, rule: Schema, key: str) -> Any:
        value = self._typed(node, _types(rule))
        if value is INVALID:
            return self._wrong(node, rule, key)
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            fits = rule.get("minimum", value) <= value <= rule.get("maximum", value)
            return value if fits else self._wrong(node, rule, key)
        misfit = expectations.misfit(value, rule)
        return value if misfit is None else self._wrong(node, rule, key, reason=misfit)

    @staticmethod
    def _typed(node: document.Scalar, types: tuple[str, ...]) -> Any:
        """Numbers where text is welcome too stay as they were written: `0.50` is not `0.5`."""
        kind = scalars.read(node.text).kind if node.plain else "text"
        if kind == "text" and "string" in types:
            return node.text
        if kind in ("integer", "number") and "string" in types and (kind in types or "number" in types):
            return node.text
        if kind == "integer" and "integer" in types and len(node.text) <= _LONGEST_INTEGER:
            return int(node.text)
        return node.text.lower() == "true" if kind == "boolean" and kind in types else INVALID


_LONGEST_INTEGER = 18


def _types(rule: Schema) -> tuple[str, ...]:
    types = rule["type"]
    return (types,) if isinstance(types, str) else tuple(types)
