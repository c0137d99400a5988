"""What an https address gives, piece by piece."""

from __future__ import annotations

import time
from collections.abc import Iterator

import urllib3

from k8s_ee import errors

_CHUNK = 1 << 20


def pieces(url: str, *, what: str, deadline: float) -> Iterator[bytes]:
    """As it is stored there, packed or not; `what` names it in messages, `deadline` is on the monotonic clock.

    Raises Unavailable.
    """
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=10, read=30))
    del pool.key_fn_by_scheme["http"]  # Also for who redirects.
    retries = urllib3.Retry(total=4, redirect=3, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))
    try:
        with pool.request("GET", url, preload_content=False, retries=retries) as response:
            if response.status != 200:
                raise errors.Unavailable(f"{what} answers {response.status}", hint="is it public, and still there?")
            for chunk in response.stream(_CHUNK, decode_content=False):
                yield chunk
                if time.monotonic() > deadline:
                    raise errors.Unavailable(f"{what} takes too long", hint="give more time: --timeout")
    except urllib3.exceptions.HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise errors.Unavailable(f"{what} can't be read: {reason}", hint="run the same command again") from None
    finally:
        pool.clear()
