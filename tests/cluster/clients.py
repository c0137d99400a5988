"""Apps in miniature that talk to databases while something happens to these: on this machine, with the drivers of the
sandbox's base image."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from tests import trees
from tests.cluster import cli

# Two for each engine. One keeps its connection; the other makes a new one every 0.1 s, and when it is refused, looks
# for the password that holds now.
_CLIENT = """
import base64, json, ssl, sys, threading, time, urllib.request
given = json.load(open(sys.argv[1]))
context, stop, found = ssl.create_default_context(cadata=given["authority"]), threading.Event(), {}

def login(engine):
    url = f"{given['server']}/api/v1/namespaces/{given['namespace']}/secrets/{engine}-login"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {given['token']}"})
    with urllib.request.urlopen(request, context=context) as answer:
        return {key: base64.b64decode(value).decode() for key, value in json.load(answer)["data"].items()}

def connect(engine, values):
    "What asks over the connection, and what closes it."
    host = given["addresses"][engine]
    if engine == "postgresql":
        import psycopg
        one = psycopg.connect(host=host, user="app", dbname="app", password=values["PGPASSWORD"], autocommit=True)
        return lambda: one.execute("SELECT text FROM entry").fetchall(), one.close
    if engine == "mariadb":
        import pymysql
        one = pymysql.connect(host=host, user="app", database="app", password=values["MYSQL_PASSWORD"])
        return lambda: one.cursor().execute("SELECT text FROM entry"), one.close
    import redis
    one = redis.Redis(host=host, password=values["REDIS_PASSWORD"], single_connection_client=True)
    return lambda: one.get("entry"), one.close

def keep(engine, started):
    ask, close = connect(engine, login(engine))
    while not stop.wait(0.02):
        ask()
        found[engine]["kept"] += 1
        started.set()
    close()

def reconnect(engine, started):
    mine, values, since = found[engine], login(engine), None
    first = values
    while not stop.wait(0.1) or since:
        try:
            ask, close = connect(engine, values)
            ask()
            close()
        except Exception as error:
            since = since or time.monotonic()
            mine["refusals"] += 1
            mine["said"] = type(error).__name__
            values = login(engine)
        else:
            mine["away"] = max(mine["away"], time.monotonic() - since if since else 0)
            mine["connected"] += 1
            since = None
            started.set()
    try:
        connect(engine, first)[0]()
    except Exception:
        mine["first"] = "refused"

def watched(act, engine, started):
    try:
        act(engine, started)
    except Exception as error:
        found[engine]["failure"] = f"{act.__name__}: {error!r}"
        started.set()

threads = []
for engine in given["addresses"]:
    found[engine] = dict(kept=0, connected=0, refusals=0, away=0.0, failure="", first="accepted", said="")
    for act in (keep, reconnect):
        started = threading.Event()
        threads.append(threading.Thread(target=watched, args=(act, engine, started)))
        threads[-1].start()
        started.wait()
print("started", flush=True)
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
print(json.dumps(found))
"""


@dataclasses.dataclass(frozen=True)
class Lived:
    """`away`: seconds for which new connections were refused. `first`: what became of the login it began with."""

    kept: int
    connected: int
    refusals: int
    away: float
    failure: str
    first: str
    said: str


@contextlib.contextmanager
def talking(preview: cli.Preview, engines: Sequence[str]) -> Iterator[dict[str, Lived]]:
    """While the block runs. What they lived through, by engine, is there after it."""
    lived: dict[str, Lived] = {}
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        facts = folder / "facts.json"
        facts.write_text(json.dumps(_facts(preview, engines)))
        command = trees.inside(trees.tree("base"), "python3", "-uc", _CLIENT, str(facts), shared=folder, user=1000)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                assert process.stdout.readline() == "started\n"
                yield lived
                said, _ = process.communicate("", timeout=60)
            finally:
                process.kill()
    lived.update({engine: Lived(**one) for engine, one in json.loads(said).items()})


def _facts(preview: cli.Preview, engines: Sequence[str]) -> dict[str, Any]:
    config = yaml.safe_load(preview.installed.kubeconfig.read_text())
    reached = config["clusters"][0]["cluster"]
    services = json.loads(preview.kubectl("get", "services", *engines, "-o", "json"))["items"]
    return {
        "server": reached["server"],
        "authority": base64.b64decode(reached["certificate-authority-data"]).decode(),
        "token": config["users"][0]["user"]["token"],
        "namespace": preview.namespace,
        "addresses": {one["metadata"]["name"]: one["spec"]["clusterIP"] for one in services},
    }
