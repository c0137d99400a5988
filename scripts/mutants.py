"""Changes the rules of the lifecycle in every small way there is, and counts the changes that its tests notice.

Fails when fewer than ENOUGH of them are noticed; lists the others.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
ENOUGH = 0.9
SETTINGS = """\
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/k8s_ee/lifecycle.py", "src/k8s_ee/backups.py", "src/k8s_ee/notices.py"]
pytest_add_cli_args = ["-m", "not long"]
pytest_add_cli_args_test_selection = ["tests/unit/lifecycle"]
[tool.pytest.ini_options]
markers = ["long: full-length loops"]
pythonpath = ["."]
"""
_STATS = pathlib.PurePath("mutants", "mutmut-cicd-stats.json")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="k8s-ee-mutants-") as name:
        folder = pathlib.Path(name)
        _lay_out(folder)
        if _mutmut("run", folder=folder) != 0:
            print("error: mutmut did not come to its end", file=sys.stderr)
            return 1
        _mutmut("results", folder=folder)
        _mutmut("export-cicd-stats", folder=folder)
        text, enough = verdict(json.loads((folder / _STATS).read_text(encoding="utf-8")))
    print(text)
    return 0 if enough else 1


def verdict(stats: dict[str, int]) -> tuple[str, bool]:
    """From mutmut's figures. A change that made the tests hang was noticed; one that no test ran was not."""
    noticed = stats["killed"] + stats["timeout"]
    share = noticed / stats["total"] if stats["total"] else 0.0
    return f"{noticed} of {stats['total']} changes noticed: {share:.1%}, wanted {ENOUGH:.0%}", share >= ENOUGH


def _lay_out(folder: pathlib.Path) -> None:
    """Only what the tests of the lifecycle need: mutmut copies and imports all that it finds."""
    (folder / "src" / "k8s_ee").mkdir(parents=True)
    for module in ("__init__", "lifecycle", "backups", "notices", "environment", "errors"):
        shutil.copy(ROOT / "src" / "k8s_ee" / f"{module}.py", folder / "src" / "k8s_ee")
    shutil.copytree(ROOT / "tests" / "unit" / "lifecycle", folder / "tests" / "unit" / "lifecycle")
    for package in (folder / "tests", folder / "tests" / "unit"):
        (package / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")


def _mutmut(task: str, *, folder: pathlib.Path) -> int:
    return subprocess.run([sys.executable, "-m", "mutmut", task], cwd=folder, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
