"""The S3 server as its chart starts it: by the scripts alone, seen through a real S3 client."""

from __future__ import annotations

import contextlib
import io
import pathlib
import random
import subprocess
import tarfile
from collections.abc import Iterator

import minio
import minio.commonconfig
import minio.error
import minio.versioningconfig
import pytest
import urllib3

from tests import servers


@pytest.fixture
def server() -> Iterator[servers.Server]:
    with servers.made("minio") as made:
        yield made


@pytest.fixture(scope="module")
def started() -> Iterator[servers.Server]:
    with servers.made("minio") as made, made.running():
        yield made


def client(server: servers.Server, secret: str = servers.PASSWORD) -> minio.Minio:
    no_retries = urllib3.PoolManager(retries=False, timeout=20)
    return minio.Minio(
        endpoint=f"127.0.0.1:{server.port}",
        access_key="app",
        secret_key=secret,
        secure=False,
        region="us-east-1",
        http_client=no_retries,
    )


def put(server: servers.Server, name: str, data: bytes = b"data", secret: str = servers.PASSWORD) -> None:
    metadata: dict[str, str | list[str] | tuple[str]] = {"origin": "test"}
    client(server, secret).put_object(
        bucket_name="app", object_name=name, data=io.BytesIO(data), length=len(data), metadata=metadata
    )


def get(server: servers.Server, name: str) -> bytes:
    answer = client(server).get_object(bucket_name="app", object_name=name)
    with contextlib.closing(answer):
        return bytes(answer.read())


def names(server: servers.Server) -> list[str]:
    return [str(one.object_name) for one in client(server).list_objects(bucket_name="app", recursive=True)]


def refusal(server: servers.Server, secret: str) -> str:
    with pytest.raises(minio.error.S3Error) as caught:
        list(client(server, secret).list_objects(bucket_name="app"))
    return str(caught.value.code)


def test_the_apps_bucket_is_there_once_it_is_ready_and_keeps_what_is_written(started: servers.Server) -> None:
    put(started, "folder/größe & mehr.txt", b"x" * 100_000)
    assert get(started, "folder/größe & mehr.txt") == b"x" * 100_000
    found = client(started).stat_object(bucket_name="app", object_name="folder/größe & mehr.txt")
    assert found.metadata is not None
    assert found.metadata["x-amz-meta-origin"] == "test"
    assert servers.PASSWORD not in started.log


def test_a_large_object_is_written_in_parts(started: servers.Server) -> None:
    data = random.Random(7).randbytes(11 * 1024 * 1024)  # noqa: S311 - not for secrets
    client(started).put_object(
        bucket_name="app", object_name="large", data=io.BytesIO(data), length=-1, part_size=5 * 1024 * 1024
    )
    assert get(started, "large") == data


def test_an_app_may_make_buckets_of_its_own_and_keep_versions(started: servers.Server) -> None:
    asked = client(started)
    asked.make_bucket(bucket_name="more")
    enabled = minio.versioningconfig.VersioningConfig(minio.commonconfig.ENABLED)
    asked.set_bucket_versioning(bucket_name="more", config=enabled)
    for data in (b"one", b"two"):
        asked.put_object(bucket_name="more", object_name="x", data=io.BytesIO(data), length=3)
    assert len(list(asked.list_objects(bucket_name="more", include_version=True))) == 2


def test_a_wrong_secret_is_refused_and_is_not_ready(started: servers.Server, tmp_path: pathlib.Path) -> None:
    assert refusal(started, "wrong-" + servers.PASSWORD) == "SignatureDoesNotMatch"
    secret, coming = (started.credentials / name for name in ("S3_SECRET_KEY", "NEXT"))
    secret.write_text("wrong")
    try:
        asked = started.script("ready.sh")
        coming.write_text(servers.PASSWORD)
        assert started.ready()
    finally:
        secret.write_text(servers.PASSWORD)
        coming.unlink(missing_ok=True)
    assert asked.returncode == 1
    assert "403" in asked.stderr
    assert started.ready()


def test_ready_is_said_of_the_bucket_and_not_only_of_the_server(started: servers.Server) -> None:
    bucket = started.credentials / "S3_BUCKET"
    bucket.write_text("missing")
    try:
        assert "404" in started.script("ready.sh").stderr
    finally:
        bucket.write_text("app")


def test_the_question_whether_it_is_ready_can_wait_for_the_answer(server: servers.Server) -> None:
    process = server.popen("start.sh")
    try:
        assert server.script("ready.sh", "30").returncode == 0
    finally:
        servers.kill(process)


def test_without_a_host_the_apps_own_variable_says_where(started: servers.Server) -> None:
    endpoint = started.credentials / "S3_ENDPOINT"
    endpoint.write_text(f"http://127.0.0.1:{started.port}/")
    assert started.script("ready.sh", HOST="").returncode == 0
    endpoint.write_text("http://127.0.0.1:1")
    assert started.script("ready.sh", HOST="").returncode == 1


def test_killed_and_started_again_it_has_its_objects_and_its_secret(server: servers.Server) -> None:
    with server.running():
        put(server, "kept")
    (server.credentials / "S3_SECRET_KEY").write_text("another")
    process = server.popen("start.sh")
    try:
        (server.credentials / "S3_SECRET_KEY").write_text(servers.PASSWORD)
        assert server.script("ready.sh", "30").returncode == 0
        assert get(server, "kept") == b"data"
    finally:
        servers.kill(process)


def test_another_secret_holds_at_once_and_what_is_open_stays_open(server: servers.Server) -> None:
    with server.running():
        put(server, "kept")
        new = server.folder / "new"
        new.write_text("another-Secret_2")
        for _again in range(2):
            done = server.script("password.sh", NEW=str(new))
            assert done.returncode == 0, done.stderr
        assert refusal(server, servers.PASSWORD) == "SignatureDoesNotMatch"
        put(server, "after", secret="another-Secret_2")
        assert "another" not in server.log


def test_by_a_wrong_secret_none_is_changed(server: servers.Server) -> None:
    with server.running():
        new = server.folder / "new"
        new.write_text("another")
        (server.credentials / "S3_SECRET_KEY").write_text("wrong")
        done = server.script("password.sh", NEW=str(new))
        assert done.returncode == 1
        assert "403" in done.stderr
        put(server, "still")


def dump(server: servers.Server) -> bytes:
    done = subprocess.run(
        server.inside("sh", str(server.scripts / "dump.sh")), env=server.env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(server: servers.Server, data: bytes, *words: str) -> int:
    command = server.inside("sh", str(server.scripts / "load.sh"), *words)
    return subprocess.run(command, env=server.env, input=data, capture_output=True, check=False).returncode


def test_what_was_dumped_can_be_loaded_elsewhere_and_dumps_to_the_same_bytes(server: servers.Server) -> None:
    with servers.made("minio") as other, server.running(), other.running():
        for name in ("a", "b/c", "b/ä x"):
            put(server, name, name.encode())
        data = dump(server)
        assert load(other, data) == 0
        assert names(other) == names(server)
        assert get(other, "b/ä x") == "b/ä x".encode()
        found = client(other).stat_object(bucket_name="app", object_name="a")
        assert found.metadata is not None
        assert found.metadata["x-amz-meta-origin"] == "test"
        assert dump(other) == data


def test_storage_without_an_object_has_a_dump_too(server: servers.Server) -> None:
    """The image's own tar makes no archive of nothing."""
    with servers.made("minio") as other, server.running(), other.running():
        data = dump(server)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            assert archive.getnames() == ["versions"]
        assert load(other, data) == 0
        assert dump(other) == data


def test_nothing_is_loaded_over_objects_nor_from_half_a_dump(server: servers.Server) -> None:
    with server.running():
        put(server, "a", b"x" * 200_000)
        data = dump(server)
        assert load(server, data) == load(server, b"", "check") == 3
        assert server.script("wipe.sh").returncode == 0
        assert names(server) == []
        assert load(server, data[: len(data) // 2]) not in {0, 3}
        assert names(server) == []
        assert load(server, b"", "check") == 0
        assert load(server, data) == 0
        assert names(server) == ["a"]


def test_a_folder_that_is_an_object_is_one_and_an_empty_bucket_with_settings_is_none(server: servers.Server) -> None:
    """S3 knows no folders: an object whose name ends with a slash is how consoles and many apps keep one."""
    with server.running():
        put(server, "other")
        data = dump(server)
        assert server.script("wipe.sh").returncode == 0
        enabled = minio.versioningconfig.VersioningConfig(minio.commonconfig.ENABLED)
        client(server).set_bucket_versioning(bucket_name="app", config=enabled)
        assert load(server, b"", "check") == 0
        client(server).put_object(bucket_name="app", object_name="folder/", data=io.BytesIO(), length=0)
        assert load(server, data) == load(server, b"", "check") == 3
        assert names(server) == ["folder/"]
        data = dump(server)
        assert server.script("wipe.sh").returncode == 0
        assert load(server, data) == 0
        assert names(server) == ["folder/"]


def test_versions_of_objects_are_loaded_and_no_bucket_that_was_none(server: servers.Server) -> None:
    with servers.made("minio") as other, server.running(), other.running():
        enabled = minio.versioningconfig.VersioningConfig(minio.commonconfig.ENABLED)
        for bucket in ("app", "empty"):
            if bucket != "app":
                client(server).make_bucket(bucket_name=bucket)
            client(server).set_bucket_versioning(bucket_name=bucket, config=enabled)
        for content in (b"one", b"two"):
            put(server, "x", content)
        assert load(other, dump(server)) == 0
        assert [one.name for one in client(other).list_buckets()] == ["app", "empty"]
        found = client(other).list_objects(bucket_name="app", include_version=True)
        assert len(list(found)) == 2


def test_loading_that_was_cut_off_before_the_objects_can_begin_again(server: servers.Server) -> None:
    with server.running():
        client(server).put_object(bucket_name="app", object_name="folder/", data=io.BytesIO(), length=0)
        put(server, "a/b")
        data, kept = dump(server), server.folder / "kept"
        (server.volume / "meta" / "app").rename(kept)
        assert server.script("wipe.sh").returncode == 0
        kept.rename(server.volume / "meta" / "app")
        assert load(server, data) == 0
        assert names(server) == ["a/b", "folder/"]


def test_a_bucket_that_can_not_be_read_is_neither_dumped_as_if_it_were_not_there_nor_loaded_over(
    server: servers.Server,
) -> None:
    with server.running():
        data = dump(server)
        put(server, "folder/a")
        closed = server.volume / "data" / "app"
        closed.chmod(0)
        try:
            assert server.script("dump.sh").returncode not in {0, 3}
            assert load(server, data) not in {0, 3}
        finally:
            closed.chmod(0o700)
        assert names(server) == ["folder/a"]


def test_an_image_of_another_version_than_asked_for_is_refused(server: servers.Server) -> None:
    assert "version 9 of the object storage is asked for, but the image has 1." in server.refused(WANTED_VERSION="9")
    assert not list(server.volume.iterdir())


def test_a_secret_that_needs_quoting_is_refused_without_being_said(server: servers.Server) -> None:
    (server.credentials / "S3_SECRET_KEY").write_text('secret"1')
    assert "must be of letters" in server.refused()
    assert "secret" not in server.log.replace("S3_SECRET_KEY", "")


def begun_again(server: servers.Server, *, times: int) -> None:
    servers.killed_at_random_moments(server, times=times, longest=0.6)
    with server.running():
        put(server, "written")


def test_killed_at_any_moment_the_next_start_goes_on(server: servers.Server) -> None:
    begun_again(server, times=4)


@pytest.mark.long
def test_killed_many_times_the_next_start_goes_on(server: servers.Server) -> None:
    begun_again(server, times=60)
