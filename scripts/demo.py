"""`make demo`: the example's pull request, through the real workflow, onto a real cluster, told as it happens."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import sys
import tempfile
import time

from k8s_ee_sandbox import artifacts, cache, cluster, cluster_profiles, progress
from tests import world
from tests.workflows import harness

_NAME = "demo"
_PROFILE = "node"
_TOOLS = ("kubectl", "helm", "act")
_IMAGES = ("base", "postgresql")


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as after nohup
            signal.signal(number, _stop)
    with cache.locked(f"run-{_NAME}", busy=lambda: say("waiting for another demo to end")):
        return _run()


def _stop(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _run() -> int:
    started = time.monotonic()
    lines = progress.Progress()
    artifacts.ensure(*_TOOLS, *cluster_profiles.find(_PROFILE, images=_IMAGES).parts, progress=lines)
    built = time.monotonic()
    try:
        sandbox = cluster.up(_NAME, _PROFILE, lines, images=_IMAGES)
        serving = time.monotonic()
        say(f"cluster serving after {serving - started:.1f} s ({serving - built:.1f} s of it starting)")
        code = _demonstrate(sandbox)
    finally:
        if os.environ.get("KEEP") and (kept := cluster.status(_NAME)):
            say(f"left running: export KUBECONFIG={kept.kubeconfig}; stop it with `make clean`")
        else:
            cluster.down(_NAME, lines)
    say(f"demo: {time.monotonic() - started:.0f} s")
    return code


def _demonstrate(sandbox: cluster.Sandbox) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="k8s-ee-demo-") as scratch,
        world.world(sandbox, pathlib.Path(scratch)) as pull_request,
    ):
        code = show(pull_request)
        if os.environ.get("KEEP"):
            return code
        say("closing the pull request")
        closed = pull_request.run("closed")
        print(pull_request.comments()[0])
        return code or closed.returncode


def show(pull_request: world.World) -> int:
    """Opens the pull request and prints what a reviewer would look at; 0 if all of it is there."""
    commit = harness.git(pull_request.consumer, "rev-parse", "HEAD")
    say(f"opening pull request {pull_request.number} of {pull_request.consumer.name}, commit {commit[:7]}")
    opened = pull_request.run("opened")
    if opened.returncode:
        print(opened.log)
        return opened.returncode
    print_phases(opened)
    written = {"author": "demo", "message": f"a row of {commit[:7]}"}
    status, _ = pull_request.ask("/entries", method="POST", body=written)
    entries = json.loads(pull_request.ask("/entries")[1])
    served = json.loads(pull_request.ask("/version")[1])["commit"]
    found = [one for one in entries if one["message"] == written["message"]]
    print(f"url       http://{pull_request.namespace}.{pull_request.sandbox.domain}")
    print(
        f"          curl -H 'Host: {pull_request.namespace}.{pull_request.sandbox.domain}' "
        f"http://{pull_request.sandbox.ingress_address}/version"
    )
    print(f"commit    {served}")
    print(f"row       written ({status}) and read back: {found}")
    print(f"comment   as the pull request shows it:\n\n{pull_request.comments()[0]}")
    return 0 if status == 201 and found and served == commit else 1


def print_phases(result: harness.Result) -> None:
    print("\njob          seconds")
    for job, (begin, end) in result.times.items():
        print(f"{job:12} {end - begin:7.1f}")
    image_there, ready = result.times["build"][1], result.times["deploy"][1]
    print(f"ready {ready - image_there:.1f} s after its image was there\n")


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
