"""One environment with every database in it, and one row in each: how it gets there, and how one sees that it is."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from tests.cluster import cli


def _object() -> str:
    """A dump of object storage: a bucket with one object. It has nothing in it that is no text."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as opened:
        entry = tarfile.TarInfo("data/app/entry")
        entry.size = len(b"kept")
        opened.addfile(entry, io.BytesIO(b"kept"))
    return archive.getvalue().decode("ascii")


_INSERT = """
db = connect(require('fs').readFileSync(`${process.env.CREDENTIALS}/MONGODB_URL`, 'utf8').trim());
db.entry.insertOne({text: 'kept'});
"""
_LOAD = "sh /etc/k8s-ee/scripts/load.sh"

# The command that reads the row, the row, and what a dump of the database has in it then. A dump of MongoDB can't be
# written by hand.
ROWS = {
    "postgresql": (_LOAD, "CREATE TABLE entry (text text); INSERT INTO entry VALUES ('kept');\n", "kept"),
    "mariadb": (_LOAD, "CREATE TABLE entry (text text); INSERT INTO entry VALUES ('kept');\n", "'kept'"),
    "redis": (_LOAD, "0 x656e747279 0 SET x6b657074\n", "0 x656e747279 0 SET x6b657074"),
    "minio": (_LOAD, _object(), "kept"),
    "mongodb": ("cat >/tmp/row.js && HOME=/tmp mongosh --nodb --norc --quiet --file /tmp/row.js", _INSERT, "kept"),
}
ENGINES = tuple(ROWS)
Keys = dict[str, dict[str, object]]
"""Of `databases` in k8s-ee.yaml, by engine."""


@pytest.fixture
def image(runner: cli.Installed) -> str:
    return runner.sandbox.images["base"]


@pytest.fixture(scope="module")
def databases() -> Keys:
    found: Keys = {engine: {"storage": "256Mi", "startupSeconds": 600} for engine in ENGINES}
    found["redis"]["version"] = "8"  # of the others, only the sandbox's images know it
    return found


@pytest.fixture(scope="module")
def ready(runner: cli.Installed, databases: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """With one row in each. Every test leaves it ready, and each row where it was."""
    with cli.preview(runner, tmp_path_factory.mktemp("ready")) as made:
        made.configure({**cli.small(), "databases": databases})
        made.up(image=runner.sandbox.images["base"])
        for engine in ENGINES:
            write(made, engine)
        yield made


def _inside(preview: cli.Preview, engine: str, command: str, *, stdin: str = "") -> str:
    return preview.kubectl("exec", "-i", f"{engine}-0", "--", "sh", "-c", command, stdin=stdin)


def write(preview: cli.Preview, engine: str) -> None:
    command, row, _ = ROWS[engine]
    _inside(preview, engine, command, stdin=row)


def dumped(preview: cli.Preview, engine: str) -> str:
    """What of it is text."""
    return _inside(preview, engine, "sh /etc/k8s-ee/scripts/dump.sh | tr -cd '\\12\\40-\\176'")


def assert_kept(preview: cli.Preview) -> None:
    for engine, (_, _, kept) in ROWS.items():
        assert kept in dumped(preview, engine), engine


def kept(preview: cli.Preview) -> str:
    """Names, uids and contents of what must never be lost."""
    found = json.loads(preview.kubectl("get", "secrets,persistentvolumeclaims", "-o", "json"))["items"]
    return json.dumps(
        [[one["metadata"]["name"], one["metadata"]["uid"], one.get("data")] for one in found], sort_keys=True
    )


def uids(preview: cli.Preview) -> dict[str, str]:
    """Of the databases' pods."""
    names = [f"pod/{engine}-0" for engine in ENGINES]
    found = json.loads(preview.kubectl("get", *names, "-o", "json"))["items"]
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in found}
