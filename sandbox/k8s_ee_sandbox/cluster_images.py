"""Images on their way into the node: the platform's by hand, the others through the registry as in production."""

import base64
import json
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterable

from k8s_ee_sandbox import errors, images, network, node, node_config, state

_PLATFORM = ("pause", "kube")
_TIMEOUT = 10 * 60
_SERVES_WITHIN = 120.0
_EVERY = 0.05


class Images:
    """`parts` are artefacts: the folder's name of each holds the hash of what made it."""

    def __init__(
        self,
        where: state.Place,
        net: network.Network,
        *,
        running: state.State,
        parts: dict[str, pathlib.Path],
    ) -> None:
        self._where = where
        self._net = net
        self._running = running
        self._parts = parts

    def load(self) -> None:
        """Into the node's store what is not in it, then let the kubelet start. Raises SandboxError."""
        self._wait_for_containerd()
        known = _Record(self._where.containerd / "loaded.json")
        for name in _PLATFORM:
            archive = self._parts[f"image-{name}"]
            if known.get(name) != archive.parent.name:
                self._ctr("import", str(archive))
                known.set(name, archive.parent.name)
        (self._where.run / "images-ready").touch()

    def publish(self, names: Iterable[str]) -> dict[str, str]:
        """Into the registry what of these is not in it, and from there onto the node. Raises SandboxError."""
        address = f"{self._net.node}:{node_config.REGISTRY_PORT}"
        self._wait_for_registry()
        references = {name: f"{address}/{self._pushed(name, address)}" for name in names}
        self._pull(list(references.values()))
        return references

    def _pushed(self, name: str, address: str) -> str:
        """`name@sha256:…`, without the registry's address, which may change with the next start."""
        archive = self._parts[f"image-{name}"]
        known = _Record(self._where.registry / "pushed.json")
        reference = known.get(archive.parent.name)
        if not reference:
            user, password = self._running.registry_user, self._running.registry_password
            pushed = images.push(archive, f"{address}/{name}:latest", user=user, password=password)
            reference = pushed.partition("/")[2]
            known.set(archive.parent.name, reference)
        return reference

    def _pull(self, references: list[str]) -> None:
        known = _Record(self._where.containerd / "pulled.json")
        missing = [reference for reference in references if not known.get(reference)]
        if not missing:
            return
        login = f"{self._running.registry_user}:{self._running.registry_password}"
        header = "Basic " + base64.b64encode(login.encode()).decode()
        hosts = node_config.write_registry_login(self._where, self._net, authorization=header)
        for reference in missing:
            self._ctr("pull", f"--hosts-dir={hosts}", reference)
            known.set(reference, "pulled")

    def _ctr(self, *args: str) -> None:
        address = node.root(self._running.pid) / "run/containerd/containerd.sock"
        done = subprocess.run(
            [self._parts["containerd"] / "ctr", f"--address={address}", "--namespace=k8s.io", "images", *args],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if done.returncode != 0:
            raise errors.SandboxError(f"ctr images {' '.join(args)} failed: {done.stderr.strip()[-500:]}")

    def _wait_for_containerd(self) -> None:
        until = time.monotonic() + _SERVES_WITHIN
        while not self._containerd_serves():
            if not state.alive(self._running):
                raise node.ended(self._where)
            if time.monotonic() > until:
                raise errors.SandboxError("containerd does not start", hint=f"Read {self._where.logs}/containerd.log.")
            time.sleep(_EVERY)

    def _containerd_serves(self) -> bool:
        try:
            path = node.root(self._running.pid) / "run/containerd/containerd.sock"
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
        except (OSError, errors.SandboxError):
            return False
        return True

    def _wait_for_registry(self) -> None:
        until = time.monotonic() + _SERVES_WITHIN
        while True:
            try:
                socket.create_connection((self._net.node, node_config.REGISTRY_PORT), timeout=2).close()
            except OSError as failed:
                if time.monotonic() > until:
                    raise errors.SandboxError(f"the registry does not start: {failed}") from None
                time.sleep(_EVERY)
            else:
                return


class _Record:
    """What was done, kept beside what it was done to."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._entries: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, key: str) -> str | None:
        return self._entries.get(key)

    def set(self, key: str, value: str) -> None:
        self._entries[key] = value
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self._entries, indent=2) + "\n")
        new.replace(self._path)
