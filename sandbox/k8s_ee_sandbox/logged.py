"""Commands that take minutes: their output goes to a log file, their end is certain."""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence

from k8s_ee_sandbox import errors

_TAIL_LINES = 20
_TAIL_BYTES = 16_384
# If this process is killed, so is the command: nothing builds on behind a dead parent.
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


class Runner:
    """Runs commands, and can stop all of them from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        log: pathlib.Path,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: pathlib.Path | None = None,
    ) -> None:
        """Append output to `log`; `env` is added to ours. Raises SandboxError for a failure or a time-out (seconds)."""
        command = [os.fspath(part) for part in argv]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            output.write(f"$ {shlex.join(command)}\n".encode())
            output.flush()
            child = self._start(command, output=output.fileno(), env={**os.environ, **(env or {})}, cwd=cwd)
            try:
                code = child.wait(timeout)
            except subprocess.TimeoutExpired:
                raise failure(f"{command[0]} did not finish within {timeout:.0f} s", log=log) from None
            finally:
                self._end(child)
        if code != 0:
            raise failure(f"{shlex.join(command[:4])} failed with exit code {code}", log=log)

    def stop(self) -> None:
        """End what runs, refuse what comes."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                _kill_group(child)

    def _start(
        self, command: list[str], *, output: int, env: Mapping[str, str], cwd: pathlib.Path | None
    ) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._stopped:
                raise errors.SandboxError("stopped, because another step failed")
            try:
                child = subprocess.Popen(
                    [*_DIE_WITH_PARENT, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise errors.SandboxError(
                    "setpriv is missing", hint="It is part of util-linux: install that package."
                ) from None
            self._children.add(child)
            return child

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        _kill_group(child)
        child.wait()
        with self._lock:
            self._children.discard(child)


def failure(message: str, *, log: pathlib.Path) -> errors.SandboxError:
    """The error with the log's name and its last lines."""
    return errors.SandboxError(f"{message}; the end of {log}:\n{tail(log)}")


def tail(log: pathlib.Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    # The group outlives its leader: go leaves compilers behind when it is killed.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
