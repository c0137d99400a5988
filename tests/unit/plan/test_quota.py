"""The quota: enough for every moment of a deploy, and no more than what is enabled."""

from __future__ import annotations

import decimal
from typing import Any

import hypothesis
from hypothesis import strategies as st

from k8s_ee import plan
from k8s_ee.config import model, quantities
from tests.unit.plan import facts


def hard(config: model.Config) -> dict[str, str]:
    quota = facts.only(list(plan.fence(facts.TARGET, config, facts.PLATFORM)), "ResourceQuota")
    return dict(quota["spec"]["hard"])


def test_one_app_has_room_for_the_old_the_new_and_the_surge_pod() -> None:
    found = hard(facts.config())
    assert found["pods"] == "3"
    assert (found["requests.cpu"], found["requests.memory"]) == ("300m", "384Mi")
    assert (found["limits.cpu"], found["limits.memory"]) == ("1500m", "1536Mi")


def test_a_database_adds_itself_and_its_volume_once() -> None:
    without, with_one = hard(facts.config()), hard(facts.config(databases=(facts.POSTGRESQL,)))
    assert int(with_one["pods"]) - int(without["pods"]) == 1
    assert (without["persistentvolumeclaims"], without["requests.storage"]) == ("0", "0")
    assert (with_one["persistentvolumeclaims"], with_one["requests.storage"]) == ("1", "1Gi")


def test_a_migration_adds_itself_and_one_that_a_killed_run_left() -> None:
    assert hard(facts.config(app=model.App(migrate=("m",))))["pods"] == "5"


def test_nothing_is_published_past_the_ingress() -> None:
    found = hard(facts.FULL)
    assert (found["services.loadbalancers"], found["services.nodeports"]) == ("0", "0")


def test_no_container_of_ours_exceeds_the_limit_range_even_on_a_mean_platform() -> None:
    mean = model.Platform(domain="x.example", max_cpu="100m", max_memory="64Mi")
    limits = facts.only(list(plan.fence(facts.TARGET, facts.FULL, mean)), "LimitRange")["spec"]["limits"][0]
    for template in facts.pods(facts.rendered(facts.FULL)).values():
        for container in facts.containers(template):
            for name, most in limits["max"].items():
                assert quantities.parse(container["resources"]["limits"][name]) <= quantities.parse(most)


def test_while_a_smaller_config_is_rolled_out_what_the_larger_one_had_may_stay() -> None:
    def quota(cpu: str, memory: str) -> dict[str, Any]:
        limits = model.Quantities(cpu=cpu, memory=memory)
        config = facts.config(resources=model.Resources(requests=limits, limits=limits))
        return facts.only(list(plan.fence(facts.TARGET, config, facts.PLATFORM)), "ResourceQuota")

    small, large = quota("100m", "2Gi"), quota("1", "512Mi")
    between = plan.widened(small, large)
    assert between["metadata"] == small["metadata"]
    assert between["spec"]["hard"]["limits.cpu"] == large["spec"]["hard"]["limits.cpu"]
    assert between["spec"]["hard"]["limits.memory"] == small["spec"]["hard"]["limits.memory"]
    assert plan.widened(small, {}) == small


def test_a_database_that_is_exchanged_for_another_has_room_beside_it_while_what_serves_uses_it() -> None:
    def fence(*names: str) -> dict[str, Any]:
        config = facts.config(databases=tuple(model.Database(name) for name in names))
        return facts.only(list(plan.fence(facts.TARGET, config, facts.PLATFORM)), "ResourceQuota")

    config = facts.config(databases=(model.Database("mariadb"),))
    found = plan.beside(fence("mariadb"), config, ["postgresql", "mariadb", "of-somebody-else"])
    both, compute = fence("mariadb", "postgresql"), ("pods", "requests.cpu", "limits.memory")
    assert [found["spec"]["hard"][key] for key in compute] == [both["spec"]["hard"][key] for key in compute]
    assert plan.beside(fence("mariadb"), config, ["mariadb"])["spec"] == fence("mariadb")["spec"]


CPU = st.sampled_from(["1m", "25m", "100m", "0.5", "1", "1.5", "2"])
MEMORY = st.sampled_from(["4Mi", "100M", "128Mi", "1G", "1Gi", "1.5Gi", "1048577"])


@st.composite
def configs(draw: st.DrawFn) -> model.Config:
    cpu = sorted((draw(CPU), draw(CPU)), key=quantities.parse)
    memory = sorted((draw(MEMORY), draw(MEMORY)), key=quantities.parse)
    return facts.config(
        app=model.App(replicas=draw(st.integers(1, 5)), migrate=draw(st.sampled_from([(), ("m",)]))),
        databases=draw(st.sampled_from([(), (model.Database("postgresql", storage="512Mi"),)])),
        resources=model.Resources(
            requests=model.Quantities(cpu=cpu[0], memory=memory[0]),
            limits=model.Quantities(cpu=cpu[1], memory=memory[1]),
        ),
    )


def pod_needs(template: dict[str, Any], side: str, resource: str) -> decimal.Decimal:
    """As the quota counts a pod: its containers together, or its hungriest init container."""
    spec = template["spec"]
    own = [quantities.parse(one["resources"][side][resource]) for one in spec["containers"]]
    waiting = [quantities.parse(one["resources"][side][resource]) for one in spec.get("initContainers", [])]
    return max([sum(own, start=decimal.Decimal()), *waiting])


@hypothesis.given(configs())
@hypothesis.settings(max_examples=20, deadline=None)
def test_the_worst_moment_of_any_rolling_update_fits(config: model.Config) -> None:
    """All old pods still ending, all new ones there, a surge pod, two migrations, each database."""
    manifests = facts.rendered(config)
    templates = facts.pods(manifests)
    deployment = facts.only(manifests, "Deployment")
    surge = deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    counts = {"Deployment": 2 * deployment["spec"]["replicas"] + surge, "Job": 2, "StatefulSet": 1}
    found = hard(config)
    assert sum(counts[kind] for kind in templates) <= int(found["pods"])
    for side in ("requests", "limits"):
        for resource in ("cpu", "memory"):
            needed = sum(counts[kind] * pod_needs(one, side, resource) for kind, one in templates.items())
            assert needed <= quantities.parse(found[f"{side}.{resource}"])


def test_volumes_of_databases_that_are_not_deployed_any_more_stay_and_count() -> None:
    config = facts.config(databases=(model.Database("redis", storage="1Gi"),))
    (quota,) = (one for one in plan.fence(facts.TARGET, config, facts.PLATFORM) if one["kind"] == "ResourceQuota")
    claims = [
        {"metadata": {"name": plan.ENGINES[engine].claim}, "spec": {"resources": {"requests": {"storage": "512Mi"}}}}
        for engine in ("redis", "mariadb")
    ]
    assert plan.holding(quota, config, [])["spec"] == quota["spec"]
    hard = plan.holding(quota, config, claims)["spec"]["hard"]
    assert (hard["persistentvolumeclaims"], hard["requests.storage"]) == ("2", "1536Mi")
