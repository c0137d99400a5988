"""No text whatsoever does anything but load or end in a ConfigError, and soon."""

from __future__ import annotations

import random
import time

import hypothesis
import pytest
from hypothesis import strategies as st

from k8s_ee import config, errors
from tests.unit.config import test_loading

PIECES = [
    *"[]{}:,-?|>&*!%@`'\"#~<= \n\t\r\\",
    *("projectId: a\n", "app:\n  ", "env:\n", "- ", ": ", "? ", "<<: ", "*a", "&a ", "!!str ", "---\n", "...\n"),
    *("010", "1.10", "no", ".nan", "9" * 5000, "2024-01-01", "\ufeff", "\x85", "\u2028", "\x00", "\ud800", "é", "😀"),
    *(
        "%YAML 9.9\n",
        "%TAG ! tag:x,2000:\n",
        "|+9\n",
        ">-\n",
        '"\\ud800"',
        '"\\U00110000"',
        '"\\0"',
        "port: ",
        "postgresql: ",
    ),
]
TEXTS = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
SETTINGS = hypothesis.settings(max_examples=300, deadline=5_000)


def check(text: str | bytes) -> None:
    try:
        config.load(text, path="k8s-ee.yaml")
    except errors.ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    else:
        return
    assert problems
    assert all(problem.isprintable() and len(problem) < 1_000 for problem in problems)


@SETTINGS
@hypothesis.given(TEXTS)
def test_any_text_loads_or_is_refused(text: str) -> None:
    check(text)


@SETTINGS
@hypothesis.given(st.binary(max_size=300))
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    check(data)


@SETTINGS
@hypothesis.given(TEXTS, st.randoms(use_true_random=False))
def test_a_good_file_with_anything_pasted_into_it_loads_or_is_refused(text: str, where: random.Random) -> None:
    good = test_loading.EVERYTHING
    start = where.randrange(len(good))
    check(good[:start] + text + good[start + where.choice((0, 0, 5, 50)) :])


@SETTINGS
@hypothesis.given(TEXTS)
def test_any_text_is_refused_as_platform_settings_too(text: str) -> None:
    with pytest.raises(errors.ConfigError):
        config.load_platform(text, path="p")


def _huge() -> dict[str, str]:
    size = 256 * 1024 - 100
    repeated = {
        "open lists": "[",
        "open maps": "{",
        "nested dashes": "- ",
        "complex keys": "? ",
        "flat list": "- a\n",
        "flow list": "a,",
        "unknown keys": None,
        "environment": None,
        "one key again and again": "a: b\n",
        "aliases": "- *a\n",
        "anchors": "- &a b\n",
        "tags": "- !a b\n",
        "documents": "---\n",
        "escapes": None,
        "long text": None,
        "long number": "9",
        "percent": "%",
        "quotes": "'",
        "colons": "a:",
        "comments": "#\n",
        "block": None,
    }
    texts = {name: (piece * size)[:size] for name, piece in repeated.items() if piece}
    texts["flow list"] = "env: [" + texts["flow list"]
    texts["long number"] = "app: {port: " + texts["long number"] + "}"
    texts["unknown keys"] = "".join(f"healthpat{n}: 1\n" for n in range(12_000))
    texts["environment"] = "projectId: a\nenv:\n" + "".join(f"  A{n}: b\n" for n in range(20_000))
    texts["escapes"] = 'a: "' + "\\n" * 120_000 + '"'
    texts["long text"] = f"projectId: {'a-' * 120_000}"
    texts["block"] = "projectId: a\nenv:\n  A: |\n" + "    a\n" * 40_000
    texts["path"] = f"projectId: a\nwritableDirs: ['{'/a' * 120_000}!:']"
    texts["repository"] = f"projectId: a\nimage: {{repository: 'a{'-a' * 120_000}!'}}"
    return texts


@pytest.mark.parametrize("name", sorted(_huge()))
def test_the_largest_file_of_any_shape_is_judged_within_seconds(name: str) -> None:
    start = time.process_time()
    check(_huge()[name])
    assert time.process_time() - start < 5


def test_ten_thousand_repositories_are_read_within_seconds() -> None:
    numbers = ",".join(map(str, range(1, 10_001)))
    start = time.process_time()
    platform = config.load_platform(f"domain: a\nallowed: {{repositoryIds: [{numbers}]}}", path="p")
    assert time.process_time() - start < 5
    assert len(platform.allowed_repository_ids) == 10_000
