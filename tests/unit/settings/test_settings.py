from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest

from k8s_ee import errors, settings
from tests.wire import github_shapes as shapes
from tests.wire import github_state as states

SHA = "a" * 40


def payload(**changes: Any) -> dict[str, Any]:
    repository = states.Repository(id=41, owner_id=42)
    described = shapes.Shapes("https://api.github.com")
    return {
        "action": "opened",
        "number": 7,
        "pull_request": described.pull(repository, states.Pull(7, SHA, branch="feature", **changes)),
        "repository": described.repository(repository),
        "sender": described.user("alice"),
    }


def workflow(tmp_path: pathlib.Path, event: str, body: object, **more: str) -> dict[str, str]:
    file = tmp_path / "event.json"
    file.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": event,
        "GITHUB_EVENT_PATH": str(file),
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_RUN_ID": "123",
        "GITHUB_SHA": "f" * 40,
        **more,
    }


@pytest.mark.parametrize("action", ["opened", "reopened", "synchronize"])
def test_the_event_says_which_pull_request(tmp_path: pathlib.Path, action: str) -> None:
    found = settings.Settings.from_environ(workflow(tmp_path, "pull_request", payload() | {"action": action}))
    assert (found.number, found.repository, found.repository_id, found.owner_id) == (7, "acme/shop", 41, 42)
    assert (found.branch, found.action, found.actor, found.run) == ("feature", action, "alice", 123)
    assert found.closed is False


def test_the_commit_is_the_head_and_never_the_merge_commit(tmp_path: pathlib.Path) -> None:
    found = settings.Settings.from_environ(workflow(tmp_path, "pull_request", payload()))
    assert found.head_sha == SHA


@pytest.mark.parametrize("event", ["pull_request", "pull_request_target"])
def test_a_closed_pull_request_is_closed(tmp_path: pathlib.Path, event: str) -> None:
    body = payload(state="closed") | {"action": "closed"}
    assert settings.Settings.from_environ(workflow(tmp_path, event, body)).closed is True


def test_a_label_event_names_its_label(tmp_path: pathlib.Path) -> None:
    body = payload(labels=["deploy-preview"]) | {"action": "labeled", "label": {"name": "deploy-preview"}}
    found = settings.Settings.from_environ(workflow(tmp_path, "pull_request", body))
    assert found.label == "deploy-preview"
    assert found.pull is not None
    assert found.pull.labels == ("deploy-preview",)


@pytest.mark.parametrize("name", ["pr-number", "pr"])
def test_a_workflow_dispatch_names_the_pull_request_in_an_input(tmp_path: pathlib.Path, name: str) -> None:
    body = {"inputs": {name: "9"}, "repository": payload()["repository"]}
    found = settings.Settings.from_environ(workflow(tmp_path, "workflow_dispatch", body))
    assert (found.number, found.head_sha, found.repository_id) == (9, "", 41)


@pytest.mark.parametrize("event", ["push", "schedule"])
def test_an_event_without_a_pull_request_has_none(tmp_path: pathlib.Path, event: str) -> None:
    body = {"repository": payload()["repository"]}
    found = settings.Settings.from_environ(workflow(tmp_path, event, body))
    assert (found.pull, found.number, found.repository_id) == (None, 0, 41)


def test_ids_the_payload_lacks_come_from_the_runner(tmp_path: pathlib.Path) -> None:
    ids = {"GITHUB_REPOSITORY_ID": "51", "GITHUB_REPOSITORY_OWNER_ID": "52"}
    found = settings.Settings.from_environ(workflow(tmp_path, "schedule", {}, **ids))
    assert (found.repository, found.repository_id, found.owner_id) == ("acme/shop", 51, 52)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "can't be read"),
        ("{", "can't be read"),
        ("[]", "not a JSON object"),
        ({}, "does not describe a pull request: state is missing"),
        ({"pull_request": {"state": "open", "head": {"sha": "main"}}}, "head.sha is not a commit"),
        ({"pull_request": {"state": "open", "head": {"sha": SHA, "ref": "x"}, "number": "7"}}, "number is missing"),
    ],
)
def test_a_broken_payload_is_one_clear_error(tmp_path: pathlib.Path, body: object, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        settings.Settings.from_environ(workflow(tmp_path, "pull_request", body))


@pytest.mark.parametrize("path", ["", "/nowhere/event.json"])
def test_a_missing_payload_is_one_clear_error(tmp_path: pathlib.Path, path: str) -> None:
    with pytest.raises(errors.InputError, match="payload") as caught:
        settings.Settings.from_environ(workflow(tmp_path, "pull_request", {}) | {"GITHUB_EVENT_PATH": path})
    assert "GITHUB_EVENT_PATH" in caught.value.hint


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("K8S_EE_PR", "8"),
        ("K8S_EE_HEAD_SHA", "b" * 40),
        ("K8S_EE_REPOSITORY", "acme/other"),
        ("K8S_EE_REPOSITORY_ID", "1"),
        ("K8S_EE_OWNER_ID", "1"),
        ("K8S_EE_BRANCH", "main"),
    ],
)
def test_an_option_can_not_contradict_the_event(tmp_path: pathlib.Path, option: str, value: str) -> None:
    with pytest.raises(errors.InputError, match=f"{option} is {value}, but the event is about"):
        settings.Settings.from_environ(workflow(tmp_path, "pull_request", payload(), **{option: value}))


def test_an_option_that_agrees_is_fine(tmp_path: pathlib.Path) -> None:
    more = {"K8S_EE_PR": "7", "K8S_EE_REPOSITORY": "Acme/Shop"}
    assert settings.Settings.from_environ(workflow(tmp_path, "pull_request", payload(), **more)).number == 7


def test_at_a_terminal_options_say_everything() -> None:
    found = settings.Settings.from_environ(
        {
            "K8S_EE_PR": "3",
            "K8S_EE_REPOSITORY": "acme/shop",
            "K8S_EE_REPOSITORY_ID": "1",
            "K8S_EE_OWNER_ID": "2",
            "K8S_EE_HEAD_SHA": SHA,
            "K8S_EE_BRANCH": "x",
            "GITHUB_REPOSITORY": "somebody/codespace",
            "GITHUB_EVENT_NAME": "pull_request",
        }
    )
    assert (found.event, found.number, found.repository, found.owner_id) == ("", 3, "acme/shop", 2)


def test_nothing_at_all_is_fine_until_a_command_needs_something() -> None:
    assert settings.Settings.from_environ({}) == settings.Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("K8S_EE_PR", "seven"), ("K8S_EE_PR", "-1"), ("K8S_EE_PR", "\u0667"), ("K8S_EE_HEAD_SHA", "main")],
)
def test_a_value_of_the_wrong_kind_is_named(name: str, value: str) -> None:
    with pytest.raises(errors.InputError, match=name):
        settings.Settings.from_environ({name: value})


def test_empty_means_not_given() -> None:
    assert settings.Settings.from_environ({"K8S_EE_PR": "", "GITHUB_TOKEN": "  ", "GITHUB_ACTIONS": ""}).number == 0


def test_secrets_are_in_no_repr(tmp_path: pathlib.Path) -> None:
    given = {"GITHUB_TOKEN": "s3cret-token", "K8S_EE_KUBECONFIG": "s3cret-kube", "K8S_EE_REGISTRY_PASSWORD": "s3cret"}
    found = settings.Settings.from_environ(given)
    assert (found.token, found.connection.kubeconfig) == ("s3cret-token", "s3cret-kube")
    assert found.inputs["registry-password"] == "s3cret"
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, settings.Connection()),
        ({"KUBECONFIG": "/a"}, settings.Connection(kubeconfig="/a")),
        ({"KUBECONFIG": "/a", "K8S_EE_KUBECONFIG": "/b"}, settings.Connection(kubeconfig="/b")),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, settings.Connection(in_cluster=True)),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBECONFIG": "/a"}, settings.Connection(kubeconfig="/a")),
        ({"K8S_EE_CONTEXT": "dev"}, settings.Connection(context="dev")),
    ],
)
def test_where_the_cluster_is(given: dict[str, str], expected: settings.Connection) -> None:
    assert settings.Settings.from_environ(given).connection == expected


def test_the_run_has_an_address_with_its_attempt(tmp_path: pathlib.Path) -> None:
    found = settings.Settings.from_environ(workflow(tmp_path, "pull_request", payload(), GITHUB_RUN_ATTEMPT="2"))
    assert found.run_url == "https://github.com/acme/shop/actions/runs/123/attempts/2"


def test_these_modules_start_without_the_heavy_libraries() -> None:
    code = """
import sys
import k8s_ee.settings, k8s_ee.report, k8s_ee.trust, k8s_ee.runner, k8s_ee.redact, k8s_ee.github
heavy = {"github", "requests", "actions_toolkit", "kubernetes", "yaml"} & set(sys.modules)
print(", ".join(sorted(heavy)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")
