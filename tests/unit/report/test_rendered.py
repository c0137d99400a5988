"""Manifests as text are these manifests, to every reader, and no command to a terminal or a runner."""

from __future__ import annotations

import re

import pytest
import yaml

from k8s_ee import outcome, report

VALUES = [
    *("::stop", "##[group]x", "x\n::y\n", "y" * 200 + "\n::z " + "w " * 100, "-- ##[error] hi\nselect 1;\n", "\t::x"),
    *(
        "a\u202eb",
        "\x1b[31mred",
        "a\r\nb",
        "tr \nx",
        "ok\nlines\n",
        "no end\nof line",
        "two\nends\n\n",
        "äö\u2028…🚀",
        "\ufeff",
        "\x85",
    ),
    *("y", "N", "yes", "1e3", "0X1F", "+0x10", "0o17", "1_000", ".5", "~", "null", "", " lead", "k: v", "# no", "---"),
]
TAKEN_FOR_SOMETHING_ELSE = re.compile(r"[yYnN]|1e3|0X1F|\+0x10|0o17|1_000|\.5")


def rendered(*manifests: object) -> str:
    """As it is printed."""
    text = report.text(
        outcome.Outcome(command="render", state="planned", data={"manifests": list(manifests)}), colour=False
    )
    return f"{text}\n"


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_is_rendered_is_what_was_meant(value: str) -> None:
    manifest = {"a": value, value: "b", "list": [value, {"c": value}]}
    text = rendered(manifest, {"second": value})
    assert list(yaml.safe_load_all(text)) == [manifest, {"second": value}]
    assert not re.search(r"^\s*::", text, re.MULTILINE)
    assert "##[" not in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_what_another_reader_takes_for_a_number_or_a_truth_is_in_quotes() -> None:
    for value in filter(TAKEN_FOR_SOMETHING_ELSE.fullmatch, VALUES):
        assert f'a: "{value}"' in rendered({"a": value})
