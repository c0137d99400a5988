"""helm: what is rendered, and what is said when it can't be."""

from __future__ import annotations

import dataclasses
import pathlib
import time

import pytest

from k8s_ee import errors, helm, plan
from k8s_ee.config import model
from tests.unit.plan import facts

UNSEEN = "\t\r\u00a0\u00ad\u200b\u200d\u2028\u2029\u202e\u3000\ue000\ufdd0\ufeff\ufffd\U000e0001\U0010ffff"
TEXTS = (
    *("🚀", "a 👨‍👩‍👧 b", "é", "\\ud83d\\ude80", *UNSEEN, *(f"a{one}b" for one in UNSEEN)),
    *("", " ", "=", "<<", "~", "null", "yes", "y", "off", "True", "!", "&", "*", "- a", "a: b", "{}", "# a", "---"),
    *("0", "-1", "010", "0o7", "0x_", "0b_", "0b1", "1_000", "1e3", "1.5e+3", ".5_", "1:60", "190:20:30.15", ".inf"),
    *("0000-00-00", "1234-56-78", "2024-01-01", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.5+01:00"),
    *("\n", "a\n", "\na", "a\n\n", " a\n b", "a \n", "\ta\n", "a\n---\nb", "a\r\nb", "a\u2028b\n", "x " * 200),
)


@pytest.fixture(params=["helm", "helm3"])
def any_helm(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Helm 4 and Helm 3."""
    monkeypatch.setenv("PATH", facts.helm_folder(tmp_path, request.param), prepend=":")
    return str(request.param)


def fake(folder: pathlib.Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "helm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def render(component: object = None) -> tuple[facts.Manifest, ...]:
    part = component or facts.app(facts.FULL)
    return helm.render(part, namespace="shop-pr-42", kube_version=facts.KUBERNETES)  # type: ignore[arg-type]


def test_both_majors_of_helm_give_the_same_objects(any_helm: str) -> None:
    kinds = [one["kind"] for one in render()]
    assert sorted(kinds) == ["ConfigMap", "Deployment", "Ingress", "Job", "Service"]


@pytest.mark.parametrize("version", ["v1.30.0", "v1.31.2+k3s1", "v1.33.4-gke.100", "v1.34.4"])
def test_versions_as_the_clouds_write_them_are_taken(any_helm: str, version: str) -> None:
    assert helm.render(facts.app(facts.FULL), namespace="shop-pr-42", kube_version=version)


def test_any_text_comes_back_as_it_was_written(any_helm: str) -> None:
    names = [f"TEXT_{number}" for number in range(len(TEXTS))]
    wanted = facts.config(
        app=model.App(args=TEXTS, command=TEXTS, migrate=TEXTS), env=dict(zip(names, TEXTS, strict=True))
    )
    manifests = list(render(facts.app(wanted)))
    data = facts.only(manifests, "ConfigMap")["data"]
    assert tuple(data[name] for name in names) == TEXTS
    (app,), (migration,) = (facts.containers(facts.pods(manifests)[kind]) for kind in ("Deployment", "Job"))
    assert tuple(app["args"]) == tuple(app["command"]) == tuple(migration["command"]) == TEXTS


@pytest.mark.parametrize("written", ["=", "1234-56-78", "".join(TEXTS)])
def test_any_branch_and_any_bootstrap_come_back_as_they_were_written(any_helm: str, written: str) -> None:
    target = dataclasses.replace(facts.TARGET, branch=written)
    data = facts.only(list(render(facts.app(facts.config(), target))), "ConfigMap")["data"]
    assert data["BRANCH_NAME"] == written
    database = plan.database(target, model.Database("postgresql", bootstrap=written), facts.PLATFORM, secret="login")
    prepared = facts.only(list(render(database)), "ConfigMap")["data"]
    assert prepared["bootstrap.sql"] == written


def test_a_cluster_that_is_too_old_is_named(any_helm: str) -> None:
    with pytest.raises(errors.InputError, match=r"1\.30.*1\.29"):
        helm.render(facts.app(facts.FULL), namespace="shop-pr-42", kube_version="v1.29.9")


def test_a_value_the_chart_does_not_know_is_named_without_helms_log_lines(any_helm: str) -> None:
    part = facts.app(facts.FULL)
    with pytest.raises(errors.InputError, match="prot") as caught:
        render(dataclasses.replace(part, values={**part.values, "prot": 1}))
    assert "level=" not in caught.value.message
    assert "symbolic" not in caught.value.message
    assert "\n" not in caught.value.message


def test_without_helm_it_says_where_to_get_it(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(errors.ToolMissing) as caught:
        render()
    assert "helm.sh" in caught.value.hint


def test_a_helm_that_can_not_run_on_this_machine_is_a_missing_tool(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "", monkeypatch)
    (tmp_path / "helm").write_bytes(b"\x7fELF of another machine")
    with pytest.raises(errors.ToolMissing):
        render()


def test_a_helm_that_hangs_is_given_up(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(helm, "TIMEOUT", 0.2)
    start = time.monotonic()
    with pytest.raises(errors.Unavailable, match="render"):
        render()
    assert time.monotonic() - start < 10


def test_a_helm_that_fails_without_a_word_is_reported_all_the_same(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "cat >/dev/null; exit 3", monkeypatch)
    with pytest.raises(errors.InputError, match="without a word"):
        render()
