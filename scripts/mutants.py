"""Changes lifecycle.py in every small way there is, and counts the changes that no test of it notices."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
SETTINGS = """\
[tool.mutmut]
source_paths = ["src"]
only_mutate = ["src/k8s_ee/lifecycle.py"]
pytest_add_cli_args_test_selection = ["tests/unit/lifecycle"]
[tool.pytest.ini_options]
markers = ["long: full-length loops"]
pythonpath = ["."]
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="k8s-ee-mutants-") as name:
        folder = pathlib.Path(name)
        (folder / "src" / "k8s_ee").mkdir(parents=True)
        for module in ("__init__", "lifecycle", "environment", "errors"):
            shutil.copy(ROOT / "src" / "k8s_ee" / f"{module}.py", folder / "src" / "k8s_ee")
        shutil.copytree(ROOT / "tests" / "unit" / "lifecycle", folder / "tests" / "unit" / "lifecycle")
        for package in (folder / "tests", folder / "tests" / "unit"):
            (package / "__init__.py").touch()
        (folder / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
        ran = subprocess.run([sys.executable, "-m", "mutmut", "run"], cwd=folder, check=False)
        subprocess.run([sys.executable, "-m", "mutmut", "results"], cwd=folder, check=False)
        return ran.returncode


if __name__ == "__main__":
    sys.exit(main())
