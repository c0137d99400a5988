"""Installs `k8s/platform` in a sandbox, as a platform engineer would, and writes the kubeconfig that CI gets."""

import base64
import json
import pathlib
import subprocess
from collections.abc import Mapping
from typing import Any

import yaml

from k8s_ee import resources
from k8s_ee_sandbox import cluster, errors

OWNER_ID = 77
PULL_SECRET = "sandbox-registry"  # noqa: S105 - the name of a Secret
_ENGINES = {one: one for one in ("postgresql", "mariadb", "mongodb", "minio")} | {"redis": "valkey"}
_NAMESPACE = "k8s-ee-system"
_PULL_SECRETS = "k8s-ee-pull-secrets"
_IDENTITY = "k8s-ee-ci"
_TOKEN_LIFE = "24h"  # noqa: S105 - a duration


def install(sandbox: cluster.Sandbox, *, kubectl: pathlib.Path) -> pathlib.Path:
    """Idempotent, also while something is being deployed: the settings that ship, which let nobody in, are never there.

    Returns the path of the CI identity's kubeconfig (mode 0600). Raises SandboxError.
    """
    run = _Kubectl(kubectl, sandbox.kubeconfig)
    shipped = yaml.safe_load_all(run("kustomize", str(resources.directory("k8s") / "platform")))
    manifests = [_settings(one, sandbox) if one["kind"] == "ConfigMap" else one for one in shipped]
    # In the platform's own namespace for what is installed there from the sandbox's registry.
    logins = [_pull_secret(sandbox, namespace) for namespace in (_PULL_SECRETS, _NAMESPACE)]
    text = yaml.safe_dump_all([*manifests, *logins])
    run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    token = run("-n", _NAMESPACE, "create", "token", _IDENTITY, f"--duration={_TOKEN_LIFE}").strip()
    return _kubeconfig(sandbox, token)


def ci_kubeconfig(sandbox: cluster.Sandbox) -> pathlib.Path:
    """Where `install` writes it."""
    return sandbox.kubeconfig.with_name("ci.kubeconfig")


def settings(sandbox: cluster.Sandbox) -> dict[str, Any]:
    """The platform settings of a sandbox, as `platform.yaml` has them."""
    return {
        "domain": sandbox.domain,
        "scheme": "http",
        "ingress": {
            "className": "sandbox",
            "namespace": "ingress",
            "podLabels": {"app.kubernetes.io/name": "ingress"},
            "address": sandbox.ingress_address,
        },
        "registries": [sandbox.registry],
        "imagePullSecrets": [PULL_SECRET],
        "engineImages": {engine: sandbox.images[name] for engine, name in _ENGINES.items() if name in sandbox.images},
        "backup": {"to": "/backups"},
        "allowed": {"ownerIds": [OWNER_ID]},
    }


def _settings(shipped: Mapping[str, Any], sandbox: cluster.Sandbox) -> dict[str, Any]:
    return {**shipped, "data": {"platform.yaml": yaml.safe_dump(settings(sandbox))}}


def _pull_secret(sandbox: cluster.Sandbox, namespace: str) -> dict[str, Any]:
    login = f"{sandbox.registry_user}:{sandbox.registry_password}".encode()
    auths = {"auths": {sandbox.registry: {"auth": base64.b64encode(login).decode()}}}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": namespace},
        "stringData": {".dockerconfigjson": json.dumps(auths)},
    }


def _kubeconfig(sandbox: cluster.Sandbox, token: str) -> pathlib.Path:
    admin = yaml.safe_load(sandbox.kubeconfig.read_text())
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "sandbox", "cluster": admin["clusters"][0]["cluster"]}],
        "users": [{"name": _IDENTITY, "user": {"token": token}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": _IDENTITY}}],
        "current-context": "sandbox",
    }
    path = ci_kubeconfig(sandbox)
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path


class _Kubectl:
    def __init__(self, path: pathlib.Path, kubeconfig: pathlib.Path) -> None:
        self._command = [str(path), f"--kubeconfig={kubeconfig}", "--request-timeout=20s"]

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run(
            [*self._command, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise errors.SandboxError(f"kubectl {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout
