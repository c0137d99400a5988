"""What happens to a few kinds of objects, as it happens: one list and one watch each, re-opened when they end."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import urllib3

from k8s_ee import errors
from k8s_ee.cluster import pool, refusals

if TYPE_CHECKING:
    from k8s_ee.cluster import client

_PAUSE = 0.5
_FAILURES = 5


@dataclasses.dataclass(frozen=True)
class Subject:
    """One collection: a kind in a namespace (empty: all, or cluster-wide), or one object of it by `name`.

    `labels` keep out what nobody waits for. Absence from a collection with labels may mean that an object
    lost them.
    """

    kind: str
    namespace: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass
class View:
    """Objects by (kind, name) as last seen. `fresh` holds the uids of those that changed after their first list."""

    objects: dict[tuple[str, str], dict[str, Any]] = dataclasses.field(default_factory=dict)
    fresh: set[str] = dataclasses.field(default_factory=set)
    listed: set[str] = dataclasses.field(default_factory=set)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [found for (of, _name), found in self.objects.items() if of == kind]

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((kind, name))

    def take(self, kind: str, listed: Sequence[Mapping[str, Any]]) -> None:
        """All there is of a kind. What a later list shows as it was has not changed since the first."""
        before = {key: self.objects.pop(key) for key in list(self.objects) if key[0] == kind}
        for item in listed:
            key = (kind, item["metadata"]["name"])
            self.objects[key] = dict(item)
            if kind in self.listed and _version(before.get(key)) != _version(item):
                self.fresh.add(item["metadata"]["uid"])
        self.listed.add(kind)


def _version(item: Mapping[str, Any] | None) -> str:
    return str(item["metadata"]["resourceVersion"]) if item else ""


@dataclasses.dataclass(frozen=True)
class _Change:
    kind: str
    type: str
    objects: Sequence[Mapping[str, Any]] = ()
    error: Exception | None = None


class Watch:
    """Threads that list and watch; `view` is only touched by the caller of `next`."""

    def __init__(self, cluster: client.Cluster, subjects: Sequence[Subject]) -> None:
        self._cluster = cluster
        self._changes: queue.SimpleQueue[_Change] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[urllib3.BaseHTTPResponse] = set()
        self._subjects = tuple(subjects)
        self._threads = [
            threading.Thread(target=self._run, args=(subject,), daemon=True, name=f"k8s-ee-watch-{subject.kind}")
            for subject in subjects
        ]
        self.view = View()

    def next(self, seconds: float) -> bool:
        """Waits for a change and takes in all that are there; False when none came in time.

        Raises ClusterUnavailable or Refused when a collection can't be watched.
        """
        try:
            self._take(self._changes.get(timeout=max(seconds, 0.001)))
        except queue.Empty:
            return False
        with contextlib.suppress(queue.Empty):
            while True:
                self._take(self._changes.get_nowait())
        return True

    @property
    def complete(self) -> bool:
        """Whether every collection was listed at least once: only then does absence mean anything."""
        return {subject.kind for subject in self._subjects} <= self.view.listed

    def until(self, deadline: float) -> Iterator[View]:
        """All there is, after each change. Ends with what is there at `deadline` (`time.monotonic()`), asked for anew.

        Raises what `next` and `again` raise.
        """
        while True:
            self.next(deadline - time.monotonic())
            if time.monotonic() >= deadline:
                yield self.again()
                return
            if self.complete:
                yield self.view

    def again(self) -> View:
        """What is there now, apart from `view`: a connection that something in between has lost says nothing more.

        To be asked before it is said what is not there. Raises what `Cluster.listing` raises.
        """
        lists = pool.side_by_side([functools.partial(self._listing, subject) for subject in self._subjects])
        view = View(dict(self.view.objects), set(self.view.fresh), set(self.view.listed))
        for subject, found in zip(self._subjects, lists, strict=True):
            view.take(subject.kind, found.items)
        return view

    def _take(self, change: _Change) -> None:
        if change.error:
            raise change.error
        if change.type == "LISTED":
            return self.view.take(change.kind, change.objects)
        for item in change.objects:
            key = (change.kind, item["metadata"]["name"])
            if change.type == "DELETED":
                self.view.objects.pop(key, None)
            else:
                self.view.objects[key] = dict(item)
            self.view.fresh.add(item["metadata"]["uid"])
        return None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        with self._lock:
            for response in self._open:
                _shut(response)
        for thread in self._threads:
            thread.join()

    def _run(self, subject: Subject) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                version = self._list(subject)
                failures = 0
                self._follow(subject, version)
            except refusals.Expired:
                continue
            except (errors.K8sEEError, urllib3.exceptions.HTTPError, ValueError) as error:
                failures += 1
                if failures == _FAILURES or isinstance(error, errors.Refused):
                    return self._changes.put(_Change(subject.kind, "ERROR", error=_as_ours(error)))
                self._stopped.wait(_PAUSE * failures)
        return None

    def _listing(self, subject: Subject) -> client.Listing:
        return self._cluster.listing(subject.kind, subject.namespace, name=subject.name, labels=dict(subject.labels))

    def _list(self, subject: Subject) -> str:
        found = self._listing(subject)
        self._changes.put(_Change(subject.kind, "LISTED", found.items))
        return found.resource_version

    def _follow(self, subject: Subject, version: str) -> None:
        """Goes on from the last version seen when a watch ends; a broken one is left to the next list."""
        while not self._stopped.is_set():
            before, began = version, time.monotonic()
            for type_, found in self._events(subject, version):
                version = found["metadata"]["resourceVersion"]
                if type_ != "BOOKMARK":
                    self._changes.put(_Change(subject.kind, type_, (found,)))
            if version == before and time.monotonic() - began < _PAUSE:
                self._stopped.wait(_PAUSE)  # Something in between ends watches at once: no tight loop.

    def _events(self, subject: Subject, version: str) -> Iterator[tuple[str, dict[str, Any]]]:
        mine: list[urllib3.BaseHTTPResponse] = []
        try:
            yield from self._cluster.watch(
                subject.kind,
                subject.namespace,
                resource_version=version,
                name=subject.name,
                labels=dict(subject.labels),
                opened=lambda response: self._opened(response, mine),
            )
        except urllib3.exceptions.HTTPError:
            if not self._stopped.is_set():
                raise
        finally:
            with self._lock:
                self._open.difference_update(mine)

    def _opened(self, response: urllib3.BaseHTTPResponse, mine: list[urllib3.BaseHTTPResponse]) -> None:
        mine.append(response)
        with self._lock:
            self._open.add(response)
            if self._stopped.is_set():
                _shut(response)


def _shut(response: urllib3.BaseHTTPResponse) -> None:
    """Ends a read that another thread is blocked in; closing would wait for it."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        response.shutdown()


def _as_ours(error: Exception) -> errors.K8sEEError:
    if isinstance(error, errors.K8sEEError):
        return error
    return errors.ClusterUnavailable(
        "the cluster keeps breaking off its answers", hint="a proxy in between may cut long requests; run it again"
    )


@contextlib.contextmanager
def watching(cluster: client.Cluster, subjects: Sequence[Subject]) -> Iterator[Watch]:
    watch = Watch(cluster, subjects)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def gone(
    cluster: client.Cluster, kind: str, name: str, *, namespace: str = "", uid: str, deadline: float
) -> dict[str, Any]:
    """Waits until the object with that uid is gone, by `deadline` (`time.monotonic()`).

    The object as it was last seen, or {} when it is gone: the API server said 404, or has another uid by that name.
    """
    left: dict[str, Any] = {}
    with watching(cluster, [Subject(kind, namespace, name)]) as watch:
        for view in watch.until(deadline):
            found = view.get(kind, name)
            left = found if found and found["metadata"]["uid"] == uid else {}
            if not left and absent(cluster, kind, name, namespace=namespace, uid=uid):
                return {}
    return left or {"metadata": {"name": name, "uid": uid}}


def absent(cluster: client.Cluster, kind: str, name: str, *, namespace: str = "", uid: str) -> bool:
    """Whether the API server says 404, or has another object by that name."""
    found = cluster.get(kind, name, namespace)
    return found is None or found["metadata"]["uid"] != uid
