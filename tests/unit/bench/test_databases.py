from __future__ import annotations

import pytest

from tests.bench import databases


def results(*, alone: float = 4.0, cpu: float = 1.0, together: float) -> databases.Results:
    bare = dict.fromkeys(databases.ENGINES, 3.0)
    one = databases.Round(
        bare, dict.fromkeys(databases.ENGINES, alone), dict.fromkeys(databases.ENGINES, cpu), together
    )
    return databases.Results(2, (0, 0), (one, one))


@pytest.mark.parametrize(
    ("alone", "cpu", "together", "least"),
    [(4.0, 1.0, 5.2, 4.0), (4.0, 4.0, 13.0, 10.0)],
)
def test_the_least_possible_is_the_slowest_alone_or_the_work_of_all_on_all_cores(
    alone: float, cpu: float, together: float, least: float
) -> None:
    found = results(alone=alone, cpu=cpu, together=together)
    assert found.least == least
    assert found.met
    assert "MISSED" not in databases.text(found)
    assert not results(alone=alone, cpu=cpu, together=together + 0.1).met


def test_one_engine_that_takes_too_long_beyond_its_own_start_is_a_missed_target() -> None:
    found = results(alone=4.6, together=4.6)
    assert not found.met
    assert "MISSED redis: 1.60 s beyond bare" in databases.text(found)
