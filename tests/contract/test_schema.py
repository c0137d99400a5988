"""Schema, model, loader and plan say the same."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import hypothesis
import jsonschema
import pytest
from hypothesis import strategies as st

from k8s_ee import config, environment, errors, plan, pull_request, trust
from k8s_ee.commands import build, builders
from k8s_ee.config import checking, model, problems, variables
from tests.contract import schemas

LEAVES = [(name, leaf) for name in ("k8s-ee", "platform") for leaf in schemas.leaves(name)]
EACH_LEAF = pytest.mark.parametrize(("name", "leaf"), LEAVES, ids=[f"{name}:{leaf.path}" for name, leaf in LEAVES])
CHANGES, PLATFORM_CHANGES = schemas.changes("k8s-ee"), schemas.changes("platform")
PLATFORM = model.Platform(domain="example.com", registries=("registry.example.com",), image_pull_secrets=("registry",))


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
    special = {"databases.postgresql": False, "databases.postgresql.enabled": True, "engineImages.postgresql": ""}
    if path in special:
        return special[path]
    if name == "platform":
        path = re.sub(r"^limits\.", "max_", re.sub(r"^allowed\.", "allowed_", path))
    found: Any = (
        config.load("projectId: a", path="p") if name == "k8s-ee" else config.load_platform("domain: a", path="p")
    )
    if path.startswith("databases.postgresql."):
        found, path = model.Database(engine="postgresql"), path.rpartition(".")[2]
    if path.startswith("envFrom.0."):
        found, path = model.EnvFrom(kind="secretRef", name="a"), path.rpartition(".")[2]
    for step in path.split("."):
        found = getattr(found, re.sub("[A-Z]", lambda match: f"_{match[0].lower()}", step))
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


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_changes_some_manifest_decision_or_build_input(
    key: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "buildah"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    before, after = (config.load(text, path="p") for text in CHANGES[key])
    assert _effects(before, PLATFORM, tmp_path) != _effects(after, PLATFORM, tmp_path)


NOT_PLANNED = {"ingress.address": "where a runner connects: commands/app.py hands it to the probe"}


@pytest.mark.parametrize("key", sorted(set(PLATFORM_CHANGES) - set(NOT_PLANNED)))
def test_every_key_of_the_platform_changes_some_manifest_or_decision(key: str) -> None:
    wanted = config.load(
        '{"projectId": "a", "databases": {"postgresql": {"storage": "15Gi"}}, "metrics": {"enabled": true},'
        '"image": {"repository": "ghcr.io/acme/shop"}, "resources": {"limits": {"cpu": "3", "memory": "5Gi"}},'
        '"ingress": {"annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "1m"}}}',
        path="p",
    )
    before, after = (config.load_platform(text, path="p") for text in PLATFORM_CHANGES[key])
    assert _planned(wanted, before) != _planned(wanted, after)


def _effects(wanted: model.Config, platform: model.Platform, folder: pathlib.Path) -> Any:
    return [*_planned(wanted, platform), _built(wanted, folder)]


def _planned(wanted: model.Config, platform: model.Platform) -> list[Any]:
    target = environment.Environment(
        project=wanted.project,
        number=7,
        repository="acme/shop",
        repository_id=1296269,
        domain=platform.domain,
        scheme=platform.scheme,
        head_sha="a" * 40,
    )
    secrets = {one.engine: plan.ENGINES[one.engine].secret for one in wanted.databases}
    return [
        plan.namespace(target, wanted, platform),
        plan.fence(target, wanted, platform),
        plan.app(target, wanted, platform, image="registry.example.com/a@sha256:0", database_secrets=secrets),
        [plan.database(target, one, platform, secret="s") for one in wanted.databases],
        _decided(wanted, platform),
        _refused(wanted, platform),
    ]


def _decided(wanted: model.Config, platform: model.Platform) -> Any:
    pull = pull_request.PullRequest(
        number=7, state="open", head_sha="a" * 40, branch="main", head_repository_id=1296269, base_repository_id=1296269
    )
    facts = trust.Facts(
        purpose="deploy",
        event="pull_request",
        action="synchronize",
        label="",
        actor="someone",
        repository_id=1296269,
        owner_id=9919,
        head_sha="a" * 40,
        pull=pull,
        seen=pull,
        trigger=wanted.trigger,
    )
    everybody = dataclasses.replace(platform, allowed_owner_ids=(9919,))
    return trust.authorize(facts, platform), trust.authorize(facts, everybody)


def _refused(wanted: model.Config, platform: model.Platform) -> tuple[errors.Problem, ...]:
    try:
        config.check_fit(wanted, platform)
    except errors.ConfigError as error:
        return error.problems
    return ()


def _built(wanted: model.Config, folder: pathlib.Path) -> Any:
    """What a builder is called with, and which of the checkout's Dockerfiles is taken."""
    for place in ("", "services/api", "docker"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "Dockerfile").touch()
        (folder / place / "preview.Dockerfile").touch()
    said: list[str] = []
    destination = builders.Destination(repository="registry.example.com/acme/shop", tag="pr-7")
    build.build(
        wanted,
        checkout=folder,
        destination=destination,
        labels={},
        deadline=float("inf"),
        dry_run=True,
        progress=said.append,
    )
    request = builders.Request(
        context=folder,
        dockerfile=folder,
        image=wanted.image,
        destination=destination,
        labels={},
        deadline=float("inf"),
        scratch=folder,
        say=said.append,
    )
    return said, request.arguments()


def test_the_variables_that_cant_be_set_are_those_that_are_given() -> None:
    given = {name: tuple(engine.env("x")) for name, engine in plan.ENGINES.items()}
    assert {name: set(names) for name, names in given.items()} == {k: set(v) for k, v in variables.DATABASES.items()}
    databases = checking.schema("k8s-ee")["properties"]["databases"]["properties"]
    images = checking.schema("platform")["properties"]["engineImages"]["properties"]
    assert set(databases) == set(images) == set(plan.ENGINES)


def test_the_facts_that_cant_be_set_are_those_every_app_is_told() -> None:
    wanted = config.load("projectId: a", path="p")
    target = environment.Environment(
        project=wanted.project, number=1, repository="a/b", repository_id=1, domain="example.com"
    )
    component = plan.app(target, wanted, PLATFORM, image="i", database_secrets={})
    assert set(component.values["env"]) == set(variables.APP)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 70_000),
        st.sampled_from(["", "a", "/a", "1Gi", "500m", "true", "x" * 300, "automatic", "a/b", "a\n", "A"]),
    ),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.sampled_from(["a", "name", "enabled", "cpu", "A"]), below, max_size=3),
    ),
    max_leaves=5,
)


@st.composite
def altered(draw: st.DrawFn, name: str) -> Any:
    """A file with an example of every key, and then something else in some places."""
    value = _complete(name)
    for _ in range(draw(st.integers(0, 3))):
        place = value
        for _ in range(draw(st.integers(0, 3))):
            inner = [
                one for one in (place.values() if isinstance(place, dict) else place) if isinstance(one, dict | list)
            ]
            place = draw(st.sampled_from(inner)) if inner else place
        if not place:
            continue
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if draw(st.booleans()):
            place[key] = draw(JSON)
        else:
            del place[key]
    return value


def _complete(name: str) -> Any:
    value: Any = {}
    for leaf in schemas.leaves(name):
        *above, last = leaf.path.split(".")
        if "0" not in above and leaf.path != "databases.postgresql":
            place = value
            for step in above:
                place = place.setdefault(step, {})
            place[last] = json.loads(json.dumps(leaf.rule["examples"][0]))
    return value


@pytest.mark.parametrize("name", ["k8s-ee", "platform"])
def test_a_file_with_every_example_is_a_good_file(name: str) -> None:
    assert _ours(name, _complete(name))


@pytest.mark.parametrize("name", ["k8s-ee", "platform"])
@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(st.data())
def test_the_checker_and_a_complete_validator_agree(name: str, data: st.DataObject) -> None:
    value = data.draw(altered(name))
    ours, theirs = _ours(name, value), _theirs(name, value)
    if ours != theirs:
        assert theirs, "what the schema refuses must be refused"
        assert _has_number_as_quantity(value) or "\\n" in json.dumps(value), "stricter only where it is meant"


def _ours(name: str, value: Any) -> bool:
    from k8s_ee.config import document

    found = problems.Problems("p")
    try:
        node = document.parse(json.dumps(value), found)
        checking.Checker(checking.schema(name), found).check(node, checking.schema(name))
        found.raise_if_any()
    except errors.ConfigError:
        return False
    return True


def _theirs(name: str, value: Any) -> bool:
    return jsonschema.Draft7Validator(dict(checking.schema(name))).is_valid(value)


def _has_number_as_quantity(value: Any) -> bool:
    """A schema's `pattern` says nothing about numbers; ours holds for them too."""
    places = [value.get("limits"), value.get("resources"), value.get("databases")]
    return bool(re.search(r"[ \[:]-?[0-9]", json.dumps(places)))


@pytest.mark.parametrize("text", ["3000.0", "3e3", ".nan", "010"])
def test_the_checker_is_stricter_than_json_where_yaml_is_looser(text: str) -> None:
    with pytest.raises(errors.ConfigError):
        config.load(f"projectId: a\napp: {{port: {text}}}", path="p")


def test_reading_a_file_imports_no_general_validator() -> None:
    program = (
        "import sys; from k8s_ee import config; config.load('projectId: a', path='p');"
        "sys.exit(' '.join({'jsonschema', 'attr', 'referencing', 'rpds', 'kubernetes'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_package_can_be_imported_without_reading_anything() -> None:
    program = "import sys; import k8s_ee.config; sys.exit(' '.join({'yaml', 'difflib'} & set(sys.modules)) or None)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


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
