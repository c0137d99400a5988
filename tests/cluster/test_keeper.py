"""The keeper by its own rights, on real databases and a real storage: no more than it needs, and nothing lost."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_ee import archive, cluster, environment, errors, resources, settings
from k8s_ee.cluster import remote
from k8s_ee_sandbox import platform
from tests.bench import counting
from tests.cluster import cli, stores, test_object_storage
from tests.wire import github
from tests.workflows import events

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

HOME, ACCOUNT = "k8s-ee-system", "k8s-ee-keeper"
SHIPPED = resources.directory("k8s") / "janitor" / "components" / "backup"
RARE = {
    "get statefulsets": "somebody wrote to it while it was put back to sleep",
    "get pods/exec": "a WebSocket before Kubernetes 1.35",
    "create pods/exec": "a WebSocket since Kubernetes 1.35",
}
MINUTES = datetime.timedelta(minutes=1)


@dataclasses.dataclass(frozen=True)
class Keeper:
    """`asked` counts by verb and resource what it asked of the API server."""

    runner: cli.Installed
    folder: pathlib.Path
    asked: counting.Counts
    github: github.Server

    def run(self, now: datetime.datetime, to: str, **storage: str) -> dict[str, Any]:
        """The row of the one environment that was owed something."""
        written = {**platform.settings(self.runner.sandbox), "backup": {"to": to}}
        (self.folder / "platform.yaml").write_text(yaml.safe_dump(written))
        config = {"K8S_EE_KUBECONFIG": str(self.folder / "kubeconfig"), "GITHUB_API_URL": self.github.url}
        arguments = ("keeper", "--platform-file", "platform.yaml", "--now", now.isoformat(), "--output", "json")
        done = self.runner.start(self.folder, *arguments, **config, **storage).end(timeout=180)
        assert "forbidden" not in done.said.lower(), done.said
        (row,) = done.outcome["data"]["environments"]
        return {**row, "said": done.said}

    def janitor(self, now: datetime.datetime) -> dict[str, str]:
        """What one pass of it did, by namespace; by the administrator's rights, as its own are tried elsewhere."""
        given = {"GITHUB_API_URL": self.github.url, "GITHUB_TOKEN": "token"}
        given["K8S_EE_KUBECONFIG"] = str(self.runner.sandbox.kubeconfig)
        arguments = ("janitor", "--now", now.isoformat(), "--output", "json")
        done = self.runner.start(self.folder, *arguments, **given).end(timeout=120)
        return {one["namespace"]: one["done"] for one in done.outcome["data"]["environments"]}


@pytest.fixture
def keeper(runner: cli.Installed, tmp_path: pathlib.Path) -> Iterator[Keeper]:
    kubectl = runner.kubectl
    kubectl("delete", "namespace", "-l", "k8s-ee/type=ephemeral", "--timeout=90s")
    manifests = [one for name in ("identity", "admission") for one in _read(SHIPPED / f"{name}.yaml")]
    kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    in_force(runner)
    token = kubectl("-n", HOME, "create", "token", ACCOUNT).strip()
    (entry,) = yaml.safe_load(runner.sandbox.kubeconfig.read_text())["clusters"]
    authority = base64.b64decode(entry["cluster"]["certificate-authority-data"]).decode()
    with (
        counting.running(runner.sandbox.api_url, authority=authority, token=token) as (url, asked),
        cli.hub() as server,
    ):
        clusters = [{"name": "c", "cluster": {"server": url}}]
        contexts = [{"name": "c", "context": {"cluster": "c"}}]
        config = {"clusters": clusters, "contexts": contexts, "current-context": "c"}
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
        yield Keeper(runner, tmp_path, asked, server)
    kubectl("delete", "-f", "-", "--wait=false", stdin=yaml.safe_dump_all(manifests))


def _read(path: pathlib.Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def as_keeper(runner: cli.Installed, *arguments: str) -> str:
    return runner.kubectl(f"--as=system:serviceaccount:{HOME}:{ACCOUNT}", *arguments, check=False)


def in_force(runner: cli.Installed) -> None:
    """The API server reads a new policy some time after it took it, and tells nobody when."""
    end = time.monotonic() + 60
    attempt = ("annotate", "namespace", "default", "k8s-ee/backup-error=1", "--dry-run=server")
    while "may note" not in (said := as_keeper(runner, *attempt)):
        assert time.monotonic() < end, said
        time.sleep(0.2)


def granted(runner: cli.Installed) -> set[str]:
    rules = json.loads(runner.kubectl("get", "clusterrole", ACCOUNT, "-o", "json"))["rules"]
    return {f"{verb} {resource}" for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


def notes(preview: cli.Preview) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        preview.kubectl("get", "namespace", preview.namespace, "-o", "jsonpath={.metadata.annotations}")
    )
    return found


def configured(preview: cli.Preview, engine: str, server: github.Server) -> None:
    preview.configure({**cli.small(), "databases": {engine: {"storage": "128Mi"}}, "backup": "onDestroy"})
    preview.pushed(server, cli.commit())
    preview.up(image=preview.installed.sandbox.images["base"])


def cleaned(preview: cli.Preview, *arguments: str) -> str:
    done = preview.run("cleanup", *arguments, "--output", "json")
    assert done.code == 0, done.said
    return str(done.outcome["state"])


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def test_while_the_storage_is_away_nothing_is_deleted_and_once_it_is_back_nothing_is_lost(
    keeper: Keeper, runner: cli.Installed, tmp_path: pathlib.Path
) -> None:
    for name in ("storage", "shop"):
        (tmp_path / name).mkdir()
    with (
        cli.preview(runner, tmp_path / "storage", project="storage") as storage,
        cli.preview(runner, tmp_path / "shop", project="shop") as shop,
    ):
        configured(storage, "minio", keeper.github)
        configured(shop, "redis", keeper.github)
        stores.write(shop, "redis")
        before = stores.dumped(shop, "redis")
        assert shop.run("sleep").code == 0
        assert cleaned(shop) == "backing-up"
        wanted = datetime.datetime.fromisoformat(notes(shop)[environment.BACKUP_WANTED_AT])

        s3 = test_object_storage.variables(storage)
        login = {"AWS_ACCESS_KEY_ID": s3["S3_ACCESS_KEY"], "AWS_SECRET_ACCESS_KEY": s3["S3_SECRET_KEY"]}
        away = {**login, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
        for attempt in range(3):
            tried = keeper.run(wanted + attempt * 15 * MINUTES, "s3://app/previews", **away)
            assert (tried["done"], tried["attempt"]) == ("failed", attempt + 1), tried["said"]
            assert "can't be reached" in notes(shop)[environment.BACKUP_ERROR]
            assert login["AWS_SECRET_ACCESS_KEY"] not in tried["said"]
        held = keeper.janitor(wanted + 45 * MINUTES)
        assert held == {shop.namespace: "backup failed", storage.namespace: "kept"}
        assert "its backup failed" in shop.comment(keeper.github)

        assert cleaned(shop) == "backing-up", "another round"
        address = storage.kubectl("get", "service", "minio", "-o", "jsonpath={.spec.clusterIP}")
        there = {**login, "AWS_ENDPOINT_URL": f"http://{address}:9000"}
        kept = keeper.run(now(), "s3://app/previews/", **there)
        place = f"s3://app/previews/{events.REPOSITORY}/{shop.namespace}-"
        assert (kept["done"], kept["detail"].startswith(place)) == ("backed up", True), kept["said"]
        assert notes(shop)[environment.BACKED_UP].endswith(kept["detail"])
        check_rights(keeper, runner, shop)

        shop.up(image=runner.sandbox.images["base"])  # It lives again: its backup is one of the past.
        assert {one for one in notes(shop) if "back" in one} == {environment.BACKUP}
        assert stores.dumped(shop, "redis") == before
        shop.kubectl("exec", "redis-0", "--", "sh", "/etc/k8s-ee/scripts/wipe.sh")
        back = shop.start("restore", kept["detail"], **there).end()
        assert back.code == 0, back.said
        assert stores.dumped(shop, "redis") == before

        assert cleaned(shop, "--backup-to", str(tmp_path)) == "destroyed"
        (made,) = tmp_path.rglob("*.k8s-ee.tar")
        assert archive.verify(made, name="it").entry("redis")
        assert cleaned(storage) == "backing-up"
        assert cleaned(storage, "--without-backup") == "destroyed"
        assert "NotFound" in storage.kubectl("get", "namespace", storage.namespace, check=False)


def check_rights(keeper: Keeper, runner: cli.Installed, shop: cli.Preview) -> None:
    """Those that it has, it used; and it may use them nowhere but in environments, for nothing but backups."""
    used = set(keeper.asked) - {"get /version"}
    rights = granted(runner)
    assert used <= rights
    assert rights - used <= set(RARE)
    refused = {
        ("annotate", "namespace", "default", "k8s-ee/backup-error=x"): "may note something on environments",
        (
            "annotate",
            "namespace",
            shop.namespace,
            "k8s-ee/active-at=x",
            "--overwrite",
        ): "may note what became of backups",
        ("annotate", "namespace", shop.namespace, f"{environment.HEAD_SHA}-"): "may note what became of backups",
        ("label", "namespace", shop.namespace, "k8s-ee/type-"): "do nothing else to any namespace",
        ("-n", shop.namespace, "get", "secrets"): "forbidden",
        ("delete", "namespace", shop.namespace, "--wait=false"): "forbidden",
    }
    for attempt, why in refused.items():
        said = as_keeper(runner, *attempt)
        assert why in said, (attempt, said)
    api = cluster.connect(settings.Connection(kubeconfig=str(keeper.folder / "kubeconfig")))
    with pytest.raises(errors.Refused, match="may only work inside environments"):
        remote.run(api, "kube-system", _any_pod(runner), "true", deadline=time.monotonic() + 30)


def _any_pod(runner: cli.Installed) -> str:
    """Of the cluster's own, in which the keeper has nothing to look for."""
    return runner.kubectl("-n", "kube-system", "get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
