"""What the tests of this folder share: load a text and look at what came of it."""

from __future__ import annotations

import textwrap

from k8s_ee import config, errors
from k8s_ee.config import model

PLATFORM = model.Platform(
    domain="preview.example.com",
    registries=("registry.example.com/acme",),
    image_pull_secrets=("registry",),
    ingress=model.PlatformIngress(allowed_annotations=("example.com/size",)),
)


def load(text: str, platform: model.Platform | None = None) -> model.Config:
    return config.load(textwrap.dedent(text), path="k8s-ee.yaml", platform=platform)


def problems(text: str | bytes, platform: model.Platform | None = None) -> list[errors.Problem]:
    if isinstance(text, str):
        text = textwrap.dedent(text)
    try:
        config.load(text, path="k8s-ee.yaml", platform=platform)
    except errors.ConfigError as error:
        return list(error.problems)
    return []


def problem(text: str | bytes, platform: model.Platform | None = None) -> errors.Problem:
    found = problems(text, platform)
    assert len(found) == 1, found
    return found[0]


def app(text: str) -> errors.Problem:
    """The one problem of a file with this under a valid first line."""
    return problem("projectId: a\n" + textwrap.dedent(text))
