"""A cluster without pods: it is up in seconds, and enough for what only the API server decides."""

import contextlib
import dataclasses
from collections.abc import Iterator

from k8s_ee import cluster, environment
from k8s_ee_sandbox import cluster as sandboxes
from k8s_ee_sandbox import progress
from tests import conftest
from tests.cluster import environments


@dataclasses.dataclass(frozen=True)
class Bare:
    api: cluster.Cluster
    kubectl: conftest.Kubectl
    sandbox: sandboxes.Sandbox

    def made(self) -> environment.Observed:
        wanted = environments.unique()
        made = cluster.namespaces.ensure(self.api, environments.namespace(wanted), wanted, environments.soon())
        return made.observed

    def now(self, observed: environment.Observed) -> environment.Observed:
        (found,) = cluster.find(self.api, observed.repository_id, observed.number)
        return found


@contextlib.contextmanager
def up(name: str = "bare") -> Iterator[Bare]:
    """Taken down at the end."""
    name = f"{conftest.sandbox_name()}-{name}"
    made = sandboxes.up(name, "api", progress.Progress())
    try:
        yield Bare(environments.connect(made), conftest.kubectl_for(made.kubeconfig), made)
    finally:
        sandboxes.down(name, progress.Progress())
