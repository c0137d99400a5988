"""The app: what a pull request can and can't shape, and why a bad push leaves the good one alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from k8s_ee import plan
from k8s_ee.config import model
from tests.unit.plan import facts


def environment_of(config: model.Config, **changes: Any) -> dict[str, str]:
    target = dataclasses.replace(facts.TARGET, **changes)
    return dict(facts.only(facts.rendered(config, target), "ConfigMap", "app-env-")["data"])


def container(config: model.Config, **changes: Any) -> dict[str, Any]:
    manifests = facts.rendered(config, dataclasses.replace(facts.TARGET, **changes))
    (only,) = facts.pods(manifests)["Deployment"]["spec"]["containers"]
    return dict(only)


def test_the_app_is_told_about_itself() -> None:
    assert environment_of(facts.config()) == {
        "PORT": "3000",
        "PR_NUMBER": "42",
        "COMMIT_SHA": "a" * 40,
        "BRANCH_NAME": "feature/new: cart",
        "APP_VERSION": "pr-42-aaaaaaa",
        "PREVIEW_URL": "https://shop-pr-42.preview.example.com",
    }


def test_without_a_link_no_link_is_told() -> None:
    assert environment_of(facts.config(ingress=model.Ingress(enabled=False)))["PREVIEW_URL"] == ""


def test_values_arrive_as_they_were_written_template_signs_included() -> None:
    assert environment_of(facts.FULL)["TEXT"] == facts.FULL.env["TEXT"]


def test_the_environment_is_immutable_and_named_by_its_content() -> None:
    first, again = (facts.only(facts.rendered(facts.FULL), "ConfigMap", "app-env-") for _ in range(2))
    other = facts.only(
        facts.rendered(facts.FULL, dataclasses.replace(facts.TARGET, head_sha="b" * 40)), "ConfigMap", "app-env-"
    )
    assert first["immutable"] is True
    assert first["metadata"]["name"] == again["metadata"]["name"] != other["metadata"]["name"]


def test_variables_come_from_the_database_then_from_the_users_sources_then_from_the_config() -> None:
    sources = container(facts.FULL)["envFrom"]
    assert [next(iter(one)) for one in sources] == ["secretRef", "secretRef", "configMapRef", "configMapRef"]
    assert [next(iter(one.values()))["name"] for one in sources[:3]] == [
        "postgresql-credentials-v1",
        "payment",
        "flags",
    ]
    assert sources[2]["configMapRef"]["optional"] is True


def test_another_port_changes_the_pods_and_nothing_that_serves_them() -> None:
    before = facts.rendered(facts.config())
    after = facts.rendered(facts.config(app=model.App(port=8080)))
    for kind in ("Service", "Ingress"):
        assert facts.only(before, kind) == facts.only(after, kind)
    assert facts.only(after, "Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert container(facts.config(app=model.App(port=8080)))["ports"] == [{"name": "http", "containerPort": 8080}]


def test_no_pod_is_taken_away_before_a_new_one_is_ready() -> None:
    spec = facts.only(facts.rendered(facts.FULL), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    only = container(facts.FULL)
    assert only["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert only["readinessProbe"]["httpGet"] == {"path": "/health", "port": "http"}


@pytest.mark.parametrize("seconds", [10, 150, 900])
def test_a_slow_start_is_neither_killed_nor_given_up_in_its_time(seconds: int) -> None:
    config = facts.config(app=model.App(startup_seconds=seconds), databases=(facts.POSTGRESQL,))
    startup = container(config)["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] == seconds
    deployment = facts.only(facts.rendered(config), "Deployment")
    for_a_node = 240
    assert deployment["spec"]["progressDeadlineSeconds"] > seconds + facts.POSTGRESQL.startup_seconds + for_a_node
    assert "livenessProbe" not in container(config)


def test_pods_say_which_commit_they_are() -> None:
    template = facts.pods(facts.rendered(facts.FULL))["Deployment"]
    assert template["metadata"]["annotations"]["k8s-ee/head-sha"] == "a" * 40


def test_scraping_is_asked_for_with_port_path_and_interval() -> None:
    annotations = facts.pods(facts.rendered(facts.FULL))["Deployment"]["metadata"]["annotations"]
    assert {key: value for key, value in annotations.items() if key.startswith("prometheus.io/")} == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": "3000",
        "prometheus.io/path": "/stats",
        "prometheus.io/interval": "15s",
    }
    quiet = facts.pods(facts.rendered(facts.config()))["Deployment"]["metadata"]["annotations"]
    assert set(quiet) == {"k8s-ee/head-sha"}


def test_the_pods_wait_for_each_database_as_the_apps_own_user() -> None:
    for kind in ("Deployment", "Job"):
        spec = facts.pods(facts.rendered(facts.FULL))[kind]["spec"]
        (waiting,) = spec["initContainers"]
        assert waiting["name"] == "wait-for-postgresql"
        assert waiting["command"] == ["sh", "-c", plan.ENGINES["postgresql"].ready, "ready.sh", "150"]
        mounted = {one["name"]: one["mountPath"] for one in waiting["volumeMounts"]}
        assert mounted["postgresql"] == "/etc/k8s-ee/credentials"
        assert {"name": "postgresql", "secret": {"secretName": "postgresql-credentials-v1"}} in spec["volumes"]


def test_command_and_args_replace_the_images_own_only_when_given() -> None:
    assert (container(facts.FULL)["command"], container(facts.FULL)["args"]) == (["./serve"], ["--all"])
    assert not {"command", "args"} & container(facts.config()).keys()


def test_tmp_is_always_writable_and_mounted_once() -> None:
    mounts = [mount["mountPath"] for mount in container(facts.FULL)["volumeMounts"]]
    assert mounts == ["/tmp", "/var/cache/shop"]


def test_a_user_is_set_only_when_asked_for() -> None:
    assert facts.pods(facts.rendered(facts.FULL))["Deployment"]["spec"]["securityContext"]["runAsUser"] == 1000
    security = facts.pods(facts.rendered(facts.config()))["Deployment"]["spec"]["securityContext"]
    assert "runAsUser" not in security


def test_the_migration_is_another_job_for_another_commit_or_command_and_the_same_for_the_same() -> None:
    def name(config: model.Config, sha: str = "a" * 40) -> str:
        manifests = facts.rendered(config, dataclasses.replace(facts.TARGET, head_sha=sha))
        return str(facts.only(manifests, "Job")["metadata"]["name"])

    first = facts.config(app=model.App(migrate=("m",)))
    assert name(first).startswith("migrate-aaaaaaa-")
    assert name(first) == name(first)
    assert name(first) != name(first, "b" * 40)
    assert name(first) != name(facts.config(app=model.App(migrate=("n",))))


def test_a_failed_migration_is_not_repeated_but_one_that_was_evicted_is() -> None:
    spec = facts.only(facts.rendered(facts.FULL), "Job")["spec"]
    assert spec["backoffLimit"] == 0
    assert spec["podFailurePolicy"]["rules"] == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    ]
    assert "ttlSecondsAfterFinished" not in spec


def test_the_pods_of_a_migration_are_never_behind_the_service() -> None:
    manifests = facts.rendered(facts.FULL)
    selector = facts.only(manifests, "Service", "app")["spec"]["selector"]
    labels = {kind: template["metadata"]["labels"] for kind, template in facts.pods(manifests).items()}
    assert [kind for kind, found in labels.items() if selector.items() <= found.items()] == ["Deployment"]


def test_https_uses_the_controllers_own_certificate_and_http_none() -> None:
    host = "shop-pr-42.preview.example.com"
    assert facts.only(facts.rendered(facts.config()), "Ingress")["spec"]["tls"] == [{"hosts": [host]}]
    plain = facts.rendered(facts.config(), dataclasses.replace(facts.TARGET, scheme="http"))
    assert "tls" not in facts.only(plain, "Ingress")["spec"]


def test_no_link_is_made_when_none_is_wanted() -> None:
    manifests = facts.rendered(facts.config(ingress=model.Ingress(enabled=False)))
    assert "Ingress" not in {one["kind"] for one in manifests}
