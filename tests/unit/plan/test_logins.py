"""A password and the one after it: what is in which Secret."""

from __future__ import annotations

import base64
import copy

import pytest

from k8s_ee import environment, plan
from k8s_ee.commands import secrecy
from k8s_ee.plan import logins
from tests.unit.plan import facts

POSTGRESQL = plan.ENGINES["postgresql"]
EACH = pytest.mark.parametrize("engine", plan.ENGINES.values(), ids=plan.ENGINES)


def login(engine: plan.Engine = POSTGRESQL, word: str = "one") -> facts.Manifest:
    return logins.login(engine, facts.TARGET, lambda: word)


def with_next(engine: plan.Engine = POSTGRESQL) -> facts.Manifest:
    made = login(engine)
    return {**made, "data": made["data"] | logins.beginning("two")["data"]}


@EACH
def test_the_app_gets_what_the_server_has_and_never_what_is_to_come(engine: plan.Engine) -> None:
    for made in (login(engine), with_next(engine)):
        given = logins.credentials(engine, made)
        assert secrecy.decoded(given) == engine.env("one")
        assert (given["metadata"]["name"], given["immutable"]) == (f"{engine.name}-credentials-v1", True)


@EACH
def test_after_the_change_every_variable_has_the_next_password_under_the_next_number(engine: plan.Engine) -> None:
    changed = logins.following(engine, with_next(engine))
    assert (logins.number(changed), logins.pending(changed)) == (2, "")
    given = logins.credentials(engine, changed)
    assert (given["metadata"]["name"], secrecy.decoded(given)) == (f"{engine.name}-credentials-v2", engine.env("two"))
    assert logins.following(engine, changed) == changed


def test_ending_takes_the_next_password_away_in_the_same_write() -> None:
    changes = logins.ending(logins.following(POSTGRESQL, with_next()))
    assert changes["metadata"]["annotations"][environment.CREDENTIALS] == "2"
    assert changes["data"][logins.NEXT] is None
    assert base64.b64decode(changes["data"]["PGPASSWORD"]) == b"two"


def test_one_that_was_made_before_there_were_logins_keeps_its_bytes() -> None:
    first = logins.credentials(POSTGRESQL, login(word="old"))
    adopted = logins.adopted(POSTGRESQL, facts.TARGET, first)
    assert adopted["data"] == first["data"]
    assert logins.credentials(POSTGRESQL, adopted) == first


def test_a_login_restored_by_hand_counts_as_the_first() -> None:
    made = login()
    del made["metadata"]["annotations"], made["metadata"]["labels"]
    assert logins.credentials(POSTGRESQL, made)["metadata"]["name"] == "postgresql-credentials-v1"
    assert logins.number(logins.following(POSTGRESQL, {**made, "data": with_next()["data"]})) == 2


def test_a_pod_template_reads_the_other_secrets_everywhere_and_is_the_same_otherwise() -> None:
    manifests = facts.rendered(facts.FULL)
    before = copy.deepcopy(manifests)
    names = {"postgresql": "postgresql-credentials-v7", "redis": "redis-credentials-v2"}
    template = facts.pods(manifests)["Deployment"]
    changed = logins.reading(template, names)
    assert str(changed) == str(template).replace("postgresql-credentials-v1", "postgresql-credentials-v7")
    assert str(changed).count("postgresql-credentials-v7") == 2
    assert logins.reading(template, {"redis": "redis-credentials-v2"}) == template
    assert manifests == before
