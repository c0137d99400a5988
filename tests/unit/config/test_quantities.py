from __future__ import annotations

import decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_ee import errors
from k8s_ee.config import quantities

D = decimal.Decimal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1", 1),
        ("500m", D("0.5")),
        ("0.1", D("0.1")),
        (".5", D("0.5")),
        ("1.", 1),
        ("100n", D("1e-7")),
        ("100u", D("1e-4")),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("1E", 10**18),
        ("1Ei", 2**60),
        ("1e3", 1000),
        ("1E3", 1000),
        ("12e-1", D("1.2")),
        ("129M", 129_000_000),
    ],
)
def test_every_notation_of_kubernetes_is_read(text: str, value: D | int) -> None:
    assert quantities.parse(text) == value


@pytest.mark.parametrize(
    "text", ["", "m", "Gi", "-1", "1 Gi", "1GB", "1g", "1ki", "1Gi\n", "\u0661", "1.2.3", "nan", "1e", "1mi"]
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError):
        quantities.parse(text)


@pytest.mark.parametrize(
    ("cores", "text"), [("2", "2"), ("0.5", "500m"), ("1.25", "1250m"), ("0.0001", "1m"), ("0", "0"), ("1000", "1000")]
)
def test_processors_are_written_in_whole_cores_or_thousandths(cores: str, text: str) -> None:
    assert quantities.cpu(D(cores)) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(1610612736, "1536Mi"), (2**30, "1Gi"), (1000, "1000"), (1024, "1Ki"), (0, "0"), ("0.5", "1"), (2**40 * 3, "3Ti")],
)
def test_memory_is_written_with_the_largest_unit_that_divides_it(size: int | str, text: str) -> None:
    assert quantities.memory(D(size)) == text


@given(st.integers(0, 2**62))
def test_memory_that_is_written_is_read_back_as_the_same_number(size: int) -> None:
    assert quantities.parse(quantities.memory(D(size))) == size


@given(st.integers(0, 10**9))
def test_processors_that_are_written_are_read_back_as_the_same_number(thousandths: int) -> None:
    assert quantities.parse(quantities.cpu(D(thousandths) / 1000)) == D(thousandths) / 1000
