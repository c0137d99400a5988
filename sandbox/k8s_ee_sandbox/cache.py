import contextlib
import fcntl
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator


def directory() -> pathlib.Path:
    """`$K8S_EE_CACHE`, else `~/.cache/k8s-ee`: everything the sandbox keeps lies below it."""
    override = os.environ.get("K8S_EE_CACHE")
    return pathlib.Path(override).absolute() if override else pathlib.Path.home() / ".cache" / "k8s-ee"


@contextlib.contextmanager
def locked(name: str, *, root: pathlib.Path | None = None, busy: Callable[[], object] = lambda: None) -> Iterator[None]:
    """One process at a time. The kernel drops the lock with its holder, however that ends.

    `root` is the cache, if it is another one; `busy` is called before another process is waited for.
    """
    path = (root or directory()) / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def set_apart(folder: pathlib.Path) -> None:
    """Tells ext4, where it is one, that the folders in it have nothing to do with each other.

    Without a journal, whenever it makes a file it looks at each that was deleted nearby within the last minutes: the
    two thousand files of a database took ten times as long where the volume before had just been deleted.
    """
    with contextlib.suppress(FileNotFoundError):  # it is only about speed
        subprocess.run(["chattr", "+T", folder], capture_output=True, timeout=10, check=False)
