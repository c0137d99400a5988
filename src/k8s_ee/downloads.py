"""A file from the web: https all the way, whoever redirects, and by the proxy of the machine if it has one."""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

from k8s_ee import errors

_CHUNK = 1 << 16
_SILENCE_SECONDS = 30
# Without those for http, ftp, files and data, which a redirect, too, could lead to.
_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    urllib.request.UnknownHandler,
)


def read(url: str, *, deadline: float) -> Iterator[bytes]:
    """Its content, in parts. `deadline` is on the monotonic clock.

    Raises Unavailable, which names the address without its query: that may be what makes it readable.
    """
    place, opener = url.partition("?")[0], urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    try:
        with contextlib.closing(opener.open(url, timeout=_SILENCE_SECONDS)) as answer:
            left = int(answer.headers.get("Content-Length") or 0)
            while chunk := answer.read1(_CHUNK):  # what is there: all of a chunk may take for ever
                left -= len(chunk)
                yield chunk
                if time.monotonic() > deadline:
                    raise errors.Unavailable(f"{place} takes too long", hint="give more time: --timeout")
            if left > 0:
                raise errors.Unavailable(f"{place} broke off", hint="run the same command again")
    except urllib.error.HTTPError as error:
        error.close()
        raise errors.Unavailable(f"{place} answers {error.code}", hint="is it public, and still there?") from None
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no host, or length, can be that
        reason = getattr(error, "reason", None) or error
        raise errors.Unavailable(f"{place} can't be read: {reason}", hint="run the same command again") from None
