"""Every database on the real cluster: there before the app, keeps its data and its password, whatever happens to it."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
import signal
from collections.abc import Iterator

import pytest
import yaml

from k8s_ee_sandbox import platform
from tests import conftest, processes, world
from tests.cluster import cli, crowd, stores
from tests.cluster.stores import databases as databases  # noqa: PLC0414 - the fixture
from tests.cluster.stores import image as image  # noqa: PLC0414 - the fixture
from tests.cluster.stores import ready as ready  # noqa: PLC0414 - the fixture

pytestmark = pytest.mark.cluster

BOARDS = ("postgresql", "mariadb", "redis")
"""Of examples/pinboard."""


def test_the_example_writes_and_reads_through_each_also_after_it_was_away(preview: cli.Preview, image: str) -> None:
    source = (world.ROOT / "examples" / "pinboard" / "pinboard.py").read_text()
    preview.configure({**cli.small(source), "databases": {engine: {"storage": "256Mi"} for engine in BOARDS}})
    preview.up(image=image)
    pinned = {engine: preview.ask(f"/{engine}", method="POST", body={"pin": engine}) for engine in BOARDS}
    assert pinned == {engine: (200, json.dumps([json.dumps({"pin": engine})])) for engine in BOARDS}
    app = preview.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].metadata.uid}")
    preview.begin_anew(*BOARDS)
    # A node learns the new address of a Service up to a second later.
    crowd.until(lambda: {engine: preview.ask(f"/{engine}") for engine in BOARDS} == pinned, seconds=10)
    left = preview.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].metadata.uid}")
    assert left == app


def test_a_volume_that_is_kept_leaves_room_for_another_database(preview: cli.Preview, image: str) -> None:
    stores = {engine: {"storage": "256Mi"} for engine in ("postgresql", "redis")}
    preview.configure({**cli.small(), "databases": stores})
    preview.up(image=image)
    preview.configure({**cli.small(), "databases": {"redis": stores["redis"]}})
    preview.up(image=image)
    # With the app: a node keeps what an immutable Secret had for as long as a pod there uses one of its name.
    preview.kubectl("delete", "deployment/app", "--cascade=foreground", "--wait")
    preview.kubectl("delete", "statefulset/redis", "pvc/data-redis-0", "--wait")
    preview.kubectl("delete", "secret/redis-login", "secret/redis-credentials-v1")
    preview.up(image=image)
    assert "data-redis-0" in preview.kubectl("get", "pvc", "-o", "name")


@pytest.fixture
def growing(kubectl: conftest.Kubectl, tmp_path: pathlib.Path, runner: cli.Installed) -> Iterator[pathlib.Path]:
    """Platform settings with a StorageClass whose volumes may grow."""
    (standard,) = json.loads(kubectl("get", "storageclass", "-o", "json"))["items"]
    name = f"growing-{secrets.token_hex(3)}"
    larger = {**standard, "metadata": {"name": name}, "allowVolumeExpansion": True}
    kubectl("create", "-f", "-", stdin=json.dumps(larger))
    path = tmp_path / "platform.yaml"
    path.write_text(json.dumps({**platform.settings(runner.sandbox), "storageClass": name}))
    yield path
    kubectl("delete", "storageclass", name)


def test_larger_storage_is_asked_for_and_waited_for(preview: cli.Preview, image: str, growing: pathlib.Path) -> None:
    """The sandbox's volumes are folders: what a storage driver does when a volume grows is done by hand here."""
    up = ("up", "--platform-file", str(growing))
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "64Mi"}}})
    assert preview.run(*up, image=image).code == 0
    stores.write(preview, "redis")
    before = preview.kubectl("get", "pod/redis-0", "pvc/data-redis-0", "-o", "jsonpath={.items[*].metadata.uid}")
    preview.configure({**cli.small(), "databases": {"redis": {"storage": "96Mi"}}})
    running = preview.start(*up, image=image)
    asked = "--for=jsonpath={.spec.resources.requests.storage}=96Mi"
    preview.kubectl("wait", "pvc/data-redis-0", asked, "--timeout=60s")
    has = '{"status": {"capacity": {"storage": "96Mi"}}}'
    preview.kubectl("patch", "pvc/data-redis-0", "--subresource=status", "--type=merge", "-p", has)
    done = running.end(timeout=120)
    assert done.code == 0, done.said
    assert "the volume of redis grows to 96Mi" in done.said
    after = preview.kubectl("get", "pod/redis-0", "pvc/data-redis-0", "-o", "jsonpath={.items[*].metadata.uid}")
    assert after == before
    assert stores.ROWS["redis"][2] in stores.dumped(preview, "redis")


def test_of_databases_that_do_not_all_start_each_says_whether_it_answers(preview: cli.Preview, image: str) -> None:
    stores = {"redis": {"storage": "64Mi"}, "mariadb": {"storage": "64Mi", "bootstrap": "SELEC 1;"}}
    preview.configure({**cli.small(), "databases": stores})
    assert preview.run("create-namespace").code == 0
    done = preview.run("deploy-db", "--output", "json")
    assert done.code == 4, done.said
    assert json.loads(done.outcome["outputs"]["ready"]) == {"redis": True, "mariadb": False}
    assert "the bootstrap SQL failed" in done.said


def test_one_that_hangs_before_its_first_answer_is_begun_anew_and_one_that_answered_is_not(
    preview: cli.Preview, image: str
) -> None:
    hangs = {"bootstrap": "SELECT pg_sleep(600);", "storage": "256Mi", "startupSeconds": 10}
    quick = {"storage": "256Mi", "startupSeconds": 10}
    preview.configure({**cli.small(), "databases": {"postgresql": hangs, "redis": quick}})
    failed = preview.run("up", image=image)
    assert failed.code == 4, failed.said
    assert "postgresql did not answer its health check" in failed.said
    again = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
    preview.kubectl("wait", "pod/postgresql-0", again, "--timeout=60s")
    preview.kubectl("wait", "pod/redis-0", "--for=jsonpath={.status.containerStatuses[0].restartCount}=0")


# From here on they share `ready`. Before, its databases would only take their part of the machine.


def refusal(ready: cli.Preview, databases: stores.Keys, *options: str, image: str, **changes: str) -> str:
    """What a deploy says at the line of the one key of redis that is changed. No data is touched."""
    ready.configure({**cli.small(), "databases": {**databases, "redis": {**databases["redis"], **changes}}})
    before, changed = stores.kept(ready), yaml.safe_dump(changes).strip()
    refused = ready.run("up", *options, image=image)
    line = next(at for at, text in enumerate(ready.config.read_text().splitlines(), 1) if changed in text)
    assert (refused.code, f"k8s-ee.yaml:{line}" in refused.said) == (2, True), refused.said
    assert stores.kept(ready) == before
    return refused.said


def test_the_app_starts_after_each_database_and_every_row_outlives_the_pods(ready: cli.Preview) -> None:
    (pod,) = json.loads(ready.kubectl("get", "pods", "-l", "app.kubernetes.io/name=app", "-o", "json"))["items"]
    waited = {one["name"]: one["restartCount"] for one in pod["status"]["initContainerStatuses"]}
    assert waited == {f"wait-for-{engine}": 0 for engine in stores.ENGINES}
    assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0]
    before = stores.uids(ready)
    ready.begin_anew(*stores.ENGINES)
    assert not set(before.values()) & set(stores.uids(ready).values())
    stores.assert_kept(ready)


def test_who_asks_whether_one_is_ready_leaves_no_process_behind(ready: cli.Preview) -> None:
    """The first process of a pod need not care for children that are not its own, and their number is limited."""
    asked = "for once in 1 2 3; do sh /etc/k8s-ee/scripts/ready.sh; done"
    dead = 'cat /proc/[0-9]*/stat 2>/dev/null | cut -d")" -f2 | grep -c "^ Z" || true'
    for engine in stores.ENGINES:
        ready.kubectl("exec", f"{engine}-0", "--", "sh", "-c", asked)

    def left() -> set[str]:
        return {ready.kubectl("exec", f"{engine}-0", "--", "sh", "-c", dead).strip() for engine in stores.ENGINES}

    # One that has just ended counts until its parent has looked, and the kubelet asks at the same time.
    crowd.until(lambda: left() == {"0"}, seconds=30)


def test_killed_as_when_memory_runs_out_every_row_is_there(ready: cli.Preview) -> None:
    for name, uid in stores.uids(ready).items():
        os.kill(processes.first_of(uid), signal.SIGKILL)  # nothing is asked, nothing can be finished
        ready.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1")
        ready.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")
    stores.assert_kept(ready)


def test_out_of_the_config_the_workload_goes_once_the_app_serves_without_it_and_comes_back_as_it_was(
    ready: cli.Preview, image: str, databases: stores.Keys
) -> None:
    before, pods = stores.kept(ready), stores.uids(ready)
    ready.configure(cli.small("raise SystemExit(3)"))
    failed = ready.run("up", image=image)
    assert (failed.code, "not deployed any more" in failed.said) == (4, False), failed.said
    assert stores.uids(ready) == pods
    ready.configure(cli.small())
    planned = ready.run("up", "--dry-run", "--output", "json", image=image)
    without = ready.run("up", "--output", "json", image=image)
    for said in (planned, without):
        assert said.code == 0, said.said
        for engine in stores.ENGINES:
            assert f"{engine} is not deployed any more: its volume and password are kept" in said.stdout
    only = {"redis": databases["redis"]}
    assert "the data is of version 8" in refusal(ready, only, image=image, version="7"), "also when it is away"
    assert ready.kubectl("get", "statefulsets", "-o", "name") == ""
    assert stores.kept(ready) == before
    ready.configure({**cli.small(), "databases": databases})
    ready.up(image=image)
    assert stores.kept(ready) == before
    stores.assert_kept(ready)


def test_another_major_version_is_refused_on_its_line(ready: cli.Preview, image: str, databases: stores.Keys) -> None:
    pods = stores.uids(ready)
    assert "the data is of version 8" in refusal(ready, databases, image=image, version="7")
    assert stores.uids(ready) == pods
    ready.configure({**cli.small(), "databases": databases})


def test_larger_storage_is_refused_on_its_line_where_no_volume_can_grow(
    ready: cli.Preview, image: str, databases: stores.Keys
) -> None:
    pods = stores.uids(ready)
    for options in ((), ("--dry-run",)):
        said = refusal(ready, databases, *options, image=image, storage="512Mi")
        assert "its StorageClass can't make volumes larger" in said
    assert stores.uids(ready) == pods
    ready.configure({**cli.small(), "databases": databases})


def test_each_database_says_whether_it_is_ready(ready: cli.Preview, tmp_path: pathlib.Path, image: str) -> None:
    done = ready.run("deploy-db", "--output", "json")
    outputs = done.outcome["outputs"]
    assert json.loads(outputs["ready"]) == dict.fromkeys(stores.ENGINES, True)


def test_drained_from_its_node_every_database_comes_back_with_its_rows(
    ready: cli.Preview, kubectl: conftest.Kubectl
) -> None:
    node = ready.kubectl("get", "pod/mariadb-0", "-o", "jsonpath={.spec.nodeName}")
    before = stores.uids(ready)
    try:
        selector = f"--pod-selector=k8s-ee/pr={ready.number}"
        kubectl("drain", node, selector, "--delete-emptydir-data", "--timeout=90s")
    finally:
        kubectl("uncordon", node)
    for engine in stores.ENGINES:
        ready.kubectl("rollout", "status", f"statefulset/{engine}", "--timeout=120s")
    assert not set(before.values()) & set(stores.uids(ready).values())
    stores.assert_kept(ready)
