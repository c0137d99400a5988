"""The last state of an environment's databases, kept before it is destroyed (docs/databases/backup.md)."""

from __future__ import annotations

import pathlib

from k8s_ee import backups, environment, errors, storage
from k8s_ee.cluster import securing
from k8s_ee.commands import backup, session

Observed = environment.Observed


def save(ctx: session.Session, observed: Observed, to: str) -> Observed:
    """Backs its databases up, woken if they sleep, and notes where; the app must have been stopped before.

    Raises as `backup.backup`, Woken when somebody used the environment meanwhile: then nothing is noted.
    """
    place, began = _place(observed, to, backup.name(observed, ctx.now())), ctx.now()
    images = backup.images(ctx, observed)
    backup.require_workloads(ctx, observed, images)
    if images:
        _make_room(place, pathlib.Path(to))
        backup.check_free(ctx, place)
        with securing.roused(
            ctx.cluster, observed, deadline=ctx.deadline, progress=ctx.say, redact=ctx.redactor.redact
        ):
            backup.write(ctx, observed, images, place, commit=observed.head_sha)
    return securing.note(ctx.cluster, observed, backups.made(observed, began, str(place) if images else ""))


def _place(observed: Observed, to: str, name: str) -> storage.Place:
    """Folders of repositories keep them apart for whoever gives rights by prefix."""
    parts = observed.repository.split("/")
    safe = all(part.strip(".") for part in parts)
    return storage.below(to, *(parts if safe else [str(observed.repository_id)]), name)


def _make_room(place: storage.Place, root: pathlib.Path) -> None:
    """Below a folder that is there: where a volume is missing, there must be no folder in its stead."""
    if not isinstance(place, pathlib.Path):
        return
    if not storage.is_folder(root):
        raise errors.InputError(f"there is no folder {root}", hint="is the volume for backups mounted there?")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(f"{place.parent} can't be made: {error.strerror or error}") from None
