"""What no schema can say: how the parts of k8s-ee.yaml must fit each other."""

from __future__ import annotations

import ipaddress
import json
import posixpath
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from k8s_ee.config import model, problems, quantities, variables

_SMALLEST_MEMORY = "4Mi"
_SMALLEST_STORAGE = "32Mi"


class Finding(NamedTuple):
    """A problem at a dotted path. It is none where `about`, the other value it is about, is wrong by itself."""

    key: str
    message: str
    hint: str
    about: str = ""


def check(config: model.Config, found: problems.Problems) -> None:
    for rule in (_resources, _environment, _files, _commands, _databases, _backup):
        add(rule(config), config, found)


def add(findings: Iterable[Finding], config: model.Config, found: problems.Problems) -> None:
    """Leaves out what is about values that are wrong by themselves."""
    for finding in findings:
        if not (found.under(finding.key) or (finding.about and found.under(finding.about))):
            found.add(_place(config, finding.key), finding.message, hint=finding.hint, key=finding.key)


def _place(config: model.Config, key: str) -> problems.Mark | None:
    """Where this key stands, or else what it belongs to."""
    while key and key not in config.marks:
        key = key.rpartition(".")[0]
    return problems.Mark(*config.marks[key]) if key else None


def _resources(config: model.Config) -> Iterator[Finding]:
    for name in ("cpu", "memory"):
        request, limit = (getattr(part, name) for part in (config.resources.requests, config.resources.limits))
        key = f"resources.requests.{name}"
        if quantities.parse(request) > quantities.parse(limit):
            yield Finding(
                key,
                f"`{key}` is {request}, more than `resources.limits.{name}`, which is {limit}",
                _raise(config, name),
                about=f"resources.limits.{name}",
            )
        least = _SMALLEST_MEMORY if name == "memory" else "1m"
        yield from _sized(config, key, request, least=least)
        yield from _sized(config, f"resources.limits.{name}", limit, least=least)


def _raise(config: model.Config, name: str) -> str:
    given = f"resources.limits.{name}" in config.marks
    return "lower the one or raise the other" if given else f"that is the default: give `resources.limits.{name}` too"


def _sized(config: model.Config, key: str, value: str, *, least: str) -> Iterator[Finding]:
    if key in config.marks and quantities.parse(value) < quantities.parse(least):
        unit = "; without a unit it is a number of bytes" if value.isdigit() and least != "1m" else ""
        yield Finding(key, f"`{key}` is {value}, less than {least}", f"write it like {least}{unit}")


def _environment(config: model.Config) -> Iterator[Finding]:
    given = variables.provided(one.engine for one in config.databases)
    for name in config.env:
        if name in given:
            message = f"`{name}` is set {given[name]} and can't be set here"
            yield Finding(f"env.{name}", message, "remove it or use another name")


def _files(config: model.Config) -> Iterator[Finding]:
    context, dockerfile = config.image.context, config.image.dockerfile
    whole = posixpath.normpath(posixpath.join(context, dockerfile))
    for key, written, resolved in (("image.context", context, context), ("image.dockerfile", dockerfile, whole)):
        if posixpath.isabs(written) or resolved == ".." or resolved.startswith("../"):
            message = f"`{key}`: {problems.quote(written)} is outside the repository"
            about = "" if posixpath.isabs(written) else "image.context"
            yield Finding(key, message, "give a relative path inside it", about=about)


def _commands(config: model.Config) -> Iterator[Finding]:
    for name, words in (("command", config.app.command), ("migrate", config.app.migrate)):
        program = words[0] if words else "-"
        if not program.strip() or (len(words) == 1 and " " in program.strip()):
            example = json.dumps(program.split() or ["node", "server.js"], ensure_ascii=False)
            message = f"`app.{name}`: {problems.quote(program)} is the name of no program"
            yield Finding(f"app.{name}", message, f"each word by itself: {problems.visible(example)}")


def _databases(config: model.Config) -> Iterator[Finding]:
    for database in config.databases:
        yield from _sized(config, f"databases.{database.engine}.storage", database.storage, least=_SMALLEST_STORAGE)
        yield from _seed(database)
        for name in ("version", "storage", "bootstrap", "seed") if database.external else ():
            key = f"databases.{database.engine}.{name}"
            if key in config.marks:
                message = f"`{key}` is for a database that is deployed, but this one is external"
                yield Finding(key, message, f"remove it, or remove `databases.{database.engine}.external`")


def _backup(config: model.Config) -> Iterator[Finding]:
    if config.backup != "never" and not config.deployed:
        message = "`backup` is for databases that are deployed, and there is none"
        hint = "remove it, or add a database; one that is external is its owner's to back up"
        yield Finding("backup", message, hint, about="databases")


def _seed(database: model.Database) -> Iterator[Finding]:
    seed, key = database.seed, f"databases.{database.engine}.seed"
    if seed is None:
        return
    given = [name for name in ("file", "url", "image") if getattr(seed, name)]
    if len(given) != 1:
        said = " and ".join(f"`{name}`" for name in given) or "nothing"
        yield Finding(key, f"`{key}`: found {said}, expected one of `file`, `url` and `image`", "keep one of them")
    for name, needed in (("url", "sha256"), ("image", "path")):
        if bool(getattr(seed, name)) != bool(getattr(seed, needed)):
            there, lacking = (name, needed) if getattr(seed, name) else (needed, name)
            message = f"`{key}.{there}` needs `{lacking}` beside it"
            yield Finding(f"{key}.{there}", message, f"add `{lacking}`", about=f"{key}.{lacking}")
    parts = posixpath.normpath(seed.file).split("/")
    if seed.file and parts[0] in (".", "..", ".git"):
        message = f"`{key}`: {problems.quote(seed.file)} is no file of the repository"
        yield Finding(key, message, "give a relative path inside it")
    if database.bootstrap:
        message = f"`{key}` and `bootstrap` can't both be what an empty database begins with"
        yield Finding(key, message, "put into the dump what `bootstrap` makes, and remove that")


def check_platform(platform: model.Platform, found: problems.Problems, marks: dict[str, problems.Mark]) -> None:
    """Adds a problem for each address range that is none."""
    for name, cidrs in (
        ("clusterCidrs", platform.cluster_cidrs),
        ("externalDatabases.cidrs", platform.external_databases.cidrs),
    ):
        for index, cidr in enumerate(cidrs):
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                key = f"{name}.{index}"
                found.add(marks.get(key), f"`{name}`: {error}", hint="for example 100.64.0.0/10", key=key)
