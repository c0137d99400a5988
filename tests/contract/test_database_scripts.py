"""The scripts that the charts of the databases have in common, each in the database's own image."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from k8s_ee import plan
from tests import servers


@dataclasses.dataclass(frozen=True)
class Kind:
    """How the app's own user writes and reads with the engine's own client. `fill` makes something of every kind.

    `much` is a dump of a thousand rows.
    """

    engine: str
    image: str
    client: tuple[str, ...]
    write: str
    read: str
    fill: str
    much: str
    password: str
    data: str
    version: str

    def ask(
        self, server: servers.Server, text: str, *, password: str = servers.PASSWORD
    ) -> subprocess.CompletedProcess[str]:
        command = [word.format(port=server.port) for word in self.client]
        return server.run(*command, stdin=text, **{self.password: password})

    def answer(self, server: servers.Server, text: str) -> str:
        done = self.ask(server, text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


_SQL = """
CREATE TABLE parent (id int PRIMARY KEY, name varchar(50) NOT NULL UNIQUE);
INSERT INTO parent VALUES (2, 'it''s'), (1, 'a\tb');
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent (id), amount numeric(10, 2));
INSERT INTO child VALUES (1, 2, 12.50), (2, NULL, NULL);
CREATE VIEW names AS SELECT name FROM parent;
CREATE INDEX by_amount ON child (amount);
"""
_MARIADB = """
CREATE PROCEDURE one() SELECT 1;
CREATE TRIGGER none BEFORE INSERT ON child FOR EACH ROW SET NEW.amount = 1;
CREATE TABLE bytes (some varbinary(9), emoji text);
INSERT INTO bytes VALUES (x'00ff0a', '\u2713 \U0001f600');
ALTER DATABASE CHARACTER SET latin1 COLLATE latin1_bin;
CREATE TABLE large (content longblob);
INSERT INTO large VALUES (repeat(x'00', 9000000));
"""
_ROWS = ",\n".join(f"('{number:0300}')" for number in range(1000))
_MUCH = f"CREATE TABLE entry (text text);\nINSERT INTO entry VALUES {_ROWS};\n"
KINDS = {
    kind.engine: kind
    for kind in (
        Kind(
            engine="postgresql",
            image="postgresql",
            client=("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "app", "-d", "app"),
            write="CREATE TABLE IF NOT EXISTS entry (text text); INSERT INTO entry VALUES ('kept');\n",
            read="SELECT text FROM entry;\n",
            fill=_SQL + "CREATE TYPE mood AS ENUM ('good'); CREATE SEQUENCE numbers START 7;\n"
            "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';\n",
            much=_MUCH,
            password="PGPASSWORD",
            data="pgdata/PG_VERSION",
            version="9",
        ),
        Kind(
            engine="mariadb",
            image="mariadb",
            client=("mariadb", "--no-defaults", "-BN", "-h127.0.0.1", "-P{port}", "-uapp", "app"),
            write="CREATE TABLE IF NOT EXISTS entry (text text); INSERT INTO entry VALUES ('kept');\n",
            read="SELECT text FROM entry;\n",
            fill=f"{_SQL}{_MARIADB}",
            much=_MUCH,
            password="MYSQL_PWD",
            data="mysql/mariadb_upgrade_info",
            version="10.6.2",
        ),
        Kind(
            engine="redis",
            image="valkey",
            client=("valkey-cli", "-e", "-p", "{port}"),
            write="SET entry kept\n",
            read="GET entry\n",
            fill='SET text "it\'s \\x00\\xff\\n"\nSET soon x PX 9000000\nSET "" nothing\nSET empty ""\n'
            "HSET map b 2 a 1\nSADD set c a b 12\nZADD ranks 1.5 x -inf y 3 z\nRPUSH list one two one\n"
            "XADD log 1-1 k v\nXGROUP CREATE log readers 0\nSELECT 3\nSET elsewhere 1\n",
            much="".join(f"0 x{n:06x} 0 SET x{n:0300x}\n" for n in range(1000)),
            password="REDISCLI_AUTH",
            data="valkey/version",
            version="7",
        ),
    )
}
EACH = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, servers.Server]]:
    """One of each that is prepared, for tests that leave it as it was."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(servers.made(name, image=kind.image)) for name, kind in KINDS.items()}


def done(script: subprocess.CompletedProcess[str]) -> str:
    assert script.returncode == 0, script.stderr
    return script.stdout


@EACH
def test_what_was_written_is_there_after_a_kill_and_nothing_says_the_password(
    kind: Kind, shared: dict[str, servers.Server]
) -> None:
    server = shared[kind.engine]
    with server.running():
        kind.answer(server, kind.write)
    with server.running():
        assert kind.answer(server, kind.read) == "kept"
        done(server.script("wipe.sh"))
    assert servers.PASSWORD not in server.log
    assert server.log.count("preparing an empty database") == 1


@EACH
def test_only_the_password_opens_it_and_without_it_nothing_is_ready(
    kind: Kind, shared: dict[str, servers.Server]
) -> None:
    server = shared[kind.engine]
    with server.running():
        assert "kept" not in kind.ask(server, kind.write + kind.read, password="wrong").stdout
        (variable,) = (one for one in server.credentials.iterdir() if one.name == server.engine.password)
        variable.write_text("wrong")
        try:
            assert server.script("ready.sh").returncode == 1
        finally:
            variable.write_text(servers.PASSWORD)
        assert server.script("ready.sh", "30").returncode == 0


@EACH
def test_a_dump_loads_into_an_empty_one_only_and_is_the_same_there(
    kind: Kind, shared: dict[str, servers.Server]
) -> None:
    server = shared[kind.engine]
    with server.running():
        empty = done(server.script("dump.sh"))
        kind.answer(server, kind.fill)
        dump = done(server.script("dump.sh"))
        assert server.script("load.sh", stdin=dump).returncode == 3
        assert server.script("load.sh", "check").returncode == 3
        assert done(server.script("dump.sh")) == dump
        with servers.made(kind.engine, image=kind.image) as other, other.running():
            done(other.script("load.sh", stdin=dump))
            assert done(other.script("dump.sh")) == dump
        done(server.script("wipe.sh"))
        assert done(server.script("dump.sh")) == empty
        assert server.ready()
        done(server.script("wipe.sh"))
        done(server.script("load.sh", stdin=dump))
        assert done(server.script("dump.sh")) == dump
        done(server.script("wipe.sh"))


@EACH
def test_what_is_no_dump_is_refused_and_leaves_nothing(kind: Kind, shared: dict[str, servers.Server]) -> None:
    server = shared[kind.engine]
    with server.running():
        empty = done(server.script("dump.sh"))
        kind.answer(server, kind.write)
        broken = done(server.script("dump.sh")) + "\nSELEC 1;\n"
        done(server.script("wipe.sh"))
        assert server.script("load.sh", stdin=broken).returncode == 1
        assert done(server.script("dump.sh")) == empty
        done(server.script("load.sh", "check", stdin=broken))  # reads nothing of it


@EACH
def test_a_server_that_is_lost_midway_is_neither_a_whole_dump_nor_an_empty_database(
    kind: Kind, shared: dict[str, servers.Server]
) -> None:
    server = shared[kind.engine]
    with server.running():
        done(server.script("load.sh", stdin=kind.much))
        for sent in (0, 3_000, 100_000):
            with servers.cut_off(server, after=sent):
                assert server.script("dump.sh").returncode != 0, sent
        dump = done(server.script("dump.sh"))
        assert len(dump) > 200_000
        done(server.script("wipe.sh"))
        for sent in (0, 500):
            with servers.cut_off(server, after=sent):
                cut = server.script("load.sh", stdin=dump)
                assert cut.returncode not in {0, 3}, (sent, cut.stderr)
        done(server.script("wipe.sh"))


@EACH
def test_another_password_is_set_once_and_stays(kind: Kind) -> None:
    with servers.made(kind.engine, image=kind.image) as server:
        new = server.folder / "new"
        new.write_text("N3w-_y")
        with server.running():
            kind.answer(server, kind.write)
            for _ in range(2):
                said = server.script("password.sh", NEW=str(new))
                assert (said.returncode, "N3w" in said.stdout + said.stderr) == (0, False), said.stderr
            assert "kept" not in kind.ask(server, kind.read).stdout
            assert kind.ask(server, kind.read, password="N3w-_y").stdout.strip() == "kept"
        (server.credentials / server.engine.password).write_text("N3w-_y")
        with server.running():
            assert kind.ask(server, kind.read, password="N3w-_y").stdout.strip() == "kept"
        assert "N3w" not in server.log


@EACH
def test_ready_is_who_has_the_password_or_the_one_that_is_to_come(
    kind: Kind, shared: dict[str, servers.Server]
) -> None:
    server = shared[kind.engine]
    variable, coming = (server.credentials / name for name in (server.engine.password, "NEXT"))
    with server.running():
        try:
            coming.write_text("wrong")
            assert server.ready()
            variable.write_text("wrong")
            assert not server.ready()
            coming.write_text(servers.PASSWORD)
            assert server.ready()
        finally:
            variable.write_text(servers.PASSWORD)
            coming.unlink()


@contextlib.contextmanager
def mute(*, full: bool) -> Iterator[tuple[str, int]]:
    """Address of somebody who takes connections and says nothing; `full`: who takes none, like a pod that is gone."""
    with socket.socket() as listening, contextlib.ExitStack() as waiting:
        listening.bind(("127.0.77.1", 27017))
        listening.listen(0)
        for _ in range(8 if full else 0):
            one = waiting.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listening.getsockname())
        yield listening.getsockname()


@pytest.mark.parametrize("full", [False, True], ids=["says-nothing", "takes-no-connection"])
@pytest.mark.parametrize("engine", plan.ENGINES)
def test_one_that_never_answers_is_given_up_in_time(engine: str, full: bool) -> None:
    image = "valkey" if engine == "redis" else engine
    with servers.made(engine, image=image) as server, mute(full=full) as (host, port):
        ports = {"PGPORT": str(port), "MYSQL_TCP_PORT": str(port), "REDIS_PORT": str(port)}
        with server.reached_at(port):
            given_up = server.script("ready.sh", "1", VOLUME="", HOST=host, **ports)
    assert (given_up.returncode, given_up.stderr.startswith("gave up: ")) == (1, True), given_up.stderr


@EACH
def test_another_version_is_refused_before_anything_is_touched(kind: Kind) -> None:
    with servers.made(kind.engine, image=kind.image) as server:
        log = server.refused(WANTED_VERSION="99.1")
        assert "version 99.1" in log
        assert not [one for one in server.volume.iterdir() if one.name != "tmp"]
        marker = server.volume / kind.data
        marker.parent.mkdir()
        marker.write_text(f"{kind.version}\n")
        log = server.refused()
        assert f"go back to version {kind.version.removesuffix('.2')}" in log
        assert [one.name for one in marker.parent.iterdir()] == [marker.name]


@EACH
def test_files_that_are_no_database_are_left_alone(kind: Kind) -> None:
    with servers.made(kind.engine, image=kind.image) as server:
        folder = (server.volume / kind.data).parent
        folder.mkdir()
        (folder / "precious").write_text("mine")
        assert "neither empty nor a database" in server.refused()
        assert (folder / "precious").read_text() == "mine"


@EACH
@pytest.mark.parametrize("times", [3, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_killed_at_any_moment_the_next_start_goes_on(kind: Kind, times: int) -> None:
    with servers.made(kind.engine, image=kind.image) as server:
        servers.killed_at_random_moments(server, times=times, longest=2.5)
        with server.running():
            kind.answer(server, kind.write)
            assert kind.answer(server, kind.read) == "kept"


def test_bootstrap_of_mariadb_runs_once_as_the_apps_user_and_one_that_fails_is_tried_anew() -> None:
    kind = KINDS["mariadb"]
    with servers.made("mariadb") as server:
        server.bootstrap("CREATE TABLE entry (text text);\nSELEC 1;\n")
        log = server.refused()
        assert "at line 2" in log
        assert "the bootstrap SQL failed" in log
        assert not (server.volume / "mysql").exists()
        server.bootstrap("CREATE TABLE entry AS SELECT current_user() AS text;\n")
        for _ in range(2):
            with server.running():
                assert kind.answer(server, kind.read) == "app@%"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MYSQL_DATABASE", "mysql", "Can't create database 'mysql'"),
        ("MYSQL_USER", "x" * 200, "is too long for user name"),
    ],
)
def test_why_mariadb_could_not_be_prepared_is_in_its_log_without_the_password(
    variable: str, value: str, said: str
) -> None:
    with servers.made("mariadb") as server:
        (server.credentials / variable).write_text(value)
        log = server.refused()
        assert said in log
        assert "the app's user and database can't be made" in log
        assert "jira" not in log
        assert servers.PASSWORD not in log
        assert not (server.volume / "mysql").exists()


def test_mariadb_takes_quotes_and_backslashes_in_names_and_password_as_they_are() -> None:
    with servers.made("mariadb") as server:
        login = {"MYSQL_USER": "o'\"x\\", "MYSQL_DATABASE": "d_b`; --%", "MYSQL_PASSWORD": "p'';\\ $(id)"}
        for key, value in login.items():
            (server.credentials / key).write_text(value)
        with server.running():
            query = ("mariadb", "--no-defaults", "-BN", "-h127.0.0.1", f"-P{server.port}", f"-u{login['MYSQL_USER']}")
            answer = server.run(
                *query, "-e", "SHOW DATABASES", login["MYSQL_DATABASE"], MYSQL_PWD=login["MYSQL_PASSWORD"]
            )
            assert answer.stdout.split("\n") == [login["MYSQL_DATABASE"], "information_schema", ""], answer.stderr
            done(server.script("wipe.sh"))
            assert server.ready()


def test_mariadb_says_what_is_wrong_with_a_dump_without_the_rows_in_it() -> None:
    rows = "INSERT INTO entry VALUES (1, 'private'), (1, 'hidden');\n"
    with servers.made("mariadb") as server, server.running():
        refused = server.script("load.sh", stdin=f"CREATE TABLE entry (id int PRIMARY KEY, text text);\n{rows}")
        assert refused.returncode == 1
        assert "at line 2: Duplicate entry" in refused.stderr
        assert "private" not in refused.stdout + refused.stderr
        done(server.script("load.sh", "check"))


def test_postgresql_changes_a_password_whatever_the_apps_user_has_set_for_itself() -> None:
    kind = KINDS["postgresql"]
    with servers.made("postgresql") as server, server.running():
        kind.answer(server, "ALTER ROLE app SET password_encryption = 'md5';\n")
        kind.answer(server, "ALTER ROLE app SET default_transaction_read_only = on;\n")
        new = server.folder / "new"
        new.write_text("N3w-_y")
        done(server.script("password.sh", NEW=str(new)))
        assert kind.ask(server, "SELECT 'let in';\n", password="N3w-_y").stdout.strip() == "let in"
        assert "N3w" not in server.log


def test_a_password_that_postgresql_does_not_take_is_not_logged() -> None:
    with servers.made("postgresql") as server, server.running():
        administrator = ("psql", "-XqAt", "-h", server.env["SOCKETS"], "-U", "postgres", "-d", "postgres")
        told = server.run(
            *administrator, stdin="ALTER SYSTEM SET default_transaction_read_only = on;\nSELECT pg_reload_conf();\n"
        )
        assert told.returncode == 0, told.stderr
        new = server.folder / "new"
        new.write_text("N3w-_y")
        refused = server.script("password.sh", NEW=str(new))
        assert (refused.returncode, "read-only" in refused.stderr) == (3, True), refused.stderr
        assert "N3w" not in server.log + refused.stdout + refused.stderr


def test_redis_keeps_functions_beside_keys() -> None:
    one, two = (
        f"redis.register_function('{name}', function() return {at} end)" for at, name in ((1, "one"), (2, "two"))
    )
    libraries = (
        f'FUNCTION LOAD "#!lua name=b\\n{one}\\n\\n"\nFUNCTION LOAD "#!lua name=a\\n-- \\xe2\\x9c\\x93\\n{two}"\n'
    )
    kind = KINDS["redis"]
    with servers.made("redis", image="valkey") as server, server.running():
        kind.answer(server, libraries)
        code = kind.answer(server, "FUNCTION LIST LIBRARYNAME b WITHCODE\n")
        dump = done(server.script("dump.sh"))
        assert [line.split()[:4] for line in dump.splitlines()] == [["0", "x", "0", "FUNCTION"]] * 2
        assert server.script("load.sh", stdin=dump).returncode == 3
        done(server.script("wipe.sh"))
        assert kind.answer(server, "FUNCTION LIST\n") == ""
        done(server.script("load.sh", stdin=dump))
        assert done(server.script("dump.sh")) == dump
        assert kind.answer(server, "FUNCTION LIST LIBRARYNAME b WITHCODE\n") == code
        assert kind.answer(server, "FCALL one 0\nFCALL two 0\n").split() == ["1", "2"]


def test_redis_takes_the_last_of_what_a_dump_has_twice() -> None:
    """A server that is written to may name a key twice while it is gone through; each time with what it is then."""
    kind, key = KINDS["redis"], "x6c697374"
    with servers.made("redis", image="valkey") as server, server.running():
        kind.answer(server, "XADD log 1-1 k v\n")
        log = done(server.script("dump.sh"))
        done(server.script("wipe.sh"))
        twice = f"0 {key} 0 RPUSH x61\n0 {key} 0 RPUSH x61 x62\n"
        done(server.script("load.sh", stdin=twice + log + log))
        assert done(server.script("dump.sh")) == f"0 {key} 0 RPUSH x61 x62\n{log}"


def test_redis_takes_what_an_editor_made_of_a_dump_and_names_the_line_that_is_none() -> None:
    line = "0 x61 0 SET x62"
    with servers.made("redis", image="valkey") as server, server.running():
        done(server.script("load.sh", stdin=f"{line}\r\n\r\n\n"))
        assert done(server.script("dump.sh")) == f"{line}\n"
        done(server.script("wipe.sh"))
        refused = server.script("load.sh", stdin=f"{line}\n\nSET a b\n")
        assert refused.returncode == 1
        assert "line 3 is none of a dump" in refused.stderr
        assert done(server.script("dump.sh")) == ""


def test_redis_needs_little_memory_for_what_is_large() -> None:
    """Its container has 256 MiB, for the server, the scripts and their tools."""
    kind = KINDS["redis"]
    with servers.made("redis", image="valkey") as server, server.running():
        for number in range(16):
            kind.answer(server, f"SET large{number} {number:01000000}\n")
        kind.answer(server, f"SET larger {'x' * 6_000_000}\nRPUSH list {' '.join(map(str, range(5000)))}\n")
        used = kind.answer(server, "INFO memory\n")
        dump = done(server.script("dump.sh"))
        assert len(dump.splitlines()) == 18
        before, after = (
            int(re.findall(r"used_memory_peak:(\d+)", one)[0]) for one in (used, kind.answer(server, "INFO memory\n"))
        )
        assert after - before < 60e6
        done(server.script("wipe.sh"))
        limited = ("sh", "-c", f"ulimit -v 250000; exec sh {server.scripts}/load.sh")
        done(server.run(*limited, stdin=dump))
        assert done(server.script("dump.sh")) == dump


def test_postgresql_dumps_also_rows_that_are_hidden_from_their_owner() -> None:
    kind, hidden = (
        KINDS["postgresql"],
        "ALTER TABLE entry ENABLE ROW LEVEL SECURITY;\nALTER TABLE entry FORCE ROW LEVEL SECURITY;\n",
    )
    with servers.made("postgresql") as server, server.running():
        kind.answer(server, kind.write + hidden)
        assert kind.answer(server, kind.read) == ""
        dump = done(server.script("dump.sh"))
        assert "kept" in dump
        done(server.script("wipe.sh"))
        done(server.script("load.sh", stdin=dump))
        assert done(server.script("dump.sh")) == dump
        assert kind.answer(server, kind.read) == ""


def test_mariadb_dumps_also_what_a_table_remembers() -> None:
    kind = KINDS["mariadb"]
    with servers.made("mariadb") as server, server.running():
        kind.answer(
            server, "CREATE TABLE entry (text text) WITH SYSTEM VERSIONING;\nINSERT INTO entry VALUES ('old');\n"
        )
        kind.answer(server, "UPDATE entry SET text = 'new';\n")
        dump = done(server.script("dump.sh"))
        done(server.script("wipe.sh"))
        done(server.script("load.sh", stdin=dump))
        assert done(server.script("dump.sh")) == dump
        assert kind.answer(server, "SELECT text FROM entry FOR SYSTEM_TIME ALL ORDER BY text;\n").split() == [
            "new",
            "old",
        ]


def test_postgresql_loads_a_dump_also_where_an_app_had_made_the_public_schema_anew() -> None:
    """As tools do that begin anew. A dump takes that schema for granted."""
    kind = KINDS["postgresql"]
    with servers.made("postgresql") as server, server.running():
        kind.answer(server, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;\n" + kind.write)
        dump = done(server.script("dump.sh"))
        done(server.script("wipe.sh"))
        done(server.script("load.sh", stdin=dump))
        assert kind.answer(server, kind.read) == "kept"
