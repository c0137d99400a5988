"""Every key that can be written changes something that happens."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import config, environment, errors, lifecycle, plan, pull_request, trust
from k8s_ee.commands import build, builders, dumps
from k8s_ee.config import checking, model, variables
from k8s_ee.plan import capacity
from tests.contract import schemas

CHANGES, PLATFORM_CHANGES = schemas.changes("k8s-ee"), schemas.changes("platform")
PLATFORM = model.Platform(domain="example.com", registries=("registry.example.com",), image_pull_secrets=("registry",))


@pytest.mark.parametrize("key", CHANGES)
def test_every_key_changes_some_manifest_decision_or_build_input(
    key: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "bin" / "buildah"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent))
    before, after = (config.load(text, path="p") for text in CHANGES[key])
    assert _effects(before, PLATFORM, tmp_path) != _effects(after, PLATFORM, tmp_path)


NOT_PLANNED = {
    "capacity.queueWait": "how long commands/room.py waits for a place",
    "commentAuthors": "whose comment is ours: commands/janitor.py hands them to the GitHub client",
    "ingress.address": "where a runner connects: commands/app.py hands it to the probe",
    "lifecycle.orphanedFinalizers": "what cluster/unstick.py may take off",
    "lifecycle.preserveFor": "the length of a preserve: commands/keeping.py",
    "lifecycle.preserveLimit": "how many: commands/keeping.py hands it to the slots",
    "traffic.prometheus": "whom traffic.py asks",
    "traffic.query": "what traffic.py asks",
}


@pytest.mark.parametrize("key", sorted(set(PLATFORM_CHANGES) - set(NOT_PLANNED)))
def test_every_key_of_the_platform_changes_some_manifest_or_decision(key: str) -> None:
    database = {"external": {"secretName": "x"}} if key.startswith("externalDatabases") else {"storage": "15Gi"}
    databases = json.dumps(dict.fromkeys(plan.ENGINES, database))
    backup = "onDestroy" if key.startswith("backup") else "never"
    wanted = config.load(
        f'{{"projectId": "a", "databases": {databases}, "backup": "{backup}",'
        '"metrics": {"enabled": true},'
        '"image": {"repository": "ghcr.io/acme/shop"}, "resources": {"limits": {"cpu": "3", "memory": "5Gi"}},'
        '"ingress": {"annotations": {"nginx.ingress.kubernetes.io/proxy-body-size": "1m"}}}',
        path="p",
    )
    before, after = (config.load_platform(text, path="p") for text in PLATFORM_CHANGES[key])
    assert _planned(wanted, before) != _planned(wanted, after)


def _effects(wanted: model.Config, platform: model.Platform, folder: pathlib.Path) -> Any:
    return [*_planned(wanted, platform), _built(wanted, folder), _seeded(wanted, folder)]


def _seeded(wanted: model.Config, folder: pathlib.Path) -> list[tuple[str, str]]:
    """Which seed it is of all there are, and whom it is asked of; each file is another one."""
    for one in wanted.databases:
        if one.seed and one.seed.file:
            path = folder / one.seed.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(one.seed.file)
    return [(dumps.digest(wanted, one, folder), one.seed.url if one.seed else "") for one in wanted.databases]


def _planned(wanted: model.Config, platform: model.Platform) -> list[Any]:
    target = environment.Environment(
        project=wanted.project,
        number=7,
        repository="acme/shop",
        repository_id=1296269,
        domain=platform.domain,
        scheme=platform.scheme,
        head_sha="a" * 40,
        backup=wanted.backup,
    )
    secrets = {one.engine: plan.ENGINES[one.engine].secret for one in wanted.deployed}
    return [
        plan.namespace(target, platform),
        plan.fence(target, wanted, platform),
        plan.app(target, wanted, platform, image="registry.example.com/a@sha256:0", database_secrets=secrets),
        [plan.database(target, one, platform, secret="s") for one in wanted.deployed],
        _decided(wanted, platform),
        _refused(wanted, platform),
        list(_lived(platform)),
        list(_placed(wanted, platform)),
    ]


def _placed(wanted: model.Config, platform: model.Platform) -> Iterator[Any]:
    """Who of 30 gets a place on small nodes, and who makes room for one more, hours after they were used."""
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    needed = capacity.requests(wanted)
    claims = [capacity.Claim(f"a-pr-{number}", number % 2, needed) for number in range(30)]
    nodes = capacity.parse("4 64Gi") if platform.capacity.mode == "allocatable" else None
    turns = capacity.turns(claims, capacity.Room((), nodes), platform.capacity)
    yield turns
    idle = [capacity.Idle(one, now - datetime.timedelta(hours=hours)) for hours, one in enumerate(claims)]
    limited = dataclasses.replace(platform.capacity, environments=30)
    room = capacity.Room(tuple(claims))
    yield capacity.sleepers(capacity.Claim("new", 0), room, limited, idle=idle[:3], now=now)


def _lived(platform: model.Platform) -> Iterator[Any]:
    """What becomes of an environment, hour by hour, when it is left, preserved, stuck or unknown."""
    born, day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(days=1)
    seen = environment.Observed(
        namespace=environment.NamespaceName("a-pr-7"),
        uid="u",
        resource_version="1",
        project=environment.ProjectId("a"),
        number=7,
        repository_id=1296269,
        created_at=born,
        terminating=False,
        annotations={environment.UNKNOWN_SINCE: born.isoformat()},
    )
    preserved = dataclasses.replace(seen, annotations={environment.PRESERVED_UNTIL: (born + 2 * day).isoformat()})
    asked = {environment.BACKUP: "onDestroy", environment.BACKUP_WANTED_AT: born.isoformat()}
    owing = dataclasses.replace(seen, annotations={**asked, environment.DESTROY_REQUESTED_AT: born.isoformat()})
    stuck = dataclasses.replace(seen, terminating=True, terminating_since=born)
    policy, unknown = platform.lifecycle, lifecycle.Unknown("")
    for now in (born + datetime.timedelta(hours=hours, minutes=15) for hours in range(31 * 24)):
        for one in (seen, preserved, stuck, owing):
            yield lifecycle.decide(lifecycle.Facts(one, lifecycle.Open()), policy, now)
        yield lifecycle.decide(lifecycle.Facts(seen, unknown), policy, now)
        yield lifecycle.alert_due(lifecycle.Facts(seen, unknown), policy, now)


def _decided(wanted: model.Config, platform: model.Platform) -> Any:
    pull = pull_request.PullRequest(
        number=7, state="open", head_sha="a" * 40, branch="main", head_repository_id=1296269, base_repository_id=1296269
    )
    facts = trust.Facts(
        purpose="deploy",
        event="pull_request",
        action="synchronize",
        label="",
        actor="someone",
        repository_id=1296269,
        owner_id=9919,
        head_sha="a" * 40,
        pull=pull,
        seen=pull,
        trigger=wanted.trigger,
    )
    everybody = dataclasses.replace(platform, allowed_owner_ids=(9919,))
    return trust.authorize(facts, platform), trust.authorize(facts, everybody)


def _refused(wanted: model.Config, platform: model.Platform) -> tuple[errors.Problem, ...]:
    try:
        config.check_fit(wanted, platform)
    except errors.ConfigError as error:
        return error.problems
    return ()


def _built(wanted: model.Config, folder: pathlib.Path) -> Any:
    """What a builder is called with, and which of the checkout's Dockerfiles is taken."""
    for place in ("", "services/api", "docker"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / "Dockerfile").touch()
        (folder / place / "preview.Dockerfile").touch()
    said: list[str] = []
    destination = builders.Destination(repository="registry.example.com/acme/shop", tag="pr-7")
    build.build(
        wanted,
        checkout=folder,
        destination=destination,
        labels={},
        deadline=float("inf"),
        dry_run=True,
        progress=said.append,
    )
    request = builders.Request(
        context=folder,
        dockerfile=folder,
        image=wanted.image,
        destination=destination,
        labels={},
        deadline=float("inf"),
        scratch=folder,
        say=said.append,
    )
    return said, request.arguments()


def test_the_variables_that_cant_be_set_are_those_that_are_given() -> None:
    given = {name: tuple(engine.env("x")) for name, engine in plan.ENGINES.items()}
    assert {name: set(names) for name, names in given.items()} == {k: set(v) for k, v in variables.DATABASES.items()}
    databases = checking.schema("k8s-ee")["properties"]["databases"]["properties"]
    images = checking.schema("platform")["properties"]["engineImages"]["properties"]
    assert set(databases) == set(images) == set(plan.ENGINES)


def test_the_facts_that_cant_be_set_are_those_every_app_is_told() -> None:
    wanted = config.load("projectId: a", path="p")
    target = environment.Environment(
        project=wanted.project, number=1, repository="a/b", repository_id=1, domain="example.com"
    )
    component = plan.app(target, wanted, PLATFORM, image="i", database_secrets={})
    assert set(component.values["env"]) == set(variables.APP)
