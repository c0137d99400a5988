"""What a pass sets right after all else: slots of environments that are gone, and runs that waited for room."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from k8s_ee import github, outcome
from k8s_ee.commands import janitor
from tests.unit.commands import sweeps
from tests.unit.commands.sweeps import HOUR

HOME = "k8s-ee-system"
NO_TIME = "there was no time left for all of them"


@pytest.fixture
def world(tmp_path: pathlib.Path) -> Iterator[sweeps.World]:
    with sweeps.world(tmp_path) as made:
        made.platform.write_text("domain: preview.test\ncapacity: {environments: 9}\n")
        yield made


def lease(world: sweeps.World, name: str, holder: str | None, **noted: str) -> None:
    annotations = {f"k8s-ee/{key.replace('_', '-')}": value for key, value in noted.items()}
    metadata = {"name": name, "namespace": HOME, "annotations": annotations}
    # Tickets are forgotten after days.
    spec = {"holderIdentity": holder, "renewTime": sweeps.text(sweeps.CREATED)}
    world.kube.put(sweeps.LEASES, {"metadata": metadata, "spec": spec})


def leases(world: sweeps.World, prefix: str) -> list[str]:
    return [name for path, name in sorted(world.kube.objects) if path == sweeps.LEASES and name.startswith(prefix)]


def pass_whose_time_is_over_with(world: sweeps.World, method: str, path: str) -> outcome.Outcome:
    """With the first such request to the API server."""
    ctx = world.session(after=HOUR)

    def end() -> None:
        ctx.waited = -1e9

    world.kube.meanwhile(method, path, end)
    return janitor.janitor(ctx, lease=False, hub=github.GitHub(ctx.settings, pause=0.01, timeout=1))


def test_slots_that_a_pass_has_no_time_for_are_freed_by_the_next(world: sweeps.World) -> None:
    for number in range(3):
        lease(world, f"place-{number}", f"uid-of-{number} shop-pr-{number}")
    result = pass_whose_time_is_over_with(world, "DELETE", f"{sweeps.LEASES}/place-")
    assert leases(world, "place-") == ["place-1", "place-2"]
    assert any(NO_TIME in note for note in result.notes)
    assert result.failure is None
    assert not any(NO_TIME in note for note in world.sweep().notes)
    assert leases(world, "place-") == []


def test_environments_that_a_pass_has_no_time_to_count_are_counted_by_the_next(world: sweeps.World) -> None:
    for number in range(1, 4):
        world.put(number)
    pass_whose_time_is_over_with(world, "POST", sweeps.LEASES)
    assert leases(world, "place-") == ["place-0"]
    world.sweep()
    assert leases(world, "place-") == ["place-0", "place-1", "place-2"]


def test_a_pass_without_time_starts_no_run_again_and_notes_the_one_that_it_did(world: sweeps.World) -> None:
    for number in (1, 2):
        world.put(number)
        facts = {"project": "tool", "repository": "acme/shop", "repository_id": "42", "pr": str(number)}
        lease(world, f"queue-42-{number}-tool", None, run=str(100 + number), **facts)
    pass_whose_time_is_over_with(world, "PATCH", f"{sweeps.LEASES}/queue-")
    assert world.shop.reruns == [101]
    world.sweep()
    assert world.shop.reruns == [101, 102]


def test_a_pass_whose_time_is_over_before_leaves_all_of_it(world: sweeps.World) -> None:
    lease(world, "place-0", "uid-of-0 shop-pr-0")
    lease(world, "preserve-0", "uid-of-0 shop-pr-0")
    world.put(7, "closed")
    result = pass_whose_time_is_over_with(world, "DELETE", f"{sweeps.NS}/shop-pr-7")
    assert any(NO_TIME in note for note in result.notes)
    assert (leases(world, "place-"), leases(world, "preserve-")) == (["place-0"], ["preserve-0"])
