"""Who waits for a place, first come first served: one Lease each, named `queue-REPOSITORY-PULLREQUEST-PROJECT`.

While its process waits it holds the Lease and renews it. A Lease that nobody holds is that of a run which ended as
queued: whoever has the right to, starts that run again when it is its turn. Its time of creation is its place in line,
which a run keeps that is started again.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors
from k8s_ee.cluster import kinds, leases, places, slots, watching
from k8s_ee.plan import capacity

if TYPE_CHECKING:
    from k8s_ee.cluster import client
    from k8s_ee.config import model

Manifest = dict[str, Any]

PREFIX = "queue"

_LOOK_SECONDS = 5.0
_RENEW_SECONDS = 10.0
_DEAD_AFTER = 40.0
_FORGOTTEN_AFTER = datetime.timedelta(days=3)
_CUT_OFF_AFTER = datetime.timedelta(minutes=5)
_NAME = re.compile(rf"{PREFIX}-[0-9]+-[0-9]+-[a-z0-9-]+", re.ASCII)


@dataclasses.dataclass(frozen=True)
class Ticket:
    """One place in line. `run` is the workflow run's id, 0 = none; `is_held`: its process waits."""

    lease: Manifest
    claim: capacity.Claim
    repository: str
    number: int
    run: int
    is_held: bool

    @property
    def name(self) -> str:
        return str(self.lease["metadata"]["name"])

    @property
    def order(self) -> tuple[str, str, str]:
        """The server's time is to the second; within one, the clocks of those that wait have to do."""
        return (self.lease["metadata"]["creationTimestamp"], self.lease["spec"].get("acquireTime") or "", self.name)

    @property
    def rerun_at(self) -> datetime.datetime | None:
        noted = (self.lease["metadata"].get("annotations") or {}).get(environment.RERUN_AT)
        return datetime.datetime.fromisoformat(noted) if noted else None


@dataclasses.dataclass(frozen=True)
class Standing:
    """`position` 0 = it has a place now; otherwise its number among those that wait, and `why` in a sentence."""

    position: int
    why: str = ""


def tickets(found: Iterable[Manifest]) -> list[Ticket]:
    """The longest waiting first, from the Leases of the platform's namespace."""
    return sorted((_ticket(one) for one in found if _NAME.fullmatch(one["metadata"]["name"])), key=lambda t: t.order)


@dataclasses.dataclass
class Line:
    """One process's place in line. `holder` is who gets the place; `now` is for notes that people read."""

    cluster: client.Cluster
    policy: model.Capacity
    home: str
    target: environment.Environment
    claim: capacity.Claim
    holder: str
    now: Callable[[], datetime.datetime]
    say: Callable[[str], None]
    me: str = dataclasses.field(default_factory=leases.identity)
    _seen: dict[str, tuple[str, float]] = dataclasses.field(default_factory=dict)
    _renewed: float = 0.0
    _looked: float = -_LOOK_SECONDS

    @property
    def name(self) -> str:
        return f"{PREFIX}-{self.target.repository_id}-{self.target.number}-{self.target.project}"

    def try_once(self) -> bool:
        """Without waiting, and not before those that wait already."""
        found = self.cluster.list("Lease", self.home)
        if self.holder in places.taken(found):
            places.adopt(self.cluster, self.claim, self.holder, policy=self.policy, home=self.home)
            return True
        ahead = [one for one in tickets(found) if one.is_held and one.name != self.name]
        if self._has_turn(found, ahead) and self._take():
            self._forget(found)
            return True
        return not self._in_the_way(found, ahead) and self._make_room() and self._take()

    def wait(self, deadline: float, told: Callable[[Standing], None]) -> Standing:
        """Until it has a place, or `deadline` (`time.monotonic()`): then its ticket stays, held by nobody.

        `told` hears of every change. Raises Superseded when a newer run of the same environment waits instead.
        """
        self._join()
        try:
            standing = self._wait(deadline, told)
        except errors.Superseded:
            raise
        except BaseException:
            self._leave()
            raise
        if standing.position:
            self._park()
        else:
            self._leave()
        return standing

    def why(self) -> str:
        """What keeps it from a place, as things are."""
        there = places.room(self.cluster, self.policy, self.cluster.list("Lease", self.home), but=self.holder)
        return capacity.why(self.claim, there, self.policy)

    def _wait(self, deadline: float, told: Callable[[Standing], None]) -> Standing:
        standing = Standing(-1)
        with watching.watching(self.cluster, [watching.Subject("Lease", self.home)]) as watch:
            while True:
                looked = time.monotonic()
                watch.next(min(_LOOK_SECONDS, deadline - looked))
                found = watch.view.of("Lease")
                if self._mine(found) is not None:
                    ahead = self._ahead(found)
                    if self._has_turn(found, ahead) and self._take():
                        return Standing(0)
                    if self._may_look() and not self._in_the_way(found, ahead) and self._make_room():
                        continue
                    if standing.position != len(ahead) + 1:
                        standing = Standing(len(ahead) + 1, self.why())
                        told(standing)
                self._renew()
                if time.monotonic() >= deadline:
                    return standing if standing.position > 0 else Standing(1, self.why())

    def _has_turn(self, found: Sequence[Manifest], ahead: Sequence[Ticket]) -> bool:
        if self.policy.mode == "allocatable":  # Whether it fits is found out under a lock.
            return not ahead and self._may_look(again=True)
        there = capacity.Room(tuple(places.taken(found).values()))
        waiting = [*(one.claim for one in ahead), self.claim]
        return self.claim in capacity.turns(waiting, there, self.policy)

    def _in_the_way(self, found: Sequence[Manifest], ahead: Sequence[Ticket]) -> bool:
        """Who only waits for the share of another repository has nothing of it if somebody else sleeps."""
        if self.policy.mode == "allocatable":
            return bool(ahead)
        there = capacity.Room(tuple(places.taken(found).values()))
        return any(
            one.claim.repository_id == self.claim.repository_id
            or capacity.limit(one.claim, there, self.policy) != "repository"
            for one in ahead
        )

    def _may_look(self, *, again: bool = False) -> bool:
        """What the Leases don't tell is looked at every few seconds only. `again`: another look follows this one."""
        due = time.monotonic() - self._looked >= _LOOK_SECONDS
        if due and not again:
            self._looked = time.monotonic()
        return due

    def _take(self) -> bool:
        return places.take(self.cluster, self.claim, self.holder, policy=self.policy, home=self.home)

    def _make_room(self) -> bool:
        name = places.make_room(self.cluster, self.claim, policy=self.policy, home=self.home, now=self.now())
        if name:
            self.say(f"put {name} to sleep, which nobody used for the longest time")
        return bool(name)

    def _mine(self, found: Iterable[Manifest]) -> Manifest | None:
        """None: not seen yet. Raises Superseded when another process waits with it."""
        lease = next((one for one in found if one["metadata"]["name"] == self.name), None)
        if lease is not None and slots.holder_of(lease) not in {self.me, ""}:
            raise errors.Superseded(
                f"another run waits for a place for {self.target.namespace} by now",
                hint="nothing to do: the other run goes on",
            )
        return lease if lease is None or slots.holder_of(lease) else None

    def _ahead(self, found: Sequence[Manifest]) -> list[Ticket]:
        """Whose process is gone does not renew its Lease any more, as this process itself has seen."""
        now = time.monotonic()
        ahead: list[Ticket] = []
        for one in tickets(found):
            if one.name == self.name:
                return ahead
            version = one.lease["metadata"]["resourceVersion"]
            if self._seen.get(one.name, ("", 0.0))[0] != version:
                self._seen[one.name] = (version, now)
            if one.is_held and now - self._seen[one.name][1] < _DEAD_AFTER:
                ahead.append(one)
        return ahead

    def _join(self) -> None:
        """Takes over what an earlier run of the same environment left."""
        while True:
            began = time.monotonic()
            if self.cluster.create(self._lease()) is not None:
                break
            there = self.cluster.get("Lease", self.name, self.home)
            noted = self._lease()["metadata"]["annotations"] | {environment.RERUN_AT: None}
            spec = {"holderIdentity": self.me, "renewTime": places.written(self.now())}
            if there is not None and places.amend(self.cluster, there, spec=spec, annotations=noted):
                break
        self._renewed = began

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < _RENEW_SECONDS:
            return
        there = self.cluster.get("Lease", self.name, self.home)
        if there is None:
            self._join()
        elif slots.holder_of(there) == self.me:
            places.amend(self.cluster, there, spec={"renewTime": places.written(self.now())})
            self._renewed = time.monotonic()

    def _park(self) -> None:
        there = self.cluster.get("Lease", self.name, self.home)
        if there is None or slots.holder_of(there) != self.me:
            return
        if self.target.run:
            places.amend(self.cluster, there, spec={"holderIdentity": None})
        else:  # Nobody could start it again.
            slots.drop(self.cluster, there)

    def _leave(self) -> None:
        slots.release(self.cluster, self.home, self.name, self.me)

    def _forget(self, found: Iterable[Manifest]) -> None:
        """It did not have to wait: what an earlier run left is of no use any more."""
        left = [one for one in found if one["metadata"]["name"] == self.name]
        for lease in left:
            slots.drop(self.cluster, lease)

    def _lease(self) -> Manifest:
        target, now = self.target, places.written(self.now())
        labels = {environment.MANAGED_BY: environment.MANAGER, environment.COMPONENT: PREFIX}
        noted = {
            environment.PROJECT: target.project,
            environment.REPOSITORY: target.repository,
            environment.REPOSITORY_ID: str(target.repository_id),
            environment.PULL_REQUEST: str(target.number),
            environment.RUN: str(target.run),
            environment.REQUESTS: str(self.claim.requests),
        }
        return {
            "apiVersion": kinds.kind("Lease").api_version,
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.home, "labels": labels, "annotations": noted},
            "spec": {"holderIdentity": self.me, "acquireTime": now, "renewTime": now},
        }


def drop_stale(cluster: client.Cluster, found: Iterable[Ticket], now: datetime.datetime) -> list[Ticket]:
    """Those that are of use still. What a killed process left, nobody wants started again."""
    left = []
    for one in found:
        if now - places.since(one.lease) > (_CUT_OFF_AFTER if one.is_held else _FORGOTTEN_AFTER):
            slots.drop(cluster, one.lease)
        else:
            left.append(one)
    return left


def _ticket(lease: Manifest) -> Ticket:
    noted = lease["metadata"].get("annotations") or {}
    number = _number(noted.get(environment.PULL_REQUEST, ""))
    return Ticket(
        lease=lease,
        claim=capacity.Claim(
            namespace=f"{noted.get(environment.PROJECT, '')}-pr-{number}",
            repository_id=_number(noted.get(environment.REPOSITORY_ID, "")),
            requests=capacity.parse(noted.get(environment.REQUESTS, "")),
        ),
        repository=noted.get(environment.REPOSITORY, ""),
        number=number,
        run=_number(noted.get(environment.RUN, "")),
        is_held=bool(slots.holder_of(lease)),
    )


def _number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else 0
