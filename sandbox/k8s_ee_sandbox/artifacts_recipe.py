"""What an artefact is: a name, the inputs that determine it, and a function that makes it."""

import dataclasses
import hashlib
import json
import pathlib
import platform
from collections.abc import Callable, Mapping

from k8s_ee_sandbox import logged

KEY_DIGITS = 12


@dataclasses.dataclass(frozen=True)
class Workshop:
    """What a recipe works with: `into` is the folder to fill, `needs` what it asked for, `cache` outlives it."""

    into: pathlib.Path
    needs: Mapping[str, pathlib.Path]
    cache: pathlib.Path
    log: pathlib.Path
    runner: logged.Runner


@dataclasses.dataclass(frozen=True)
class Recipe:
    name: str
    what: str
    make: Callable[[Workshop], None]
    inputs: Callable[[], Mapping[str, str]]
    result: str = ""  # inside the folder; empty: the folder itself
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    lane: str = ""  # recipes of one lane run one after another

    def key(self, needed: Mapping[str, str]) -> str:
        """`<name>-<hex digits>` from the inputs, the machine and the keys of what is needed."""
        facts = {"machine": platform.machine(), "needs": dict(needed), "inputs": dict(self.inputs())}
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:KEY_DIGITS]}"
