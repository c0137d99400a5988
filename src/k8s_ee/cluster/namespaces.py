"""The namespace of one environment: made once, ours or refused, and never moved back to an older run."""

from __future__ import annotations

import dataclasses
import datetime
import time
from typing import TYPE_CHECKING, Any

from k8s_ee import backups, environment, errors
from k8s_ee.cluster import diagnose, kinds, marks, messages, watching

if TYPE_CHECKING:
    from k8s_ee.cluster import client

Manifest = dict[str, Any]

_ATTEMPTS = 5
_OVER = (*marks.DOOMED, environment.ASLEEP_SINCE, environment.BACKUP, *backups.NOTES)
"""A deploy ends all of these, but for what it notes itself. What ran before a sleep stays noted until the new version
does."""
_IDENTITY = (environment.PROJECT, environment.REPOSITORY_ID, environment.PULL_REQUEST)


@dataclasses.dataclass(frozen=True)
class Ensured:
    observed: environment.Observed
    created: bool


def ensure(cluster: client.Cluster, manifest: Manifest, wanted: environment.Environment, deadline: float) -> Ensured:
    """Creates or updates the namespace; waits until `deadline` (`time.monotonic()`) for an older one to be gone.

    Raises Refused for a namespace that is not this environment's or that a newer run deployed to, NotReady when one of
    that name is still being deleted at the deadline.
    """
    for _attempt in range(_ATTEMPTS):
        created = cluster.create(manifest)
        if created is not None:
            return Ensured(_verified(created, manifest), created=True)
        found = cluster.get("Namespace", wanted.namespace)
        if found is None:
            continue
        observed = owned(found, wanted)
        if observed.terminating:
            if cluster.dry_run:
                return Ensured(observed, created=False)
            _await_end(cluster, observed, deadline)
            continue
        answer = _update(cluster, found, manifest, wanted)
        if answer.status == 200:
            return Ensured(_verified(answer.body, manifest), created=False)
    raise errors.ClusterUnavailable(
        f"namespace {wanted.namespace} keeps being changed by somebody else",
        hint="is another deploy or a cleanup of it running? run the same command again when it has ended",
    )


def owned(namespace: Manifest, wanted: environment.Environment) -> environment.Observed:
    """The namespace as this environment's.

    Raises Refused, without telling whose it is, when it is another's, and Superseded when a newer run was there.
    """
    labels = wanted.labels()
    observed = environment.from_namespace(namespace)
    if any(namespace["metadata"]["labels"].get(key) != labels[key] for key in _IDENTITY):
        raise errors.Refused(
            f"namespace {wanted.namespace} belongs to another repository",
            hint="choose a projectId that no other repository uses; your platform team can see which one does",
        )
    if observed.run > wanted.run > 0 and not observed.terminating:
        raise errors.Superseded(
            f"a newer run (#{observed.run}) has deployed to {wanted.namespace}; this is run #{wanted.run}",
            hint="nothing to do: the newer run goes on",
        )
    return observed


def _update(
    cluster: client.Cluster, found: Manifest, manifest: Manifest, wanted: environment.Environment
) -> messages.Answer:
    """Only if it is still the object that was judged: the answer is 409 or 404 otherwise."""
    metadata, asked = found["metadata"], manifest["metadata"]
    annotations: dict[str, str | None] = {**dict.fromkeys(_OVER), **asked.get("annotations", {})}
    annotations[environment.ACTIVE_AT] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if not wanted.run:  # From a laptop: the number of the last workflow run stays.
        annotations.pop(environment.RUN, None)
    return cluster.write(
        "PATCH",
        kinds.kind("Namespace").path(wanted.namespace),
        what=f"Namespace {wanted.namespace}",
        body={
            "metadata": {
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
                "labels": asked["labels"],
                "annotations": annotations,
            }
        },
        content_type=messages.MERGE_PATCH,
        query={"fieldManager": environment.MANAGER, "fieldValidation": "Strict"},
        expected={404, 409},
    )


def _verified(namespace: Manifest, manifest: Manifest) -> environment.Observed:
    """An admission webhook may have changed what was asked for; the Pod Security labels are part of the fence."""
    labels = namespace["metadata"].get("labels") or {}
    lost = sorted(key for key, value in manifest["metadata"]["labels"].items() if labels.get(key) != value)
    if lost:
        raise errors.Refused(
            f"the cluster changed the labels {', '.join(lost)} of namespace {namespace['metadata']['name']}",
            hint="an admission policy rewrites them; ask your platform team to let k8s-ee set them",
        )
    observed = environment.from_namespace(namespace)
    if observed.terminating:
        raise errors.NotReady(
            f"namespace {observed.namespace} is being deleted", hint="run the same command again: it waits for the end"
        )
    return observed


def _await_end(cluster: client.Cluster, observed: environment.Observed, deadline: float) -> None:
    began = time.monotonic()
    left = watching.gone(cluster, "Namespace", observed.namespace, uid=observed.uid, deadline=deadline)
    if left:
        blockers, waited = diagnose.blockers(left), time.monotonic() - began
        raise errors.NotReady(
            f"the previous namespace {observed.namespace} is still being deleted after {waited:.0f} s",
            hint="what blocks it: " + "; ".join(blockers) if blockers else "run the same command again in a minute",
            evidence=blockers,
        )
