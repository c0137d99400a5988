"""Places of environments that are awake, where the platform sets a maximum: each holds one slot of every limit.

A place is taken before there is anything that could use it, and given back after nothing can:

    reserved:REPOSITORY NAMESPACE   taken for a namespace that does not exist yet
    UID NAMESPACE                   that of the environment, from when its namespace exists

A process that was killed in between leaves what the next one of the same environment, or `tidy`, goes on from.
"""

from __future__ import annotations

import datetime
import functools
import random
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8s_ee import environment, errors, lifecycle
from k8s_ee.cluster import leases, observe, pool, sleeping, slots
from k8s_ee.plan import capacity

if TYPE_CHECKING:
    from k8s_ee.cluster import client
    from k8s_ee.config import model

Manifest = dict[str, Any]

PREFIX = "place"
LOCK = "place-lock"

_ANY_NUMBER = 100_000
_ATTEMPTS = 5
_LOCK_SECONDS = 30.0
_CUT_OFF_AFTER = datetime.timedelta(minutes=15)
"""A reservation lasts seconds, or as long as the namespace before it takes to go."""
_RESERVED = "reserved:"
_GAVE_WAY = "its room was needed by another preview"
"""Whose, is nobody's business in this pull request."""


def reserved(claim: capacity.Claim) -> str:
    return f"{_RESERVED}{claim.repository_id} {claim.namespace}"


def owner(observed: environment.Observed) -> str:
    return f"{observed.uid} {observed.namespace}"


def taken(found: Iterable[Manifest]) -> dict[str, capacity.Claim]:
    """What each holder of a place asked for, by holder, from the Leases of the platform's namespace."""
    return {slots.holder_of(one): _claim(one) for one in found if _is_place(one) and slots.holder_of(one)}


def room(cluster: client.Cluster, policy: model.Capacity, found: Sequence[Manifest], *, but: str = "") -> capacity.Room:
    """As the Leases `found` say; the nodes are asked where they count. `but` this holder, who asks."""
    held = taken(found)
    others = tuple(claim for holder, claim in held.items() if holder != but)
    if policy.mode != "allocatable":
        return capacity.Room(others)
    nodes, pods = pool.side_by_side([functools.partial(cluster.list, "Node"), functools.partial(cluster.list, "Pod")])
    # Of one that was adopted nobody knows what it asked for: then its pods say it.
    placed = {claim.namespace for claim in held.values() if claim.requests != capacity.Requests()}
    return capacity.Room(others, capacity.for_environments(nodes, pods, placed))


def take(cluster: client.Cluster, claim: capacity.Claim, holder: str, *, policy: model.Capacity, home: str) -> bool:
    """Whether `holder` has a place in `home` now. Never one more than `policy` has, however many ask at once."""
    if policy.mode == "allocatable":
        return _take_measured(cluster, claim, holder, policy=policy, home=home)
    return _take(cluster, claim, holder, limits=_limits(claim, policy), home=home)


def adopt(cluster: client.Cluster, claim: capacity.Claim, holder: str, *, policy: model.Capacity, home: str) -> None:
    """For one that is awake, maximum or not: it uses what it uses, and others have to know."""
    limits = dict.fromkeys(_limits(claim, policy), _ANY_NUMBER)
    _take(cluster, claim, holder, limits=limits, home=home)


def settle(
    cluster: client.Cluster,
    claim: capacity.Claim,
    observed: environment.Observed,
    *,
    policy: model.Capacity,
    home: str,
) -> None:
    """Its namespace exists: what was reserved for it becomes the environment's own."""
    mine = _of(cluster, home, {reserved(claim)})
    for lease in mine:
        amend(cluster, lease, spec={"holderIdentity": owner(observed)})
    adopt(cluster, claim, owner(observed), policy=policy, home=home)


def give_back(cluster: client.Cluster, holder: str, *, home: str) -> None:
    for lease in _of(cluster, home, {holder}):
        slots.release(cluster, home, lease["metadata"]["name"], holder)


def sleep(
    cluster: client.Cluster, observed: environment.Observed, now: datetime.datetime, *, home: str, untold: str = ""
) -> environment.Observed:
    """As `sleeping.sleep`; then its place is free, unless somebody took it anew to wake it meanwhile."""
    mine = [] if observed.asleep_since or cluster.dry_run else _of(cluster, home, {owner(observed)})
    asleep = sleeping.sleep(cluster, observed, now, untold=untold)
    for lease in mine:
        slots.drop(cluster, lease)
    return asleep


def make_room(
    cluster: client.Cluster, claim: capacity.Claim, *, policy: model.Capacity, home: str, now: datetime.datetime
) -> str:
    """Puts one environment to sleep, if that can help `claim` to a place; its name, or empty."""
    if not policy.sleep_least_recently_used:
        return ""
    found = cluster.list("Lease", home)
    awake = {owner(one): one for one in observe.environments(cluster)}
    held = taken(found)
    idle = {
        held[holder]: capacity.Idle(held[holder], lifecycle.last_activity(lifecycle.Facts(one, lifecycle.Open())))
        for holder, one in awake.items()
        if holder in held and _may_sleep(one, now)
    }
    chosen = capacity.sleepers(claim, room(cluster, policy, found), policy, idle=idle.values(), now=now)
    if not chosen:
        return ""
    (asleep,) = (one for holder, one in awake.items() if held.get(holder) == chosen[0].claim)
    try:
        sleep(cluster, asleep, now, home=home, untold=_GAVE_WAY)
    except errors.Refused:  # Somebody uses it again.
        return ""
    return asleep.namespace


def tidy(
    cluster: client.Cluster,
    *,
    policy: model.Capacity,
    home: str,
    now: datetime.datetime,
    check: slots.Check = lambda: None,
) -> tuple[str, ...]:
    """After a killed process: frees places nobody uses (the names of their Leases), gives one to whoever is awake."""
    found = [one for one in cluster.list("Lease", home) if _is_place(one)]
    if not found and not policy.is_limited:
        return ()
    everything = observe.environments(cluster)
    awake = {one.namespace: one for one in everything if not one.terminating and not one.asleep_since}
    live = {one.uid for one in everything}
    live |= {uid for one in found if (uid := slots.holder_of(one).partition(" ")[0]).startswith(_RESERVED)}
    freed = [
        name
        for prefix in sorted({_prefix(one) for one in found})
        for name in slots.reclaim(cluster, namespace=home, prefix=prefix, live=live, check=check)
    ]
    asleep = {owner(one) for one in everything if one.asleep_since}
    for lease in found:
        check()
        holder = slots.holder_of(lease)
        unused = holder in asleep or (holder.startswith(_RESERVED) and holder.partition(" ")[2] not in awake)
        if unused and now - since(lease) > _CUT_OFF_AFTER and slots.drop(cluster, lease):
            freed.append(lease["metadata"]["name"])
    if policy.is_limited:
        _adopt_all(cluster, list(awake.values()), found, policy=policy, home=home, check=check)
    return tuple(freed)


def _adopt_all(
    cluster: client.Cluster,
    awake: Sequence[environment.Observed],
    found: Sequence[Manifest],
    *,
    policy: model.Capacity,
    home: str,
    check: slots.Check,
) -> None:
    """Those from before there was a maximum, and those whose deploy was cut off."""
    held = taken(found)
    names: dict[str, set[str]] = {}
    for one in found:
        names.setdefault(slots.holder_of(one), set()).add(_prefix(one))
    for observed in awake:
        check()
        claim = held.get(owner(observed)) or capacity.Claim(observed.namespace, observed.repository_id)
        if not names.get(owner(observed), set()) >= set(_limits(claim, policy)):
            settle(cluster, held.get(reserved(claim), claim), observed, policy=policy, home=home)


def amend(
    cluster: client.Cluster,
    lease: Manifest,
    *,
    spec: Mapping[str, Any],
    annotations: Mapping[str, str | None] | None = None,
) -> Manifest | None:
    """As it is then; None, and nothing is changed, when somebody wrote to it since."""
    answer = leases.write(cluster, lease, spec, annotations=annotations)
    return answer.body if answer.status == 200 else None


def written(at: datetime.datetime) -> str:
    """A time as a Lease has it."""
    return at.astimezone(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _may_sleep(observed: environment.Observed, now: datetime.datetime) -> bool:
    preserved = observed.preserved_until is not None and observed.preserved_until > now
    return bool(observed.head_sha) and not observed.is_ending and not preserved and not observed.asleep_since


def _take(cluster: client.Cluster, claim: capacity.Claim, holder: str, *, limits: Mapping[str, int], home: str) -> bool:
    for _attempt in range(_ATTEMPTS):
        before = {one["metadata"]["name"]: one for one in _of(cluster, home, {holder})}
        got: list[str] = []
        for prefix, limit in limits.items():
            name = _acquire(cluster, claim, holder, prefix=prefix, limit=limit, home=home)
            if name is None:
                for one in set(got) - set(before):
                    slots.release(cluster, home, one, holder)
                return False
            got.append(name)
        # Whoever is about to free one that was there before, because the environment falls asleep, must not any more.
        renewal = {"renewTime": written(datetime.datetime.now(datetime.UTC))}
        asked = {environment.REQUESTS: str(claim.requests)}  # A later deploy may ask for more, or less.
        if all(amend(cluster, before[name], spec=renewal, annotations=asked) for name in got if name in before):
            return True
    raise errors.ClusterUnavailable(
        f"the place of {claim.namespace} keeps being taken and given back", hint="run the same command again"
    )


def _acquire(
    cluster: client.Cluster, claim: capacity.Claim, holder: str, *, prefix: str, limit: int, home: str
) -> str | None:
    noted = {environment.REPOSITORY_ID: str(claim.repository_id), environment.REQUESTS: str(claim.requests)}
    return slots.acquire(cluster, namespace=home, prefix=prefix, limit=limit, holder=holder, annotations=noted)


def _take_measured(
    cluster: client.Cluster, claim: capacity.Claim, holder: str, *, policy: model.Capacity, home: str
) -> bool:
    """One at a time: what nodes have left can't be counted by slots."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        lock = leases.take(cluster, namespace=home, name=LOCK, holder=leases.identity(), seconds=5)
        if isinstance(lock, leases.Held):
            break
        if time.monotonic() >= deadline:
            return False
        time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - not a secret
    with lock:
        found = cluster.list("Lease", home)
        there = room(cluster, policy, found, but=holder)
        if capacity.limit(claim, there, policy) or not lock.still_held():
            return False
        return _take(cluster, claim, holder, limits=_limits(claim, policy), home=home)


def _limits(claim: capacity.Claim, policy: model.Capacity) -> dict[str, int]:
    """By prefix of their Leases. The repository's comes first: it is the one that holds up nobody else."""
    limits = {}
    if policy.environments_per_repository:
        limits[f"{PREFIX}-{claim.repository_id}"] = policy.environments_per_repository
    if policy.environments or policy.mode == "allocatable":
        limits[PREFIX] = policy.environments or _ANY_NUMBER
    return limits


def _of(cluster: client.Cluster, home: str, holders: set[str]) -> list[Manifest]:
    return [one for one in cluster.list("Lease", home) if _is_place(one) and slots.holder_of(one) in holders]


def _is_place(lease: Manifest) -> bool:
    return bool(re.fullmatch(rf"{PREFIX}(-[0-9]+)?-[0-9]{{1,6}}", lease["metadata"]["name"], re.ASCII))


def _prefix(lease: Manifest) -> str:
    return str(lease["metadata"]["name"]).rpartition("-")[0]


def _claim(lease: Manifest) -> capacity.Claim:
    noted = lease["metadata"].get("annotations") or {}
    number = noted.get(environment.REPOSITORY_ID, "")
    return capacity.Claim(
        namespace=slots.holder_of(lease).partition(" ")[2],
        repository_id=int(number) if re.fullmatch(r"[0-9]{1,18}", number, re.ASCII) else 0,
        requests=capacity.parse(noted.get(environment.REQUESTS, "")),
    )


def since(lease: Manifest) -> datetime.datetime:
    """When somebody last said that it is of use."""
    made = datetime.datetime.fromisoformat(lease["metadata"]["creationTimestamp"])
    renewed = lease["spec"].get("renewTime")
    return max(made, datetime.datetime.fromisoformat(renewed)) if renewed else made
