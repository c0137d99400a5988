"""Schema, model, loader and references say the same."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import re
import subprocess
import sys
from typing import Any

import jsonschema
import pytest

from k8s_ee import config, plan
from k8s_ee.config import checking, durations, model
from tests.contract import schemas

LEAVES = [(name, leaf) for name in ("k8s-ee", "platform") for leaf in schemas.leaves(name)]
EACH_LEAF = pytest.mark.parametrize(("name", "leaf"), LEAVES, ids=[f"{name}:{leaf.path}" for name, leaf in LEAVES])
CHANGES, PLATFORM_CHANGES = schemas.changes("k8s-ee"), schemas.changes("platform")


@pytest.mark.parametrize("name", ["k8s-ee", "platform"])
def test_a_schema_is_one(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(dict(checking.schema(name)))


@EACH_LEAF
def test_every_key_is_described_and_has_good_examples(name: str, leaf: schemas.Leaf) -> None:
    assert leaf.rule["description"].endswith(".")
    assert leaf.rule["examples"]
    for example in leaf.rule["examples"]:
        jsonschema.validate(example, dict(leaf.rule), cls=jsonschema.Draft7Validator)
        assert example != leaf.rule.get("default")


@pytest.mark.parametrize("name", ["k8s-ee", "platform"])
def test_every_map_is_closed_described_and_every_text_bounded(name: str) -> None:
    for rule in schemas.rules(name):
        if "properties" in rule:
            assert rule["additionalProperties"] is False
            assert rule["description"]
            assert rule["title"]
        if "pattern" in rule:
            assert rule["pattern"].startswith("^")
            assert rule["pattern"].endswith("$")
            assert rule["patternErrorMessage"]
            assert not re.fullmatch(rule["pattern"], "x" * 40_000) or "maxLength" in rule


@pytest.mark.parametrize("name", ["k8s-ee", "platform"])
def test_every_keyword_of_a_schema_is_one_the_checker_obeys(name: str) -> None:
    for rule in schemas.rules(name):
        assert set(rule) <= checking.KEYWORDS | checking.ANNOTATIONS
        if rule.get("uniqueItems"):
            assert "properties" not in rule["items"], "the checker compares plain values only"


@EACH_LEAF
def test_a_default_of_the_schema_is_the_default_of_the_model(name: str, leaf: schemas.Leaf) -> None:
    if leaf.required or leaf.path == schemas.EDITOR_ONLY:
        assert leaf.required != (leaf.path == schemas.EDITOR_ONLY)
        return
    value = _default(name, leaf.path)
    assert leaf.rule.get("default") == value
    if value is not None:
        jsonschema.validate(leaf.rule["default"], dict(leaf.rule), cls=jsonschema.Draft7Validator)


def _default(name: str, path: str) -> Any:
    """What the model says of a key that nobody wrote, as the schema would write it."""
    asked = path
    special = {
        **{f"databases.{engine}": False for engine in plan.ENGINES},
        **{f"databases.{engine}.enabled": True for engine in plan.ENGINES},
        **{f"engineImages.{engine}": "" for engine in plan.ENGINES},
        "lifecycle.orphanedFinalizers": {},
    }
    if path in special:
        return special[path]
    if name == "platform":
        path = re.sub(r"^limits\.", "max_", re.sub(r"^allowed\.", "allowed_", path))
    found: Any = (
        config.load("projectId: a", path="p") if name == "k8s-ee" else config.load_platform("domain: a", path="p")
    )
    if ".seed." in path:
        found, path = model.Seed(), path.rpartition(".")[2]
    if path.startswith("databases."):
        found, path = model.Database(engine=path.split(".")[1]), path.rpartition(".")[2]
    if path.startswith("envFrom.0."):
        found, path = model.EnvFrom(kind="secretRef", name="a"), path.rpartition(".")[2]
    for step in path.split("."):
        found = getattr(found, re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", step))
    if isinstance(found, datetime.timedelta):
        text = next(rule.rule["default"] for where, rule in LEAVES if where == name and rule.path == asked)
        return text if durations.parse(text) == found else found
    return list(found) if isinstance(found, tuple) else found


def test_what_is_not_in_a_file_is_off_or_on_as_the_schema_says() -> None:
    assert config.load("projectId: a", path="p").databases == ()
    assert config.load("projectId: a\ndatabases: {postgresql: {}}", path="p").databases != ()
    assert config.load_platform("domain: a", path="p").engine_images == {}


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_is_read(key: str) -> None:
    change = CHANGES[key]
    assert config.load(change.before, path="p") != config.load(change.after, path="p")


@pytest.mark.parametrize("key", PLATFORM_CHANGES)
def test_every_key_of_the_platform_is_read(key: str) -> None:
    change = PLATFORM_CHANGES[key]
    assert config.load_platform(change.before, path="p") != config.load_platform(change.after, path="p")


def test_every_field_of_the_model_can_be_written() -> None:
    written = {re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", path) for path in CHANGES}
    fields = {field.name for field in dataclasses.fields(model.Config)} - {"project", "path", "marks"}
    assert {path.partition(".")[0] for path in written} == fields | {"project_id"}
    parts = {"app": model.App, "image": model.Image, "ingress": model.Ingress, "metrics": model.Metrics}
    for part, kind in parts.items():
        expected = {f"{part}.{field.name}" for field in dataclasses.fields(kind)}
        assert {path for path in written if path.startswith(f"{part}.")} == expected


ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/k8s-ee.yaml")), ids=lambda path: path.parent.name)
def test_every_example_is_a_good_file(path: pathlib.Path) -> None:
    assert config.read(path)


def test_the_settings_that_ship_are_good_settings() -> None:
    shipped = ROOT / "k8s" / "platform" / "platform.yaml"
    assert config.load_platform(config.read_text(shipped), path="platform.yaml").allowed_owner_ids == ()


def test_what_the_reference_shows_is_what_can_be_written() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    minimal, typical, complete = (
        config.load(text, path="p") for text in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    assert minimal == complete, "the overview shows the defaults"
    assert typical != minimal


def test_the_references_are_what_the_schemas_say() -> None:
    subprocess.run([sys.executable, "-m", "scripts.docs", "--check"], check=True, cwd=ROOT, timeout=60)
