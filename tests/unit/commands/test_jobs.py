"""What the last job of the workflow says for those that failed, and which of them have spoken for themselves."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from k8s_ee import outcome, runner, settings
from k8s_ee.commands import jobs, session
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import github_state as states


def reported(**needs: tuple[str, dict[str, str]]) -> outcome.Outcome:
    """By job: its result and its outputs."""
    given = settings.Settings()
    protocol = runner.Runner(given, stream=io.StringIO())
    ctx = session.Session(given, session.Options(), runner=protocol, say=lambda _line: None)
    known = {"validate": ("success", {"namespace": "shop-pr-7"}), **needs}
    context = {name: {"result": result, "outputs": outputs} for name, (result, outputs) in known.items()}
    return jobs.report(ctx, needs=json.dumps(context))


@pytest.mark.parametrize("name", ["prepare", "deploy", "prebuilt", "build"])
@pytest.mark.parametrize("outputs", [{}, {"state": "deploying"}, {"failure": "", "state": ""}])
def test_a_job_that_died_before_it_could_speak_is_reported(name: str, outputs: dict[str, str]) -> None:
    result = reported(**{name: ("failure", outputs)})
    assert result.failure
    assert result.failure.message == f"{name}: ended before it could say why"
    assert result.outputs["namespace"] == "shop-pr-7"


@pytest.mark.parametrize("name", ["build", "image", "docker"])
def test_a_job_that_may_not_comment_is_spoken_for_whatever_it_is_called(name: str) -> None:
    result = reported(**{name: ("failure", {"failure": "Dockerfile:3: no such file"})})
    assert result.failure
    assert result.failure.message == f"{name}: Dockerfile:3: no such file"


@pytest.mark.parametrize(
    "outputs",
    [
        {"failure": "the app crashes at start", "state": "failed"},
        {"state": "failed"},  # GitHub hands on no output that has the value of a secret in it
        {"state": "ready"},  # something after it failed, and the environment is what its comment says
    ],
)
def test_one_that_spoke_is_not_spoken_over(outputs: dict[str, str]) -> None:
    assert reported(deploy=("failure", outputs)).state == "skipped"


def test_a_build_can_not_speak_for_itself() -> None:
    result = reported(build=("failure", {"failure": "the image does not build"}))
    assert result.failure
    assert result.failure.message == "build: the image does not build"


def test_the_namespace_is_the_one_that_any_job_names() -> None:
    result = reported(validate=("skipped", {}), build=("failure", {"namespace": "shop-pr-8", "failure": "no"}))
    assert result.outputs["namespace"] == "shop-pr-8"


def test_one_that_was_cut_off_is_reported_whatever_it_had_said() -> None:
    result = reported(deploy=("cancelled", {"state": "deploying"}), prepare=("skipped", {}))
    assert result.failure
    assert result.failure.message == "deploy: was cancelled"


@pytest.mark.parametrize(("state", "head", "told"), [("open", "a", True), ("open", "b", False), ("closed", "a", False)])
def test_the_run_of_an_older_commit_leaves_the_comment_to_the_newer_one(
    world: sweeps.World, state: str, head: str, told: bool
) -> None:
    world.shop.pulls[7] = states.Pull(7, head_sha=head * 40, state=state)
    facts: dict[str, Any] = {
        "event": "pull_request",
        "repository": "acme/shop",
        "repository_id": 42,
        "number": 7,
        "head_sha": "a" * 40,
    }
    needs = {"build": {"result": "failure", "outputs": {"failure": "the image does not build"}}}
    result = jobs.report(world.session(after=sweeps.HOUR, **facts), needs=json.dumps(needs))
    assert (result.state, bool(result.failure)) == (("failed", True) if told else ("skipped", False))
