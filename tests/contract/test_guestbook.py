"""The example's own tests, as its README says to run them, with the sandbox's images in the place of Docker's."""

from __future__ import annotations

import pathlib
import subprocess

from tests import postgres, servers, trees

GUESTBOOK = pathlib.Path(__file__).parents[2] / "examples" / "guestbook"


def test_the_guestbooks_own_tests_pass_and_none_is_skipped() -> None:
    base, owner = trees.tree("base"), GUESTBOOK.stat().st_uid
    with postgres.made() as database, database.running():
        address = f"app:{servers.PASSWORD}@127.0.0.1:{database.env['PGPORT']}/app"
        done = subprocess.run(
            trees.inside(
                base, "env", "--chdir=/app", "python3", "-m", "unittest", shared=GUESTBOOK, at="/app", user=owner
            ),
            env={
                "PATH": "/usr/bin:/usr/sbin",
                "PYTHONDONTWRITEBYTECODE": "1",
                "DATABASE_URL": f"postgresql://{address}",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr.rstrip().endswith("\nOK"), done.stderr
