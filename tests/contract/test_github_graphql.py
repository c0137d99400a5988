"""The local GitHub's GraphQL refuses what GitHub would, so that a query which passes here is one it takes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire import github_graphql as graphql
from tests.wire import github_state as states

CLOSED = states.Pull(8, "a" * 40, state="closed", merged=True, closed_at="2026-01-02T03:04:05Z")
SHOP = states.Repository(id=5, full_name="acme/shop", pulls={7: states.Pull(7, "a" * 40), 8: CLOSED})


def run(query: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer, _ = graphql.execute(body, login="me", find=lambda name: SHOP if name == "acme/shop" else None)
    return answer


def test_aliases_variables_and_fragments_are_executed() -> None:
    query = """query($o: String!, $n: String!) {
      a: repository(owner: $o, name: $n) { databaseId p7: pullRequest(number: 7) { ...f } }
      b: repository(owner: "acme", name: "shop") { p8: pullRequest(number: 8) { ...f } }
    } fragment f on PullRequest { state closedAt }"""
    assert run(query, o="acme", n="shop") == {
        "data": {
            "a": {"databaseId": 5, "p7": {"state": "OPEN", "closedAt": None}},
            "b": {"p8": {"state": "MERGED", "closedAt": "2026-01-02T03:04:05Z"}},
        }
    }


def test_what_is_not_there_is_null_with_an_error_at_its_path() -> None:
    answer = run('query { r: repository(owner: "a", name: "b") { databaseId } }')
    assert answer["data"] == {"r": None}
    assert [(one["type"], one["path"]) for one in answer["errors"]] == [("NOT_FOUND", ["r"])]
    answer = run('query { r: repository(owner: "acme", name: "shop") { p: pullRequest(number: 9) { state } } }')
    assert answer["data"] == {"r": {"p": None}}
    assert [(one["type"], one["path"]) for one in answer["errors"]] == [("NOT_FOUND", ["r", "p"])]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "query { viewer { login }",
        "query { viewer { email } }",
        "query { viewer }",
        'query { repository(owner: "acme", name: "shop") { databaseId { x } } }',
        'query { repository(owner: "acme") { databaseId } }',
        'query { repository(owner: $o, name: "shop") { databaseId } }',
        "query($o: String!) { repository(owner: $o, name: $o) { databaseId } }",
        'query { repository(owner: "acme", name: 7) { databaseId } }',
        'query { repository(owner: "acme", name: "shop") { pullRequest(number: 2147483648) { state } } }',
        'query { repository(owner: "acme", name: "shop") { pullRequest(number: "7") { state } } }',
        'query { repository(owner: "acme", name: "shop") { pullRequest(number: 7) { ...f } } }',
    ],
)
def test_a_query_that_github_would_not_take_has_errors_and_no_data(query: str) -> None:
    answer = run(query)
    assert answer.keys() == {"errors"}
