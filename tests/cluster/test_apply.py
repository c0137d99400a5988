import copy
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest

from k8s_ee import errors
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments, workloads

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(sandbox: sandboxes.Sandbox) -> Iterator[environments.Home]:
    with environments.home(sandbox) as made:
        yield made


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": environments.labels("app")}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_a_hand_edit_does_not_wedge_the_next_deploy(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    home.apply(config_map("c", key="ours"))
    patch = '{"data":{"key":"theirs"}}'
    kubectl("-n", home.name, "patch", "configmap", "c", "--type=merge", "-p", patch, "--field-manager=hand")
    (applied,) = home.apply(config_map("c", key="ours"))
    assert applied["data"] == {"key": "ours"}


def test_what_a_component_no_longer_sets_goes_and_what_others_set_stays(
    home: environments.Home, kubectl: conftest.Kubectl
) -> None:
    home.apply(config_map("c", old="1", kept="1"))
    kubectl("-n", home.name, "patch", "configmap", "c", "--type=merge", "-p", '{"data":{"other":"1"}}')
    (applied,) = home.apply(config_map("c", kept="1"))
    assert applied["data"] == {"kept": "1", "other": "1"}


def test_a_misspelt_field_is_an_error_that_names_it(home: environments.Home) -> None:
    manifest = environments.server("app", home.image)
    manifest["spec"]["replica"] = 1
    with pytest.raises(errors.InputError, match=r"Deployment app.*replica"):
        home.apply(manifest)


def test_many_writers_of_one_object_all_succeed(home: environments.Home) -> None:
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: home.apply(config_map("c", **{f"k{n}": "1"})), range(24)))
    assert home.api.get("ConfigMap", "c", home.name)


def test_renamed_and_removed_objects_are_pruned_and_data_never(home: environments.Home) -> None:
    database = environments.database("db", home.image)
    home.ready(database)
    claim = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    assert claim is not None
    for number in range(5):
        objects = [config_map(f"settings-{number}"), {**workloads.service(f"app-{number}")}]
        objects[1]["metadata"]["labels"] = environments.labels("app")
        home.apply(*objects)
        keep = {(one["kind"], one["metadata"]["name"]) for one in objects}
        removed = home.api.prune(home.name, "app", environments.MANAGER, keep)
        assert set(removed) == (
            {("ConfigMap", f"settings-{number - 1}"), ("Service", f"app-{number - 1}")} if number else set()
        )
        home.api.prune(home.name, "db", environments.MANAGER, {("StatefulSet", "db")})
    after = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    assert after is not None
    assert after["metadata"]["uid"] == claim["metadata"]["uid"]
    assert "deletionTimestamp" not in after["metadata"]


def test_pruning_a_whole_database_keeps_its_volume(home: environments.Home) -> None:
    home.ready(environments.database("db", home.image))
    assert home.api.prune(home.name, "db", environments.MANAGER, set()) == (("StatefulSet", "db"),)
    claim = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    assert claim is not None
    assert "deletionTimestamp" not in claim["metadata"]


def test_the_objects_of_another_manager_are_not_pruned(home: environments.Home, kubectl: conftest.Kubectl) -> None:
    kubectl("-n", home.name, "create", "configmap", "by-hand")
    kubectl(
        "-n", home.name, "label", "configmap", "by-hand", *(f"{k}={v}" for k, v in environments.labels("app").items())
    )
    assert home.api.prune(home.name, "app", environments.MANAGER, set()) == ()


@pytest.mark.parametrize("change", ["service name", "selector"])
def test_an_immutable_change_of_a_database_keeps_its_volume(home: environments.Home, change: str) -> None:
    before = environments.database("db", home.image)
    home.ready(before)
    claim = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    after = copy.deepcopy(before)
    if change == "selector":
        after["spec"]["selector"]["matchLabels"]["tier"] = "data"
        after["spec"]["template"]["metadata"]["labels"]["tier"] = "data"
    else:
        after["spec"]["serviceName"] = "another"
    home.ready(after)
    kept = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    assert claim is not None
    assert kept is not None
    assert claim["metadata"]["uid"] == kept["metadata"]["uid"]


def test_a_job_or_deployment_that_can_not_be_changed_is_made_again(home: environments.Home) -> None:
    home.ready(environments.job("migrate", home.image, "print(1)"), environments.server("app", home.image))
    deployment = environments.server("app", home.image)
    deployment["spec"]["selector"]["matchLabels"]["tier"] = "web"
    deployment["spec"]["template"]["metadata"]["labels"]["tier"] = "web"
    home.ready(environments.job("migrate", home.image, "print(2)"), deployment)


def test_a_secret_is_created_once_and_never_overwritten(home: environments.Home) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db-credentials-v1", "namespace": home.name},
        "immutable": True,
        "stringData": {"PASSWORD": "first"},
    }
    first = home.api.create_only(secret)
    second = home.api.create_only({**secret, "stringData": {"PASSWORD": "second"}})
    assert first["data"] == second["data"]
    assert first["metadata"]["uid"] == second["metadata"]["uid"]
