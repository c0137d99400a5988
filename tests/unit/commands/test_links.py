"""Where the app has no ingress there is no link, and nothing shows one."""

from __future__ import annotations

import dataclasses

import pytest

from k8s_ee import environment, outcome, plan, report, settings
from k8s_ee.commands import session
from k8s_ee.config import model

PLATFORM = model.Platform(domain="preview.example")
ASKED = settings.Settings(number=7, repository="acme/shop", repository_id=1, head_sha="a" * 40)


def target(*, ingress: bool) -> environment.Environment:
    wanted = model.Config(project=environment.ProjectId("shop"), ingress=model.Ingress(enabled=ingress))
    return session.identify(ASKED, wanted=wanted, platform=PLATFORM)


def listed(wanted: environment.Environment) -> str:
    """What is read back from the namespace that a deploy makes."""
    manifest = plan.namespace(wanted, PLATFORM)
    stamped = {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return environment.from_namespace({"metadata": {**manifest["metadata"], **stamped}}).url


@pytest.mark.parametrize(("ingress", "url"), [(True, "https://shop-pr-7.preview.example"), (False, "")])
def test_a_list_shows_the_link_that_there_is(ingress: bool, url: str) -> None:
    assert listed(target(ingress=ingress)) == target(ingress=ingress).url == url


def test_a_failed_deploy_names_what_serves_without_a_link() -> None:
    failed = outcome.Outcome(
        command="up",
        state="failed",
        environment=target(ingress=False),
        serving_sha="b" * 40,
        failure=outcome.Failure("the app crashes", exit_code=4),
    )
    said = report.comment(failed, report.Facts())
    assert "still serves." in said
    assert "<>" not in said
    routed = dataclasses.replace(failed, environment=target(ingress=True))
    assert "still serves at <https://shop-pr-7.preview.example>." in report.comment(routed, report.Facts())
