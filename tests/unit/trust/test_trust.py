from __future__ import annotations

import dataclasses
import pathlib

import pytest

from k8s_ee import pull_request, settings, trust
from k8s_ee.config import model

SHA, NEW = "a" * 40, "b" * 40
PULL = pull_request.PullRequest(7, "open", SHA, "feature", head_repository_id=1, base_repository_id=1, author="alice")
SILENT = pull_request.Unknown("GitHub answers 502")
PLATFORM = model.Platform(domain="p.example", allowed_owner_ids=(2,))
FACTS = trust.Facts(
    purpose="deploy",
    event="pull_request",
    action="synchronize",
    label="",
    actor="alice",
    repository_id=1,
    owner_id=2,
    head_sha=SHA,
    pull=PULL,
    seen=PULL,
)
FORK = dataclasses.replace(PULL, head_repository_id=9)
GONE = dataclasses.replace(PULL, head_repository_id=0)
CLOSED = dataclasses.replace(PULL, state="closed")
PUSHED = dataclasses.replace(PULL, head_sha=NEW)
ELSEWHERE = dataclasses.replace(PULL, base_repository_id=5, head_repository_id=5)
LABELLED = dataclasses.replace(PULL, labels=(trust.LABEL,))

CASES: dict[str, tuple[dict[str, object], str]] = {
    "a push to a branch of the repository": ({}, "allow"),
    "a draft": ({"pull": dataclasses.replace(PULL, draft=True)}, "allow"),
    "a bot with write access": ({"actor": "renovate[bot]"}, "allow"),
    "GitHub is silent, the event is recent": ({"seen": SILENT}, "allow"),
    "a person at a terminal": ({"event": "", "pull": None, "seen": SILENT}, "allow"),
    "a person at a terminal names no commit": ({"event": "", "pull": None, "seen": SILENT, "head_sha": ""}, "unknown"),
    "started by hand": ({"event": "workflow_dispatch", "pull": None, "head_sha": ""}, "allow"),
    "started by hand for a fork": ({"event": "workflow_dispatch", "pull": None, "seen": FORK}, "quiet"),
    "started by hand, GitHub is silent": ({"event": "workflow_dispatch", "pull": None, "seen": SILENT}, "unknown"),
    "a fork": ({"pull": FORK, "seen": FORK}, "quiet"),
    "a fork, GitHub is silent": ({"pull": FORK, "seen": SILENT}, "quiet"),
    "a deleted fork": ({"pull": GONE, "seen": GONE}, "quiet"),
    "a fork that nobody listed": ({"pull": FORK, "seen": FORK, "owner_id": 66}, "quiet"),
    "Dependabot": ({"actor": "dependabot[bot]"}, "quiet"),
    "pull_request_target": ({"event": "pull_request_target"}, "refused"),
    "a comment": ({"event": "issue_comment"}, "refused"),
    "a push event": ({"event": "push", "pull": None}, "refused"),
    "a pull request of another repository": ({"pull": ELSEWHERE, "seen": ELSEWHERE}, "refused"),
    "an owner that is not listed": ({"owner_id": 66}, "refused"),
    "closed meanwhile": ({"seen": CLOSED}, "closed"),
    "closed, GitHub is silent": ({"pull": CLOSED, "seen": SILENT}, "closed"),
    "pushed to meanwhile": ({"seen": PUSHED}, "superseded"),
    "our label": ({"action": "labeled", "label": trust.LABEL}, "allow"),
    "another label": ({"action": "labeled", "label": "bug"}, "quiet"),
    "on demand, not asked for": ({"trigger": "on-demand"}, "quiet"),
    "on demand, asked for by label": ({"trigger": "on-demand", "seen": LABELLED}, "allow"),
    "on demand, asked for by hand": ({"trigger": "on-demand", "event": "workflow_dispatch"}, "allow"),
    "closing": ({"purpose": "destroy", "action": "closed", "pull": CLOSED, "seen": CLOSED}, "allow"),
    "closing by an owner no longer listed": (
        {"purpose": "destroy", "action": "closed", "pull": CLOSED, "seen": CLOSED, "owner_id": 66},
        "allow",
    ),
    "closing on pull_request_target": (
        {"purpose": "destroy", "event": "pull_request_target", "action": "closed", "pull": CLOSED, "seen": CLOSED},
        "allow",
    ),
    "closing, GitHub is silent": ({"purpose": "destroy", "action": "closed", "pull": CLOSED, "seen": SILENT}, "allow"),
    "closing, but opened again": ({"purpose": "destroy", "action": "closed", "pull": CLOSED}, "superseded"),
    "closing of a fork": (
        {"purpose": "destroy", "action": "closed", "pull": dataclasses.replace(FORK, state="closed"), "seen": SILENT},
        "quiet",
    ),
    "closing by Dependabot": (
        {"purpose": "destroy", "action": "closed", "pull": CLOSED, "seen": CLOSED, "actor": "dependabot[bot]"},
        "quiet",
    ),
    "destroying an open one by hand": ({"purpose": "destroy", "event": "workflow_dispatch", "pull": None}, "allow"),
    "destroying at a terminal": ({"purpose": "destroy", "event": "", "pull": None, "seen": SILENT}, "allow"),
}


@pytest.mark.parametrize(("changes", "answer"), CASES.values(), ids=CASES.keys())
def test_the_table_decides(changes: dict[str, object], answer: str) -> None:
    decision = trust.authorize(dataclasses.replace(FACTS, **changes), PLATFORM)  # type: ignore[arg-type]
    assert (decision.kind if isinstance(decision, trust.Deny) else "allow") == answer


def test_every_row_of_the_table_decides_one_of_the_cases() -> None:
    deciding = set()
    for changes, _ in CASES.values():
        known = dataclasses.replace(FACTS, **changes)  # type: ignore[arg-type]
        deciding |= {
            next((row.when for row in trust.TABLE if row.purpose == known.purpose and row.fits(known, PLATFORM)), "")
        }
    assert deciding - {""} == {row.when for row in trust.TABLE}


def test_nobody_is_listed_by_default_and_the_answer_says_which_id_to_list() -> None:
    decision = trust.authorize(FACTS, model.Platform(domain="p.example"))
    assert isinstance(decision, trust.Deny)
    assert decision.kind == "refused"
    assert "adds 2 to allowed.ownerIds, or 1 to allowed.repositoryIds" in decision.hint


def test_a_listed_repository_needs_no_listed_owner() -> None:
    platform = model.Platform(domain="p.example", allowed_repository_ids=(1,))
    assert trust.authorize(FACTS, platform) == trust.Allow(SHA)


def test_a_deploy_started_by_hand_gets_the_head_github_names() -> None:
    known = dataclasses.replace(FACTS, event="workflow_dispatch", pull=None, head_sha="", seen=PUSHED)
    assert trust.authorize(known, PLATFORM) == trust.Allow(NEW)


def test_what_could_not_be_checked_is_said() -> None:
    decision = trust.authorize(dataclasses.replace(FACTS, seen=SILENT), PLATFORM)
    assert isinstance(decision, trust.Allow)
    assert "could not be asked" in decision.note
    assert "502" in decision.note


def test_a_newer_head_is_named_beside_the_old_one() -> None:
    decision = trust.authorize(dataclasses.replace(FACTS, seen=PUSHED), PLATFORM)
    assert isinstance(decision, trust.Deny)
    assert decision.reason == "commit aaaaaaa is no longer the head, bbbbbbb is"


def test_facts_come_from_the_settings() -> None:
    given = settings.Settings(event="pull_request", action="synchronize", actor="alice", pull=PULL, number=7)
    given = dataclasses.replace(given, repository_id=1, owner_id=2, head_sha=SHA)
    assert trust.facts(given, PULL, purpose="deploy") == FACTS


def test_the_documentation_shows_this_table() -> None:
    page = pathlib.Path(__file__).parents[3] / "docs" / "trust.md"
    assert trust.table() in page.read_text(encoding="utf-8")


def test_only_runs_that_get_no_secrets_are_judged_before_the_config_is_read() -> None:
    """A row above theirs answers first: an event that may not deploy stays refused, whoever caused it."""
    early = {"started by hand for a fork", "a fork", "a fork, GitHub is silent", "a deleted fork"}
    early |= {"a fork that nobody listed", "Dependabot"}
    found = {
        name
        for name, (changes, _) in CASES.items()
        if trust.keyless(dataclasses.replace(FACTS, **changes))  # type: ignore[arg-type]
    }
    assert found == early
    assert not trust.keyless(dataclasses.replace(FACTS, event="push", actor="dependabot[bot]", pull=None))
