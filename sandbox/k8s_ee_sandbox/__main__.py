"""Run a real Kubernetes cluster on this machine, with a registry, an ingress controller and k8s-ee's platform part."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from k8s_ee_sandbox import artifacts, cluster, cluster_api, cluster_profiles, errors, platform, state
from k8s_ee_sandbox import progress as progress_lines

# As `k8s-ee` has them: 2 is wrong input, which argparse ends with by itself.
_UNAVAILABLE = 5
_INTERRUPTED = 130

_EPILOG = """\
Examples:
  k8s-ee sandbox up                       a cluster with pods, and what a deploy needs
  k8s-ee sandbox up --profile policy      one that enforces network policies
  k8s-ee sandbox status --output json     addresses, logins and files for scripts
  k8s-ee sandbox down --all

It needs Debian (or what else has apt-get) and root.

Exit codes: 0 done, 2 wrong input, 5 not running or not answering, 130 interrupted.
"""
_COMMANDS = {
    "up": ("start it, and install the platform part; at once if it runs already", "up --profile policy"),
    "down": ("stop it; images and whatever was built stay in the cache", "down --all"),
    "status": ("say whether it runs, and where things are", "status --output json"),
}


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except errors.SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return _UNAVAILABLE
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader has seen enough; what the interpreter flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="k8s-ee sandbox",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    up, down, status = (
        commands.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"Example:\n  k8s-ee sandbox {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        for name, (text, example) in _COMMANDS.items()
    )
    up.add_argument("--profile", default="node", choices=cluster_profiles.names(), help="default: %(default)s")
    up.set_defaults(run=_up)
    down.add_argument("--all", action="store_true", help="every one there is")
    down.set_defaults(run=_down)
    status.set_defaults(run=_status)
    for one in (up, down, status):
        one.add_argument(
            "--name", type=_name, default="k8s-ee", help="several may run side by side (default: %(default)s)"
        )
    for one in (up, status):
        one.add_argument("--output", default="text", choices=["text", "json"], help="default: %(default)s")
    return parser


def _name(text: str) -> str:
    try:
        return state.place(text).name
    except errors.SandboxError as error:
        raise argparse.ArgumentTypeError(f"{error.message}. {error.hint}") from None


def _up(options: argparse.Namespace) -> int:
    progress = progress_lines.Progress()
    found = cluster.up(options.name, options.profile, progress)
    if cluster_profiles.find(found.profile).runs_pods:
        kubectl = artifacts.ensure("kubectl", progress=progress)["kubectl"]
        with progress.step(f"cluster {found.name}: platform part"):
            platform.install(found, kubectl=kubectl)
    _show(found, output=options.output)
    return 0


def _down(options: argparse.Namespace) -> int:
    progress = progress_lines.Progress()
    failed = 0
    for name in state.known() if options.all else [options.name]:
        try:
            cluster.down(name, progress)
        except errors.SandboxError as error:  # the others are not to wait for it
            print(f"error: sandbox {name}: {error}", file=sys.stderr)
            failed = _UNAVAILABLE
    return failed


def _status(options: argparse.Namespace) -> int:
    found = cluster.status(options.name)
    if found is None:
        print(f"sandbox {options.name} is not running", file=sys.stderr)
        return _UNAVAILABLE
    _show(found, output=options.output)
    if not cluster_api.Client(found.kubeconfig).ready():
        print(f"its API server does not answer; see {found.logs}", file=sys.stderr)
        return _UNAVAILABLE
    return 0


def _show(sandbox: cluster.Sandbox, *, output: str) -> None:
    ci = platform.ci_kubeconfig(sandbox)
    if output == "json":
        trusted = {"ci_kubeconfig": str(ci), "owner_id": platform.OWNER_ID} if ci.exists() else {}
        print(json.dumps({**sandbox.to_json(), **trusted}, indent=2))
        return
    print(f"{sandbox.name} runs with profile {sandbox.profile}; its logs are in {sandbox.logs}")
    print(f"  as administrator:     export KUBECONFIG={sandbox.kubeconfig}")
    if ci.exists():
        print(f"  as CI, for `k8s-ee`:  export K8S_EE_KUBECONFIG={ci} K8S_EE_OWNER_ID={platform.OWNER_ID}")
    if sandbox.ingress_address:
        print(f"  ingress:              http://{sandbox.ingress_address}, for hosts below {sandbox.domain}")
        print(f"  registry:             {sandbox.registry}, plain HTTP; its login: `status --output json`")


if __name__ == "__main__":
    sys.exit(main())
