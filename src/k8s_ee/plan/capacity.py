"""PURE. Who may have an environment when not all can, in which order, and who makes room.

An environment that is awake has a place; one that sleeps, or is gone, has none.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from k8s_ee import errors
from k8s_ee.config import model, quantities
from k8s_ee.plan import engines, quota

Manifest = Mapping[str, Any]

Limit = Literal["", "repository", "platform", "nodes"]
"""What there is not enough of; empty = there is enough."""

_NONE = decimal.Decimal()


@dataclasses.dataclass(frozen=True)
class Requests:
    """Cores and bytes that the scheduler sets aside."""

    cpu: decimal.Decimal = _NONE
    memory: decimal.Decimal = _NONE

    def __add__(self, other: Requests) -> Requests:
        return Requests(self.cpu + other.cpu, self.memory + other.memory)

    def __sub__(self, other: Requests) -> Requests:
        return Requests(self.cpu - other.cpu, self.memory - other.memory)

    def __str__(self) -> str:
        """`1500m 2Gi`; what is less than nothing is shown as nothing."""
        return f"{quantities.cpu(max(self.cpu, _NONE))} {quantities.memory(max(self.memory, _NONE))}"

    def fits(self, room: Requests) -> bool:
        return self.cpu <= room.cpu and self.memory <= room.memory


@dataclasses.dataclass(frozen=True)
class Claim:
    """One environment's wish for a place."""

    namespace: str
    repository_id: int
    requests: Requests = Requests()


@dataclasses.dataclass(frozen=True)
class Room:
    """`taken` are those that have a place, `nodes` is what is there for all of them; None = not asked."""

    taken: tuple[Claim, ...]
    nodes: Requests | None = None


@dataclasses.dataclass(frozen=True)
class Idle:
    """An environment that has a place and may sleep."""

    claim: Claim
    used_at: datetime.datetime


def requests(config: model.Config) -> Requests:
    """What it keeps set aside: app, databases, and the one pod more that a rollout or a migration adds for a while."""
    counted = [(share.resources.requests, _steady(share, config)) for share in quota.shares(config)]
    return _sum(Requests(quantities.parse(one.cpu) * n, quantities.parse(one.memory) * n) for one, n in counted)


def _steady(share: quota.Share, config: model.Config) -> int:
    if share.name in engines.ENGINES:
        return share.count
    return config.app.replicas + quota.SURGE if share.name == "app" else 0


def parse(text: str) -> Requests:
    """The inverse of `str`; nothing for what can't be read."""
    cpu, _, memory = text.partition(" ")
    return Requests(_quantity(cpu), _quantity(memory))


def for_environments(nodes: Iterable[Manifest], pods: Iterable[Manifest], placed: Collection[str]) -> Requests:
    """What ready, schedulable nodes have for environments, once everybody else's pods got theirs.

    `placed` are the namespaces whose share is counted by their places: their pods are not counted as well.
    """
    usable = {node["metadata"]["name"]: node["status"].get("allocatable") or {} for node in nodes if _usable(node)}
    whole = _sum(Requests(_quantity(one.get("cpu")), _quantity(one.get("memory"))) for one in usable.values())
    others = (pod for pod in pods if pod["metadata"]["namespace"] not in placed and _uses(pod, usable))
    return whole - _sum(of_pod(pod) for pod in others)


def of_pod(pod: Manifest) -> Requests:
    """As the scheduler counts it: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing"""
    spec = pod["spec"]
    running, highest = _sum(map(_of_container, spec.get("containers") or [])), Requests()
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":  # a sidecar, which stays
            running += _of_container(container)
        else:
            one = _of_container(container)
            highest = Requests(max(highest.cpu, one.cpu), max(highest.memory, one.memory))
    overhead = spec.get("overhead") or {}
    most = Requests(max(running.cpu, highest.cpu), max(running.memory, highest.memory))
    return most + Requests(_quantity(overhead.get("cpu")), _quantity(overhead.get("memory")))


def limit(claim: Claim, room: Room, policy: model.Capacity) -> Limit:
    """What keeps this one from a place."""
    same = sum(one.repository_id == claim.repository_id for one in room.taken)
    if policy.environments_per_repository and same >= policy.environments_per_repository:
        return "repository"
    if policy.environments and len(room.taken) >= policy.environments:
        return "platform"
    if room.nodes is not None and not claim.requests.fits(_left(room)):
        return "nodes"
    return ""


def why(claim: Claim, room: Room, policy: model.Capacity) -> str:
    """The same as a sentence."""
    return {
        "": "there is room",
        "repository": f"this repository has {policy.environments_per_repository} environments that are awake, "
        "as many as the platform allows it",
        "platform": f"{policy.environments} environments are awake, as many as the platform allows",
        "nodes": f"this environment needs {claim.requests} (processors, memory), "
        f"and the nodes have {_left(room)} left for it",
    }[limit(claim, room, policy)]


def turns(waiting: Sequence[Claim], room: Room, policy: model.Capacity) -> tuple[Claim, ...]:
    """Who of those that wait, the longest first, may have a place now.

    Who waits for its own repository's share holds up nobody else. Where nodes are what is short, everybody waits
    behind the first: otherwise small ones would pass a large one for ever.
    """
    granted: list[Claim] = []
    for claim in waiting:
        lacking = limit(claim, dataclasses.replace(room, taken=(*room.taken, *granted)), policy)
        if lacking in {"platform", "nodes"} or (lacking and policy.mode == "allocatable"):
            break
        if not lacking:
            granted.append(claim)
    return tuple(granted)


def sleepers(
    claim: Claim, room: Room, policy: model.Capacity, *, idle: Iterable[Idle], now: datetime.datetime
) -> tuple[Idle, ...]:
    """Who is put to sleep so that there is room, the least recently used first; nobody when that would not do."""
    if not policy.sleep_least_recently_used:
        return ()
    unused = sorted((one for one in idle if now - one.used_at >= policy.sleep_idle_for), key=lambda one: one.used_at)
    chosen: list[Idle] = []
    while lacking := limit(claim, room, policy):
        helps = (one for one in unused if lacking != "repository" or one.claim.repository_id == claim.repository_id)
        one = next(helps, None)
        if one is None:
            return ()
        chosen.append(one)
        unused.remove(one)
        room = dataclasses.replace(room, taken=tuple(held for held in room.taken if held != one.claim))
    return tuple(chosen)


def _left(room: Room) -> Requests:
    return (room.nodes or Requests()) - _sum(one.requests for one in room.taken)


def _sum(all_of: Iterable[Requests]) -> Requests:
    return sum(all_of, start=Requests())


def _of_container(container: Manifest) -> Requests:
    asked = (container.get("resources") or {}).get("requests") or {}
    return Requests(_quantity(asked.get("cpu")), _quantity(asked.get("memory")))


def _quantity(text: object) -> decimal.Decimal:
    try:
        return quantities.parse(str(text)) if text else _NONE
    except errors.InputError:
        return _NONE


def _usable(node: Manifest) -> bool:
    conditions = {one["type"]: one["status"] for one in node["status"].get("conditions") or []}
    return conditions.get("Ready") == "True" and not node["spec"].get("unschedulable")


def _uses(pod: Manifest, usable: Collection[str]) -> bool:
    """One that waits for a node will get one of these."""
    node = pod["spec"].get("nodeName")
    ended = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not ended and (not node or node in usable)
