"""What follows from the note on a volume, and the pod that a dump is carried out of an image with."""

from __future__ import annotations

import pytest

from k8s_ee import plan
from k8s_ee.config import model
from k8s_ee.plan import seeding
from tests.unit.plan import facts

OLD, NEW = "0" * 64, "1" * 64


@pytest.mark.parametrize(
    ("before", "wanted", "step"),
    [
        ("", NEW, "load"),
        ("", "", "settle"),
        (f"loading {NEW} 1a2b", NEW, "mend"),
        (f"loading {OLD} 1a2b", NEW, "mend"),
        (f"loading {OLD} 1a2b", "", "mend"),
        (f"loaded {NEW}", NEW, "done"),
        (f"loaded {OLD}", NEW, "changed"),
        (f"loaded {OLD}", "", "done"),
        ("none", NEW, "new"),
        ("none", "", "done"),
    ],
)
def test_a_seed_is_loaded_once_and_only_where_no_app_has_been(before: str, wanted: str, step: str) -> None:
    claim = {"metadata": {"annotations": {seeding.NOTE: before}}} if before else {"metadata": {}}
    assert seeding.step(seeding.noted(claim), wanted) == step


def test_another_file_checksum_image_or_path_is_another_seed_and_another_place_is_not() -> None:
    here = seeding.digest(model.Seed(file="a.sql"), file=bytes(32))
    assert here == seeding.digest(model.Seed(file="moved.sql"), file=bytes(32)) == OLD
    assert seeding.digest(model.Seed(url="https://a/b", sha256=NEW)) == seeding.digest(model.Seed(url="c", sha256=NEW))
    images = [model.Seed(image="a", path="/b"), model.Seed(image="a", path="/c"), model.Seed(image="b", path="/b")]
    assert len({seeding.digest(one) for one in images}) == 3


def test_the_pod_of_an_image_is_what_the_fence_admits_and_has_room_in_the_quota() -> None:
    seed = model.Seed(image="registry.example.com/seed:1", path="/seed.sql")
    made = plan.carrier(facts.TARGET, facts.PLATFORM, plan.ENGINES["redis"], seed.image)
    spec = made["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert (spec["securityContext"]["runAsNonRoot"], spec["automountServiceAccountToken"]) == (True, False)
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    def pods(*databases: model.Database) -> int:
        quota = facts.only(
            list(plan.fence(facts.TARGET, facts.config(databases=databases), facts.PLATFORM)), "ResourceQuota"
        )
        return int(quota["spec"]["hard"]["pods"])

    assert pods(model.Database("redis", seed=seed)) - pods(model.Database("redis")) == 1
    assert pods(model.Database("redis", seed=model.Seed(file="a"))) == pods(model.Database("redis"))
