"""Wait until a cluster serves, and say what is missing when it does not."""

import http.client
import time
from collections.abc import Callable

from k8s_ee_sandbox import cluster_api, cluster_profiles, errors, network, node, state

_WITHIN = 180.0  # eight seconds on an idle machine, one minute on one that compiles for five others
_EVERY = 0.1


class Ready:
    def __init__(
        self,
        where: state.Place,
        net: network.Network,
        *,
        running: state.State,
        profile: cluster_profiles.Profile,
    ) -> None:
        self._where = where
        self._net = net
        self._running = running
        self._profile = profile
        self.client = cluster_api.Client(where.kubeconfig)

    def wait_for_api(self) -> None:
        """Raises SandboxError if the node ends meanwhile, or it takes too long."""
        self._until(self._missing_api)

    def wait(self) -> None:
        """Node, deployments and ingress as well."""
        self._until(self._missing)

    def _until(self, missing: Callable[[], str]) -> None:
        until = time.monotonic() + _WITHIN
        while what := missing():
            if not state.alive(self._running):
                raise node.ended(self._where)
            if time.monotonic() > until:
                raise errors.SandboxError(
                    f"not ready within {_WITHIN:.0f} s: {what}", hint=f"The logs are in {self._where.logs}."
                )
            time.sleep(_EVERY)

    def _missing_api(self) -> str:
        return "" if self.client.ready() else "the API server"

    def _missing(self) -> str:
        """The first thing that does not serve."""
        try:
            return self._missing_api() or (self._missing_pods() if self._profile.runs_pods else "")
        except cluster_api.NotReachableError as failed:
            return f"the API server: {failed}"

    def _missing_pods(self) -> str:
        if not self._node_ready():
            return "the node"
        for namespace, name in self._profile.deployments:
            if not self._available(namespace, name):
                return f"deployment {namespace}/{name}"
        return "" if self._ingress_answers() else "the ingress controller's address"

    def _node_ready(self) -> bool:
        path = f"/api/v1/nodes?fieldSelector=metadata.name={self._net.name}"
        nodes = self.client.call("GET", path)["items"]
        conditions = [one for node in nodes for one in node["status"].get("conditions", [])]
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _available(self, namespace: str, name: str) -> bool:
        metadata = {"namespace": namespace, "name": name}
        found = self.client.get({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata})
        return bool(found["status"].get("availableReplicas", 0))

    def _ingress_answers(self) -> bool:
        connection = http.client.HTTPConnection(self._net.node, 80, timeout=2)
        try:
            connection.request("GET", "/", headers={"Host": "nobody.invalid"})
            return connection.getresponse().status == http.HTTPStatus.NOT_FOUND
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
