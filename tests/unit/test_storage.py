"""Where backups go, from what was written on the command line."""

from __future__ import annotations

import pathlib

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
