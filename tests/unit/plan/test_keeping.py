"""A database that has data: no push makes its volume smaller or starts another version on it."""

from __future__ import annotations

from typing import Any

import pytest

from k8s_ee import config as configs
from k8s_ee import errors, plan
from k8s_ee.config import model
from k8s_ee.plan import keeping
from tests.unit.plan import facts


def claim(size: str, *, has: str = "", version: str = "") -> dict[str, Any]:
    """`has` is what the volume really has, `version` what was noted on it."""
    metadata = {"annotations": {"k8s-ee/database-version": version}} if version else {}
    status = {"capacity": {"storage": has or size}}
    return {"metadata": metadata, "spec": {"resources": {"requests": {"storage": size}}}, "status": status}


def running(version: str, image: str = "registry.example.com/postgresql", *, ready: int = 1) -> dict[str, Any]:
    """As the chart makes it."""
    container = {"name": "postgresql", "image": image, "env": [{"name": "WANTED_VERSION", "value": version}]}
    status = {"readyReplicas": ready, "currentRevision": "a", "updateRevision": "a"}
    return {"spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}, "status": status}


def read(settings: str, *, engine: str = "postgresql") -> model.Config:
    return configs.load(f"projectId: shop\ndatabases:\n  {engine}: {settings}\n", path="k8s-ee.yaml")


def check(settings: str, *, engine: str = "postgresql", **cluster: Any) -> None:
    config = read(settings, engine=engine)
    asked: dict[str, Any] = {"claim": None, "running": None, **cluster}
    plan.check_data(config, config.databases[0], facts.TARGET, facts.PLATFORM, **asked)


def refused(settings: str, **cluster: Any) -> errors.Problem:
    with pytest.raises(errors.ConfigError) as caught:
        check(settings, **cluster)
    (problem,) = caught.value.problems
    return problem


def test_a_database_without_data_may_be_anything() -> None:
    check("{storage: 64Mi, version: '16'}")


def test_a_smaller_volume_is_refused_on_its_line_with_both_ways_out() -> None:
    problem = refused("{storage: 512Mi}", claim=claim("1Gi"))
    assert (problem.path, problem.line) == ("k8s-ee.yaml", 3)
    assert "volumes don't shrink" in problem.message
    assert "write 1Gi" in problem.hint
    assert "k8s-ee reset-db " in problem.hint
    assert "k8s-ee cleanup --pr 42" in problem.hint


def grows(settings: str, claim: dict[str, Any] | None) -> bool:
    return keeping.grows(read(settings).databases[0], claim)


def test_a_larger_one_grows_until_it_has_grown() -> None:
    assert grows("{storage: 2Gi}", claim("1Gi"))
    assert grows("{storage: 2Gi}", claim("2Gi", has="1Gi"))
    assert not grows("{storage: 2Gi}", claim("2Gi"))
    assert not grows("{storage: 1024Mi}", claim("1Gi"))
    assert not grows("{storage: 2Gi}", None)
    check("{storage: 2Gi}", claim=claim("1Gi"))


def test_a_volume_that_nobody_has_used_yet_has_nothing_to_grow() -> None:
    assert not grows("{storage: 2Gi}", {**claim("2Gi"), "status": {"phase": "Pending"}})


def test_where_no_volume_can_grow_that_is_said_on_its_line_with_both_ways_out() -> None:
    config = read("{storage: 2Gi}")
    error = keeping.not_growing(config, config.databases[0], facts.TARGET, claim=claim("1Gi"))
    (problem,) = error.problems
    assert (problem.path, problem.line) == ("k8s-ee.yaml", 3)
    assert "its StorageClass can't make volumes larger" in problem.message
    assert "write 1Gi" in problem.hint
    assert "k8s-ee reset-db " in problem.hint
    assert "k8s-ee cleanup --pr 42" in problem.hint


@pytest.mark.parametrize(("before", "asked"), [("16", "17"), ("17.2", "16")])
def test_another_major_version_is_refused_on_its_line(before: str, asked: str) -> None:
    problem = refused(f"{{version: '{asked}'}}", claim=claim("1Gi"), running=running(before))
    assert (problem.line, f"the data is of version {before}" in problem.message) == (3, True)
    assert f"write {before[:2]}" in problem.hint


def test_another_minor_version_is_not() -> None:
    check("{version: '17.5'}", claim=claim("1Gi"), running=running("17.2"))


def test_a_series_of_mariadb_is_two_numbers_as_far_as_they_were_given() -> None:
    problem = refused("{version: '11.4'}", engine="mariadb", claim=claim("1Gi"), running=running("11.8.3"))
    assert "write 11.8, or" in problem.hint
    check("{version: '11.8.9'}", engine="mariadb", claim=claim("1Gi"), running=running("11.8.3"))
    check("{version: '11'}", engine="mariadb", claim=claim("1Gi"), running=running("11.8"))


def test_the_version_is_known_of_a_volume_whose_database_is_not_deployed_any_more() -> None:
    noted = keeping.retired(claim("1Gi"), running("16.1"), plan.ENGINES["postgresql"])[keeping.VERSION]
    assert "of version 16.1" in refused("{version: '17'}", claim=claim("1Gi", version=noted)).message
    check("{version: '16'}", claim=claim("1Gi", version=noted))
    again = keeping.retired(claim("1Gi", version=noted), running("17"), plan.ENGINES["postgresql"])
    assert again == {keeping.RETIRED: "true", keeping.VERSION: "16.1"}


def test_the_version_of_the_default_image_is_known_and_that_of_a_platforms_own_is_not() -> None:
    default = running("", image=plan.ENGINES["postgresql"].default_image)
    assert "of version 17" in refused("{version: '16'}", claim=claim("1Gi"), running=default).message
    check("{version: '16'}", claim=claim("1Gi"), running=running(""))


def test_the_version_is_read_where_the_chart_writes_it() -> None:
    wanted = model.Database("postgresql", version="16")
    made = facts.only(facts.rendered(facts.config(databases=(wanted,))), "StatefulSet")
    served = {**made, "status": running("16")["status"]}
    assert "of version 16" in refused("{version: '17'}", claim=claim("1Gi"), running=served).message


def test_a_version_that_never_answered_says_nothing_about_the_data() -> None:
    check("{version: '17'}", claim=claim("1Gi"), running=running("99", ready=0))
    check("{version: '17'}", running=running("99", ready=0))
    assert list(keeping.retired(claim("1Gi"), running("99", ready=0), plan.ENGINES["postgresql"])) == [keeping.RETIRED]
    assert "of version 16" in refused("true", claim=claim("1Gi", version="16"), running=running("99", ready=0)).message


def test_what_is_noted_on_the_volume_counts_whether_it_answers_sleeps_or_is_down_at_the_moment() -> None:
    asleep = running("16", ready=0)
    asleep["spec"]["replicas"] = 0
    for found in (asleep, running("16", ready=0), running("17"), None):
        assert "of version 16" in refused("{version: '17'}", claim=claim("1Gi", version="16"), running=found).message
        check("{version: '16.4'}", claim=claim("1Gi", version="16"), running=found)


def test_one_that_was_put_to_sleep_before_it_ever_answered_does_not_say_of_which_version_its_data_is() -> None:
    asleep = running("99", ready=0)
    asleep["spec"]["replicas"] = 0
    check("{version: '17'}", claim=claim("1Gi"), running=asleep)


def test_a_vague_version_is_told_from_an_exact_one() -> None:
    mariadb, postgresql = plan.ENGINES["mariadb"], plan.ENGINES["postgresql"]
    assert [keeping.is_exact(one, mariadb) for one in ("11", "11.8", "11.8.3")] == [False, True, True]
    assert keeping.is_exact("17", postgresql)


def test_a_version_that_is_not_given_any_more_is_the_default_one() -> None:
    problem = refused("true", claim=claim("1Gi"), running=running("16"))
    assert "`databases.postgresql.version` is not given, which means 17" in problem.message
    assert "write 16, or" in problem.hint
