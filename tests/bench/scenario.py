"""One pull request's environment, written out as the files that people who use kubectl and helm by hand would have."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import secrets
from typing import Any

import yaml

from k8s_ee import config as configs
from k8s_ee import environment, plan
from k8s_ee.config import model
from k8s_ee_sandbox import cluster, platform
from tests.cluster import cli
from tests.workflows import events

PROJECT = "bench"
COMMIT = "b" * 40
Manifest = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`fence` in the order of application, the Namespace first; `postgresql` and `app` are values of those charts.

    `migration` selects the migration's Job; empty = the app has none.
    """

    number: int
    namespace: str
    host: str
    fence: tuple[pathlib.Path, ...]
    credentials: tuple[pathlib.Path, ...]
    postgresql: pathlib.Path
    app: pathlib.Path
    migration: str


def config(sandbox: cluster.Sandbox, *, migration: bool) -> dict[str, Any]:
    """The example's k8s-ee.yaml: an app, with its migration if that is asked for, and a PostgreSQL."""
    example = cli.example(sandbox)
    app = {key: value for key, value in example["app"].items() if migration or key != "migrate"}
    return {**example, "app": app, "projectId": PROJECT}


def write(
    folder: pathlib.Path,
    sandbox: cluster.Sandbox,
    *,
    number: int,
    image: str,
    pull_secret: Manifest,
    migration: bool,
) -> Scenario:
    """The same objects that k8s-ee makes of the same k8s-ee.yaml and platform settings, from the same plan."""
    settings = configs.load_platform(yaml.safe_dump(platform.settings(sandbox)), path="platform.yaml")
    wanted = configs.load(yaml.safe_dump(config(sandbox, migration=migration)), path="k8s-ee.yaml")
    target = _target(sandbox, number=number)
    (database,) = wanted.databases
    engine = plan.ENGINES[database.engine]
    login = plan.logins.login(engine, target, token=lambda: secrets.token_urlsafe(24))
    fence = [plan.namespace(target, settings), *plan.fence(target, wanted, settings), _copied(pull_secret, target)]
    folder.mkdir()
    return Scenario(
        number=number,
        namespace=target.namespace,
        host=target.host,
        fence=tuple(_json(folder / f"fence-{index:02}.json", one) for index, one in enumerate(fence)),
        credentials=(
            _json(folder / "login.json", login),
            _json(folder / "credentials.json", plan.logins.credentials(engine, login)),
        ),
        postgresql=_json(
            folder / "postgresql.json", plan.database(target, database, settings, secret=engine.login).values
        ),
        app=_json(folder / "app.json", _app(target, wanted, settings, image=image).values),
        migration=f"app.kubernetes.io/name=migrate,{environment.PULL_REQUEST}={number}" if migration else "",
    )


def _app(
    target: environment.Environment, wanted: model.Config, settings: model.Platform, *, image: str
) -> plan.Component:
    names = {one.engine: plan.ENGINES[one.engine].secret for one in wanted.databases}
    return plan.app(target, wanted, settings, image=image, database_secrets=names)


def _target(sandbox: cluster.Sandbox, *, number: int) -> environment.Environment:
    return environment.Environment(
        project=environment.ProjectId(PROJECT),
        number=number,
        repository=events.REPOSITORY,
        repository_id=events.REPOSITORY_ID,
        domain=sandbox.domain,
        scheme="http",
        branch="feature",
        head_sha=COMMIT,
    )


def _copied(secret: Manifest, target: environment.Environment) -> Manifest:
    metadata = {
        "name": secret["metadata"]["name"],
        "namespace": target.namespace,
        "labels": {environment.MANAGED_BY: environment.MANAGER},
    }
    return {"apiVersion": "v1", "kind": "Secret", "type": secret["type"], "metadata": metadata, "data": secret["data"]}


def _json(path: pathlib.Path, content: Any) -> pathlib.Path:
    path.write_text(json.dumps(content))
    return path
