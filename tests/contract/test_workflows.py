"""The reusable workflow keeps its two trust zones, its queues and its permissions; each rule is shown to fail."""

from __future__ import annotations

import copy
import pathlib
import re
from typing import Any

import pytest

from k8s_ee import config, errors
from tests.contract import actionfiles

STUBS = actionfiles.ROOT / "examples" / "guestbook" / ".github" / "workflows"
CLEANUP = actionfiles.REUSABLE.with_name("cleanup.yml")
WAIT_FOR_ROOM, MARGIN = 3600, 300
"""Seconds: what a platform may set, and what a command takes beside waiting for what starts."""
every_workflow = pytest.mark.parametrize("path", actionfiles.WORKFLOWS, ids=lambda path: path.name)


@pytest.fixture
def workflow() -> dict[str, Any]:
    return copy.deepcopy(actionfiles.load(actionfiles.REUSABLE))


@every_workflow
def test_everything_used_is_pinned_by_commit_and_exists(path: pathlib.Path) -> None:
    workflow = actionfiles.load(path)
    assert actionfiles.unpinned(workflow) == []
    assert actionfiles.missing_targets(workflow) == []


@every_workflow
def test_no_expression_is_pasted_into_a_script(path: pathlib.Path) -> None:
    assert actionfiles.interpolated(actionfiles.load(path)) == []


@every_workflow
def test_each_job_starts_from_nothing_and_has_an_end(path: pathlib.Path) -> None:
    assert actionfiles.missing_limits(actionfiles.load(path)) == []


@every_workflow
def test_what_a_job_reads_of_another_it_needs(path: pathlib.Path) -> None:
    assert actionfiles.missing_needs(actionfiles.load(path)) == []


@pytest.mark.parametrize("path", [actionfiles.REUSABLE, STUBS / "preview-steps.yml"], ids=lambda path: path.name)
def test_a_job_that_builds_holds_no_more_than_it_needs(path: pathlib.Path) -> None:
    workflow = actionfiles.load(path)
    assert actionfiles.builders(workflow)
    assert actionfiles.zone_leaks(workflow) == []


def test_jobs_of_one_pull_request_queue_and_destroy_waits_for_none(workflow: dict[str, Any]) -> None:
    assert actionfiles.wrong_concurrency(workflow) == []


def test_each_checkout_is_of_the_head_and_leaves_no_token_behind(workflow: dict[str, Any]) -> None:
    assert actionfiles.wrong_checkouts(workflow) == []


def test_destroying_needs_nothing_of_the_pull_request(workflow: dict[str, Any]) -> None:
    destroy = workflow["jobs"]["destroy"]
    assert "needs" not in destroy
    assert "contents" not in destroy["permissions"]
    assert "checkout" not in actionfiles.text_of(destroy)
    assert destroy["if"] == "github.event.action == 'closed'"


def test_what_checks_out_the_pull_request_runs_for_no_privileged_event(workflow: dict[str, Any]) -> None:
    jobs = workflow["jobs"]
    assert jobs["validate"]["if"].startswith("github.event_name == 'pull_request' && ")
    for name, job in jobs.items():
        if "actions/checkout@" in actionfiles.text_of(job) and name != "validate":
            assert "validate" in _ancestors(jobs, name), name
            assert not any(word in job.get("if", "") for word in ("always()", "failure()", "cancelled()")), name


@pytest.mark.parametrize("path", [actionfiles.REUSABLE, CLEANUP], ids=lambda path: path.name)
def test_what_destroys_does_so_without_a_backup_only_when_that_was_asked_for(path: pathlib.Path) -> None:
    workflow = actionfiles.load(path)
    asked = workflow["on"]["workflow_call"]["inputs"]["without-backup"]
    assert (asked["type"], asked["default"]) == ("boolean", False)
    (destroy,) = (one for one in actionfiles.steps(workflow) if "cleanup" in one.get("uses", one.get("run", "")))
    given = {**destroy.get("with", {}), **destroy.get("env", {})}
    assert [given[name] for name in given if name in {"without-backup", "K8S_EE_WITHOUT_BACKUP"}] == [
        "${{ inputs.without-backup }}"
    ]


def test_a_pass_over_all_environments_is_not_made_where_one_was_asked_for() -> None:
    """And the other way round: who only wants one destroyed must not have the others judged."""
    when = {name: job["if"] for name, job in actionfiles.load(CLEANUP)["jobs"].items()}
    assert when == {"janitor": "inputs.pr == ''", "destroy": "inputs.pr != ''"}


def test_the_stub_that_cleans_up_hands_on_what_it_is_asked_for() -> None:
    stub, called = actionfiles.load(STUBS / "preview-cleanup.yml"), actionfiles.load(CLEANUP)
    given = stub["jobs"]["cleanup"]["with"]
    assert set(given) == set(stub["on"]["workflow_dispatch"]["inputs"]) <= set(called["on"]["workflow_call"]["inputs"])


def test_every_failure_is_reported(workflow: dict[str, Any]) -> None:
    others = {"destroy", "report", "other-event"}  # the last one has no pull request
    assert set(workflow["jobs"]["report"]["needs"]) == set(workflow["jobs"]) - others
    assert workflow["jobs"]["report"]["if"].startswith("always() && ")


def test_each_job_hands_on_whether_it_has_said_why_it_failed(workflow: dict[str, Any]) -> None:
    """Of every step of ours in it: one that died before it could say so is told of by `report`."""
    for name in workflow["jobs"]["report"]["needs"]:
        job = workflow["jobs"][name]
        speaking = {one["id"] for one in job["steps"] if "id" in one}
        for output in {"failure"} if name in {"validate", "build"} else {"failure", "state"}:
            named = set(re.findall(rf"steps\.([\w-]+)\.outputs\.{output}\b", job["outputs"][output]))
            assert named == speaking, (name, output)


def test_a_finished_image_is_deployed_as_the_root_action_does(workflow: dict[str, Any]) -> None:
    ours = workflow["jobs"]["prebuilt"]["steps"][-1]
    root = actionfiles.steps(actionfiles.load(actionfiles.ROOT / "action.yml"))[-1]
    assert (ours["run"], ours["shell"]) == (root["run"], root["shell"])
    assert set(ours["env"]) <= set(root["env"])


def test_the_stub_grants_what_the_called_jobs_ask_for(workflow: dict[str, Any]) -> None:
    stub = actionfiles.load(STUBS / "preview.yml")["jobs"]["preview"]
    asked: dict[str, set[str]] = {}
    for job in workflow["jobs"].values():
        for scope, level in job["permissions"].items():
            asked.setdefault(scope, set()).add(level)
    assert stub["permissions"] == {scope: max(levels) for scope, levels in asked.items()}  # "write" > "read"
    assert set(stub["secrets"]) <= set(workflow["on"]["workflow_call"]["secrets"])
    assert set(stub.get("with", {})) <= set(workflow["on"]["workflow_call"]["inputs"])


def test_the_stub_has_no_queue_of_its_own() -> None:
    assert "concurrency" not in (STUBS / "preview.yml").read_text()


@pytest.mark.parametrize("path", [actionfiles.REUSABLE, CLEANUP], ids=lambda path: path.name)
def test_each_input_and_secret_of_the_workflow_is_described_and_used(path: pathlib.Path) -> None:
    workflow = actionfiles.load(path)
    call = workflow["on"]["workflow_call"]
    jobs = "".join(actionfiles.text_of(job) for job in workflow["jobs"].values())
    for kind in ("inputs", "secrets"):
        for name, one in call[kind].items():
            assert one["description"].endswith("."), name
            assert f"{kind}.{name}" in jobs, name


@pytest.mark.parametrize("path", [actionfiles.REUSABLE, STUBS / "preview-steps.yml"], ids=lambda path: path.name)
def test_nothing_is_deployed_to_an_environment_that_waits_for_room(path: pathlib.Path) -> None:
    assert actionfiles.unguarded(actionfiles.load(path)) == []


def test_a_step_that_does_not_ask_whether_there_was_room_is_found(workflow: dict[str, Any]) -> None:
    del workflow["jobs"]["prepare"]["steps"][-1]["if"]
    workflow["jobs"]["deploy"]["if"] = "success()"
    assert actionfiles.unguarded(workflow) == ["prepare: deploy-db", "deploy: deploy-app"]


BREAKS: dict[str, tuple[str, dict[str, Any]]] = {
    "an OIDC token": ("build", {"permissions": {**actionfiles.BUILDS, "id-token": "write"}}),
    "a wider permission": ("build", {"permissions": {"contents": "write", "packages": "write"}}),
    "permissions left to the caller": ("build", {"permissions": None}),
    "the key to the cluster": ("build", {"env": {"K8S_EE_KUBECONFIG": "${{ secrets.kubeconfig }}"}}),
    "a key of an App": ("build", {"env": {"KEY": "${{ secrets.APP_PRIVATE_KEY }}"}}),
    "all secrets": ("build", {"env": {"ALL": "${{ toJSON(secrets) }}"}}),
    "the secrets of an environment": ("build", {"environment": "production"}),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_build_that_is_given_too_much_is_found(workflow: dict[str, Any], what: str) -> None:
    job, change = BREAKS[what]
    workflow["jobs"][job].update(change)
    assert actionfiles.zone_leaks(workflow)


def test_a_build_moved_into_a_job_with_the_key_is_found(workflow: dict[str, Any]) -> None:
    workflow["jobs"]["prepare"]["steps"].append({"uses": "$/actions/build"})
    assert any("prepare" in one for one in actionfiles.zone_leaks(workflow))


def test_a_checkout_that_keeps_its_token_is_found(workflow: dict[str, Any]) -> None:
    del workflow["jobs"]["build"]["steps"][0]["with"]["persist-credentials"]
    assert actionfiles.zone_leaks(workflow)
    assert actionfiles.wrong_checkouts(workflow)


@pytest.mark.parametrize(
    ("job", "change"),
    [
        ("deploy", {"cancel-in-progress": True}),
        ("deploy", {"queue": "single"}),
        ("deploy", {"group": "k8s-ee-${{ github.head_ref }}"}),
        ("prepare", {"group": "other-${{ github.repository_id }}-${{ github.event.pull_request.number }}"}),
        ("destroy", {"group": "k8s-ee-deploy-${{ github.repository_id }}-${{ github.event.pull_request.number }}"}),
    ],
)
def test_a_queue_that_loses_runs_or_mixes_them_is_found(workflow: dict[str, Any], job: str, change: Any) -> None:
    workflow["jobs"][job]["concurrency"].update(change)
    assert actionfiles.wrong_concurrency(workflow)


def test_a_workflow_that_would_wait_for_itself_is_found(workflow: dict[str, Any]) -> None:
    workflow["concurrency"] = workflow["jobs"]["deploy"]["concurrency"]
    assert actionfiles.wrong_concurrency(workflow)


def test_a_missing_need_is_found(workflow: dict[str, Any]) -> None:
    workflow["jobs"]["deploy"]["needs"] = ["prepare"]
    assert actionfiles.missing_needs(workflow) == ["deploy: needs.build"]


def test_a_job_without_permissions_or_time_limit_is_found(workflow: dict[str, Any]) -> None:
    del workflow["jobs"]["destroy"]["permissions"]
    del workflow["jobs"]["deploy"]["timeout-minutes"]
    assert actionfiles.missing_limits(workflow) == ["deploy: timeout-minutes", "destroy: permissions"]


@pytest.mark.parametrize("path", [actionfiles.REUSABLE, STUBS / "preview-steps.yml"], ids=lambda path: path.name)
def test_no_deploy_is_cut_off_before_all_that_a_config_may_ask_for(path: pathlib.Path) -> None:
    most = "projectId: shop\napp: {startupSeconds: 900, replicas: 10}\ndatabases: {postgresql: {startupSeconds: 900}}\n"
    asked = config.load(most, path="k8s-ee.yaml")
    for more in (most.replace("900", "901"), most.replace("10}", "11}")):
        with pytest.raises(errors.ConfigError):
            config.load(more, path="k8s-ee.yaml")
    migration, seed = 600, 1800
    jobs = actionfiles.load(path)["jobs"]
    waits = {"deploy": 0 if "prepare" in jobs else WAIT_FOR_ROOM, "prebuilt": WAIT_FOR_ROOM}
    for name, waited in waits.items():
        if name in jobs:
            assert jobs[name]["timeout-minutes"] * 60 >= waited + asked.startup_seconds + migration + seed + MARGIN, (
                name
            )
    if "prepare" in jobs:
        assert jobs["prepare"]["timeout-minutes"] * 60 >= WAIT_FOR_ROOM + 900 + seed + MARGIN


def _ancestors(jobs: actionfiles.Yaml, name: str) -> set[str]:
    needs = jobs[name].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(_ancestors(jobs, one) for one in direct))
