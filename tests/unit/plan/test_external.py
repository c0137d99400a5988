"""A database that is there already: nothing is deployed for it, and the app finds it by its team's Secret."""

from __future__ import annotations

import dataclasses
from typing import Any

from k8s_ee import plan
from k8s_ee.config import model
from tests.unit.plan import facts

EXTERNAL = facts.config(databases=(model.Database(engine="postgresql", external="orders-database"),))


def policies(platform: model.Platform) -> dict[str, Any]:
    fence = plan.fence(facts.TARGET, EXTERNAL, platform)
    return {one["metadata"]["name"]: one["spec"] for one in fence if one["kind"] == "NetworkPolicy"}


def test_nothing_is_deployed_for_it() -> None:
    kinds = {one["kind"] for one in facts.rendered(EXTERNAL)}
    assert not kinds & {"StatefulSet", "Secret"}


def test_the_app_gets_its_secret_and_waits_for_it_by_that_secret() -> None:
    spec = facts.pods(facts.rendered(EXTERNAL))["Deployment"]["spec"]
    assert {"secretRef": {"name": "orders-database"}} in spec["containers"][0]["envFrom"]
    (waiting,) = spec["initContainers"]
    (mount,) = (one for one in waiting["volumeMounts"] if one["mountPath"] == "/etc/k8s-ee/credentials")
    (volume,) = (one for one in spec["volumes"] if one["name"] == mount["name"])
    assert volume["secret"]["secretName"] == "orders-database"
    assert "HOST" not in {one["name"] for one in waiting["env"]}


def test_it_needs_no_quota_but_what_waits_for_it_does() -> None:
    without = facts.config()
    hard, less = (plan.fence(facts.TARGET, one, facts.PLATFORM)[1]["spec"]["hard"] for one in (EXTERNAL, without))
    assert hard == less  # the app's own pod asks for more than what waits in it
    assert (hard["persistentvolumeclaims"], hard["requests.storage"]) == ("0", "0")


def test_beside_the_internet_it_is_reached_only_where_the_platform_says() -> None:
    assert "external-databases" not in policies(facts.PLATFORM)
    there = model.ExternalDatabases(cidrs=("10.20.30.0/24",), namespaces=("databases",))
    spec = policies(dataclasses.replace(facts.PLATFORM, external_databases=there))["external-databases"]
    assert spec["policyTypes"] == ["Egress"]
    (rule,) = spec["egress"]
    assert rule["to"] == [
        {"ipBlock": {"cidr": "10.20.30.0/24"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "databases"}}},
    ]


def test_an_environment_without_one_reaches_nothing_more() -> None:
    there = dataclasses.replace(facts.PLATFORM, external_databases=model.ExternalDatabases(cidrs=("10.20.30.0/24",)))
    names = {one["metadata"]["name"] for one in plan.fence(facts.TARGET, facts.FULL, there)}
    assert "external-databases" not in names


def test_the_plan_names_it() -> None:
    assert plan.summary(facts.TARGET, EXTERNAL, facts.PLATFORM)["databases"] == [
        {"engine": "postgresql", "external": "orders-database"}
    ]
