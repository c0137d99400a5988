"""What a command works with: which pull request it is about, and for how long."""

from __future__ import annotations

import io
import json
import time

import pytest

from k8s_ee import config, errors, runner, settings
from k8s_ee.commands import session
from k8s_ee.config import model
from tests.unit.plan import facts


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
        ("app: {migrate: [npm, run, migrate]}\n", 1050),
        ("databases: {postgresql: {seed: db/seed.sql}}\n", 2400),
        ("app: {replicas: 4}\ndatabases: {redis: {startupSeconds: 300}, mariadb: true}\n", 1200),
    ],
)
def test_a_command_may_take_as_long_as_everything_it_starts(text: str, seconds: float) -> None:
    assert left(text) == pytest.approx(seconds, abs=5)
    assert left(text, timeout=20) == pytest.approx(20, abs=5)


def test_the_key_of_the_cluster_is_hidden_in_whatever_the_job_prints_from_then_on() -> None:
    said, token = io.StringIO(), "kept-to-ourselves"
    cluster = {"name": "here", "cluster": {"server": "https://127.0.0.1:9", "insecure-skip-tls-verify": True}}
    user = {"name": "ci", "user": {"token": token}}
    context = {"name": "here", "context": {"cluster": "here", "user": "ci"}}
    text = json.dumps({"current-context": "here", "clusters": [cluster], "users": [user], "contexts": [context]})
    found = settings.Settings.from_environ({"GITHUB_ACTIONS": "true", "K8S_EE_KUBECONFIG": text})
    made = session.Session(
        settings=found,
        options=session.Options(),
        runner=runner.Runner(found, stream=said),
        say=lambda _line: None,
    )
    assert made.cluster
    assert f"::add-mask::{token}" in said.getvalue().splitlines()
    assert made.redactor.redact(f"it is {token}") == "it is ***"


def branch_of(name: str) -> str:
    asked = settings.Settings(number=42, repository="acme/shop", repository_id=7, head_sha="a" * 40, branch=name)
    return session.identify(asked, wanted=facts.config(), platform=model.Platform(domain="preview.example")).branch


@pytest.mark.parametrize("character", ["\x07", "\x7f", "\x80", "\x85", "\x9b", "\x9f", "\udc80", "\uffff"])
def test_a_branch_with_a_character_that_no_manifest_can_hold_is_refused_by_its_number(character: str) -> None:
    with pytest.raises(errors.InputError, match=f"U\\+{ord(character):04X}") as caught:
        branch_of(f"feature/a{character}b")
    assert caught.value.message.isprintable()
    assert "rename" in caught.value.hint


@pytest.mark.parametrize("name", ["", "=", "🚀", "1234-56-78", "a\u00a0b", "a\u2028b", "a\u200db"])
def test_any_other_branch_is_taken_as_it_is(name: str) -> None:
    assert branch_of(name) == name
