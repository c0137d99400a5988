"""Kubernetes' own OpenAPI description as one strict JSON schema per kind, laid out as kubeconform looks for them."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"  # in the folder, as kubeconform's -schema-location
_REFERENCE = "#/definitions/"
_KINDS = "x-kubernetes-group-version-kind"
# What the description calls strings, and the API server also takes as numbers.
_OR_NUMBER = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": ["string", "number"],
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": ["string", "integer"],
}


def write(swagger: Mapping[str, Any], folder: pathlib.Path) -> None:
    """`swagger` is api/openapi-spec/swagger.json of the Kubernetes sources."""
    definitions = {name: _strict(one) for name, one in swagger["definitions"].items()}
    for name, types in _OR_NUMBER.items():
        definitions[name] = {"type": types}
    for name, one in swagger["definitions"].items():
        kinds = one.get(_KINDS, [])
        if len(kinds) == 1:  # the others, DeleteOptions and such, belong to every group and are in no manifest
            used = {found: definitions[found] for found in sorted(_reachable(name, definitions))}
            text = json.dumps({"$ref": _REFERENCE + name, "definitions": used}, separators=(",", ":"))
            (folder / _file(kinds[0])).write_text(text)


def _file(kind: Mapping[str, str]) -> str:
    group = kind["group"].partition(".")[0]
    return "-".join(part.lower() for part in (kind["kind"], group, kind["version"]) if part) + ".json"


def _strict(schema: Any) -> Any:
    """Without descriptions and extensions; an object with known properties has no others."""
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "description" and not key.startswith("x-")}
    if "properties" in kept:
        kept["properties"] = {name: _strict(one) for name, one in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    for key in ("additionalProperties", "items"):
        if key in kept:
            kept[key] = _strict(kept[key])
    return kept


def _reachable(name: str, definitions: Mapping[str, Schema]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += _references(definitions[current])
    return found


def _references(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("$ref"), str):
        yield schema["$ref"].removeprefix(_REFERENCE)
    parts = (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties"))
    for part in parts:
        yield from _references(part)
