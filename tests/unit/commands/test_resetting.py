"""What reset-db finds before it deletes anything; the rest is in tests/cluster/test_seeds.py."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import pytest

from k8s_ee import config, errors
from k8s_ee.commands import resetting, session
from k8s_ee.plan import seeding
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture

ZEROS = "0" * 64


def reset(world: sweeps.World, folder: pathlib.Path, seed: str, *engines: str) -> session.Session:
    world.platform.write_text("domain: preview.test\nallowed: {repositoryIds: [42]}\n")
    world.put(7)
    ctx = world.session(
        after=sweeps.HOUR, number=7, repository="acme/shop", repository_id=42, head_sha="a" * 40, workspace=folder
    )
    text = f"projectId: shop\ndatabases:\n  redis: true\n  postgresql:\n    seed: {seed}\n"
    ctx.__dict__["config"] = config.load(text, path="k8s-ee.yaml")
    resetting.reset_db(ctx, engines=engines or ["postgresql", "redis"])
    return ctx


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        ("gone", "there is no file `gone`"),
        ("packed", "it is pg_dump's custom format"),
        (f"{{url: 'https://127.0.0.1:1/seed', sha256: '{ZEROS}'}}", "https://127.0.0.1:1/seed can't be read"),
    ],
)
def test_a_seed_that_can_not_be_had_is_found_while_what_it_would_follow_is_there(
    world: sweeps.World, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, seed: str, said: str
) -> None:
    (tmp_path / "packed").write_bytes(b"PGDMP\x01")
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\nexit 1\n")
    helm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises((errors.ConfigError, errors.Unavailable)) as caught:
        reset(world, tmp_path, seed)
    problems: Mapping[str, object] = vars(caught.value)
    assert said in f"{caught.value.message} {problems.get('problems')}"
    assert world.kube.writes == []


def test_no_app_comes_back_onto_half_the_seed_of_a_database_that_stays(
    world: sweeps.World, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "seed").write_text("SELECT 1;\n")
    claim = {"metadata": {"name": "data-postgresql-0", "annotations": {seeding.NOTE: "loading x y"}}, "spec": {}}
    world.kube.put("/api/v1/namespaces/shop-pr-7/persistentvolumeclaims", claim)
    with pytest.raises(errors.Refused, match="the seed of postgresql was not loaded to its end"):
        reset(world, tmp_path, "seed", "redis")
    assert world.kube.writes == []
