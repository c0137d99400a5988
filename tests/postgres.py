"""PostgreSQL as the chart starts it, in the sandbox's image, as the first of its processes, like in a pod."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator

from k8s_ee import resources
from tests import trees

FILES = resources.directory("charts") / "postgresql" / "files"
POSTGRES = 999  # in the image
PASSWORD = "S3cret-_x"
PATIENCE = 60.0


class Database:
    """One volume with one ConfigMap and one Secret, as the chart mounts them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.image = trees.tree("postgresql")
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
            "PATH": "/usr/lib/postgresql/17/bin:/usr/bin:/usr/sbin",
            "LANG": "C.UTF-8",
            "PGPORT": str(port),
            "VOLUME": str(self.volume),
            "CREDENTIALS": str(folder / "credentials"),
            "SCRIPTS": str(self.scripts),
            "SOCKETS": str(folder / "sockets"),
            "HOST": "127.0.0.1",
        }
        for path in (folder, *folder.rglob("*")):
            os.chown(path, POSTGRES, POSTGRES)

    def bootstrap(self, sql: str) -> None:
        (self.scripts / "bootstrap.sql").write_text(sql)

    def inside(self, *command: str, own_processes: bool = False) -> list[str]:
        return trees.inside(self.image, *command, shared=self.folder, user=POSTGRES, own_processes=own_processes)

    def popen(self, script: str, **more: str) -> subprocess.Popen[bytes]:
        command = self.inside("sh", str(self.scripts / script), own_processes=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=self.env | more, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
            )

    def ready(self) -> bool:
        command = self.inside("sh", str(self.scripts / "ready.sh"))
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
        command = self.inside("psql", "-XAt", "-h", "127.0.0.1", "-U", "app", "-d", "app", "-c", sql)
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
