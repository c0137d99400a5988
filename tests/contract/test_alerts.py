"""The alerts that k8s/ ships, and the question that the janitor asks, evaluated by Prometheus' own engine."""

from __future__ import annotations

import pathlib
import subprocess
from typing import Any

import pytest
import yaml

from k8s_ee.config import model
from k8s_ee_sandbox import artifacts, progress
from tests.contract import actionfiles

SHIPPED = {
    "janitor": actionfiles.ROOT / "k8s" / "janitor" / "components" / "alerts" / "rules.yaml",
    "datastore": actionfiles.ROOT / "k8s" / "datastore" / "rules.yaml",
}
# Compiling promtool takes minutes on a cold machine.
needs_promtool = pytest.mark.long
PASSED = "k8s_ee_janitor_last_full_pass_timestamp_seconds"
Case = dict[str, Any]


@pytest.fixture(scope="module")
def promtool() -> pathlib.Path:
    return artifacts.ensure("promtool", progress=progress.Progress())["promtool"]


def series(**given: str) -> list[dict[str, str]]:
    """By the names of metrics; one value a minute, as `promtool test rules` writes them."""
    return [{"series": name, "values": values} for name, values in given.items()]


def fired(name: str, at: str, **labels: str) -> Case:
    return {"alertname": name, "eval_time": at, "exp_alerts": [{"exp_labels": labels}]}


def silent(name: str, at: str) -> Case:
    return {"alertname": name, "eval_time": at, "exp_alerts": []}


WARNING, INFO = {"severity": "warning"}, {"severity": "info"}
CASES: dict[str, tuple[str, list[dict[str, str]], list[Case]]] = {
    "a pass every five minutes": (
        "janitor",
        series(**{PASSED: "0x4 300x4 600x4 900x4 1200x4 1500x4 1800x60"}),
        [
            silent("K8sEeJanitorSilent", "30m"),
            silent("K8sEeJanitorSilent", "45m"),
            fired("K8sEeJanitorSilent", "47m", **WARNING),
        ],
    ),
    "one of several files that nobody writes any more": (
        "janitor",
        series(**{f'{PASSED}{{instance="old"}}': "0x90", f'{PASSED}{{instance="new"}}': "0+60x90"}),
        [silent("K8sEeJanitorSilent", "90m")],
    ),
    "never a pass": ("janitor", [], [silent("K8sEeJanitorSilent", "0m"), fired("K8sEeJanitorSilent", "2m", **WARNING)]),
    "somebody is needed for long": (
        "janitor",
        series(k8s_ee_janitor_failed="0x9 2x60", k8s_ee_janitor_unknown_long="0x9 1x60"),
        [
            silent("K8sEeEnvironmentsNeedSomebody", "35m"),
            fired("K8sEeEnvironmentsNeedSomebody", "45m", **WARNING),
            silent("K8sEePullRequestsUnknownForLong", "35m"),
            fired("K8sEePullRequestsUnknownForLong", "45m", **INFO),
        ],
    ),
    "a backup that failed": (
        "janitor",
        series(k8s_ee_janitor_backup_failed="0x9 2x60"),
        [silent("K8sEeBackupsFailed", "9m"), fired("K8sEeBackupsFailed", "12m", **WARNING)],
    ),
    "an end that the next pass finishes": (
        "janitor",
        series(k8s_ee_janitor_failed="0x9 2x20 0x40", k8s_ee_janitor_unknown_long="0x70"),
        [silent("K8sEeEnvironmentsNeedSomebody", "50m"), silent("K8sEePullRequestsUnknownForLong", "50m")],
    ),
    "a large datastore": (
        "datastore",
        series(**{'apiserver_storage_size_bytes{instance="a"}': "1.4e9x30 1.6e9x30"}),
        [
            silent("K8sEeDatastoreLarge", "30m"),
            silent("K8sEeDatastoreLarge", "40m"),
            fired("K8sEeDatastoreLarge", "50m", **WARNING),
        ],
    ),
    "a large file that is mostly empty": (
        "datastore",
        series(
            **{
                'etcd_mvcc_db_total_size_in_bytes{instance="a"}': "6e8x1600",
                'etcd_mvcc_db_total_size_in_use_in_bytes{instance="a"}': "2e8x1600",
                'etcd_mvcc_db_total_size_in_bytes{instance="full"}': "6e8x1600",
                'etcd_mvcc_db_total_size_in_use_in_bytes{instance="full"}': "5e8x1600",
                'etcd_mvcc_db_total_size_in_bytes{instance="small"}': "4e8x1600",
                'etcd_mvcc_db_total_size_in_use_in_bytes{instance="small"}': "1e8x1600",
            }
        ),
        [
            silent("K8sEeDatastoreMostlyEmpty", "23h"),
            fired("K8sEeDatastoreMostlyEmpty", "25h", instance="a", **INFO),
        ],
    ),
}


def evaluate(promtool: pathlib.Path, folder: pathlib.Path, test: dict[str, Any], *, rules: str = "") -> None:
    """Raises AssertionError with the differences."""
    written: dict[str, Any] = {"evaluation_interval": "1m", "tests": [{"interval": "1m", **test}]}
    if rules:
        manifest = yaml.safe_load(SHIPPED[rules].read_text())
        for group in manifest["spec"]["groups"]:
            for rule in group["rules"]:
                del rule["annotations"]  # what they say is for people
        (folder / "rules.yaml").write_text(yaml.safe_dump(manifest["spec"]))
        written["rule_files"] = ["rules.yaml"]
    (folder / "test.yaml").write_text(yaml.safe_dump(written))
    command = [str(promtool), "test", "rules", str(folder / "test.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_should_and_not_before(
    promtool: pathlib.Path, tmp_path: pathlib.Path, case: str
) -> None:
    rules, given, expected = CASES[case]
    evaluate(promtool, tmp_path, {"input_series": given, "alert_rule_test": expected}, rules=rules)


def test_every_alert_is_tried() -> None:
    files = [yaml.safe_load(path.read_text()) for path in SHIPPED.values()]
    shipped = {rule["alert"] for one in files for group in one["spec"]["groups"] for rule in group["rules"]}
    tried = {one["alertname"] for _, _, expected in CASES.values() for one in expected if one["exp_alerts"]}
    assert tried == shipped


@needs_promtool
@pytest.mark.parametrize("rules", SHIPPED)
def test_what_an_alert_says_can_be_filled_in(promtool: pathlib.Path, tmp_path: pathlib.Path, rules: str) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHIPPED[rules].read_text())["spec"]))
    command = [str(promtool), "check", "rules", "--lint=all", "--lint-fatal", str(tmp_path / "rules.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


REQUESTS = "nginx_ingress_controller_requests"
BUILD = 'nginx_ingress_controller_build_info{controller_namespace="ingress-nginx"}'
COUNTS: dict[str, tuple[list[tuple[str, str]], int]] = {
    "visited for 20 minutes": ([("pod-a", "0x9 1+1x20 21x300")], 30),
    "its first of a kind": ([("pod-a", "1x300"), ('pod-a", status="404', "_x60 1x240")], 60),
    "forgotten": ([("pod-a", "5x300")], 0),
    "its first of all": ([("pod-a", "_x59 3x240")], 60),
    "its first after a new controller": ([("pod-a", "9x99 stale"), ("pod-b", "_x104 2x200")], 105),
    "its first after the controller started again": ([("pod-a", "9x99 stale _x20 2x200")], 125),
    "as many as before the new controller": ([("pod-a", "9x99 stale"), ("pod-b", "_x104 9x200")], 105),
    "none since a new controller": ([("pod-a", "9x99 stale")], 0),
    "none since one of two controllers ended": ([("pod-a", "9x99 stale"), ("pod-b", "7x300")], 0),
    "none while nobody scraped": ([("pod-a", "9x99 stale _x40 9x200")], 0),
    "one while nobody scraped": ([("pod-a", "9x99 stale _x38 10x200")], 140),
    "none while nobody scraped for more than an hour": ([("pod-a", "9x99 stale _x80 9x200")], 185),
}
"""For each namespace its series, one value a minute from when Prometheus first saw them, and the minute of its last
request, as steps of five minutes tell it."""


@needs_promtool
@pytest.mark.parametrize("label", ["namespace", "exported_namespace"])
def test_the_question_about_traffic_is_answered_with_the_time_of_the_last_request(
    promtool: pathlib.Path, tmp_path: pathlib.Path, label: str
) -> None:
    own = ', namespace="ingress-nginx"' if label == "exported_namespace" else ""
    given = {
        f'{REQUESTS}{{{label}="{name}"{own}, controller_pod="{pod}"}}': values
        for name, (counts, _) in COUNTS.items()
        for pod, values in counts
    }
    expected = [{"labels": f'{{{label}="{name}"{own}}}', "value": 60 * minute} for name, (_, minute) in COUNTS.items()]
    answer = [*expected, {"labels": "{}", "value": 0}]
    question = {"expr": model.Traffic().query, "eval_time": "5h", "exp_samples": answer}
    evaluate(promtool, tmp_path, {"input_series": series(**given, **{BUILD: "1x300"}), "promql_expr_test": [question]})


@needs_promtool
def test_the_question_has_no_answer_while_nobody_scrapes_the_controller(
    promtool: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    question = {"expr": model.Traffic().query, "eval_time": "4h", "exp_samples": []}
    evaluate(promtool, tmp_path, {"input_series": series(up="1x300"), "promql_expr_test": [question]})
