from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from k8s_ee import cluster, environment, settings
from tests.wire import kube as wire

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: good}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
"""

Connect = Callable[..., cluster.Cluster]


@pytest.fixture
def kube() -> wire.Kube:
    return wire.Kube()


@pytest.fixture
def url(kube: wire.Kube) -> Iterator[str]:
    server, address = wire.serve(kube)
    yield address
    kube.drop_watches()
    server.shutdown()
    server.server_close()


@pytest.fixture
def connect(url: str) -> Connect:
    def made(*, dry_run: bool = False) -> cluster.Cluster:
        return cluster.connect(settings.Connection(kubeconfig=KUBECONFIG.format(url=url)), dry_run=dry_run)

    return made


@pytest.fixture
def api(connect: Connect) -> cluster.Cluster:
    return connect()


@pytest.fixture
def wanted() -> environment.Environment:
    return environment.Environment(
        project=environment.ProjectId("shop"),
        number=7,
        repository="acme/shop",
        repository_id=42,
        domain="preview.test",
        branch="feature",
        run=20,
    )


@pytest.fixture
def manifest(wanted: environment.Environment) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": wanted.namespace, "labels": wanted.labels(), "annotations": wanted.annotations()},
    }
