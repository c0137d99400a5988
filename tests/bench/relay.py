"""A TCP relay that makes a server far away: a process of its own, so that it waits for nobody's interpreter lock.

Bytes are passed on as many at a time as come, each after its delay: only latency is added, bandwidth is not limited.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

_CHUNK = 1 << 16
_START_SECONDS = 20


@contextlib.contextmanager
def running(host: str, port: int, *, round_trip: float) -> Iterator[int]:
    """The port on 127.0.0.1 behind which `host:port` is `round_trip` seconds away. Raises RuntimeError."""
    command = [sys.executable, "-m", __name__, host, str(port), str(round_trip)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line.strip().isdecimal():
                raise RuntimeError(f"the relay to {host}:{port} did not start")
            yield int(line)
        finally:
            process.terminate()
            process.wait(timeout=_START_SECONDS)


async def serve(host: str, port: int, round_trip: float) -> asyncio.Server:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await _join(reader, writer, host=host, port=port, round_trip=round_trip)
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0)


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, host: str, port: int, round_trip: float
) -> None:
    # The client's own handshake was with us, on loopback, and took no time: its first bytes wait for it here.
    opened = asyncio.get_running_loop().time() + round_trip
    far_reader, far_writer = await asyncio.open_connection(host, port)
    try:
        await asyncio.gather(
            _carry(reader, far_writer, delay=round_trip / 2, opened=opened),
            _carry(far_reader, writer, delay=round_trip / 2, opened=opened),
        )
    finally:
        far_writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, delay: float, opened: float) -> None:
    loop = asyncio.get_running_loop()
    underway: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, data = await underway.get()
            await asyncio.sleep(due - loop.time())
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    arriving = asyncio.create_task(arrive())
    try:
        data = b"first"
        while data:
            data = await reader.read(_CHUNK)
            underway.put_nowait((max(loop.time(), opened) + delay, data))
        await arriving
    finally:
        arriving.cancel()


async def main(host: str, port: str, round_trip: str) -> None:
    server = await serve(host, int(port), float(round_trip))
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # Ends with the process that started this one, however that ends.


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
