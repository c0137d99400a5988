"""Asks the environment's own link, as a reviewer's browser would."""

from __future__ import annotations

import dataclasses
import errno
import http.client
import socket
import ssl
import time

from k8s_ee import environment

_AWAY = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


@dataclasses.dataclass(frozen=True)
class Answer:
    """`status` 0 = nothing answered; `reason` then says why.

    `reached` is False when there is no way from here: the name does not resolve, no route, no sign of life.
    `untrusted`: its certificate is for another name, or nobody's whom this machine knows.
    """

    status: int
    reason: str = ""
    reached: bool = True
    untrusted: bool = False

    @property
    def ready(self) -> bool:
        return 200 <= self.status < 300


def ask(target: environment.Environment, *, path: str, address: str = "", timeout: float = 5) -> Answer:
    """One GET. `address` ("host" or "host:port") is connected to instead of resolving the host name."""
    host, port = _endpoint(target, address)
    connection = _connection(target, host=host, port=port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": target.host, "User-Agent": "k8s-ee"})
        response = connection.getresponse()
        return Answer(status=response.status, reason=response.reason)
    except socket.gaierror as error:
        return Answer(status=0, reason=f"{host} does not resolve: {error.strerror}", reached=False)
    except UnicodeError:
        return Answer(status=0, reason=f"no host can be called {host}", reached=False)
    except (OSError, http.client.HTTPException) as error:
        if connection.sock is not None and isinstance(error, TimeoutError):
            return Answer(status=0, reason=f"takes the connection and does not answer within {timeout:.2g} s")
        if isinstance(error, ssl.SSLCertVerificationError):
            return Answer(status=0, reason=f"has a certificate that is not trusted: {error}", untrusted=True)
        away = isinstance(error, TimeoutError) or (isinstance(error, OSError) and error.errno in _AWAY)
        return Answer(status=0, reason=f"{type(error).__name__}: {error}", reached=not away)
    finally:
        connection.close()


def until_ready(target: environment.Environment, *, path: str, address: str, deadline: float) -> Answer:
    """Asks until the link answers 2xx or the deadline (monotonic, seconds) passes; returns the last answer there was.

    An ingress controller gives no event when it has taken over a route, so this is the one place that has to ask again.
    """
    pause, last = 0.05, Answer(status=0, reached=False)
    while True:
        answer = ask(target, path=path, address=address, timeout=max(0.5, min(5, deadline - time.monotonic())))
        # The last try may have had no time for an answer like that before it.
        if (answer.status > 0, answer.reached) >= (last.status > 0, last.reached):
            last = answer
        if answer.ready or not last.reached or time.monotonic() + pause > deadline:
            return last
        time.sleep(pause)
        pause = min(pause * 1.5, 1)


def _endpoint(target: environment.Environment, address: str) -> tuple[str, int]:
    default = 443 if target.scheme == "https" else 80
    host, _, port = (address or target.host).rpartition(":") if ":" in address else (address or target.host, "", "")
    return host, int(port) if port else default


def _connection(target: environment.Environment, *, host: str, port: int, timeout: float) -> http.client.HTTPConnection:
    if target.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=timeout)
    return _NamedHTTPSConnection(host, port, timeout=timeout, server_name=target.host)


class _NamedHTTPSConnection(http.client.HTTPSConnection):
    """TLS to an address under the name of the environment: certificate and SNI are the environment's."""

    def __init__(self, host: str, port: int, *, timeout: float, server_name: str) -> None:
        self._tls = ssl.create_default_context()
        self._server_name = server_name
        super().__init__(host, port, timeout=timeout, context=self._tls)

    def connect(self) -> None:
        self.sock = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)
