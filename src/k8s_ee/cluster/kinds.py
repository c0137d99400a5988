"""Every kind this tool handles and where the API server keeps it: known beforehand, so nothing is discovered."""

from __future__ import annotations

import dataclasses
import urllib.parse

from k8s_ee import errors


@dataclasses.dataclass(frozen=True)
class Kind:
    """`api_version` as manifests write it ("v1", "apps/v1")."""

    name: str
    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
        """Path of one object, or of the collection when `name` is empty (in all namespaces when that is empty too)."""
        root = "/api" if "/" not in self.api_version else "/apis"
        parts = [root, self.api_version]
        if self.namespaced and namespace:
            parts += ["namespaces", urllib.parse.quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [urllib.parse.quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)


_ALL = (
    Kind("Namespace", "v1", "namespaces", namespaced=False),
    Kind("PersistentVolume", "v1", "persistentvolumes", namespaced=False),
    Kind("Node", "v1", "nodes", namespaced=False),
    Kind("PriorityClass", "scheduling.k8s.io/v1", "priorityclasses", namespaced=False),
    Kind("StorageClass", "storage.k8s.io/v1", "storageclasses", namespaced=False),
    Kind("APIService", "apiregistration.k8s.io/v1", "apiservices", namespaced=False),
    Kind("ConfigMap", "v1", "configmaps"),
    Kind("Secret", "v1", "secrets"),
    Kind("Service", "v1", "services"),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("LimitRange", "v1", "limitranges"),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("Pod", "v1", "pods"),
    Kind("Event", "v1", "events"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("ReplicaSet", "apps/v1", "replicasets"),
    Kind("StatefulSet", "apps/v1", "statefulsets"),
    Kind("Job", "batch/v1", "jobs"),
    Kind("CronJob", "batch/v1", "cronjobs"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
    Kind("Lease", "coordination.k8s.io/v1", "leases"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    Kind("ServiceMonitor", "monitoring.coreos.com/v1", "servicemonitors"),
)
KINDS = {kind.name: kind for kind in _ALL}

WORKLOADS = ("Deployment", "StatefulSet", "Job", "CronJob", "Pod")
"""Applied after everything they may refer to."""

PRUNABLE = (
    "Deployment",
    "StatefulSet",
    "Job",
    "CronJob",
    "Ingress",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ServiceMonitor",
)
"""Kinds that go when a component no longer has them. Nothing that holds data is ever here."""


def kind(name: str, *, api_version: str = "") -> Kind:
    """Raises InputError for a kind, or a version of it, that is not in the table."""
    found = KINDS.get(name)
    if found is None or (api_version and api_version != found.api_version):
        raise errors.InputError(
            f"kind {api_version or '?'}/{name} is not one this tool applies",
            hint="known kinds: " + ", ".join(f"{k.api_version} {k.name}" for k in _ALL),
        )
    return found
