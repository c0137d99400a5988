"""The janitor against a real API server and a local GitHub: what is over goes, what is not known stays."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest

from k8s_ee import cluster, environment, outcome, runner, settings
from k8s_ee import github as githubs
from k8s_ee.cluster import happenings
from k8s_ee.commands import janitor, session
from tests.cluster import bare, environments, test_stuck, workloads
from tests.wire import github
from tests.wire import github_faults as faults
from tests.wire import github_state as states

pytestmark = pytest.mark.cluster

PROGRAM = str(pathlib.Path(sys.executable).with_name("k8s-ee"))
HOME = "k8s-ee-system"


@dataclasses.dataclass
class Yard:
    """One repository with environments of its own; the janitor is told to look at no others."""

    place: bare.Bare
    hub: github.Server
    shop: states.Repository
    platform: pathlib.Path

    def made(self, state: str = "open", *, number: int = 0) -> environment.Observed:
        wanted = dataclasses.replace(environments.unique(), repository=self.shop.full_name, repository_id=self.shop.id)
        wanted = dataclasses.replace(wanted, number=number or wanted.number)
        self.shop.pulls[wanted.number] = states.Pull(wanted.number, head_sha="a" * 40, state=state)
        made = cluster.namespaces.ensure(self.place.api, environments.namespace(wanted), wanted, environments.soon(120))
        return made.observed

    def some(self, count: int, state: str = "open") -> list[environment.Observed]:
        with futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda _n: self.made(state), range(count)))

    def there(self, observed: environment.Observed) -> bool:
        found = self.place.api.get("Namespace", observed.namespace)
        return found is not None and found["metadata"]["uid"] == observed.uid

    def sweep(self, *, url: str = "", timeout: float = 60, answer: int = 1) -> outcome.Outcome:
        """A pass in this process, with a GitHub client that does not wait long for anything, nor for an `answer`."""
        given = settings.Settings(
            repository=self.shop.full_name,
            token="of the App",
            api_url=url or self.hub.url,
            connection=settings.Connection(kubeconfig=str(self.place.sandbox.kubeconfig)),
        )
        ctx = session.Session(
            settings=given,
            options=session.Options(platform_file=self.platform, timeout=timeout),
            runner=runner.Runner(given, stream=io.StringIO()),
            say=environments.quiet,
        )
        hub = githubs.GitHub(given, pause=0.01, patience=0.1, timeout=answer, unsaid=0.01)
        return janitor.janitor(ctx, lease=False, hub=hub)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A pass in a process of its own, as in a CronJob."""
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.platform.parent),
            "GITHUB_TOKEN": "of the App",
            "K8S_EE_API_URL": self.hub.url,
            "K8S_EE_KUBECONFIG": str(self.place.sandbox.kubeconfig),
            "K8S_EE_PLATFORM_FILE": str(self.platform),
            "K8S_EE_REPOSITORY": self.shop.full_name,
        }
        command = [PROGRAM, "janitor", "--output", "json", *arguments]
        return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def posted(self) -> int:
        """How many comments there are, one for each environment that was ended."""
        return sum("is gone" in one.body for one in self.shop.comments.values())


def result(process: subprocess.Popen[str], *, code: int = 0) -> dict[str, Any]:
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == code, stdout + stderr
    found: dict[str, Any] = json.loads(stdout)
    return found


@contextlib.contextmanager
def fenced_off(bare_cluster: bare.Bare, folder: pathlib.Path) -> Iterator[Yard]:
    """Its environments are deleted in the end, without waiting."""
    with contextlib.suppress(AssertionError):
        bare_cluster.kubectl("create", "namespace", HOME)
    path = folder / "platform.yaml"
    path.write_text("domain: preview.test\n")
    token = secrets.token_hex(4)
    shop = states.Repository(id=1 + secrets.randbelow(10**9), owner_id=1, full_name=f"acme/shop-{token}")
    with github.Server(states.State(repositories=[shop])) as hub:
        made = Yard(bare_cluster, hub, shop, path)
        yield made
    for one in cluster.environments(bare_cluster.api):
        if one.repository_id == shop.id and not one.terminating:
            bare_cluster.api.delete("Namespace", one.namespace, uid=one.uid)


@pytest.fixture
def yard(bare_cluster: bare.Bare, tmp_path: pathlib.Path) -> Iterator[Yard]:
    with fenced_off(bare_cluster, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def lasting(
    bare_cluster: bare.Bare, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Yard, list[environment.Observed]]]:
    """With three environments whose pull requests are closed, for passes that delete nothing."""
    with fenced_off(bare_cluster, tmp_path_factory.mktemp("lasting")) as made:
        yield made, made.some(3, "closed")


def test_one_whose_closing_nobody_told_is_gone_after_a_pass(yard: Yard, tmp_path: pathlib.Path) -> None:
    closed, kept = yard.made("closed"), yard.made()
    file = tmp_path / "k8s_ee.prom"
    said = result(yard.start("--metrics-file", str(file)))
    assert (said["state"], said["data"]["summary"]["deleted"], said["data"]["summary"]["kept"]) == ("swept", 1, 1)
    assert (yard.there(closed), yard.there(kept)) == (False, True)
    assert yard.posted() == 1
    events = yard.place.api.list("Event", happenings.HOME)
    about = [one for one in events if one["involvedObject"].get("uid") == closed.uid]
    assert [(one["reason"], one["message"]) for one in about] == [("Destroying", "its pull request is closed")]
    text = file.read_text()
    assert 'k8s_ee_janitor_results{result="deleted"} 1\n' in text
    assert "k8s_ee_janitor_last_full_pass_timestamp_seconds " in text
    unchanged = yard.place.api.get("Namespace", kept.namespace)
    assert unchanged is not None
    assert unchanged["metadata"]["resourceVersion"] == kept.resource_version


@pytest.mark.parametrize(
    "fault",
    [
        *[faults.Fault(status=status) for status in (401, 403, 404, 429, 500, 502, 503)],
        *[faults.Fault(kind=kind) for kind in ("html", "empty", "garbled", "truncated", "drop")],
        faults.Fault(kind="html", status=200),
        faults.Fault(kind="slow", delay=1.2),
        faults.rate_limited(),
        *[
            faults.Fault(kind="altered", alteration=one)
            for one in ("errors", "errors-without-data", "a-list", "null", "empty-data", "rate-limited")
        ],
        *[
            faults.Fault(kind="altered", alteration=one)
            for one in ("null-repository", "missing-repository", "null-pull", "missing-pull", "error-on-pull")
        ],
    ],
    ids=lambda one: f"{one.kind}-{one.alteration or one.status}",
)
def test_nothing_is_deleted_of_which_github_says_nothing_clear(
    lasting: tuple[Yard, list[environment.Observed]], fault: faults.Fault
) -> None:
    yard, closed = lasting
    yard.hub.faults.clear()
    for one in closed:  # as if no pass had been there before
        yard.place.api.annotate(one.namespace, one.uid, {environment.UNKNOWN_SINCE: None})
    fault.path, fault.times = "/graphql", 99
    yard.hub.faults.add(fault)
    swept = yard.sweep()
    assert swept.failure is not None
    assert (swept.failure.exit_code, swept.data["summary"]["unknown"], swept.data["summary"]["deleted"]) == (5, 3, 0)
    assert all(yard.there(one) and not yard.place.now(one).terminating for one in closed)


def test_nothing_is_deleted_while_github_is_down(yard: Yard) -> None:
    closed = yard.some(3, "closed")
    swept = yard.sweep(url="http://127.0.0.1:9")
    assert swept.failure is not None
    assert (swept.failure.exit_code, swept.data["summary"]["unknown"]) == (5, 3)
    assert all(yard.there(one) for one in closed)
    assert yard.sweep().data["summary"]["deleted"] == 3


def test_what_nobody_serves_is_named_the_rest_is_done_and_it_goes_when_that_does(yard: Yard) -> None:
    place = yard.place
    place.kubectl("apply", "-f", "-", stdin=test_stuck.WIDGETS)
    place.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s")
    held, released, others = yard.made("closed"), yard.made("closed"), yard.some(4, "closed")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget"}
    test_stuck.put(place, held, {**widget, "metadata": {"name": "w", "finalizers": [test_stuck.FINALIZER]}})
    metadata = {"name": "sh.helm.release.v1.tools.v1", "labels": {"owner": "helm", "status": "pending-upgrade"}}
    test_stuck.put(place, released, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata})
    swept = yard.sweep(timeout=30)
    assert swept.failure is not None
    assert (swept.failure.exit_code, swept.data["summary"]["deleted"]) == (4, 5)
    assert any(
        f"widgets.example.com/w is held by finalizer {test_stuck.FINALIZER}" in x for x in swept.failure.evidence
    )
    assert not any(yard.there(one) for one in (released, *others))
    assert any("not everything is gone" in one.body for one in yard.shop.comments.values())
    yard.platform.write_text("domain: preview.test\nlifecycle: {stuckAfter: 1m}\n")
    assert yard.sweep().data["summary"]["ending"] == 1
    test_stuck.free(place, held, "widget/w")
    until_gone(yard, held)
    assert yard.sweep().data["summary"]["checked"] == 0
    assert yard.posted() == 6, "also that it is gone by now, which no pass saw"
    assert not any("not everything is gone" in one.body for one in yard.shop.comments.values())


def test_of_ends_that_github_took_no_comment_of_it_hears_in_later_passes(yard: Yard) -> None:
    closed = yard.some(4, "closed")
    limit = "You have exceeded a secondary rate limit"
    fault = faults.Fault(
        method="POST", path="/repos/.*", status=403, message=limit, headers={"Retry-After": "90"}, times=1
    )
    yard.hub.faults.add(fault)
    assert yard.sweep().data["summary"]["deleted"] == 4
    assert not any(yard.there(one) for one in closed)
    assert (yard.posted(), fault.times) == (0, 0), "whoever was told to wait asks no more"
    assert yard.sweep().data["summary"]["checked"] == 0
    assert yard.posted() == 4


def test_a_finalizer_whose_controller_is_gone_is_taken_off_when_the_platform_says_so(yard: Yard) -> None:
    place = yard.place
    place.kubectl("apply", "-f", "-", stdin=test_stuck.WIDGETS)
    place.kubectl("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s")
    held = yard.made("closed")
    widget = {"apiVersion": "example.com/v1", "kind": "Widget"}
    test_stuck.put(place, held, {**widget, "metadata": {"name": "w", "finalizers": [test_stuck.FINALIZER]}})
    yard.sweep(timeout=22)
    orphans = f"{{{test_stuck.FINALIZER}: deployment/widgets/controller}}"
    yard.platform.write_text(f"domain: preview.test\nlifecycle: {{stuckAfter: 1m, orphanedFinalizers: {orphans}}}\n")
    later = yard.start("--now", "2099-01-01T00:00:00+00:00")
    assert result(later)["data"]["summary"]["deleted"] == 1
    assert not yard.there(held)


def test_a_dead_api_is_named_and_all_end_when_it_goes(yard: Yard) -> None:
    closed = yard.some(2, "closed")
    name = "v1beta1.dead.example.com"
    yard.place.kubectl("apply", "-f", "-", stdin=workloads.DEAD_API)
    try:
        yard.place.kubectl("wait", "--for=condition=Available=false", f"apiservice/{name}", "--timeout=30s")
        swept = yard.sweep(timeout=27)
        assert swept.failure is not None
        assert all(f"APIService {name}" in line for line in swept.failure.evidence)
        assert len(swept.failure.evidence) == 2
    finally:
        yard.place.kubectl("delete", "apiservice", name)
    for one in closed:
        until_gone(yard, one)


def until_gone(yard: Yard, observed: environment.Observed) -> None:
    for _ in range(400):
        if not yard.there(observed):
            return
        time.sleep(0.1)
    raise AssertionError(f"{observed.namespace} is still there")


def test_one_that_is_reopened_while_it_ends_comes_up_clean_and_stays(yard: Yard) -> None:
    place = yard.place
    old = yard.made("closed")
    holder = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.com/x"]}}
    test_stuck.put(place, old, holder)
    there = threading.Event()  # The new one, before the comment about the old one can be written.
    yard.hub.faults.add(faults.Fault(method="GET", path=r".*/comments.*", kind="slow", delay=60, until=there))
    with futures.ThreadPoolExecutor(2) as pool:
        sweeping = pool.submit(yard.sweep, timeout=90, answer=60)
        while not place.now(old).terminating:
            time.sleep(0.05)
        again = pool.submit(yard.made, "open", number=old.number)
        time.sleep(1)
        assert not again.done()
        test_stuck.free(place, old, "configmap/held")
        new = again.result()
        there.set()
        assert sweeping.result().data["summary"]["deleted"] == 1
    assert new.uid != old.uid
    assert environment.CLEANUP_REQUESTED_AT not in new.annotations
    assert yard.posted() == 0, "the comment is about the new one"
    assert yard.sweep().data["summary"]["kept"] == 1
    assert yard.there(new)


def test_of_two_janitors_at_once_one_does_it_all_and_the_other_nothing(yard: Yard) -> None:
    closed = yard.some(10, "closed")
    yard.hub.faults.add(faults.Fault(path="/graphql", kind="slow", delay=2))
    both = [yard.start(), yard.start()]
    said = sorted((result(one) for one in both), key=lambda one: str(one["state"]))
    assert [one["state"] for one in said] == ["skipped", "swept"]
    assert said[1]["data"]["summary"]["deleted"] == 10
    assert not any(yard.there(one) for one in closed)
    assert yard.posted() == 10


def test_one_that_was_stopped_past_its_lease_leaves_the_rest_to_the_other(yard: Yard) -> None:
    closed = yard.some(10, "closed")
    yard.hub.faults.add(faults.Fault(path="/graphql", kind="slow", delay=3))
    first = yard.start("--timeout", "300")
    assert first.stderr is not None
    while "decide" not in first.stderr.readline():
        pass
    first.send_signal(signal.SIGSTOP)
    second = result(yard.start())
    first.send_signal(signal.SIGCONT)
    stopped = result(first)
    assert second["data"]["summary"]["deleted"] == 10
    assert stopped["data"]["summary"]["deleted"] == 0
    assert not any(yard.there(one) for one in closed)
    assert yard.posted() == 10


@pytest.mark.parametrize("moment", ["decide", "finish"])
def test_one_that_is_told_to_end_does_so_and_the_next_goes_on_at_once(yard: Yard, moment: str) -> None:
    closed = yard.some(6, "closed")
    if moment == "decide":
        yard.hub.faults.add(faults.Fault(path="/graphql", kind="slow", delay=2))
    else:
        yard.hub.faults.add(faults.Fault(path="/repos/.*", kind="slow", delay=2, times=99))
    first = yard.start()
    assert first.stderr is not None
    while moment not in first.stderr.readline():
        pass
    time.sleep(0.5)
    began = time.monotonic()
    first.send_signal(signal.SIGTERM)
    result(first, code=143)
    assert time.monotonic() - began < 8
    (lease,) = [one for one in yard.place.api.list("Lease", HOME) if one["metadata"]["name"] == janitor.LEASE]
    assert not lease["spec"].get("holderIdentity")
    assert all(yard.there(one) for one in closed) or moment == "finish"
    yard.hub.faults.clear()
    again = yard.sweep()
    assert (
        again.data["summary"]["deleted"] + again.data["summary"]["ending"] + 6 - again.data["summary"]["checked"] == 6
    )
    for one in closed:
        until_gone(yard, one)
