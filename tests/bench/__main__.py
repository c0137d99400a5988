"""`make bench`: one table, ratios from one run. Exit code 1 when a target is missed, 2 when nothing was measured."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from k8s_ee_sandbox import errors
from tests.bench import arena, measuring, results, rounds


def main(argv: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    if not 1 <= options.rounds <= 30:
        parser.error("--rounds: 1 to 30")
    with tempfile.TemporaryDirectory(prefix="k8s-ee-bench-") as scratch:
        try:
            with arena.arena(pathlib.Path(scratch), migration=options.migration) as place:
                found = rounds.compare(place, rounds=options.rounds)
        except (errors.SandboxError, measuring.CommandFailed) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
    print(json.dumps(results.as_json(found), indent=2) if options.output == "json" else results.text(found))
    return 0 if all(target.met for target in results.targets(found)) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="how often each is measured (default 9)")
    parser.add_argument("--output", choices=["text", "json"], default="text")
    parser.add_argument("--migration", action="store_true", help="the app has a migration, to be done before it starts")
    return parser


if __name__ == "__main__":
    sys.exit(main())
