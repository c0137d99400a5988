"""The image that a build hands on: what a deploy makes of one that did not arrive, or only as a digest."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from k8s_ee import __main__ as program
from k8s_ee import config as configs
from k8s_ee import errors, options
from k8s_ee.commands import app, session
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.workflows import events

DIGEST = "sha256:" + "1" * 64


def event(folder: pathlib.Path) -> dict[str, str]:
    """Of a push to pull request 7 of acme/shop."""
    payload = events.pull_request("synchronize", number=7, head_sha="a" * 40, repository="acme/shop")
    text = json.dumps(payload).replace(str(events.REPOSITORY_ID), "42")
    (folder / "event.json").write_text(text)
    more = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(folder / "event.json")}
    return {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md"), **more}


@pytest.mark.parametrize("command", ["deploy-app", "up", "run"])
def test_one_that_github_did_not_hand_on_is_told_of_where_its_people_look(
    world: sweeps.World,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    world.put(7)
    arguments = world.arguments(command, monkeypatch=monkeypatch, K8S_EE_IMAGE="", **event(tmp_path))
    assert program._execute(options.Run(), arguments) == 2
    told = [capsys.readouterr().out, (tmp_path / "summary.md").read_text(), *world.comments]
    assert len(told) == 3
    for one in told:
        assert "no image was handed on" in one
        assert "value of a secret" in one
    assert "::error title=k8s-ee" in told[0]


@pytest.mark.parametrize("command", ["deploy-app", "up", "render"])
def test_at_a_terminal_a_forgotten_one_is_said_at_once(
    world: sweeps.World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert program._execute(options.Run(), world.arguments(command, monkeypatch=monkeypatch)) == 2
    assert "Missing option '--image'" in capsys.readouterr().err
    assert world.kube.seen == []


def asked(world: sweeps.World, config: str, **facts: Any) -> session.Session:
    ctx = world.session(after=sweeps.HOUR, repository="Acme/Shop", is_actions=True, **facts)
    ctx.__dict__["config"] = configs.load(config, path="k8s-ee.yaml")
    return ctx


@pytest.mark.parametrize(
    ("config", "image"),
    [
        ("projectId: shop\nimage: {repository: docker.io/acme/web}\n", f"docker.io/acme/web@{DIGEST}"),
        ("projectId: shop\n", f"ghcr.io/acme/shop@{DIGEST}"),
    ],
)
def test_of_a_digest_alone_the_repository_is_the_one_that_was_built_into(
    world: sweeps.World, config: str, image: str
) -> None:
    world.platform.write_text("domain: preview.test\nregistries: [ghcr.io, docker.io]\n")
    ctx = asked(world, config)
    assert app.named(ctx, DIGEST) == image
    assert app.named(ctx, f"ghcr.io/other/one@{DIGEST}") == f"ghcr.io/other/one@{DIGEST}"


def test_what_the_platform_refuses_is_refused_by_its_digest_too(world: sweeps.World) -> None:
    world.platform.write_text("domain: preview.test\nregistries: [registry.example]\n")
    with pytest.raises(errors.Refused, match=r"images may not come from ghcr\.io/acme/shop"):
        app.named(asked(world, "projectId: shop\n"), DIGEST)


def test_a_digest_of_which_nobody_knows_the_repository_is_no_image(world: sweeps.World) -> None:
    ctx = asked(world, "projectId: shop\n", server_url="https://github.example.com")
    with pytest.raises(errors.InputError, match="not a reference by digest"):
        app.named(ctx, DIGEST)
