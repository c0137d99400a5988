"""A push whose k8s-ee.yaml can't be read, or asks for too much: the comment says so, even if it is the first one."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from k8s_ee import errors
from k8s_ee import github as githubs
from k8s_ee.commands import admission, namespace, reporting, validate
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

FACTS: dict[str, Any] = {"repository": "acme/shop", "repository_id": 42, "number": 7, "head_sha": "a" * 40}


def told(world: sweeps.World, config: bytes, folder: pathlib.Path) -> list[str]:
    """The comments after a first push with this file."""
    world.put(7)
    ctx = world.session(after=sweeps.HOUR, **FACTS)
    (folder / "k8s-ee.yaml").write_bytes(config)
    ctx.options = dataclasses.replace(ctx.options, config_path=folder / "k8s-ee.yaml")
    ctx.github = githubs.GitHub(ctx.settings, pause=0.01, patience=0.1, timeout=5)
    with pytest.raises(errors.ConfigError) as caught:
        validate.validate(ctx)
    reporting.publish(ctx, reporting.failure(ctx, caught.value, command="up"))
    return world.comments


@pytest.mark.parametrize(
    "config",
    [
        b"projectId: shop\napp:\n\tport: 80\n",
        b"app: [\nprojectId: 'shop'  # ours\n",
        b'\xef\xbb\xbfprojectId: "shop"\r\n<<<<<<< HEAD\r\n=======\r\n',
        b"projectId: shop\napp: \xff\n",
        b"projectId: shop\napp: {port: many}\n",
    ],
)
def test_the_comment_says_what_is_wrong(world: sweeps.World, config: bytes, tmp_path: pathlib.Path) -> None:
    (comment,) = told(world, config, tmp_path)
    assert comment.startswith("<!-- k8s-ee:shop-pr-7 -->")
    assert "k8s-ee.yaml" in comment


@pytest.mark.parametrize(
    "config",
    [b"projectId: [broken", b"projectId: shop\nprojectId: cart\n\t- [", b"app:\n  projectId: shop\n\t- [", b"\0"],
)
def test_nobody_is_named_whom_the_file_does_not_name_clearly(
    world: sweeps.World, config: bytes, tmp_path: pathlib.Path
) -> None:
    assert told(world, config, tmp_path) == []


@pytest.mark.parametrize(
    ("config", "platform", "says"),
    [
        ("resources: {limits: {memory: 64Gi}}\n", "allowed: {repositoryIds: [42]}\n", "more than the platform allows"),
        ("", "allowed: {repositoryIds: [5]}\n", "does not list"),
        ("", "allowed: [\n", "not valid YAML"),
    ],
)
def test_so_does_that_of_one_which_the_platform_does_not_allow(
    world: sweeps.World, tmp_path: pathlib.Path, config: str, platform: str, says: str
) -> None:
    world.put(7)
    ctx = world.session(after=sweeps.HOUR, event="pull_request", owner_id=1, **FACTS)
    (tmp_path / "k8s-ee.yaml").write_text("projectId: shop\n" + config)
    world.platform.write_text("domain: preview.test\n" + platform)
    ctx.options = dataclasses.replace(ctx.options, config_path=tmp_path / "k8s-ee.yaml")
    with pytest.raises(errors.K8sEEError) as caught:
        namespace.create_namespace(ctx)
    reporting.publish(ctx, reporting.failure(ctx, caught.value, command="create-namespace"))
    (comment,) = world.comments
    assert comment.startswith("<!-- k8s-ee:shop-pr-7 -->")
    assert says in comment


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_workflow_that_is_started_by_hand_knows_the_branch_as_a_push_does(
    world: sweeps.World, tmp_path: pathlib.Path, *, dry_run: bool
) -> None:
    world.put(7)
    world.shop.pulls[7].branch = "feature/x"
    ctx = world.session(after=sweeps.HOUR, event="workflow_dispatch", **{**FACTS, "head_sha": ""})
    (tmp_path / "k8s-ee.yaml").write_text("projectId: shop\n")
    world.platform.write_text("domain: preview.test\nallowed: {repositoryIds: [42]}\n")
    ctx.options = dataclasses.replace(ctx.options, config_path=tmp_path / "k8s-ee.yaml", dry_run=dry_run)
    assert admission.check(ctx) == ""
    assert (ctx.target().head_sha, ctx.target().branch) == ("a" * 40, "feature/x")
    reporting.tell(ctx, ctx.result("create-namespace", "deploying"))
    assert bool(world.comments) != dry_run
