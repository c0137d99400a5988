"""A database that has data: no push makes its volume smaller or starts another version on it."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import config as configs
from k8s_ee import errors, plan
from k8s_ee.config import model
from tests.unit.plan import facts


def claim(size: str) -> dict[str, Any]:
    return {"spec": {"resources": {"requests": {"storage": size}}}}


def running(version: str, image: str = "registry.example.com/postgresql") -> dict[str, Any]:
    """As the chart makes it."""
    container = {"name": "postgresql", "image": image, "env": [{"name": "WANTED_VERSION", "value": version}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def read(postgresql: str) -> model.Config:
    return configs.load(f"projectId: shop\ndatabases:\n  postgresql: {postgresql}\n", path="k8s-ee.yaml")


def check(postgresql: str, **cluster: Any) -> str:
    config = read(postgresql)
    asked: dict[str, Any] = {"claim": None, "running": None, **cluster}
    return plan.check_data(config, config.databases[0], facts.TARGET, **asked)


def refused(postgresql: str, **cluster: Any) -> errors.Problem:
    with pytest.raises(errors.ConfigError) as caught:
        check(postgresql, **cluster)
    (problem,) = caught.value.problems
    return problem


def test_a_database_without_data_may_be_anything() -> None:
    assert check("{storage: 64Mi, version: '16'}") == ""


def test_a_smaller_volume_is_refused_on_its_line_with_both_ways_out() -> None:
    problem = refused("{storage: 512Mi}", claim=claim("1Gi"))
    assert (problem.path, problem.line) == ("k8s-ee.yaml", 3)
    assert "volumes don't shrink" in problem.message
    assert "write 1Gi" in problem.hint
    assert "k8s-ee cleanup --pr 42" in problem.hint


def test_a_larger_one_is_not_made_and_that_is_said() -> None:
    assert "keeps its 1Gi" in check("{storage: 2Gi}", claim=claim("1Gi"))
    assert check("{storage: 1024Mi}", claim=claim("1Gi")) == ""


@pytest.mark.parametrize(("before", "asked"), [("16", "17"), ("17.2", "16")])
def test_another_major_version_is_refused_on_its_line(before: str, asked: str) -> None:
    problem = refused(f"{{version: '{asked}'}}", claim=claim("1Gi"), running=running(before))
    assert (problem.line, f"the data is of version {before}" in problem.message) == (3, True)
    assert f"write {before[:2]}" in problem.hint


def test_another_minor_version_is_not() -> None:
    assert check("{version: '17.5'}", claim=claim("1Gi"), running=running("17.2")) == ""


def test_the_version_of_the_default_image_is_known_and_that_of_a_platforms_own_is_not() -> None:
    default = running("", image=plan.ENGINES["postgresql"].default_image)
    assert "of version 17" in refused("{version: '16'}", claim=claim("1Gi"), running=default).message
    assert check("{version: '16'}", claim=claim("1Gi"), running=running("")) == ""


def test_the_version_is_read_where_the_chart_writes_it() -> None:
    wanted = model.Database("postgresql", version="16")
    made = facts.only(facts.rendered(facts.config(databases=(wanted,))), "StatefulSet")
    assert "of version 16" in refused("{version: '17'}", claim=claim("1Gi"), running=made).message
