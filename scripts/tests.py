"""`make test`: runs every test on a cluster of its own, and fails if anything is left on the machine."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from k8s_ee_sandbox import artifacts, cache, cluster, cluster_profiles, errors, packages, progress, state
from scripts import leftovers

_WORKERS = 6
"""Much of the time is spent waiting. Four have a cluster of their own, the others none (tests/conftest.py)."""
_MEMORY = pathlib.Path("/dev/shm")  # noqa: S108 - nothing is made in it but a folder with a name of its own
_ROOM = 4 * 2**30
_LONG_ONLY = frozenset({"promtool"})
"""Minutes of compiling for tests that only `--long` runs."""
_BYTECODE = pathlib.Path(__file__).resolve().parents[1] / "tests" / "__pycache__"
_STOPPED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SCRATCH = "k8s-ee-test-"
_DAY = 24 * 3600
_LONGEST_NAME = 4
"""A worker's number and `-policy` follow, and all of it is part of a link's name."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.tests", description=__doc__)
    parser.add_argument("--long", action="store_true", help="every loop at full length")
    options, for_pytest = parser.parse_known_args(arguments)
    sandbox = os.environ.get("K8S_EE_SANDBOX", "test")
    if len(sandbox) > _LONGEST_NAME:
        parser.error(f"K8S_EE_SANDBOX has more than {_LONGEST_NAME} characters")
    with cache.locked(f"run-{sandbox}", busy=lambda: print("waiting for other tests to end", file=sys.stderr)):
        return _run(for_pytest, long=options.long, sandbox=sandbox)


def _run(for_pytest: Sequence[str], *, long: bool, sandbox: str) -> int:
    started = time.monotonic()
    leftovers.adopt()
    try:
        if for_pytest:
            before = leftovers.count()
        else:
            with _compiling():
                _install()  # what counts, too
                before = leftovers.count()
                _build_first(long=long)
    except errors.SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    selection = [] if long else ["-m", "not long"]
    workers = ["-n", str(_WORKERS), "--dist=loadfile", "--no-loadscope-reorder"]
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=_scratch(), ignore_cleanup_errors=True) as scratch:
        pathlib.Path(scratch).chmod(0o711)  # some tests act as another user
        code = _pytest([*selection, *workers, "--durations=10", *for_pytest], sandbox=sandbox, scratch=scratch)
    ours = {sandbox, *_named(sandbox), *_running_below()}
    failed = _take_down(ours)
    left = leftovers.descendants()
    behind = [f"process {pid}: {command[:150]}" for pid, command in left.items()]
    for pid in left:  # They are told of, and are nobody's any more.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    behind += leftovers.new(before, leftovers.count(), ours=_not_of_others(ours))
    for line in (*failed, *(f"left behind: {one}" for one in behind)):
        print(line, file=sys.stderr)
    print(f"make test: {time.monotonic() - started:.0f} s, {len(behind)} things left behind", file=sys.stderr)
    return code or (1 if failed or behind else 0)


def _compiling() -> contextlib.AbstractContextManager[object]:
    """Waits for its end when it is left. In a new clone each worker would compile all tests, all of them at once."""
    if _BYTECODE.exists():
        return contextlib.nullcontext()
    return subprocess.Popen([sys.executable, "-m", "pytest", "--collect-only", "-qq"], stdout=subprocess.DEVNULL)


def _install() -> None:
    profiles = [cluster_profiles.find(name) for name in cluster_profiles.names()]
    missing = sorted({package for one in profiles for package in one.missing_packages()})
    packages.ensure(*missing, progress=progress.Progress())


def _build_first(*, long: bool) -> None:
    """What takes minutes on a cold machine. Built by the first test that needs it, it would use up that test's time."""
    lines = progress.Progress()
    artifacts.ensure(*(name for name in artifacts.RECIPES if long or name not in _LONG_ONLY), progress=lines)


def _scratch() -> pathlib.Path | None:
    """Memory, where there is enough of it and programs may run in it; else None, which is the usual place.

    The tests make and delete small files by the hundred thousand. ext4 without a journal passes over every inode that
    was deleted within the last minute whenever it makes a file: a third of all time went there.
    """
    try:
        for old in _MEMORY.glob(f"{_SCRATCH}*"):  # of one that was killed; it takes memory
            if time.time() - old.stat().st_mtime > _DAY:
                shutil.rmtree(old, ignore_errors=True)
        runnable = not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC
        return _MEMORY if runnable and shutil.disk_usage(_MEMORY).free >= _ROOM else None
    except OSError:
        return None


def _pytest(arguments: Sequence[str], *, sandbox: str, scratch: str) -> int:
    """Its exit code. When we are told to stop, so is pytest, and we go on to clean up after it."""
    # Go's tools are started thousands of times, and gone before it pays to tidy up their memory.
    environ = {"GOGC": "400", **os.environ, "K8S_EE_SANDBOX": sandbox, "TMPDIR": scratch}
    child: subprocess.Popen[bytes] | None = None

    def stop(number: int, _frame: object) -> None:
        if child is None:
            raise KeyboardInterrupt
        if number != signal.SIGINT:  # Ctrl-C reaches pytest by itself
            child.send_signal(signal.SIGINT)

    # Before it starts: what is ignored here, as in the background of a script, pytest would ignore as well.
    # A terminal that goes away is another matter: who starts this with nohup wants it to go on.
    told = [number for number in _STOPPED if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in told}
    try:
        child = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], env=environ)
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _named(sandbox: str) -> set[str]:
    """Those of pytest's workers, also one that did not get as far as to run."""
    return {name for name in state.known() if re.fullmatch(rf"{re.escape(sandbox)}[0-9]*(-policy)?", name)}


def _running_below() -> set[str]:
    """Sandboxes that this run started, however they are called, and that still run."""
    below = leftovers.descendants()
    return {name for name in state.known() if (known := state.read(state.place(name))) and known.pid in below}


def _not_of_others(ours: set[str]) -> set[str]:
    """All that this cache knows of, but for those that run on because somebody else started them."""
    stored = {folder.name for folder in (cache.directory() / "store").glob("*")}
    running = {name for name in state.known() if (known := state.read(state.place(name))) and state.alive(known)}
    return ours | (stored - running)


def _take_down(names: set[str]) -> list[str]:
    """What went wrong."""
    failed = []
    for name in sorted(names):
        try:
            cluster.down(name, progress.Progress())
        except errors.SandboxError as error:
            failed.append(f"sandbox {name} could not be taken down: {error}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
