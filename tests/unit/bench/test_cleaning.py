import pytest

from tests.bench import cleaning


@pytest.mark.parametrize(
    ("serial", "floor", "ours", "met"),
    [(300, 20, 25, True), (300, 20, 26, False), (120, 24, 25, False)],
)
def test_both_the_serial_loop_and_the_floor_decide(serial: float, floor: float, ours: float, met: bool) -> None:
    seconds = {cleaning.SERIAL: (serial,), cleaning.FLOOR: (floor, floor, 99), cleaning.OURS: (ours, 1, ours)}
    found = cleaning.Results(50, (0, 0), seconds)
    assert found.met is met
    assert ("MISSED" in cleaning.text(found)) is not met
