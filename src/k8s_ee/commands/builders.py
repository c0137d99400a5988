"""The builders: `docker buildx` where an engine runs, else buildah. Each builds, pushes and says what it made."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from k8s_ee import errors, settings
from k8s_ee.commands import process
from k8s_ee.config import model

_HUB = ("docker.io", "index.docker.io", "https://index.docker.io/v1/")
"""Docker Hub as references name it, now and formerly, and the address under which docker keeps its login."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """`repository` is REGISTRY/NAME; `credentials` (user, password), None = the machine's own login.

    `insecure`: the registry speaks plain HTTP.
    """

    repository: str
    tag: str
    credentials: tuple[str, str] | None = dataclasses.field(default=None, repr=False)
    insecure: bool = False

    @property
    def reference(self) -> str:
        return f"{self.repository}:{self.tag}"

    @property
    def registry(self) -> str:
        """As builders read a name: one that begins with no host is on Docker Hub."""
        first = self.repository.partition("/")[0]
        is_host = first == "localhost" or "." in first or ":" in first
        return first if is_host and first not in _HUB else _HUB[0]


@dataclasses.dataclass(frozen=True)
class Request:
    """`scratch` is an empty folder of ours that goes when the build is over; `deadline` is on the monotonic clock."""

    context: pathlib.Path
    dockerfile: pathlib.Path
    image: model.Image
    destination: Destination
    labels: Mapping[str, str]
    deadline: float
    scratch: pathlib.Path
    say: Callable[[str], None]

    def arguments(self) -> list[str]:
        """What both builders call the same."""
        pairs = [("--build-arg", f"{name}={value}") for name, value in self.image.args.items()]
        pairs += [("--label", f"{name}={value}") for name, value in self.labels.items()]
        pairs += [("--target", self.image.target)] * bool(self.image.target)
        pairs += [("--platform", ",".join(self.image.platforms))] * bool(self.image.platforms)
        return ["--file", str(self.dockerfile), *(part for pair in pairs for part in pair)]

    def run(self, *command: str, step: str, environ: Mapping[str, str]) -> list[str]:
        """Raises what `process.explain` makes of a failure."""
        return process.run(
            command,
            step=step,
            target=self.destination.registry,
            environ=environ,
            deadline=self.deadline,
            secrets=(self.destination.credentials or ())[1:],
            say=self.say,
        )


@dataclasses.dataclass(frozen=True)
class Variant:
    """What an image says about itself: `architecture` as Go names it, `user` as the Dockerfile has it."""

    architecture: str
    user: str


@dataclasses.dataclass(frozen=True)
class Built:
    """`variants` is empty when the registry would not say."""

    digest: str
    variants: tuple[Variant, ...]


class Builder(Protocol):
    @property
    def name(self) -> str: ...

    def build(self, request: Request) -> Built: ...


def choose() -> Builder:
    """Raises ToolMissing when there is no builder that works."""
    if _works("docker", "version", "--format", "{{.Server.Version}}") and _works("docker", "buildx", "version"):
        return Buildx()
    if shutil.which("buildah"):
        return Buildah()
    raise errors.ToolMissing(
        "there is neither a running docker engine with buildx nor buildah",
        hint="use a runner that has one (ubuntu-latest does), or install buildah: apt-get install buildah",
    )


@dataclasses.dataclass(frozen=True)
class Buildx:
    name: str = "docker buildx"

    def build(self, request: Request) -> Built:
        environ = settings.environ(_docker_login(request))
        metadata = request.scratch / "metadata.json"
        # Without provenance the digest is the image's own, not that of an index with an attestation beside it.
        push = "--output=type=registry,registry.insecure=true" if request.destination.insecure else "--push"
        request.run(
            "docker", "buildx", "build", "--progress=plain", "--provenance=false", f"--metadata-file={metadata}",
            f"--tag={request.destination.reference}", push, *request.arguments(), str(request.context),
            step="build", environ=environ,
        )  # fmt: skip
        digest = str(_read_json(metadata).get("containerimage.digest", ""))
        return Built(digest=digest, variants=_inspected(f"{request.destination.repository}@{digest}", environ=environ))


@dataclasses.dataclass(frozen=True)
class Buildah:
    """Everything it writes lies in the scratch folder, so a build leaves neither images nor mounts behind.

    Steps run with `chroot` isolation, the only kind that also works where the runner is itself a container. As root
    they get process and mount namespaces of their own: they see no other process, and end with us, however we end.
    """

    name: str = "buildah"

    def build(self, request: Request) -> Built:
        environ, login = settings.environ(_registries(request)), _auth_file(request)
        buildah = (*_alone(), "buildah", *_storage(request.scratch))
        made, digest = request.scratch / "image", request.scratch / "digest"
        several = len(request.image.platforms) > 1
        keep = ["--manifest", "k8s-ee-build"] if several else ["--iidfile", str(made)]
        try:
            request.run(
                *buildah, "build", "--isolation=chroot", "--layers=false", *login, *keep,
                *request.arguments(), str(request.context), step="build", environ=environ,
            )  # fmt: skip
            image = "k8s-ee-build" if several else made.read_text().strip()
            push = ["manifest", "push", "--all"] if several else ["push", "--retry=1"]
            push += ["--tls-verify=false"] * request.destination.insecure
            request.run(
                *buildah, *push, *login, f"--digestfile={digest}", image, f"docker://{request.destination.reference}",
                step="push", environ=environ,
            )  # fmt: skip
            # Of several platforms this shows one, and all have the same last USER unless the Dockerfile asks which.
            variant = _described([*buildah, "inspect", "--type=image", image], environ=environ)
            return Built(digest=digest.read_text().strip(), variants=(variant,))
        finally:
            _give_back(request.scratch)


def _works(*command: str) -> bool:
    """Whether a tool is there and answers: the question a choice between tools rests on."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _alone() -> tuple[str, ...]:
    command = ("setpriv", "--pdeathsig=KILL", "unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    return command if os.geteuid() == 0 and _works(*command, "true") else ()


def _storage(scratch: pathlib.Path) -> list[str]:
    """Overlay where the file system can; vfs copies every layer, and works everywhere."""
    for driver in ("overlay", "vfs"):
        options = [f"--root={scratch / driver}", f"--runroot={scratch / 'run'}", f"--storage-driver={driver}"]
        if driver == "vfs" or _works("buildah", *options, "info"):
            break
    return options


def _give_back(scratch: pathlib.Path) -> None:
    """Without root, layers belong to ids of buildah's user namespace: only in there can they be removed."""
    if os.geteuid() != 0:
        owned = [str(path) for path in (scratch / "overlay", scratch / "vfs", scratch / "run")]
        _works("buildah", "unshare", "rm", "-rf", *owned)


def _auth_file(request: Request) -> list[str]:
    """As an option: `manifest push` of older versions does not look at REGISTRY_AUTH_FILE."""
    if not request.destination.credentials:
        return []
    return [f"--authfile={_login(request, folder=request.scratch) / 'config.json'}"]


def _docker_login(request: Request) -> dict[str, str]:
    """A copy of the machine's docker settings with our login in it: its plugins, contexts and builders still count."""
    if not request.destination.credentials:
        return {}
    folder = request.scratch / "docker"
    folder.mkdir(mode=0o700)
    with contextlib.suppress(FileNotFoundError):
        for entry in _docker_folder().iterdir():
            if entry.name != "config.json":
                (folder / entry.name).symlink_to(entry)
    return {"DOCKER_CONFIG": str(_login(request, folder=folder))}


def _login(request: Request, *, folder: pathlib.Path) -> pathlib.Path:
    assert request.destination.credentials  # noqa: S101 - both callers ask first
    known = _read_json(_docker_folder() / "config.json")
    # A credential store, once named, is asked instead of `auths`, for every registry.
    known.pop("credsStore", None)
    registry = request.destination.registry
    names = _HUB if registry in _HUB else (registry,)
    helpers = known.get("credHelpers", {})
    for name in names:
        helpers.pop(name, None)
    login = base64.b64encode(":".join(request.destination.credentials).encode()).decode()
    known["auths"] = {**known.get("auths", {}), **{name: {"auth": login} for name in names}}
    file = folder / "config.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(known))
    return folder


def _docker_folder() -> pathlib.Path:
    return pathlib.Path(settings.environ().get("DOCKER_CONFIG") or pathlib.Path.home() / ".docker")


def _registries(request: Request) -> dict[str, str]:
    """The machine's registries.conf, plus what docker takes for granted: short names mean Docker Hub.

    A registry without TLS is named there: `--tls-verify=false` would, in a build, hold for every base image as well.
    """
    system = pathlib.Path(settings.environ().get("CONTAINERS_REGISTRIES_CONF") or "/etc/containers/registries.conf")
    text = system.read_text() if system.is_file() else ""
    known = tomllib.loads(text)
    if "unqualified-search-registries" not in known:
        text = f'unqualified-search-registries = ["docker.io"]\n{text}'
    if request.destination.insecure:
        text += f'\n[[registry]]\nlocation = "{request.destination.registry}"\ninsecure = true\n'
    file = request.scratch / "registries.conf"
    file.write_text(text)
    return {"CONTAINERS_REGISTRIES_CONF": str(file)}


def _described(command: list[str], *, environ: Mapping[str, str]) -> Variant:
    found = subprocess.run(command, env=dict(environ), capture_output=True, timeout=60, check=True)
    image = json.loads(found.stdout)["OCIv1"]
    return Variant(architecture=image.get("architecture", ""), user=(image.get("config") or {}).get("User", ""))


def _inspected(reference: str, *, environ: Mapping[str, str]) -> tuple[Variant, ...]:
    command = ["docker", "buildx", "imagetools", "inspect", reference, "--format", "{{json .Image}}"]
    try:
        found = subprocess.run(command, env=dict(environ), capture_output=True, timeout=60, check=True)
        image = json.loads(found.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
    images = [image] if "architecture" in image else list(image.values())
    return tuple(
        Variant(architecture=one.get("architecture", ""), user=(one.get("config") or {}).get("User", ""))
        for one in images
    )


def _read_json(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
