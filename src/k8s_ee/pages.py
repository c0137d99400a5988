"""PURE. What an address says while no app answers there: a page for people, JSON for programs.

One that is gone and one that never was look the same, and nothing is said about any other environment.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import hashlib
import html
import json

from k8s_ee import backups, environment, lifecycle

SOON = 5
"""Seconds after which a page that will change looks again."""
LATER = 60

_STYLE = (
    ":root{color-scheme:light dark;font:1.0625rem/1.6 system-ui,sans-serif}"
    "body{margin:0;min-height:100vh;display:grid;place-items:center}"
    "main{max-width:38rem;padding:1.5rem;overflow-wrap:anywhere}"
    "h1{font-size:1.6rem;line-height:1.25}"
    "dt{font-weight:600}dd{margin:0 0 .5rem}"
    "code{font:.9em ui-monospace,monospace;padding:.1em .3em;border:1px solid;border-radius:.25em}"
)
POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)
"""The Content-Security-Policy: nothing runs and nothing is fetched."""


@dataclasses.dataclass(frozen=True)
class Page:
    """Plain text throughout. `again`: in how many seconds another answer can be expected, 0 = never; `reload`: the page
    then asks by itself."""

    status: int
    state: str
    title: str
    sentences: tuple[str, ...]
    name: str = ""
    times: tuple[tuple[str, datetime.datetime], ...] = ()
    commands: tuple[str, ...] = ()
    again: int = 0
    reload: bool = False


NOBODY = Page(
    status=404,
    state="unknown",
    title="There is no preview here",
    sentences=(
        "No preview has this address now. If there was one, it was destroyed with its pull request or after its time.",
        "A push to an open pull request makes a new one.",
    ),
)
UNSURE = Page(
    status=503,
    state="unsure",
    title="One moment",
    sentences=("Whether there is a preview at this address can't be said right now. This page looks again by itself.",),
    again=SOON,
    reload=True,
)


def of(found: environment.Observed, policy: lifecycle.Policy, now: datetime.datetime) -> Page:
    """Of an environment that has no route of its own at this moment."""
    marks = found.annotations
    going = {environment.CLEANUP_REQUESTED_AT, environment.DESTROY_REQUESTED_AT} & {*marks}
    if found.terminating or going or backups.wanted_at(found) is not None:
        return Page(
            status=410,
            state="ending",
            title="This preview is being destroyed",
            sentences=("It goes with its data. A push to an open pull request makes a new one.",),
            name=found.namespace,
        )
    if environment.ASLEEP_SINCE in marks:
        return _asleep(found, policy, now)
    return _soon(found, now)


def as_html(page: Page) -> str:
    """A whole document, without anything from elsewhere."""
    refresh = f'<meta http-equiv="refresh" content="{page.again}">' if page.reload else ""
    named = f"<p><code>{html.escape(page.name)}</code></p>" if page.name else ""
    told = "".join(f"<p>{html.escape(one)}</p>" for one in page.sentences)
    typed = "".join(f"<li><code>{html.escape(one)}</code></li>" for one in page.commands)
    shown = "".join(f"<dt>{html.escape(label)}</dt><dd>{_time(when)}</dd>" for label, when in page.times)
    title = html.escape(page.title)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="robots" content="noindex">{refresh}<style>{_STYLE}</style></head>'
        f"<body><main><h1>{title}</h1>{named}{told}"
        f"{f'<ul>{typed}</ul>' if typed else ''}{f'<dl>{shown}</dl>' if shown else ''}</main></body></html>\n"
    )


def as_json(page: Page) -> str:
    """`state`, `message`, and, where they are known, `environment`, `commands` and `times`."""
    document: dict[str, object] = {"state": page.state, "message": " ".join((f"{page.title}.", *page.sentences))}
    if page.name:
        document["environment"] = page.name
    if page.commands:
        document["commands"] = list(page.commands)
    if page.times:
        document["times"] = {label: when.isoformat(timespec="seconds") for label, when in page.times}
    return json.dumps(document) + "\n"


def _asleep(found: environment.Observed, policy: lifecycle.Policy, now: datetime.datetime) -> Page:
    since = (("Asleep since", found.asleep_since),) if found.asleep_since else ()
    return Page(
        status=503,
        state="sleeping",
        title="This preview is asleep",
        sentences=(
            "It was stopped while nobody needed it. Its databases keep their data.",
            "It wakes with the next push to its pull request, or with this command:",
        ),
        commands=(f"k8s-ee wake --pr {found.number} --repository-id {found.repository_id}",),
        name=found.namespace,
        times=(*since, *_kept(found, now), *_stays(found, policy, now)),
        again=LATER,
    )


def _soon(found: environment.Observed, now: datetime.datetime) -> Page:
    """What is not called asleep and has no route: which of it is on the way, the notes do not say for sure."""
    if environment.REPLICAS in found.annotations:
        state, sentence = "changing", "It is being woken, or put to sleep."
    elif found.deployed_at is None:
        state, sentence = (
            "deploying",
            "It is being deployed and was not ready yet; its pull request says how far it is.",
        )
    else:
        state, sentence = "starting", "It was deployed, and its address does not lead to it at this moment."
    return Page(
        status=503,
        state=state,
        title="This preview is not ready",
        sentences=(sentence, f"This page looks again by itself every {SOON} seconds."),
        name=found.namespace,
        times=_kept(found, now),
        again=SOON,
        reload=True,
    )


def _kept(found: environment.Observed, now: datetime.datetime) -> tuple[tuple[str, datetime.datetime], ...]:
    until = found.preserved_until
    return (("Preserved until", until),) if until and until > now else ()


def _stays(
    found: environment.Observed, policy: lifecycle.Policy, now: datetime.datetime
) -> tuple[tuple[str, datetime.datetime], ...]:
    """Only what holds while its pull request is open: whether it is, nobody asks for a page."""
    until = lifecycle.end(lifecycle.Facts(found, lifecycle.Open()), policy)
    return (("If its pull request stays open, kept until", until),) if until > now else ()


def _time(when: datetime.datetime) -> str:
    universal = when.astimezone(datetime.UTC)
    return f'<time datetime="{universal.isoformat(timespec="seconds")}">{universal:%Y-%m-%d %H:%M} UTC</time>'
