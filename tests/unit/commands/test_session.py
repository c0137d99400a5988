from __future__ import annotations

import io
import time

import pytest

from k8s_ee import config, runner, settings
from k8s_ee.commands import session


def left(text: str, timeout: float | None = None) -> float:
    """Seconds that a command has, once it has read this."""
    found = settings.Settings.from_environ({})
    made = session.Session(
        settings=found,
        options=session.Options(timeout=timeout),
        runner=runner.Runner(found, stream=io.StringIO(), redacted=lambda said: said),
        say=lambda _line: None,
    )
    made.__dict__["config"] = config.load("projectId: shop\n" + text, path="k8s-ee.yaml")
    return made.deadline - time.monotonic()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 600),
        ("app: {startupSeconds: 900}\n", 1200),
        ("app: {replicas: 4}\ndatabases: {redis: {startupSeconds: 300}, mariadb: true}\n", 1200),
    ],
)
def test_a_command_may_take_as_long_as_everything_it_starts(text: str, seconds: float) -> None:
    assert left(text) == pytest.approx(seconds, abs=5)
    assert left(text, timeout=20) == pytest.approx(20, abs=5)
