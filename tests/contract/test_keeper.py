"""What k8s/janitor/components/backup ships fits the command it runs, and holds no more than that needs."""

from __future__ import annotations

import re
from typing import Any

import yaml

from k8s_ee import cli, config, environment
from tests.contract import test_janitor
from tests.contract.test_janitor import container_of, pod_of

NAME = "k8s-ee-keeper"
SHIPPED = test_janitor.SHIPPED / "components"
Manifest = dict[str, Any]


def shipped(kind: str) -> Manifest:
    documents = [one for path in (SHIPPED / "backup").glob("*.yaml") for one in yaml.safe_load_all(path.read_text())]
    (found,) = [one for one in documents if one["kind"] == kind]
    assert isinstance(found, dict)
    return found


def test_it_has_every_file_of_its_folder_and_each_object_its_own_name() -> None:
    listed = shipped("Component")["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in (SHIPPED / "backup").iterdir()}
    assert {shipped(kind)["metadata"]["name"] for kind in ("CronJob", "ClusterRole", "Role", "NetworkPolicy")} == {NAME}


def test_it_runs_the_command_and_ends_it_in_good_order_after_all_the_time_that_a_backup_has() -> None:
    cron_job = shipped("CronJob")
    container = container_of(cron_job)
    assert container["args"] == ["keeper"]
    assert "keeper" in cli.main.commands
    (timeout,) = [int(one["value"]) for one in container["env"] if one["name"] == "K8S_EE_TIMEOUT"]
    deadline = config.load_platform("domain: a", path="p").backup.deadline
    job = cron_job["spec"]["jobTemplate"]["spec"]
    assert deadline.total_seconds() <= timeout < job["activeDeadlineSeconds"]
    assert (cron_job["spec"]["concurrencyPolicy"], job["backoffLimit"]) == ("Forbid", 0)


def test_its_pod_is_as_narrow_as_the_janitors() -> None:
    pod, janitor = pod_of(shipped("CronJob")), pod_of(test_janitor.base("CronJob"))
    assert pod["securityContext"].items() >= janitor["securityContext"].items()
    (container,), (other,) = pod["containers"], janitor["containers"]
    assert container["securityContext"] == other["securityContext"]
    assert (pod["automountServiceAccountToken"], pod["serviceAccountName"]) == (True, NAME)
    assert shipped("ServiceAccount")["automountServiceAccountToken"] is False


def test_the_key_to_the_storage_and_the_way_into_databases_are_its_own_and_it_can_destroy_nothing() -> None:
    (source,) = container_of(shipped("CronJob"))["envFrom"]
    assert source == {"secretRef": {"name": "k8s-ee-backup", "optional": True}}
    assert "k8s-ee-backup" not in str([test_janitor.base("CronJob"), test_janitor.base("ClusterRole")])
    assert "pods/exec" not in str(test_janitor.base("ClusterRole")["rules"])
    verbs = {
        (resource, verb)
        for rule in [*shipped("ClusterRole")["rules"], *shipped("Role")["rules"]]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {one for one in verbs if one[1] not in {"get", "list", "watch"}} == {
        ("namespaces", "patch"),
        ("statefulsets/scale", "patch"),
        ("pods/exec", "create"),
    }
    assert not {"secrets", "*"} & {resource for resource, _verb in verbs}


def test_admission_lets_it_note_what_the_code_notes() -> None:
    spec = shipped("ValidatingAdmissionPolicy")["spec"]
    assert NAME in spec["matchConditions"][0]["expression"]
    assert "CONNECT" in spec["matchConstraints"]["resourceRules"][0]["operations"]
    (prefix,) = {
        one for rule in spec["validations"] for one in re.findall(r"startsWith\('(.*?)'\)", rule["expression"])
    }
    theirs = {environment.BACKUP_ATTEMPTS, environment.BACKUP_ERROR, environment.BACKED_UP}
    assert all(one.startswith(prefix) for one in theirs)
    foreign = {environment.DESTROY_REQUESTED_AT, environment.ACTIVE_AT, environment.REPLICAS}
    assert not any(one.startswith(prefix) for one in foreign)
    assert shipped("ValidatingAdmissionPolicyBinding")["spec"] == {"policyName": NAME, "validationActions": ["Deny"]}


def test_nothing_reaches_it_and_it_reaches_only_listed_ports() -> None:
    spec = shipped("NetworkPolicy")["spec"]
    labels = shipped("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()
    assert (sorted(spec["policyTypes"]), spec["ingress"]) == (["Egress", "Ingress"], [])
    assert {port["port"] for rule in spec["egress"] for port in rule["ports"]} == {53, 443, 6443}


def test_a_volume_is_mounted_where_its_component_says() -> None:
    text = (SHIPPED / "backup-volume" / "kustomization.yaml").read_text()
    (said,) = re.findall(r"`backup.to: (\S+)`", text)
    assert f"mountPath: {said}}}" in text
