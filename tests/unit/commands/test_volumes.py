"""What is said of a volume that has not grown."""

from __future__ import annotations

import pytest

from k8s_ee import environment, errors
from k8s_ee.commands import volumes
from k8s_ee.config import model
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture


def test_when_no_time_is_left_it_is_not_looked_at_and_that_is_no_crash(world: sweeps.World) -> None:
    ctx = world.session(
        after=sweeps.HOUR, timeout=0, number=7, repository="acme/shop", repository_id=42, head_sha="a" * 40
    )
    ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"))
    with pytest.raises(errors.NotReady, match="has not grown to 2Gi: nobody has said why"):
        volumes.wait(ctx, model.Database(engine="postgresql", storage="2Gi"))
