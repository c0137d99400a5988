"""Stands in for `k8s-ee` where only the wiring of the workflows is tested: writes down how it was called.

FAKE_JOURNAL: file to which one JSON line per call is appended. FAKE_ANSWERS: JSON, per command `outputs` and `exit`.
"""

import json
import os
import pathlib
import sys

import k8s_ee


def main() -> int:
    command = sys.argv[1]
    if command == "--version":
        print(f"k8s-ee, version {k8s_ee.__version__}")
        return 0
    call = {
        "command": command,
        "arguments": sys.argv[2:],
        "job": os.environ["GITHUB_JOB"],
        "files": sorted(path.name for path in pathlib.Path().iterdir()),
        "env": {key: value for key, value in os.environ.items() if key.startswith("K8S_EE_")},
        "token": os.environ.get("GITHUB_TOKEN", ""),
        "api": os.environ.get("GITHUB_API_URL", ""),
    }
    with pathlib.Path(os.environ["FAKE_JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(json.dumps(call) + "\n")
    answer = json.loads(os.environ.get("FAKE_ANSWERS", "{}")).get(command, {})
    with pathlib.Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as outputs:
        outputs.writelines(f"{name}={value}\n" for name, value in answer.get("outputs", {}).items())
    return int(answer.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
