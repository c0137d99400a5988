"""Several requests at once, over the connections that are kept anyway."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import TypeVar

T = TypeVar("T")

SIZE = 8


def side_by_side(work: Sequence[Callable[[], T]], *, size: int = SIZE) -> list[T]:
    """Results in order. The first error is raised after all have ended, so that nothing goes on behind it."""
    if len(work) <= 1:
        return [task() for task in work]
    with futures.ThreadPoolExecutor(max_workers=min(size, len(work))) as pool:
        running = [pool.submit(task) for task in work]
    return [task.result() for task in running]


@contextlib.contextmanager
def beside(task: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Runs `task` while the block runs; both have ended after it. What is given returns the result, or raises."""
    with futures.ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(task).result
