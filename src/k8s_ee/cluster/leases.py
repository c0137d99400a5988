"""One at a time: a Lease that its holder renews, and that another may take once it saw it stand still for long enough.

Clocks of machines differ, so the times in a Lease are for people. What counts is how long this process itself has seen
no change (https://pkg.go.dev/k8s.io/client-go/tools/leaderelection says what happens otherwise).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import secrets
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8s_ee import errors
from k8s_ee.cluster import kinds, messages, slots

if TYPE_CHECKING:
    from types import TracebackType

    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Elsewhere:
    """Somebody else holds it, and renewed it or took it while this process looked."""

    holder: str


def identity() -> str:
    """Unlike that of any other process: a restarted one is not the one before it."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def take(cluster: client.Cluster, *, namespace: str, name: str, holder: str, seconds: float = 15.0) -> Held | Elsewhere:
    """Takes the Lease, if need be after it stood still for as long as its holder said.

    `seconds` (at least 1) is how long it lasts without a renewal. One that would have to be watched for more than a
    minute is somebody else's. A dry run, which does nothing that another could do
    twice, holds it on paper. Raises what the API server refuses.
    """
    if cluster.dry_run:
        return Held(cluster, {}, holder=holder, seconds=seconds)
    seen, since = "", time.monotonic()
    while True:
        began = time.monotonic()
        found = cluster.get("Lease", name, namespace)
        if found is None:
            created = cluster.create(_lease(name, namespace, holder=holder, seconds=seconds))
            if created is not None:
                return Held(cluster, created, holder=holder, seconds=seconds, renewed_at=began)
            continue
        other, version = slots.holder_of(found), found["metadata"]["resourceVersion"]
        if version != seen:
            if seen and other:
                return Elsewhere(other)
            seen, since = version, time.monotonic()
        lasts = _duration(found) or seconds
        if lasts > _PATIENCE_SECONDS and other:
            return Elsewhere(other)
        if not other or began - since > lasts:
            answer = write(cluster, found, _spec(holder, seconds))
            if answer.status == 200:
                return Held(cluster, answer.body, holder=holder, seconds=seconds, renewed_at=began)
            continue
        time.sleep(_LOOK_SECONDS)


class Held:
    """A Lease that is renewed in the background from `with` on, and given back at its end."""

    def __init__(
        self, cluster: client.Cluster, lease: Manifest, *, holder: str, seconds: float, renewed_at: float = 0.0
    ) -> None:
        self._cluster, self._lease, self._holder, self._seconds = cluster, lease, holder, seconds
        self._renewed_at = renewed_at
        self._lost = False
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="k8s-ee-lease")

    def __enter__(self) -> Held:
        if not self._cluster.dry_run:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self._cluster.dry_run:
            with contextlib.suppress(*errors.ONE_OF_MANY):  # Then it stands still, which frees it, too.
                self._give_back()

    def still_held(self) -> bool:
        """Ask before each act. After a pause that outlasted the Lease the API server is asked; once lost stays lost."""
        if self._cluster.dry_run:
            return True
        with self._lock:
            if not self._lost and not self._fresh(2 / 3):
                self._renew()
            if not self._fresh(1):
                self._lost = True
            return not self._lost

    def _fresh(self, part: float) -> bool:
        return time.monotonic() - self._renewed_at < self._seconds * part

    def _keep(self) -> None:
        while not self._stopped.wait(self._seconds / 3):
            with self._lock:
                if self._lost:
                    return
                self._renew()

    def _renew(self) -> None:
        """Counts from before the request: that is the earliest moment at which another may have seen it."""
        began = time.monotonic()
        try:
            answer = write(self._cluster, self._lease, _spec(self._holder, self._seconds))
            if answer.status != 200:
                answer = self._again()
        except errors.ONE_OF_MANY:
            return  # It is tried again, by the thread or by the next who asks, until it is too old.
        if answer.status == 200:
            self._lease, self._renewed_at = answer.body, began
        else:
            self._lost = True

    def _again(self) -> messages.Answer:
        """The write before may have been made and its answer lost: then it is still this process's."""
        metadata = self._lease["metadata"]
        found = self._cluster.get("Lease", metadata["name"], metadata["namespace"])
        if found is None or slots.holder_of(found) != self._holder or found["metadata"]["uid"] != metadata["uid"]:
            return messages.Answer(409, {})
        return write(self._cluster, found, _spec(self._holder, self._seconds))

    def _give_back(self) -> None:
        with self._lock:
            if not self._lost:
                write(self._cluster, self._lease, {"holderIdentity": None})
                self._lost = True


def _duration(lease: Manifest) -> float:
    return float((lease.get("spec") or {}).get("leaseDurationSeconds") or 0)


def _spec(holder: str, seconds: float) -> Manifest:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"holderIdentity": holder, "leaseDurationSeconds": max(1, round(seconds)), "renewTime": now}


def _lease(name: str, namespace: str, *, holder: str, seconds: float) -> Manifest:
    spec = _spec(holder, seconds)
    return {
        "apiVersion": kinds.kind("Lease").api_version,
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**spec, "acquireTime": spec["renewTime"]},
    }


def write(
    cluster: client.Cluster,
    lease: Manifest,
    spec: Mapping[str, Any],
    *,
    annotations: Mapping[str, str | None] | None = None,
) -> messages.Answer:
    """Only on what was read: 409 when somebody wrote since, 404 when it is gone."""
    metadata = lease["metadata"]
    guard: Manifest = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    if annotations:
        guard["annotations"] = dict(annotations)
    return cluster.write(
        "PATCH",
        kinds.kind("Lease").path(metadata["name"], namespace=metadata["namespace"]),
        what=f"Lease {metadata['name']}",
        body={"metadata": guard, "spec": dict(spec)},
        content_type=messages.MERGE_PATCH,
        expected={404, 409},
    )
