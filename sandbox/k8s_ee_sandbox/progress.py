"""What is being made, which of how many, for how long: in place on a terminal, one line per event elsewhere."""

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

_TICK = 1.0


class Progress:
    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._lock = threading.Lock()
        self._total = 0
        self._started = 0
        self._running: dict[str, float] = {}

    def expect(self, steps: int) -> None:
        """Add `steps` to the total that lines are counted against."""
        with self._lock:
            self._total += steps

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce `what`, and say how it ended. Safe to use from several threads at once."""
        begun = time.monotonic()
        label = self._begin(what, begun)
        stop = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(stop,), daemon=True)
        if self._stream.isatty():
            ticker.start()
        ending = "failed after"
        try:
            yield
            ending = "done in"
        finally:
            stop.set()
            self._end(label, f"{ending} {elapsed(time.monotonic() - begun)}")

    def note(self, text: str) -> None:
        """A line of its own."""
        with self._lock:
            self._line(text)

    def _begin(self, what: str, begun: float) -> str:
        with self._lock:
            self._started += 1
            self._total = max(self._total, self._started)
            label = f"[{self._started}/{self._total}] {what}"
            self._running[label] = begun
            if not self._stream.isatty():
                self._line(f"{label} …")
            return label

    def _end(self, label: str, ending: str) -> None:
        with self._lock:
            self._running.pop(label, None)
            self._line(f"{label}: {ending}")

    def _tick(self, stop: threading.Event) -> None:
        while not stop.wait(_TICK):
            with self._lock:
                now = time.monotonic()
                parts = [f"{label} … {elapsed(now - begun)}" for label, begun in self._running.items()]
                self._write("\r\x1b[2K" + "   ".join(parts)[: _columns()])

    def _line(self, text: str) -> None:
        clear = "\r\x1b[2K" if self._stream.isatty() else ""
        self._write(f"{clear}{text}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads along any more: no reason to stop
            self._stream.write(text)
            self._stream.flush()


def elapsed(seconds: float) -> str:
    """`0.4s`, `12s`, `3m12s`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"


def _columns() -> int:
    return shutil.get_terminal_size().columns - 1
