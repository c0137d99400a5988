"""Who waits for room is told so, and nothing that was not seen."""

from __future__ import annotations

from k8s_ee import environment, outcome, report

TARGET = environment.Environment(
    project=environment.ProjectId("shop"), number=7, repository="acme/shop", repository_id=1, domain="example.com"
)


def test_the_comment_says_that_it_waits_and_shows_no_link() -> None:
    waiting = outcome.Outcome("up", "queued", environment=TARGET, notes=("number 3 in line: 5 environments are awake",))
    said = report.comment(waiting, report.Facts())
    assert "Preview `shop-pr-7` waits for room" in said
    assert "number 3 in line: 5 environments are awake" in said
    assert TARGET.url not in said


def test_a_terminal_says_it_too() -> None:
    waiting = outcome.Outcome("create-namespace", "queued", environment=TARGET)
    assert report.text(waiting, colour=False).startswith("create-namespace shop-pr-7 queued")
