"""build: Dockerfile → image → registry → digest, with whatever builder the machine has. Needs no cluster."""

from __future__ import annotations

import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Mapping

from k8s_ee import errors, outcome, settings
from k8s_ee.commands import builders, session
from k8s_ee.config import model

_SECONDS = 28 * 60.0
"""For more than one platform, some of them are emulated. The workflow's job ends two minutes later."""
DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
REPOSITORY = re.compile(
    r"[a-z0-9]+([.-][a-z0-9]+)*(:[1-9][0-9]{0,4})?(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*){1,16}", re.ASCII
)
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)


def build_for(
    ctx: session.Session,
    *,
    registry: str | None,
    registry_username: str | None,
    registry_password: str | None,
    registry_insecure: bool,
) -> outcome.Outcome:
    """The command. Raises what `build` raises, and ConfigError for k8s-ee.yaml."""
    facts = ctx.settings
    if bool(registry_username) != bool(registry_password):
        raise errors.InputError(
            "a registry login is a user and a password",
            hint="give both K8S_EE_REGISTRY_USERNAME and K8S_EE_REGISTRY_PASSWORD, or neither",
        )
    ctx.hide(*filter(None, [registry_password]))
    with ctx.phase("build"):
        found = build(
            ctx.config,
            checkout=facts.workspace or pathlib.Path(),
            destination=builders.Destination(
                repository=registry or _default_repository(ctx),
                tag=facts.head_sha or "local",
                credentials=(registry_username, registry_password) if registry_username and registry_password else None,
                insecure=registry_insecure,
            ),
            labels=_labels(facts),
            deadline=ctx.lasting(_SECONDS),
            dry_run=ctx.options.dry_run,
            progress=ctx.say,
        )
    ctx.notes.extend(found.notes)
    return ctx.result("build", found.state, outputs=found.outputs, data=found.data)


def build(
    config: model.Config,
    *,
    checkout: pathlib.Path,
    destination: builders.Destination,
    labels: Mapping[str, str],
    deadline: float,
    dry_run: bool = False,
    progress: Callable[[str], None],
) -> outcome.Outcome:
    """Builds what `config.image` describes and pushes it to `destination`; the outputs are `digest` and `image`.

    `deadline` is on the monotonic clock.
    Raises ConfigError for paths that can't be built from, InputError for a repository that is no name, ToolMissing
    without a builder, NotReady with the last lines when the build fails, Refused when the registry denies the push,
    Unavailable when it can't be reached or answers something that is no digest.
    """
    context, dockerfile = _sources(config, checkout=checkout)
    _check_names(destination)
    builder = builders.choose()
    progress(f"build: {builder.name}, {dockerfile.relative_to(checkout.resolve())}")
    if dry_run:
        return outcome.Outcome(command="build", state="planned", data={"builder": builder.name}, dry_run=True)
    with tempfile.TemporaryDirectory(prefix="k8s-ee-build-") as scratch:
        request = builders.Request(
            context=context,
            dockerfile=dockerfile,
            image=config.image,
            destination=destination,
            labels=labels,
            deadline=deadline,
            scratch=pathlib.Path(scratch),
            say=progress,
        )
        built = _built(builder, request)
    return outcome.Outcome(
        command="build",
        state="built",
        outputs={"digest": built.digest, "image": f"{destination.repository}@{built.digest}"},
        data={"builder": builder.name},
        notes=notes(config, built.variants),
    )


def _built(builder: builders.Builder, request: builders.Request) -> builders.Built:
    built = builder.build(request)
    if not DIGEST.fullmatch(built.digest):
        raise errors.Unavailable(
            f"{builder.name} gave no digest for {request.destination.reference}",
            hint="its last lines say more: older versions of buildah end like this, and well, when a push fails",
        )
    return built


def notes(config: model.Config, variants: tuple[builders.Variant, ...]) -> tuple[str, ...]:
    """What would keep the image from running, said before it is deployed."""
    found = [_user_note(one.user) for one in variants[:1] if config.app.run_as_user is None]
    wanted = {platform.removeprefix("linux/").split("/")[0] for platform in config.image.platforms}
    for variant in variants:
        if wanted and variant.architecture not in wanted:
            found.append(
                f"the image is for {variant.architecture}, image.platforms asks for {', '.join(sorted(wanted))}: "
                "its base image does not exist for that architecture"
            )
    return tuple(note for note in found if note)


def _user_note(user: str) -> str:
    name = user.partition(":")[0]
    remedy = "write `USER 1000` in the Dockerfile or set app.runAsUser"
    if name in {"", "root"} or (name.isdecimal() and int(name) == 0):
        return f"the image runs as root, which Pod Security `restricted` refuses: {remedy}"
    if not name.isdecimal():
        return f"the image's user is the name {name!r}; Kubernetes can tell only numbers from root: {remedy}"
    return ""


def own_repository(ctx: session.Session) -> str:
    """The one of k8s-ee.yaml; else, on GitHub, the package beside the repository, the one its workflows may push to
    without a secret. Empty where there is none."""
    facts = ctx.settings
    on_github = facts.is_actions and facts.server_url == "https://github.com"
    return ctx.config.image.repository or (f"ghcr.io/{facts.repository.lower()}" if on_github else "")


def _default_repository(ctx: session.Session) -> str:
    facts = ctx.settings
    if not ctx.config.image.repository and ctx.options.platform_file and ctx.platform.registries and facts.repository:
        name = facts.repository.rpartition("/")[2].lower()
        return f"{ctx.platform.registries[0].rstrip('/')}/{name}"
    if repository := own_repository(ctx):
        return repository
    raise errors.InputError("where to push the image?", hint="give --registry REGISTRY/NAME or set image.repository")


def _check_names(destination: builders.Destination) -> None:
    if not REPOSITORY.fullmatch(destination.repository):
        raise errors.InputError(
            f"{destination.repository!r} is not a place for an image",
            hint="REGISTRY/NAME in lower case, without tag or digest: ghcr.io/acme/shop",
        )
    if not TAG.fullmatch(destination.tag):
        raise errors.InputError(f"{destination.tag!r} can't be the tag of an image")


def _labels(facts: settings.Settings) -> dict[str, str]:
    source = f"{facts.server_url}/{facts.repository}" if facts.repository else ""
    labels = {"org.opencontainers.image.revision": facts.head_sha, "org.opencontainers.image.source": source}
    return {key: value for key, value in labels.items() if value}


def _sources(config: model.Config, *, checkout: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The build context and the Dockerfile, both inside the checkout with every link followed."""
    root = checkout.resolve()
    context = _inside(root, root / config.image.context, key="image.context", config=config)
    # Not those of Path, which raise for a name that is too long, and where nobody may look.
    if not os.path.isdir(context):  # noqa: PTH112
        raise _problem(config, "image.context", f"{config.image.context!r} is not a folder of the repository")
    dockerfile = _inside(root, context / config.image.dockerfile, key="image.dockerfile", config=config)
    if not os.path.isfile(dockerfile):  # noqa: PTH113
        shown = dockerfile.relative_to(root)
        raise _problem(
            config, "image.dockerfile", f"there is no {shown}", hint="image.dockerfile is relative to image.context"
        )
    return context, dockerfile


def _inside(root: pathlib.Path, path: pathlib.Path, *, key: str, config: model.Config) -> pathlib.Path:
    try:
        found = path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of links is the one or the other, by Python version
        raise _problem(config, key, f"can't be followed: {error}") from None
    if not found.is_relative_to(root):
        raise _problem(config, key, "leads outside the repository", hint="a path or a link in it leaves the checkout")
    return found


def _problem(config: model.Config, key: str, message: str, *, hint: str = "") -> errors.ConfigError:
    line, column = config.marks.get(key) or config.marks.get(key.partition(".")[0], (0, 0))
    return errors.ConfigError(
        (errors.Problem(path=config.path, line=line, column=column, message=f"{key}: {message}", hint=hint),)
    )
