"""Run a builder, show what it says, and put its failure into words."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence

from k8s_ee import errors

LAST_LINES = 20
LONGEST_LINE = 500

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PULL = re.compile(
    r"(?:initializing source docker://|failed to resolve source metadata for )"
    r"(?P<image>[^\s:]+(?::[0-9]+/[^\s:]+)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]+)?)"
)
_UNKNOWN_IMAGE = re.compile(r"manifest.unknown|name.unknown|not found|404", re.IGNORECASE)
_DENIED = re.compile(
    r"unauthorized|authentication required|denied|forbidden|insufficient.scope|\b40[13]\b", re.IGNORECASE
)
_PLAIN_HTTP = re.compile("server gave HTTP response to HTTPS client|does not look like a TLS handshake")
_OTHER_MACHINE = "exec format error"
_ONE_PLATFORM = re.compile("multi-platform build is not supported", re.IGNORECASE)


def run(
    command: Sequence[str],
    *,
    step: str,
    target: str,
    environ: Mapping[str, str],
    deadline: float,
    secrets: Sequence[str] = (),
    say: Callable[[str], None],
) -> list[str]:
    """Its lines. `deadline` is on the monotonic clock. Raises what `explain` returns, and NotReady when time is up."""
    lines: list[str] = []
    with _started(command, environ=environ) as process:
        timer = threading.Timer(max(0.0, deadline - time.monotonic()), _kill, [process])
        timer.start()
        try:
            for line in process.stdout or ():
                lines.append(clean(line, secrets=secrets))
                say(f"{step}: {lines[-1]}")
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
    if code and time.monotonic() >= deadline:
        raise errors.NotReady(
            f"{step}: time is up", hint="allow more with --timeout", evidence=tuple(lines[-LAST_LINES:])
        )
    if code:
        raise explain(lines, step=step, target=target)
    return lines


def clean(line: str, *, secrets: Sequence[str] = ()) -> str:
    """One line of a pull request's own making, fit for a log: no secret, nothing a terminal or a runner obeys."""
    for secret in secrets:
        line = line.replace(secret, "***")
    return _CONTROL.sub("", line.rstrip()).replace("##[", "## [")[:LONGEST_LINE]


def explain(lines: Sequence[str], *, step: str, target: str) -> errors.K8sEEError:
    """What a builder's last words mean. `target` is the registry that is pushed to."""
    text, evidence = "\n".join(lines[-LAST_LINES:]), tuple(lines[-LAST_LINES:])
    if step == "push" or "failed to push" in text:
        return _push_failure(text, target=target)
    if pull := _PULL.search(text):
        return _pull_failure(text, image=pull["image"].rstrip(":,"), evidence=evidence)
    if _ONE_PLATFORM.search(text):
        return errors.InputError(
            "this docker engine builds one platform at a time",
            hint="run docker/setup-buildx-action first, or name one platform in image.platforms",
        )
    if _OTHER_MACHINE in text:
        return errors.NotReady(
            "a step of the Dockerfile runs a program made for another architecture (exec format error)",
            hint="name this machine's architecture in image.platforms, or install emulation (docker/setup-qemu-action)",
            evidence=evidence,
        )
    last = next((line for line in reversed(lines) if re.search("error", line, re.IGNORECASE)), "")
    last = re.sub("^error: ", "", last, flags=re.IGNORECASE)
    return errors.NotReady(
        f"the image does not build: {last or 'the builder does not say why'}",
        hint="the lines above it say which step failed; the same Dockerfile fails on a laptop too",
        evidence=evidence,
    )


def _push_failure(text: str, *, target: str) -> errors.K8sEEError:
    if _DENIED.search(text):
        return errors.Refused(
            f"{target} does not let this login push",
            hint="check registry-username and registry-password; for ghcr.io with GITHUB_TOKEN the job needs "
            "`permissions: packages: write`, and the package must grant this repository write access",
        )
    if _PLAIN_HTTP.search(text):
        return errors.Unavailable(
            f"{target} speaks plain HTTP", hint="say so with --registry-insecure, if that is meant"
        )
    return errors.Unavailable(
        f"the image can't be pushed to {target}: {_last(text)}", hint="is the registry reachable?"
    )


def _pull_failure(text: str, *, image: str, evidence: tuple[str, ...]) -> errors.K8sEEError:
    # Registries that hide what they have answer "denied" for an image that does not exist: that comes first.
    if _DENIED.search(text):
        return errors.Refused(
            f"the base image {image} does not exist or may not be pulled",
            hint="check its name in the Dockerfile; log in to its registry in a step before the build",
        )
    if _UNKNOWN_IMAGE.search(text):
        return errors.NotReady(f"the base image {image} does not exist", hint="check FROM", evidence=evidence)
    return errors.Unavailable(
        f"the base image {image} can't be pulled: {_last(text)}", hint="is its registry reachable?"
    )


def _last(text: str) -> str:
    """The last line without the names of what was being copied: they are in the message already."""
    return re.sub(r'.*(?:pushing image|initializing source) \S+( to "\S+")?:? ', "", text.strip().rpartition("\n")[2])


def _started(command: Sequence[str], *, environ: Mapping[str, str]) -> subprocess.Popen[str]:
    """A process group of its own, so that a Ctrl-C reaches the builder once and through us."""
    try:
        return subprocess.Popen(
            command,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise errors.ToolMissing(f"{command[0]} can't be started: {error.strerror}") from None


def _kill(process: subprocess.Popen[str]) -> None:
    """The whole group, also when its leader is gone: a step may have left something running."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
