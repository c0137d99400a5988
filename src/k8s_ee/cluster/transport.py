"""HTTP to one API server: kept connections, time-outs, bounded retries, and every refusal as one of our errors."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import random
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import urllib3

from k8s_ee import errors
from k8s_ee.cluster import genuine, kubeconfig, pool, refusals
from k8s_ee.cluster.messages import Answer, Request

if TYPE_CHECKING:
    import websocket

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_ATTEMPTS = 5
_BACKOFF_SECONDS = 0.2
_BACKOFF_LIMIT = 5.0
_RETRY_AFTER_LIMIT = 30.0
_RETRIED = frozenset({429, 500, 502, 503, 504})


class Transport:
    """Safe to use from many threads: nothing here changes after it is made."""

    def __init__(self, access: kubeconfig.Access, *, user_agent: str) -> None:
        self._access = access
        self._user_agent = user_agent
        self._proxy = access.proxy or _proxy_of(access.server)
        # A watch keeps its connection and takes it along when it ends: it must not be one that requests go on over.
        self._pool, self._streams = (_pool(access, self._proxy) for _ in range(2))

    def send(self, request: Request, *, expected: Collection[int] = ()) -> Answer:
        """The answer when it is 2xx or its status is `expected`.

        Raises ClusterUnavailable (no connection, no API server, 401, 5xx after retries), Refused (403), InputError (the
        API server says the object is wrong), NotReady (its namespace is gone).
        """
        answer, renewed = Answer(0, {}), False
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                response = self._open(request, fresh=renewed)
                answer = Answer(response.status, _decode(response.data))
            except urllib3.exceptions.HTTPError as error:
                if attempt == _ATTEMPTS or _UNTRUSTED in str(error):
                    raise self._no_connection(error) from None
                time.sleep(_pause(attempt, None))
                continue
            if not genuine.is_answer(request, answer):
                raise self.stranger(answer)
            if 200 <= answer.status < 300 or answer.status in expected:
                return answer
            if answer.status == 401 and not renewed:
                renewed = True
            elif answer.status in _RETRIED and not refusals.misfit(answer) and attempt < _ATTEMPTS:
                time.sleep(_pause(attempt, response.headers.get("Retry-After")))
            else:
                break
        raise refusals.error_of(request, answer)

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
                raise refusals.error_of(request, Answer(response.status, _decode(response.read(65536))))
            yield response
        finally:
            response.close()

    def channel(self, request: Request, *, query: Sequence[tuple[str, str]], protocol: str) -> websocket.WebSocket:
        """An open one. `query` may name a key twice. Raises as `send`."""
        import websocket

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._upgrade(request, query, protocol, fresh=attempt > 1)
            except websocket.WebSocketBadStatusException as error:
                answer = Answer(error.status_code, _decode(error.resp_body or b""))
                if attempt == _ATTEMPTS or error.status_code not in {*_RETRIED, 401}:
                    raise refusals.error_of(request, answer) from None
                time.sleep(_pause(attempt, None))
            except (websocket.WebSocketException, OSError) as error:
                if attempt == _ATTEMPTS:
                    raise self._no_connection(error) from None
                time.sleep(_pause(attempt, None))
        raise AssertionError("the last attempt returns or raises")

    def _upgrade(
        self, request: Request, query: Sequence[tuple[str, str]], protocol: str, *, fresh: bool
    ) -> websocket.WebSocket:
        import websocket

        access, authorization = self._access, self._access.authorization(fresh)
        proxy = urllib.parse.urlsplit(self._proxy)
        return websocket.create_connection(
            "ws" + access.server.removeprefix("http") + request.path + "?" + urllib.parse.urlencode(query),
            timeout=_READ_SECONDS,
            header=[f"User-Agent: {self._user_agent}", *([f"Authorization: {authorization}"] if authorization else [])],
            subprotocols=[protocol],
            suppress_origin=True,
            enable_multithread=True,
            redirect_limit=0,  # The token is for nobody else.
            sslopt={"context": access.context, "server_hostname": access.server_name} if access.context else None,
            http_proxy_host=proxy.hostname,
            http_proxy_port=proxy.port,
            http_proxy_auth=(proxy.username, proxy.password) if proxy.username else None,
            proxy_type="http",
            # It would look into the environment itself otherwise, not as kubectl does.
            http_no_proxy=["-"] if proxy.hostname else ["*"],
        )

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
        connections = self._pool if preload else self._streams
        return connections.request(
            request.method,
            self._access.server + request.path + query,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds),
            retries=False,
            redirect=False,
            preload_content=preload,
        )

    def stranger(self, answer: Answer) -> errors.ClusterUnavailable:
        return genuine.stranger(self._access.server, answer)

    def _no_connection(self, error: Exception) -> errors.ClusterUnavailable:
        server = self._access.server
        text = str(error)
        if _UNTRUSTED in text:
            return errors.ClusterUnavailable(
                f"the certificate of {server} is not the one the kubeconfig trusts",
                hint="the kubeconfig is for another cluster, or an old one: make a new one",
            )
        for sign, reason in _REASONS.items():
            if sign in text:
                return errors.ClusterUnavailable(f"no connection to the cluster at {server}: {reason}", hint=_NETWORK)
        tls = _TLS.search(text)
        reason = f"TLS failed, {tls['reason']}" if tls else type(error).__name__
        return errors.ClusterUnavailable(f"no connection to the cluster at {server}: {reason}", hint=_NETWORK)


_NETWORK = "is the cluster up, and may this machine reach it? `kubectl version` with the same kubeconfig shows it"
_REASONS = {
    "Connection refused": "connection refused",
    "Name or service not known": "the host name does not resolve",
    "Temporary failure in name resolution": "the host name does not resolve",
    "No route to host": "no route to host",
    "Network is unreachable": "the network is unreachable",
    "timed out": "timed out",
    "Connection reset": "the connection was reset",
    "UNEXPECTED_EOF": "the connection was cut",
}
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_TLS = re.compile(r"\[SSL: (?P<reason>[A-Z0-9_]+)\]")


def _pool(access: kubeconfig.Access, proxy: str) -> urllib3.PoolManager:
    """Raises ClusterUnavailable for a proxy that can't be used."""
    options: dict[str, Any] = {"maxsize": pool.SIZE * 2, "block": False, "retries": False}
    if access.context is not None:
        options["ssl_context"] = access.context
    if access.server_name:
        options["server_hostname"] = access.server_name
        options["assert_hostname"] = access.server_name
    try:
        return urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
    except urllib3.exceptions.LocationValueError:
        where = "the kubeconfig's proxy-url" if access.proxy else "the proxy in HTTPS_PROXY"
        hint = "as in http://proxy.example.com:3128; SOCKS is not supported"
        raise errors.ClusterUnavailable(f"{where} is not an http(s) URL", hint=hint) from None


def _proxy_of(server: str) -> str:
    """What HTTPS_PROXY and NO_PROXY say, as for kubectl."""
    parts = urllib.parse.urlsplit(server)
    if not parts.hostname or urllib.request.proxy_bypass(parts.hostname) or _is_near(parts.hostname):
        return ""
    found = urllib.request.getproxies().get(parts.scheme, "")
    return found if not found or "://" in found else f"http://{found}"


def _is_near(host: str) -> bool:
    """This machine, and what is in a network of NO_PROXY: Go's clients ask no proxy for either, Python's do."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or any(address in one for one in _networks(urllib.request.getproxies().get("no", "")))


def _networks(listed: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for entry in listed.split(","):
        with contextlib.suppress(ValueError):
            yield ipaddress.ip_network(entry.strip(), strict=False)


def _decode(data: bytes) -> dict[str, Any]:
    """Proxies in between answer with HTML; it is kept as far as a message needs it."""
    try:
        decoded = json.loads(data)
    except (ValueError, RecursionError):
        return {"message": data[:200].decode("utf-8", "replace")}
    return decoded if isinstance(decoded, dict) else {}


def _pause(attempt: int, retry_after: str | None) -> float:
    """Seconds: what the server asks for, else exponential with full jitter; capped either way."""
    if retry_after and re.fullmatch(r"[0-9]{1,6}", retry_after):
        return min(float(retry_after), _RETRY_AFTER_LIMIT)
    ceiling = min(_BACKOFF_SECONDS * 2 ** (attempt - 1), _BACKOFF_LIMIT)
    return random.uniform(ceiling / 4, ceiling)  # noqa: S311
