"""What k8s/janitor and images/ ship fits the command they run, and holds no more than that needs."""

from __future__ import annotations

import pathlib
import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from k8s_ee import cli, metrics, sweeping
from k8s_ee.cluster import happenings, notes
from k8s_ee.commands import janitor as commands
from k8s_ee.commands import janitor_figures as figures
from k8s_ee.config import checking
from k8s_ee_sandbox import artifacts, progress
from scripts import kubeconform
from tests.contract import actionfiles

ROOT = actionfiles.ROOT
SHIPPED = ROOT / "k8s" / "janitor"
CLEANUP = ROOT / ".github" / "workflows" / "cleanup.yml"
CALLER = ROOT / "examples" / "guestbook" / ".github" / "workflows" / "preview-cleanup.yml"
DOCKERFILE = (ROOT / "images" / "Dockerfile").read_text()
NAME = "k8s-ee-janitor"

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """The base with every component."""
    kubectl = artifacts.ensure("kubectl", progress=progress.Progress())["kubectl"]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("PATH", str(kubectl.parent), prepend=":")
        return kubeconform.with_components(tmp_path_factory.mktemp("janitor"))


def base(kind: str, *, namespace: str | None = None) -> Manifest:
    """The only one of its kind, or of its kind in that namespace."""
    documents = [one for path in (SHIPPED / "base").glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    (found,) = [
        one
        for one in documents
        if one["kind"] == kind and (namespace is None or one["metadata"]["namespace"] == namespace)
    ]
    assert isinstance(found, dict)
    return found


def one(manifests: list[Manifest], kind: str) -> Manifest:
    """The janitor's, as the keeper (tests/contract/test_keeper.py) has some, too."""
    (found,) = [found for found in manifests if (found["kind"], found["metadata"]["name"]) == (kind, NAME)]
    return found


def pod_of(cron_job: Manifest) -> Manifest:
    spec: Manifest = cron_job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def container_of(cron_job: Manifest) -> Manifest:
    (found,) = pod_of(cron_job)["containers"]
    assert isinstance(found, dict)
    return found


def test_the_base_has_every_file_of_its_folder() -> None:
    listed = yaml.safe_load((SHIPPED / "base" / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in (SHIPPED / "base").iterdir()}


def test_it_runs_the_command_with_options_that_exist() -> None:
    container = container_of(base("CronJob"))
    assert container["args"] == ["janitor"]
    assert 'ENTRYPOINT ["/opt/k8s-ee/bin/k8s-ee"]' in DOCKERFILE
    known = {variable for option in cli.main.commands["janitor"].params for variable in _variables(option.envvar)}
    known |= {"K8S_EE_APP_ID", "K8S_EE_APP_PRIVATE_KEY_FILE"}
    assert {entry["name"] for entry in container["env"]} <= known
    (mount,) = container["volumeMounts"]
    (key,) = [entry["value"] for entry in container["env"] if entry["name"] == "K8S_EE_APP_PRIVATE_KEY_FILE"]
    assert key.startswith(f"{mount['mountPath']}/")


def _variables(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else list(given or [])


def test_a_pass_ends_by_itself_before_its_job_is_ended_and_before_the_next_begins() -> None:
    cron_job = base("CronJob")
    (timeout,) = [int(e["value"]) for e in container_of(cron_job)["env"] if e["name"] == "K8S_EE_TIMEOUT"]
    every = int(re.fullmatch(r"\*/(\d+) \* \* \* \*", cron_job["spec"]["schedule"])[1]) * 60  # type: ignore[index]
    assert timeout + 30 < cron_job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] < every
    assert cron_job["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron_job["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 0


def test_its_pod_keeps_to_pod_security_restricted_and_writes_nothing() -> None:
    pod, container = pod_of(base("CronJob")), container_of(base("CronJob"))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in DOCKERFILE
    assert set(container["resources"]) == {"requests", "limits"}


def test_only_its_own_pod_gets_the_token_of_its_account() -> None:
    pod = pod_of(base("CronJob"))
    assert base("ServiceAccount")["automountServiceAccountToken"] is False
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (True, NAME)
    assert base("ServiceAccount")["metadata"]["name"] == NAME
    assert pod["priorityClassName"] == base("PriorityClass")["metadata"]["name"]


def test_its_rights_have_no_wildcard_no_secret_and_make_nothing_but_leases_and_events() -> None:
    rules = [
        *base("ClusterRole")["rules"],
        *base("Role", namespace="k8s-ee-system")["rules"],
        *base("Role", namespace="default")["rules"],
    ]
    for rule in rules:
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
        assert "secrets" not in rule["resources"]
        assert not {"escalate", "bind", "impersonate", "update"} & set(rule["verbs"])
        if "create" in rule["verbs"]:
            assert rule["resources"] in (["leases"], ["events"])
        if "delete" in rule["verbs"]:
            assert set(rule["resources"]) <= {"namespaces", "persistentvolumeclaims", "leases"}


def test_admission_names_the_leases_and_the_place_of_events_that_the_code_uses() -> None:
    spec = base("ValidatingAdmissionPolicy")["spec"]
    said = {entry["name"]: entry["expression"] for entry in spec["variables"]}
    pattern = re.search(r"matches\( *'(.*?)'\)", said["isLease"])
    assert pattern
    slots = ("preserve-0", "preserve-17", "place-3", "place-501-3", "queue-501-7-my-shop")
    for name in (commands.LEASE, notes.NAME, *slots):
        assert re.fullmatch(pattern[1], name)
    assert not re.fullmatch(pattern[1], "another")
    assert f"request.namespace == '{happenings.HOME}'" in said["isEvent"]
    assert NAME in spec["matchConditions"][0]["expression"]
    assert base("ValidatingAdmissionPolicyBinding")["spec"] == {"policyName": NAME, "validationActions": ["Deny"]}


def test_its_readme_asks_for_the_rights_that_its_app_needs() -> None:
    asked = re.findall(r"\*\*([A-Z][a-z ]+): read and write\*\*", (SHIPPED / "README.md").read_text())
    assert set(asked) == {"Pull requests", "Deployments", "Actions"}


def test_nothing_reaches_it_and_it_reaches_only_listed_ports() -> None:
    spec = base("NetworkPolicy")["spec"]
    labels = base("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert (sorted(spec["policyTypes"]), spec["ingress"]) == (["Egress", "Ingress"], [])
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 6443}


def test_each_component_turns_its_own_switch(everything: list[Manifest]) -> None:
    cron_job = one(everything, "CronJob")
    env = {entry["name"]: entry.get("value") for entry in container_of(cron_job)["env"]}
    assert cron_job["spec"]["suspend"] is True
    assert base("CronJob")["spec"]["suspend"] is False
    assert env["K8S_EE_DRY_RUN"] == "true"
    assert str(env["K8S_EE_PUSHGATEWAY"]).startswith("http://")
    port = int(str(env["K8S_EE_PUSHGATEWAY"]).rpartition(":")[2])
    egress = one(everything, "NetworkPolicy")["spec"]["egress"]
    example = checking.schema("platform")["properties"]["traffic"]["properties"]["prometheus"]["examples"][0]
    assert {port, int(example.rpartition(":")[2])} <= {entry["port"] for rule in egress for entry in rule["ports"]}


def test_alerts_watch_metrics_that_a_pass_exports(everything: list[Manifest]) -> None:
    exported = {metrics.PREFIX + gauge.name for gauge in figures.gauges([], seconds=1.0)}
    rules = [rule for group in one(everything, "PrometheusRule")["spec"]["groups"] for rule in group["rules"]]
    for rule in rules:
        watched = set(re.findall(r"\bk8s_ee_\w+", rule["expr"]))
        assert watched
        assert watched <= exported, rule["alert"]
    silent = next(rule for rule in rules if rule["alert"] == "K8sEeJanitorSilent")
    assert "absent(" in silent["expr"]
    assert "> 900" in silent["expr"]


def test_the_image_is_made_of_what_the_wheel_is_made_of_and_of_bases_that_nobody_can_move() -> None:
    published = r"[a-z0-9./-]+/[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}"
    bases = re.findall(r"^FROM (.+)$", DOCKERFILE, re.M)
    assert [re.sub(published, "PUBLISHED", one) for one in bases] == [
        "PUBLISHED AS uv",
        "PUBLISHED AS base",
        "base AS build",
        "base",
    ]
    dependabot = actionfiles.load(ROOT / ".github" / "dependabot.yml")
    assert "/images" in [one.get("directory") for one in dependabot["updates"] if one["package-ecosystem"] == "docker"]
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {pathlib.PurePath(path).parts[0] for path in (*wheel["packages"], *wheel["force-include"])}
    needed |= {"pyproject.toml", "uv.lock", "README.md", "LICENSE"}
    copied = {path for line in re.findall(r"^COPY ([^-].*) \S+$", DOCKERFILE, re.M) for path in line.split()}
    assert copied == needed
    ignored = (ROOT / "images" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == needed
    assert "--locked" in DOCKERFILE


def workflow(path: pathlib.Path) -> Mapping[str, Any]:
    return actionfiles.load(path)


def test_the_scheduled_caller_grants_what_each_called_job_asks_for() -> None:
    (call,) = workflow(CALLER)["jobs"].values()
    for job in workflow(CLEANUP)["jobs"].values():
        assert call["permissions"] == job["permissions"] == {"deployments": "write", "pull-requests": "write"}
    assert set(call["secrets"]) == set(workflow(CLEANUP)["on"]["workflow_call"]["secrets"])
    assert set(workflow(CALLER)["on"]) == {"schedule", "workflow_dispatch"}
    assert "schedule" not in workflow(CLEANUP)["on"]


def test_the_outputs_of_the_workflow_are_counts_of_a_pass() -> None:
    call = workflow(CLEANUP)["on"]["workflow_call"]
    job = workflow(CLEANUP)["jobs"]["janitor"]
    assert set(call["outputs"]) == set(job["outputs"]) <= {"checked", "unknown", *sweeping.DONE}
    for kind in ("inputs", "secrets", "outputs"):
        assert all(entry["description"].endswith(".") for entry in call[kind].values())


def test_the_workflow_checks_nothing_out_and_never_runs_beside_itself() -> None:
    jobs = workflow(CLEANUP)["jobs"]
    assert "checkout" not in "".join(map(actionfiles.text_of, jobs.values()))
    job = jobs["janitor"]
    assert job["concurrency"] == {"group": "k8s-ee-janitor-${{ github.repository_id }}", "cancel-in-progress": False}
    assert job["steps"][-1]["run"] == "exec k8s-ee janitor"
