"""Commands in containers, as the API server in miniature has them run: over a WebSocket, input before output.

A dump comes first: what it is sent only says that it has arrived.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import struct
from collections.abc import Callable, Iterator

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_STDIN, _STDOUT, _STDERR, _STATUS, _CLOSE = 0, 1, 2, 3, 255


@dataclasses.dataclass(frozen=True)
class Command:
    """`stdin` is all of it."""

    pod: str
    words: tuple[str, ...]
    stdin: bytes

    @property
    def text(self) -> str:
        return " ".join(self.words)


@dataclasses.dataclass(frozen=True)
class Ended:
    code: int = 0
    stdout: bytes = b""
    stderr: bytes = b""


Run = Callable[[Command], Ended]


def nothing(_command: Command) -> Ended:
    return Ended()


def accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - as the protocol says


def serve(source: io.BufferedIOBase, sink: io.BufferedIOBase, *, pod: str, words: tuple[str, ...], run: Run) -> Command:
    """One command, after the handshake, to its end."""
    dumps = any("dump.sh" in word for word in words)
    command = Command(pod, words, b"" if dumps else _input(source))
    ended = run(command)
    cause = {"reason": "ExitCode", "message": str(ended.code)}
    failure = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}
    status = json.dumps(failure if ended.code else {"status": "Success"}).encode()
    for channel, content in ((_STDOUT, ended.stdout), (_STDERR, ended.stderr)):
        _send(sink, bytes([channel]) + content)
    if dumps:
        _input(source)
    _send(sink, bytes([_STATUS]) + status)
    return command


def _input(source: io.BufferedIOBase) -> bytes:
    stdin = bytearray()
    for channel, content in _frames(source):
        if (channel, content) == (_CLOSE, bytes([_STDIN])):
            break
        stdin += content
    return bytes(stdin)


def _frames(source: io.BufferedIOBase) -> Iterator[tuple[int, bytes]]:
    """Channel and content of each binary message. Clients mask them, and never cut one into several frames."""
    while head := source.read(2):
        size = head[1] & 127
        if size > 125:
            form = ">H" if size == 126 else ">Q"
            (size,) = struct.unpack(form, source.read(struct.calcsize(form)))
        mask, masked = source.read(4), source.read(size)
        content = bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))
        if head[0] & 15 == 8:
            raise ConnectionError("the client ended it")
        if head[0] & 15 == 2:
            yield content[0], content[1:]


def _send(sink: io.BufferedIOBase, content: bytes) -> None:
    size = bytes([len(content)]) if len(content) < 126 else bytes([126]) + struct.pack(">H", len(content))
    sink.write(b"\x82" + size + content)
    sink.flush()
