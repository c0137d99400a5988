"""Ways in which the local GitHub can fail, each for the next `times` requests that fit."""

from __future__ import annotations

import dataclasses
import re
import threading
from typing import Literal


@dataclasses.dataclass
class Fault:
    """`applied`: the request takes effect before it fails, as with a lost answer. `delay` in seconds.

    `kind`: `status` a JSON error, `html` an error page, `truncated` half of the right answer under its full length,
    `garbled` half of it that claims to be all, `drop` the connection closed without an answer, `slow` only the delay.
    """

    method: str = ".*"
    path: str = ".*"
    kind: Literal["status", "html", "truncated", "garbled", "drop", "slow"] = "status"
    status: int = 502
    message: str = "Server Error"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    delay: float = 0
    applied: bool = False
    times: int = 1


def rate_limited(**where: str) -> Fault:
    headers = {"X-RateLimit-Remaining": "0", "Retry-After": "0"}
    return Fault(status=403, message="API rate limit exceeded for installation ID 1.", headers=headers, **where)  # type: ignore[arg-type]


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._active += faults

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def take(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for fault in self._active:
                if fault.times > 0 and re.fullmatch(fault.method, method) and re.fullmatch(fault.path, path):
                    fault.times -= 1
                    return fault
        return None
