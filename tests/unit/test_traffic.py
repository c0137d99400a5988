"""What a Prometheus says about traffic, and what is known when it says nothing that can be relied on."""

from __future__ import annotations

import datetime
import json
import urllib.parse
from collections.abc import Mapping

import pytest

from k8s_ee import traffic
from k8s_ee.config import model
from tests.wire import prometheus
from tests.wire.prometheus import at, row, vector

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
SCRAPED = prometheus.SCRAPED


def read(body: bytes, *, status: int = 200) -> traffic.Traffic:
    with prometheus.answering(body, status=status) as (address, _):
        return traffic.read(model.Traffic(prometheus=address), NOW)


def test_nobody_is_asked_where_nobody_counts() -> None:
    assert traffic.read(model.Traffic(), NOW) == traffic.Traffic({}, unknown="")


def test_the_query_is_asked_once_below_the_path_of_the_address() -> None:
    with prometheus.answering(vector(SCRAPED)) as (address, asked):
        traffic.read(model.Traffic(prometheus=f"{address}/metrics/", query='a{b="c"} > 0'), NOW)
    (path,) = asked
    found = urllib.parse.urlsplit(path)
    assert found.path == "/metrics/api/v1/query"
    assert urllib.parse.parse_qs(found.query) == {"query": ['a{b="c"} > 0']}


def test_the_last_request_of_each_namespace_is_known_and_none_lies_in_the_future() -> None:
    known = read(
        vector(
            SCRAPED,
            row(at(NOW - HOUR), namespace="a-pr-1"),
            row(at(NOW - 2 * HOUR), namespace="a-pr-1"),
            row(at(NOW + HOUR), namespace="b-pr-2"),
            row(at(NOW - HOUR), namespace="ingress-nginx", exported_namespace="c-pr-3"),
            row("NaN", namespace="d-pr-4"),
            row("0", namespace="e-pr-5"),
        )
    )
    assert known == traffic.Traffic({"a-pr-1": NOW - HOUR, "b-pr-2": NOW, "c-pr-3": NOW - HOUR})


def test_a_controller_that_is_scraped_and_had_no_request_is_known_too() -> None:
    assert read(vector(SCRAPED)) == traffic.Traffic({})


MATRIX = {"status": "success", "data": {"resultType": "matrix", "result": [1]}}
UNUSABLE: Mapping[str, tuple[bytes, int, str]] = {
    "error": (b'{"status": "error", "error": "parse error:\\n bad"}', 400, "it answered 400 parse error: bad"),
    "proxy": (b"<html>", 502, "it answered 502"),
    "redirect": (b"", 302, "it answered 302"),
    "html": (b"<html>", 200, "JSONDecodeError"),
    "list": (b"[]", 200, "TypeError"),
    "truncated": (vector(SCRAPED)[:-9], 200, "JSONDecodeError"),
    "empty": (vector(), 200, "it has no figures of the ingress controller"),
    "partial": (vector(SCRAPED, warnings=["store is away"]), 200, "its answer is not whole: ['store is away']"),
    "failed": (b'{"status": "error"}', 200, "its answer is not whole: error"),
    "matrix": (json.dumps(MATRIX).encode(), 200, "the query gives a matrix, not a vector"),
    "no value": (vector({"metric": {}}), 200, "KeyError"),
    "no number": (vector(row("soon", namespace="a")), 200, "ValueError"),
    "too large": (vector(row("1e300", namespace="a")), 200, "Error"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_without_an_answer_that_can_be_used_nothing_is_known(case: str) -> None:
    body, status, reason = UNUSABLE[case]
    known = read(body, status=status)
    assert not known.last
    assert known.unknown.startswith("Prometheus: ")
    assert reason in known.unknown


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://nobody.invalid:9090", "http://127.0.0.1:99999"])
def test_without_a_prometheus_nothing_is_known(address: str) -> None:
    assert traffic.read(model.Traffic(prometheus=address), NOW).unknown
