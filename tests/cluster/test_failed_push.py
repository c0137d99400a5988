"""A push that fails leaves the version that serves all that it needs."""

from __future__ import annotations

import pytest

from tests.cluster import cli

pytestmark = pytest.mark.cluster


def test_a_push_that_fails_closes_nothing_to_the_version_that_serves(preview: cli.Preview) -> None:
    base = preview.installed.sandbox.images["base"]

    def policies() -> set[str]:
        return {*preview.kubectl("get", "networkpolicies", "-o", "jsonpath={.items[*].metadata.name}").split()}

    preview.configure(cli.small())
    preview.up(image=base)
    preview.configure(cli.small("raise SystemExit(1)") | {"ingress": {"enabled": False}})
    failed = preview.run("up", image=base)
    assert (failed.code, "still serves" in failed.said) == (4, True), failed.said
    assert "ingress-controller" in policies()
    assert preview.ask("/")[0] == 200
    preview.configure(cli.small() | {"ingress": {"enabled": False}})
    preview.up(image=base)
    assert "ingress-controller" not in policies()
    assert "default-deny" in policies()
