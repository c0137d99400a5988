"""MongoDB of an environment, from an app's view. In the sandbox it is a stand-in: see docs/databases/mongodb.md."""

from __future__ import annotations

import base64
import contextlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pymongo
import pymongo.errors
import pytest

from tests.cluster import cli

pytestmark = pytest.mark.cluster

BOOTSTRAP = "db.notes.insertOne({body: 'hello'});"
KEYS = {**cli.small(), "databases": {"mongodb": {"storage": "256Mi", "bootstrap": BOOTSTRAP}}}


@pytest.fixture(scope="module")
def shop(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """The tests go on from what the ones before left in it."""
    with cli.preview(runner, tmp_path_factory.mktemp("shop")) as made:
        made.configure(KEYS)
        made.up(image=runner.sandbox.images["base"])
        yield made


@contextlib.contextmanager
def notes(preview: cli.Preview, *, user: str = "app", password: str = "", number: str = "1") -> Iterator[Any]:
    """The collection, over the Service, as an app; only its name is not known out here."""
    found = json.loads(preview.kubectl("get", "secret", f"mongodb-credentials-v{number}", "-o", "jsonpath={.data}"))
    given, _, rest = base64.b64decode(found["MONGODB_URL"]).decode().partition("@")
    address = preview.kubectl("get", "service", "mongodb", "-o", "jsonpath={.spec.clusterIP}")
    target = f"mongodb://{user}:{password or given.rpartition(':')[2]}@{rest.replace('mongodb', address, 1)}"
    client = pymongo.MongoClient[dict[str, Any]](target, directConnection=True, serverSelectionTimeoutMS=10_000)
    with client:
        yield client["app"]["notes"]


def needs_mongodb(preview: cli.Preview) -> None:
    if "ferretdb" in preview.kubectl("exec", "mongodb-0", "--", "ls", "/usr/local/bin"):
        pytest.skip("this image has no mongod, but a stand-in that can't do that: run it where the official image is")


def test_what_an_app_writes_stays_when_its_pod_goes_and_the_bootstrap_ran_once(shop: cli.Preview) -> None:
    with notes(shop) as found:
        found.insert_one({"body": "kept"})
    shop.begin_anew("mongodb")
    with notes(shop) as found:
        assert sorted(note["body"] for note in found.find()) == ["hello", "kept"]
    apps = shop.kubectl("get", "pods", "-l=app.kubernetes.io/name=app", "-o=jsonpath={.items[*].status..restartCount}")
    assert set(apps.split()) == {"0"}


def test_a_bootstrap_that_fails_is_told_in_the_engines_words_and_mended_by_the_next_push(
    runner: cli.Installed, tmp_path: pathlib.Path
) -> None:
    with cli.preview(runner, tmp_path) as shop:
        store = {"storage": "256Mi", "bootstrap": "db.notes.insertOn({body: 'hello'});"}
        shop.configure({**cli.small(), "databases": {"mongodb": store}})
        failed = shop.run("up", image=runner.sandbox.images["base"])
        assert failed.code == 4, failed.said
        assert "insertOn" in failed.said
        assert "the bootstrap script failed" in failed.said
        shop.configure(KEYS)
        shop.up(image=runner.sandbox.images["base"])
        with notes(shop) as found:
            assert found.count_documents({}) == 1


def test_nobody_gets_in_by_a_wrong_password_or_as_somebody_else(shop: cli.Preview) -> None:
    for login in ({"password": "wrong"}, {"user": "admin"}):
        with pytest.raises(pymongo.errors.OperationFailure), notes(shop, **login) as found:
            found.find_one()


def test_what_was_dumped_can_be_loaded_after_a_wipe_and_not_before(shop: cli.Preview, tmp_path: pathlib.Path) -> None:
    def run(command: str) -> str:
        return shop.kubectl("exec", "mongodb-0", "--", "sh", "-c", f"cd /etc/k8s-ee/scripts; {command}", check=False)

    with notes(shop) as saved:
        before = sorted(note["body"] for note in saved.find())
    assert run("sh ./dump.sh >/tmp/dump && echo done") == "done\n"
    assert "is not empty" in run("sh ./load.sh </tmp/dump")
    assert run("sh ./wipe.sh && echo done") == "done\n"
    with notes(shop) as wiped:
        assert wiped.count_documents({}) == 0
    assert run("sh ./load.sh </tmp/dump && echo done") == "done\n"
    path = str(tmp_path / "backup.tar")
    assert [shop.run(*asked).code for asked in (("backup", "--to", path), ("restore", path))] == [0, 3]
    with notes(shop) as changed:
        changed.insert_one({"body": "after it was saved"})
    assert shop.run("restore", path, "--replace").code == 0
    with notes(shop) as loaded:
        assert sorted(note["body"] for note in loaded.find()) == before


def test_there_are_transactions_because_it_is_a_replica_set(shop: cli.Preview) -> None:
    needs_mongodb(shop)
    with notes(shop) as found, found.database.client.start_session() as session:
        with session.start_transaction():
            found.insert_one({"body": "undone"}, session=session)
            session.abort_transaction()
        assert found.count_documents({"body": "undone"}) == 0


def test_rotated_it_is_the_same_pod_and_only_the_next_password_opens_it(shop: cli.Preview) -> None:
    """On the stand-in, which has an authentication of its own, and on MongoDB where that is."""
    login = json.loads(shop.kubectl("get", "secret", "mongodb-login", "-o", "jsonpath={.data}"))
    first = base64.b64decode(login["MONGODB_URL"]).decode().partition("@")[0].rpartition(":")[2]
    uid = shop.kubectl("get", "pod", "mongodb-0", "-o", "jsonpath={.metadata.uid}")
    with notes(shop) as before:
        before.find_one()
        done = shop.run("rotate-credentials")
        assert done.code == 0, done.said
        assert before.find_one()["body"] == "hello"
    with notes(shop, number="2") as after:
        assert after.find_one()["body"] == "hello"
    with pytest.raises(pymongo.errors.OperationFailure), notes(shop, password=first, number="2") as refused:
        refused.find_one()
    assert shop.kubectl("get", "pod", "mongodb-0", "-o", "jsonpath={.metadata.uid}") == uid
