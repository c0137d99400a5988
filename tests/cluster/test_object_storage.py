"""Object storage of an environment, from an app's view: a real S3 client, by the variables the app gets."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import pathlib
from collections.abc import Iterator

import minio
import pytest

from tests.cluster import cli

pytestmark = pytest.mark.cluster

KEYS = {**cli.small(), "databases": {"minio": {"storage": "64Mi"}}}


@pytest.fixture(scope="module")
def shop(runner: cli.Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[cli.Preview]:
    """The tests go on from what the ones before left in it."""
    with cli.preview(runner, tmp_path_factory.mktemp("shop")) as made:
        made.configure(KEYS)
        made.up(image=runner.sandbox.images["base"])
        yield made


def variables(preview: cli.Preview) -> dict[str, str]:
    found = json.loads(preview.kubectl("get", "secret", "minio-credentials-v1", "-o", "jsonpath={.data}"))
    return {name: base64.b64decode(value).decode() for name, value in found.items()}


def client(preview: cli.Preview) -> minio.Minio:
    """Over the Service, as an app; only its name is not known out here."""
    given = variables(preview)
    address = preview.kubectl("get", "service", given["MINIO_ENDPOINT"], "-o", "jsonpath={.spec.clusterIP}")
    return minio.Minio(
        endpoint=f"{address}:{given['MINIO_PORT']}",
        access_key=given["MINIO_ACCESS_KEY"],
        secret_key=given["MINIO_SECRET_KEY"],
        secure=False,
        region="us-east-1",
    )


def put(preview: cli.Preview, name: str, data: bytes) -> None:
    client(preview).put_object(bucket_name="app", object_name=name, data=io.BytesIO(data), length=len(data))


def get(preview: cli.Preview, name: str) -> bytes:
    answer = client(preview).get_object(bucket_name="app", object_name=name)
    with contextlib.closing(answer):
        return bytes(answer.read())


def test_what_an_app_puts_there_stays_when_its_pod_goes_and_the_app_is_not_restarted(shop: cli.Preview) -> None:
    put(shop, "reports/one.txt", b"kept")
    shop.begin_anew("minio")
    assert get(shop, "reports/one.txt") == b"kept"
    apps = shop.kubectl("get", "pods", "-l=app.kubernetes.io/name=app", "-o=jsonpath={.items[*].status..restartCount}")
    assert set(apps.split()) == {"0"}


def test_taken_out_of_the_config_it_is_gone_and_added_again_it_has_its_objects_and_its_secret(
    shop: cli.Preview,
) -> None:
    image, before = shop.installed.sandbox.images["base"], variables(shop)
    put(shop, "kept", b"kept")
    shop.configure(cli.small())
    shop.up(image=image)
    shop.kubectl("wait", "--for=delete", "pod/minio-0", "--timeout=60s")
    shop.configure(KEYS)
    shop.up(image=image)
    assert (get(shop, "kept"), variables(shop)) == (b"kept", before)


def external(**more: str) -> dict[str, object]:
    minio: dict[str, object] = {"external": {"secretName": "their-files"}, "startupSeconds": 10}
    return {**cli.small(), "databases": {"minio": minio}}


def test_an_app_uses_what_its_team_brings_once_the_secret_is_there(
    shop: cli.Preview, runner: cli.Installed, tmp_path: pathlib.Path
) -> None:
    folder, image = tmp_path / "other", runner.sandbox.images["base"]
    folder.mkdir()
    there = {**variables(shop), "S3_ENDPOINT": f"http://minio.{shop.namespace}:9000"}
    with cli.preview(runner, folder) as other:
        other.configure(external())
        refused = other.run("up", image=image)
        assert refused.code == 2, refused.said
        assert "k8s-ee.yaml:" in refused.stderr
        assert f"there is no Secret `their-files` in namespace {other.namespace}" in refused.stderr

        literals = [f"--from-literal={name}={value}" for name, value in there.items() if name != "S3_BUCKET"]
        other.kubectl("create", "secret", "generic", "their-files", *literals)
        may_read = str(runner.sandbox.kubeconfig)
        lacking = other.run("up", image=image, K8S_EE_KUBECONFIG=may_read)
        assert lacking.code == 2, lacking.said
        assert "the Secret `their-files` has no S3_BUCKET" in lacking.stderr
        assert there["S3_SECRET_KEY"] not in lacking.said

        other.kubectl("delete", "secret", "their-files")
        other.kubectl("create", "secret", "generic", "their-files", *literals, "--from-literal=S3_BUCKET=app")
        other.up(image=image)
        assert other.kubectl("get", "statefulsets,persistentvolumeclaims", "-o", "name") == ""
