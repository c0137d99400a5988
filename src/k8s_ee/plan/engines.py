"""Every database there is: a new one is an entry here and a chart of the same name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

from k8s_ee import environment, resources
from k8s_ee.config import model
from k8s_ee.plan import components


@dataclasses.dataclass(frozen=True)
class Engine:
    """`env` gives the variables an app connects with, from a password that is safe in a URL; `password` names its own.

    `user` is the number of the user in the image. `default_image` is taken for `default_version`, `image` with the
    version for every other. What else differs from engine to engine is in the chart, in scripts with one interface:
    see docs/databases/engines.md.
    """

    name: str
    chart: str
    default_version: str
    default_image: str
    image: str
    port: int
    user: int
    resources: model.Resources
    env: Callable[[str], Mapping[str, str]]
    password: str

    @property
    def secret(self) -> str:
        """The number is for rotating: another password is another Secret."""
        return f"{self.name}-credentials-v1"

    @property
    def claim(self) -> str:
        """The PersistentVolumeClaim that the chart's StatefulSet makes."""
        return f"data-{self.name}-0"

    @functools.cached_property
    def ready(self) -> str:
        """The text of the script that ends well once the database answers the app's own user."""
        path = resources.directory("charts") / self.chart / "files" / "ready.sh"
        return path.read_text(encoding="utf-8")


WAITING = model.Resources(
    requests=model.Quantities(cpu="10m", memory="16Mi"),
    limits=model.Quantities(cpu="200m", memory="64Mi"),
)
"""Of each container in which the app's pods wait for a database."""


def _postgresql(password: str) -> dict[str, str]:
    return {
        "DATABASE_URL": f"postgresql://app:{password}@postgresql:5432/app",
        "PGHOST": "postgresql",
        "PGPORT": "5432",
        "PGDATABASE": "app",
        "PGUSER": "app",
        "PGPASSWORD": password,
    }


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine(
            name="postgresql",
            chart="postgresql",
            default_version="17",
            default_image="docker.io/library/postgres:17.11"
            "@sha256:d74eeac9a635390a49bc21bd49fccd973de707e2a53a76ac49b552b8712ec46f",
            image="docker.io/library/postgres:{version}",
            port=5432,
            user=999,
            resources=model.Resources(
                requests=model.Quantities(cpu="100m", memory="256Mi"),
                limits=model.Quantities(cpu="1", memory="512Mi"),
            ),
            env=_postgresql,
            password="PGPASSWORD",  # noqa: S106 - the name of a variable
        ),
    )
}


def image(engine: Engine, database: model.Database, platform: model.Platform) -> str:
    """The platform's image, whatever version it has: the chart refuses one that is not the version asked for."""
    if chosen := platform.engine_images.get(engine.name):
        return chosen
    if database.version in ("", engine.default_version):
        return engine.default_image
    return engine.image.format(version=database.version)


def database(
    target: environment.Environment, wanted: model.Database, platform: model.Platform, *, secret: str
) -> components.Component:
    engine = ENGINES[wanted.engine]
    values: dict[str, Any] = {
        **components.common_values(target, platform),
        "image": image(engine, wanted, platform),
        "version": wanted.version,
        "bootstrap": wanted.bootstrap,
        "startupSeconds": wanted.startup_seconds,
        "storage": wanted.storage,
        "storageClass": platform.storage_class,
        "resources": components.resources(engine.resources),
        "auth": {"existingSecret": secret},
    }
    return components.Component(
        name=engine.name, chart=engine.chart, values=values, manager=components.manager(engine.name)
    )


def credentials(engine: Engine, target: environment.Environment, token: Callable[[], str]) -> components.Manifest:
    """To be created once and never changed. `token` gives a password of letters, digits, '-' and '_'."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": components.metadata(target, engine.secret, component=engine.name),
        "type": "Opaque",
        "immutable": True,
        "stringData": dict(engine.env(token())),
    }
