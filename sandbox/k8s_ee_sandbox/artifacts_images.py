"""Container images without a container engine: Debian packages or one static binary, packed by us."""

import hashlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import yaml

from k8s_ee_sandbox import archive, artifacts_recipe, sources, toolchain

_SUITE = "trixie"
_TIMEOUT = 20 * 60
_HOST_PACKAGES = ("mmdebstrap", "ca-certificates", "debian-archive-keyring")
_NOT_NEEDED = (
    "boot/*", "dev/*", "proc/*", "run/*", "sys/*", "tmp/*", "var/cache/*", "var/lib/apt", "var/lib/dpkg", "var/log/*",
    "etc/cron*", "etc/hostname", "etc/resolv.conf", "usr/share/bash-completion", "usr/share/bug", "usr/share/doc",
    "usr/share/doc-base", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man",
)  # fmt: skip
_PLAIN_USER = {"User": "65534:65534"}


def tag(name: str) -> str:
    """What an archive calls its image, and what it is called after an import."""
    return f"localhost/k8s-ee/{name}:latest"


def _code() -> str:
    """The steps below make an image as much as its recipe does."""
    text = b"".join(pathlib.Path(module).read_bytes() for module in (__file__, archive.__file__))
    return hashlib.sha256(text).hexdigest()


def _recipe_file(name: str) -> pathlib.Path:
    return sources.path("images") / f"{name}.yaml"


def _debian(name: str, *, programs: tuple[str, ...] = ()) -> artifacts_recipe.Recipe:
    """`programs` are artefacts, which the recipe's file puts into place."""
    return artifacts_recipe.Recipe(
        name=f"image-{name}",
        what="Debian packages",
        make=lambda workshop: _make_debian(workshop, name=name),
        inputs=lambda: {"code": _code(), "recipe": _recipe_file(name).read_text()},
        result=f"{name}.tar",
        needs=programs,
        packages=_HOST_PACKAGES,
        lane="debian",
    )


def _make_debian(workshop: artifacts_recipe.Workshop, *, name: str) -> None:
    recipe = yaml.safe_load(_recipe_file(name).read_text())
    root = workshop.into / "root"
    workshop.runner.run(
        ["mmdebstrap", "--variant=extract", f"--include={','.join(recipe['packages'])}", _SUITE, root],
        log=workshop.log,
        timeout=_TIMEOUT,
    )
    _finish(workshop, root=root, recipe=recipe)
    archive.write(root, to=workshop.into / f"{name}.tar", tag=tag(name), config=recipe["config"], compress=True)
    shutil.rmtree(root)


def _finish(workshop: artifacts_recipe.Workshop, *, root: pathlib.Path, recipe: Mapping[str, Any]) -> None:
    """The packages were unpacked, not configured: do by hand what of it matters here."""
    for pattern in (*_NOT_NEEDED, *recipe["remove"]):
        for path in root.glob(pattern):
            _remove(path)
    _write_accounts(root, users=recipe["users"])
    _write_certificates(root)
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    for program, place in recipe.get("programs", {}).items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        made = workshop.needs[program]
        if made.is_dir():
            shutil.copytree(made, root / place, dirs_exist_ok=True)
        else:
            shutil.copy2(made, root / place)
    for folder, uid in recipe["folders"].items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        os.chown(root / folder, uid, uid)
    for command in recipe.get("commands", ()):
        _run_inside(workshop, root, *command)
    _run_inside(workshop, root, "ldconfig")
    shutil.rmtree(root / "var/cache/ldconfig")  # its notes of inode numbers would give every build a digest of its own
    if recipe.get("compile"):
        # Whoever runs it can't write .pyc files. Unchecked: the layer carries no times to check against.
        _run_inside(
            workshop,
            root,
            *("python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"),
            *(f"/{folder}" for folder in recipe["compile"]),
        )


def _run_inside(workshop: artifacts_recipe.Workshop, root: pathlib.Path, *command: str) -> None:
    path = {"PATH": "/usr/bin:/usr/sbin", "LC_ALL": "C.UTF-8"}
    workshop.runner.run(
        [shutil.which("chroot") or "/usr/sbin/chroot", root, *command], log=workshop.log, timeout=_TIMEOUT, env=path
    )


def _remove(path: pathlib.Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _write_accounts(root: pathlib.Path, *, users: Mapping[str, int]) -> None:
    accounts = {"root": 0, "nobody": 65534, **users}
    homes = {"root": "/root", "nobody": "/nonexistent"}
    passwd = [f"{name}:x:{uid}:{uid}::{homes.get(name, f'/home/{name}')}:/bin/sh" for name, uid in accounts.items()]
    group = [f"{name}:x:{uid}:" for name, uid in accounts.items()]
    (root / "etc/passwd").write_text("\n".join(passwd) + "\n")
    (root / "etc/group").write_text("\n".join(group) + "\n")


def _write_certificates(root: pathlib.Path) -> None:
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(certificate.read_text() for certificate in certificates))


def _make_kube(workshop: artifacts_recipe.Workshop) -> None:
    root = workshop.into / "root"
    root.mkdir()
    shutil.copy2(workshop.needs["kube"], root / "kube")
    config = {**_PLAIN_USER, "Entrypoint": ["/kube"]}
    archive.write(root, to=workshop.into / "kube.tar", tag=tag("kube"), config=config, compress=False)
    shutil.rmtree(root)


def _make_pause(workshop: artifacts_recipe.Workshop) -> None:
    root = workshop.into / "root"
    toolchain.go(
        workshop,
        *("build", "-trimpath", "-ldflags=-s -w", f"-o={root / 'pause'}", "."),
        env={},
        cwd=sources.path("images") / "pause",
    )
    config = {**_PLAIN_USER, "Entrypoint": ["/pause"]}
    archive.write(root, to=workshop.into / "pause.tar", tag=tag("pause"), config=config, compress=False)
    shutil.rmtree(root)


RECIPES = (
    _debian("base"),
    _debian("postgresql"),
    _debian("mariadb"),
    _debian("valkey"),
    _debian("minio", programs=("versitygw",)),
    _debian("mongodb", programs=("mongodb",)),
    artifacts_recipe.Recipe(
        name="image-kube",
        what="image",
        make=_make_kube,
        inputs=lambda: {"code": _code()},
        result="kube.tar",
        needs=("kube",),
    ),
    artifacts_recipe.Recipe(
        name="image-pause",
        what="go build",
        make=_make_pause,
        inputs=lambda: {"code": _code(), "source": sources.digest(sources.path("images") / "pause")},
        result="pause.tar",
        needs=("go",),
    ),
)
