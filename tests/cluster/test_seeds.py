"""Seeds and reset-db on the real cluster, with every database in one environment: each begins with all of its seed or
is not begun at all, and whoever asks for one of them to begin anew loses nothing of the others."""

from __future__ import annotations

import base64
import gzip
import io
import json
import signal
import tarfile

import pytest

from tests.cluster import cli, crowd

pytestmark = pytest.mark.cluster

ROWS = 20_000
MINE = "app.kubernetes.io/component=postgresql"
SLOW = {"postgresql": "SELECT pg_sleep({});", "mariadb": "DO sleep({});"}

# Whoever comes before the end of a seed sees less of it; counts its own runs.
MIGRATE = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as found:
    (last,) = found.execute("SELECT max(text) FROM entry").fetchone()
    assert last == "last", last
    found.execute("CREATE TABLE IF NOT EXISTS ran (id serial)")
    found.execute("INSERT INTO ran DEFAULT VALUES")
"""


def sql(engine: str, word: str, *, seconds: float = 1.5) -> bytes:
    values = ",".join(f"('{number:06}')" for number in range(ROWS))
    slow = SLOW[engine].format(seconds)
    lines = (
        "CREATE TABLE entry (text text);",
        f"INSERT INTO entry VALUES {values};",  # noqa: S608
        slow,
        "INSERT INTO entry VALUES ('last');",
        f"CREATE TABLE word AS SELECT '{word}' AS text;",
    )
    return "\n".join(lines).encode()


def keys(word: str) -> bytes:
    lines = [f"0 x{f'key{number}'.encode().hex()} 0 SET x30" for number in range(ROWS)]
    return "\n".join([*lines, f"0 x{b'word'.hex()} 0 SET x{word.encode().hex()}", ""]).encode()


def objects(word: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("data/app/word")
        entry.size = len(word)
        archive.addfile(entry, io.BytesIO(word.encode()))
    return packed.getvalue()


SEEDS = {
    "postgresql": "db/seed.sql.gz",
    "mariadb": "db/mariadb.sql",
    "redis": "db/seed.redis",
    "minio": "db/seed.tar.gz",
}
LAST = {
    "postgresql": "psql --no-psqlrc -At -c 'select (select count(*) from entry), text from word'",
    "mariadb": "mariadb --no-defaults --skip-ssl-verify-server-cert -h $MYSQL_HOST -u $MYSQL_USER -BN "
    "-e 'select (select count(*) from entry), text from word' $MYSQL_DATABASE | tr '\\t' '|'",
    "redis": 'echo "$(($(valkey-cli -h $REDIS_HOST dbsize | tr -dc 0-9)))|$(valkey-cli -h $REDIS_HOST get word)"',
    "minio": 'echo "1|$(cat $VOLUME/data/app/word)"',
}
WHOLE = {"postgresql": ROWS + 1, "mariadb": ROWS + 1, "redis": ROWS + 1, "minio": 1}


def run(preview: cli.Preview, *arguments: str, image: str = "") -> cli.Finished:
    """Five databases on a machine that does other things besides."""
    return preview.run(*arguments, image=image, timeout=360)


def up(preview: cli.Preview, image: str) -> None:
    done = run(preview, "up", image=image)
    assert done.code == 0, done.said


def write_seeds(preview: cli.Preview, word: str) -> None:
    (preview.directory / "db").mkdir(exist_ok=True)
    content = {
        "postgresql": gzip.compress(sql("postgresql", word)),
        "mariadb": sql("mariadb", word),
        "redis": keys(word),
        "minio": gzip.compress(objects(word)),
    }
    for engine, path in SEEDS.items():
        (preview.directory / path).write_bytes(content[engine])


def found(preview: cli.Preview) -> dict[str, str]:
    """How much is in each, and which word."""
    login = (
        "for file in $CREDENTIALS/*; do export ${file##*/}=$(cat $file); done; "
        "export MYSQL_PWD=${MYSQL_PASSWORD:-} REDISCLI_AUTH=${REDIS_PASSWORD:-}; "
    )
    return {
        engine: preview.kubectl("exec", f"{engine}-0", "--", "sh", "-c", login + command).strip()
        for engine, command in LAST.items()
    }


def expected(**words: str) -> dict[str, str]:
    return {engine: f"{WHOLE[engine]}|{word}" for engine, word in words.items()}


def uids(preview: cli.Preview, kind: str = "pod") -> dict[str, str]:
    """Of the databases' pods or claims, by engine."""
    prefix, suffix = ("data-", "-0") if kind == "pvc" else ("", "-0")
    items = json.loads(preview.kubectl("get", kind, "-o", "json"))["items"]
    by_name = {one["metadata"]["name"]: one["metadata"]["uid"] for one in items}
    return {engine: by_name[f"{prefix}{engine}{suffix}"] for engine in SEEDS}


def passwords(preview: cli.Preview) -> str:
    items = json.loads(preview.kubectl("get", "secrets", "-o", "json"))["items"]
    return json.dumps([[one["metadata"]["name"], one.get("data")] for one in items if "credentials" in str(one)])


def restarts(preview: cli.Preview) -> set[str]:
    names = ("-l", "app.kubernetes.io/name=app", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}")
    return set(preview.kubectl("get", "pods", *names).split())


def noted(preview: cli.Preview, engine: str) -> str:
    path = "jsonpath={.metadata.annotations.k8s-ee/seed}"
    return preview.kubectl("get", f"pvc/data-{engine}-0", "--ignore-not-found", "-o", path).partition(" ")[0]


def kill_while_loading(preview: cli.Preview, command: str, *arguments: str, engine: str, image: str) -> None:
    running = preview.start(command, *arguments, image=image)
    running.until(" seed")
    crowd.until(lambda: noted(preview, engine) == "loading", seconds=60)  # until then load.sh only says what is there
    loads = "until grep -qsz '^/etc/k8s-ee/scripts/[l]oad.sh$' /proc/[0-9]*/cmdline; do sleep 0.05; done"
    preview.kubectl("exec", f"{engine}-0", "--", "timeout", "30", "sh", "-c", loads)
    running.send(signal.SIGKILL)
    running.end()


@pytest.fixture
def image(runner: cli.Installed) -> str:
    return runner.sandbox.images["base"]


def configure(preview: cli.Preview, **more: object) -> None:
    stores = {engine: {"storage": "256Mi", "seed": path} for engine, path in SEEDS.items()}
    app = cli.small(migrate=["python3", "-uc", MIGRATE])
    preview.configure({**app, "databases": {**stores, **more}})


@pytest.fixture
def seeded(preview: cli.Preview, image: str) -> cli.Preview:
    """Killed once in between."""
    write_seeds(preview, "first")
    configure(preview, mongodb={"storage": "256Mi", "bootstrap": "db.notes.insertOne({word: 'bootstrap'});"})
    kill_while_loading(preview, "up", engine="mariadb", image=image)
    assert noted(preview, "mariadb") == "loading"
    assert preview.kubectl("get", "deployment/app", check=False).endswith("not found\n")
    up(preview, image)
    return preview


@pytest.mark.timeout(1200)
def test_each_begins_with_its_seed_and_one_of_them_begins_anew_without_the_others(
    seeded: cli.Preview, image: str
) -> None:
    first = expected(**dict.fromkeys(SEEDS, "first"))
    assert found(seeded) == first
    assert restarts(seeded) == {"0"}
    pods, secrets = uids(seeded), passwords(seeded)

    write_seeds(seeded, "second")
    archive = seeded.kubectl("exec", "mongodb-0", "--", "sh", "-c", "sh /etc/k8s-ee/scripts/dump.sh | base64")
    (seeded.directory / "db" / "mongo").write_bytes(base64.b64decode(archive))
    configure(seeded, mongodb={"storage": "256Mi", "seed": "db/mongo"})
    for options in (("--dry-run",), ()):
        again = run(seeded, "up", *options, "--output", "json", image=image)
        assert again.code == 0, again.said
        for engine in SEEDS:
            assert f"`databases.{engine}.seed` is not the one that was loaded" in again.stdout
        assert "`databases.mongodb.seed` is new" in again.stdout
    assert (found(seeded), uids(seeded)) == (first, pods)

    claims = uids(seeded, "pvc")
    foreseen = run(seeded, "reset-db", "postgresql", "--dry-run")
    assert "postgresql and its volume (256Mi) would be deleted" in foreseen.said
    assert uids(seeded, "pvc") == claims
    kill_while_loading(seeded, "reset-db", "postgresql", "mongodb", engine="postgresql", image=image)
    done = run(seeded, "reset-db", "postgresql", "mongodb", "--output", "json")
    assert done.code == 0, done.said
    assert found(seeded) == {**first, **expected(postgresql="second")}
    left = {"postgresql"}
    after, claims_after = uids(seeded), uids(seeded, "pvc")
    assert {engine for engine in SEEDS if after[engine] != pods[engine]} == left
    assert {engine for engine in SEEDS if claims_after[engine] != claims[engine]} == left
    assert passwords(seeded) == secrets
    assert restarts(seeded) == {"0"}
    assert seeded.ask("/")[0] == 200
    query = "for f in $CREDENTIALS/PG*; do export ${f##*/}=$(cat $f); done; psql -At -c 'select count(*) from ran'"
    assert seeded.kubectl("exec", "postgresql-0", "--", "sh", "-c", query).strip() == "1", "migrated again"
    assert noted(seeded, "mongodb") == "loaded"


def test_a_seed_that_fails_is_told_at_its_line_and_loaded_once_it_is_mended(
    preview: cli.Preview, installed: cli.Installed, image: str
) -> None:
    """Beside one out of an image: the guestbook's has its migrations in it."""
    seed = preview.directory / "seed.sql"
    carried = {"image": installed.image, "path": "/srv/guestbook/migrations/001_entries.sql"}
    stores = {"mariadb": {"storage": "256Mi", "seed": "seed.sql"}, "postgresql": {"storage": "256Mi", "seed": carried}}
    preview.configure({**cli.small(), "databases": stores})
    line = next(at for at, text in enumerate(preview.config.read_text().splitlines(), 1) if "seed: seed.sql" in text)
    missing = run(preview, "up", image=image)
    assert (missing.code, f"k8s-ee.yaml:{line}" in missing.said) == (2, True), missing.said
    seed.write_text("CREATE TABLE entry (text text);\nSELEC 1;\n")
    failed = run(preview, "up", image=image)
    assert (failed.code, f"k8s-ee.yaml:{line}" in failed.said) == (4, True), failed.said
    assert "near 'SELEC 1'" in failed.said
    refused = run(preview, "deploy-app", image=image)
    assert (refused.code, "was not loaded to its end" in refused.said) == (3, True), refused.said
    assert preview.kubectl("get", "deployment/app", check=False).endswith("not found\n")
    seed.write_text("CREATE TABLE entry (text text);\nINSERT INTO entry VALUES ('mended');\n")
    up(preview, image)
    for engine, text in (("mariadb", "'mended'"), ("postgresql", "CREATE TABLE public.entries")):
        assert text in preview.kubectl("exec", f"{engine}-0", "--", "sh", "/etc/k8s-ee/scripts/dump.sh")
    preview.kubectl("wait", "--for=delete", "deployment", "-l", MINE, "--timeout=60s")


def test_reset_is_the_way_to_another_version_and_wakes_what_sleeps(preview: cli.Preview, image: str) -> None:
    store = {"storage": "64Mi", "version": "8"}
    preview.configure({**cli.small(), "databases": {"redis": store, "minio": {"storage": "64Mi"}}})
    up(preview, image)
    claim = preview.kubectl("get", "pvc/data-redis-0", "-o", "jsonpath={.metadata.uid} {.spec.volumeName}").split()
    load = ("exec", "-i", "redis-0", "--", "sh", "/etc/k8s-ee/scripts/load.sh")
    preview.kubectl(*load, stdin="0 x61 0 SET x62\n")
    archive = str(preview.directory / "kept.tar")
    assert run(preview, "backup", "redis", "--to", archive).code == 0
    assert run(preview, "sleep").code == 0
    preview.configure(
        {**cli.small(), "databases": {"redis": {**store, "storage": "32Mi"}, "minio": {"storage": "64Mi"}}}
    )
    refused = run(preview, "up", image=image)
    assert (refused.code, "k8s-ee reset-db redis" in refused.said) == (2, True), refused.said
    assert "k8s-ee restore --replace" in refused.said
    running = preview.start("reset-db", "redis")
    running.until(" stop")
    running.send(signal.SIGKILL)
    running.end()
    done = preview.run("reset-db", "redis", timeout=360, K8S_EE_HEAD_SHA="")  # it is the one that runs
    assert done.code == 0, done.said
    assert preview.installed.kubectl("get", "pv", claim[1], check=False).endswith("not found\n")
    assert preview.kubectl("get", "pvc/data-redis-0", "-o", "jsonpath={.spec.resources.requests.storage}") == "32Mi"
    assert preview.ask("/")[0] == 200
    back = run(preview, "restore", archive, "--replace")
    assert back.code == 0, back.said
    assert preview.kubectl("exec", "redis-0", "--", "sh", "/etc/k8s-ee/scripts/dump.sh") == "0 x61 0 SET x62\n"
    for name, words in (("mariadb", "is not in k8s-ee.yaml"), ("postgres", "is not in k8s-ee.yaml")):
        wrong = run(preview, "reset-db", name)
        assert (wrong.code, words in wrong.said) == (2, True), wrong.said
