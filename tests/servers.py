"""A database as its chart starts it, in the sandbox's image, as the first of its processes, like in a pod."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

from k8s_ee import plan, resources
from tests import trees

PASSWORD = "S3cret-_x"
PATIENCE = 60.0


class Server:
    """One volume with one ConfigMap and one Secret, as the chart mounts them."""

    def __init__(self, engine: str, folder: pathlib.Path, *, image: str = "") -> None:
        self.engine = plan.ENGINES[engine]
        self.folder = folder
        self.image = trees.tree(image or engine)
        self.scripts, self.volume, self.credentials = folder / "scripts", folder / "volume", folder / "credentials"
        for name in ("credentials", "sockets", "volume"):
            (folder / name).mkdir()
        shutil.copytree(resources.directory("charts") / engine / "files", self.scripts)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for key, value in self.engine.env(PASSWORD).items():
            (self.credentials / key).write_text(str(self.port) if key.endswith("PORT") else value)
        self.env = {
            "PATH": "/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/usr/sbin",
            "LANG": "C.UTF-8",
            "VOLUME": str(self.volume),
            "CREDENTIALS": str(self.credentials),
            "SCRIPTS": str(self.scripts),
            "SOCKETS": str(folder / "sockets"),
            "HOST": "127.0.0.1",
            **dict.fromkeys(("PGPORT", "MYSQL_TCP_PORT", "REDIS_PORT"), str(self.port)),
        }
        for path in (folder, *folder.rglob("*")):
            os.chown(path, self.engine.user, self.engine.user)

    @contextlib.contextmanager
    def reached_at(self, port: int) -> Iterator[None]:
        """By the scripts, as its credentials say."""
        files = [one for one in self.credentials.iterdir() if one.name.endswith("PORT")]
        try:
            for one in files:
                one.write_text(str(port))
            yield
        finally:
            for one in files:
                one.write_text(str(self.port))

    def bootstrap(self, sql: str) -> None:
        (self.scripts / "bootstrap.sql").write_text(sql)

    def inside(self, *command: str, own_processes: bool = False) -> list[str]:
        user = self.engine.user
        return trees.inside(self.image, *command, shared=self.folder, user=user, own_processes=own_processes)

    def popen(self, script: str, **more: str) -> subprocess.Popen[bytes]:
        command = self.inside("sh", str(self.scripts / script), own_processes=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command, env=self.env | more, start_new_session=True, stdout=log, stderr=subprocess.STDOUT
            )

    def run(self, *command: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Beside the server, in its image."""
        return subprocess.run(
            self.inside(*command),
            env=self.env | more,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def script(self, name: str, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return self.run("sh", str(self.scripts / name), *arguments, stdin=stdin, **more)

    def ready(self, *, within: int = 0) -> bool:
        """`within` so many seconds."""
        return self.script("ready.sh", str(within)).returncode == 0

    @property
    def _log(self) -> pathlib.Path:
        return self.folder.parent / f"{self.folder.name}.log"

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @contextlib.contextmanager
    def running(self, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Until it is ready; killed with everything it started at the end."""
        process = self.popen("start.sh", **more)
        try:
            end = time.monotonic() + PATIENCE
            # The script waits in the image: entering it over and over would take processor time from the start.
            while process.poll() is None and not self.ready(within=5):
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


def killed_at_random_moments(server: Server, *, times: int, longest: float) -> None:
    """So many starts, none of which lasts more than `longest` seconds."""
    chance = random.Random(7)  # noqa: S311 - the same moments every time
    for _ in range(times):
        process = server.popen("start.sh")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0.02, longest))
        kill(process)


@contextlib.contextmanager
def cut_off(server: Server, *, after: int) -> Iterator[None]:
    """Whoever asks it loses it once it has sent so many bytes to all of them, and is not let in again."""
    left = after

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if left < 0:
                return
            with socket.create_connection(("127.0.0.1", server.port)) as far:
                threading.Thread(target=self.ask, args=(far,), daemon=True).start()
                self.answer(far)

        def ask(self, far: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := self.request.recv(4096):
                    far.sendall(data)
                far.shutdown(socket.SHUT_WR)

        def answer(self, far: socket.socket) -> None:
            nonlocal left
            with contextlib.suppress(OSError):
                while data := far.recv(4096):
                    left -= len(data)
                    if left < 0:
                        return
                    self.request.sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        with server.reached_at(relay.server_address[1]):
            yield
        relay.shutdown()


@contextlib.contextmanager
def room(within: pathlib.Path | None = None) -> Iterator[pathlib.Path]:
    """An empty folder, which a server may be made in."""
    usual = pathlib.Path(tempfile.gettempdir())
    # A socket's path has a limit, and in an image these two are folders of their own.
    near = usual if usual.is_relative_to("/tmp") or usual.is_relative_to("/dev/shm") else "/tmp"
    with tempfile.TemporaryDirectory(prefix="k8s-ee-db.", dir=within or near) as folder:
        root = pathlib.Path(folder)
        root.chmod(0o755)
        (root / "db").mkdir()
        yield root / "db"


@contextlib.contextmanager
def made(engine: str, *, image: str = "", within: pathlib.Path | None = None) -> Iterator[Server]:
    with room(within) as folder:
        yield Server(engine, folder, image=image)
