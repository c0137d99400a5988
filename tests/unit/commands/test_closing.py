"""A deploy whose pull request is closed meanwhile leaves no environment, whatever it came to."""

from __future__ import annotations

import pytest

from k8s_ee import errors, outcome
from k8s_ee import github as githubs
from k8s_ee.commands import closing, reporting, session
from tests.unit.commands import sweeps
from tests.unit.commands.test_cleanup import FACTS, LATER
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import github_faults as faults


@pytest.fixture
def pushed(world: sweeps.World, monkeypatch: pytest.MonkeyPatch) -> session.Session:
    """The deploy of a push to pull request 7, which is open and has its environment."""
    world.put(7)
    world.arguments(monkeypatch=monkeypatch)
    ctx = world.session(after=sweeps.HOUR, event="pull_request", action="synchronize", head_sha="a" * 40, **FACTS)
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    return ctx


def fails() -> outcome.Outcome:
    raise errors.NotReady("the link answered 404")


@pytest.mark.parametrize("failed", [True, False], ids=["failed", "skipped"])
def test_closed_it_ends_what_it_deployed_and_says_that_it_is_gone(
    world: sweeps.World, pushed: session.Session, failed: bool
) -> None:
    world.shop.pulls[7].state = "closed"
    skips = lambda: pushed.skipped("deploy-db", "the pull request is closed")  # noqa: E731
    ended = closing.deploying(pushed, fails if failed else skips)
    assert not world.there("shop-pr-7")
    assert (ended.command, ended.state, ended.failure) == ("cleanup", "destroyed", None)
    assert "the pull request was closed while it was being deployed" in ended.notes
    assert ("its deploy had failed: the link answered 404" in ended.notes) == failed
    reporting.publish(pushed, ended)
    assert "is gone" in world.comments[0]


def test_open_it_failed_and_nothing_is_touched(world: sweeps.World, pushed: session.Session) -> None:
    with pytest.raises(errors.NotReady, match="404"):
        closing.deploying(pushed, fails)
    assert world.there("shop-pr-7")


def test_what_was_skipped_for_another_reason_stays_skipped(world: sweeps.World, pushed: session.Session) -> None:
    assert closing.deploying(pushed, lambda: pushed.skipped("up", "queued")).state == "skipped"
    assert world.there("shop-pr-7")


def test_preserved_it_stays_and_has_failed(world: sweeps.World, pushed: session.Session) -> None:
    world.put(7, preserved_until=LATER)
    world.shop.pulls[7].state = "closed"
    with pytest.raises(errors.NotReady, match="404"):
        closing.deploying(pushed, fails)
    assert world.there("shop-pr-7")


def test_where_github_says_nothing_nothing_is_concluded(world: sweeps.World, pushed: session.Session) -> None:
    world.shop.pulls[7].state = "closed"
    world.github.faults.add(faults.Fault(status=502, times=99))
    with pytest.raises(errors.NotReady, match="404"):
        closing.deploying(pushed, fails)
    assert world.there("shop-pr-7")
