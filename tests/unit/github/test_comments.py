from __future__ import annotations

import pytest

from k8s_ee import errors, github
from tests.unit.github import conftest
from tests.wire import github as wire
from tests.wire import github_faults as faults
from tests.wire import github_state as states

MARKER = "<!-- k8s-ee:shop-pr-7 -->"
COMMENTS = ".*/issues/7/comments"


def bodies(server: wire.Server) -> list[str]:
    return [one.body for one in server.state.repositories[0].comments.values()]


def put(server: wire.Server, *, body: str, author: str, number: int = 7) -> int:
    made = states.Comment(server.state.next_id(), number, author, body)
    server.state.repositories[0].comments[made.id] = made
    return made.id


def sent(server: wire.Server) -> list[str]:
    return [f"{one['method']} {one['path'].removeprefix('/repos/acme/shop')}" for one in server.log]


def test_the_second_write_changes_the_first_comment(client: github.GitHub, server: wire.Server) -> None:
    first = client.upsert_comment(7, MARKER, f"{MARKER}\none")
    second = client.upsert_comment(7, MARKER, f"{MARKER}\ntwo")
    assert first == second
    assert bodies(server) == [f"{MARKER}\ntwo"]


def test_a_known_id_saves_the_search(client: github.GitHub, server: wire.Server) -> None:
    known = client.upsert_comment(7, MARKER, f"{MARKER}\none")
    server.log.clear()
    client.upsert_comment(7, MARKER, f"{MARKER}\ntwo", comment_id=known)
    assert sent(server) == [f"GET /issues/comments/{known}", f"PATCH /issues/comments/{known}"]


def test_a_comment_that_somebody_deleted_is_written_again(client: github.GitHub, server: wire.Server) -> None:
    assert client.upsert_comment(7, MARKER, f"{MARKER}\none", comment_id=424242)
    assert bodies(server) == [f"{MARKER}\none"]


def test_an_id_of_another_pull_request_or_of_another_text_is_not_believed(
    client: github.GitHub, server: wire.Server
) -> None:
    elsewhere = put(server, body=MARKER, author=states.ACTIONS_BOT, number=8)
    other = put(server, body="an unrelated remark", author=states.ACTIONS_BOT)
    assert client.upsert_comment(7, MARKER, MARKER, comment_id=elsewhere) not in {elsewhere, other}
    assert client.upsert_comment(7, MARKER, f"{MARKER} 2", comment_id=other) not in {elsewhere, other}
    assert bodies(server) == [MARKER, "an unrelated remark", f"{MARKER} 2"]


def test_a_marker_under_another_name_is_left_alone(client: github.GitHub, server: wire.Server) -> None:
    put(server, body=f"{MARKER}\nfree money", author="mallory")
    client.upsert_comment(7, MARKER, f"{MARKER}\nours")
    assert bodies(server) == [f"{MARKER}\nfree money", f"{MARKER}\nours"]


def test_a_marker_quoted_further_down_is_not_ours(client: github.GitHub, server: wire.Server) -> None:
    put(server, body=f"a log says {MARKER}", author=states.ACTIONS_BOT)
    client.upsert_comment(7, MARKER, f"{MARKER}\nours")
    assert len(bodies(server)) == 2


def test_our_comment_is_found_on_the_last_of_many_pages(client: github.GitHub, server: wire.Server) -> None:
    for index in range(250):
        put(server, body=f"remark {index}", author="bob")
    ours = put(server, body=MARKER, author=states.ACTIONS_BOT)
    assert client.upsert_comment(7, MARKER, f"{MARKER}\nnew") == ours
    assert sent(server).count("GET /issues/7/comments") == 3


def test_a_person_with_a_token_of_their_own_finds_their_own_comment(server: wire.Server) -> None:
    server.state.logins["pat"] = "alice"
    bots = put(server, body=MARKER, author=states.ACTIONS_BOT)
    mine = put(server, body=MARKER, author="alice")
    assert conftest.connect(server, token="pat").upsert_comment(7, MARKER, f"{MARKER}\nx") == mine
    assert server.state.repositories[0].comments[bots].body == MARKER


def test_without_knowing_who_we_are_we_are_the_actions_bot(client: github.GitHub, server: wire.Server) -> None:
    ours = put(server, body=MARKER, author=states.ACTIONS_BOT)
    server.faults.add(faults.Fault(path="/graphql", status=403, message="Forbidden", times=9))
    assert client.upsert_comment(7, MARKER, f"{MARKER}\nx") == ours


def test_the_same_text_is_not_written_again(client: github.GitHub, server: wire.Server) -> None:
    known = client.upsert_comment(7, MARKER, MARKER)
    server.log.clear()
    client.upsert_comment(7, MARKER, MARKER, comment_id=known)
    assert [one["method"] for one in server.log] == ["GET"]


@pytest.mark.parametrize("kind", ["status", "drop", "html"])
def test_a_post_whose_answer_was_lost_makes_no_second_comment(
    client: github.GitHub, server: wire.Server, kind: str
) -> None:
    server.faults.add(faults.Fault(method="POST", path=COMMENTS, kind=kind, status=502, applied=True))  # type: ignore[arg-type]
    client.upsert_comment(7, MARKER, f"{MARKER}\none")
    assert bodies(server) == [f"{MARKER}\none"]
    assert sent(server).count("POST /issues/7/comments") == 1


def test_a_post_that_never_arrived_is_sent_again(client: github.GitHub, server: wire.Server) -> None:
    server.faults.add(faults.Fault(method="POST", path=COMMENTS, status=502, times=2))
    client.upsert_comment(7, MARKER, MARKER)
    assert bodies(server) == [MARKER]


def test_a_rate_limit_that_ends_soon_is_waited_for(client: github.GitHub, server: wire.Server) -> None:
    server.faults.add(faults.rate_limited(method="POST", path=COMMENTS))
    client.upsert_comment(7, MARKER, MARKER)
    assert bodies(server) == [MARKER]


def test_a_rate_limit_that_lasts_is_an_error_at_once(client: github.GitHub, server: wire.Server) -> None:
    fault = faults.rate_limited(method="POST", path=COMMENTS)
    fault.headers["Retry-After"] = "3000"
    server.faults.add(fault)
    with pytest.raises(errors.GitHubUnavailable, match="rate limit"):
        client.upsert_comment(7, MARKER, MARKER)


def test_a_list_that_breaks_off_never_leads_to_a_second_comment(client: github.GitHub, server: wire.Server) -> None:
    client.upsert_comment(7, MARKER, MARKER)
    server.faults.add(faults.Fault(method="GET", path=COMMENTS, kind="html", status=200, times=9))
    with pytest.raises(errors.GitHubUnavailable, match="can't be read"):
        client.upsert_comment(7, MARKER, f"{MARKER}\ntwo")
    assert bodies(server) == [MARKER]


def test_a_token_that_may_only_read_is_told_which_permission_it_needs(server: wire.Server) -> None:
    server.state.read_only.append("weak")
    with pytest.raises(errors.Refused) as caught:
        conftest.connect(server, token="weak").upsert_comment(7, MARKER, MARKER)
    assert "pull-requests: write" in caught.value.hint


def test_a_pull_request_that_is_not_there_is_no_endless_retry(client: github.GitHub, server: wire.Server) -> None:
    with pytest.raises(errors.GitHubUnavailable):
        client.upsert_comment(70, MARKER, MARKER)
    assert len(server.log) == 1


def test_what_is_settled_stays_as_it_is_also_when_no_comment_is_there(client: github.GitHub) -> None:
    asked: list[str] = []

    def settled(body: str) -> bool:
        asked.append(body)
        return True

    assert client.upsert_comment(7, MARKER, f"{MARKER}\none", settled=settled) == 0
    known = client.upsert_comment(7, MARKER, f"{MARKER}\none")
    assert client.upsert_comment(7, MARKER, f"{MARKER}\ntwo", settled=settled) == known
    assert asked == ["", f"{MARKER}\none"]
    assert client.comments(7, MARKER) == (f"{MARKER}\none",)
