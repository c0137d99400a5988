"""Writes what docs/ has from the code: configuration.md and a part of platform.md from the schemas, the table of
lifecycle.md from the rules, and the first table of each engine's page from the engines.

`--check` writes nothing and fails when a file is not what it would be.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from k8s_ee import lifecycle, plan
from k8s_ee.config import checking, document, expectations, model, scalars, variables

ROOT = pathlib.Path(__file__).parents[1]
CONFIGURATION = ROOT / "docs" / "configuration.md"
PLATFORM = ROOT / "docs" / "platform.md"
LIFECYCLE = ROOT / "docs" / "lifecycle.md"
SETTINGS = ("<!-- settings: made by scripts/docs.py -->", "<!-- end of settings -->")
RULES = ("<!-- rules: made by scripts/docs.py from src/k8s_ee/lifecycle.py -->", "<!-- end of rules -->")
FACTS = ("<!-- facts: made by scripts/docs.py from src/k8s_ee/plan/engines.py -->", "<!-- end of facts -->")
Rule = Mapping[str, Any]

INTRODUCTION = f"""\
# k8s-ee.yaml

<!-- Made by scripts/docs.py from schemas/k8s-ee.schema.json: change that. -->

One file in the repository says what its preview environments look like. One line is enough:

```yaml
projectId: guestbook
```

Everything else has a default. An app with a database, a migration and more memory:

```yaml
# yaml-language-server: $schema={checking.schema("k8s-ee")["$id"]}
projectId: guestbook

app:
  port: 8080
  healthPath: /healthz
  migrate: [npm, run, migrate]

resources:
  limits:
    memory: 1Gi

databases:
  postgresql: true
```

The first line makes editors complete keys and underline mistakes. `k8s-ee validate` says the same on the command line:
every problem at once, each with its line and what is allowed there.

## How the file is read

- Keys that are not listed here are errors, so that a typing mistake can't pass for a setting.
- Text that YAML takes for something else needs quotes: `"no"`, `"010"`, `"22:22"`, `"1.10"`, `"2024-01-01"`. Where
  text is expected, such a value is refused and never turned into `false`, 8, 1342, 1.1 or a date.
- A key can be there only once. Anchors, aliases, merge keys, tags and several documents are refused, and so are files
  that are larger than {document.MAX_BYTES // 1024} KiB or nested deeper than {document.MAX_DEPTH} levels.
- A key without a value is an error: give it one, or remove it.
"""

AFTERWARDS = """\
## Variables every app gets

They are set for the app and can't be set in `env`.

| From | Variables |
|---|---|
"""


def configuration() -> str:
    lines = [INTRODUCTION, "## Overview", "", *_overview("k8s-ee"), ""]
    for title, description, rows in _sections("k8s-ee"):
        lines += [f"## {title}" if title else "## The file itself", "", description, "", *_table(rows), ""]
    given = {"every environment": variables.APP} | {f"`databases.{k}`": v for k, v in variables.DATABASES.items()}
    sources = [f"| {source} | {' '.join(f'`{name}`' for name in names)} |" for source, names in given.items()]
    return "\n".join([*lines, AFTERWARDS + "\n".join(sources), ""])


def platform() -> str:
    lines = []
    for title, description, rows in _sections("platform"):
        lines += [
            f"### {title}" if title else "### General",
            "",
            *([description, ""] if title else []),
            *_table(rows),
            "",
        ]
    return "\n".join(lines)


def rules() -> str:
    """The docstring of each rule, "when | then", with the lengths of time that hold where nobody set others."""
    policy = vars(lifecycle.Policy())
    lengths = {name: _length(value) for name, value in policy.items() if isinstance(value, datetime.timedelta)}
    told = [*(" ".join(str(rule.__doc__).split()) for rule in lifecycle.RULES), "otherwise | keep"]
    rows = [f"| {number} | {text.format_map(lengths)} |" for number, text in enumerate(told, start=1)]
    return "\n".join(["| # | When | Then |", "|---|---|---|", *rows, ""])


def facts(engine: plan.Engine) -> str:
    """What holds where nobody set anything else."""
    requests, limits = engine.resources.requests, engine.resources.limits
    rows = {
        "Image": f"`{engine.default_image.partition('@')[0]}`, by digest",
        "Version": f"`{engine.default_version}`; other versions: `{engine.image}`",
        "CPU": f"{requests.cpu}, at most {limits.cpu}",
        "Memory": f"{requests.memory}, at most {limits.memory}",
        "Storage": f"{model.Database(engine.name).storage}, or what `databases.{engine.name}.storage` says",
        "Address": f"`{engine.name}:{engine.port}` in the environment's namespace",
        "Variables": " ".join(f"`{name}`" for name in engine.env("")),
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {fact} |" for name, fact in rows.items()), ""])


def _length(value: datetime.timedelta) -> str:
    """Only whole minutes can be set."""
    minutes = value // datetime.timedelta(minutes=1)
    for size, unit in ((1440, "days"), (60, "h")):
        if minutes % size == 0 and (unit == "h" or minutes > size):
            return f"{minutes // size} {unit}"
    return f"{minutes} minutes"


def _overview(name: str) -> Iterator[str]:
    """Every key with its default, as a file."""
    yield "```yaml"
    yield from _yaml(checking.schema(name), "")
    yield "```"


def _yaml(rule: Rule, indent: str) -> Iterator[str]:
    for key, below in rule["properties"].items():
        if key == "$schema":
            continue
        if "properties" in below and "default" not in below:
            yield f"{indent}{key}:"
            yield from _yaml(below, f"{indent}  ")
        elif key in rule.get("required", ()):
            yield f"{indent}{key}: {below['examples'][0]}  # required"
        elif "default" in below:
            yield f"{indent}{key}: {_value(below['default'])}"
        else:
            yield f"{indent}# {key}: {_value(below['examples'][0])}"


def _sections(name: str) -> Iterator[tuple[str, str, list[tuple[str, Rule, bool]]]]:
    """(title, description, [(path, rule, required)]) of the keys at the top and of each map below it."""
    waiting: list[tuple[str, Rule]] = [("", checking.schema(name))]
    while waiting:
        above, rule = waiting.pop(0)
        leaves, deeper = [], []
        for key, below in rule["properties"].items():
            path = f"{above}.{key}" if above else key
            items = below.get("items", {})
            if "properties" not in below or "default" in below:
                leaves.append((path, below, key in rule.get("required", ())))
            if "properties" in below:
                deeper.append((path, below))
            if "properties" in items:
                deeper.append((f"{path}[]", items))
        waiting[:0] = deeper
        if leaves:
            yield above and f"`{above}`", rule["description"], leaves


def _table(rows: list[tuple[str, Rule, bool]]) -> Iterator[str]:
    yield "| Key | Meaning | Allowed | Default | Example |"
    yield "|---|---|---|---|---|"
    for path, rule, required in rows:
        default = "required" if required else _code(rule["default"]) if "default" in rule else "none"
        cells = (f"`{path}`", rule["description"], _allowed(rule), default, _code(rule["examples"][0]))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(rule: Rule) -> str:
    items = rule.get("items", rule.get("additionalProperties"))
    if rule["type"] == "array":
        return f"list; each: {expectations.expected(items)}"
    if rule["type"] == "object" and isinstance(items, dict):
        return f"map; names: {rule['propertyNames']['patternErrorMessage']}; values: {expectations.expected(items)}"
    return expectations.expected(rule)


def _code(value: Any) -> str:
    return f"`{_value(value)}`"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and _is_plain(value) else json.dumps(value)


def _is_plain(text: str) -> bool:
    """Whether it stays text without quotes."""
    return bool(text) and scalars.read(text).kind == "text" and not set(text) & set(":#[]{},&*!'\"%@`")


def _with(path: pathlib.Path, marks: tuple[str, str], text: str) -> str:
    """Raises ValueError when the page has no place for it."""
    start, end = marks
    before, rest = path.read_text(encoding="utf-8").split(start, 1)
    return f"{before}{start}\n\n{text}\n{end}{rest.split(end, 1)[1]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    pages = {
        CONFIGURATION: configuration(),
        PLATFORM: _with(PLATFORM, SETTINGS, platform()),
        LIFECYCLE: _with(LIFECYCLE, RULES, rules()),
    }
    for name, engine in plan.ENGINES.items():
        path = ROOT / "docs" / "databases" / f"{name}.md"
        pages[path] = _with(path, FACTS, facts(engine))
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if not check:
        for path in stale:
            path.write_text(pages[path], encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'run scripts/docs.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
