"""What the responder says on the wire, and that no client can keep it from saying it to the next."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from k8s_ee import cluster, environment, errors, lifecycle, pages, responder
from k8s_ee.commands import responding
from tests.wire import kube as wire

NS = "/api/v1/namespaces"
NOW = datetime.datetime(2026, 11, 20, 12, tzinfo=datetime.UTC)
HOST = "shop-pr-7.preview.test"


def directory() -> responding.Directory:
    return responding.Directory("preview.test", lifecycle.Policy(), lambda: NOW)


@pytest.fixture
def known(manifest: dict[str, Any]) -> responding.Directory:
    made = directory()
    manifest["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-19T00:00:00Z"}
    manifest["metadata"]["annotations"] |= {environment.ASLEEP_SINCE: "2026-11-20T09:00:00+00:00"}
    made.learn([manifest, {"metadata": {"name": "broken", "labels": {}}}])
    return made


@pytest.fixture
def port(known: responding.Directory) -> Iterator[int]:
    with responding.serving(known, port=0, health_port=0) as (port, _health):
        yield port


def ask(port: int, path: str = "/", *, method: str = "GET", **headers: str) -> tuple[http.client.HTTPResponse, str]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers={"Host": HOST, **headers})
        answer = connection.getresponse()
        return answer, answer.read().decode()


def raw(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(65536):
                answer += more
        return answer


def test_a_host_that_sleeps_is_a_503_that_says_when_to_come_back(port: int) -> None:
    answer, body = ask(port, "/any/path?x=1")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "60")
    assert "asleep" in body
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Security-Policy"] == pages.POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Server"] == "k8s-ee"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_no_method_gets_through_where_no_app_is(port: int, method: str) -> None:
    assert ask(port, method=method)[0].status == 503


def test_a_head_is_a_get_without_its_body(port: int) -> None:
    head, nothing = ask(port, method="HEAD")
    get, body = ask(port)
    assert (head.status, nothing) == (get.status, "")
    assert int(head.headers["Content-Length"]) == len(body.encode())


def test_a_program_that_asks_for_json_gets_it_and_a_browser_does_not(port: int) -> None:
    answer, body = ask(port, Accept="application/json")
    assert (answer.headers["Content-Type"], json.loads(body)["state"]) == ("application/json", "sleeping")
    answer, _body = ask(port, Accept="text/html,application/json;q=0.9,*/*;q=0.8")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("host", ["SHOP-pr-7.Preview.Test", f"{HOST}:8080", f"{HOST}.", f"{HOST}.:443"])
def test_a_host_may_be_written_as_names_may_be(port: int, host: str) -> None:
    assert ask(port, Host=host)[0].status == 503


@pytest.mark.parametrize(
    "host",
    [
        "other-pr-7.preview.test",
        "broken.preview.test",
        "shop-pr-7.elsewhere.test",
        "shop-pr-7",
        "x.shop-pr-7.preview.test",
        "preview.test",
        "<script>",
        "a b",
        "..",
        "[::1]",
        "x" * 5000,
        "shop-pr-7.preview.test, shop-pr-7.preview.test",
    ],
)
def test_of_whatever_is_not_there_the_page_is_the_same_and_names_nothing(port: int, host: str) -> None:
    answer, body = ask(port, Host=host)
    assert (answer.status, body) == (404, pages.as_html(pages.NOBODY))


def test_no_host_and_two_hosts_are_nobodys(port: int) -> None:
    assert raw(port, b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 404")
    assert raw(port, f"GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: {HOST}\r\n\r\n".encode()).startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /<script> EVIL/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"505"),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"c" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"p" * 100_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request_is_refused_and_not_repeated(port: int, request_: bytes, status: bytes) -> None:
    answer = raw(port, request_)
    assert answer.split(b" ")[1] == status, answer
    assert b"script" not in answer
    assert ask(port)[0].status == 503, "and the next is served"


def test_a_body_that_nobody_reads_does_not_take_the_answer_back(port: int) -> None:
    head = f"POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 50000\r\nExpect: 100-continue\r\n\r\n".encode()
    assert raw(port, head + b"b" * 50000).startswith(b"HTTP/1.1 503")


def test_each_connection_carries_one_answer(port: int) -> None:
    one = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
    assert raw(port, one * 3).count(b"HTTP/1.1") == 1


def test_who_drips_is_cut_off_and_others_are_served_meanwhile(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setattr(responder, "_HEAD_SECONDS", 0.5)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert ask(port)[0].status == 503
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 5:
                slow.sendall(b"a")
                time.sleep(0.05)
    assert time.monotonic() - began < 4


def test_when_all_places_are_taken_the_next_hears_so_at_once_and_later_is_served() -> None:
    with responder.Server(0, lambda _request: responder.plain(200, "ok"), at_once=3) as server:
        port = server.server_port
        holding = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        time.sleep(0.3)
        assert raw(port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 503 Service Unavailable")
        for one in holding:
            one.close()
        until(lambda: raw(port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200"))


def test_a_bug_in_an_answer_is_the_end_of_one_connection(capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def broken(request: responder.Request) -> responder.Reply:
        asked.append(request)
        if len(asked) == 1:
            raise ValueError
        return responder.plain(200, "ok")

    with responder.Server(0, broken) as server:
        assert raw(server.server_port, b"GET / HTTP/1.1\r\n\r\n") == b""
        assert raw(server.server_port, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_two_hundred_at_once_are_all_answered(port: int) -> None:
    found: list[int] = []

    def many() -> None:
        for _ in range(25):
            found.append(ask(port)[0].status)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [503] * 200


def until(true: Callable[[], object], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


@contextlib.contextmanager
def following(api: cluster.Cluster) -> Iterator[tuple[responding.Directory, list[str]]]:
    said: list[str] = []
    made, stopped = directory(), threading.Event()
    thread = threading.Thread(target=responding.follow, args=(api, made, stopped), kwargs={"say": said.append})
    thread.start()
    try:
        yield made, said
    finally:
        stopped.set()
        thread.join()


def test_what_changes_in_the_cluster_is_answered_without_asking_it(
    kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]
) -> None:
    kube.put(NS, {**manifest, "metadata": {**manifest["metadata"], "name": "theirs", "labels": {}}})
    with following(api) as (made, _said):
        until(lambda: made.current)
        assert made.page(HOST) == made.page("theirs.preview.test") == pages.NOBODY
        kube.put(NS, manifest)
        until(lambda: made.page(HOST).state == "deploying")
        kube.remove(NS, "shop-pr-7")
        until(lambda: made.page(HOST) == pages.NOBODY)
        asked = len(kube.seen)
        for _ in range(100):
            made.page(HOST)
        assert len(kube.seen) == asked <= 2


def test_before_anything_is_known_nobody_is_called_unknown(known: responding.Directory) -> None:
    assert directory().page(HOST) == pages.UNSURE
    with responding.serving(directory(), port=0, health_port=0) as (_port, health):
        assert (ask(health, "/healthz")[0].status, ask(health, "/readyz")[0].status) == (200, 503)
    with responding.serving(known, port=0, health_port=0) as (port, health):
        assert (ask(health, "/readyz")[0].status, ask(health, "/x")[0].status) == (200, 404)
        assert ask(port, "/healthz")[0].status == 503, "that is a path of the app"


def test_while_the_api_server_is_away_what_was_known_is_said_and_nobody_is_called_unknown(
    monkeypatch: pytest.MonkeyPatch, kube: wire.Kube, api: cluster.Cluster, manifest: dict[str, Any]
) -> None:
    monkeypatch.setattr(responding, "_PAUSE_SECONDS", 0.1)
    kube.put(NS, manifest)
    with following(api) as (made, said):
        until(lambda: made.current)
        kube.fail("GET", NS, 403, times=99)
        kube.forget_history()
        kube.drop_watches()
        until(lambda: not made.current)
        assert made.page(HOST).state == "deploying"
        assert made.page("other.preview.test") == pages.UNSURE
        assert "can't be watched" in said[0]
        kube.faults.clear()
        until(lambda: made.current)
        assert made.page("other.preview.test") == pages.NOBODY


def test_a_port_that_is_taken_is_wrong_input() -> None:
    with (
        responder.Server(0, lambda _request: responder.plain(200, "ok")) as server,
        pytest.raises(errors.InputError, match="can't be used"),
        responding.serving(directory(), port=server.server_port, health_port=0),
    ):
        pass
