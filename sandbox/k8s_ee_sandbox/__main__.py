"""The embedded cluster from the command line."""

import argparse
import json
import sys
from collections.abc import Sequence

from k8s_ee_sandbox import cluster, cluster_profiles, errors
from k8s_ee_sandbox import progress as progress_lines

_NOT_RUNNING = 3


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except errors.SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m k8s_ee_sandbox", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--name", default="k8s-ee", help="several may run side by side (default: %(default)s)")
    parser.add_argument("--profile", default="node", choices=cluster_profiles.names(), help="default: %(default)s")
    parser.add_argument("--output", default="text", choices=["text", "json"], help="default: %(default)s")
    return parser


def _run(options: argparse.Namespace) -> int:
    progress = progress_lines.Progress()
    if options.command == "down":
        cluster.down(options.name, progress)
        return 0
    found = (
        cluster.up(options.name, options.profile, progress) if options.command == "up" else cluster.status(options.name)
    )
    if found is None:
        print(f"sandbox {options.name} is not running", file=sys.stderr)
        return _NOT_RUNNING
    print(json.dumps(found.to_json(), indent=2) if options.output == "json" else _text(found))
    return 0


def _text(sandbox: cluster.Sandbox) -> str:
    lines = [f"{sandbox.name} runs with profile {sandbox.profile}", f"  export KUBECONFIG={sandbox.kubeconfig}"]
    if sandbox.ingress_address:
        password = sandbox.kubeconfig.parent / "pki" / "registry"
        lines += [
            f"  ingress   http://{sandbox.ingress_address} (send the host name as Host)",
            f"  registry  {sandbox.registry} (user and password in {password})",
        ]
    return "\n".join([*lines, f"  logs      {sandbox.logs}"])


if __name__ == "__main__":
    sys.exit(main())
