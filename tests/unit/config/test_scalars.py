"""Values written without quotes."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from k8s_ee.config import scalars
from tests.unit.config import reading

SURPRISES = [
    *("no", "No", "NO", "yes", "on", "off", "Off", "true", "False"),
    *("010", "0o17", "0x1F", "0b11", "1_000", "22:22", "190:20:30", "1.10", "1e3", "3000.0", "+12", ".5", "1."),
    *(".inf", "-.INF", ".nan", "2024-01-01", "2024-01-01T10:00:00Z", "~", "null", "=", "17", "-1"),
]


@pytest.mark.parametrize("text", SURPRISES)
def test_an_environment_variable_is_never_anything_but_the_text_that_is_written(text: str) -> None:
    found = reading.app(f"env:\n  A: {text}\n")
    assert (found.line, found.column) == (3, 6)
    assert "expected text" in found.message
    assert found.hint.startswith(("give a value", f'write it in quotes: "{text}"'))


@pytest.mark.parametrize("text", SURPRISES)
def test_in_quotes_it_is_that_text(text: str) -> None:
    loaded = reading.load(f"projectId: a\nenv: {{A: '{text}', B: \"{text}\"}}")
    assert loaded.env == {"A": text, "B": text}


def test_a_block_is_text_whatever_it_looks_like() -> None:
    assert reading.load("projectId: a\nenv:\n  A: |-\n    010\n").env == {"A": "010"}


@pytest.mark.parametrize(
    "text", ["y", "n", "1.2.3", "v1", "http://x:80/", "12h", "100m", "a: b"[:1], "-x", "1-2", "~x"]
)
def test_plain_text_stays_plain_text(text: str) -> None:
    assert reading.load(f"projectId: a\nenv:\n  A: {text}\n").env == {"A": text}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("3000.0", "write 3000"),
        ("'3000'", "remove the quotes"),
        ("010", "for example `port: 8080`"),
        ("0x1F", "for example `port: 8080`"),
        ("50:00", "for example `port: 8080`"),
        ("three", "for example `port: 8080`"),
        ("70000", "for example `port: 8080`"),
        ("0", "for example `port: 8080`"),
        ("-1", "for example `port: 8080`"),
        ("٣", "for example `port: 8080`"),
        ("9" * 5000, "for example `port: 8080`"),
        (".inf", "for example `port: 8080`"),
        ("true", "for example `port: 8080`"),
        ("", "give a value or remove the key"),
    ],
)
def test_a_port_is_a_decimal_number_and_nothing_else(text: str, hint: str) -> None:
    found = reading.app(f"app:\n  port: {text}\n")
    assert "expected a whole number from 1 to 65535" in found.message
    assert found.hint == hint


@pytest.mark.parametrize("text", ["yes", "on", "No"])
def test_a_truth_value_is_true_or_false(text: str) -> None:
    assert reading.app(f"ingress: {{enabled: {text}}}").hint == "write true or false"


def test_a_truth_value_in_quotes_is_text() -> None:
    assert reading.app("ingress: {enabled: 'false'}").hint == "remove the quotes"


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False), ("TRUE", True)])
def test_both_versions_of_yaml_agree_on_these(text: str, value: bool) -> None:
    assert reading.load(f"projectId: a\ningress: {{enabled: {text}}}").ingress.enabled is value


@pytest.mark.parametrize("text", ["1", "0.5", "0.50", "2", "250m", "'1'"])
def test_a_quantity_may_be_a_number_and_stays_as_it_was_written(text: str) -> None:
    loaded = reading.load(f"projectId: a\nresources: {{limits: {{cpu: {text}}}}}")
    assert loaded.resources.limits.cpu == text.strip("'")


def test_a_version_with_a_dot_needs_quotes_because_1_10_is_1_1_to_yaml() -> None:
    found = reading.app("databases: {postgresql: {version: 17.10}}")
    assert found.hint == 'write it in quotes: "17.10"'
    assert reading.load("projectId: a\ndatabases: {postgresql: {version: 17}}").databases[0].version == "17"


@pytest.mark.parametrize("text", ["1", "1.8"])
def test_object_storage_has_no_release_of_fewer_than_three_numbers_in_quotes_or_not(text: str) -> None:
    for written in (text, f"'{text}'"):
        found = reading.app(f"databases: {{minio: {{version: {written}}}}}")
        assert 'expected a version such as "1.8.0"' in found.message
        assert found.hint == 'for example `version: "1.8.0"`'
    assert reading.load("projectId: a\ndatabases: {minio: {version: 1.8.0}}").databases[0].version == "1.8.0"


def test_quotes_are_no_help_where_the_text_in_them_is_refused_as_well() -> None:
    assert reading.app("trigger: on").hint == 'for example `trigger: "on-demand"`'


@pytest.mark.parametrize(
    ("key", "example"),
    [("databases", '{"postgresql": true}'), ("ingress", '{"enabled": false}'), ("metrics", '{"enabled": true}')],
)
def test_what_is_no_map_is_shown_one(key: str, example: str) -> None:
    assert reading.app(f"{key}: postgresql").hint == f"for example `{key}: {example}`"


@given(st.text(alphabet="0123456789abefinlotruysxX_:.+-~=<TZ ", max_size=24).filter(str.strip))
def test_what_pyyaml_reads_as_something_else_is_never_taken_for_text(text: str) -> None:
    try:
        value = yaml.safe_load(f"a: {text}")
    except (yaml.YAMLError, ValueError):
        return
    if isinstance(value, dict) and not isinstance(value["a"], str | dict | list):
        assert scalars.read(text.strip()).kind != "text"
