"""Our walk through a schema comes to the verdicts of a complete validator, and costs less."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from typing import Any

import hypothesis
import jsonschema
import pytest
from hypothesis import strategies as st

from k8s_ee import config, errors, plan
from k8s_ee.config import checking, document, problems
from tests.contract import schemas

SWITCHES = {f"databases.{engine}" for engine in plan.ENGINES}  # true or false instead of a map

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
        if "0" not in above and leaf.path not in SWITCHES:
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
    found = problems.Problems("p")
    try:
        node = document.parse(json.dumps(value), found)
        checking.Checker(checking.schema(name), found).check(node, checking.schema(name))
        found.raise_if_any()
    except errors.ConfigError:
        return False
    return True


def _theirs(name: str, value: Any) -> bool:
    return _validator(name).is_valid(value)


@functools.cache
def _validator(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator(dict(checking.schema(name)))


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
