"""What a sandbox leaves on disk: where its files are, which process it is, who may change it."""

import dataclasses
import json
import pathlib
import re

from k8s_ee_sandbox import cache, errors

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?")


@dataclasses.dataclass(frozen=True)
class Place:
    """The files of one sandbox. `run` is wiped by every start, `store` (images, registry) never."""

    name: str
    run: pathlib.Path
    store: pathlib.Path

    @property
    def state(self) -> pathlib.Path:
        return self.run / "state.json"

    @property
    def kubeconfig(self) -> pathlib.Path:
        return self.run / "kubeconfig"

    @property
    def pki(self) -> pathlib.Path:
        return self.run / "pki"

    @property
    def conf(self) -> pathlib.Path:
        return self.run / "conf"

    @property
    def node(self) -> pathlib.Path:
        """What the node's process was started with."""
        return self.conf / "node.json"

    @property
    def logs(self) -> pathlib.Path:
        return self.run / "logs"

    @property
    def containerd(self) -> pathlib.Path:
        return self.store / "containerd"

    @property
    def registry(self) -> pathlib.Path:
        return self.store / "registry"


@dataclasses.dataclass(frozen=True)
class State:
    """A started node. `started` tells its process from a later one with the same number."""

    name: str
    profile: str
    slot: int
    pid: int
    started: str
    registry_user: str
    registry_password: str = dataclasses.field(repr=False)
    images: dict[str, str] = dataclasses.field(default_factory=dict)
    complete: bool = False  # everything was ready once


def place(name: str) -> Place:
    """Raises SandboxError for a name that can't be part of a link's name."""
    if not _NAME.fullmatch(name) or name.endswith("-inet"):
        raise errors.SandboxError(
            f"{name!r} can't be the name of a sandbox",
            hint="Use 1 to 12 lower-case letters, digits and dashes, a letter first.",
        )
    root = cache.directory()
    return Place(name=name, run=root / "run" / name, store=root / "store" / name)


def known() -> list[str]:
    """Names of all that were started and not taken down, running or not."""
    folders = (cache.directory() / "run").glob("*")
    return sorted(folder.name for folder in folders if folder.is_dir() and _NAME.fullmatch(folder.name))


def read(where: Place) -> State | None:
    """None if it was never started, or its state can't be read: then there is nothing to rely on."""
    try:
        return State(**json.loads(where.state.read_text()))
    except (FileNotFoundError, json.JSONDecodeError, TypeError):
        return None


def write(where: Place, state: State) -> None:
    new = where.state.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(json.dumps(dataclasses.asdict(state), indent=2) + "\n")
    new.replace(where.state)


def started(pid: int) -> str | None:
    """When the process began, in clock ticks since boot. None if there is none, or only its exit status."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if status[0] == "Z" else status[19]


def alive(state: State) -> bool:
    return started(state.pid) == state.started
