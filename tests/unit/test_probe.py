"""The link is asked over real sockets, by name and by address."""

from __future__ import annotations

import dataclasses
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from k8s_ee import environment, probe

TARGET = environment.Environment(
    project=environment.ProjectId("shop"),
    number=7,
    repository="acme/shop",
    repository_id=1,
    domain="preview.invalid",
    scheme="http",
)


class _Handler(http.server.BaseHTTPRequestHandler):
    answers: list[int]
    seen: list[str]

    pause: float

    def do_GET(self) -> None:
        time.sleep(self.pause)
        self.seen.append(f"{self.headers['Host']}{self.path}")
        self.send_response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    _Handler.answers, _Handler.seen, _Handler.pause = [200], [], 0
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def _address(server: http.server.ThreadingHTTPServer) -> str:
    return f"127.0.0.1:{server.server_port}"


def test_the_address_is_connected_to_under_the_name_of_the_environment(
    server: http.server.ThreadingHTTPServer,
) -> None:
    answer = probe.ask(TARGET, path="/health", address=_address(server))
    assert answer == probe.Answer(status=200, reason="OK")
    assert _Handler.seen == ["shop-pr-7.preview.invalid/health"]


def test_any_2xx_with_an_empty_body_is_ready(server: http.server.ThreadingHTTPServer) -> None:
    _Handler.answers = [204]
    assert probe.ask(TARGET, path="/", address=_address(server)).ready


def test_an_ingress_that_has_not_taken_over_yet_is_asked_again(server: http.server.ThreadingHTTPServer) -> None:
    _Handler.answers = [404, 503, 200]
    answer = probe.until_ready(TARGET, path="/", address=_address(server), deadline=time.monotonic() + 10)
    assert answer.ready
    assert len(_Handler.seen) == 3


def test_the_last_answer_is_what_is_reported_when_time_is_up(server: http.server.ThreadingHTTPServer) -> None:
    _Handler.answers = [503]
    answer = probe.until_ready(TARGET, path="/", address=_address(server), deadline=time.monotonic() + 0.3)
    assert (answer.status, answer.reached) == (503, True)


def test_an_answer_counts_also_when_the_next_one_does_not_come_in_time(server: http.server.ThreadingHTTPServer) -> None:
    _Handler.answers, _Handler.pause = [503], 0.8
    answer = probe.until_ready(TARGET, path="/", address=_address(server), deadline=time.monotonic() + 1)
    assert (answer.status, answer.reached) == (503, True)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_takes_a_connection_and_says_nothing_is_not_away(scheme: str) -> None:
    target = dataclasses.replace(TARGET, scheme=scheme)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        answer = probe.ask(target, path="/", address=f"127.0.0.1:{mute.getsockname()[1]}", timeout=0.2)
    assert (answer.status, answer.reached) == (0, True)
    assert "does not answer within 0.2 s" in answer.reason


def test_a_certificate_that_nobody_vouches_for_is_told_from_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_asked: object, **_how: object) -> None:
        raise ssl.SSLCertVerificationError(1, "certificate verify failed")

    monkeypatch.setattr(probe._NamedHTTPSConnection, "connect", refuse)
    answer = probe.ask(dataclasses.replace(TARGET, scheme="https"), path="/", address="127.0.0.1:1")
    assert (answer.ready, answer.reached, answer.untrusted) == (False, True, True)


def test_a_name_that_does_not_resolve_is_told_apart_from_one_that_refuses() -> None:
    assert not probe.ask(TARGET, path="/").reached
    assert not probe.ask(TARGET, path="/", address="a..example").reached
    refused = probe.ask(TARGET, path="/", address="127.0.0.1:1")
    assert refused.reached
    assert "refused" in refused.reason


def test_an_address_that_no_route_leads_to_says_nothing_about_the_environment() -> None:
    """255.255.255.255 is nobody's: connecting fails at once, without a packet."""
    answer = probe.ask(TARGET, path="/", address="255.255.255.255:80")
    assert not answer.ready
    assert not answer.reached
