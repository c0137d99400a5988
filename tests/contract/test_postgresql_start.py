"""The start script of the postgresql chart: what it makes of a volume, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests import postgres, servers


@pytest.fixture
def database() -> Iterator[postgres.Database]:
    with postgres.made() as database:
        yield database


@pytest.fixture(scope="module")
def prepared() -> Iterator[postgres.Database]:
    """One that has been prepared and then killed; shared by tests that only start it."""
    with postgres.made() as database:
        with database.running():
            pass
        yield database


def test_an_empty_volume_becomes_the_apps_database_with_its_bootstrap(prepared: postgres.Database) -> None:
    with prepared.running():
        assert prepared.query("SELECT current_user, current_database(), count(*) FROM entry") == "app|app|0"
        assert prepared.query("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user") == "f"
        assert prepared.query("SHOW fsync") == "on"
    assert servers.PASSWORD not in prepared.log


def test_a_second_start_runs_no_bootstrap_again_and_keeps_what_was_written(prepared: postgres.Database) -> None:
    with prepared.running():
        prepared.query("INSERT INTO entry VALUES ('kept')")
    with prepared.running():
        assert prepared.query("SELECT text FROM entry") == "kept"
    assert prepared.log.count("preparing an empty database") == 1


def test_a_password_is_needed_over_the_network_and_the_administrator_is_not_let_in_at_all(
    prepared: postgres.Database,
) -> None:
    with prepared.running():
        for user, password in (("app", "wrong"), ("postgres", servers.PASSWORD)):
            command = prepared.inside("psql", "-X", "-h", "127.0.0.1", "-U", user, "-d", "app", "-c", "SELECT 1")
            env = prepared.env | {"PGPASSWORD": password}
            done = subprocess.run(command, env=env, capture_output=True, timeout=servers.PATIENCE, check=False)
            assert done.returncode != 0


def test_quotes_and_backslashes_in_names_and_password_are_taken_as_they_are(database: postgres.Database) -> None:
    login = {"PGUSER": "o'\"x\\", "PGDATABASE": 'd"b; --', "PGPASSWORD": "p'';\\ $(id)"}
    for key, value in login.items():
        (database.folder / "credentials" / key).write_text(value)
    with database.running():
        command = database.inside("psql", "-XAt", "-h", "127.0.0.1", "-c", "SELECT current_user, current_database()")
        done = subprocess.run(
            command, env=database.env | login, capture_output=True, text=True, timeout=servers.PATIENCE, check=False
        )
        assert done.stdout.strip() == f"{login['PGUSER']}|{login['PGDATABASE']}", done.stderr


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("PGPASSWORD", "secret-1\nsecret-2", "must not contain a line break"), ("PGUSER", "postgres", "can't be made")],
)
def test_a_login_that_can_not_be_made_is_said_without_the_password_and_leaves_no_database(
    database: postgres.Database, key: str, value: str, said: str
) -> None:
    (database.folder / "credentials" / key).write_text(value)
    log = database.refused()
    assert said in log
    assert servers.PASSWORD not in log
    assert "secret" not in log
    assert not (database.volume / "pgdata").exists()


def test_the_question_whether_it_is_ready_can_wait_for_the_answer(database: postgres.Database) -> None:
    process = database.popen("start.sh")
    try:
        command = database.inside("sh", str(database.scripts / "ready.sh"), "30")
        asked = subprocess.run(command, env=database.env, capture_output=True, timeout=servers.PATIENCE, check=False)
        assert asked.returncode == 0
    finally:
        servers.kill(process)


def test_being_told_to_stop_it_stops_at_once_although_somebody_is_connected(prepared: postgres.Database) -> None:
    with prepared.running() as process:
        env = prepared.env | {"PGPASSWORD": servers.PASSWORD}
        client = subprocess.Popen(
            prepared.inside("psql", "-X", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", "SELECT pg_sleep(60)"),
            env=env,
            stderr=subprocess.DEVNULL,
        )
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        while prepared.query(sleeping) == "0":
            assert client.poll() is None
        os.kill(servers.first_process(process), signal.SIGINT)
        assert process.wait(20) == 0
        assert client.wait(servers.PATIENCE) != 0


def test_a_bootstrap_that_fails_says_where_and_is_tried_anew_when_it_is_mended(database: postgres.Database) -> None:
    database.bootstrap("CREATE TABLE entry (text text);\nSELEC 1;\n")
    log = database.refused()
    assert 'bootstrap.sql:2: ERROR:  syntax error at or near "SELEC"' in log
    assert "the bootstrap SQL failed" in log
    assert not (database.volume / "pgdata").exists()
    database.bootstrap("CREATE TABLE entry (text text);\n")
    with database.running():
        assert database.query("SELECT count(*) FROM entry") == "0"


def test_data_of_another_major_version_is_refused_with_both_ways_out(database: postgres.Database) -> None:
    (database.volume / "pgdata").mkdir()
    (database.volume / "pgdata" / "PG_VERSION").write_text("9\n")
    log = database.refused()
    assert "holds a database of PostgreSQL 9" in log
    assert "go back to version 9" in log
    assert (database.volume / "pgdata" / "PG_VERSION").read_text() == "9\n"


def test_an_image_of_another_version_than_asked_for_is_refused_before_it_makes_anything(
    database: postgres.Database,
) -> None:
    assert "version 9.6 of PostgreSQL is asked for" in database.refused(WANTED_VERSION="9.6")
    assert not list(database.volume.iterdir())


def test_files_that_are_no_database_are_left_alone(database: postgres.Database) -> None:
    (database.volume / "pgdata").mkdir()
    (database.volume / "pgdata" / "precious").write_text("mine")
    assert "neither empty nor a database" in database.refused()
    assert (database.volume / "pgdata" / "precious").read_text() == "mine"


def begun_again(database: postgres.Database, *, times: int) -> None:
    servers.killed_at_random_moments(database, times=times, longest=2.5)
    with database.running():
        assert database.query("SELECT count(*) FROM entry") == "0"
    assert not (database.volume / "pgdata.init").exists()


def test_killed_at_any_moment_the_next_start_goes_on(database: postgres.Database) -> None:
    begun_again(database, times=4)


@pytest.mark.long
def test_killed_many_times_the_next_start_goes_on(database: postgres.Database) -> None:
    begun_again(database, times=60)


def test_a_probe_that_is_killed_does_not_make_the_server_start_over() -> None:
    """What it leaves behind becomes a child of PostgreSQL, which takes a bad end of a child for a crash of its own."""
    kill = 'sh "$1" & probe=$!; sleep 0.5; kill -9 "$probe"; wait "$probe"'
    with servers.made("postgresql") as server, server.running() as process:
        (server.credentials / "NEXT").write_text("another")  # the worst case: it is asked twice
        psql = server.folder / "psql"
        psql.write_text("#!/bin/sh\nsleep 1\necho 'took too long' >&2\nexit 2\n")
        psql.chmod(0o755)
        subprocess.run(
            ["nsenter", f"--target={servers.first_process(process)}", "--pid", "sh", "-c", kill, "sh", "ready.sh"],
            cwd=server.scripts,
            env=server.env | {"PATH": f"{server.folder}:{os.environ['PATH']}"},
            capture_output=True,  # to its end, which is that of the last process that was left
            timeout=servers.PATIENCE,
            check=False,
        )
        assert server.script("ready.sh", "10").returncode == 0
        assert "not properly shut down" not in server.log
