"""The real workflows and actions, run by act, with a `k8s-ee` that only writes down how it was called."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from tests.workflows import conftest, harness

STEPS = ".github/workflows/preview-steps.yml"
CLEANUP = ".github/workflows/preview-cleanup.yml"

PREBUILT = f"""
name: Prebuilt
on: {{pull_request: {{types: [opened]}}}}
jobs:
  preview:
    uses: k8s-ee/k8s-ee/.github/workflows/pr-environment.yml@v1
    with:
      image: {conftest.IMAGE}
      context: staging
    secrets:
      kubeconfig: ${{{{ secrets.KUBECONFIG }}}}
"""

ROOT_ACTION = f"""
name: One step
on: {{pull_request: {{types: [opened]}}, pull_request_target: {{types: [closed]}}}}
jobs:
  preview:
    runs-on: ubuntu-latest
    steps:
      - id: preview
        uses: k8s-ee/k8s-ee@v1
        with:
          image: {conftest.IMAGE}
          kubeconfig: ${{{{ secrets.KUBECONFIG }}}}
          timeout: 90
          without-backup: true
"""

WITHOUT_BACKUP = """
name: Without a backup
on: {pull_request_target: {types: [closed]}}
jobs:
  preview:
    uses: k8s-ee/k8s-ee/.github/workflows/pr-environment.yml@v1
    with:
      without-backup: ${{ github.event.number == 7 }}
    secrets:
      kubeconfig: ${{ secrets.KUBECONFIG }}
"""

Opened = tuple[harness.Result, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def opened(act: pathlib.Path, toolkit: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """What one run did, of a pull request of mona's whose commit has a file of its own, and how `k8s-ee` was called."""
    consumer = conftest.made(act, toolkit, tmp_path_factory.mktemp("opened"))
    consumer.write("only-in-this-commit", "x")
    return consumer.run("opened", author="mona"), consumer.calls()


def test_an_opened_pull_request_is_validated_built_prepared_and_deployed(opened: Opened) -> None:
    result, calls = opened
    assert result.jobs == dict.fromkeys(("validate", "build", "prepare", "deploy"), "success"), result.log
    assert set(calls) == {"validate", "build", "create-namespace", "deploy-db", "deploy-app"}
    assert result.outputs["deploy/deploy"]["url"] == "https://guestbook-pr-7.preview.test"
    assert result.outputs["prepare/namespace"]["namespace"] == "guestbook-pr-7"


def test_the_digest_that_was_built_is_the_one_deployed(consumer: conftest.Consumer) -> None:
    consumer.run("synchronize")
    assert consumer.calls()["deploy-app"]["env"]["K8S_EE_IMAGE"] == conftest.IMAGE


def test_only_jobs_that_run_no_code_of_the_pull_request_get_the_key_to_the_cluster(opened: Opened) -> None:
    _, calls = opened
    holders = {name for name, call in calls.items() if "K8S_EE_KUBECONFIG" in call["env"]}
    assert holders == {"create-namespace", "deploy-db", "deploy-app"}
    assert "s3cret" in calls["deploy-app"]["env"]["K8S_EE_KUBECONFIG"]
    assert "s3cret" not in str([call for name, call in calls.items() if name not in holders])


def test_the_checkout_is_the_head_of_the_pull_request(opened: Opened) -> None:
    _, calls = opened
    assert all("only-in-this-commit" in call["files"] for call in calls.values())


def test_without_registry_secrets_the_build_pushes_as_the_actor_with_its_own_token(opened: Opened) -> None:
    _, calls = opened
    env = calls["build"]["env"]
    assert (env["K8S_EE_REGISTRY_USERNAME"], env["K8S_EE_REGISTRY_PASSWORD"]) == ("mona", "ghs_harness")


def test_closing_destroys_without_a_checkout(consumer: conftest.Consumer) -> None:
    consumer.write("k8s-ee.yaml", "projectId: [broken")
    result = consumer.run("closed", event="pull_request_target")
    assert result.jobs == {"destroy": "success"}, result.log
    assert consumer.calls()["cleanup"]["files"] == []
    env = consumer.calls()["cleanup"]["env"]
    assert (env["K8S_EE_PROJECT"], env["K8S_EE_WITHOUT_BACKUP"]) == ("", "false")


def test_a_repository_can_have_its_environments_destroyed_without_a_backup(consumer: conftest.Consumer) -> None:
    consumer.write(".github/workflows/without.yml", WITHOUT_BACKUP)
    result = consumer.run("closed", workflow=".github/workflows/without.yml", event="pull_request_target")
    assert result.jobs == {"destroy": "success"}, result.log
    assert consumer.calls()["cleanup"]["env"]["K8S_EE_WITHOUT_BACKUP"] == "true"


def test_a_run_that_may_not_deploy_ends_green_after_validate(consumer: conftest.Consumer) -> None:
    result = consumer.run("opened", fork=True, answers={"validate": {"outputs": {"deploy": "false", "reason": "fork"}}})
    assert (result.returncode, result.jobs) == (0, {"validate": "success"})
    assert set(consumer.calls()) == {"validate"}


def test_a_pull_request_target_run_never_builds(consumer: conftest.Consumer) -> None:
    path = ".github/workflows/preview.yml"
    workflow = (consumer.directory / path).read_text()
    consumer.write(path, workflow.replace("types: [closed]", "types: [opened, closed]"))
    result = consumer.run("opened", event="pull_request_target")
    assert (result.returncode, result.jobs) == (1, {"other-event": "failure"})
    assert "pull_request_target is none of the events that this workflow follows" in result.log
    assert consumer.calls() == {}


def test_started_by_hand_it_says_that_it_does_nothing(consumer: conftest.Consumer) -> None:
    consumer.write(
        ".github/workflows/hand.yml", PREBUILT.replace("pull_request: {types: [opened]}", "workflow_dispatch")
    )
    result = consumer.run("none", workflow=".github/workflows/hand.yml", event="workflow_dispatch", payload={})
    assert result.jobs == {"other-event": "failure"}, result.log
    assert "the root action" in result.log
    assert consumer.calls() == {}


def test_a_failed_build_step_by_step_is_reported_too(consumer: conftest.Consumer) -> None:
    broken = {"exit": 4, "outputs": {"failure": "Dockerfile:3: no such file"}}
    result = consumer.run("opened", workflow=STEPS, answers={"build": broken})
    assert result.jobs == {"validate": "success", "build": "failure", "report": "success"}, result.log
    assert "Dockerfile:3: no such file" in consumer.calls()["report"]["env"]["K8S_EE_NEEDS"]


def test_a_failed_build_is_reported_by_a_job_that_may_write_the_comment(consumer: conftest.Consumer) -> None:
    broken = {"exit": 4, "outputs": {"failure": "Dockerfile:3: no such file"}}
    result = consumer.run("opened", answers={"build": broken})
    assert result.jobs == {"validate": "success", "build": "failure", "prepare": "success", "report": "success"}
    assert "Dockerfile:3: no such file" in consumer.calls()["report"]["env"]["K8S_EE_NEEDS"]
    assert "deploy-app" not in consumer.calls()


def test_a_run_that_waited_for_room_in_vain_ends_green_and_deploys_nothing(consumer: conftest.Consumer) -> None:
    queued = {"outputs": {"state": "queued", "deploy": "false", "namespace": "guestbook-pr-7"}}
    result = consumer.run("opened", answers={"create-namespace": queued})
    assert result.returncode == 0, result.log
    assert result.jobs == dict.fromkeys(("validate", "build", "prepare"), "success"), result.log
    assert set(consumer.calls()) == {"validate", "build", "create-namespace"}


def test_a_broken_config_fails_and_is_reported_before_anything_is_built(consumer: conftest.Consumer) -> None:
    result = consumer.run("opened", answers={"validate": {"exit": 2, "outputs": {"failure": "1 problem"}}})
    assert result.jobs == {"validate": "failure", "report": "success"}
    assert "1 problem" in consumer.calls()["report"]["env"]["K8S_EE_NEEDS"]


def test_a_finished_image_is_deployed_by_one_job_in_one_process(consumer: conftest.Consumer) -> None:
    consumer.write(".github/workflows/prebuilt.yml", PREBUILT)
    result = consumer.run("opened", workflow=".github/workflows/prebuilt.yml")
    assert result.jobs == {"validate": "success", "prebuilt": "success"}, result.log
    assert set(consumer.calls()) == {"validate", "run"}
    env = consumer.calls()["run"]["env"]
    assert (env["K8S_EE_IMAGE"], env["K8S_EE_CONTEXT"]) == (conftest.IMAGE, "staging")


def test_the_root_action_is_the_whole_pipeline_in_one_step(consumer: conftest.Consumer) -> None:
    consumer.write(".github/workflows/one.yml", ROOT_ACTION)
    result = consumer.run("opened", workflow=".github/workflows/one.yml")
    assert result.outputs["preview/preview"] == conftest.ANSWERS["run"]["outputs"], result.log
    env = consumer.calls()["run"]["env"]
    assert (env["K8S_EE_TIMEOUT"], env["K8S_EE_WITHOUT_BACKUP"]) == ("90", "true")


def test_each_output_of_the_composite_actions_arrives(consumer: conftest.Consumer) -> None:
    result = consumer.run("opened", workflow=STEPS)
    assert result.jobs == dict.fromkeys(("validate", "build", "deploy"), "success"), result.log
    for step, command in {
        "validate/config": "validate",
        "build/image": "build",
        "deploy/namespace": "create-namespace",
        "deploy/databases": "deploy-db",
        "deploy/app": "deploy-app",
    }.items():
        arrived = {name: value for name, value in result.outputs[step].items() if value}
        assert arrived == conftest.ANSWERS[command]["outputs"], step


def test_closing_step_by_step_says_what_is_gone(consumer: conftest.Consumer) -> None:
    result = consumer.run("closed", workflow=STEPS, event="pull_request_target")
    assert result.jobs == {"destroy": "success"}, result.log
    assert result.outputs["destroy/cleanup"] == conftest.ANSWERS["cleanup"]["outputs"]


def test_no_secret_is_in_the_log(opened: Opened) -> None:
    result, _ = opened
    assert "s3cret" not in result.log
    assert "ghs_harness" not in result.log


@pytest.mark.parametrize("event", ["schedule", "workflow_dispatch"])
def test_the_scheduled_clean_up_is_one_pass_with_the_key_and_the_job_s_own_token(
    consumer: conftest.Consumer, event: str
) -> None:
    counts = {"checked": "3", "deleted": "1", "failed": "0", "unknown": "0"}
    result = consumer.run("none", workflow=CLEANUP, event=event, answers={"janitor": {"outputs": counts}})
    assert result.jobs == {"janitor": "success"}, result.log
    (call,) = consumer.calls().values()
    assert call["command"] == "janitor"
    assert "s3cret" in call["env"]["K8S_EE_KUBECONFIG"]
    assert call["token"]
    assert call["env"]["K8S_EE_DRY_RUN"] == "false"
    assert counts.items() <= result.outputs["janitor/janitor"].items()


def test_the_environments_of_one_pull_request_are_destroyed_by_hand(consumer: conftest.Consumer) -> None:
    asked = {"inputs": {"pr": "8", "without-backup": "true"}}
    result = consumer.run("none", workflow=CLEANUP, event="workflow_dispatch", payload=asked)
    assert result.jobs == {"destroy": "success"}, result.log
    (call,) = consumer.calls().values()
    assert call["command"] == "cleanup"
    assert "s3cret" in call["env"]["K8S_EE_KUBECONFIG"]
    assert call["token"]
    given = {name: call["env"][f"K8S_EE_{name}"] for name in ("PR", "WITHOUT_BACKUP", "DRY_RUN")}
    assert given == {"PR": "8", "WITHOUT_BACKUP": "true", "DRY_RUN": "false"}


def test_a_pass_that_could_not_know_everything_is_a_red_run(consumer: conftest.Consumer) -> None:
    result = consumer.run("none", workflow=CLEANUP, event="schedule", answers={"janitor": {"exit": 5}})
    assert result.jobs == {"janitor": "failure"}
