"""GitHub Apps: who signed a statement, checked with the key that the state holds, as GitHub checks it."""

from __future__ import annotations

import dataclasses
import functools
import re
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.wire import github_state as states

_LONGEST_SECONDS = 660


class FailedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Keys:
    """Of one App, as PEM."""

    private: str
    public: str

    def statement(self, app: int) -> str:
        now = int(time.time())
        return jwt.encode({"iat": now - 60, "exp": now + 300, "iss": str(app)}, self.private, algorithm="RS256")


@functools.cache
def keys() -> Keys:
    """The same each time: making them takes as long as a whole test."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Keys(private.decode(), public.decode())


def is_statement(token: str) -> bool:
    return bool(re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII))


def signed_by(token: str, state: states.State) -> states.App:
    """Raises FailedError 401 in GitHub's words."""
    for app in state.apps:
        try:
            claims = jwt.decode(token, app.public_key, algorithms=["RS256"], issuer=str(app.id))
        except jwt.PyJWTError:
            continue
        if claims["exp"] - claims["iat"] > _LONGEST_SECONDS:
            raise FailedError(401, "'Expiration time' claim ('exp') is too far in the future")
        return app
    raise FailedError(401, "A JSON web token could not be decoded")
