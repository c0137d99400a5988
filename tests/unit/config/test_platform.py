"""The platform's settings."""

from __future__ import annotations

import datetime
import textwrap

import pytest

from k8s_ee import config, errors, lifecycle
from k8s_ee.config import model

EVERYTHING = """\
domain: preview.example.com
scheme: http
ingress:
  className: traefik
  namespace: traefik
  podLabels: {app: traefik}
  allowedAnnotations: [example.com/size]
  address: 10.0.0.80:8080
registries: [registry.example.com/acme, "registry.example.com:5000"]
imagePullSecrets: [registry]
storageClass: fast
engineImages: {postgresql: "mirror.example.com/postgres:17"}
limits: {cpu: 4, memory: 8Gi, storage: 20Gi}
allowed: {ownerIds: [1, 2], repositoryIds: [3]}
lifecycle: {sleepAfter: "off", softTtl: 90m, hardTtl: 14d, preserveLimit: 5}
podSecurity: baseline
metricsNamespace: observability
clusterCidrs: [203.0.113.0/24, "2001:db8::/32"]
priorityClass: low
"""


def problems(text: str) -> list[errors.Problem]:
    with pytest.raises(errors.ConfigError) as caught:
        config.load_platform(textwrap.dedent(text), path="platform.yaml")
    return list(caught.value.problems)


def test_every_key_has_its_place_in_the_model() -> None:
    assert config.load_platform(EVERYTHING, path="p") == model.Platform(
        domain="preview.example.com",
        scheme="http",
        ingress=model.PlatformIngress(
            class_name="traefik",
            namespace="traefik",
            pod_labels={"app": "traefik"},
            allowed_annotations=("example.com/size",),
            address="10.0.0.80:8080",
        ),
        registries=("registry.example.com/acme", "registry.example.com:5000"),
        image_pull_secrets=("registry",),
        storage_class="fast",
        engine_images={"postgresql": "mirror.example.com/postgres:17"},
        max_cpu="4",
        max_memory="8Gi",
        max_storage="20Gi",
        allowed_owner_ids=(1, 2),
        allowed_repository_ids=(3,),
        lifecycle=lifecycle.Policy(
            sleep_after=None,
            soft_ttl=datetime.timedelta(minutes=90),
            hard_ttl=datetime.timedelta(days=14),
            preserve_limit=5,
        ),
        pod_security="baseline",
        metrics_namespace="observability",
        cluster_cidrs=("203.0.113.0/24", "2001:db8::/32"),
        priority_class="low",
    )


def test_a_domain_is_enough_and_nobody_is_allowed() -> None:
    loaded = config.load_platform("domain: example.com", path="p")
    assert loaded == model.Platform(domain="example.com")
    assert not loaded.allowed_owner_ids + loaded.allowed_repository_ids


@pytest.mark.parametrize(
    "domain",
    ["https://x.com", ".x.com", "'*.x.com'", "X.com", "x.com/", "x..com", "'x.com\\n'", "x.com:80", '""', "x_y.com"],
)
def test_a_domain_is_a_domain(domain: str) -> None:
    assert "expected a domain name in lower case" in problems(f"domain: {domain}")[0].message


@pytest.mark.parametrize("number", ["0", "-1", '"1"', "1.0", "acme", "01"])
def test_owners_are_numbers(number: str) -> None:
    (found,) = problems(f"domain: a\nallowed:\n  ownerIds: [{number}]")
    assert (found.line, found.column) == (3, 14)


@pytest.mark.parametrize("cidr", ["10.0.0.0/33", "10.0.0.1/8", "300.0.0.0/8", "10.0.0.0", "::/129"])
def test_a_range_is_one_that_exists(cidr: str) -> None:
    (found,) = problems(f"domain: a\nclusterCidrs:\n  - 10.0.0.0/8\n  - '{cidr}'\n")
    assert found.line == 4


@pytest.mark.parametrize("registry", ["https://x.com", "x.com/", "X.com", "x.com/a:tag", "x.com//a", "a" * 300, '""'])
def test_a_registry_is_a_host_with_or_without_a_path(registry: str) -> None:
    assert "registries.0" in problems(f"domain: a\nregistries: ['{registry}']")[0].message


def test_keys_of_the_repositories_file_are_not_suggested() -> None:
    (found,) = problems("domain: a\nhealthcheck: x")
    assert found.hint.startswith("allowed here: domain, scheme, ingress")


def test_a_finalizer_is_an_orphan_of_a_deployment_or_of_an_api() -> None:
    given = "{a.example.com/x: deployment/operators/a, b.example.com/y: apiservice/v1.b.example.com}"
    loaded = config.load_platform(f"domain: example.com\nlifecycle:\n  orphanedFinalizers: {given}", path="p")
    assert loaded.lifecycle.orphaned_finalizers == (
        lifecycle.OrphanedFinalizer("a.example.com/x", deployment="operators/a"),
        lifecycle.OrphanedFinalizer("b.example.com/y", api_service="v1.b.example.com"),
    )


@pytest.mark.parametrize(
    "served_by",
    ["operators/a", "deployment/a", "apiservice/b.example.com", "apiservice/vault.example.com", "pod/a/b", '""'],
)
def test_what_serves_a_finalizer_can_be_looked_up(served_by: str) -> None:
    given = f"domain: a\nlifecycle:\n  orphanedFinalizers:\n    a.example.com/x: {served_by}\n"
    assert "expected deployment/NAMESPACE/NAME or apiservice/VERSION.GROUP" in problems(given)[0].message
