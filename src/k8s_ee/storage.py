"""Where backups are: a file, or an object of a storage that speaks S3. The only importer of its client."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import time
import urllib.parse
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import urllib3

from k8s_ee import errors, settings, tls

if TYPE_CHECKING:
    import minio

_CHUNK = 1 << 16
_CONNECT_SECONDS = 10.0
_ATTEMPTS = 3
_AMAZON = "https://s3.amazonaws.com"
_ABSENT = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket"})
_DENIED = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"})
_CREDENTIALS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say who asks, --s3-endpoint and AWS_REGION whom"


@dataclasses.dataclass(frozen=True)
class Bucket:
    """One object of a bucket, as in s3://BUCKET/KEY."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


Place = Bucket | pathlib.Path


def parse(text: str, *, default: str = "") -> Place:
    """A folder, or a key that ends with `/`, gets the name `default`. Raises InputError for what names no object."""
    if not text.startswith("s3:"):
        path = pathlib.Path(text)
        return path / default if default and is_folder(path) else path
    given = urllib.parse.urlsplit(text)
    key = given.path.removeprefix("/")
    key += default if not key or key.endswith("/") else ""
    if not given.netloc or not key or given.query or given.fragment:
        raise errors.InputError(f"{text} names no object", hint="as in s3://BUCKET/KEY")
    return Bucket(given.netloc, key)


def is_folder(path: pathlib.Path) -> bool:
    """Whoever reads or writes it says what is wrong with its name."""
    try:
        return path.is_dir()
    except OSError:
        return False


def below(text: str, *names: str) -> Place:
    """A place below a bucket's prefix or a folder, as the platform's settings give it."""
    path = "/".join(names)
    return parse(f"{text.rstrip('/')}/{path}" if text.rstrip("/") else f"/{path}")


@dataclasses.dataclass(frozen=True)
class Storage:
    """Every method raises Refused for who may not, InputError for a bucket that is not there, else StorageUnavailable.

    Nothing is there under a key before all of it is: an upload that breaks off leaves no object. `deadline` is on the
    monotonic clock; `silence` is how many seconds may pass without a byte.
    """

    access: settings.S3
    deadline: float = math.inf
    silence: float = 60.0

    def holds(self, place: Bucket) -> bool:
        with self._client(place) as client:
            try:
                client.stat_object(bucket_name=place.bucket, object_name=place.key)
            except Exception as error:
                if getattr(error, "code", "") not in _ABSENT - {"NoSuchBucket"}:
                    raise
                return False
            return True

    def put(self, path: pathlib.Path, place: Bucket) -> None:
        with self._client(place) as client, path.open("rb") as file:
            timed, size = _Timed(file, place, self.deadline), path.stat().st_size
            client.put_object(bucket_name=place.bucket, object_name=place.key, data=timed, length=size)  # type: ignore[arg-type]

    def get(self, place: Bucket, into: BinaryIO) -> None:
        """What has arrived when the connection breaks is no error here: whoever reads it compares it."""
        with self._client(place) as client:
            answer = client.get_object(bucket_name=place.bucket, object_name=place.key)
            try:
                while chunk := answer.read1(_CHUNK):
                    into.write(chunk)
                    _check(place, self.deadline)
            finally:
                answer.close()
                answer.release_conn()

    @contextlib.contextmanager
    def _client(self, place: Bucket) -> Iterator[minio.Minio]:
        import minio

        try:
            yield self._connected()
        except minio.error.S3Error as error:
            raise _error(error.code, error.message or "", place) from None
        except ValueError as error:  # as for a name that no bucket can have
            raise errors.InputError(f"{place} can't be asked for: {error}", hint=_CREDENTIALS) from None
        except (urllib3.exceptions.HTTPError, minio.error.MinioException) as error:
            raise errors.StorageUnavailable(
                f"{place} can't be reached: {type(error).__name__}", hint="run the same command again; " + _CREDENTIALS
            ) from None

    def _connected(self) -> minio.Minio:
        import minio

        access = self.access
        if not access.key or not access.secret:
            raise errors.InputError("nobody said who asks the storage", hint=_CREDENTIALS)
        address = urllib.parse.urlsplit(access.endpoint or _AMAZON)
        if address.scheme not in {"http", "https"} or not address.netloc or address.path.strip("/"):
            raise errors.InputError(f"{access.endpoint!r} is no endpoint", hint="as in https://s3.example.com")
        return minio.Minio(
            endpoint=address.netloc,
            access_key=access.key,
            secret_key=access.secret,
            session_token=access.token or None,
            secure=address.scheme == "https",
            # Amazon's own says where a bucket is; others mostly know one region.
            region=access.region or ("us-east-1" if access.endpoint else None),
            http_client=self._pool(),
        )

    def _pool(self) -> urllib3.PoolManager:
        """The client's own would ask a storage that does not answer for half an hour."""
        import certifi  # which comes with the client

        trusted = tls.context()
        trusted.load_verify_locations(certifi.where())
        silence = min(self.silence, max(1.0, self.deadline - time.monotonic()))
        return urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=min(silence, _CONNECT_SECONDS), read=silence),
            retries=urllib3.Retry(total=_ATTEMPTS - 1, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]),
            ssl_context=trusted,
        )


class _Timed:
    """A file that can be read until then."""

    def __init__(self, file: BinaryIO, place: Bucket, deadline: float) -> None:
        self._file, self._place, self._deadline = file, place, deadline

    def read(self, size: int = -1) -> bytes:
        _check(self._place, self._deadline)
        return self._file.read(size)


def _check(place: Bucket, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise errors.StorageUnavailable(f"{place} takes too long", hint="give more time: --timeout")


def _error(code: str | None, message: str, place: Bucket) -> errors.K8sEEError:
    said = f"{place}: {code}: {message}"
    if code in _DENIED:
        return errors.Refused(f"the storage refuses {said}", hint=_CREDENTIALS)
    if code in _ABSENT:
        return errors.InputError(f"there is no {said}", hint="is the name right, and the endpoint? " + _CREDENTIALS)
    return errors.StorageUnavailable(f"the storage can't do it, {said}", hint="run the same command again")
