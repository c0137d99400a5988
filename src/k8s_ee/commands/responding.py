"""responder: answers for the environments that have no route of their own, from a watch of their namespaces."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from k8s_ee import cluster as clusters
from k8s_ee import environment, errors, lifecycle, outcome, pages, responder
from k8s_ee.cluster import watching
from k8s_ee.commands import session

_OURS = watching.Subject("Namespace", labels=tuple(environment.OURS.items()))
_LOOK_SECONDS = 0.5
_PAUSE_SECONDS = 5.0


@dataclasses.dataclass
class Directory:
    """Environments by namespace as last seen. `current`: they are being watched, so who is not there is not there."""

    domain: str
    policy: lifecycle.Policy
    now: Callable[[], datetime.datetime]
    known: Mapping[str, environment.Observed] = dataclasses.field(default_factory=dict)
    current: bool = False

    def page(self, host: str) -> pages.Page:
        """A host names its environment by its first label alone; what is written on namespaces can't claim another."""
        name, _, domain = host.partition(".")
        found = self.known.get(name) if domain == self.domain else None
        if found is not None:
            return pages.of(found, self.policy, self.now())
        return pages.NOBODY if self.current else pages.UNSURE

    def learn(self, namespaces: Iterable[Mapping[str, Any]]) -> None:
        known = {}
        for one in namespaces:
            with contextlib.suppress(errors.Refused):  # its labels were broken by hand: nobody's
                found = environment.from_namespace(one)
                known[str(found.namespace)] = found
        self.known, self.current = known, True


def answer(ctx: session.Session, *, port: int, health_port: int) -> outcome.Outcome:
    """Until it is interrupted. Raises InputError when a port can't be used, and what reading the settings raises."""
    directory = Directory(ctx.platform.domain, ctx.platform.lifecycle, ctx.now)
    with serving(directory, port=port, health_port=health_port):
        ctx.say(f"answering for *.{directory.domain} on port {port}")
        follow(ctx.cluster, directory, threading.Event(), say=ctx.say)
    return ctx.result("responder", "listed")


@contextlib.contextmanager
def serving(directory: Directory, *, port: int, health_port: int) -> Iterator[tuple[int, int]]:
    """Both ports as they were given out, where 0 was asked for."""

    def page(request: responder.Request) -> responder.Reply:
        return responder.reply(directory.page(request.host), request.accept)

    def health(request: responder.Request) -> responder.Reply:
        if request.path == "/healthz" or (request.path == "/readyz" and directory.current):
            return responder.plain(200, "ok")
        return responder.plain(503 if request.path == "/readyz" else 404, "no")

    with _listening(port, page) as for_people, _listening(health_port, health) as for_kubelets:
        yield for_people.server_port, for_kubelets.server_port


def _listening(port: int, respond: responder.Respond) -> responder.Server:
    try:
        return responder.Server(port, respond)
    except OSError as error:
        raise errors.InputError(f"port {port} can't be used: {error.strerror}", hint="choose another one") from None


def follow(
    cluster: clusters.Cluster, directory: Directory, stopped: threading.Event, *, say: Callable[[str], None]
) -> None:
    """Goes on whatever happens: what was known is still answered while the API server is away, and nothing more."""
    while not stopped.is_set():
        try:
            with watching.watching(cluster, [_OURS]) as watch:
                while not stopped.is_set():
                    if watch.next(_LOOK_SECONDS) and watch.complete:
                        directory.learn(watch.view.of("Namespace"))
        except errors.Interrupted:
            raise
        except errors.K8sEEError as error:
            directory.current = False
            say(f"the namespaces can't be watched: {error.message}")
            stopped.wait(_PAUSE_SECONDS)
