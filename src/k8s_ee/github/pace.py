"""How often GitHub is written to: whoever writes faster is locked out for a while, with all that uses the same App.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api asks for a second between
writes where there are many, https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api allows 80
requests a minute that make content.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

BURST, EACH_SECONDS = 20, 1.0
"""A deploy, which writes a few times, never waits; and no minute has more than 20 + 60 writes."""


class Pace:
    """Shared by all connections of a process: `burst` writes as fast as they come, the others `each` seconds apart.

    `clock` gives seconds and never goes back.
    """

    def __init__(
        self, *, burst: int = BURST, each: float = EACH_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ahead, self._each, self._clock = (burst - 1) * each, each, clock
        self._lock = threading.Lock()
        self._due = clock()
        """When the next write would be due if none were made early; they may be by `_ahead`."""

    def pause(self) -> float:
        """Seconds until the next write may be made."""
        with self._lock:
            return self._wait()

    def take(self, *, longest: float) -> float | None:
        """Seconds to wait, and then to write: the turn is taken. None = it would be longer; no turn was taken."""
        with self._lock:
            seconds = self._wait()
            if seconds > longest:
                return None
            self._due = max(self._due, self._clock()) + self._each
            return seconds

    def close(self, seconds: float) -> None:
        """Nobody writes for so long; after that one by one, as GitHub has counted what was written before."""
        with self._lock:
            self._due = max(self._due, self._clock() + seconds + self._ahead)

    def _wait(self) -> float:
        return max(0.0, self._due - self._ahead - self._clock())
