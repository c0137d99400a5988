"""Where backups go, from what was written on the command line."""

from __future__ import annotations

import contextlib
import io
import pathlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from k8s_ee import errors, settings, storage

SECRET = "A-secret-of-the-storage"


def test_a_file_a_folder_an_object_and_a_prefix_are_told_apart(tmp_path: pathlib.Path) -> None:
    assert storage.parse("a.tar", default="d.tar") == pathlib.Path("a.tar")
    assert storage.parse(str(tmp_path), default="d.tar") == tmp_path / "d.tar"
    assert storage.parse("s3://b/k/a.tar", default="d.tar") == storage.Bucket("b", "k/a.tar")
    assert storage.parse("s3://b/k/", default="d.tar") == storage.Bucket("b", "k/d.tar")
    assert storage.parse("s3://b", default="d.tar") == storage.Bucket("b", "d.tar")


@pytest.mark.parametrize("text", ["s3://", "s3:", "s3:///key", "s3://b", "s3://b/k?x=1", "s3://b/k#x"])
def test_what_names_no_object_is_refused(text: str) -> None:
    with pytest.raises(errors.InputError, match="names no object"):
        storage.parse(text)


def test_who_asks_is_read_as_other_tools_do_and_never_shown() -> None:
    given = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": "http://other",
        "AWS_ENDPOINT_URL_S3": "http://own",
        "AWS_DEFAULT_REGION": "eu-1",
    }
    found = settings.Settings.from_environ(given)
    assert (found.s3.endpoint, found.s3.region, found.s3.key) == ("http://own", "eu-1", "key")
    assert SECRET in found.secrets
    assert SECRET not in repr(found)
    assert settings.Settings.from_environ({**given, "K8S_EE_S3_ENDPOINT": "http://asked"}).s3.endpoint == "http://asked"


@pytest.mark.parametrize(
    ("access", "said"),
    [
        (settings.S3(), "nobody said who asks"),
        (settings.S3(key="k", secret="s", endpoint="minio:9000"), "is no endpoint"),
        (settings.S3(key="k", secret="s", endpoint="http://minio/path"), "is no endpoint"),
    ],
)
def test_what_can_not_be_asked_is_said_before_anything_is(access: settings.S3, said: str) -> None:
    with pytest.raises(errors.InputError, match=said):
        storage.Storage(access).holds(storage.Bucket("bucket", "key"))


def test_a_name_that_no_bucket_can_have_is_no_bug_of_ours() -> None:
    access = settings.S3(key="k", secret="s", endpoint="http://127.0.0.1:1")
    with pytest.raises(errors.InputError, match="can't be asked for"):
        storage.Storage(access).holds(storage.Bucket("A", "key"))


@contextlib.contextmanager
def served(answer: Callable[[socket.socket], None]) -> Iterator[storage.Storage]:
    """A storage that does this with each connection; asked for at most two seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    open_.append(connection)
                    threading.Thread(target=answer, args=(connection,), daemon=True).start()

        open_: list[socket.socket] = []
        threading.Thread(target=accept, daemon=True).start()
        access = settings.S3(key="k", secret="s", endpoint=f"http://127.0.0.1:{server.getsockname()[1]}")
        yield storage.Storage(access, deadline=time.monotonic() + 2, silence=0.2)
        server.shutdown(socket.SHUT_RDWR)
        for one in open_:
            one.close()


def trickle(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)


def test_a_storage_that_does_not_answer_is_waited_for_no_longer_than_was_allowed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    place = storage.Bucket("bucket", "key")
    with served(lambda _connection: None) as silent:
        for ask in (lambda: silent.holds(place), lambda: silent.put(tmp_path / "a", place)):
            with pytest.raises(errors.StorageUnavailable, match=r"s3://bucket/key (can't be reached|takes too long)"):
                ask()


def test_what_arrives_too_slowly_is_given_up_and_that_is_said() -> None:
    with served(trickle) as slow, pytest.raises(errors.StorageUnavailable, match="takes too long") as caught:
        slow.get(storage.Bucket("bucket", "key"), io.BytesIO())
    assert "--timeout" in caught.value.hint
