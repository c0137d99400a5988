"""Latency is added to what really goes over sockets, and nothing else is."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.bench import relay

ROUND_TRIP = 0.1
MEGABYTES = 8


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def far() -> Iterator[int]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with relay.running("127.0.0.1", server.server_address[1], round_trip=ROUND_TRIP) as port:
            yield port
        server.shutdown()


@pytest.fixture
def connection(far: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", far), timeout=20) as opened:
        yield opened


def _echoed(connection: socket.socket, text: bytes) -> float:
    began = time.monotonic()
    connection.sendall(text)
    received = b""
    while len(received) < len(text):
        received += connection.recv(1 << 16)
    assert received == text
    return time.monotonic() - began


def test_the_first_question_of_a_connection_takes_two_round_trips(far: int) -> None:
    began = time.monotonic()  # the connection is under way before this process goes on
    with socket.create_connection(("127.0.0.1", far), timeout=20) as opened:
        _echoed(opened, b"first")
        assert time.monotonic() - began >= 2 * ROUND_TRIP


def test_the_second_question_of_a_connection_takes_one_round_trip(connection: socket.socket) -> None:
    _echoed(connection, b"first")
    assert ROUND_TRIP <= min(_echoed(connection, b"next") for _ in range(5)) < 2 * ROUND_TRIP


def test_bandwidth_is_not_limited_by_the_round_trip(connection: socket.socket) -> None:
    sending = threading.Thread(target=connection.sendall, args=(bytes(MEGABYTES << 20),))
    sending.start()
    began, missing = time.monotonic(), MEGABYTES << 20
    while missing:
        missing -= len(connection.recv(1 << 20))
    sending.join()
    in_turns = (MEGABYTES << 20) / (1 << 16) * ROUND_TRIP  # each chunk only after the last one came back
    assert time.monotonic() - began < in_turns / 2


def test_the_end_of_one_side_reaches_the_other(connection: socket.socket) -> None:
    connection.sendall(b"last words")
    connection.shutdown(socket.SHUT_WR)
    received = b""
    while data := connection.recv(1 << 16):
        received += data
    assert received == b"last words"
