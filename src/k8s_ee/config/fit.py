"""Does what a repository asks for fit what the platform allows?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k8s_ee.config import model, problems, quantities, rules


def check(config: model.Config, platform: model.Platform) -> None:
    """Raises ConfigError with everything this platform does not allow."""
    found = problems.Problems(config.path)
    add(config, platform, found)
    found.raise_if_any()


def add(config: model.Config, platform: model.Platform, found: problems.Problems) -> None:
    rules.add(_findings(config, platform), config, found)


def _findings(config: model.Config, platform: model.Platform) -> Iterator[rules.Finding]:
    for name, most in (("cpu", platform.max_cpu), ("memory", platform.max_memory)):
        key = f"resources.limits.{name}"
        yield from _at_most(key, getattr(config.resources.limits, name), most)
    for database in config.deployed:
        yield from _at_most(f"databases.{database.engine}.storage", database.storage, platform.max_storage)
    if config.backup != "never" and not platform.backup.to:
        hint = "remove `backup`, or ask your platform team to say where to: `backup.to` of the platform's settings"
        yield rules.Finding("backup", "the platform has no place for backups: `backup` can't be `onDestroy`", hint)
    yield from _annotations(config, platform)
    yield from _registry(config, platform)
    for index, source in enumerate(config.env_from):
        if source.kind == "secretRef" and source.name in platform.image_pull_secrets:
            yield _private(f"envFrom.{index}", source.name)
    for database in config.deployed:
        if database.seed and database.seed.image and not from_registry(database.seed.image, platform):
            yield _foreign(f"databases.{database.engine}.seed.image", database.seed.image, platform)
    for database in config.external:
        if database.external in platform.image_pull_secrets:
            yield _private(f"databases.{database.engine}.external.secretName", database.external)


def _private(key: str, secret: str) -> rules.Finding:
    hint = "it holds the platform's registry credentials; name a Secret of your own"
    return rules.Finding(key, f"the Secret `{secret}` can't be given to the app", hint)


def _at_most(key: str, value: str, most: str) -> Iterator[rules.Finding]:
    if quantities.parse(value) > quantities.parse(most):
        yield rules.Finding(key, f"`{key}` is {value}, more than the platform allows", f"at most {most}")


def _annotations(config: model.Config, platform: model.Platform) -> Iterator[rules.Finding]:
    allowed = ", ".join(platform.ingress.allowed_annotations) or "none"
    for name in config.ingress.annotations:
        if name not in platform.ingress.allowed_annotations:
            message = f"the platform does not allow the annotation {problems.quote(name)}"
            yield rules.Finding(f"ingress.annotations.{name}", message, f"allowed here: {allowed}")


def _registry(config: model.Config, platform: model.Platform) -> Iterator[rules.Finding]:
    repository = config.image.repository
    if repository and not from_registry(repository, platform):
        yield _foreign("image.repository", repository, platform)


def from_registry(image: str, platform: model.Platform) -> bool:
    """What is listed is a registry, a part of one, or one repository: with or without a tag or a digest, then."""
    return any(re.match(rf"{re.escape(one)}({'[/:@]|$' if '/' in one else '/'})", image) for one in platform.registries)


def _foreign(key: str, image: str, platform: model.Platform) -> rules.Finding:
    allowed = ", ".join(platform.registries) or "the platform lists no registry"
    message = f"`{key}`: {problems.quote(image)} is in no registry the platform allows"
    return rules.Finding(key, message, f"allowed here: {allowed}")
