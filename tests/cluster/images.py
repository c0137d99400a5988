"""Images of a few hundred bytes, pushed to the sandbox's registry: what a cluster makes of them is what is tested."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import io
import json
import secrets
import tarfile
from typing import Any

from k8s_ee_sandbox import cluster as sandboxes

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def push(
    sandbox: sandboxes.Sandbox,
    *,
    architecture: str = "amd64",
    user: str = "1000",
    files: dict[str, bytes] | None = None,
) -> str:
    """REGISTRY/NAME@sha256:… of an index with one image, which no node has seen yet. `files` are executable."""
    layer, diff_id = _layer({**(files or {}), "unique": secrets.token_bytes(8)})
    rootfs = {"type": "layers", "diff_ids": [diff_id]}
    process = {"User": user, "Cmd": [f"/{name}" for name in files or ["unique"]]}
    config = _json({"architecture": architecture, "os": "linux", "rootfs": rootfs, "config": process})
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    platform = {"architecture": architecture, "os": "linux"}
    only = {**_descriptor(_MANIFEST, manifest), "platform": platform}
    index = _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [only]})
    name = "acme/guestbook"
    for blob in (config, layer):
        where = _send(sandbox, "POST", f"/v2/{name}/blobs/uploads/")
        _send(sandbox, "PUT", f"{where}{'&' if '?' in where else '?'}digest={digest(blob)}", blob)
    _send(sandbox, "PUT", f"/v2/{name}/manifests/{digest(manifest)}", manifest, kind=_MANIFEST)
    _send(sandbox, "PUT", f"/v2/{name}/manifests/{digest(index)}", index, kind=_INDEX)
    return f"{sandbox.registry}/{name}@{digest(index)}"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _layer(files: dict[str, bytes]) -> tuple[bytes, str]:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(raw.getvalue(), compresslevel=1), digest(raw.getvalue())


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest(content), "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _send(
    sandbox: sandboxes.Sandbox, method: str, path: str, body: bytes = b"", *, kind: str = "application/octet-stream"
) -> str:
    """The Location it answers with, as a path."""
    login = base64.b64encode(f"{sandbox.registry_user}:{sandbox.registry_password}".encode()).decode()
    connection = http.client.HTTPConnection(sandbox.registry, timeout=10)
    try:
        connection.request(method, path, body, {"Authorization": f"Basic {login}", "Content-Type": kind})
        response = connection.getresponse()
        answer = response.read()
        assert response.status < 300, (method, path, response.status, answer)
        return (response.getheader("Location") or "").removeprefix(f"http://{sandbox.registry}")
    finally:
        connection.close()
