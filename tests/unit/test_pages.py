"""What people read where no app answers: true, whole, harmless, and nothing about anybody else."""

from __future__ import annotations

import dataclasses
import datetime
import html.parser
import json
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

from k8s_ee import environment, lifecycle, pages

NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
POLICY = lifecycle.Policy()
_VOID = {"meta", "link", "br"}


def observed(**marks: str) -> environment.Observed:
    return environment.Observed(
        namespace=environment.NamespaceName("shop-pr-7"),
        uid="u",
        resource_version="1",
        project=environment.ProjectId("shop"),
        number=7,
        repository_id=42,
        created_at=NOW - datetime.timedelta(days=1),
        terminating=False,
        annotations={f"k8s-ee/{key.replace('_', '-')}": value for key, value in marks.items()},
    )


def at(hours: float) -> str:
    return (NOW + datetime.timedelta(hours=hours)).isoformat(timespec="seconds")


ASLEEP = {"asleep_since": at(-3), "replicas": '{"Deployment/app": 1}', "deployed_at": at(-20)}
KNOWN: dict[str, environment.Observed] = {
    "sleeping": observed(**ASLEEP),
    "changing": observed(replicas="{}", deployed_at=at(-20)),
    "deploying": observed(),
    "starting": observed(deployed_at=at(-20)),
    "ending": dataclasses.replace(observed(**ASLEEP), terminating=True),
}
ALL = [*(pages.of(one, POLICY, NOW) for one in KNOWN.values()), pages.NOBODY, pages.UNSURE]


class Document(html.parser.HTMLParser):
    """Strict about what the standard library forgives: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += f"{data} " if self._open[-1:] != ["style"] else ""

    def only(self, tag: str) -> dict[str, str | None]:
        (found,) = (attributes for name, attributes in self.tags if name == tag)
        return found


@pytest.mark.parametrize(("state", "status"), [("sleeping", 503), ("changing", 503), ("deploying", 503)])
def test_whoever_is_to_come_back_is_told_when(state: str, status: int) -> None:
    page = pages.of(KNOWN[state], POLICY, NOW)
    assert (page.state, page.status, page.again > 0) == (state, status, True)


def test_one_that_sleeps_says_since_when_until_when_and_what_wakes_it() -> None:
    said = Document(pages.as_html(pages.of(KNOWN["sleeping"], POLICY, NOW))).words
    assert "2026-11-20 09:00 UTC" in said
    assert "2026-11-26 16:00 UTC" in said, "seven days after the last deploy"
    assert "k8s-ee wake --pr 7 --repository-id 42" in said
    assert "push" in said


def test_until_when_one_is_preserved_is_said_while_that_holds() -> None:
    kept = pages.of(observed(**ASLEEP, preserved_until=at(5)), POLICY, NOW)
    over = pages.of(observed(**ASLEEP, preserved_until=at(-5)), POLICY, NOW)
    assert ("2026-11-20 17:00 UTC" in pages.as_html(kept), "Preserved" in pages.as_html(over)) == (True, False)


@pytest.mark.parametrize("mark", ["cleanup_requested_at", "destroy_requested_at", "backup_wanted_at"])
def test_a_destroy_that_was_asked_for_is_one_that_comes(mark: str) -> None:
    page = pages.of(observed(**{**ASLEEP, mark: at(-1)}), POLICY, NOW)
    assert (page.state, page.status, page.again) == ("ending", 410, 0)


def test_only_what_will_change_by_itself_asks_again_by_itself() -> None:
    reloading = {page.state for page in ALL if Document(pages.as_html(page)).words and page.reload}
    assert reloading == {"changing", "deploying", "starting", "unsure"}
    for page in ALL:
        refreshes = [one for name, one in Document(pages.as_html(page)).tags if one.get("http-equiv") == "refresh"]
        assert [one["content"] for one in refreshes] == ([str(page.again)] if page.reload else [])
        assert ("by itself" in pages.as_html(page)) is page.reload


def test_no_answer_can_be_taken_for_that_of_an_app() -> None:
    assert all(page.status >= 400 for page in ALL)


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.state)
def test_every_page_is_whole_and_readable_by_machines_that_read_aloud(page: pages.Page) -> None:
    document = Document(pages.as_html(page))
    assert document.only("html")["lang"] == "en"
    assert document.only("main") == {}
    assert document.only("h1") == {}
    assert document.only("title") == {}
    assert "width=device-width" in str([one for name, one in document.tags if name == "meta"])
    assert [name for name, _ in document.tags if re.fullmatch("h[1-6]", name)] == ["h1"]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.state)
def test_no_page_fetches_or_runs_anything(page: pages.Page) -> None:
    tags = Document(pages.as_html(page)).tags
    assert not {"script", "link", "img", "iframe", "form", "a", "object"} & {name for name, _ in tags}
    assert not {"src", "href", "style"} & {key for _, attributes in tags for key in attributes}
    assert "url(" not in pages.as_html(page)
    assert "unsafe" not in pages.POLICY


def test_json_says_the_same() -> None:
    found: dict[str, Any] = json.loads(pages.as_json(pages.of(KNOWN["sleeping"], POLICY, NOW)))
    assert (found["state"], found["environment"]) == ("sleeping", "shop-pr-7")
    assert found["times"]["Asleep since"] == at(-3)
    assert set(json.loads(pages.as_json(pages.NOBODY))) == {"state", "message"}


@hypothesis.given(strategies.dictionaries(strategies.sampled_from(sorted(ASLEEP)), strategies.text(max_size=50)))
def test_whatever_is_written_on_a_namespace_makes_a_page(marks: dict[str, str]) -> None:
    page = pages.of(observed(**marks), POLICY, NOW)
    Document(pages.as_html(page))
    json.loads(pages.as_json(page))


@hypothesis.given(strategies.text(max_size=50))
def test_text_never_becomes_markup(text: str) -> None:
    page = pages.Page(503, "x", title=text, sentences=(text,), name=text, commands=(text,), times=((text, NOW),))
    names = [name for name, _ in Document(pages.as_html(page)).tags]
    assert names.count("p") == (2 if text else 1)
    plain = pages.of(KNOWN["sleeping"], POLICY, NOW)
    assert set(names) <= {name for name, _ in Document(pages.as_html(plain)).tags}
