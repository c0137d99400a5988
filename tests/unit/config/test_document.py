"""Text that is not the YAML we take."""

from __future__ import annotations

import pytest
import yaml

from k8s_ee import errors
from k8s_ee.config import document, problems
from tests.unit.config import reading


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n", "~ # nothing"[1:], "\ufeff"])
def test_an_empty_file_is_told_the_smallest_one(text: str) -> None:
    found = reading.problem(text)
    assert (found.line, found.message) == (0, "the file is empty")
    assert "projectId: my-app" in found.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [("- a\n", "a list"), ("just text\n", "`just text`"), ("[]", "a list"), ("null", "`null`")],
)
def test_a_file_that_is_no_map_is_told_so(text: str, found: str) -> None:
    assert reading.problem(text).message == f"found {found}, expected keys with values"


def test_a_byte_order_mark_is_no_problem() -> None:
    assert reading.load("\ufeffprojectId: a").project == "a"


def test_windows_line_ends_keep_their_line_numbers() -> None:
    found = reading.problem(b"projectId: a\r\napp:\r\n  prot: 1\r\n")
    assert (found.line, found.column) == (3, 3)


def test_a_key_that_is_there_twice_names_both_lines() -> None:
    found = reading.app("trigger: automatic\ntrigger: on-demand\n")
    assert (found.line, found.column) == (3, 1)
    assert found.message == "the key `trigger` is here twice, first on line 2"


def test_a_key_that_is_there_twice_in_quotes_is_the_same_key() -> None:
    assert "twice" in reading.app("trigger: automatic\n'trigger': on-demand\n").message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("env: &x\n  A: b\n", "found the anchor `&x`"),
        ("trigger: *x\n", "found the alias `*x`"),
        ("env:\n  - *x\n", None),
        ("env:\n  <<: {A: b}\n", "found the merge key `<<`"),
        ("trigger: !!str automatic\n", "found the tag `tag:yaml.org,2002:str`"),
        ("trigger: !python/object:os.system automatic\n", "found the tag `!python/object:os.system`"),
        ("trigger: ! automatic\n", "found the tag `!`"),
        ("env: !!map {A: b}\n", "found the tag `tag:yaml.org,2002:map`"),
        ("? [a, b]\n: c\n", "found a list or map as a key"),
        ("? {a: b}\n: c\n", "found a list or map as a key"),
        ("1: a\n", "the key `1` is a number to YAML"),
        ("on: a\n", "the key `on` is the truth value true to YAML 1.1"),
        ("~: a\n", "the key `~` is nothing (null) to YAML"),
        ("2024-01-01: a\n", "the key `2024-01-01` is a date to YAML 1.1"),
        ("*x : a\n", "found the alias `*x`"),
    ],
)
def test_what_readers_of_yaml_disagree_about_is_refused(text: str, message: str | None) -> None:
    found = [one.message for one in reading.problems(f"projectId: a\n{text}")]
    assert message in found if message else any("alias" in one for one in found)


def test_a_second_document_is_refused_where_it_starts() -> None:
    found = reading.problem("projectId: a\n---\nprojectId: b\n")
    assert (found.line, found.message) == (2, "a second document starts here")


def test_a_document_may_have_a_start_and_an_end() -> None:
    assert reading.load("%YAML 1.1\n---\nprojectId: a\n...\n").project == "a"


def test_a_value_over_an_alias_is_not_called_missing() -> None:
    assert [one.message for one in reading.problems("projectId: *x\n")] == ["found the alias `*x`"]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_nesting_without_end_is_refused_at_once(opening: str) -> None:
    found = reading.problems(opening * 3_000)[-1]
    assert found.message == f"nested more than {document.MAX_DEPTH} levels deep"


def test_a_bomb_of_aliases_is_refused_at_its_first_anchor() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30))]
    assert "found the anchor `&a0`" in [one.message for one in reading.problems("\n".join(lines))]


def test_a_file_of_more_than_256_kib_is_refused() -> None:
    text = "projectId: a\n#".ljust(document.MAX_BYTES, "x")
    assert reading.load(text).project == "a"
    assert reading.problem(text + "x").message == "larger than 256 KiB"


@pytest.mark.parametrize("data", [b"projectId: \xff", "projectId: a".encode("utf-16"), b"\x89PNG\r\n\x1a\n\x00"])
def test_what_is_not_utf_8_is_refused(data: bytes) -> None:
    assert reading.problem(data).message == "not UTF-8 text"


def test_half_a_character_in_a_string_is_refused() -> None:
    assert reading.problem("projectId: \ud800").message == "not UTF-8 text"


def test_a_nul_byte_is_refused_at_its_place() -> None:
    found = reading.problem("projectId: a\nenv: {A: \0}")
    assert (found.line, found.column, found.message) == (2, 10, "found a NUL byte")


def test_an_invisible_character_is_named_at_its_place() -> None:
    found = reading.problem("projectId: a\nenv: {A: \x1b}")
    assert (found.line, found.column, found.message) == (2, 10, "found the invisible character U+001B")


@pytest.mark.parametrize(("text", "line", "column", "code"), [
    ("# 👨\u200d👩\nprojectId: a\nenv:\n  A: \x07\n", 4, 6, "0007"),
    ("# \U000e0001\nprojectId: a\n# \x9b\n", 3, 3, "009B"),
    ("projectId: a\n\x0c\n", 2, 1, "000C"),
    ("projectId: a # a\x0bb\n", 1, 17, "000B"),
    ("projectId: a\n# \x7f\n", 2, 3, "007F"),
    ("projectId: a\n# \ufffe\x07\n", 2, 3, "FFFE"),
    ("projectId: a\n# one\u2028two\nenv: {\n", 2, 6, "2028"),
    ("projectId: a\r\n# one\r\nenv: {A: 'b\u2029'}\r\n", 3, 12, "2029"),
    ("projectId: a\n# one\x85prot: 1\n", 2, 6, "0085"),
])  # fmt: skip
def test_the_first_character_that_is_in_the_way_is_named_on_the_line_that_others_count(
    text: str, line: int, column: int, code: str
) -> None:
    found = reading.problem(text)
    assert (found.line, found.column) == (line, column)
    assert found.message == f"found the invisible character U+{code}"


def test_a_separator_of_lines_is_told_how_it_can_be_written() -> None:
    assert reading.problem("projectId: a\nenv: {A: 'b\u2028'}\n").hint.endswith("`\\u2028` in double quotes")
    assert reading.problem("projectId: a\nenv: {A: 'b\x85'}\n").hint == "remove it"


@pytest.mark.parametrize("text", ["👨\u200d👩", "a\u00a0b", "\ufeff", "\u200b", "\U000e0001", "\ue000"])
def test_invisible_characters_that_yaml_allows_are_no_problem(text: str) -> None:
    assert reading.load(f"# {text}\nprojectId: a\nenv: {{A: '{text}'}}\n").env["A"] == text


def test_an_escaped_control_character_is_refused_and_not_printed() -> None:
    found = reading.app('env: {A: "\\x1b[31m"}\n')
    assert "\x1b" not in str(found)
    assert found.hint == "it has the invisible character U+001B in it"


@pytest.mark.parametrize(("escape", "code"), [
    ("\\x7f", "007F"), ("\\x80", "0080"), ("\\N", "0085"), ("\\u009b", "009B"), ("\\x9f", "009F"),
    ("\\ufffe", "FFFE"), ("\\uffff", "FFFF"),
])  # fmt: skip
def test_an_escaped_character_that_no_manifest_can_hold_is_refused(escape: str, code: str) -> None:
    found = reading.app(f'env:\n  A: "a{escape}b"\n')
    assert (found.line, found.hint) == (3, f"it has the invisible character U+{code} in it")


@pytest.mark.parametrize(
    "escape", ["\\t", "\\r", "\\n", "\\_", "\\L", "\\P", "\\u200d", "\\ufeff", "\\U0001f680", "\\U0010ffff"]
)
def test_any_other_character_may_be_escaped(escape: str) -> None:
    assert reading.load(f'projectId: a\nenv: {{A: "{escape}"}}\n').env["A"] == yaml.safe_load(f'"{escape}"')


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("app:\n\tport: 1\n", 3, "spaces, not tabs"),
        ("env:\n  A: b: c\n", 3, "': ' needs quotes"),
        ("env: {A: b\n", 3, "not closed"),
        ("env:\n  A: 'b\n", 4, "never closed"),
        ("env:\n  A: @b\n", 3, "needs quotes"),
        ("app:\n  port: 1\n env: {}\n", 4, "indentation"),
        ('env: {A: "\\d"}\n', 2, "backslash"),
    ],
)
def test_a_syntax_error_says_where_and_what_usually_helps(text: str, line: int, hint: str) -> None:
    found = reading.problems(f"projectId: a\n{text}")[-1]
    assert found.line == line
    assert found.message.startswith("not valid YAML: ")
    assert hint in found.hint


def test_problems_before_a_syntax_error_are_said_too() -> None:
    assert len(reading.problems("projectId: a\nprojectId: b\nenv: {")) == 2


def test_after_a_hundred_problems_reading_stops_and_says_so() -> None:
    text = "projectId: a\n" + "".join(f"x{n}: 1\n" for n in range(500))
    with pytest.raises(errors.ConfigError) as caught:
        reading.load(text)
    assert len(caught.value.problems) == problems.LIMIT
    assert caught.value.hint == "reading stopped after 100 problems"


@pytest.mark.parametrize("text", ["a: [1, 'two', {b: |\n  three\n}]", "a: b\n---\nc: d", "a: [", "a: *b", "? [x]\n: y"])
def test_the_parser_in_c_and_the_one_in_python_give_the_same_events(text: str) -> None:
    """PyYAML has the first only where libyaml was there when it was built; we must not depend on which."""

    def events(loader: type) -> list[str]:
        found = []
        try:
            for event in yaml.parse(text, loader):
                start = event.start_mark
                assert start
                place = "" if isinstance(event, yaml.CollectionEndEvent) else f"{start.line}:{start.column}"
                found.append(f"{type(event).__name__} {place} {getattr(event, 'implicit', '')}")
        except yaml.YAMLError:
            found.append("error")
        return [one for one in found if not one.startswith(("Stream", "Document"))]

    assert events(yaml.CSafeLoader) == events(yaml.SafeLoader)
