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
    version for every other; data is of the first `series` numbers of a version, and no other one reads it.
    What else differs from engine to engine is in the chart, in scripts with one interface:
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
    series: int = 1

    @property
    def login(self) -> str:
        """The Secret with the password that the server has."""
        return f"{self.name}-login"

    def credentials(self, number: int) -> str:
        """The Secret that the app reads. Another password is another Secret: see `plan.logins`."""
        return f"{self.name}-credentials-v{number}"

    @property
    def secret(self) -> str:
        """The first that the app reads."""
        return self.credentials(1)

    @property
    def pod(self) -> str:
        """Of the chart's StatefulSet."""
        return f"{self.name}-0"

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


def _mariadb(password: str) -> dict[str, str]:
    return {
        "MYSQL_URL": f"mysql://app:{password}@mariadb:3306/app",
        "MYSQL_HOST": "mariadb",
        "MYSQL_PORT": "3306",
        "MYSQL_DATABASE": "app",
        "MYSQL_USER": "app",
        "MYSQL_PASSWORD": password,
    }


def _redis(password: str) -> dict[str, str]:
    return {
        "REDIS_URL": f"redis://:{password}@redis:6379/0",
        "REDIS_HOST": "redis",
        "REDIS_PORT": "6379",
        "REDIS_PASSWORD": password,
    }


def _mongodb(password: str) -> dict[str, str]:
    url = f"mongodb://app:{password}@mongodb:27017/app"
    return {"MONGODB_URL": url, "MONGODB_URI": url, "MONGODB_DATABASE": "app"}


def _minio(password: str) -> dict[str, str]:
    """MinIO's own clients take host and port, those of S3 a URL."""
    login = {"ACCESS_KEY": "app", "SECRET_KEY": password, "BUCKET": "app"}
    return {
        "MINIO_ENDPOINT": "minio",
        "MINIO_PORT": "9000",
        **{f"MINIO_{name}": value for name, value in login.items()},
        "S3_ENDPOINT": "http://minio:9000",
        **{f"S3_{name}": value for name, value in login.items()},
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
        Engine(
            name="mariadb",
            chart="mariadb",
            default_version="11.8",
            default_image="docker.io/library/mariadb:11.8.9"
            "@sha256:6422478cb8e159f080fb1d8ccf65101e26fe51385787fde7d16c3b165a331f15",
            image="docker.io/library/mariadb:{version}",
            port=3306,
            user=999,
            resources=model.Resources(
                requests=model.Quantities(cpu="100m", memory="256Mi"),
                limits=model.Quantities(cpu="1", memory="512Mi"),
            ),
            env=_mariadb,
            password="MYSQL_PASSWORD",  # noqa: S106 - the name of a variable
            series=2,
        ),
        Engine(
            name="redis",
            chart="redis",
            default_version="8",
            default_image="docker.io/valkey/valkey:8.1.10"
            "@sha256:640c5e62cea04b6d6f2084232651d0cc70362d31f4f805e7be94dbed6855e8f2",
            image="docker.io/valkey/valkey:{version}",
            port=6379,
            user=999,
            resources=model.Resources(
                requests=model.Quantities(cpu="50m", memory="64Mi"),
                limits=model.Quantities(cpu="500m", memory="256Mi"),
            ),
            env=_redis,
            password="REDIS_PASSWORD",  # noqa: S106 - the name of a variable
        ),
        Engine(
            name="mongodb",
            chart="mongodb",
            default_version="8.0",
            default_image="docker.io/library/mongo:8.0.32"
            "@sha256:4968f22d0c6c10ef29952f3e807f62872ba22b3312f25803564fbfc08255efc2",
            image="docker.io/library/mongo:{version}",
            port=27017,
            user=999,
            resources=model.Resources(
                requests=model.Quantities(cpu="100m", memory="256Mi"),
                limits=model.Quantities(cpu="1", memory="768Mi"),
            ),
            env=_mongodb,
            password="MONGODB_URL",  # noqa: S106 - the name of a variable
            series=2,
        ),
        # MinIO publishes no images any more; docs/databases/minio.md says why it is this server.
        Engine(
            name="minio",
            chart="minio",
            default_version="1.8.0",
            default_image="ghcr.io/versity/versitygw:v1.8.0"
            "@sha256:30292fc2eeacc67a36993b01f7a7a5e3361a19cced0e80c1d71cfa2a4b0a2499",
            image="ghcr.io/versity/versitygw:v{version}",
            port=9000,
            user=1000,
            resources=model.Resources(
                requests=model.Quantities(cpu="50m", memory="64Mi"),
                limits=model.Quantities(cpu="1", memory="256Mi"),
            ),
            env=_minio,
            password="S3_SECRET_KEY",  # noqa: S106 - the name of a variable
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
