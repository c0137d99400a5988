"""Which values of a database's Secret never show in anything we print."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from k8s_ee import errors, plan
from k8s_ee.commands import inspect, logins, secrecy
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture


class Hidden:
    """Takes the place of the session, of which nothing but this is asked."""

    def __init__(self) -> None:
        self.values: set[str] = set()

    def hide(self, *values: str) -> None:
        self.values |= set(values)


def hidden(engine: str, values: dict[str, str]) -> set[str]:
    session: Any = Hidden()
    secrecy.hide(session, plan.ENGINES[engine], values)
    found: set[str] = session.values
    return found


@pytest.mark.parametrize("engine", sorted(plan.ENGINES))
def test_the_password_is_hidden_by_itself_and_wherever_it_is_in(engine: str) -> None:
    values = dict(plan.ENGINES[engine].env("S3cret-_x"))
    found = hidden(engine, values)
    assert found == {"S3cret-_x"} | {value for value in values.values() if "S3cret-_x" in value}


def test_a_password_that_is_quoted_in_a_url_is_hidden_in_both_forms() -> None:
    values = {"PGPASSWORD": "p/w@1", "DATABASE_URL": "postgresql://app:p%2Fw%401@db/app", "PGPORT": "5432"}
    assert hidden("postgresql", values) == {"p/w@1", "postgresql://app:p%2Fw%401@db/app"}


def test_a_password_that_is_only_in_a_url_is_hidden_too() -> None:
    url = "mongodb+srv://team:p%2Fw@cluster.example.net/orders"
    assert hidden("mongodb", {"MONGODB_URL": url, "MONGODB_DATABASE": "orders"}) == {url, "p/w"}


def test_what_is_no_url_is_no_error_and_nothing_of_it_is_hidden() -> None:
    assert hidden("redis", {"REDIS_PORT": "6379", "REDIS_HOST": "//[broken"}) == set()


def test_a_key_store_in_a_secret_is_no_error() -> None:
    secret = {"data": {"ca.p12": base64.b64encode(b"\x30\x82\xff").decode(), "PGPASSWORD": "cGFzcw=="}}
    assert secrecy.decoded(secret)["PGPASSWORD"] == "pass"


def test_a_secret_that_may_not_be_read_is_said_after_all_others_are_hidden(world: sweeps.World) -> None:
    ctx = world.session(after=sweeps.HOUR)
    path = "/api/v1/namespaces/shop-pr-7/secrets"
    world.kube.fail("GET", f"{path}/postgresql-login", 403)
    world.kube.objects[path, "redis-credentials-v1"] = {
        "metadata": {"name": "redis-credentials-v1", "namespace": "shop-pr-7"},
        "data": {"REDIS_PASSWORD": base64.b64encode(b"S3cret-_x").decode()},
    }
    with pytest.raises(errors.Refused, match="postgresql-login"):
        logins.read(ctx, "shop-pr-7")
    assert "S3cret" not in ctx.redactor.redact("as S3cret-_x")
    logins.read(ctx, "shop-pr-7", ["redis"])


def test_of_a_database_that_is_there_already_the_password_is_hidden_where_it_may_be_read(world: sweeps.World) -> None:
    namespace = "shop-pr-7"
    volumes = [{"name": "tmp", "emptyDir": {}}, {"name": "mongodb", "secret": {"secretName": "theirs"}}]
    world.kube.objects[f"/apis/apps/v1/namespaces/{namespace}/deployments", "app"] = {
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"template": {"spec": {"volumes": volumes}}},
    }
    world.kube.objects[f"/api/v1/namespaces/{namespace}/secrets", "theirs"] = {
        "metadata": {"name": "theirs", "namespace": namespace},
        "data": {"MONGODB_URL": base64.b64encode(b"mongodb://team:p%2Fw-1@db/x").decode()},
    }
    ctx = world.session(after=sweeps.HOUR)
    inspect.hide_credentials(ctx, namespace)
    assert ctx.redactor.redact("by p/w-1") == "by ***"
    assert not ctx.notes
    world.kube.fail("GET", f"/api/v1/namespaces/{namespace}/secrets/theirs", 403)
    refused = world.session(after=sweeps.HOUR)
    inspect.hide_credentials(refused, namespace)
    assert refused.notes == ["the passwords of shop-pr-7 may not be read, and so could not be taken out"]
