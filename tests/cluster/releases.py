"""Later releases of this tool, in miniature: the same code with other charts, as a checkout beside this one."""

from __future__ import annotations

import pathlib
import re
import shutil
from collections.abc import Callable

from tests import world

Edit = Callable[[pathlib.Path], None]

DATABASE = "postgresql/charts/k8s-ee-lib/templates/_database.tpl"

_EXTRA = """apiVersion: v1
kind: {kind}
metadata:
  name: {name}
  labels:
    {{{{- include "k8s-ee-lib.labels" (dict "root" . "name" "{name}") | nindent 4 }}}}
{body}
"""


def _replace(file: pathlib.Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new))


def renamed(charts: pathlib.Path) -> None:
    """Both charts call their ConfigMap something else, and the migration Job, too."""
    _replace(charts / "app/templates/_app.tpl", '"app-env"', '"app-environment"')
    _replace(charts / "app/templates/job.yaml", '"migrate-%s', '"schema-%s')
    _replace(charts / DATABASE, '"name" $name "content"', '"name" "db-scripts" "content"')


def grown(charts: pathlib.Path) -> None:
    """Each chart has a Service and a ConfigMap more."""
    for chart in ("app", "postgresql"):
        service = f"spec:\n  clusterIP: None\n  selector: {{app.kubernetes.io/name: {chart}}}\n  ports: [{{port: 80}}]"
        for kind, body in {"Service": service, "ConfigMap": "data: {note: more}"}.items():
            text = _EXTRA.format(kind=kind, name=f"{chart}-more", body=body)
            (charts / chart / "templates" / f"more-{kind.lower()}.yaml").write_text(text)


def immovable(charts: pathlib.Path) -> None:
    """Fields that can't be changed in place are other ones: a Deployment's selector, a StatefulSet's Service name."""
    _replace(charts / "app/templates/deployment.yaml", "matchLabels:\n", "matchLabels:\n      k8s-ee/project: robust\n")
    _replace(charts / DATABASE, "serviceName: {{ $name }}", "serviceName: other")


EDITS: tuple[Edit, ...] = (renamed, grown, immovable)


def make(directory: pathlib.Path, edit: Edit) -> dict[str, str]:
    """Environment variables under which the installed `k8s-ee` runs this release's code and charts."""
    root = directory / edit.__name__
    shutil.copytree(world.ROOT / "src" / "k8s_ee", root / "src" / "k8s_ee", ignore=shutil.ignore_patterns("_data"))
    for name in ("charts", "schemas", "k8s"):
        shutil.copytree(world.ROOT / name, root / name)
    edit(root / "charts")
    return {"PYTHONPATH": str(root / "src")}


def stable(name: str) -> str:
    """A name without the hash of its content, and a Job's without its commit."""
    return re.sub(r"-([0-9a-f]{7}-)?[0-9a-f]{8,10}$", "", name)
