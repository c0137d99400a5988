"""HTTP to one API server: kept connections, time-outs, bounded retries, and every refusal as one of our errors."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import urllib3

from k8s_ee import errors
from k8s_ee.cluster import kubeconfig, pool

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_ATTEMPTS = 5
_BACKOFF_SECONDS = 0.2
_BACKOFF_LIMIT = 5.0
_RETRY_AFTER_LIMIT = 30.0
_RETRIED = frozenset({429, 500, 502, 503, 504})

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class Expired(errors.ClusterUnavailable):
    """The version a watch should start from is too old (410): list again."""


class UnknownKind(errors.ClusterUnavailable):
    """The cluster lacks the custom resource definition."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """`body` is the decoded JSON object; a Status object when `status` is not 2xx."""

    status: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message") or "")


@dataclasses.dataclass(frozen=True)
class Request:
    """`what` names the object in messages ("Deployment app"); `body` is sent as JSON with type `content_type`."""

    method: str
    path: str
    what: str
    query: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: Any = None
    content_type: str = JSON
    accept: str = JSON


class Transport:
    """Safe to use from many threads: nothing here changes after it is made."""

    def __init__(self, access: kubeconfig.Access, *, user_agent: str) -> None:
        self._access = access
        self._user_agent = user_agent
        self._pool = _pool(access)

    def send(self, request: Request, *, expected: Collection[int] = ()) -> Answer:
        """The answer when it is 2xx or its status is `expected`.

        Raises ClusterUnavailable (no connection, 401, 5xx after retries), Refused (403), InputError (the API server
        says the object is wrong), NotReady (its namespace is gone).
        """
        answer, renewed = Answer(0, {}), False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._open(request, fresh=renewed)
                answer = Answer(response.status, _decode(response.data))
            except urllib3.exceptions.HTTPError as error:
                if attempt == _ATTEMPTS or _hopeless(error):
                    raise self._no_connection(error) from None
                time.sleep(_pause(attempt, None))
                continue
            if 200 <= answer.status < 300 or answer.status in expected:
                return answer
            if answer.status == 401 and not renewed:
                renewed = True
            elif answer.status in _RETRIED and not _misfit(answer) and attempt < _ATTEMPTS:
                time.sleep(_pause(attempt, response.headers.get("Retry-After")))
            else:
                break
        raise error_of(request, answer)

    @contextlib.contextmanager
    def stream(self, request: Request, *, seconds: float) -> Iterator[urllib3.BaseHTTPResponse]:
        """An open answer of at most `seconds` between two reads. Not retried: who reads knows where to go on.

        Raises as `send`, and urllib3's own errors while it is read.
        """
        try:
            response = self._open(request, fresh=False, seconds=seconds, preload=False)
        except urllib3.exceptions.HTTPError as error:
            raise self._no_connection(error) from None
        try:
            if response.status != 200:
                raise error_of(request, Answer(response.status, _decode(response.read(65536))))
            yield response
        finally:
            response.close()

    def _open(
        self, request: Request, *, fresh: bool, seconds: float = _READ_SECONDS, preload: bool = True
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Accept": request.accept, "User-Agent": self._user_agent}
        authorization = self._access.authorization(fresh)
        if authorization:
            headers["Authorization"] = authorization
        body = None
        if request.body is not None:
            headers["Content-Type"] = request.content_type
            body = json.dumps(request.body, separators=(",", ":")).encode()
        query = "?" + urllib.parse.urlencode(request.query) if request.query else ""
        return self._pool.request(
            request.method,
            self._access.server + request.path + query,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
            retries=False,
            redirect=False,
            preload_content=preload,
        )

    def _no_connection(self, error: Exception) -> errors.ClusterUnavailable:
        server = self._access.server
        text = str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return errors.ClusterUnavailable(
                f"the certificate of {server} is not the one the kubeconfig trusts",
                hint="the kubeconfig is for another cluster, or an old one: make a new one",
            )
        for sign, reason in _REASONS.items():
            if sign in text:
                return errors.ClusterUnavailable(f"no connection to the cluster at {server}: {reason}", hint=_NETWORK)
        return errors.ClusterUnavailable(
            f"no connection to the cluster at {server}: {type(error).__name__}", hint=_NETWORK
        )


_NETWORK = "is the cluster up, and may this machine reach it? `kubectl version` with the same kubeconfig shows it"
_REASONS = {
    "Connection refused": "connection refused",
    "Name or service not known": "the host name does not resolve",
    "Temporary failure in name resolution": "the host name does not resolve",
    "No route to host": "no route to host",
    "Network is unreachable": "the network is unreachable",
    "timed out": "timed out",
    "Connection reset": "the connection was reset",
}


def _pool(access: kubeconfig.Access) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": pool.SIZE * 2, "block": False, "retries": False}
    if access.context is not None:
        options["ssl_context"] = access.context
    if access.server_name:
        options["server_hostname"] = access.server_name
        options["assert_hostname"] = access.server_name
    proxy = access.proxy or _proxy_of(access.server)
    return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)


def _proxy_of(server: str) -> str:
    """What HTTPS_PROXY and NO_PROXY say, as for kubectl."""
    parts = urllib.parse.urlsplit(server)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname):
        return ""
    return urllib.request.getproxies().get(parts.scheme, "")


def _decode(data: bytes) -> dict[str, Any]:
    """Proxies in between answer with HTML; it is kept as far as a message needs it."""
    try:
        decoded = json.loads(data)
    except ValueError:
        return {"message": data[:200].decode("utf-8", "replace")}
    return decoded if isinstance(decoded, dict) else {}


def _hopeless(error: urllib3.exceptions.HTTPError) -> bool:
    return isinstance(error, urllib3.exceptions.SSLError) or "CERTIFICATE_VERIFY_FAILED" in str(error)


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds: what the server asks for, else exponential with full jitter; capped either way."""
    if retry_after and re.fullmatch(r"[0-9]{1,6}", retry_after):
        return min(float(retry_after), _RETRY_AFTER_LIMIT)
    ceiling = min(_BACKOFF_SECONDS * 2 ** (attempt - 1), _BACKOFF_LIMIT)
    return random.uniform(ceiling / 4, ceiling)  # noqa: S311


def error_of(request: Request, answer: Answer) -> errors.K8sEEError:
    """The refusal of one request in words."""
    known = {
        400: _invalid,
        401: _unauthenticated,
        403: _forbidden,
        404: _absent,
        409: _contended,
        410: lambda _request, answer: Expired(answer.message),
        413: _invalid,
        415: _invalid,
        422: _invalid,
    }
    return known.get(answer.status, _failed)(request, answer)


def _unauthenticated(_request: Request, _answer: Answer) -> errors.K8sEEError:
    return errors.ClusterUnavailable(
        "the cluster does not accept these credentials (401)",
        hint="the token or client certificate is wrong, expired or for another cluster: make a new kubeconfig",
    )


def _invalid(request: Request, answer: Answer) -> errors.K8sEEError:
    return errors.InputError(
        f"the cluster does not accept {request.what}: {_fields(request, answer)}",
        hint="a value in k8s-ee.yaml or the platform settings ends up there",
    )


def _contended(request: Request, answer: Answer) -> errors.K8sEEError:
    return errors.ClusterUnavailable(
        f"{request.what} keeps being changed by somebody else: {answer.message}",
        hint="run the same command again: it goes on from what is there",
    )


def _misfit(answer: Answer) -> bool:
    """Server-side apply answers 500 to a field that does not exist, although it is the object that is wrong."""
    return "failed to create typed patch object" in answer.message


def _failed(request: Request, answer: Answer) -> errors.K8sEEError:
    if _misfit(answer):
        return _invalid(request, answer)
    reason = answer.message or "no reason given"
    return errors.ClusterUnavailable(
        f"the cluster failed to {_verb(request)} {request.what} ({answer.status}): {reason}",
        hint="the API server or one of its admission webhooks is ill; run the same command again later",
    )


def _verb(request: Request) -> str:
    verbs = {"GET": "read", "POST": "create", "PATCH": "change", "DELETE": "delete", "PUT": "change"}
    return verbs[request.method]


def _forbidden(request: Request, answer: Answer) -> errors.K8sEEError:
    message = answer.message
    if "is being terminated" in message:
        return errors.NotReady(f"{request.what}: its namespace is being deleted", hint="run the same command again")
    if "exceeded quota" in message:
        return errors.Refused(f"{request.what} exceeds the environment's quota: {message}", hint="ask for less")
    if "denied" in message or "violates PodSecurity" in message:
        return errors.Refused(
            f"a policy of the cluster refuses to {_verb(request)} {request.what}: {message}",
            hint="change what it names, or ask your platform team",
        )
    return errors.Refused(
        f"these credentials may not {_verb(request)} {request.what}: {message}",
        hint="the rights a deploy needs are in k8s/platform (ServiceAccount k8s-ee-ci)",
    )


def _absent(request: Request, answer: Answer) -> errors.K8sEEError:
    message = answer.message
    if message.startswith("namespaces "):
        return errors.NotReady(
            f"{request.what}: its namespace is gone", hint="it was deleted meanwhile; run the whole deploy again"
        )
    if "could not find the requested resource" in message or "page not found" in message:
        return UnknownKind(
            f"this cluster does not know {request.what}", hint="its custom resource definition is not installed"
        )
    return errors.NotReady(f"{request.what} is gone: {message}", hint="it was deleted meanwhile; run it again")


def _fields(request: Request, answer: Answer) -> str:
    """The API server quotes what it refuses, so of a Secret only the names of the fields are passed on."""
    if not request.what.startswith("Secret "):
        return answer.message
    causes = (answer.body.get("details") or {}).get("causes") or []
    return "invalid " + (", ".join(sorted({str(cause.get("field")) for cause in causes})) or "content")
