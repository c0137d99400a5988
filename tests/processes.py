"""What a test asks of processes that it has not started itself."""

import contextlib
import os
import select


def gone(pid: int) -> bool:
    """Whether it has ended, or does within 10 s: a kill is an order, not yet a death."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            return bool(select.select([handle], [], [], 10)[0])
        finally:
            os.close(handle)
    return True
