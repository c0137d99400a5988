"""A command in a container: its input from us, its output to us, and how it ended."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterable
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
_CHUNK = 64 * 1024
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
        sending = _Sending(socket, stdin)
        sending.start()
        try:
            return _receive(socket, stdout, sending, deadline=deadline, given_up=given_up, pod=pod)
        except (websocket.WebSocketException, OSError) as error:
            if sending.failure:
                raise sending.failure from None
            raise errors.ClusterUnavailable(
                f"the connection to pod {pod} broke: {error or type(error).__name__}", hint=_BROKEN
            ) from None


class _Sending(threading.Thread):
    """Beside receiving: a command that is not read from would otherwise not read either."""

    def __init__(self, socket: websocket.WebSocket, chunks: Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._socket = socket
        self._chunks = chunks
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for chunk in self._chunks:
                for start in range(0, len(chunk), _CHUNK):
                    self._socket.send_binary(bytes([_STDIN]) + chunk[start : start + _CHUNK])
            self._socket.send_binary(_CLOSING)
        except (websocket.WebSocketException, OSError):
            pass  # The command has ended, or the connection has: who receives says which.
        except Exception as error:  # Raised again by who waits for the end.
            self.failure = error
            self._socket.abort()  # type: ignore[no-untyped-call]


def _receive(
    socket: websocket.WebSocket,
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
            raise errors.ClusterUnavailable(f"a command in pod {pod} did not end in time", hint=_BROKEN)
        socket.settimeout(min(left, _LOOK_SECONDS))
        try:
            kind, frame = socket.recv_data()
        except websocket.WebSocketTimeoutException:
            if time.monotonic() - asked_at > _SILENCE_SECONDS:
                socket.ping()  # What lies between closes connections on which nothing is said.
                asked_at = time.monotonic()
            continue
        if sending.failure:
            raise sending.failure
        if kind == websocket.ABNF.OPCODE_CLOSE or not frame:
            raise websocket.WebSocketConnectionClosedException("closed before the command's end was told")
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
