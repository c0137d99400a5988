"""What cleaning up one project of a pull request says and does about the others."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import github as githubs
from k8s_ee import outcome, report
from k8s_ee.commands import cleanup, keeping, reporting, session
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

FACTS: dict[str, Any] = {"repository": "acme/shop", "repository_id": 42, "number": 7}
LATER = (sweeps.CREATED + 2 * sweeps.HOUR).isoformat()


def cleaned(world: sweeps.World, *, project: str) -> tuple[outcome.Outcome, list[str]]:
    """And the states of the pull request's GitHub deployments, of which `shop` has one that is live."""
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    live = ctx.github.deployment(7, namespace="shop-pr-7", sha="a" * 40)
    ctx.github.deployment_status(live, "success", url="https://shop-pr-7.preview.test")
    result = cleanup.cleanup(ctx, project=project)
    reporting.publish(ctx, result)
    return result, [one.state for one in world.shop.deployments.values()]


def test_a_project_that_has_no_environment_leaves_the_others_alone(world: sweeps.World) -> None:
    world.put(7)
    result, deployments = cleaned(world, project="shpo")
    assert deployments == ["success"]
    assert world.there("shop-pr-7")
    assert result.notes == ("nothing to clean up: project shpo has no environment here, but there is one of shop",)
    assert world.comments == []


def test_one_of_a_pull_request_without_any_says_so(world: sweeps.World) -> None:
    result, deployments = cleaned(world, project="shpo")
    assert deployments == ["success"]
    assert result.notes == ("nothing to clean up: this pull request has no environment",)


@pytest.mark.parametrize("project", ["shop", ""])
def test_what_is_gone_is_not_live_any_more(world: sweeps.World, project: str) -> None:
    world.put(7)
    _result, deployments = cleaned(world, project=project)
    assert deployments == ["inactive"]
    assert not world.there("shop-pr-7")


@pytest.mark.parametrize("named", ["", "acme/shop"])
def test_its_pull_request_is_told_also_by_who_has_only_the_id_of_the_repository(
    world: sweeps.World, named: str
) -> None:
    world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS | {"repository": named})
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    reporting.publish(ctx, keeping.preserve(ctx, duration=sweeps.HOUR))
    (comment,) = world.comments
    assert "is preserved" in comment
    reporting.publish(ctx, cleanup.cleanup(ctx))
    (comment,) = world.comments
    assert report.GONE in comment


def test_who_names_no_repository_and_has_no_environment_is_told_which_option_is_missing(world: sweeps.World) -> None:
    ctx = world.session(after=sweeps.HOUR, **FACTS | {"repository": ""})
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    reporting.publish(ctx, cleanup.cleanup(ctx))
    assert world.comments == []


def test_what_need_not_be_cleaned_up_has_outputs_that_can_be_read(world: sweeps.World) -> None:
    world.put(7)
    ctx = world.session(after=sweeps.HOUR, event="pull_request", action="closed", **FACTS)
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    result = cleanup.cleanup(ctx)
    assert result.state == "skipped"
    assert (result.outputs["deleted"], result.outputs["left-over"], result.outputs["namespace"]) == ("[]", "[]", "")


def closed(world: sweeps.World) -> session.Session:
    world.shop.pulls[7].state = "closed"
    ctx = world.session(after=sweeps.HOUR, event="pull_request", action="closed", **FACTS)
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    return ctx


@pytest.mark.parametrize("until", [LATER, "when it rains"])
def test_what_is_preserved_outlives_its_pull_request(world: sweeps.World, until: str) -> None:
    world.put(7, preserved_until=until)
    result = cleanup.cleanup(closed(world))
    assert world.there("shop-pr-7")
    assert (result.state, result.outputs["deleted"]) == ("skipped", "[]")
    assert "shop-pr-7 is preserved until" in result.notes[0]


def test_what_was_preserved_until_a_while_ago_does_not(world: sweeps.World) -> None:
    world.put(7, preserved_until=(sweeps.CREATED + sweeps.HOUR / 2).isoformat())
    assert cleanup.cleanup(closed(world)).state == "destroyed"
    assert not world.there("shop-pr-7")


def test_whoever_asks_for_it_destroys_also_what_is_preserved(world: sweeps.World) -> None:
    world.put(7, preserved_until=LATER)
    assert cleanup.cleanup(world.session(after=sweeps.HOUR, **FACTS)).state == "destroyed"
    assert not world.there("shop-pr-7")


def test_of_several_projects_only_what_goes_is_said_to_be_gone(world: sweeps.World) -> None:
    for project in ("docs", "shop"):
        world.put(7, project=project, **({"preserved_until": LATER} if project == "docs" else {}))
    ctx = closed(world)
    assert ctx.github
    for namespace in ("docs-pr-7", "shop-pr-7"):
        ctx.github.upsert_comment(7, report.marker(namespace), f"{report.marker(namespace)}\n### is ready")
        live = ctx.github.deployment(7, namespace=namespace, sha="a" * 40)
        ctx.github.deployment_status(live, "success", url=f"https://{namespace}.preview.test")
    result = cleanup.cleanup(ctx)
    reporting.publish(ctx, result)
    assert (result.state, result.outputs["deleted"]) == ("destroyed", '["shop-pr-7"]')
    assert ["is gone" in one for one in world.comments] == [False, True]
    assert report.marker("docs-pr-7") in world.comments[0]
    assert [one.state for one in world.shop.deployments.values()] == ["success", "inactive"]
