"""Serve the guestbook on $PORT until SIGTERM or SIGINT; requests that have begun are finished."""

import os
import signal
import sys
import threading

from guestbook import store, web


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    entries = store.Store(os.environ["DATABASE_URL"])
    version = {"commit": os.environ.get("COMMIT_SHA", ""), "pr": os.environ.get("PR_NUMBER", "")}
    port = int(os.environ.get("PORT") or 3000)
    with web.Server(("", port), entries=entries, version=version) as server:
        loop = threading.Thread(target=server.serve_forever, args=[0.1])
        loop.start()
        print(f"listening on {server.server_port}", file=sys.stderr, flush=True)
        stop.wait()
        server.shutdown()
        loop.join()
        server.drain()
    entries.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
