"""A backup's file: what was put in comes out, and nothing that is not whole is taken for one that is."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import tarfile
import zlib

import pytest

from k8s_ee import archive, errors

CONTENT = {"postgresql": b"SELECT 'caf\xc3\xa9';\n" * 5000, "redis": b"", "minio": bytes(range(256)) * 40}


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return made(tmp_path, CONTENT)


def made(folder: pathlib.Path, content: dict[str, bytes]) -> pathlib.Path:
    entries = []
    for engine, text in content.items():
        dump = archive.Dump(folder, engine)
        dump.write(text[:7])
        dump.write(text[7:])
        dump.close()
        entries.append(dump.entry(version="17.6", image="postgres:17.6"))
    manifest = archive.Manifest(
        project="shop",
        repository="acme/shop",
        repository_id=42,
        number=7,
        commit="a" * 40,
        at="2026-01-01T00:00:00+00:00",
        made_by="0.1.0",
        entries=tuple(entries),
    )
    archive.write(folder / "archive", manifest, folder)
    assert sorted(one.name for one in folder.iterdir()) == ["archive"]
    return folder / "archive"


def refusal(path: pathlib.Path) -> str:
    with pytest.raises(errors.InputError, match=r"^backup\.tar can't be restored: ") as caught:
        archive.verify(path, name="backup.tar")
    return caught.value.message


def rewritten(path: pathlib.Path, *, manifest: bytes | None = None, **more: bytes) -> pathlib.Path:
    """The same archive with another manifest, and with more files."""
    with tarfile.open(path) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar.getmembers()}  # type: ignore[union-attr]
    files["manifest.json"] = manifest or files["manifest.json"]
    with tarfile.open(path, "w") as tar:
        for name, content in {**files, **more}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def changed(path: pathlib.Path, **keys: object) -> pathlib.Path:
    with tarfile.open(path) as tar:
        document = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    return rewritten(path, manifest=json.dumps({**document, **keys}).encode())


def test_what_was_put_in_comes_out(path: pathlib.Path) -> None:
    manifest = archive.verify(path, name="backup.tar")
    assert (manifest.repository_id, manifest.commit) == (42, "a" * 40)
    for entry in manifest.entries:
        with archive.reading(path, entry, name="backup.tar") as plain:
            assert plain.read() == CONTENT[entry.engine]
        assert entry.size == len(CONTENT[entry.engine])
    assert manifest.entry("mariadb") is None


def test_only_its_owner_may_read_it(path: pathlib.Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def test_tar_and_gunzip_open_it(path: pathlib.Path) -> None:
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["manifest.json", *(f"{engine}.dump.gz" for engine in CONTENT)]
        compressed = tar.extractfile("minio.dump.gz").read()  # type: ignore[union-attr]
    assert zlib.decompress(compressed, wbits=31) == CONTENT["minio"]


def test_the_same_data_makes_the_same_dump_files(tmp_path: pathlib.Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (archive.verify(made(folder, CONTENT), name="") for folder in folders)
    assert first == second


def test_cut_off_anywhere_it_is_refused(tmp_path: pathlib.Path) -> None:
    path = made(tmp_path, {"redis": b"0 x61 0 SET x62\n" * 50})
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0"))
    for size in {*range(0, end, 97), 511, 512, 513, end - 1}:
        path.write_bytes(whole[:size])
        refusal(path)


def test_another_byte_anywhere_in_a_dump_is_noticed(tmp_path: pathlib.Path) -> None:
    path = made(tmp_path, {"redis": b"0 x61 0 SET x62\n" * 50})
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        member = tar.getmember("redis.dump.gz")
    for at in range(member.offset_data, member.offset_data + member.size):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        assert "redis.dump.gz" in refusal(path)


@pytest.mark.parametrize("content", [b"", b"PGDMP", bytes(10240), b"\x1f\x8b\x08" + bytes(600)])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "backup.tar"
    path.write_bytes(content)
    assert "no backup of k8s-ee" in (said := refusal(path)) or "no tar archive" in said


def test_a_foreign_archive_is_refused_by_name(path: pathlib.Path) -> None:
    assert "it is of format 2" in refusal(changed(path, format=2))
    assert "none of k8s-ee" in refusal(changed(path, format=1, pr=float("inf")))
    assert "none of k8s-ee" in refusal(rewritten(path, manifest=b'{"format": 1}'))
    for text in (b"[1]", b"[" * 100_000, b"\xff", b"1" * 5000):
        assert "none of k8s-ee" in refusal(rewritten(path, manifest=text))
    with tarfile.open(path, "w") as tar:
        tar.addfile(tarfile.TarInfo("app.sql"))
    assert "no backup of k8s-ee" in refusal(path)


def test_files_that_the_manifest_does_not_name_or_that_are_missing_are_named(path: pathlib.Path) -> None:
    assert "../../etc/passwd" in refusal(rewritten(path, **{"../../etc/passwd": b"root"}))
    assert "minio.dump.gz" in refusal(changed(path, databases={}))


@pytest.mark.parametrize(("engine", "version"), [("../x", "1"), ("redis", "9" * 5000), ("redis", "8\n")])
def test_a_manifest_with_what_no_engine_or_version_is_called_is_none(
    path: pathlib.Path, engine: str, version: str
) -> None:
    entry = {"version": version, "image": "", "size": 0, "sha256": "", "fileSize": 0, "fileSha256": ""}
    assert "none of k8s-ee" in refusal(changed(path, databases={engine: entry}))


def test_headers_that_are_none_are_damage(path: pathlib.Path) -> None:
    odd = tarfile.TarInfo("manifest.json")
    odd.pax_headers = {"GNU.sparse.map": "a,b"}
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(odd)
    assert "damaged" in refusal(path)


def test_a_small_file_that_unfolds_to_much_more_than_it_says_is_not_read_to_its_end(tmp_path: pathlib.Path) -> None:
    path = made(tmp_path, {"redis": bytes(64 << 20)})
    (entry,) = archive.verify(path, name="").entries
    document = {**dataclasses.asdict(entry), "fileSize": entry.file_size, "fileSha256": entry.file_sha256, "size": 10}
    assert "checksum" in refusal(changed(path, databases={"redis": document}))


def test_a_file_that_is_there_is_not_overwritten(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (tmp_path / "final").write_text("mine")
    with pytest.raises(errors.InputError, match="final already"):
        archive.place(path, tmp_path / "final")
    assert (tmp_path / "final").read_text() == "mine"
    archive.place(path, tmp_path / "other")
    assert [one.name for one in sorted(tmp_path.iterdir())] == ["final", "other"]


def test_one_that_is_not_there_is_an_error_of_its_own(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match=r"backup\.tar can't be read: No such file"):
        archive.verify(tmp_path / "nowhere", name="backup.tar")
