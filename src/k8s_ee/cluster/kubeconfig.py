"""Where the API server is and who we are there: a kubeconfig, or the pod's own service account.

`kubernetes.config` would do, but importing that package costs more CPU than a whole create-namespace; only exec
plugins, whose protocol it implements, load it.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import importlib
import os
import pathlib
import re
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from k8s_ee import environment, errors, settings, tls
from k8s_ee.cluster import kubefile

Hide = Callable[[str], object]

_SERVICE_ACCOUNT = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT = "~/.kube/config"
_LONGEST_NAME = 64
_IN_CLUSTER_SERVER = "https://kubernetes.default.svc"
_TOKEN_FILE_SECONDS = 60.0
_EXPIRY_MARGIN = datetime.timedelta(seconds=30)
_TOKEN = re.compile(r"[!-~]+")


@dataclasses.dataclass(frozen=True)
class Access:
    """`authorization(fresh)` is the header's value or empty; `fresh` asks for a new one after a 401."""

    server: str
    context: ssl.SSLContext | None
    authorization: Callable[[bool], str] = dataclasses.field(repr=False)
    server_name: str = ""
    proxy: str = ""


def access(connection: settings.Connection, *, hide: Hide | None = None) -> Access:
    """`hide` is told every token and password before it is sent for the first time.

    Raises ClusterUnavailable when there is no usable kubeconfig, context or service account.
    """
    given, hide = connection.kubeconfig or "", hide or (lambda _secret: None)
    if connection.in_cluster:
        return _in_cluster(hide)
    if "\n" in given or given.startswith("{"):
        merged = kubefile.merged([(pathlib.Path(), kubefile.parsed(given, "the kubeconfig given"))])
    else:
        files = [pathlib.Path(os.path.expanduser(path)) for path in (given or _DEFAULT).split(":") if path]  # noqa: PTH111
        # Not Path.exists, which raises where a whole kubeconfig in base64 was given: too long for a name.
        there = [file for file in files if os.path.exists(file)]  # noqa: PTH110
        if not there and not given and _SERVICE_ACCOUNT.exists():
            return _in_cluster(hide)
        if not there:
            raise _nothing_at(files, is_default=not given)
        merged = kubefile.merged([(file, kubefile.read(file)) for file in there])
    context = kubefile.named(merged, "contexts", connection.context or merged.get("current-context") or "")
    cluster = kubefile.named(merged, "clusters", context.get("cluster", ""))
    user = kubefile.named(merged, "users", context["user"]) if context.get("user") else {}
    return _from_kubeconfig(cluster, user, hide)


def _nothing_at(files: list[pathlib.Path], *, is_default: bool) -> errors.ClusterUnavailable:
    """Names only what can be a path: a secret may hold something else, and errors end up in the pull request."""
    if is_default or all(_is_path(file) for file in files):
        return errors.ClusterUnavailable(
            f"no kubeconfig at {', '.join(str(file) for file in files)}",
            hint="pass one with --kubeconfig (in a workflow: the `kubeconfig` input), or run inside the cluster",
        )
    return errors.ClusterUnavailable(
        "the kubeconfig given is neither a file nor a kubeconfig's text",
        hint="a workflow secret must hold the file's text as it is: not in base64, not a token alone, not a path",
    )


def _is_path(file: pathlib.Path) -> bool:
    """Base64 has slashes, too, and a token has dots: neither has a short name of this kind, or lies in a folder."""
    named = file.suffix in {".yaml", ".yml", ".conf", ".config", ".kubeconfig"} and len(str(file)) < _LONGEST_NAME
    return named or (file.is_absolute() and os.path.isdir(file.parent))  # noqa: PTH112


def _in_cluster(hide: Hide) -> Access:
    token = _SERVICE_ACCOUNT / "token"
    if not token.exists():
        raise errors.ClusterUnavailable(
            "not inside a cluster: this pod has no service account token",
            hint="set automountServiceAccountToken: true and a serviceAccountName, or pass --kubeconfig",
        )
    context = tls.context((_SERVICE_ACCOUNT / "ca.crt").read_text("ascii"))
    return Access(server=_IN_CLUSTER_SERVER, context=context, authorization=_TokenFile(token, hide))


def _from_kubeconfig(cluster: Mapping[str, Any], user: Mapping[str, Any], hide: Hide) -> Access:
    server = kubefile.text(cluster, "server").strip().rstrip("/")
    if not settings.is_url(server):
        raise errors.ClusterUnavailable(
            f"the kubeconfig's server {server!r} is not an http(s) URL", hint="as in https://10.0.0.1:6443"
        )
    if "auth-provider" in user:
        raise errors.ClusterUnavailable(
            "the kubeconfig uses a legacy auth-provider, which Kubernetes removed",
            hint="make a new kubeconfig with an exec plugin or a token",
        )
    if not isinstance(user.get("exec") or {}, dict):
        raise errors.ClusterUnavailable("the kubeconfig's exec is not a map", hint="it needs at least a `command`")
    plugin = _ExecPlugin(user["exec"], cluster, user["_directory"], hide) if user.get("exec") else None
    certificate = plugin.certificate() if plugin else _client_certificate(user)
    return Access(
        server=server,
        context=_context(cluster, certificate) if server.startswith("https") else None,
        authorization=plugin or _static(user, hide),
        server_name=kubefile.text(cluster, "tls-server-name"),
        proxy=kubefile.text(cluster, "proxy-url").strip(),
    )


def _static(user: Mapping[str, Any], hide: Hide) -> Callable[[bool], str]:
    if user.get("tokenFile"):
        return _TokenFile(user["_directory"] / kubefile.text(user, "tokenFile"), hide)
    header = ""
    if user.get("token"):
        header = _bearer(kubefile.text(user, "token"), "the kubeconfig's token", hide)
    elif user.get("username"):
        password = kubefile.text(user, "password")
        pair = f"{kubefile.text(user, 'username')}:{password}"
        hide(password)
        hide(pair)
        header = "Basic " + base64.b64encode(pair.encode()).decode()
    return lambda _fresh: header


def _bearer(token: str, what: str, hide: Hide) -> str:
    """The header's value. Whoever else would refuse the token, http.client among them, says it to everybody."""
    token = token.strip()
    if not _TOKEN.fullmatch(token):
        raise errors.ClusterUnavailable(
            f"{what} can't be sent: a token is one word of letters, digits and signs",
            hint="make a new one, and copy it without what stands around it",
        )
    hide(token)
    return f"Bearer {token}"


def _client_certificate(user: Mapping[str, Any]) -> tuple[str, str]:
    return kubefile.pem(user, "client-certificate"), kubefile.pem(user, "client-key")


def _context(cluster: Mapping[str, Any], certificate: tuple[str, str]) -> ssl.SSLContext:
    authority = kubefile.pem(cluster, "certificate-authority")
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

    def __init__(self, path: pathlib.Path, hide: Hide) -> None:
        self._path, self._hide = path, hide
        self._lock = threading.Lock()
        self._read_at = -_TOKEN_FILE_SECONDS
        self._header = ""

    def __call__(self, fresh: bool) -> str:
        with self._lock:
            if fresh or not self._header or time.monotonic() - self._read_at > _TOKEN_FILE_SECONDS:
                self._header = _bearer(self._text(), f"the token in the file {self._path}", self._hide)
                self._read_at = time.monotonic()
            return self._header

    def _text(self) -> str:
        try:
            return self._path.read_text("utf-8")
        except (OSError, ValueError):
            raise errors.ClusterUnavailable(f"the token file {self._path} can't be read") from None


class _ExecPlugin:
    """https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins"""

    def __init__(
        self, spec: Mapping[str, Any], cluster: Mapping[str, Any], directory: pathlib.Path, hide: Hide
    ) -> None:
        self._spec, self._hide = spec, hide
        self._directory = str(directory) if "/" in str(spec.get("command")) else None
        self._cluster = {key: value for key, value in cluster.items() if key != "_directory"}
        self._lock = threading.Lock()
        self._status: dict[str, Any] = {}
        self._header = ""

    def __call__(self, fresh: bool) -> str:
        with self._lock:
            if fresh or not self._status or self._expired():
                status = self._run()
                token = kubefile.text(status, "token")
                self._header = _bearer(token, "the exec plugin's token", self._hide) if token else ""
                self._status = status
            return self._header

    def certificate(self) -> tuple[str, str]:
        self(False)
        return kubefile.text(self._status, "clientCertificateData"), kubefile.text(self._status, "clientKeyData")

    def _expired(self) -> bool:
        """Not when it says nothing of it that can be read: the API server knows best, and a 401 asks for a new one."""
        expiry = environment.read_time(str(self._status.get("expirationTimestamp")))
        return expiry is not None and expiry - _EXPIRY_MARGIN < datetime.datetime.now(datetime.UTC)

    def _run(self) -> dict[str, Any]:
        config: Any = importlib.import_module("kubernetes.config")
        node = config.kube_config.ConfigNode("exec", dict(self._spec))
        cluster = config.kube_config.ConfigNode("cluster", self._cluster)
        try:
            return dict(config.exec_provider.ExecProvider(node, self._directory, cluster).run())
        except (config.ConfigException, OSError, ValueError, TypeError, AttributeError, LookupError) as error:
            # The client takes for granted that what it reads, here and of the plugin, has the right types.
            raise errors.ClusterUnavailable(
                f"the kubeconfig's exec plugin {self._spec.get('command')!r} failed: {error}",
                hint=str(self._spec.get("installHint") or "run the plugin by hand to see why"),
            ) from None
