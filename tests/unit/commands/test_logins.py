"""The Secrets of databases, and who reads which; what databases make of them is in tests/cluster/test_rotating.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from k8s_ee import environment, errors, plan
from k8s_ee.commands import databases, logins, rotating, secrecy, session
from k8s_ee.config import model
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import commands

REDIS = plan.ENGINES["redis"]
MARIADB = plan.ENGINES["mariadb"]
NAMESPACE = "shop-pr-7"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
APPS = f"/apis/apps/v1/namespaces/{NAMESPACE}"
CLAIM = {"metadata": {"name": REDIS.claim}, "spec": {"resources": {"requests": {"storage": "64Mi"}}}}


@dataclasses.dataclass
class Home:
    """The environment of one pull request, with a Redis in its config."""

    world: sweeps.World

    def ctx(self, *, dry_run: bool = False) -> session.Session:
        facts: dict[str, Any] = {"number": 7, "repository": "acme/shop", "repository_id": 42, "head_sha": "a" * 40}
        ctx = self.world.session(after=sweeps.HOUR, dry_run=dry_run, **facts)
        redis = model.Database("redis", storage="64Mi")
        ctx.__dict__["config"] = model.Config(project=environment.ProjectId("shop"), databases=(redis,))
        return ctx

    def deploy(self, **options: bool) -> session.Session:
        ctx = self.ctx(**options)
        databases.apply(ctx, {"redis": ()})
        return ctx

    def secret(self, name: str) -> dict[str, str]:
        return secrecy.decoded(self.world.kube.objects[SECRETS, name])

    @property
    def secrets(self) -> list[str]:
        return sorted(name for collection, name in self.world.kube.objects if collection == SECRETS)

    def login(self) -> dict[str, Any]:
        return self.world.kube.objects[SECRETS, REDIS.login]

    def put_next(self, password: str) -> None:
        """As somebody else who changes it at the same time."""
        found = self.login()
        self.world.kube.put(SECRETS, {**found, "data": found["data"] | plan.logins.beginning(password)["data"]})

    def run_redis(self, secret: str = REDIS.login) -> None:
        self.run(REDIS, secret)

    def run(self, engine: plan.Engine, secret: str = "") -> None:
        volumes = [{"name": "credentials", "secret": {"secretName": secret or engine.login}}]
        spec = {"template": {"spec": {"volumes": volumes}}}
        self.world.kube.put(f"{APPS}/statefulsets", {"metadata": {"name": engine.name}, "spec": spec})
        self.world.kube.put(f"/api/v1/namespaces/{NAMESPACE}/pods", {"metadata": {"name": engine.pod}})

    def run_app(self, commit: str = "") -> None:
        """Which is ready, whatever it is told."""
        secret = {"secretRef": {"name": REDIS.secret}}
        template: dict[str, Any] = {"spec": {"containers": [{"name": "app", "envFrom": [secret]}]}}
        if commit:
            template["metadata"] = {"annotations": {environment.HEAD_SHA: commit}}
        spec = {"replicas": 2, "template": template}
        metadata = {"name": "app", "namespace": NAMESPACE, "generation": 1}
        app = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
        status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        self.world.kube.put(f"{APPS}/deployments", {**app, "status": status})

    @property
    def app(self) -> dict[str, Any]:
        return dict(self.world.kube.objects[f"{APPS}/deployments", "app"]["spec"])


@pytest.fixture
def home(world: sweeps.World) -> Home:
    world.put(7)
    return Home(world)


def test_the_first_deploy_makes_a_login_and_gives_the_app_the_same_and_a_second_changes_nothing(home: Home) -> None:
    ctx = home.deploy()
    before = {name: home.secret(name) for name in home.secrets}
    assert before[REDIS.login] == before[REDIS.secret] != {}
    assert ctx.redactor.redact(before[REDIS.login]["REDIS_PASSWORD"]) == "***"
    home.deploy()
    assert {name: home.secret(name) for name in home.secrets} == before


def test_what_the_app_reads_is_made_again_from_the_login(home: Home) -> None:
    home.deploy()
    before = home.secret(REDIS.secret)
    home.world.kube.remove(SECRETS, REDIS.secret)
    home.deploy()
    assert home.secret(REDIS.secret) == before


def test_an_environment_of_before_there_were_logins_keeps_its_password(home: Home) -> None:
    home.deploy()
    before = home.secret(REDIS.secret)
    home.world.kube.remove(SECRETS, REDIS.login)
    home.world.kube.put(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", CLAIM)
    assert logins.named(REDIS, logins.read(home.ctx(), NAMESPACE)["redis"]) == REDIS.secret
    home.deploy()
    assert home.secret(REDIS.login) == before


def test_data_without_a_password_is_refused_and_gets_none(home: Home) -> None:
    home.world.kube.put(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims", CLAIM)
    with pytest.raises(errors.Refused, match="not its password"):
        home.deploy()
    assert home.secrets == []


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("name", [REDIS.login, REDIS.secret])
def test_a_secret_that_can_not_be_read_is_not_one_that_is_absent(home: Home, name: str, status: int) -> None:
    home.world.kube.fail("GET", f"{SECRETS}/{name}", status, times=9)
    with pytest.raises((errors.Refused, errors.ClusterUnavailable)):
        home.deploy()
    assert home.world.kube.writes == []


def test_of_two_that_begin_at_once_both_go_on_with_one_password_which_both_hide(home: Home) -> None:
    home.deploy()
    ctx = home.ctx()
    home.world.kube.meanwhile("PATCH", f"{SECRETS}/{REDIS.login}", lambda: home.put_next("their-password"))
    begun = logins.begin(ctx, REDIS, logins.current(ctx, NAMESPACE, REDIS))
    assert plan.logins.pending(begun) == "their-password"
    assert "their-password" not in ctx.redactor.redact("it is their-password")
    assert logins.named(REDIS, begun) == "redis-credentials-v2"
    assert logins.begin(ctx, REDIS, begun) == begun


def test_the_app_is_rolled_once_and_what_somebody_changes_meanwhile_is_kept(home: Home) -> None:
    home.run_app()
    ctx = home.ctx()

    def scale() -> None:
        app = home.world.kube.objects[f"{APPS}/deployments", "app"]
        home.world.kube.put(f"{APPS}/deployments", {**app, "spec": {**app["spec"], "replicas": 0}})

    home.world.kube.meanwhile("PATCH", "deployments/app", scale)
    names = {"redis": "redis-credentials-v2"}
    assert logins.roll(ctx, NAMESPACE, names)
    (container,) = home.app["template"]["spec"]["containers"]
    assert (container["envFrom"], home.app["replicas"]) == ([{"secretRef": {"name": "redis-credentials-v2"}}], 0)
    writes = len(home.world.kube.writes)
    assert logins.roll(ctx, NAMESPACE, names)
    assert len(home.world.kube.writes) == writes


def test_an_app_whose_status_keeps_changing_is_rolled_in_the_end(home: Home) -> None:
    home.run_app()
    home.world.kube.fail("PATCH", "deployments/app", 409, times=6)
    assert logins.roll(home.ctx(), NAMESPACE, {"redis": "redis-credentials-v2"})
    (container,) = home.app["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "redis-credentials-v2"}}]


def test_without_an_app_nothing_is_rolled(home: Home) -> None:
    assert not logins.roll(home.ctx(), NAMESPACE, {"redis": "redis-credentials-v2"})


def refused(home: Home, kind: type[errors.K8sEEError], *engines: str) -> str:
    with pytest.raises(kind) as caught:
        rotating.rotate(home.ctx(), engines=engines)
    assert home.world.kube.of("PATCH") == []
    return f"{caught.value.message} {caught.value.hint}"


def test_what_can_not_be_given_another_password_is_refused_with_why_and_left_as_it_is(home: Home) -> None:
    home.deploy()
    assert "runs no redis of its own" in refused(home, errors.InputError, "redis")
    assert "there is no database oracle" in refused(home, errors.InputError, "oracle", "redis")
    home.run_redis(secret=REDIS.secret)
    assert "deploy it again" in refused(home, errors.Refused)
    home.run_redis()
    login = home.login()
    home.world.kube.remove(SECRETS, REDIS.login)
    assert "redis-login is gone" in refused(home, errors.Refused)
    home.world.kube.put(SECRETS, login)
    home.world.put(7, asleep_since=sweeps.text(sweeps.CREATED))
    assert "wake it first" in refused(home, errors.Refused)


def test_a_dry_run_is_checked_by_the_api_server_and_changes_nothing(home: Home) -> None:
    home.deploy()
    home.run_redis()
    home.run_app()
    before = home.secret(REDIS.login), home.app
    result = rotating.rotate(home.ctx(dry_run=True), engines=())
    assert (result.state, result.data["environments"][0]["secrets"]) == ("planned", "redis-credentials-v2")
    assert [one.query.get("dryRun") for one in home.world.kube.of("PATCH")] == ["All"]
    assert (home.secret(REDIS.login), home.app) == before


def test_a_database_that_keeps_its_password_does_not_keep_the_app_from_that_of_another(home: Home) -> None:
    """Whose server has it by then, and refuses the one before."""
    home.deploy()
    ctx = home.ctx()
    mariadb = plan.logins.login(MARIADB, ctx.target(), token=lambda: "of-mariadb")
    home.world.kube.put(SECRETS, mariadb)
    for engine in (MARIADB, REDIS):
        home.run(engine)
    home.run_app()

    def run(command: commands.Command) -> commands.Ended:
        broken = command.pod == MARIADB.pod and "password.sh" in command.text
        return commands.Ended(1, stderr=b"ERROR 1041") if broken else commands.Ended()

    home.world.kube.run = run
    with pytest.raises(errors.NotReady, match="mariadb did not change its password"):
        rotating.rotate(ctx, engines=())
    (container,) = home.app["template"]["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "redis-credentials-v2"}}]
    assert plan.logins.number(home.login()) == 2
    assert "redis-credentials-v1" not in home.secrets
    assert plan.logins.pending(home.world.kube.objects[SECRETS, MARIADB.login])
