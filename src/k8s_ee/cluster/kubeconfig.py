"""Where the API server is and who we are there: a kubeconfig, or the pod's own service account.

`kubernetes.config` would do, but importing that package costs more CPU than a whole create-namespace; only exec
plugins, whose protocol it implements, load it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import importlib
import os
import pathlib
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from k8s_ee import errors, settings, tls

_SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
_IN_CLUSTER_SERVER = "https://kubernetes.default.svc"
_TOKEN_FILE_SECONDS = 60.0
_EXPIRY_MARGIN = datetime.timedelta(seconds=30)


@dataclasses.dataclass(frozen=True)
class Access:
    """`authorization(fresh)` is the header's value or empty; `fresh` asks for a new one after a 401."""

    server: str
    context: ssl.SSLContext | None
    authorization: Callable[[bool], str] = dataclasses.field(repr=False)
    server_name: str = ""
    proxy: str = ""


def access(connection: settings.Connection) -> Access:
    """Raises ClusterUnavailable when there is no usable kubeconfig, context or service account."""
    given = connection.kubeconfig or ""
    if connection.in_cluster:
        return _in_cluster()
    if "\n" in given or given.startswith("{"):
        merged = _merge([(pathlib.Path(), _parsed(given, "the kubeconfig given"))])
    else:
        files = [pathlib.Path(path).expanduser() for path in (given or "~/.kube/config").split(":") if path]
        # Not Path.exists, which raises where a whole kubeconfig in base64 was given: too long for a name.
        merged = _merge([(file, _read(file)) for file in files if os.path.exists(file)])  # noqa: PTH110
        if not merged and not given and _SERVICE_ACCOUNT.exists():
            return _in_cluster()
        if not merged:
            raise _nothing_at(files, is_default=not given)
    context = _named(merged, "contexts", connection.context or merged.get("current-context") or "")["context"]
    cluster = _named(merged, "clusters", context.get("cluster", ""))["cluster"]
    user = _named(merged, "users", context["user"])["user"] if context.get("user") else {}
    return _from_kubeconfig(cluster, user)


def _nothing_at(files: list[pathlib.Path], *, is_default: bool) -> errors.ClusterUnavailable:
    """Names only what can be a path: a secret may hold something else, and errors end up in the pull request."""
    if is_default or all(file.is_absolute() and os.path.isdir(file.parent) for file in files):  # noqa: PTH112
        return errors.ClusterUnavailable(
            f"no kubeconfig at {', '.join(str(file) for file in files)}",
            hint="pass one with --kubeconfig (in a workflow: the `kubeconfig` input), or run inside the cluster",
        )
    return errors.ClusterUnavailable(
        "the kubeconfig given is neither a file nor a kubeconfig's text",
        hint="a workflow secret must hold the file's text as it is: not in base64, not a token alone, not a path",
    )


def _in_cluster() -> Access:
    token = _SERVICE_ACCOUNT / "token"
    if not token.exists():
        raise errors.ClusterUnavailable(
            "not inside a cluster: this pod has no service account token",
            hint="set automountServiceAccountToken: true and a serviceAccountName, or pass --kubeconfig",
        )
    context = tls.context((_SERVICE_ACCOUNT / "ca.crt").read_text("ascii"))
    return Access(server=_IN_CLUSTER_SERVER, context=context, authorization=_TokenFile(token))


def _read(file: pathlib.Path) -> dict[str, Any]:
    try:
        return _parsed(file.read_bytes(), f"kubeconfig {file}")
    except OSError as error:
        raise errors.ClusterUnavailable(f"kubeconfig {file} can't be read: {error.strerror}") from None


def _parsed(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError):
        raise errors.ClusterUnavailable(f"{what} is not YAML") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("clusters"), list):
        raise errors.ClusterUnavailable(
            f"{what} is not a kubeconfig",
            hint="it needs clusters, users and contexts; a workflow secret must hold the file's text, not its path",
        )
    return loaded


def _merge(documents: list[tuple[pathlib.Path, dict[str, Any]]]) -> dict[str, Any]:
    """The first file to name something wins. Each entry remembers the directory its relative paths start from."""
    merged: dict[str, Any] = {}
    for file, document in documents:
        for section in ("clusters", "users", "contexts"):
            for entry in document.get(section) or []:
                inner = entry.get(section[:-1]) or {}
                entry[section[:-1]] = {**inner, "_directory": file.resolve().parent}
                merged.setdefault(section, {}).setdefault(entry.get("name"), entry)
        if document.get("current-context"):
            merged.setdefault("current-context", document["current-context"])
    return merged


def _named(merged: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = (merged.get(section) or {}).get(name)
    if found is None:
        names = ", ".join(str(key) for key in merged.get(section) or {}) or "none"
        asked = f"no {section[:-1]} {name!r}" if name else "no current context"
        raise errors.ClusterUnavailable(f"the kubeconfig has {asked}", hint=f"it has: {names}")
    return found


def _from_kubeconfig(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Access:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise errors.ClusterUnavailable(f"the kubeconfig's server {server!r} is not an http(s) URL")
    if "auth-provider" in user:
        raise errors.ClusterUnavailable(
            "the kubeconfig uses a legacy auth-provider, which Kubernetes removed",
            hint="make a new kubeconfig with an exec plugin or a token",
        )
    plugin = _ExecPlugin(user["exec"], cluster, user["_directory"]) if user.get("exec") else None
    certificate = plugin.certificate() if plugin else _client_certificate(user)
    return Access(
        server=server,
        context=_context(cluster, certificate) if server.startswith("https") else None,
        authorization=plugin or _static(user),
        server_name=str(cluster.get("tls-server-name") or ""),
        proxy=str(cluster.get("proxy-url") or ""),
    )


def _static(user: Mapping[str, Any]) -> Callable[[bool], str]:
    if user.get("tokenFile"):
        return _TokenFile(user["_directory"] / user["tokenFile"])
    header = ""
    if user.get("token"):
        header = f"Bearer {user['token']}"
    elif user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}"
        header = "Basic " + base64.b64encode(pair.encode()).decode()
    return lambda _fresh: header


def _data(entry: Mapping[str, Any], key: str) -> str:
    """PEM text given as `<key>-data` (base64) or as a path; empty when neither is there."""
    try:
        if entry.get(f"{key}-data"):
            return base64.b64decode(entry[f"{key}-data"], validate=True).decode("ascii")
        if entry.get(key):
            return str((entry["_directory"] / entry[key]).read_text("ascii"))
    except (OSError, binascii.Error, UnicodeDecodeError):
        raise errors.ClusterUnavailable(f"the kubeconfig's {key} can't be read") from None
    return ""


def _client_certificate(user: Mapping[str, Any]) -> tuple[str, str]:
    return _data(user, "client-certificate"), _data(user, "client-key")


def _context(cluster: Mapping[str, Any], certificate: tuple[str, str]) -> ssl.SSLContext:
    authority = _data(cluster, "certificate-authority")
    try:
        context = tls.context(authority)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate[0]:
            _load(context, certificate)
    except (ssl.SSLError, ValueError):
        raise errors.ClusterUnavailable("a certificate or key in the kubeconfig is not valid PEM") from None
    return context


def _load(context: ssl.SSLContext, certificate: tuple[str, str]) -> None:
    """OpenSSL reads key pairs from files only; this one is gone again before the first request."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".pem") as file:
        file.write("\n".join(certificate))
        file.flush()
        context.load_cert_chain(file.name)


class _TokenFile:
    """A token that something else renews on disk."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_at = -_TOKEN_FILE_SECONDS
        self._header = ""

    def __call__(self, fresh: bool) -> str:
        with self._lock:
            if fresh or not self._header or time.monotonic() - self._read_at > _TOKEN_FILE_SECONDS:
                try:
                    self._header = "Bearer " + self._path.read_text("ascii").strip()
                except (OSError, UnicodeDecodeError):
                    raise errors.ClusterUnavailable(f"the token file {self._path} can't be read") from None
                self._read_at = time.monotonic()
            return self._header


class _ExecPlugin:
    """https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins"""

    def __init__(self, spec: Mapping[str, Any], cluster: Mapping[str, Any], directory: pathlib.Path) -> None:
        self._spec = spec
        self._directory = str(directory) if "/" in str(spec.get("command")) else None
        self._cluster = {key: value for key, value in cluster.items() if key != "_directory"}
        self._lock = threading.Lock()
        self._status: dict[str, Any] = {}

    def __call__(self, fresh: bool) -> str:
        with self._lock:
            if fresh or not self._status or self._expired():
                self._status = self._run()
            token = self._status.get("token")
            return f"Bearer {token}" if token else ""

    def certificate(self) -> tuple[str, str]:
        self(False)
        return self._status.get("clientCertificateData", ""), self._status.get("clientKeyData", "")

    def _expired(self) -> bool:
        expiry = self._status.get("expirationTimestamp")
        if not expiry:
            return False
        return datetime.datetime.fromisoformat(expiry) - _EXPIRY_MARGIN < datetime.datetime.now(datetime.UTC)

    def _run(self) -> dict[str, Any]:
        config: Any = importlib.import_module("kubernetes.config")
        node = config.kube_config.ConfigNode("exec", dict(self._spec))
        cluster = config.kube_config.ConfigNode("cluster", self._cluster)
        try:
            status: dict[str, Any] = config.exec_provider.ExecProvider(node, self._directory, cluster).run()
        except (config.ConfigException, OSError) as error:
            raise errors.ClusterUnavailable(
                f"the kubeconfig's exec plugin {self._spec.get('command')!r} failed: {error}",
                hint=str(self._spec.get("installHint") or "run the plugin by hand to see why"),
            ) from None
        return status
