"""What a real browser makes of the responder's pages: Chromium's headless shell, a Debian package like others here."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Iterator

import pytest

from k8s_ee import pages, responder
from k8s_ee_sandbox import errors, packages, progress
from tests.unit import test_pages as known

_PACKAGE = "chromium-headless-shell"
_NAMES = (_PACKAGE, "chromium", "chromium-browser", "google-chrome")

APP = responder.Reply(200, b"<!DOCTYPE html><title>the app</title>", {"Content-Type": "text/html"})


@pytest.fixture(scope="module")
def program() -> str:
    """One that is there already, else Debian's (100 MB, once)."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        try:
            packages.ensure(_PACKAGE, progress=progress.Progress())
        except errors.SandboxError as error:
            pytest.skip(f"no browser on this machine, and none can be installed: {error}")
        found = shutil.which(_PACKAGE)
    assert found
    return found


@dataclasses.dataclass
class Site:
    """Shows what is in `script`, one after the other, the last one for ever, and keeps which paths were asked for."""

    port: int = 0
    script: tuple[pages.Page | None, ...] = (pages.NOBODY,)
    asked: list[str] = dataclasses.field(default_factory=list)

    def respond(self, request: responder.Request) -> responder.Reply:
        shown = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(request.path)
        return APP if shown is None else responder.reply(shown, request.accept)


@dataclasses.dataclass(frozen=True)
class Browser:
    program: str
    site: Site
    folder: pathlib.Path

    def run(self, *options: str) -> tuple[str, str]:
        """What it prints, and what its console says."""
        done = subprocess.run(
            [
                *(self.program, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
                f"--user-data-dir={self.folder / 'profile'}",
                f"--host-resolver-rules=MAP * 127.0.0.1:{self.site.port}",
                *(*options, "http://shop-pr-7.preview.test/"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)

    def background(self, *options: str) -> tuple[int, ...]:
        """Red, green and blue of the corner of the window."""
        picture = self.folder / "picture.png"
        self.run(f"--screenshot={picture}", "--window-size=320,480", *options)
        return _first_pixel(picture.read_bytes())


@pytest.fixture
def browser(program: str, tmp_path: pathlib.Path) -> Iterator[Browser]:
    site = Site()
    with responder.Server(0, site.respond) as server:
        site.port = server.server_port
        yield Browser(program, site, tmp_path)


def _first_pixel(png: bytes) -> tuple[int, ...]:
    """Of the first row every filter leaves the first pixel as it is."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        data += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    return tuple(zlib.decompress(data)[1:4])


def test_a_page_is_shown_whole_and_nothing_else_is_fetched_or_complained_about(browser: Browser) -> None:
    browser.site.script = (pages.of(known.KNOWN["sleeping"], known.POLICY, known.NOW),)
    shown, complaints = browser.run("--dump-dom")
    assert "<h1>This preview is asleep</h1>" in shown
    assert "k8s-ee wake --pr 7 --repository-id 42" in shown
    assert [one for one in complaints.splitlines() if "503" not in one] == []
    assert set(browser.site.asked) <= {"/", "/favicon.ico"}


def test_a_page_of_one_that_starts_gives_way_to_the_app_by_itself(browser: Browser) -> None:
    starting = pages.of(known.KNOWN["deploying"], known.POLICY, known.NOW)
    browser.site.script = (starting, starting, starting, None)
    shown, _complaints = browser.run("--dump-dom", "--virtual-time-budget=60000")
    assert "<title>the app</title>" in shown
    assert len([path for path in browser.site.asked if path == "/"]) >= 3


def test_a_page_of_one_that_sleeps_asks_once_however_long_it_stays_open(browser: Browser) -> None:
    browser.site.script = (pages.of(known.KNOWN["sleeping"], known.POLICY, known.NOW), None)
    shown, _complaints = browser.run("--dump-dom", "--virtual-time-budget=600000")
    assert re.search("<h1>This preview is asleep</h1>", shown)


def test_its_style_is_let_in_by_its_own_policy_and_follows_the_colours_of_the_reader(browser: Browser) -> None:
    light = browser.background("--blink-settings=preferredColorScheme=1")
    dark = browser.background("--blink-settings=preferredColorScheme=0")
    assert (sum(light) > 3 * 200, sum(dark) < 3 * 60) == (True, True), (light, dark)
