"""What the janitor knows of each environment and decides about it: asked in batches, from GitHub as it is now."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from k8s_ee import environment, errors, lifecycle
from k8s_ee import traffic as traffics
from k8s_ee.github import states

if TYPE_CHECKING:
    from k8s_ee import cluster as clusters
    from k8s_ee import github as githubs
    from k8s_ee.commands import session

_ASKING_SECONDS = 60.0
_NOT_ASKED = lifecycle.Unknown("not asked, as its namespace is being deleted")


class Gone(errors.NotReady):
    """Somebody else destroyed it meanwhile."""


@dataclasses.dataclass(frozen=True)
class Case:
    facts: lifecycle.Facts
    decision: lifecycle.Decision

    @property
    def observed(self) -> environment.Observed:
        return self.facts.environment

    @property
    def unknown(self) -> str:
        """Why GitHub's answer could not be used; empty when it could, or did not matter."""
        state = self.facts.pull_request
        return state.reason if isinstance(state, lifecycle.Unknown) and not self.observed.terminating else ""

    def seen_as(self, observed: environment.Observed) -> Case:
        """The same judgement of it after we wrote to it."""
        return dataclasses.replace(self, facts=dataclasses.replace(self.facts, environment=observed))


@dataclasses.dataclass
class Turn:
    """What one pass works with. `held` says whether the Lease is still this process's."""

    ctx: session.Session
    github: githubs.GitHub
    policy: lifecycle.Policy
    home: str
    held: Callable[[], bool]
    troubles: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    alerts: dict[str, str] = dataclasses.field(default_factory=dict)
    """What was reported as unknown for long in this pass, by uid."""
    traffic: traffics.Traffic = dataclasses.field(default_factory=traffics.Traffic)
    stopped: threading.Event = dataclasses.field(default_factory=threading.Event)

    @property
    def cluster(self) -> clusters.Cluster:
        return self.ctx.cluster

    def now(self) -> datetime.datetime:
        return self.ctx.now()

    def may_act(self) -> bool:
        """To be asked before each act: another janitor may have the Lease by now, or somebody ended this one."""
        return not self.stopped.is_set() and self.held()

    def stop(self) -> None:
        """Those that wait for their turn are left as they are, and GitHub is not waited for any more."""
        self.stopped.set()
        self.github.hurry()


def cases(turn: Turn, found: Iterable[environment.Observed]) -> list[Case]:
    """Those being deleted need no question to GitHub."""
    wanted = {one.uid: _subject(one) for one in found if not one.terminating}
    left = max(1.0, turn.ctx.deadline - time.monotonic())
    known = turn.github.states(set(wanted.values()), seconds=min(_ASKING_SECONDS, left))
    return [_case(turn, one, known.get(wanted[one.uid]) if one.uid in wanted else _NOT_ASKED) for one in found]


def confirmed(turn: Turn, judged: Iterable[Case]) -> list[Case]:
    """Those to be deleted, or stopped to be, are judged once more, from a fresh answer; the others are as they were."""
    before = list(judged)
    doubted = [one.observed for one in before if one.decision.kind in {"delete", "backup"}]
    fresh: Mapping[str, Case] = {one.observed.uid: one for one in cases(turn, doubted)} if doubted else {}
    return [fresh.get(one.observed.uid, one) for one in before]


def anew(turn: Turn, case: Case) -> Case:
    """After somebody wrote to it. Raises Gone, and what the API server refuses."""
    found = turn.cluster.get("Namespace", case.observed.namespace)
    if found is None or found["metadata"]["uid"] != case.observed.uid:
        raise Gone(f"{case.observed.namespace} is gone")
    (again,) = cases(turn, [environment.from_namespace(found)])
    return again


def _subject(observed: environment.Observed) -> states.Subject:
    return states.Subject(observed.repository, observed.repository_id, observed.number)


def _case(turn: Turn, observed: environment.Observed, state: lifecycle.PullRequestState | None) -> Case:
    facts = lifecycle.Facts(
        observed,
        state or lifecycle.Unknown("GitHub was not asked"),
        traffic_at=turn.traffic.last.get(observed.namespace),
        traffic_unknown=turn.traffic.unknown,
    )
    return Case(facts, lifecycle.decide(facts, turn.policy, turn.now()))
