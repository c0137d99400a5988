"""The image builder: with buildah for real against a registry, with docker against a stand-in that takes notes."""

from __future__ import annotations

import base64
import json
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from k8s_ee import environment, errors, outcome, runner, settings
from k8s_ee.commands import build, builders, process, session
from k8s_ee.config import model
from k8s_ee_sandbox import packages, progress
from tests import processes
from tests.wire import registry as wire

DIGEST = "sha256:" + "a" * 64
CREDENTIALS = (wire.USER, wire.PASSWORD)

# Stands for the docker client: answers the probes and notes what it was called with and what its login file says.
DOCKER = processes.program(f"""
import json, os, pathlib, sys
notes, arguments = pathlib.Path(__file__).with_name("notes"), sys.argv[1:]
if arguments[:3] == ["buildx", "imagetools", "inspect"]:
    print(json.dumps({{"architecture": "amd64", "config": {{"User": "1000"}}}}))
elif arguments[:2] == ["buildx", "build"]:
    login = pathlib.Path(os.environ.get("DOCKER_CONFIG", "/nonexistent")) / "config.json"
    seen = {{"arguments": arguments, "login": json.loads(login.read_text()), "mode": login.stat().st_mode & 0o777,
            "plugins": sorted(path.name for path in login.parent.iterdir())}}
    notes.write_text(json.dumps(seen))
    failure = pathlib.Path(__file__).with_name("failure")
    if failure.exists():
        sys.exit(failure.read_text())
    metadata = next(one for one in arguments if one.startswith("--metadata-file="))
    pathlib.Path(metadata.partition("=")[2]).write_text(json.dumps({{"containerimage.digest": "{DIGEST}"}}))
""")


@pytest.fixture
def registry() -> Iterator[wire.Registry]:
    with wire.serving() as server:
        yield server


@pytest.fixture
def tools(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder in front of PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def docker(tools: pathlib.Path) -> pathlib.Path:
    (tools / "docker").write_text(DOCKER)
    (tools / "docker").chmod(0o755)
    return tools


@pytest.fixture
def buildah(tools: pathlib.Path) -> None:
    packages.ensure("buildah", progress=progress.Progress())
    (tools / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tools / "docker").chmod(0o755)


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "hello").write_text("hello")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY hello /\nUSER 1000\n")
    return folder


def built(
    checkout: pathlib.Path,
    repository: str,
    *,
    said: list[str] | None = None,
    credentials: tuple[str, str] | None = CREDENTIALS,
    insecure: bool = True,
    seconds: float = 60,
    labels: dict[str, str] | None = None,
    **image: Any,
) -> outcome.Outcome:
    return build.build(
        model.Config(project=environment.ProjectId("shop"), image=model.Image(**image), marks={"image": (4, 1)}),
        checkout=checkout,
        destination=builders.Destination(repository=repository, tag="tag", credentials=credentials, insecure=insecure),
        labels=labels or {},
        deadline=time.monotonic() + seconds,
        progress=said.append if said is not None else lambda _: None,
    )


# buildah


def test_buildah_builds_pushes_and_names_the_digest(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path
) -> None:
    labels = {"org.opencontainers.image.revision": "c0ffee"}
    found = built(checkout, f"{registry.address}/acme/shop", labels=labels)
    digest = found.outputs["digest"]
    assert (found.state, found.notes) == ("built", ())
    assert found.outputs["image"] == f"{registry.address}/acme/shop@{digest}"
    assert registry.manifests["tag"] == registry.manifests[digest]
    config = registry.config(digest)["config"]
    assert config["User"] == "1000"
    assert config["Labels"]["org.opencontainers.image.revision"] == "c0ffee"


def test_buildah_builds_for_several_platforms(buildah: None, registry: wire.Registry, checkout: pathlib.Path) -> None:
    found = built(checkout, f"{registry.address}/acme/shop", platforms=("linux/amd64", "linux/arm64"))
    index = json.loads(registry.manifests[found.outputs["digest"]][1])
    assert {one["platform"]["architecture"] for one in index["manifests"]} == {"amd64", "arm64"}


def test_target_arguments_and_dockerfile_reach_the_build(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path
) -> None:
    (checkout / "docker").mkdir()
    (checkout / "app").mkdir()
    (checkout / "docker" / "Preview").write_text(
        'FROM scratch AS one\nARG WHO\nLABEL who="$WHO"\nFROM scratch\nLABEL who=nobody\n'
    )
    found = built(
        checkout, f"{registry.address}/acme/shop", dockerfile="../docker/Preview", context="app", target="one",
        args={"WHO": "Ada"},
    )  # fmt: skip
    assert registry.config(found.outputs["digest"])["config"]["Labels"]["who"] == "Ada"


def test_nothing_of_a_build_stays(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path, tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    built(checkout, f"{registry.address}/acme/shop")
    assert list(scratch.iterdir()) == []
    assert str(scratch) not in pathlib.Path("/proc/mounts").read_text()


@pytest.mark.parametrize(("status", "kind"), [(401, errors.Refused), (403, errors.Refused), (500, errors.Unavailable)])
def test_a_denied_push_is_told_from_a_broken_registry(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path, status: int, kind: type[errors.K8sEEError]
) -> None:
    registry.denies = status
    with pytest.raises(kind, match=registry.address):
        built(checkout, f"{registry.address}/acme/shop")


def test_a_wrong_password_is_refused_and_never_shown(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path
) -> None:
    said: list[str] = []
    with pytest.raises(errors.Refused) as caught:
        built(checkout, f"{registry.address}/acme/shop", credentials=(wire.USER, "revoked-password"), said=said)
    assert "packages: write" in caught.value.hint
    assert "revoked-password" not in "\n".join([*said, caught.value.message])


def test_plain_http_must_be_asked_for(buildah: None, registry: wire.Registry, checkout: pathlib.Path) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        built(checkout, f"{registry.address}/acme/shop", insecure=False)
    assert "--registry-insecure" in caught.value.hint


def test_a_failed_build_quotes_its_last_lines(buildah: None, registry: wire.Registry, checkout: pathlib.Path) -> None:
    (checkout / "Dockerfile").write_text("FROM scratch\nCOPY nothing /\n")
    with pytest.raises(errors.NotReady, match=r"the image does not build: .*COPY nothing") as caught:
        built(checkout, f"{registry.address}/acme/shop")
    assert "STEP 2/2: COPY nothing /" in caught.value.evidence
    assert not registry.manifests


def test_a_base_image_that_does_not_exist_is_named(
    buildah: None, registry: wire.Registry, checkout: pathlib.Path
) -> None:
    (checkout / "Dockerfile").write_text(f"FROM {registry.address}/acme/base:9\n")
    with pytest.raises(errors.NotReady, match=f"the base image {registry.address}/acme/base:9 does not exist"):
        built(checkout, f"{registry.address}/acme/shop")


# docker buildx


def test_docker_is_preferred_where_its_engine_runs(docker: pathlib.Path, checkout: pathlib.Path) -> None:
    found = built(checkout, "ghcr.io/acme/shop", insecure=False, platforms=("linux/amd64",), target="web")
    assert found.data["builder"] == "docker buildx"
    assert found.outputs == {"digest": DIGEST, "image": f"ghcr.io/acme/shop@{DIGEST}"}
    arguments = json.loads((docker / "notes").read_text())["arguments"]
    assert {"--tag=ghcr.io/acme/shop:tag", "--push", "--provenance=false", "web", "linux/amd64"} <= set(arguments)
    assert arguments[-1] == str(checkout)


def test_the_login_is_a_private_file_and_the_machines_docker_settings_still_count(
    docker: pathlib.Path, checkout: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "docker"
    (own / "cli-plugins").mkdir(parents=True)
    (own / "config.json").write_text(
        json.dumps({"credsStore": "desktop", "currentContext": "far", "auths": {"other.example": {"auth": "eA=="}}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(own))
    built(checkout, "ghcr.io/acme/shop")
    seen = json.loads((docker / "notes").read_text())
    assert seen["mode"] == 0o600
    assert seen["plugins"] == ["cli-plugins", "config.json"]
    assert set(seen["login"]) == {"currentContext", "auths"}
    assert set(seen["login"]["auths"]) == {"other.example", "ghcr.io"}
    assert wire.PASSWORD not in " ".join(seen["arguments"])
    assert "--output=type=registry,registry.insecure=true" in seen["arguments"]


@pytest.mark.parametrize("repository", ["docker.io/acme/shop", "index.docker.io/acme/shop", "acme/shop"])
def test_a_login_for_docker_hub_stands_under_every_name_it_is_looked_for(
    docker: pathlib.Path,
    checkout: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    repository: str,
) -> None:
    """By docker under the address of its API, by buildah under the name in a reference."""
    names = ("docker.io", "index.docker.io", "https://index.docker.io/v1/")
    (tmp_path / "config.json").write_text(
        json.dumps({"credHelpers": {**dict.fromkeys(names, "own"), "ghcr.io": "own"}})
    )
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = built(checkout, repository, insecure=False)
    assert found.outputs["image"] == f"{repository}@{DIGEST}"
    login = json.loads((docker / "notes").read_text())["login"]
    assert login["credHelpers"] == {"ghcr.io": "own"}
    wanted = base64.b64encode(":".join(CREDENTIALS).encode()).decode()
    assert login["auths"] == {name: {"auth": wanted} for name in names}


@pytest.mark.parametrize("registry", ["ghcr.io", "localhost", "registry:5000", "docker.io"])
def test_a_registry_is_what_a_name_begins_with(registry: str) -> None:
    assert builders.Destination(repository=f"{registry}/acme/shop", tag="tag").registry == registry


@pytest.mark.parametrize(
    ("last", "kind", "words"),
    [
        ("ERROR: failed to push ghcr.io/acme/shop:tag: 403 Forbidden", errors.Refused, "does not let this login push"),
        ("ERROR: failed to push ghcr.io/acme/shop:tag: i/o timeout", errors.Unavailable, "can't be pushed to ghcr.io"),
        (
            "ERROR: failed to solve: acme/none: failed to resolve source metadata for docker.io/acme/none:latest: "
            "pull access denied, repository does not exist or may require authorization",
            errors.Refused,
            "docker.io/acme/none:latest does not exist or may not be pulled",
        ),
        ("ERROR: Multi-platform build is not supported for the docker driver.", errors.InputError, "one platform"),
        ("exec /bin/sh: exec format error", errors.NotReady, "another architecture"),
        ("ERROR: failed to solve: process did not complete: exit code: 1", errors.NotReady, "does not build: failed"),
    ],
)
def test_what_docker_says_last_is_put_into_words(
    docker: pathlib.Path, checkout: pathlib.Path, last: str, kind: type[errors.K8sEEError], words: str
) -> None:
    (docker / "failure").write_text(last)
    with pytest.raises(kind, match=words):
        built(checkout, "ghcr.io/acme/shop")


def test_without_a_builder_the_way_out_is_named(
    tools: pathlib.Path, checkout: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(errors.ToolMissing) as caught:
        built(checkout, "ghcr.io/acme/shop")
    assert "apt-get install buildah" in caught.value.hint


# the command


def called(
    checkout: pathlib.Path, *, dry_run: bool = False, password: str | None = wire.PASSWORD, **facts: Any
) -> outcome.Outcome:
    found = settings.Settings(workspace=checkout, head_sha="c" * 40, **facts)
    options = session.Options(config_path=checkout / "k8s-ee.yaml", dry_run=dry_run)
    ctx = session.Session(settings=found, options=options, runner=runner.Runner(found), say=lambda _: None)
    return build.build_for(
        ctx, registry=None, registry_username="ada", registry_password=password, registry_insecure=False
    )


def test_on_github_the_image_goes_beside_the_repository(docker: pathlib.Path, checkout: pathlib.Path) -> None:
    (checkout / "k8s-ee.yaml").write_text("projectId: shop\n")
    found = called(checkout, is_actions=True, repository="Acme/Shop")
    assert found.outputs["image"] == f"ghcr.io/acme/shop@{DIGEST}"
    arguments = json.loads((docker / "notes").read_text())["arguments"]
    assert f"--tag=ghcr.io/acme/shop:{'c' * 40}" in arguments
    assert f"org.opencontainers.image.revision={'c' * 40}" in arguments
    assert "org.opencontainers.image.source=https://github.com/Acme/Shop" in arguments
    assert [phase.name for phase in found.phases] == ["build"]


def test_the_config_says_where_the_image_goes(docker: pathlib.Path, checkout: pathlib.Path) -> None:
    (checkout / "k8s-ee.yaml").write_text("projectId: shop\nimage: {repository: registry.example/a/b}\n")
    found = called(checkout, is_actions=True, repository="Acme/Shop")
    assert found.outputs["image"] == f"registry.example/a/b@{DIGEST}"


def test_elsewhere_it_must_be_said_where_the_image_goes(docker: pathlib.Path, checkout: pathlib.Path) -> None:
    (checkout / "k8s-ee.yaml").write_text("projectId: shop\n")
    with pytest.raises(errors.InputError) as caught:
        called(checkout)
    assert "--registry" in caught.value.hint


def test_half_a_login_is_refused(checkout: pathlib.Path) -> None:
    with pytest.raises(errors.InputError, match="a user and a password"):
        called(checkout, password=None)


def test_a_dry_run_builds_nothing(docker: pathlib.Path, checkout: pathlib.Path) -> None:
    (checkout / "k8s-ee.yaml").write_text("projectId: shop\n")
    assert called(checkout, dry_run=True, is_actions=True, repository="Acme/Shop").state == "planned"
    assert not (docker / "notes").exists()


# before anything is built


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"context": ".."}, "image.context: leads outside the repository"),
        ({"context": "/etc"}, "image.context: leads outside the repository"),
        ({"context": "out"}, "image.context: leads outside the repository"),
        ({"context": "loop"}, "image.context: "),
        ({"context": "hello"}, "image.context: 'hello' is not a folder of the repository"),
        ({"dockerfile": "None"}, "image.dockerfile: there is no None"),
        ({"dockerfile": "passwd"}, "image.dockerfile: leads outside the repository"),
    ],
)
def test_a_path_that_cant_be_built_from_is_a_problem_on_its_line(
    checkout: pathlib.Path, image: dict[str, Any], words: str
) -> None:
    (checkout / "out").symlink_to("/etc")
    (checkout / "passwd").symlink_to("/etc/passwd")
    (checkout / "loop").symlink_to("loop")
    with pytest.raises(errors.ConfigError) as caught:
        built(checkout, "ghcr.io/acme/shop", **image)
    (problem,) = caught.value.problems
    assert problem.message.startswith(words)
    assert (problem.path, problem.line) == ("k8s-ee.yaml", 4)


@pytest.mark.parametrize("repository", ["shop", "ghcr.io/Acme/shop", "ghcr.io/acme/shop:1", "-o/x", "ghcr.io/acme/ x"])
def test_a_repository_that_is_no_name_is_refused(checkout: pathlib.Path, repository: str) -> None:
    with pytest.raises(errors.InputError, match="is not a place for an image"):
        built(checkout, repository)


@pytest.mark.parametrize(
    ("user", "words"),
    [("", "runs as root"), ("root", "runs as root"), ("0:0", "runs as root"), ("node", "only numbers"), ("1000:1", "")],
)
def test_a_user_the_cluster_will_refuse_is_named_beforehand(user: str, words: str) -> None:
    project = environment.ProjectId("shop")
    variants = (builders.Variant(architecture="amd64", user=user),)
    found = build.notes(model.Config(project=project), variants)
    assert len(found) == bool(words)
    assert words in "".join(found)
    assert not build.notes(model.Config(project=project, app=model.App(run_as_user=1000)), variants)


def test_an_architecture_nobody_asked_for_is_named() -> None:
    config = model.Config(project=environment.ProjectId("shop"), image=model.Image(platforms=("linux/arm64/v8",)))
    right, wrong = (builders.Variant(architecture=one, user="1000") for one in ("arm64", "amd64"))
    assert build.notes(config, (right,)) == ()
    assert "the image is for amd64, image.platforms asks for arm64" in build.notes(config, (wrong,))[0]


# running a tool


def test_output_holds_no_secret_and_nothing_a_runner_obeys() -> None:
    line = "\x1b[31mpw=hunter2\x1b[0m ##[add-mask]x\r"
    assert process.clean(line, secrets=["hunter2"]) == "pw=*** ## [add-mask]x"


def test_a_build_that_takes_too_long_is_ended_with_everything_it_started(
    tools: pathlib.Path, checkout: pathlib.Path
) -> None:
    (tools / "docker").write_text(
        '#!/bin/sh\ncase "$*" in *metadata-file*) sleep 300 & echo $! > "$(dirname "$0")/child"; wait;; esac\n'
    )
    (tools / "docker").chmod(0o755)
    with pytest.raises(errors.NotReady, match="time is up"):
        built(checkout, "ghcr.io/acme/shop", credentials=None, seconds=2)
    assert processes.gone(int((tools / "child").read_text()))
