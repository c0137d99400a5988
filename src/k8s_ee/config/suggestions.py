"""What somebody may have meant by a key that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_LONGEST = 64

# Keys of Compose, Docker, Heroku, Helm and Kubernetes, and plain synonyms, with what does the same here.
_ELSEWHERE = {
    "name": "`projectId` names the project",
    "project": "`projectId` names the project",
    "id": "`projectId` names the project",
    "namespace": "it is made from `projectId` and the pull request's number",
    "environment": "environment variables are `env`, as a map of names and values",
    "variables": "environment variables are `env`, as a map of names and values",
    "vars": "environment variables are `env`, as a map of names and values",
    "secrets": "`envFrom` with a `secretRef` gives the app the keys of a Secret",
    "envfile": "`envFrom` gives the app the keys of a Secret or ConfigMap",
    "build": "`image` says how the app's image is built",
    "docker": "`image` says how the app's image is built",
    "buildargs": "`image.args` are the build arguments",
    "tag": "the image is always the one built from the pull request's commit",
    "entrypoint": "`app.command` replaces the image's ENTRYPOINT",
    "cmd": "`app.args` replaces the image's CMD",
    "release": "`app.migrate` runs to completion before the rollout",
    "migration": "`app.migrate` runs to completion before the rollout",
    "migrations": "`app.migrate` runs to completion before the rollout",
    "ports": "an app has one port, `app.port`",
    "expose": "an app has one port, `app.port`",
    "containerport": "an app has one port, `app.port`",
    "targetport": "an app has one port, `app.port`",
    "healthcheck": "`app.healthPath` is the path that says the app is ready",
    "health": "`app.healthPath` is the path that says the app is ready",
    "readinessprobe": "`app.healthPath` is the path that says the app is ready",
    "livenessprobe": "`app.healthPath` is the path that says the app is ready",
    "startupprobe": "`app.healthPath` with `app.startupSeconds`",
    "timeout": "`app.startupSeconds` is how long the app may take to start",
    "scale": "`app.replicas` is the number of pods",
    "user": "`app.runAsUser` is the number of the user the app runs as",
    "securitycontext": "`app.runAsUser` and `writableDirs` are what can be changed",
    "volumes": "`writableDirs` are folders the app may write to",
    "volumemounts": "`writableDirs` are folders the app may write to",
    "tmpfs": "`writableDirs` are folders the app may write to",
    "database": "`databases.postgresql: true` gives the environment a database",
    "postgres": "`databases.postgresql: true` gives the environment a database",
    "pg": "`databases.postgresql: true` gives the environment a database",
    "size": "`storage` is the size of a database's volume",
    "disk": "`storage` is the size of a database's volume",
    "initdb": "`databases.postgresql.bootstrap` is SQL for the empty database",
    "init": "`databases.postgresql.bootstrap` is SQL for the empty database",
    "sql": "`databases.postgresql.bootstrap` is SQL for the empty database",
    "host": "the link is made from `projectId`, the pull request's number and the platform's domain",
    "hosts": "the link is made from `projectId`, the pull request's number and the platform's domain",
    "domain": "the link is made from `projectId`, the pull request's number and the platform's domain",
    "services": "reserved for more than one app per repository; not supported yet",
    "version": "the file has no version of its own",
    "apiversion": "this file is not a Kubernetes object",
    "kind": "this file is not a Kubernetes object",
    "metadata": "this file is not a Kubernetes object",
    "spec": "this file is not a Kubernetes object",
    "mongodb": "`databases.mongodb: true` gives the environment a database",
    "mongo": "`databases.mongodb: true` gives the environment a database",
    "redis": "`databases.redis: true` gives the environment a Valkey",
    "valkey": "`databases.redis: true` gives the environment a Valkey",
    "minio": "`databases.minio: true` gives the environment object storage, by the S3 protocol",
    "s3": "`databases.minio: true` gives the environment object storage, by the S3 protocol",
    "mariadb": "`databases.mariadb: true` gives the environment a database",
    "mysql": "`databases.mariadb: true` gives the environment a database",
    "workers": "not supported yet",
    "egress": "not supported yet",
    "ttl": "not supported yet",
    "sleep": "not supported yet",
    "skip": "not supported yet",
    "external": "`databases.postgresql.external` names the Secret of a database that is there already",
    "seed": "`databases.postgresql.seed` loads a dump into the empty database",
    "fixtures": "`databases.postgresql.seed` loads a dump into the empty database",
}


def for_unknown(key: str, *, allowed: Iterable[str], schema: Mapping[str, Any]) -> str:
    """A hint for a key that `schema` does not have here, where `allowed` are the ones it has."""
    names = [name for name in allowed if name != "$schema"]
    elsewhere = _ELSEWHERE if "projectId" in schema["properties"] else {}
    word = _plain(key)
    same = {_plain(name): name for name in names}
    if word in same:
        return f"did you mean `{same[word]}`?"
    if word in elsewhere:
        return f"{elsewhere[word]}; allowed here: {', '.join(names)}"
    places = [path.rpartition(".")[0] or "the top level" for path in paths(schema) if _plain(_last(path)) == word]
    if places:
        return "it belongs under " + " or ".join(f"`{place}`" for place in places[:3])
    return _nearest(key, names, elsewhere) or f"allowed here: {', '.join(names)}"


def _nearest(key: str, names: list[str], elsewhere: Mapping[str, str]) -> str:
    if len(key) > _LONGEST:
        return ""
    close = difflib.get_close_matches(key, [*names, *elsewhere], n=1, cutoff=0.7)
    if not close:
        return ""
    return f"did you mean `{close[0]}`?" if close[0] in names else elsewhere[close[0]]


def paths(schema: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """The dotted path of every key, as a file has them; items of lists are left out."""
    for name, below in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from paths(below, above=f"{above}{name}.")


def _last(path: str) -> str:
    return path.rpartition(".")[2]


def _plain(key: str) -> str:
    """`health_path`, `health-path` and `HealthPath` are one word to whoever types them."""
    return key.replace("_", "").replace("-", "").lower()
