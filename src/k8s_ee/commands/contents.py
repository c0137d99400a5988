"""What is in a database, moved by its own scripts (docs/databases/engines.md), in its own container."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from k8s_ee import errors, plan
from k8s_ee.cluster import pool
from k8s_ee.commands import session

if TYPE_CHECKING:
    from k8s_ee.cluster import remote

T = TypeVar("T")

_CHUNK = 1 << 20
_NOT_EMPTY = 3
_QUICK_SECONDS = 60.0
_SCRIPTS = "/etc/k8s-ee/scripts"
# Written down whole before it is read: a script that reads what comes would take the end of the connection for the
# end of the dump. Replaced is what an app may write to all the time, also between the two scripts.
_LOAD = f"""
set -eu
umask 077
rm -f "$VOLUME"/.k8s-ee-load.*
file=$(mktemp "$VOLUME/.k8s-ee-load.XXXXXX")
trap 'rm -f "$file"' EXIT
cat > "$file" || {{ cat > /dev/null; echo "k8s-ee: no room for the dump beside the data" >&2; exit 1; }}
[ "$(wc -c < "$file")" -eq "$1" ] || {{ echo "k8s-ee: the dump arrived cut off" >&2; exit 1; }}
exec 3< "$file"
rm "$file"
wipes=$2 code={_NOT_EMPTY}
if [ "$wipes" -eq 0 ]; then sh {_SCRIPTS}/load.sh <&3; exit; fi
while [ "$wipes" -gt 0 ] && [ "$code" -eq {_NOT_EMPTY} ]; do
    wipes=$((wipes - 1)) code=0
    sh {_SCRIPTS}/wipe.sh
    sh {_SCRIPTS}/load.sh < /proc/self/fd/3 || code=$?
done
exit "$code"
"""
_WIPES = 10
# What a command has written may be lost when it ends before all of it was read: kubernetes/kubernetes#124571. This one
# writes a mark at its end, and ends when it is told that the mark has arrived.
_DUMP = f"""
code=0
sh {_SCRIPTS}/dump.sh < /dev/null || code=$?
printf %s "$1"
cat > /dev/null
exit "$code"
"""


def side_by_side(ctx: session.Session, work: Sequence[Callable[[], T]], *, size: int = pool.SIZE) -> list[T]:
    """As `pool.side_by_side`. Interrupted, nothing goes on behind it for long."""
    try:
        return pool.side_by_side(work, size=size)
    except errors.Interrupted:
        ctx.interrupted.set()
        raise


def dump(ctx: session.Session, namespace: str, engine: plan.Engine, sink: Callable[[bytes], object]) -> None:
    """The app's data in the engine's own format, to `sink` as it comes. Raises NotReady with what the engine said."""
    with _whole(sink, what=f"the dump of {engine.name}") as whole:
        ended = _run(ctx, namespace, engine, _DUMP, whole.mark.decode(), stdin=whole.waiting(), stdout=whole.write)
        _check(ctx, engine, ended, "can't be dumped")


def copy(ctx: session.Session, namespace: str, pod: str, path: str, sink: Callable[[bytes], object]) -> remote.Ended:
    """A file of a container in which `cat` is all there need be; its second operand is what it is sent, the mark."""
    with _whole(sink, what=path) as whole:
        stdin = itertools.chain([whole.mark], whole.waiting())
        return _execute(ctx, namespace, pod, "cat", "--", path, "-", stdin=stdin, stdout=whole.write)


@contextlib.contextmanager
def _whole(sink: Callable[[bytes], object], *, what: str) -> Iterator[Whole]:
    """For one command. Raises ClusterUnavailable when it ended and its mark has not arrived."""
    whole = Whole(sink, mark=secrets.token_bytes(16).hex().encode())
    try:
        yield whole
    finally:
        whole.arrived.set()
    if not whole.is_complete:
        raise errors.ClusterUnavailable(f"{what} arrived cut off", hint="run the same command again")


class Whole:
    """Hands on what comes before the mark at its end, and knows whether that has arrived."""

    def __init__(self, sink: Callable[[bytes], object], *, mark: bytes) -> None:
        self.mark = mark
        self.arrived = threading.Event()
        self._sink = sink
        self._held = b""

    @property
    def is_complete(self) -> bool:
        return self._held == self.mark

    def write(self, chunk: bytes) -> None:
        held = self._held + chunk
        self._held = held[-len(self.mark) :]
        if before := held[: -len(self.mark)]:
            self._sink(before)
        if self.is_complete:
            self.arrived.set()

    def waiting(self) -> Iterator[bytes]:
        """Of nothing, that ends when the mark has arrived."""
        self.arrived.wait()
        yield b""


def load(ctx: session.Session, namespace: str, engine: plan.Engine, file: BinaryIO) -> bool:
    """False, and nothing done, where there is data already. Raises NotReady with what the engine said."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    return pour(ctx, namespace, engine, chunks(file), size=size)


def pour(
    ctx: session.Session,
    namespace: str,
    engine: plan.Engine,
    stdin: Iterable[bytes],
    *,
    size: int,
    replace: bool = False,
) -> bool:
    """As `load`, of `size` bytes. `replace` deletes what is there, after all of the dump has arrived."""
    ended = _run(ctx, namespace, engine, _LOAD, str(size), str(_WIPES if replace else 0), stdin=stdin)
    if ended.code == _NOT_EMPTY:
        return False
    _check(ctx, engine, ended, "can't load what it was given")
    return True


def chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def is_empty(ctx: session.Session, namespace: str, engine: plan.Engine) -> bool:
    """Raises NotReady with what the engine said."""
    ended = _run(ctx, namespace, engine, f"sh {_SCRIPTS}/load.sh check")
    if ended.code == _NOT_EMPTY:
        return False
    _check(ctx, engine, ended, "does not say whether it is empty")
    return True


def version(ctx: session.Session, namespace: str, engine: plan.Engine) -> str:
    """Of the server, as `17.6`. Raises NotReady with what the engine said."""
    said: list[bytes] = []
    ended = _run(ctx, namespace, engine, f"sh {_SCRIPTS}/version.sh", stdout=said.append)
    _check(ctx, engine, ended, "does not say its version")
    return b"".join(said)[:80].decode(errors="replace").strip()


def wipe(ctx: session.Session, namespace: str, engine: plan.Engine) -> None:
    """Raises NotReady with what the engine said."""
    _check(ctx, engine, _run(ctx, namespace, engine, f"sh {_SCRIPTS}/wipe.sh"), "can't be emptied")


def has_next(ctx: session.Session, namespace: str, engine: plan.Engine, password: str) -> bool:
    """Whether the pod's files say within three seconds that this is the next password; empty = that there is none."""
    script = """
        IFS= read -r wanted
        left=30
        until [ "$(cat "$CREDENTIALS/NEXT" 2>/dev/null)" = "$wanted" ]; do
            [ "$left" -gt 0 ] || exit 1
            left=$((left - 1))
            sleep 0.1
        done
    """
    return _quick(ctx, namespace, engine, script, line=password).code == 0


def change_password(ctx: session.Session, namespace: str, engine: plan.Engine, password: str) -> None:
    """To this one, by the one that the server's pod has; done already, it does nothing. Raises NotReady, also when it
    is not the next one any more: whoever ended the change may have begun another."""
    script = f"""
        umask 077; export NEW=$(mktemp); trap 'rm -f "$NEW"' EXIT
        IFS= read -r password
        printf %s "$password" > "$NEW"
        [ "$(cat "$CREDENTIALS/NEXT" 2>/dev/null)" = "$(cat "$NEW")" ] ||
            {{ echo "k8s-ee: somebody else has changed it meanwhile" >&2; exit 1; }}
        sh {_SCRIPTS}/password.sh
    """
    ended = _quick(ctx, namespace, engine, script, line=password)
    _check(ctx, engine, ended, "did not change its password")


def _quick(ctx: session.Session, namespace: str, engine: plan.Engine, script: str, *, line: str) -> remote.Ended:
    """Of a script that takes seconds, and may run twice.

    What runs containers on a node may lose the end of a command's input when that comes before the command has begun,
    so the input is one line, and the end of the command itself: then it would be waited for until the deadline.
    """
    for again in (True, False):
        part = ctx.until(time.monotonic() + _QUICK_SECONDS)
        try:
            return _run(part, namespace, engine, script, stdin=[f"{line}\n".encode()])
        except errors.ClusterUnavailable:
            if not again or time.monotonic() >= ctx.deadline:
                raise
    raise AssertionError("the last attempt returns or raises")


def _run(
    ctx: session.Session,
    namespace: str,
    engine: plan.Engine,
    script: str,
    *arguments: str,
    stdin: Iterable[bytes] = (),
    stdout: Callable[[bytes], object] = lambda _chunk: None,
) -> remote.Ended:
    command = ("sh", "-c", script, "sh", *arguments)
    return _execute(ctx, namespace, engine.pod, *command, stdin=stdin, stdout=stdout)


def _execute(
    ctx: session.Session,
    namespace: str,
    pod: str,
    *command: str,
    stdin: Iterable[bytes],
    stdout: Callable[[bytes], object],
) -> remote.Ended:
    from k8s_ee.cluster import remote  # its WebSockets: most deploys run nothing in a container

    return remote.run(
        ctx.cluster,
        namespace,
        pod,
        *command,
        stdin=stdin,
        stdout=stdout,
        deadline=ctx.deadline,
        given_up=ctx.interrupted.is_set,
    )


def _check(ctx: session.Session, engine: plan.Engine, ended: remote.Ended, failed: str) -> None:
    if ended.code:
        said = ctx.redactor.redact(ended.said)[-500:] or "nothing"
        raise errors.NotReady(
            f"{engine.name} {failed} (exit code {ended.code})",
            hint=f"it said: {said}; k8s-ee logs --component {engine.name}",
        )
