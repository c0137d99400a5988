"""Charts ↔ Pod Security, ↔ the plan, ↔ plain Helm; k8s/platform ↔ what the code does."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_ee import plan, resources
from k8s_ee.cluster import kinds
from k8s_ee.config import model
from k8s_ee_sandbox import artifacts, progress
from tests.unit.plan import facts

CHARTS = resources.directory("charts")
PLATFORM = resources.directory("k8s") / "platform"
INSTALLABLE = ("app", *sorted(engine.chart for engine in plan.ENGINES.values()))


@pytest.fixture(scope="module", autouse=True)
def _helm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", facts.helm_folder(tmp_path_factory.mktemp("helm")), prepend=":")
        yield


@pytest.fixture(scope="module")
def manifests() -> list[facts.Manifest]:
    return facts.rendered(facts.FULL)


@pytest.fixture(scope="module")
def containers(manifests: list[facts.Manifest]) -> list[facts.Manifest]:
    return [one for template in facts.pods(manifests).values() for one in facts.containers(template)]


def helm(*arguments: str, major: str = "helm", stdin: str = "") -> subprocess.CompletedProcess[str]:
    program = artifacts.ensure(major, progress=progress.Progress())[major]
    return subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("major", ["helm", "helm3"])
@pytest.mark.parametrize("chart", INSTALLABLE)
def test_helm_lint_is_clean(chart: str, major: str) -> None:
    part = facts.app(facts.FULL) if chart == "app" else _database(chart)
    done = helm("lint", "--strict", str(CHARTS / chart), "--values", "-", major=major, stdin=json.dumps(part.values))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


def _database(engine: str) -> Any:
    return plan.database(facts.TARGET, model.Database(engine), facts.PLATFORM, secret=plan.ENGINES[engine].secret)


@pytest.mark.parametrize("chart", INSTALLABLE)
def test_every_value_has_a_schema_and_every_default_is_valid(chart: str) -> None:
    schema = json.loads((CHARTS / chart / "values.schema.json").read_text())
    values = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    assert schema["additionalProperties"] is False
    assert values.keys() <= schema["properties"].keys()
    assert chart == "app" or values.keys() >= schema["properties"].keys() - {"global", "k8s-ee-lib"}
    assert all("description" in one or "$ref" in one or "properties" in one for one in schema["properties"].values())


def test_what_the_plan_sets_is_all_the_charts_know() -> None:
    for part in (facts.app(facts.FULL), *map(_database, plan.ENGINES)):
        schema = json.loads((CHARTS / part.chart / "values.schema.json").read_text())
        by_hand_only = {"global", "k8s-ee-lib", "imagePullSecrets", "podAnnotations"}
        assert set(part.values) | by_hand_only == schema["properties"].keys() | by_hand_only


@pytest.mark.parametrize("chart", INSTALLABLE)
def test_by_hand_a_chart_says_which_secret_it_needs(chart: str) -> None:
    values = {"image": "x@sha256:1"}
    ping = {"name": "postgresql", "image": "x", "runAsUser": 999, "ready": "true", "auth": {}}
    given = values | ({"databases": [ping]} if chart == "app" else {})
    done = helm("template", chart, str(CHARTS / chart), "--values", "-", stdin=json.dumps(given))
    assert done.returncode != 0
    assert "auth.existingSecret" in done.stderr


@pytest.mark.parametrize("engine", plan.ENGINES.values(), ids=plan.ENGINES)
def test_by_hand_the_chart_of_a_database_needs_nothing_but_the_secret(engine: plan.Engine) -> None:
    done = helm("template", engine.name, str(CHARTS / engine.chart), "--set", "auth.existingSecret=mine")
    assert done.returncode == 0, done.stderr
    made = list(yaml.safe_load_all(done.stdout))
    assert {one["kind"] for one in made} == {"ConfigMap", "Service", "StatefulSet"}
    assert {one["metadata"]["name"] for one in made if one["kind"] != "ConfigMap"} == {engine.name}
    (port,) = facts.only(made, "Service")["spec"]["ports"]
    spec = facts.only(made, "StatefulSet")["spec"]["template"]["spec"]
    (listens,) = spec["containers"][0]["ports"]
    assert (port["port"], port["targetPort"]) == (engine.port, listens["name"])
    assert (spec["securityContext"]["runAsUser"], listens["containerPort"]) == (engine.user, engine.port)


@pytest.mark.parametrize("engine", plan.ENGINES.values(), ids=plan.ENGINES)
def test_every_engine_has_every_script(engine: plan.Engine) -> None:
    scripts = {path.stem for path in (CHARTS / engine.chart / "files").glob("*.sh")}
    assert scripts >= {"start", "ready", "dump", "load", "wipe", "password"}


def test_the_library_chart_is_one_chart_that_both_carry() -> None:
    for chart in INSTALLABLE:
        carried = CHARTS / chart / "charts" / "k8s-ee-lib"
        for path in sorted((CHARTS / "k8s-ee-lib").rglob("*.*")):
            assert (carried / path.relative_to(CHARTS / "k8s-ee-lib")).read_bytes() == path.read_bytes()


def test_no_folder_of_a_chart_is_a_link_because_a_wheel_gets_only_the_first() -> None:
    assert not [path for path in CHARTS.rglob("*") if path.is_dir() and path.is_symlink()]


def test_every_pod_is_what_pod_security_restricted_admits(manifests: list[facts.Manifest]) -> None:
    templates = facts.pods(manifests)
    assert templates.keys() == {"StatefulSet", "Deployment", "Job"}
    for template in templates.values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert {key for volume in spec["volumes"] for key in volume} <= {"name", "emptyDir", "configMap", "secret"}
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["serviceAccountName"] == "preview"
        assert spec["priorityClassName"] == "k8s-ee-preview"


def test_every_container_has_no_rights_a_read_only_root_and_limits(containers: list[facts.Manifest]) -> None:
    assert len(containers) == 5
    for container in containers:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"] is True
        assert "privileged" not in security
        assert container["resources"].keys() == {"requests", "limits"}


def test_every_image_is_pulled_by_digest_and_only_when_missing(containers: list[facts.Manifest]) -> None:
    for container in containers:
        assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_ports_are_named_and_referred_to_by_name(manifests: list[facts.Manifest], containers: Any) -> None:
    named = {port["name"] for container in containers for port in container.get("ports", [])}
    assert named == {"http", "postgresql"}
    for service in (one for one in manifests if one["kind"] == "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named


def test_every_object_and_pod_says_whose_it_is(manifests: list[facts.Manifest]) -> None:
    everything = [*manifests, *facts.pods(manifests).values()]
    for one in everything:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "k8s-ee"
        assert labels["app.kubernetes.io/component"] in {"app", "postgresql"}
        assert labels["app.kubernetes.io/name"]
        assert (labels["k8s-ee/project"], labels["k8s-ee/pr"]) == ("shop", "42")


def test_what_is_rendered_may_be_applied_and_pruned(manifests: list[facts.Manifest]) -> None:
    fence = plan.fence(facts.TARGET, facts.FULL, facts.PLATFORM)
    for one in (*manifests, *fence):
        assert kinds.kind(one["kind"], api_version=one["apiVersion"])
    assert {one["kind"] for one in manifests} <= set(kinds.PRUNABLE)


def test_the_scripts_of_the_charts_pass_shellcheck() -> None:
    scripts = sorted(str(path) for path in CHARTS.rglob("files/*.sh"))
    assert scripts
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_the_waiting_script_passes_shellcheck(containers: list[facts.Manifest]) -> None:
    waiting = next(one for one in containers if one["name"].startswith("wait-for-"))
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "-"],
        input=waiting["command"][2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def platform() -> list[facts.Manifest]:
    return [
        one
        for path in sorted(PLATFORM.glob("*.yaml"))
        if path.name not in {"kustomization.yaml", "platform.yaml"}
        for one in yaml.safe_load_all(path.read_text())
    ]


def granted(name: str = "") -> dict[tuple[str, str], set[str]]:
    """Verbs by (group, resource) of the CI identity everywhere, those for single names left out unless asked for."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in facts.only(platform(), "ClusterRole")["rules"]:
        if name in rule.get("resourceNames", [name]):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


def key(kind: str) -> tuple[str, str]:
    known = kinds.KINDS[kind]
    return known.api_version.rpartition("/")[0], known.plural


def test_ci_may_apply_whatever_is_planned(manifests: list[facts.Manifest]) -> None:
    fence = plan.fence(facts.TARGET, facts.FULL, facts.PLATFORM)
    for kind in {one["kind"] for one in (*manifests, *fence)} | {"Secret", "Namespace"}:
        assert {"create", "patch"} <= granted()[key(kind)], kind


def test_ci_may_prune_every_kind_that_is_pruned() -> None:
    for kind in kinds.PRUNABLE:
        assert {"list", "delete"} <= granted()[key(kind)], kind


def test_ci_reads_no_secret_of_the_cluster_but_the_credentials_it_made() -> None:
    assert granted()["", "secrets"] == {"create", "patch"}
    for engine in plan.ENGINES.values():
        assert "get" in granted(engine.secret)["", "secrets"]


def test_ci_has_no_wildcards_and_no_rights_on_rights() -> None:
    for role in (one for one in platform() if one["kind"] in {"ClusterRole", "Role"}):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])


def test_whatever_ci_may_write_is_held_inside_environments_by_admission() -> None:
    (rule,) = facts.only(platform(), "ValidatingAdmissionPolicy")["spec"]["matchConstraints"]["resourceRules"]
    writes = {"create", "patch", "update", "delete", "deletecollection"}
    assert {group for (group, _), verbs in granted().items() if verbs & writes} <= set(rule["apiGroups"])
    assert rule["operations"] == ["CREATE", "UPDATE", "DELETE", "CONNECT"]
    assert all(one["reason"] == "Forbidden" for one in _validations())


def _validations() -> list[dict[str, str]]:
    found = facts.only(platform(), "ValidatingAdmissionPolicy")["spec"]["validations"]
    return list(found)


def test_previews_never_push_anything_out_and_go_first() -> None:
    found = facts.only(platform(), "PriorityClass")
    assert found["metadata"]["name"] == model.Platform(domain="x.example").priority_class
    assert found["preemptionPolicy"] == "Never"
    assert found["value"] < 0


def test_the_platform_settings_that_ship_are_valid_and_let_nobody_in() -> None:
    from k8s_ee import config

    found = config.load_platform((PLATFORM / "platform.yaml").read_text(), path="platform.yaml")
    assert (found.allowed_owner_ids, found.allowed_repository_ids, found.registries) == ((), (), ())


def test_everything_in_the_folder_is_installed() -> None:
    folder: pathlib.Path = PLATFORM
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert {*listed["resources"], "kustomization.yaml", "platform.yaml"} == {one.name for one in folder.glob("*.yaml")}
