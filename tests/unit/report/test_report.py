from __future__ import annotations

import json
import re

import pytest

from k8s_ee import environment, errors, outcome, quoting, report, settings

OLD, NEW = "a" * 40, "b" * 40
ENVIRONMENT = environment.Environment(
    project=environment.ProjectId("shop"),
    number=7,
    repository="acme/shop",
    repository_id=1,
    domain="preview.example",
    branch="feature/x",
    head_sha=NEW,
)
FACTS = report.Facts(
    repository_url="https://github.com/acme/shop", run_url="https://github.com/acme/shop/actions/runs/1"
)
READY = outcome.Outcome(
    command="up",
    state="ready",
    environment=ENVIRONMENT,
    outputs={"url": ENVIRONMENT.url},
    serving_sha=NEW,
    verified_from="runner",
    phases=(outcome.Phase("namespace", 0.42), outcome.Phase("rollout", 3.0)),
)
FAILED = outcome.Outcome(
    command="up",
    state="failed",
    environment=ENVIRONMENT,
    serving_sha=OLD,
    failure=outcome.Failure("the app crashes, exit code 1", "read its log", ("line 1", "line 2")),
)
EVIL = (
    "x`y``z @acme/team <!-- k8s-ee:shop-pr-7 --> <img src=x> [a](javascript:b) |pipe| *b* #12 http://evil.example\n## h"
)


def visible(markdown: str) -> str:
    """Without code spans and code blocks, in which GitHub neither mentions nor links nor renders anything."""
    without_blocks = re.sub(r"(?ms)^(`{3,})[^\n]*\n.*?^\1$", "", markdown)
    return re.sub(r"(?s)(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", without_blocks)


def test_a_comment_starts_with_the_marker_of_its_environment() -> None:
    assert report.comment(READY, FACTS).startswith("<!-- k8s-ee:shop-pr-7 -->\n")


def test_ready_names_the_link_the_commit_and_where_it_was_seen_from() -> None:
    text = report.comment(READY, FACTS)
    assert f"<{ENVIRONMENT.url}>" in text
    assert f"[`bbbbbbb`](https://github.com/acme/shop/commit/{NEW})" in text
    assert "asked through its link from the runner" in text


@pytest.mark.parametrize(
    ("verified_from", "said"),
    [("cluster", "the link itself was not tried from the runner"), ("", "not verified"), ("moon", "not verified")],
)
def test_it_never_claims_more_than_was_seen(verified_from: str, said: str) -> None:
    text = report.comment(outcome.Outcome(**{**READY.__dict__, "verified_from": verified_from}), FACTS)
    assert said in text
    assert "asked through" not in text


def test_the_phases_are_shown_with_their_times() -> None:
    text = report.comment(READY, FACTS)
    assert "| namespace | 0.4 s |\n| rollout | 3.0 s |" in text


def test_deploying_says_what_is_being_done() -> None:
    result = outcome.Outcome(command="up", state="deploying", environment=ENVIRONMENT)
    text = report.comment(result, report.Facts(phase="databases"))
    assert "is being deployed" in text
    assert "Commit `bbbbbbb` is on its way: databases." in text


def test_failed_names_both_commits_the_reason_and_what_to_do() -> None:
    text = report.comment(FAILED, FACTS)
    assert f"Commit [`bbbbbbb`](https://github.com/acme/shop/commit/{NEW}) failed." in text
    assert f"Commit [`aaaaaaa`](https://github.com/acme/shop/commit/{OLD}) still serves" in text
    assert "**What failed:** the app crashes, exit code 1" in text
    assert "**What to do:** read its log" in text
    assert "```text\nline 1\nline 2\n```" in text
    assert "k8s-ee logs --pr 7 --repository-id 1" in text


def test_failed_with_nothing_seen_serving_claims_nothing() -> None:
    text = report.comment(outcome.Outcome(**{**FAILED.__dict__, "serving_sha": ""}), FACTS)
    assert "still serves" not in text


def test_destroyed_lists_what_was_seen_to_be_gone() -> None:
    result = outcome.Outcome(command="cleanup", state="destroyed", outputs={"deleted": '["shop-pr-7"]'})
    text = report.comment(result, report.Facts(namespace="shop-pr-7"))
    assert "Deleted, and seen to be gone with all its volumes: `shop-pr-7`." in text


@pytest.mark.parametrize("deleted", ["[]", "", "garbage"])
def test_destroyed_without_proof_claims_nothing(deleted: str) -> None:
    result = outcome.Outcome(command="cleanup", state="destroyed", outputs={"deleted": deleted} if deleted else {})
    assert "Deleted" not in report.comment(result, report.Facts(namespace="shop-pr-7"))


def test_skipped_gives_the_reason() -> None:
    result = outcome.Outcome(command="up", state="skipped", notes=("this pull request comes from a fork",))
    assert "> this pull request comes from a fork" in report.summary(result)


def test_a_comment_about_no_environment_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="one environment"):
        report.comment(outcome.Outcome(command="up", state="skipped"), report.Facts())


def test_nobody_can_write_into_our_comment() -> None:
    target = environment.Environment(**{**ENVIRONMENT.__dict__, "branch": EVIL})
    result = outcome.Outcome(
        command="up",
        state="failed",
        environment=target,
        notes=(EVIL,),
        phases=(outcome.Phase(EVIL, 1),),
        problems=(errors.Problem(EVIL, 1, 1, EVIL, EVIL),),
        failure=outcome.Failure(EVIL, EVIL, (EVIL, "````", "```")),
    )
    text = visible(report.comment(result, FACTS).partition("\n")[2])
    assert "<!--" not in text
    assert "<img" not in text
    assert "@acme" not in text
    assert "#12" not in text
    assert "http://evil" not in text
    assert "](javascript" not in text.replace("\\]", "")
    assert "\n## h" not in text
    assert not re.search(r"(?<!\\)\|pipe", text)


def test_the_evidence_ends_only_where_we_end_it() -> None:
    result = outcome.Outcome(
        command="up", state="failed", environment=ENVIRONMENT, failure=outcome.Failure("m", "", ("`````", "# title"))
    )
    assert "``````text\n`````\n# title\n``````" in report.comment(result, FACTS)


def test_the_largest_comment_is_one_that_github_takes() -> None:
    big = "&<`*@#|" * 2_000
    result = outcome.Outcome(
        command="up",
        state="failed",
        environment=environment.Environment(**{**ENVIRONMENT.__dict__, "branch": big}),
        notes=(big,) * 500,
        phases=(outcome.Phase(big, 1),) * 500,
        problems=(errors.Problem(big, 1, 1, big, big),) * 500,
        failure=outcome.Failure(big, big, (big,) * 100),
    )
    text = report.comment(result, FACTS)
    assert len(text) <= report.COMMENT_CHARACTERS
    assert "[Log of this run]" in text


def test_of_long_evidence_the_end_is_shown() -> None:
    lines = tuple(f"line {n}" for n in range(100_000))
    result = outcome.Outcome(
        command="up", state="failed", environment=ENVIRONMENT, failure=outcome.Failure("m", "", lines)
    )
    text = report.comment(result, FACTS)
    assert "line 99999\n" in text
    assert "line 1\n" not in text


def test_json_keeps_its_keys() -> None:
    found = json.loads(report.as_json(FAILED))
    assert list(found) == [
        "schema", "command", "state", "dryRun", "environment", "outputs", "servingSha", "verifiedFrom", "phases",
        "seconds", "notes", "problems", "failure", "data",
    ]  # fmt: skip
    assert found["environment"]["namespace"] == "shop-pr-7"
    assert found["failure"] == {
        "message": "the app crashes, exit code 1",
        "hint": "read its log",
        "evidence": ["line 1", "line 2"],
        "exitCode": 4,
    }


def test_a_terminal_gets_a_few_plain_lines() -> None:
    assert report.text(READY, colour=False).splitlines() == [
        f"up shop-pr-7 ready: {ENVIRONMENT.url} serves bbbbbbb, asked through the link",
        "  namespace 0.4 s · rollout 3.0 s · total 3.4 s",
    ]


def test_colours_only_if_asked_for() -> None:
    assert "\x1b" not in report.text(FAILED, colour=False)
    assert report.text(FAILED, colour=True).startswith("\x1b[31mup shop-pr-7 failed:")


def test_neither_a_terminal_nor_the_runner_obeys_what_a_log_says() -> None:
    evil = ("\x1b]0;title\x07\x1b[2Jgone", "::add-mask::x", "##[error]x", "a\rb\u202ec")
    result = outcome.Outcome(command="logs", state="listed", data={"lines": evil})
    text = report.text(result, colour=False)
    assert text.splitlines() == ["gone", "\u200b::add-mask::x", "#\u200b#[error]x", "abc"]


def test_environments_are_a_table() -> None:
    rows = [{"namespace": "shop-pr-7", "serving": [OLD]}, {"namespace": "a-pr-1", "serving": []}]
    result = outcome.Outcome(command="list", state="listed", data={"environments": rows})
    assert report.text(result, colour=False).splitlines() == [
        "list listed",
        "  NAMESPACE  SERVING",
        "  shop-pr-7  aaaaaaa",
        "  a-pr-1     -",
    ]


def test_facts_come_from_the_settings() -> None:
    given = settings.Settings(is_actions=True, run=1, repository="acme/shop")
    assert report.facts(given) == FACTS
    assert report.facts(given, phase="x").phase == "x"


def test_the_report_of_other_jobs_does_not_say_that_it_failed_itself() -> None:
    told = outcome.Outcome(command="report", state="failed", failure=outcome.Failure("build: no Dockerfile"))
    assert report.comment(told, report.Facts(namespace="shop-pr-7")).splitlines()[1] == (
        "### ❌ Preview `shop-pr-7`: the run failed"
    )


def test_of_our_comments_those_that_do_not_say_that_it_is_gone_are_named() -> None:
    known = report.Facts(namespace="shop-pr-7")
    gone = report.comment(outcome.Outcome(command="cleanup", state="destroyed"), known)
    failed = report.comment(outcome.Outcome(command="up", state="failed"), known)
    assert "It was gone already when this run looked for it." in gone
    assert report.still_there([gone, "hello", f"{report.MARKER}../x -->\n### y"]) == ()
    assert report.still_there([failed, failed.replace("shop-pr-7", "blog-pr-7")]) == ("shop-pr-7", "blog-pr-7")


def test_a_cleanup_of_nothing_does_not_say_that_something_is_gone() -> None:
    title, *_ = report.summary(outcome.Outcome(command="cleanup", state="destroyed")).splitlines()
    assert title == "### 🧹 There was nothing to clean up"


@pytest.mark.parametrize("line", ["::add-mask::e", "  ::add-mask::e", "said ##[add-mask]e", "##[group]e"])
def test_no_line_that_is_shown_is_a_command_to_the_runner(line: str) -> None:
    shown = quoting.plain(f"first\n{line}")
    assert "##[" not in shown
    assert not re.search(r"^\s*::", shown, re.MULTILINE)
    assert shown.replace("\u200b", "") == f"first\n{line}"
