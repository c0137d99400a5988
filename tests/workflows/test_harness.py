"""The harness itself: bounded, nothing left over, and honest about what act could not do."""

from __future__ import annotations

import pathlib
import tempfile

import pytest

from tests.workflows import conftest, events, harness

TRIGGER = "name: Any\non: {pull_request: {types: [opened]}}\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n"


def _run(consumer: conftest.Consumer, steps: str, *, timeout: float = 60) -> harness.Result:
    head = consumer.write(".github/workflows/any.yml", TRIGGER + steps)
    return harness.run(
        events.pull_request("opened", number=7, head_sha=head, author="mona"),
        ".github/workflows/any.yml",
        consumer_dir=consumer.directory,
        toolkit_dir=consumer.toolkit,
        act=consumer.act,
        env={"GITHUB_RUN_ID": "4711", "OTHER": "a b=c"},
        github_api_url="http://127.0.0.1:1234",
        timeout=timeout,
    )


def _processes(word: str) -> list[str]:
    """Command lines of every process that has this word."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(entry.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return [line for line in found if word in line]


def test_a_run_that_takes_too_long_is_stopped_with_everything_it_started(
    consumer: conftest.Consumer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # others are running act in the machine's own folder
    with pytest.raises(harness.ActError, match="not done after 5"):
        _run(consumer, "      - run: sleep 3171 & setsid sleep 3171 & wait\n", timeout=5)
    assert [line for line in _processes("3171") if line.startswith("sleep")] == []
    assert list(tmp_path.glob("k8s-ee-act-*")) == []


def test_a_workflow_that_act_can_not_read_is_an_error_with_its_words(consumer: conftest.Consumer) -> None:
    with pytest.raises(harness.ActError, match=r"any\.yml|Failed to match|yaml"):
        _run(consumer, "      - {run: [broken\n")


def test_the_step_knows_repository_run_and_server(consumer: conftest.Consumer) -> None:
    result = _run(consumer, "      - run: env | grep -E '^(GITHUB_(REPOSITORY|RUN_ID|ACTOR|API_URL)|OTHER)' | sort\n")
    assert [line.removeprefix("one | ") for line in result.log.splitlines()] == [
        "GITHUB_ACTOR=mona",
        "GITHUB_API_URL=http://127.0.0.1:1234",
        "GITHUB_REPOSITORY=acme/guestbook",
        "GITHUB_REPOSITORY_ID=4242",
        "GITHUB_REPOSITORY_OWNER=acme",
        "GITHUB_REPOSITORY_OWNER_ID=77",
        "GITHUB_RUN_ID=4711",
        "OTHER=a b=c",
    ]


def test_annotations_summaries_outputs_and_failures_are_read(consumer: conftest.Consumer) -> None:
    result = _run(
        consumer,
        "      - id: first\n"
        "        run: |\n"
        "          echo '::error file=k8s-ee.yaml,line=3,title=oh::no'\n"
        '          echo "# hello" >> "$GITHUB_STEP_SUMMARY"\n'
        '          echo "a=1" >> "$GITHUB_OUTPUT"\n'
        "          exit 3\n",
    )
    assert (result.returncode, result.jobs, result.steps["one/first"]) == (1, {"one": "failure"}, "failure")
    assert result.annotations == (("error", "no", {"file": "k8s-ee.yaml", "line": "3", "title": "oh"}),)
    assert result.summaries["one/first"] == "# hello\n"
    assert result.outputs["one/first"] == {"a": "1"}


def test_whatever_a_failing_step_printed_last_is_read(consumer: conftest.Consumer) -> None:
    result = _run(
        consumer, "      - run: |\n          [ -t 1 ] && echo terminal\n          seq 20000\n          exit 3\n"
    )
    assert result.log.splitlines()[:20000] == [f"one | {number}" for number in range(1, 20001)]


def test_a_third_party_action_that_is_really_run_fails_by_name(consumer: conftest.Consumer) -> None:
    result = _run(consumer, f"      - uses: actions/setup-python@{'a' * 40}\n")
    assert result.jobs == {"one": "failure"}
    assert ("error", f"actions/setup-python@{'a' * 40} is not available offline", {}) in result.annotations
