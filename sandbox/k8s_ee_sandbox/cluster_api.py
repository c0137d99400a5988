"""The few calls to the API server that bring a cluster up. Standard library only."""

import base64
import contextlib
import http.client
import json
import pathlib
import ssl
import urllib.parse
from typing import Any

from k8s_ee_sandbox import errors

Manifest = dict[str, Any]
_MANAGER = "k8s-ee-sandbox"
_PLURALS = {"IngressClass": "ingressclasses", "StorageClass": "storageclasses"}
_CLUSTER_WIDE = (
    *("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "Namespace", "Node"),
    "StorageClass",
)


class NotReachableError(Exception):
    """No answer at all: the server may be starting."""


class Client:
    """One connection per call: what is called may restart at any time."""

    def __init__(self, kubeconfig: pathlib.Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._server = urllib.parse.urlsplit(cluster["server"])
        self._tls = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        # OpenSSL takes a client's certificate from files only, and they lie beside the kubeconfig.
        pki = kubeconfig.parent / "pki"
        self._tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self.url = cluster["server"]

    def call(self, method: str, path: str, body: Manifest | None = None, *, kind: str = "application/json") -> Manifest:
        """Raises NotReachableError, or SandboxError for any answer but a success."""
        with contextlib.closing(self._connect()) as connection:
            try:
                content = json.dumps(body) if body is not None else None
                connection.request(method, path, body=content, headers={"Content-Type": kind})
                answer = connection.getresponse()
                text = answer.read().decode()
            except (OSError, http.client.HTTPException) as failed:
                raise NotReachableError(str(failed)) from None
        if answer.status >= 300:
            raise errors.SandboxError(f"{method} {path} answered {answer.status}: {text.strip()[:500]}")
        return _parsed(text)

    def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        query = f"?fieldManager={_MANAGER}&force=true"
        return self.call("PATCH", path_of(manifest) + query, manifest, kind="application/apply-patch+yaml")

    def patch_status(self, manifest: Manifest, status: Manifest) -> None:
        self.call("PATCH", f"{path_of(manifest)}/status", {"status": status}, kind="application/merge-patch+json")

    def get(self, manifest: Manifest) -> Manifest:
        return self.call("GET", path_of(manifest))

    def ready(self) -> bool:
        try:
            self.call("GET", "/readyz")
        except (NotReachableError, errors.SandboxError):
            return False
        return True

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._server.hostname or "", self._server.port, timeout=10, context=self._tls
        )


def path_of(manifest: Manifest) -> str:
    version, kind, metadata = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    within = "" if kind in _CLUSTER_WIDE else f"/namespaces/{metadata['namespace']}"
    return f"{root}{within}/{plural}/{metadata['name']}"


def _decoded(data: str) -> str:
    return base64.b64decode(data).decode()


def _parsed(text: str) -> Manifest:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError:  # health checks answer with a word
        return {}
    return parsed if isinstance(parsed, dict) else {}
