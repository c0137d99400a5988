"""Passwords of databases that run are changed: who is connected notices nothing, who was cut off goes on."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import minio
import minio.error
import pytest

from k8s_ee import cluster, plan, settings
from k8s_ee.commands import secrecy
from tests import world
from tests.cluster import cli, clients, stores

pytestmark = pytest.mark.cluster

ENGINES = ("postgresql", "mariadb", "redis")
EVERY = (*ENGINES, "minio")
PODS = tuple(f"pod/{engine}-0" for engine in EVERY)
PINBOARD = (world.ROOT / "examples" / "pinboard" / "pinboard.py").read_text()


@pytest.fixture(scope="module")
def shop(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """All engines, with one row or object in each."""
    with cli.preview(runner, tmp_path_factory.mktemp("shop")) as made:
        wanted = {engine: {"storage": "64Mi"} for engine in EVERY}
        made.configure({**cli.small(PINBOARD), "databases": wanted})
        deploy(made)
        for engine in ENGINES:
            stores.write(made, engine)
        storage(address(made), secret(made, "minio-login")).put_object("app", "entry", io.BytesIO(b"kept"), length=4)
        yield made


def deploy(preview: cli.Preview) -> cli.Finished:
    done = preview.run("up", image=preview.installed.sandbox.images["base"], timeout=300)
    assert done.code == 0, done.said
    return done


def secret(preview: cli.Preview, name: str) -> dict[str, str]:
    found = json.loads(preview.kubectl("get", "secret", name, "-o", "jsonpath={.data}"))
    return {key: base64.b64decode(value).decode() for key, value in found.items()}


def numbers(preview: cli.Preview) -> dict[str, int]:
    """Of the passwords that the servers have. The app's Secrets of these numbers have the same."""
    found = {}
    for engine in EVERY:
        login = json.loads(preview.kubectl("get", "secret", f"{engine}-login", "-o", "json"))
        found[engine] = plan.logins.number(login)
        assert secret(preview, plan.ENGINES[engine].credentials(found[engine])) == secret(preview, f"{engine}-login")
    return found


def given(preview: cli.Preview) -> list[str]:
    """The Secrets that are for the app."""
    names = preview.kubectl("get", "secrets", "-o", "jsonpath={.items[*].metadata.name}").split()
    return [name for name in names if "-credentials-v" in name]


def lives(preview: cli.Preview) -> str:
    """Uids and restarts of the databases' pods."""
    wanted = "{range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount} {end}"
    return preview.kubectl("get", *PODS, "-o", f"jsonpath={wanted}")


def address(preview: cli.Preview) -> str:
    return preview.kubectl("get", "service", "minio", "-o", "jsonpath={.spec.clusterIP}:9000")


def storage(endpoint: str, login: dict[str, str]) -> minio.Minio:
    return minio.Minio(
        endpoint=endpoint,
        access_key=login["S3_ACCESS_KEY"],
        secret_key=login["S3_SECRET_KEY"],
        secure=False,
        region="us-east-1",
    )


def assert_works(preview: cli.Preview) -> None:
    """The app with what it was given, each database's own scripts with the files of its pod, an S3 client."""
    for engine in ENGINES:
        status, said = preview.ask(f"/{engine}")
        assert status == 200, (engine, said)
        assert stores.ROWS[engine][2] in stores.dumped(preview, engine)
    assert storage(address(preview), secret(preview, "minio-login")).stat_object("app", "entry").size == 4


class Asking(threading.Thread):
    """An S3 client that looks for the secret that holds now when it is refused."""

    def __init__(self, preview: cli.Preview) -> None:
        super().__init__(daemon=True)
        self._api = cluster.connect(settings.Connection(kubeconfig=str(preview.installed.kubeconfig)))
        self._namespace, self._address = preview.namespace, address(preview)
        self.enough, self.away, self.asked = threading.Event(), 0.0, 0

    def run(self) -> None:
        client, since = self._client(), 0.0
        while not self.enough.wait(0.1) or since:
            try:
                client.stat_object("app", "entry")
            except minio.error.S3Error:
                since = since or time.monotonic()
                client = self._client()
            else:
                self.away = max(self.away, time.monotonic() - since if since else 0)
                self.asked += 1
                since = 0.0

    def _client(self) -> minio.Minio:
        found = self._api.get("Secret", "minio-login", self._namespace)
        assert found is not None
        return storage(self._address, secrecy.decoded(found))


def test_who_is_connected_notices_nothing_and_who_connects_anew_is_refused_for_two_seconds_at_most(
    shop: cli.Preview, record_property: Callable[[str, object], None]
) -> None:
    before, lived_before = numbers(shop), lives(shop)
    old = storage(address(shop), secret(shop, "minio-login"))
    asking = Asking(shop)
    asking.start()
    with clients.talking(shop, ENGINES) as lived:
        done = shop.run("rotate-credentials", "--output", "json", timeout=300)
        assert done.code == 0, done.said
    asking.enough.set()
    asking.join()
    assert numbers(shop) == {engine: number + 1 for engine, number in before.items()}
    (row,) = done.outcome["data"]["environments"]
    assert row["secrets"].split() == given(shop)
    for engine, one in lived.items():
        record_property(f"seconds in which new connections to {engine} were refused", f"{one.away:.2f}")
        assert (one.failure, one.first) == ("", "refused"), (engine, one)
        assert one.kept > one.connected > 0, (engine, one)
        assert one.away <= 2, (engine, one)
    record_property("seconds in which object storage refused", f"{asking.away:.2f}")
    record_property("seconds for all of it", f"{done.seconds:.1f}")
    assert asking.asked > 0
    assert asking.away <= 2
    with pytest.raises(minio.error.S3Error):
        old.stat_object("app", "entry")
    assert lives(shop) == lived_before
    assert_works(shop)


def test_no_password_is_in_what_is_said(shop: cli.Preview) -> None:
    before = {engine: secret(shop, f"{engine}-login") for engine in EVERY}
    done = shop.run("rotate-credentials", "redis", "minio", "--debug", timeout=300)
    assert done.code == 0, done.said
    words = [
        secret_[plan.ENGINES[engine].password]
        for engine in ("redis", "minio")
        for secret_ in (before[engine], secret(shop, f"{engine}-login"))
    ]
    assert len(set(words)) == 4
    assert not [word for word in words if word in done.said]
    assert secret(shop, "mariadb-login") == before["mariadb"]


def cut_off(preview: cli.Preview) -> None:
    """As who was killed when the servers had the next passwords and nobody had been told."""
    for engine in EVERY:
        word = f"next-of-{engine}-0123456789"
        patch = {"stringData": {"NEXT": word}}
        preview.kubectl("patch", "secret", f"{engine}-login", "--type=merge", "-p", json.dumps(patch))
        change = "umask 077; cat >/tmp/new; NEW=/tmp/new sh /etc/k8s-ee/scripts/password.sh; rm /tmp/new"
        preview.kubectl("exec", "-i", f"{engine}-0", "--", "sh", "-ec", change, stdin=word)


@pytest.mark.parametrize("command", ["up", "rotate-credentials"])
def test_cut_off_when_only_the_server_knew_the_next_command_ends_it(shop: cli.Preview, command: str) -> None:
    before = numbers(shop)
    cut_off(shop)
    shop.begin_anew("redis")  # on the next password alone
    done = shop.run(command, image=shop.installed.sandbox.images["base"], timeout=300)
    assert done.code == 0, done.said
    for engine in EVERY:
        assert secret(shop, f"{engine}-login") == plan.ENGINES[engine].env(f"next-of-{engine}-0123456789")
    assert numbers(shop) == {engine: number + 1 for engine, number in before.items()}
    assert_app_works(shop)


def assert_app_works(preview: cli.Preview) -> None:
    for engine in ENGINES:
        status, said = preview.ask(f"/{engine}")
        assert status == 200, (engine, said)


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_changed_while_a_deploy_is_under_way_both_end_and_the_app_works(shop: cli.Preview, rounds: int) -> None:
    chance = random.Random(5)  # noqa: S311 - the same moments every time
    for number in range(rounds):
        deploying = shop.start("up", image=shop.installed.sandbox.images["base"])
        with contextlib.suppress(subprocess.TimeoutExpired):
            deploying.process.wait(chance.uniform(0.5, 4))
        changed, deployed = shop.run("rotate-credentials", timeout=300), deploying.end(timeout=300)
        assert (changed.code, deployed.code) == (0, 0), (number, changed.said, deployed.said)
        assert_app_works(shop)
        names = shop.kubectl("get", "deployment", "app", "-o", "json")
        assert [one for one in given(shop) if one not in names] == []
    assert_works(shop)


@pytest.mark.parametrize("rounds", [2, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_killed_at_any_moment_the_next_command_ends_it(shop: cli.Preview, rounds: int) -> None:
    chance = random.Random(3)  # noqa: S311 - the same moments every time
    image, lived = shop.installed.sandbox.images["base"], lives(shop)
    for number in range(rounds):
        running = shop.start("rotate-credentials")
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.process.wait(chance.uniform(0.5, 6))
        running.send(signal.SIGKILL)
        running.end()
        done = shop.run(("rotate-credentials", "up")[number % 2], image=image, timeout=300)
        assert done.code == 0, (number, done.said)
        assert_app_works(shop)
        assert all(plan.logins.NEXT not in secret(shop, f"{engine}-login") for engine in EVERY)
    assert lives(shop) == lived
    assert shop.run("rotate-credentials", timeout=300).code == 0
    assert len(given(shop)) == len(numbers(shop))
    assert_works(shop)


def test_a_password_that_was_lost_is_never_taken_for_a_later_one(shop: cli.Preview) -> None:
    """It lies on in a Secret for the app, whose number a password to come would have."""
    assert shop.run("rotate-credentials", "redis").code == 0
    shop.kubectl("delete", "secret", "redis-login")
    lost = shop.run("up", image=shop.installed.sandbox.images["base"])
    assert (lost.code, "k8s-ee reset-db redis" in lost.said) == (3, True), lost.said
    for command in ("reset-db", "rotate-credentials", "rotate-credentials"):
        done = shop.run(command, "redis", timeout=300)
        assert done.code == 0, done.said
        assert_app_works(shop)
    stores.write(shop, "redis")
    numbers(shop)
    assert_works(shop)
