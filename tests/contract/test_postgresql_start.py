"""The start script of the postgresql chart, as the first process of its own process namespace, like in a container."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest

from k8s_ee import resources

FILES = resources.directory("charts") / "postgresql" / "files"
NOBODY = 65534
AS_NOBODY = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
PASSWORD = "S3cret-_x"
PATIENCE = 60.0


def programs() -> pathlib.Path:
    """Where initdb, postgres and psql are. Skips where they are not installed: the cluster's tests run them as well."""
    if os.geteuid() != 0:
        pytest.skip("only root can give each database a process namespace of its own")
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        pytest.skip("PostgreSQL's programs are not installed")
    return pathlib.Path(on_path).parent


class Database:
    """One volume with one ConfigMap and one Secret, as the chart mounts them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.scripts, self.volume = folder / "scripts", folder / "volume"
        for name in ("credentials", "sockets", "volume"):
            (folder / name).mkdir()
        shutil.copytree(FILES, self.scripts)
        self.bootstrap("CREATE TABLE entry (text text);\n")
        for key, value in {"PGUSER": "app", "PGDATABASE": "app", "PGPASSWORD": PASSWORD}.items():
            (folder / "credentials" / key).write_text(value)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.env = {
            "PATH": f"{programs()}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PGPORT": str(port),
            "PGDATA": str(self.volume / "pgdata"),
            "CREDENTIALS": str(folder / "credentials"),
            "SCRIPTS": str(self.scripts),
            "SOCKETS": str(folder / "sockets"),
            "POD_IP": "127.0.0.1",
        }
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)

    def bootstrap(self, sql: str) -> None:
        (self.scripts / "bootstrap.sql").write_text(sql)

    def popen(self, script: str, **more: str) -> subprocess.Popen[bytes]:
        command = ["unshare", "--pid", "--fork", "setpriv", *AS_NOBODY, "sh", str(self.scripts / script)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=self.env | more, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
            )

    def ready(self) -> bool:
        command = ["sh", str(self.scripts / "ready.sh")]
        return subprocess.run(command, env=self.env, capture_output=True, timeout=PATIENCE, check=False).returncode == 0

    @property
    def _log(self) -> pathlib.Path:
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def log(self) -> str:
        return self._log.read_text()

    @contextlib.contextmanager
    def running(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Until it is ready; killed with everything it started at the end."""
        process = self.popen("start.sh", **more)
        try:
            end = time.monotonic() + PATIENCE
            while process.poll() is None and not self.ready():
                assert time.monotonic() < end, self.log
            assert process.poll() is None, self.log
            yield process
        finally:
            kill(process)

    def refused(self, **more: str) -> str:
        """What it says when it ends by itself."""
        process = self.popen("start.sh", **more)
        try:
            assert process.wait(PATIENCE) == 1, self.log
        finally:
            kill(process)
        return self.log

    def query(self, sql: str) -> str:
        command = ["psql", "-XAt", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", sql]
        env = self.env | {"PGPASSWORD": PASSWORD}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def first_process(process: subprocess.Popen[bytes]) -> int:
    """The one that is number 1 inside."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1, children
    return int(children[0])


def kill(process: subprocess.Popen[bytes]) -> None:
    """As a node does to a container: everything at once, nothing is asked."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(PATIENCE)


@contextlib.contextmanager
def made() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="k8s-ee-pg.", dir="/tmp") as folder:  # short: a socket's path has a limit
        root = pathlib.Path(folder)
        root.chmod(0o755)
        (root / "db").mkdir()
        yield Database(root / "db")


@pytest.fixture
def database() -> Iterator[Database]:
    with made() as database:
        yield database


@pytest.fixture(scope="module")
def prepared() -> Iterator[Database]:
    """One that has been prepared and then killed; shared by tests that only start it."""
    with made() as database:
        with database.running():
            pass
        yield database


def test_an_empty_volume_becomes_the_apps_database_with_its_bootstrap(prepared: Database) -> None:
    with prepared.running():
        assert prepared.query("SELECT current_user, current_database(), count(*) FROM entry") == "app|app|0"
        assert prepared.query("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user") == "f"
        assert prepared.query("SHOW fsync") == "on"
    assert PASSWORD not in prepared.log


def test_a_second_start_runs_no_bootstrap_again_and_keeps_what_was_written(prepared: Database) -> None:
    with prepared.running():
        prepared.query("INSERT INTO entry VALUES ('kept')")
    with prepared.running():
        assert prepared.query("SELECT text FROM entry") == "kept"
    assert prepared.log.count("preparing an empty database") == 1


def test_a_password_is_needed_over_the_network_and_the_administrator_is_not_let_in_at_all(prepared: Database) -> None:
    with prepared.running():
        for user, password in (("app", "wrong"), ("postgres", PASSWORD)):
            command = ["psql", "-X", "-h", "127.0.0.1", "-U", user, "-d", "app", "-c", "SELECT 1"]
            env = prepared.env | {"PGPASSWORD": password}
            done = subprocess.run(command, env=env, capture_output=True, timeout=PATIENCE, check=False)
            assert done.returncode != 0


def test_being_told_to_stop_it_stops_at_once_although_somebody_is_connected(prepared: Database) -> None:
    with prepared.running() as process:
        env = prepared.env | {"PGPASSWORD": PASSWORD}
        client = subprocess.Popen(
            ["psql", "-X", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", "SELECT pg_sleep(60)"],
            env=env,
            stderr=subprocess.DEVNULL,
        )
        sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        while prepared.query(sleeping) == "0":
            assert client.poll() is None
        os.kill(first_process(process), signal.SIGINT)
        assert process.wait(20) == 0
        assert client.wait(PATIENCE) != 0


def test_a_bootstrap_that_fails_says_where_and_is_tried_anew_when_it_is_mended(database: Database) -> None:
    database.bootstrap("CREATE TABLE entry (text text);\nSELEC 1;\n")
    log = database.refused()
    assert 'bootstrap.sql:2: ERROR:  syntax error at or near "SELEC"' in log
    assert "the bootstrap SQL failed" in log
    assert not (database.volume / "pgdata").exists()
    database.bootstrap("CREATE TABLE entry (text text);\n")
    with database.running():
        assert database.query("SELECT count(*) FROM entry") == "0"


def test_data_of_another_major_version_is_refused_with_both_ways_out(database: Database) -> None:
    (database.volume / "pgdata").mkdir()
    (database.volume / "pgdata" / "PG_VERSION").write_text("9\n")
    log = database.refused()
    assert "holds a database of PostgreSQL 9" in log
    assert "go back to version 9" in log
    assert (database.volume / "pgdata" / "PG_VERSION").read_text() == "9\n"


def test_an_image_of_another_version_than_asked_for_is_refused_before_it_makes_anything(database: Database) -> None:
    assert "version 9.6 of PostgreSQL is asked for" in database.refused(WANTED_VERSION="9.6")
    assert not list(database.volume.iterdir())


def test_files_that_are_no_database_are_left_alone(database: Database) -> None:
    (database.volume / "pgdata").mkdir()
    (database.volume / "pgdata" / "precious").write_text("mine")
    assert "neither empty nor a database" in database.refused()
    assert (database.volume / "pgdata" / "precious").read_text() == "mine"


def killed_at_random_moments(database: Database, *, times: int) -> None:
    chance = random.Random(7)  # noqa: S311 - the same moments every time
    for _ in range(times):
        process = database.popen("start.sh")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.02, 2.5))
        kill(process)
    with database.running():
        assert database.query("SELECT count(*) FROM entry") == "0"
    assert not (database.volume / "pgdata.init").exists()


def test_killed_at_any_moment_the_next_start_goes_on(database: Database) -> None:
    killed_at_random_moments(database, times=8)


@pytest.mark.long
def test_killed_many_times_the_next_start_goes_on(database: Database) -> None:
    killed_at_random_moments(database, times=60)
