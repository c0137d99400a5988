"""What is in a database, moved by its own scripts (docs/databases/engines.md), in its own container."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from k8s_ee import errors, plan
from k8s_ee.cluster import remote
from k8s_ee.commands import session

_CHUNK = 1 << 20
_NOT_EMPTY = 3
_SCRIPTS = "/etc/k8s-ee/scripts"
# Written down whole before it is read: a script that reads what comes would take the end of the connection for the
# end of the dump.
_LOAD = f"""
set -eu
umask 077
file=$VOLUME/.k8s-ee-load
trap 'rm -f "$file"' EXIT
cat > "$file" || {{ cat > /dev/null; echo "k8s-ee: no room for the dump beside the data" >&2; exit 1; }}
[ "$(wc -c < "$file")" -eq "$1" ] || {{ echo "k8s-ee: the dump arrived cut off" >&2; exit 1; }}
sh {_SCRIPTS}/load.sh < "$file"
"""


def dump(ctx: session.Session, namespace: str, engine: plan.Engine, sink: Callable[[bytes], object]) -> None:
    """The app's data in the engine's own format, to `sink` as it comes. Raises NotReady with what the engine said."""
    ended = remote.run(
        ctx.cluster, namespace, engine.pod, "sh", f"{_SCRIPTS}/dump.sh", stdout=sink, deadline=ctx.deadline
    )
    _check(ctx, engine, ended, "can't be dumped")


def load(ctx: session.Session, namespace: str, engine: plan.Engine, file: BinaryIO) -> bool:
    """False, and nothing done, where there is data already. Raises NotReady with what the engine said."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    ended = _run(ctx, namespace, engine, _LOAD, str(size), stdin=_chunks(file))
    if ended.code == _NOT_EMPTY:
        return False
    _check(ctx, engine, ended, "can't load what it was given")
    return True


def wipe(ctx: session.Session, namespace: str, engine: plan.Engine) -> None:
    """Raises NotReady with what the engine said."""
    _check(ctx, engine, _run(ctx, namespace, engine, f"sh {_SCRIPTS}/wipe.sh"), "can't be emptied")


def has_next(ctx: session.Session, namespace: str, engine: plan.Engine, password: str) -> bool:
    """Whether the pod's files say within three seconds that this is the next password; empty = that there is none."""
    script = """
        wanted=$(cat) left=30
        until [ "$(cat "$CREDENTIALS/NEXT" 2>/dev/null)" = "$wanted" ]; do
            [ "$left" -gt 0 ] || exit 1
            left=$((left - 1))
            sleep 0.1
        done
    """
    return _run(ctx, namespace, engine, script, stdin=[password.encode()]).code == 0


def change_password(ctx: session.Session, namespace: str, engine: plan.Engine, password: str) -> None:
    """To this one, by the one that the server's pod has; done already, it does nothing. Raises NotReady."""
    script = f"""
        umask 077; export NEW=$(mktemp); trap 'rm -f "$NEW"' EXIT
        cat > "$NEW"; sh {_SCRIPTS}/password.sh
    """
    ended = _run(ctx, namespace, engine, script, stdin=[password.encode()])
    _check(ctx, engine, ended, "did not change its password")


def _run(
    ctx: session.Session,
    namespace: str,
    engine: plan.Engine,
    script: str,
    *arguments: str,
    stdin: Iterable[bytes] = (),
) -> remote.Ended:
    command = ("sh", "-c", script, "sh", *arguments)
    return remote.run(ctx.cluster, namespace, engine.pod, *command, stdin=stdin, deadline=ctx.deadline)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _check(ctx: session.Session, engine: plan.Engine, ended: remote.Ended, failed: str) -> None:
    if ended.code:
        said = ctx.redactor.redact(ended.said)[-500:] or "nothing"
        raise errors.NotReady(
            f"{engine.name} {failed} (exit code {ended.code})",
            hint=f"it said: {said}; k8s-ee logs --component {engine.name}",
        )
