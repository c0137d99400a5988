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


@pytest.fixture
def shop(runner: cli.Installed, tmp_path: pathlib.Path) -> Iterator[cli.Preview]:
    with cli.preview(runner, tmp_path) as made:
        made.configure(KEYS)
        made.up(image=runner.sandbox.images["base"])
        yield made


@contextlib.contextmanager
def notes(preview: cli.Preview, *, password: str = "") -> Iterator[Any]:
    """The collection, over the Service, as an app; only its name is not known out here."""
    found = json.loads(preview.kubectl("get", "secret", "mongodb-credentials-v1", "-o", "jsonpath={.data}"))
    url = base64.b64decode(found["MONGODB_URL"]).decode()
    login, _, rest = url.partition("@")
    if password:
        login = f"{login.rpartition(':')[0]}:{password}"
    address = preview.kubectl("get", "service", "mongodb", "-o", "jsonpath={.spec.clusterIP}")
    target = f"{login}@{rest.replace('mongodb', address, 1)}?directConnection=true"
    with pymongo.MongoClient[dict[str, Any]](target, serverSelectionTimeoutMS=10_000) as client:
        yield client["app"]["notes"]


def is_mongodb(preview: cli.Preview) -> bool:
    return "ferretdb" not in preview.kubectl("exec", "mongodb-0", "--", "ls", "/usr/local/bin")


def test_what_an_app_writes_stays_when_its_pod_goes_and_the_bootstrap_ran_once(shop: cli.Preview) -> None:
    with notes(shop) as found:
        found.insert_one({"body": "kept"})
    shop.kubectl("delete", "pod", "mongodb-0", "--wait")
    shop.kubectl("wait", "--for=create", "pod/mongodb-0", "--timeout=60s")
    shop.kubectl("wait", "--for=condition=Ready", "pod/mongodb-0", "--timeout=60s")
    with notes(shop) as found:
        assert sorted(note["body"] for note in found.find()) == ["hello", "kept"]


def test_nobody_gets_in_by_a_wrong_password(shop: cli.Preview) -> None:
    if not is_mongodb(shop):
        pytest.skip("the stand-in's authentication is not MongoDB's: this is to be run where there is mongod")
    with pytest.raises(pymongo.errors.OperationFailure), notes(shop, password="wrong") as found:
        found.find_one()
