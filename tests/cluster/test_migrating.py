"""Two migrations never run at the same time, not even when the deploy of the first is no more."""

from __future__ import annotations

import json
import pathlib
import signal
import time
from typing import Any

import pytest

from tests.cluster import cli

pytestmark = pytest.mark.cluster

_RUNNING = "--for=jsonpath={.status.phase}=Running"


def jobs(preview: cli.Preview) -> list[dict[str, Any]]:
    """Oldest first."""
    found = json.loads(preview.kubectl("get", "jobs", "-o=json"))["items"]
    return sorted(found, key=lambda job: str(job["metadata"]["creationTimestamp"]))


def migrating(preview: cli.Preview, script: str) -> None:
    preview.configure(cli.small(migrate=["python3", "-c", script]))


def test_one_that_a_killed_deploy_left_ends_before_the_next_begins(preview: cli.Preview) -> None:
    base = preview.installed.sandbox.images["base"]
    migrating(preview, "import time; time.sleep(5)")
    killed = preview.start("up", image=base)
    killed.until("migrate-")
    preview.kubectl("wait", "pod", "-l=app.kubernetes.io/name=migrate", _RUNNING, "--timeout=60s")
    killed.send(signal.SIGKILL)
    killed.end()
    migrating(preview, "raise SystemExit('the second one')")
    failed = preview.run("up", image=base)
    assert "a migration of an earlier deploy, waiting for its end" in failed.stderr
    assert "the second one" in failed.said
    first, second = jobs(preview)
    assert [one["type"] for one in first["status"]["conditions"]][-1] == "Complete"
    assert first["status"]["completionTime"] <= second["metadata"]["creationTimestamp"]


def test_one_that_never_began_does_not_hold_up_the_next(preview: cli.Preview) -> None:
    base = preview.installed.sandbox.images["base"]
    migrating(preview, "")
    assert preview.run("up", image=base.partition("@")[0] + "@sha256:" + "0" * 64).code == 4
    (left,) = jobs(preview)
    began = time.monotonic()
    preview.up(image=base)
    assert time.monotonic() - began < 60
    assert left["metadata"]["uid"] not in {job["metadata"]["uid"] for job in jobs(preview)}


def test_what_was_restored_is_migrated_and_one_that_fails_on_it_is_said_with_its_log(
    preview: cli.Preview, tmp_path: pathlib.Path
) -> None:
    """The migration of this app fails where there is a key already, as one fails that does not know what it finds."""
    ask = "import os, socket; s = socket.create_connection((os.environ['REDIS_HOST'], 6379)); "
    ask += "s.sendall(f'AUTH {os.environ[\"REDIS_PASSWORD\"]}\\r\\nINCR migrated\\r\\n'.encode()); "
    script = ask + "said = s.makefile(); print(said.readline()); raise SystemExit(said.readline().strip() != ':1')"
    app, store = cli.small(migrate=["python3", "-c", script]), {"databases": {"redis": {"storage": "64Mi"}}}
    preview.configure(app | store)
    done = preview.up(image=preview.installed.sandbox.images["base"])
    backup = preview.run("backup", "--to", str(tmp_path / "with.tar"))
    assert backup.code == 0, backup.said
    failed = preview.run("restore", str(tmp_path / "with.tar"), "--replace")
    assert failed.code == 4, failed.said
    assert "the databases are restored" in failed.said
    (job,) = jobs(preview)
    assert job["status"]["failed"] == 1
    assert preview.ask("/")[0] == 200, done.said
