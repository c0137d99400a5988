"""A run that a newer one overtook has nothing to do: it is green, says why, and leaves the comment to the other."""

from __future__ import annotations

import json

import pytest

from k8s_ee import __main__ as program
from k8s_ee import options
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

IMAGE = "--image=ghcr.io/acme/shop@sha256:" + "1" * 64


@pytest.mark.parametrize(
    "asked", [("create-namespace",), ("deploy-db",), ("deploy-app", IMAGE)], ids=lambda one: one[0]
)
def test_it_is_skipped_with_its_reason(
    world: sweeps.World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: tuple[str, ...],
) -> None:
    world.put(7, run="2000")
    arguments = world.arguments(*asked, "--output=json", monkeypatch=monkeypatch, GITHUB_RUN_ID="1000")
    assert program._execute(options.Run(), arguments) == 0
    found = json.loads(capsys.readouterr().out)
    reason = "a newer run (#2000) has deployed to shop-pr-7; this is run #1000"
    assert (found["state"], found["outputs"]["reason"], found["failure"]) == ("skipped", reason, None)
    assert world.comments == []
