"""What is noted on volumes, and what is said of seeds that are not loaded; what databases do is in tests/cluster."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

from k8s_ee import config, errors
from k8s_ee.commands import dumps, seeds, session
from k8s_ee.plan import keeping, seeding
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import commands, kube

CLAIMS = "/api/v1/namespaces/shop-pr-7/persistentvolumeclaims"


def deploy(world: sweeps.World, folder: pathlib.Path, before: str, *, seed: bool = True) -> session.Session:
    """Of an environment whose database has this note on its volume."""
    (folder / "seed.redis").write_text("0 x61 0 SET x61\n")
    world.put(7)
    annotations = {keeping.VERSION: "8"} | ({seeding.NOTE: before} if before else {})
    world.kube.put(CLAIMS, {"metadata": {"name": "data-redis-0", "annotations": annotations}, "spec": {}})
    ctx = world.session(
        after=sweeps.HOUR, number=7, repository="acme/shop", repository_id=42, head_sha="a" * 40, workspace=folder
    )
    wanted = "{seed: seed.redis}" if seed else "true"
    ctx.__dict__["config"] = config.load(f"projectId: shop\ndatabases:\n  redis: {wanted}\n", path="k8s-ee.yaml")
    return ctx


def note(world: sweeps.World) -> str:
    return seeding.noted(world.kube.objects[CLAIMS, "data-redis-0"])


@pytest.mark.parametrize(
    ("before", "said"),
    [("none", "is new, and the database has been in use"), ("loaded other", "is not the one that was loaded")],
)
def test_a_seed_that_comes_too_late_is_not_loaded_and_that_is_said_with_the_way_out(
    world: sweeps.World, tmp_path: pathlib.Path, before: str, said: str
) -> None:
    for act in (seeds.foresee, seeds.apply):
        ctx = deploy(world, tmp_path, before)
        act(ctx)
        (told,) = ctx.notes
        assert said in told
        assert "k8s-ee reset-db redis" in told
        assert note(world) == before


def test_what_is_there_already_is_neither_loaded_nor_spoken_of(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    ctx = deploy(world, tmp_path, "")
    digest = dumps.digest(ctx.config, ctx.config.databases[0], tmp_path)
    ctx = deploy(world, tmp_path, f"loaded {digest}")
    seeds.apply(ctx)
    assert (ctx.notes, world.kube.of("PATCH", CLAIMS)) == ([], [])


def test_before_the_first_app_starts_it_is_noted_that_there_was_no_seed(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    ctx = deploy(world, tmp_path, "", seed=False)
    seeds.apply(ctx)
    assert (note(world), ctx.notes) == ("none", [])


def test_the_plan_says_that_a_seed_will_be_loaded_also_into_one_that_is_not_there_yet(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    for before in ("", "loading x y"):
        ctx = deploy(world, tmp_path, before)
        seeds.foresee(ctx)
        assert ctx.notes == ["`databases.redis.seed` is loaded into the empty database"]
    world.kube.remove(CLAIMS, "data-redis-0")
    ctx.notes.clear()
    seeds.foresee(ctx)
    assert ctx.notes == ["`databases.redis.seed` is loaded into the empty database"]


def test_no_app_is_deployed_onto_half_a_seed(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.Refused, match="the seed of redis was not loaded to its end"):
        seeds.require_whole(deploy(world, tmp_path, "loading x y"))
    seeds.require_whole(deploy(world, tmp_path, "loaded x"))


def test_of_two_runs_at_once_the_later_one_to_note_something_gives_way(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    ctx = deploy(world, tmp_path, "", seed=False)
    other = {"metadata": {"name": "data-redis-0", "annotations": {seeding.NOTE: "loading x y"}}, "spec": {}}
    world.kube.meanwhile("PATCH", CLAIMS, lambda: world.kube.put(CLAIMS, other))
    with pytest.raises(errors.Refused, match="another run seeds redis at the same time"):
        seeds.apply(ctx)
    assert note(world) == "loading x y"


def test_an_answer_that_got_lost_is_no_other_run(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    ctx = deploy(world, tmp_path, "", seed=False)
    same = {"metadata": {"name": "data-redis-0", "annotations": {seeding.NOTE: "none"}}, "spec": {}}
    world.kube.meanwhile("PATCH", CLAIMS, lambda: world.kube.put(CLAIMS, same))
    seeds.apply(ctx)
    assert note(world) == "none"


def loading(code: int, *, check: int = 0) -> commands.Run:
    """A database whose load ends so, and which says so of whether it is empty."""

    def run(command: commands.Command) -> commands.Ended:
        return commands.Ended(check if "load.sh check" in command.text else code, stderr=b"no room")

    return run


def test_a_seed_is_loaded_into_an_empty_database_and_that_is_noted(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    ctx = deploy(world, tmp_path, "")
    seeds.apply(ctx)
    digest = dumps.digest(ctx.config, ctx.config.databases[0], tmp_path)
    assert note(world) == f"loaded {digest}"
    assert [one.stdin for one in world.kube.commands] == [b"", b"0 x61 0 SET x61\n"]


def test_a_seed_that_was_cut_off_is_noted_so_that_it_is_begun_anew(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    ctx = deploy(world, tmp_path, "")
    world.kube.run = loading(1)
    with pytest.raises(errors.NotReady, match="can't load what it was given"):
        seeds.apply(ctx)
    assert note(world).startswith("loading ")


def test_what_was_there_before_any_seed_is_never_noted_as_half_of_one(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    """That would be emptied by the next deploy. An app may have begun before its run was killed."""
    ctx = deploy(world, tmp_path, "")
    world.kube.run = loading(1, check=3)
    seeds.apply(ctx)
    (told,) = ctx.notes
    assert "the database has been in use before" in told
    assert note(world) == "none"
    assert [one["metadata"]["annotations"] for one in map(_body, world.kube.of("PATCH", CLAIMS))] == [
        {seeding.NOTE: "none"}
    ]


def _body(seen: kube.Seen) -> dict[str, Any]:
    return dict(seen.body)


@pytest.mark.parametrize(
    ("before", "seed", "comes"),
    [("", True, True), ("", False, False), ("none", False, False), ("loading x y", False, True)],
)
def test_an_app_is_not_begun_beside_a_database_that_is_still_to_be_loaded_or_emptied(
    world: sweeps.World, tmp_path: pathlib.Path, before: str, *, seed: bool, comes: bool
) -> None:
    assert seeds.to_come(deploy(world, tmp_path, before, seed=seed)) is comes


def test_what_is_left_of_a_seed_that_is_wanted_no_more_is_said_to_be_gone(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    ctx = deploy(world, tmp_path, "loading x y", seed=False)
    ready = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1, "currentRevision": "1", "updateRevision": "1"}
    sets = "/apis/apps/v1/namespaces/shop-pr-7/statefulsets"
    world.kube.put(sets, {"metadata": {"name": "redis", "generation": 1}, "spec": {"replicas": 1}, "status": ready})
    world.kube.objects[sets, "redis"]["status"]["observedGeneration"] = 1
    seeds.apply(ctx)
    assert ctx.notes == ["redis was emptied of a seed that was not loaded to its end"]
    assert note(world) == "none"
