"""The words for what was found, what is allowed, and what to write instead."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from k8s_ee import environment
from k8s_ee.config import document, problems, scalars

_TYPES = {"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false"}
_TYPES |= {"object": "a map", "array": "a list"}
_LONGEST = 200
_SHELL = re.compile(r"[;&|<>$`]")


def found(node: document.Node) -> str:
    match node:
        case document.Mapping():
            return (
                f"a map with {', '.join(map(problems.quote, list(node.values)[:4]))}" if node.values else "an empty map"
            )
        case document.Sequence():
            return "a list" if node.items else "an empty list"
        case document.Scalar() if not node.plain:
            return f"the text {problems.quote(node.text)}"
        case document.Scalar():
            reading = scalars.read(node.text)
            if reading.kind == "nothing":
                return "nothing"
            note = "" if reading.kind == "text" else f", which is {reading.phrase}"
            return f"{problems.quote(node.text)}{note}"
    return "something unreadable"


def expected(rule: Mapping[str, Any]) -> str:
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    return " or ".join(dict.fromkeys(filter(None, (_one(kind, types, rule) for kind in types))))


def _one(kind: str, types: list[str], rule: Mapping[str, Any]) -> str:
    if kind in ("number", "integer") and "string" in types:
        return ""
    if kind == "string" and "enum" in rule:
        return "one of " + ", ".join(f"`{value}`" for value in rule["enum"])
    if kind == "string" and "patternErrorMessage" in rule:
        return str(rule["patternErrorMessage"])
    if kind == "integer" and "maximum" in rule:
        return f"a whole number from {rule['minimum']} to {rule['maximum']}"
    return _TYPES[kind] + _bounds(kind, rule)


def _bounds(kind: str, rule: Mapping[str, Any]) -> str:
    if kind == "integer" and "minimum" in rule:
        return f" not below {rule['minimum']}"
    if kind == "object" and rule.get("properties"):
        count = "exactly one" if rule.get("maxProperties") == 1 else "some"
        return f" with {count} of {', '.join(rule['properties'])}"
    return ""


def hint(node: document.Node, rule: Mapping[str, Any], key: str) -> str:
    """What to write instead."""
    types = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    special = _for_scalar(node, types, rule) if isinstance(node, document.Scalar) else ""
    return special or example(rule, key)


def matches(pattern: str | None, text: str) -> bool:
    """The whole text: Python's `$` would let a line feed pass at the end."""
    return pattern is None or re.fullmatch(pattern, text, re.ASCII) is not None


def misfit(text: str, rule: Mapping[str, Any]) -> str | None:
    """Why a text is not allowed; empty where saying what is allowed says it all, None where it is."""
    unwritable = environment.UNWRITABLE.search(text)
    if unwritable:
        return f"it has the invisible character U+{ord(unwritable[0]):04X} in it"
    if len(text) > rule.get("maxLength", len(text)):
        return f"it has {len(text)} characters, at most {rule['maxLength']} are allowed"
    allowed = len(text) >= rule.get("minLength", 0) and text in rule.get("enum", (text,))
    return None if allowed and matches(rule.get("pattern"), text) else ""


def _for_scalar(node: document.Scalar, types: list[str], rule: Mapping[str, Any]) -> str:
    kind = scalars.read(node.text).kind
    if node.plain and kind == "nothing":
        return "give a value or remove the key" + ('; empty text is `""`' if "string" in types else "")
    if node.plain and kind != "text" and "string" in types and misfit(node.text, rule) is None:
        return f"write it in quotes: {scalars.quoted(node.text[:_LONGEST])}"
    if "array" in types and node.text.strip():
        return f"write it as a list: {_as_list(node.text[:_LONGEST])}"
    if not node.plain and kind in types:
        return "remove the quotes"
    return _for_plain(node, types)


def _for_plain(node: document.Scalar, types: list[str]) -> str:
    if "boolean" in types and node.text.lower() in ("yes", "no", "on", "off"):
        return "write true or false"
    whole = re.fullmatch(r"(-?[0-9]{1,18})\.0+", node.text, re.ASCII)
    return f"write {whole[1]}" if "integer" in types and whole else ""


def _as_list(text: str) -> str:
    try:
        words = ["sh", "-c", text] if _SHELL.search(text) else shlex.split(text)
    except ValueError:
        words = text.split()
    return problems.visible(json.dumps(words, ensure_ascii=False))


def example(rule: Mapping[str, Any], key: str) -> str:
    """An example of one key, as it is written in YAML."""
    examples = rule.get("examples", ())
    if not examples:
        return ""
    name = key.rpartition(".")[2]
    return f"for example `{name}: {json.dumps(examples[0], ensure_ascii=False)}`"
