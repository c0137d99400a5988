"""The process as a caller sees it: what is on which stream, and with which exit code."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import subprocess
import sys
from typing import Any

import pytest

from tests.workflows import events

PROGRAM = str(pathlib.Path(sys.executable).with_name("k8s-ee"))


def run(*arguments: str, directory: pathlib.Path, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(directory), **environ}
    command = [PROGRAM, *arguments]
    return subprocess.run(command, cwd=directory, env=clean, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "k8s-ee.yaml").write_text("projectId: shop\n")
    (tmp_path / "bad.yaml").write_text("projectId: shop\nnope: '##[add-mask]e'\n")
    return tmp_path


WORKFLOW = {"GITHUB_ACTIONS": "true"}


def only_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("validate",), 0),
        (("validate", "--config-path", "bad.yaml"), 2),
        (("validate", "--nope"), 2),
        (("status", "--pr", "none"), 2),
        (("up",), 2),
        (("status",), 2),
        (("list", "--kubeconfig", "/absent"), 5),
    ],
)
@pytest.mark.parametrize("inside", [True, False])
def test_with_output_json_stdout_is_one_document_and_nothing_else(
    folder: pathlib.Path, arguments: tuple[str, ...], code: int, *, inside: bool
) -> None:
    environ = WORKFLOW if inside else {}
    done = run(*arguments, "--output", "json", directory=folder, **environ)
    found = only_json(done.stdout)
    assert (done.returncode, found["command"]) == (code, arguments[0])
    assert (found["state"] == "failed", (found["failure"] or {}).get("exitCode", 0)) == (bool(code), code)
    assert "##[" not in done.stdout, "the runner obeys it anywhere in a line"


def test_annotations_reach_the_runner_beside_a_json_document(folder: pathlib.Path) -> None:
    done = run("validate", "--config-path", "bad.yaml", "--output", "json", directory=folder, **WORKFLOW)
    assert "::error title=k8s-ee,file=bad.yaml,line=2" in done.stderr


def test_outputs_that_cannot_be_written_are_one_line_and_no_traceback(folder: pathlib.Path) -> None:
    done = run("validate", directory=folder, **WORKFLOW, GITHUB_OUTPUT="/absent/output")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "GITHUB_OUTPUT can't be written" in done.stderr
    done = run("validate", "--output=json", directory=folder, **WORKFLOW, GITHUB_OUTPUT="/absent/output")
    found = only_json(done.stdout)
    assert (done.returncode, found["failure"]["exitCode"]) == (2, 2)
    assert "GITHUB_OUTPUT can't be written" in found["failure"]["message"]


def test_nobody_misses_a_summary(folder: pathlib.Path) -> None:
    files = {"GITHUB_STEP_SUMMARY": "/absent/summary", "GITHUB_OUTPUT": str(folder / "output")}
    done = run("validate", directory=folder, **WORKFLOW, **files)
    assert (done.returncode, "GITHUB_STEP_SUMMARY can't be written" in done.stderr) == (0, True)
    assert "namespace" in (folder / "output").read_text()


def shell(line: str, *, directory: pathlib.Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """The exit code is that of the first program of a pipe."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(directory), "K8S_EE": PROGRAM, **environ}
    command = ["bash", "-c", f'{line}; exit "${{PIPESTATUS[0]}}"']
    return subprocess.run(command, cwd=directory, env=clean, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize(("config", "code"), [("k8s-ee.yaml", 0), ("bad.yaml", 2)])
@pytest.mark.parametrize("streams", ["| (exec <&-; sleep 0.5)", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_anybody_who_reads_the_outputs_and_the_exit_code_are_the_same(
    folder: pathlib.Path, streams: str, config: str, code: int, *, inside: bool
) -> None:
    environ = {**WORKFLOW, "GITHUB_OUTPUT": str(folder / "output")} if inside else {}
    done = shell(f'"$K8S_EE" validate --config-path {config} {streams}', directory=folder, **environ)
    assert (done.returncode, "Traceback" in done.stderr, "bug" in done.stderr) == (code, False, False), done.stderr
    if inside:
        assert "state" in (folder / "output").read_text()


@pytest.mark.parametrize("command", ["validate", "validate --output=json", "--help", "--version", "completion bash"])
def test_a_disk_that_is_full_is_told_and_what_follows_is_done(folder: pathlib.Path, command: str) -> None:
    environ = {**WORKFLOW, "GITHUB_OUTPUT": str(folder / "output")}
    done = shell(f'"$K8S_EE" {command} >/dev/full', directory=folder, **environ)
    assert (done.returncode, "Traceback" in done.stderr, "bug" in done.stderr) == (2, False, False), done.stderr
    assert "can't be written: No space left on device" in done.stderr
    assert "validate" not in command or "namespace" in (folder / "output").read_text()


def test_what_a_locale_can_not_show_is_escaped(folder: pathlib.Path) -> None:
    (folder / "bad.yaml").write_text("projectId: shop\n\u2713: 1\n")
    done = run("validate", "--config-path", "bad.yaml", directory=folder, PYTHONIOENCODING="latin-1")
    assert (done.returncode, "\\u2713" in done.stderr, "bug" in done.stderr) == (2, True, False), done.stderr
    done = run("validate", directory=folder, PYTHONIOENCODING="ascii", **WORKFLOW)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_document_is_in_utf_8_whatever_the_locale_is(folder: pathlib.Path, encoding: str) -> None:
    (folder / "bad.yaml").write_text("projectId: shop\n\U0001f680: 1\n")
    done = run("validate", "--config-path=bad.yaml", "--output=json", directory=folder, PYTHONIOENCODING=encoding)
    assert "\U0001f680" in only_json(done.stdout)["problems"][0]["message"]


def on_terminal(*arguments: str, directory: pathlib.Path, **environ: str) -> str:
    """What the program writes to a terminal that is its stdout and its stderr."""
    here, there = pty.openpty()
    clean = {"PATH": os.environ["PATH"], "HOME": str(directory), "TERM": "xterm", **environ}
    command = [PROGRAM, *arguments]
    subprocess.run(command, cwd=directory, env=clean, stdout=there, stderr=there, timeout=60, check=False)
    os.close(there)
    shown = os.read(here, 65536).decode()
    os.close(here)
    return shown


def test_a_terminal_gets_colours_unless_it_does_not_want_them(folder: pathlib.Path) -> None:
    assert "\x1b[32m" in on_terminal("validate", directory=folder)
    assert "\x1b" not in on_terminal("validate", directory=folder, NO_COLOR="1")
    assert "\x1b" not in on_terminal("validate", directory=folder, TERM="dumb")


def test_which_pull_request_is_asked_for_by_name(folder: pathlib.Path) -> None:
    for command in ("status", "logs", "cleanup"):
        done = run(command, directory=folder)
        assert (done.returncode, "--pr, --repository-id not given" in done.stderr) == (2, True), command


def test_a_config_is_checked_against_the_platform_without_any_pull_request(folder: pathlib.Path) -> None:
    (folder / "platform.yaml").write_text("domain: preview.example.com\nlimits: {cpu: 250m}\n")
    done = run("validate", "--platform-file", "platform.yaml", directory=folder)
    assert (done.returncode, "more than the platform allows" in done.stderr) == (2, True), done.stderr
    (folder / "platform.yaml").write_text("domain: preview.example.com\n")
    assert run("validate", "--platform-file", "platform.yaml", directory=folder).returncode == 0


def test_a_config_is_checked_on_a_push_too_and_that_deploys_nothing(folder: pathlib.Path) -> None:
    (folder / "event.json").write_text("{}")
    push = {**WORKFLOW, "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": str(folder / "event.json")}
    done = run("validate", "--output", "json", directory=folder, **push)
    outputs = only_json(done.stdout)["outputs"]
    assert (done.returncode, outputs["deploy"]) == (0, "false")
    assert "the event push may not deploy" in outputs["reason"]


def outsiders(folder: pathlib.Path, how: str) -> dict[str, str]:
    """The environment of a run that GitHub gives no secrets."""
    actor = "dependabot[bot]" if how == "Dependabot" else "dev"
    payload = events.pull_request("opened", number=7, head_sha="a" * 40, fork=how == "a fork", author=actor)
    (folder / "event.json").write_text(json.dumps(payload))
    more = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(folder / "event.json")}
    return {**WORKFLOW, **more, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}


@pytest.mark.parametrize("config", ["bad.yaml", "absent.yaml", "k8s-ee.yaml"])
@pytest.mark.parametrize("how", ["a fork", "Dependabot"])
@pytest.mark.parametrize("command", ["validate", "up"])
def test_a_run_without_secrets_is_green_whatever_its_config_is(
    folder: pathlib.Path, command: str, how: str, config: str
) -> None:
    given = ("--image", "ghcr.io/acme/shop@sha256:" + "1" * 64) if command == "up" else ()
    environ = outsiders(folder, how)
    done = run(command, "--config-path", config, *given, "--output", "json", directory=folder, **environ)
    found = only_json(done.stdout)
    assert (done.returncode, found["state"], found["outputs"]["deploy"]) == (0, "skipped", "false"), done.stderr
    assert ("::notice" in done.stderr, "::error" in done.stderr) == (True, False), done.stderr
    assert found["outputs"]["reason"] in (folder / "summary.md").read_text()


def test_what_is_rendered_has_an_image_that_a_deploy_would_take(folder: pathlib.Path) -> None:
    (folder / "platform.yaml").write_text("domain: preview.example.com\nregistries: [ghcr.io/acme]\n")
    facts = ("--pr", "7", "--repository", "acme/shop", "--repository-id", "1", "--head-sha", "a" * 40)
    for image, code in (("ghcr.io/acme/shop:latest", 2), (f"docker.io/acme/shop@sha256:{'1' * 64}", 3)):
        done = run("render", "--platform-file", "platform.yaml", *facts, "--image", image, directory=folder)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr


def test_platform_settings_that_are_not_there_are_not_taken_for_a_config(folder: pathlib.Path) -> None:
    done = run("validate", "--platform-file", "absent/platform.yaml", directory=folder)
    assert (done.returncode, "config-path" in done.stderr) == (2, False), done.stderr


def test_mistakes_in_a_config_name_the_environment_whose_comment_tells_of_them(folder: pathlib.Path) -> None:
    asked = ("validate", "--pr", "7", "--output", "json", "--config-path")
    outputs = only_json(run(*asked, "bad.yaml", directory=folder).stdout)["outputs"]
    assert (outputs["namespace"], "bad.yaml:2:1: unknown key" in outputs["failure"]) == ("shop-pr-7", True)
    (folder / "worse.yaml").write_text("projectId: Not A Name\n")
    assert only_json(run(*asked, "worse.yaml", directory=folder).stdout)["outputs"]["namespace"] == ""


@pytest.mark.parametrize("given", ["24", "0h", "-1h", "1.5h", "24 h", "٢h", "100000d", "h", ""])
def test_a_length_of_time_is_a_number_and_a_unit(folder: pathlib.Path, given: str) -> None:
    done = run("extend", "--pr", "7", "--repository-id", "1", "--", given, directory=folder)
    assert (done.returncode, "as in 24h" in done.stderr) == (2, True), done.stderr


def test_the_clock_of_the_janitor_can_only_be_moved_for_looking_ahead_or_on_a_github_of_tests(
    folder: pathlib.Path,
) -> None:
    moved, nowhere = ("janitor", "--now=2099-01-01T00:00:00+00:00"), "K8S_EE_KUBECONFIG"
    refused = run(*moved, directory=folder, **{nowhere: "/none/of/this"})
    assert (refused.returncode, "for tests" in refused.stderr) == (2, True), refused.stderr
    for arguments, url in (((*moved, "--dry-run"), "https://api.github.com"), (moved, "http://127.0.0.1:9")):
        went_on = run(*arguments, directory=folder, GITHUB_API_URL=url, **{nowhere: "/none/of/this"})
        assert "for tests" not in went_on.stderr
        assert went_on.returncode == 5, went_on.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_who_has_no_home_is_told_that_there_is_no_kubeconfig(folder: pathlib.Path) -> None:
    folder.chmod(0o755)
    nobody = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    if subprocess.run([*nobody, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("the interpreter lies where nobody else may read")
    clean = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*nobody, PROGRAM, "list"], cwd="/", env=clean, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, "no kubeconfig at ~/.kube/config" in done.stderr) == (5, True), done.stderr


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"K8S_EE_TIMEOUT": "nan"}, "not a number of seconds"),
        ({"K8S_EE_TIMEOUT": "inf"}, "not in the range"),
        ({"K8S_EE_REPOSITORY": "non sense"}, "OWNER/NAME"),
        ({"K8S_EE_PR": "9" * 25}, "at most 18"),
        ({"GITHUB_API_URL": "not a url", "GITHUB_TOKEN": "t"}, "GITHUB_API_URL is not an http(s) URL"),
        ({"GITHUB_API_URL": "http://h:99999", "GITHUB_TOKEN": "t"}, "GITHUB_API_URL is not an http(s) URL"),
    ],
)
def test_what_can_not_be_meant_is_said_of_the_option_that_it_is_in(
    folder: pathlib.Path, given: dict[str, str], says: str
) -> None:
    facts = {"K8S_EE_REPOSITORY_ID": "1", "K8S_EE_PR": "7", "K8S_EE_KUBECONFIG": "/none/of/this"}
    done = run("status", directory=folder, **facts | given)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr


def test_a_payload_that_is_too_deep_is_no_bug(folder: pathlib.Path) -> None:
    (folder / "event.json").write_text("[" * 100_000)
    environ = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(folder / "event.json")}
    done = run("validate", directory=folder, **WORKFLOW, **environ)
    assert (done.returncode, "can't be read" in done.stderr + done.stdout) == (2, True), done.stderr
