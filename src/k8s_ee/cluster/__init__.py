"""The Kubernetes API server, and what environments are made of there. The only package that talks to it."""

from k8s_ee.cluster import destroy, namespaces, waiting
from k8s_ee.cluster.client import Cluster, connect
from k8s_ee.cluster.destroy import Changed, Receipt
from k8s_ee.cluster.namespaces import Ensured
from k8s_ee.cluster.observe import environments, find, serving
from k8s_ee.cluster.output import Log, follow, logs

__all__ = [
    "Changed",
    "Cluster",
    "Ensured",
    "Log",
    "Receipt",
    "connect",
    "destroy",
    "environments",
    "find",
    "follow",
    "logs",
    "namespaces",
    "serving",
    "waiting",
]
