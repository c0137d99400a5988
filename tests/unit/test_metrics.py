"""Figures for Prometheus: their text, how they reach a file, and how a Pushgateway."""

from __future__ import annotations

import http.server
import pathlib
import stat
import threading
from collections.abc import Iterator

import pytest

from k8s_ee import errors, exporting, metrics

SEEN = metrics.Gauge("seen", "How many.", {"": 3})
KINDS = metrics.Gauge("kinds", "By kind.", {"keep": 2, 'a"b\\c\n': 0.5}, "kind")
NOT_NOW = metrics.Gauge("last_full_timestamp_seconds", "When.", {})


def test_each_has_its_help_its_type_and_its_values() -> None:
    assert metrics.text([SEEN, KINDS]) == (
        "# HELP k8s_ee_seen How many.\n"
        "# TYPE k8s_ee_seen gauge\n"
        "k8s_ee_seen 3\n"
        "# HELP k8s_ee_kinds By kind.\n"
        "# TYPE k8s_ee_kinds gauge\n"
        'k8s_ee_kinds{kind="keep"} 2\n'
        'k8s_ee_kinds{kind="a\\"b\\\\c\\n"} 0.5\n'
    )


def test_a_time_keeps_its_seconds() -> None:
    assert "k8s_ee_at 1767225600.5\n" in metrics.text([metrics.Gauge("at", "When.", {"": 1767225600.5})])


def test_what_did_not_happen_now_keeps_its_value_in_the_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "k8s_ee.prom"
    exporting.to_file([SEEN, metrics.Gauge(NOT_NOW.name, NOT_NOW.help, {"": 1767225600.25})], file)
    exporting.to_file([metrics.Gauge("seen", "How many.", {"": 4}), NOT_NOW], file)
    assert "k8s_ee_last_full_timestamp_seconds 1767225600.25\n" in file.read_text()
    assert "k8s_ee_seen 4\n" in file.read_text()


def test_what_never_happened_is_left_out(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "k8s_ee.prom"
    exporting.to_file([SEEN, NOT_NOW], file)
    assert "full" not in file.read_text()


def test_the_file_is_for_everybody_to_read_and_nothing_lies_beside_it(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "k8s_ee.prom"
    exporting.to_file([SEEN], file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_can_not_be_written_is_one_sentence(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="can't be written"):
        exporting.to_file([SEEN], tmp_path / "absent" / "k8s_ee.prom")


class Gateway(http.server.BaseHTTPRequestHandler):
    """Keeps the last request; answers 500 under /broken."""

    last = ("", "", "")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        type(self).last = (self.path, self.headers["Content-Type"], body)
        self.send_response(500 if self.path.startswith("/broken") else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_gateway_replaces_what_has_these_names_and_keeps_the_rest(gateway: str) -> None:
    exporting.to_gateway([SEEN, NOT_NOW], f"{gateway}/base/")
    path, kind, body = Gateway.last
    assert (path, kind) == ("/base/metrics/job/k8s-ee-janitor", "text/plain; version=0.0.4")
    assert body == metrics.text([SEEN])


def test_a_gateway_that_does_not_take_them_is_named(gateway: str) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="it answered 500"):
        exporting.to_gateway([SEEN], f"{gateway}/broken")
    with pytest.raises(errors.ClusterUnavailable, match="ConnectionRefusedError"):
        exporting.to_gateway([SEEN], "http://127.0.0.1:9")


@pytest.mark.parametrize("address", ["gateway:9091", "ftp://gateway", "http://"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(errors.InputError, match="not the address of a Pushgateway"):
        exporting.to_gateway([SEEN], address)
