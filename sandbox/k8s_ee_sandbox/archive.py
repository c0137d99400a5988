"""A folder as a container image with one layer, in the archive format of `docker save`. Same folder, same digest."""

import gzip
import hashlib
import io
import json
import pathlib
import platform
import tarfile
from collections.abc import Mapping
from typing import Any, BinaryIO

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LAYER = "layer.tar"


def write(root: pathlib.Path, *, to: pathlib.Path, tag: str, config: Mapping[str, Any], compress: bool) -> None:
    """`config` is the image configuration's `config` object. Compressed layers are pushed as they are."""
    layer = to.with_suffix(".layer")
    diff_id = _write_layer(root, to=layer, compress=compress)
    image = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": dict(config),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
        "history": [{"created_by": "k8s-ee sandbox"}],
    }
    text = json.dumps(image, sort_keys=True).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": [_LAYER]}]).encode()
    with tarfile.open(to, "w") as archive:
        for member, content in ((name, text), ("manifest.json", manifest)):
            archive.addfile(_member(member, size=len(content)), io.BytesIO(content))
        with layer.open("rb") as content_file:
            archive.addfile(_member(_LAYER, size=layer.stat().st_size), content_file)
    layer.unlink()


def _member(name: str, *, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def _write_layer(root: pathlib.Path, *, to: pathlib.Path, compress: bool) -> str:
    """The digest of the uncompressed tar."""
    with to.open("wb") as file:
        sink: Any = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=1, mtime=0) if compress else file
        hashing = _Hashing(sink)
        with tarfile.open(fileobj=hashing, mode="w|", format=tarfile.GNU_FORMAT) as layer:  # type: ignore[call-overload]
            for path in sorted(root.rglob("*")):
                layer.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_undated)
        if compress:
            sink.close()
    return hashing.digest.hexdigest()


def _undated(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = 0
    member.uname = member.gname = ""
    return member


class _Hashing:
    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._sink.write(data)
