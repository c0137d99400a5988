from __future__ import annotations

import pytest

from scripts import mutants

NONE = dict.fromkeys(("killed", "survived", "total", "no_tests", "skipped", "suspicious", "timeout", "segfault"), 0)


@pytest.mark.parametrize(
    ("killed", "timeout", "enough"), [(90, 0, True), (89, 1, True), (89, 0, False), (100, 0, True), (0, 0, False)]
)
def test_fewer_noticed_changes_than_wanted_are_not_enough(killed: int, timeout: int, enough: bool) -> None:
    text, found = mutants.verdict({**NONE, "killed": killed, "timeout": timeout, "total": 100})
    assert found is enough
    assert text == f"{killed + timeout} of 100 changes noticed: {killed + timeout}.0%, wanted 90%"


def test_no_change_at_all_is_not_enough() -> None:
    assert mutants.verdict(NONE)[1] is False
