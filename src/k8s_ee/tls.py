"""TLS for clients whose threads share one context."""

from __future__ import annotations

import ssl
from collections.abc import Iterable


class _Shared(ssl.SSLContext):
    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Does nothing: urllib3 asks for it before each connection, always for the same.

        OpenSSL frees the list while another thread's connection copies it, and a server refuses now and then the
        garbage that comes of it: https://github.com/python/cpython/issues/141012
        """


def context(authority: str = "") -> ssl.SSLContext:
    """Trusts the certificates in the PEM text, or those of the system when there is none.

    Raises ssl.SSLError for what is no PEM. Not `ssl.create_default_context`: since Python 3.13 that refuses
    authorities that keep RFC 5280 less than to the letter, and clusters have such.
    """
    made = _Shared(ssl.PROTOCOL_TLS_CLIENT)
    ssl.SSLContext.set_alpn_protocols(made, ["http/1.1"])
    if authority:
        made.load_verify_locations(cadata=authority)
    else:
        made.load_default_certs()
    return made
