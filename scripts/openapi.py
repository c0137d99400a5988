"""Makes tests/wire/github-openapi.json.gz: the part of GitHub's published API description that the tests use.

    npm pack @octokit/openapi@VERSION && tar xzf octokit-openapi-VERSION.tgz
    python scripts/openapi.py package

The whole description is 13 MB; the local GitHub server and its contract test need a dozen paths of it.
"""

from __future__ import annotations

import gzip
import json
import pathlib
import sys
from typing import Any

TARGET = pathlib.Path(__file__).parents[1] / "tests" / "wire" / "github-openapi.json.gz"
REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = {
    "/user": ("get",),
    "/app/installations": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    REPOSITORY: ("get",),
    f"{REPOSITORY}/pulls": ("get",),
    f"{REPOSITORY}/pulls/{{pull_number}}": ("get",),
    f"{REPOSITORY}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{REPOSITORY}/issues/comments/{{comment_id}}": ("get", "patch", "delete"),
    f"{REPOSITORY}/collaborators/{{username}}/permission": ("get",),
    f"{REPOSITORY}/deployments": ("get", "post"),
    f"{REPOSITORY}/deployments/{{deployment_id}}": ("get",),
    f"{REPOSITORY}/deployments/{{deployment_id}}/statuses": ("get", "post"),
    f"{REPOSITORY}/actions/runs/{{run_id}}/rerun": ("post",),
}


def main() -> None:
    package = pathlib.Path(sys.argv[1])
    description = json.loads((package / "generated" / "api.github.com.json").read_bytes())
    version = json.loads((package / "package.json").read_bytes())["version"]
    subset: dict[str, Any] = {
        "source": f"@octokit/openapi {version} (https://github.com/octokit/openapi), paths and schemas used here only",
        "license": (package / "LICENSE").read_text(encoding="utf-8"),
        "operations": operations(description),
        "schemas": {},
    }
    for name, schema in schemas(description, subset["operations"]).items():
        subset["schemas"][name] = json_schema(schema)
    for one in subset["operations"].values():
        one["request"] = json_schema(one["request"])
        for answer in one["responses"].values():
            answer["schema"] = json_schema(answer["schema"])
    data = json.dumps(subset, sort_keys=True, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(data, compresslevel=9, mtime=0))


def operations(description: dict[str, Any]) -> dict[str, Any]:
    """By `METHOD path`: the request's schema, and by status the response's schema and its published example."""
    found: dict[str, Any] = {}
    for path, methods in OPERATIONS.items():
        for method in methods:
            operation = description["paths"][path][method]
            found[f"{method.upper()} {path}"] = {
                "request": content(operation.get("requestBody", {})).get("schema"),
                "responses": {
                    status: response(description, one)
                    for status, one in operation["responses"].items()
                    if status.startswith("2")
                },
            }
    return found


def response(description: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    described = content(one)
    examples = [resolve(description, example) for example in described.get("examples", {}).values()]
    return {"schema": described.get("schema"), "example": examples[0].get("value") if examples else None}


def content(one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = one.get("content", {}).get("application/json", {})
    return found


def resolve(description: dict[str, Any], one: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in one:
        return one
    found: dict[str, Any] = description
    for key in one["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def schemas(description: dict[str, Any], root: Any) -> dict[str, Any]:
    """Every schema that is referred to, and those that they refer to."""
    found: dict[str, Any] = {}
    waiting = [root]
    while waiting:
        for name in references(waiting.pop()):
            if name not in found:
                found[name] = description["components"]["schemas"][name]
                waiting.append(found[name])
    return found


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for one in node for name in references(one)}
    if not isinstance(node, dict):
        return set()
    here = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
    return here | {name for one in node.values() for name in references(one)}


def json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it, references to where they are in this file, prose left out."""
    if isinstance(node, list):
        return [json_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    out = {key: json_schema(value) for key, value in node.items() if not _is_prose(key, value)}
    if isinstance(out.get("$ref"), str):
        out["$ref"] = f"#/schemas/{out['$ref'].rpartition('/')[2]}"
    if out.pop("nullable", False) is True:
        return {"anyOf": [out, {"type": "null"}]}
    return out


def _is_prose(key: str, value: Any) -> bool:
    is_text = key == "description" and isinstance(value, str)
    return is_text or key in {"externalDocs", "x-github", "example", "examples"}


if __name__ == "__main__":
    main()
