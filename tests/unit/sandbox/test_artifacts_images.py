"""The archives that images are packed into."""

import gzip
import hashlib
import json
import pathlib
import tarfile

import pytest

from k8s_ee_sandbox import archive


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "root"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "tool").write_text("tool")
    (folder / "bin" / "tool").chmod(0o755)
    (folder / "bin" / "alias").symlink_to("tool")
    return folder


def _write(root: pathlib.Path, *, to: pathlib.Path, compress: bool) -> dict[str, bytes]:
    archive.write(root, to=to, tag="localhost/a:latest", config={"User": "1:1"}, compress=compress)
    with tarfile.open(to) as members:
        return {member.name: _content(members, member) for member in members}


def _content(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = members.extractfile(member)
    assert file is not None
    return file.read()


def _image(members: dict[str, bytes]) -> dict[str, object]:
    (entry,) = json.loads(members["manifest.json"])
    assert entry["RepoTags"] == ["localhost/a:latest"]
    image: dict[str, object] = json.loads(members[entry["Config"]])
    return image


@pytest.mark.parametrize("compress", [True, False])
def test_the_image_names_the_digest_of_its_uncompressed_layer(
    root: pathlib.Path, tmp_path: pathlib.Path, compress: bool
) -> None:
    members = _write(root, to=tmp_path / "a.tar", compress=compress)
    layer = gzip.decompress(members["layer.tar"]) if compress else members["layer.tar"]
    image = _image(members)
    assert image["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    assert image["config"] == {"User": "1:1"}


def test_the_layer_keeps_modes_and_links(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    members = _write(root, to=tmp_path / "a.tar", compress=False)
    (tmp_path / "layer.tar").write_bytes(members["layer.tar"])
    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert layer.getnames() == ["bin", "bin/alias", "bin/tool"]
        assert layer.getmember("bin/tool").mode == 0o755
        assert layer.getmember("bin/alias").linkname == "tool"


def test_the_same_folder_gives_the_same_archive(root: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("a.tar", "b.tar"):
        _write(root, to=tmp_path / name, compress=True)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    assert not list(tmp_path.glob("*.layer"))
