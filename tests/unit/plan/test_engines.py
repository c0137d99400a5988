"""Databases: one table, credentials made once, data that stays."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import urllib.parse

import pytest

from k8s_ee import plan, resources
from k8s_ee.commands import secrecy
from k8s_ee.config import model, variables
from k8s_ee.plan import engines
from tests.unit.plan import facts

ENGINE = plan.ENGINES["postgresql"]


def image(version: str = "", platform: model.Platform = facts.PLATFORM) -> str:
    return engines.image(ENGINE, model.Database("postgresql", version=version), platform)


def test_every_engine_has_a_chart_of_its_own_and_its_variables_are_reserved() -> None:
    for name, engine in plan.ENGINES.items():
        assert (resources.directory("charts") / engine.chart / "Chart.yaml").is_file()
        assert engine.name == name
        assert tuple(engine.env("x")) == variables.DATABASES[name]


@pytest.mark.parametrize("version", ["", "17"])
def test_the_default_image_is_pinned_by_digest(version: str) -> None:
    assert re.fullmatch(r"docker\.io/library/postgres:17\.[0-9]+@sha256:[0-9a-f]{64}", image(version))


def test_another_version_is_another_image() -> None:
    assert image("16") == "docker.io/library/postgres:16"


def test_the_platforms_image_is_taken_whatever_version_is_asked_for() -> None:
    mirror = model.Platform(domain="x.example", engine_images={"postgresql": "mirror.example/pg@sha256:1"})
    assert image("16", mirror) == "mirror.example/pg@sha256:1"


def credentials() -> tuple[facts.Manifest, dict[str, str]]:
    """The Secret and what is in it."""
    secret = plan.logins.credentials(ENGINE, plan.logins.login(ENGINE, facts.TARGET, lambda: "S3cret-_x"))
    return secret, secrecy.decoded(secret)


def test_credentials_are_immutable_and_give_the_app_every_variable() -> None:
    secret, values = credentials()
    assert secret["immutable"] is True
    assert secret["metadata"]["name"] == "postgresql-credentials-v1"
    assert secret["metadata"]["labels"]["app.kubernetes.io/component"] == "postgresql"
    url = urllib.parse.urlsplit(values["DATABASE_URL"])
    assert (url.username, url.password, url.hostname, url.port, url.path) == (
        values["PGUSER"],
        values["PGPASSWORD"],
        values["PGHOST"],
        int(values["PGPORT"]),
        "/" + values["PGDATABASE"],
    )


def test_no_manifest_that_is_rendered_holds_a_password() -> None:
    assert "S3cret-_x" not in str(facts.rendered(facts.FULL))
    assert credentials()[1]["PGPASSWORD"] == "S3cret-_x"


def test_the_service_the_variables_name_is_the_charts() -> None:
    manifests = facts.rendered(facts.FULL)
    service = facts.only(manifests, "Service", "postgresql")
    values = ENGINE.env("x")
    assert service["metadata"]["name"] == values["PGHOST"]
    assert str(service["spec"]["ports"][0]["port"]) == values["PGPORT"] == str(ENGINE.port)


def test_the_claim_is_the_one_the_stateful_set_makes_and_stays_when_that_goes() -> None:
    stateful = facts.only(facts.rendered(facts.FULL), "StatefulSet")
    (template,) = stateful["spec"]["volumeClaimTemplates"]
    assert f"{template['metadata']['name']}-{stateful['metadata']['name']}-0" == ENGINE.claim
    assert stateful["spec"]["persistentVolumeClaimRetentionPolicy"] == {
        "whenDeleted": "Retain",
        "whenScaled": "Retain",
    }


def test_a_push_that_changes_only_the_app_does_not_touch_the_database() -> None:
    changed = facts.config(databases=(facts.POSTGRESQL,), env={"A": "b"}, app=model.App(port=1234))
    before = facts.only(facts.rendered(facts.config(databases=(facts.POSTGRESQL,))), "StatefulSet")
    assert facts.only(facts.rendered(changed), "StatefulSet") == before


def test_another_bootstrap_replaces_a_pod_that_the_old_one_kept_from_starting() -> None:
    def stateful(sql: str) -> dict[str, object]:
        config = facts.config(databases=(model.Database("postgresql", bootstrap=sql),))
        return dict(facts.only(facts.rendered(config), "StatefulSet")["spec"])

    broken, fixed = stateful("SELEC 1"), stateful("SELECT 1")
    assert broken["podManagementPolicy"] == "Parallel"
    assert broken["template"] != fixed["template"]


def test_bootstrap_sql_arrives_as_it_was_written() -> None:
    sql = "-- \"quotes\", 'more', {{ braces }}\n\tSELECT $$ a\\b $$;\n\n\n"
    config = facts.config(databases=(model.Database("postgresql", bootstrap=sql),))
    assert facts.only(facts.rendered(config), "ConfigMap", "postgresql-")["data"]["bootstrap.sql"] == sql


def test_ready_is_asked_at_once_and_waits_for_the_answer() -> None:
    (container,) = facts.pods(facts.rendered(facts.FULL))["StatefulSet"]["spec"]["containers"]
    asked = container["readinessProbe"]
    *_, script, _answered = asked["exec"]["command"]
    assert 'sh /etc/k8s-ee/scripts/ready.sh "${tried:-9}" && ' in script
    assert asked["periodSeconds"] == 1
    assert "&& sleep 30 &&" in script, "each command in a container costs a processor 0.05 s, for ever"
    assert asked["timeoutSeconds"] > 30 + 9, "what it waits before it asks again, and for the answer"
    assert "startupProbe" not in container, "everybody would wait for it a second longer"
    assert "initialDelaySeconds" not in asked


def test_right_after_an_answer_it_takes_its_time_and_after_none_it_asks_at_once(tmp_path: pathlib.Path) -> None:
    (container,) = facts.pods(facts.rendered(facts.FULL))["StatefulSet"]["spec"]["containers"]
    *_, script, _answered = container["readinessProbe"]["exec"]["command"]
    for name, then in (("sh", "exit $ANSWER"), ("sleep", "exit 0")):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>"{tmp_path}/log"\n{then}\n')
        program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["/bin/sh", "-c", script, str(tmp_path / "answered")]
    codes = [subprocess.run(command, env={**environ, "ANSWER": answer}, check=False).returncode for answer in "10010"]
    ask = "sh /etc/k8s-ee/scripts/ready.sh"
    assert codes == [1, 0, 0, 1, 0]
    assert (tmp_path / "log").read_text().splitlines() == [
        *(f"{ask} 9", f"{ask} 9", "sleep 30", f"{ask} 2"),
        *("sleep 30", f"{ask} 2", f"{ask} 9"),
    ]


def test_a_database_is_begun_anew_only_when_it_never_answered_within_its_window() -> None:
    (container,) = facts.pods(facts.rendered(facts.FULL))["StatefulSet"]["spec"]["containers"]
    over = container["livenessProbe"]
    assert over["initialDelaySeconds"] == 150
    assert (over["timeoutSeconds"], over["failureThreshold"]) == (60, 2), "a node that is slow ends no database"
    (test, exists, answered) = over["exec"]["command"]
    assert (test, exists) == ("test", "-e")
    *_, script, noted = container["readinessProbe"]["exec"]["command"]
    assert (noted, script.endswith(' && : >"$0"')) == (answered, True)
    assert container["command"][-1].startswith(f"rm -f {answered}*; "), "of this start, not of one before"


def test_readiness_goes_over_the_network() -> None:
    (container,) = facts.pods(facts.rendered(facts.FULL))["StatefulSet"]["spec"]["containers"]
    ready = facts.only(facts.rendered(facts.FULL), "ConfigMap", "postgresql-")["data"]["ready.sh"]
    assert 'PGHOST="${HOST:-' in ready
    assert {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}} in container["env"]


def test_the_plan_names_what_will_exist() -> None:
    found = plan.summary(facts.TARGET, facts.FULL, facts.PLATFORM)
    assert found["namespace"] == "shop-pr-42"
    assert found["url"] == "https://shop-pr-42.preview.example.com"
    assert [one["engine"] for one in found["databases"]] == ["postgresql"]
    assert found["policies"][0] == "default-deny"
    assert found["quota"]["pods"] == "6"
