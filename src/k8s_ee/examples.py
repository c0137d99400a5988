"""What `--help` shows of each command: one call as somebody would really make it."""

from __future__ import annotations

from collections.abc import Mapping

_FACTS = "--pr 7 --repository acme/shop --repository-id 1"
_COMMIT = "--head-sha $(git rev-parse HEAD)"
_IMAGE = "--image ghcr.io/acme/shop@sha256:…"

EXAMPLES: Mapping[str, str] = {
    "validate": "k8s-ee validate --config-path deploy/k8s-ee.yaml",
    "render": f"k8s-ee render --platform-file platform.yaml {_FACTS} \\\n    {_COMMIT} {_IMAGE}",
    "build": "k8s-ee build --registry ghcr.io/acme/shop",
    "create-namespace": f"k8s-ee create-namespace {_FACTS} --owner-id 2 \\\n    {_COMMIT} --dry-run",
    "deploy-db": f"k8s-ee deploy-db {_FACTS} --owner-id 2 \\\n    {_COMMIT}",
    "deploy-app": f"k8s-ee deploy-app {_FACTS} --owner-id 2 \\\n    {_COMMIT} {_IMAGE}",
    "up": f"k8s-ee up {_FACTS} --owner-id 2 \\\n    {_COMMIT} {_IMAGE}",
    "cleanup": "k8s-ee cleanup --pr 7 --repository-id 1 --dry-run",
    "run": f"k8s-ee run {_IMAGE}    # in a step of a workflow",
    "status": "k8s-ee status --pr 7 --repository-id 1",
    "list": "k8s-ee list --repository acme/shop --output json",
    "logs": "k8s-ee logs --pr 7 --repository-id 1 --component postgresql",
    "extend": "k8s-ee extend 24h --pr 7 --repository-id 1",
    "preserve": "k8s-ee preserve 48h --pr 7 --repository-id 1",
    "unpreserve": "k8s-ee unpreserve --pr 7 --repository-id 1",
    "sleep": "k8s-ee sleep --pr 7 --repository-id 1",
    "wake": "k8s-ee wake --pr 7 --repository-id 1 --output json",
    "rotate-credentials": "k8s-ee rotate-credentials postgresql --pr 7 --repository-id 1",
    "reset-db": f"k8s-ee reset-db postgresql redis {_FACTS} --owner-id 2",
    "backup": "k8s-ee backup --pr 7 --repository-id 1 --to s3://backups/shop/",
    "restore": "k8s-ee restore shop-pr-7.k8s-ee.tar postgresql --pr 8 --repository-id 1",
    "keeper": "k8s-ee keeper --dry-run --output json",
    "janitor": "k8s-ee janitor --dry-run --output json",
    "responder": "k8s-ee responder --port 8080    # in the cluster, behind its wildcard route",
    "report": "k8s-ee report --needs '${{ toJSON(needs) }}'    # in a step of a workflow",
    "completion": "k8s-ee completion bash > ~/.local/share/bash-completion/completions/k8s-ee",
}
