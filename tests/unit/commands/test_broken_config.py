"""A push whose k8s-ee.yaml can't be read: the comment says so, even if it is the first one."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import pytest

from k8s_ee import errors
from k8s_ee import github as githubs
from k8s_ee.commands import reporting, validate
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
