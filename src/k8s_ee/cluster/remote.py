"""A command in a container: its input from us, its output to us, and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import websocket

from k8s_ee import errors
from k8s_ee.cluster import kinds

if TYPE_CHECKING:
    from k8s_ee.cluster import client

PROTOCOL = "v5.channel.k8s.io"
"""The first that can say that the input is over; https://kubernetes.io/docs/reference/ calls them subprotocols."""

_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = range(5)
_CLOSING = bytes([255, _STDIN])
_CHUNK = 12 * 1024
_KEPT = 8 * 1024
_SILENCE_SECONDS = 20.0
_LOOK_SECONDS = 1.0
_BROKEN = "run the same command again: whether this one had finished can't be known"


@dataclasses.dataclass(frozen=True)
class Ended:
    """`said` is the end of what it wrote to stderr."""

    code: int
    said: str


def run(
    cluster: client.Cluster,
    namespace: str,
    pod: str,
    *command: str,
    stdin: Iterable[bytes] = (),
    stdout: Callable[[bytes], object] = lambda _chunk: None,
    deadline: float,
    given_up: Callable[[], bool] = lambda: False,
) -> Ended:
    """In the pod's first container, and it must read `stdin` to its end: the API server tells nothing before that.
    `deadline` is on the monotonic clock; `given_up` is looked at all the time. Of a command that ends before all that
    it wrote was read, the rest may be lost without a word (kubernetes/kubernetes#124571): see `contents.dump`.

    Raises what `Transport.channel` raises, ClusterUnavailable when the connection breaks, the time is over or it was
    given up (the command may go on then), and whatever `stdin` and `stdout` raise.
    """
    query = [("stdin", "true"), ("stdout", "true"), ("stderr", "true"), *(("command", part) for part in command)]
    path = kinds.kind("Pod").path(pod, namespace=namespace, subresource="exec")
    with contextlib.closing(cluster.channel(path, query, what=f"a command in pod {pod}", protocol=PROTOCOL)) as socket:
        socket.settimeout(_LOOK_SECONDS)
        turns = _Turns(socket)
        sending = _Sending(turns, stdin)
        sending.start()
        try:
            return _receive(turns, stdout, sending, deadline=deadline, given_up=given_up, pod=pod)
        except _Broken as broken:
            if sending.failure:
                raise sending.failure from None
            raise errors.ClusterUnavailable(f"the connection to pod {pod} broke: {broken}", hint=_BROKEN) from None
        finally:
            turns.over = True


class _Broken(Exception):
    """The connection, not what is at its ends: a disk that is full is an OSError, too."""


@contextlib.contextmanager
def _connection() -> Iterator[None]:
    try:
        yield
    except (websocket.WebSocketException, OSError, ValueError) as error:  # ValueError: it was closed by us
        raise _Broken(str(error) or type(error).__name__) from None


class _Turns:
    """One reads or writes at a time: TLS does not bear both at once. Nobody holds the turn while he waits."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        assert socket.sock is not None  # noqa: S101 - it is open
        self._socket, self._raw = socket, socket.sock
        self._turn = threading.Lock()
        self.over = False

    def send(self, content: bytes) -> None:
        """At most `_CHUNK` bytes, for which there is room in what the kernel calls writable. Raises _Broken."""
        with _connection():
            while not self.over and not select.select([], [self._raw], [], _LOOK_SECONDS)[1]:
                pass
            with self._turn:
                self._socket.send_binary(content)

    def receive(self, seconds: float) -> bytes | None:
        """One message; None when there was none in that time. Raises _Broken, also when the other side ended."""
        with _connection():
            if not self._pending() and not select.select([self._raw], [], [], seconds)[0]:
                return None
            try:
                with self._turn:
                    kind, frame = self._socket.recv_data()
            except websocket.WebSocketTimeoutException:
                return None
        if kind == websocket.ABNF.OPCODE_CLOSE or not frame:
            raise _Broken("closed before the command's end was told")
        return bytes(frame)

    def ping(self) -> None:
        with _connection(), self._turn:
            self._socket.ping()

    def _pending(self) -> bool:
        with self._turn:
            return isinstance(self._raw, ssl.SSLSocket) and self._raw.pending() > 0


class _Sending(threading.Thread):
    """Beside receiving: a command that is not read from would otherwise not read either."""

    def __init__(self, turns: _Turns, chunks: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._turns = turns
        self._chunks = chunks
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for chunk in self._chunks:
                for start in range(0, len(chunk), _CHUNK):
                    self._turns.send(bytes([_STDIN]) + chunk[start : start + _CHUNK])
            self._turns.send(_CLOSING)
        except _Broken:
            pass  # The command has ended, or the connection has: who receives says which.
        except Exception as error:  # Raised again by who waits for the end.
            self.failure = error


def _receive(
    turns: _Turns,
    stdout: Callable[[bytes], object],
    sending: _Sending,
    *,
    deadline: float,
    given_up: Callable[[], bool],
    pod: str,
) -> Ended:
    said, asked_at = b"", time.monotonic()
    while True:
        left = deadline - time.monotonic()
        if given_up():
            raise errors.ClusterUnavailable(f"a command in pod {pod} was given up", hint=_BROKEN)
        if left <= 0:
            hint = f"allow more with --timeout; {_BROKEN}"
            raise errors.ClusterUnavailable(f"a command in pod {pod} did not end in time", hint=hint)
        frame = turns.receive(min(left, _LOOK_SECONDS))
        if sending.failure:
            raise sending.failure
        if frame is None:
            if time.monotonic() - asked_at > _SILENCE_SECONDS:
                turns.ping()  # What lies between closes connections on which nothing is said.
                asked_at = time.monotonic()
            continue
        channel, content = frame[0], frame[1:]
        if channel == _STDOUT and content:
            stdout(content)
        elif channel == _STDERR:
            said = (said + content)[-_KEPT:]
        elif channel == _STATUS:
            return Ended(_code(json.loads(content), pod), said.decode("utf-8", "replace").strip())


def _code(status: dict[str, Any], pod: str) -> int:
    """Raises ClusterUnavailable when the command could not even be begun."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise errors.ClusterUnavailable(
        f"no command could be run in pod {pod}: {status.get('message')}", hint="is the pod running? k8s-ee status"
    )
