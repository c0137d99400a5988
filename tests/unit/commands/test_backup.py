"""What backup and restore refuse before anything is touched, and what they leave behind."""

from __future__ import annotations

import datetime
import json
import pathlib
import signal
import subprocess
import threading

import pytest

from k8s_ee import archive, errors
from k8s_ee.commands import backup, restore, saving, session
from k8s_ee.plan import keeping, seeding
from tests.unit.cluster import conftest
from tests.unit.commands.test_lifecycle import CREATED, World
from tests.unit.commands.test_lifecycle import world as world  # noqa: PLC0414 - the fixture
from tests.unit.test_main import PROGRAM
from tests.wire import commands

SETS = "/apis/apps/v1/namespaces/shop-pr-7/statefulsets"
CLAIMS = "/api/v1/namespaces/shop-pr-7/persistentvolumeclaims"


def deploy(world: World, *engines: str) -> None:
    world.put()
    for engine in engines:
        labels = {"app.kubernetes.io/managed-by": "k8s-ee"}
        template = {"spec": {"containers": [{"name": engine, "image": f"{engine}:1"}]}}
        world.kube.put(SETS, {"metadata": {"name": engine, "labels": labels}, "spec": {"template": template}})


def asked(world: World, *, dry_run: bool = False) -> session.Session:
    return world.session(now=CREATED + datetime.timedelta(hours=1), dry_run=dry_run)


def test_what_sleeps_has_to_be_woken_first_and_the_command_is_named(world: World, tmp_path: pathlib.Path) -> None:
    world.put(asleep_since="2026-01-01T00:00:00+00:00")
    with pytest.raises(errors.Refused, match="sleeps") as refused:
        backup.backup(asked(world), engines=(), to=str(tmp_path))
    assert "k8s-ee wake --pr 7 --repository-id 42" in refused.value.hint


def test_a_database_that_is_not_there_and_an_environment_without_any_are_named(
    world: World, tmp_path: pathlib.Path
) -> None:
    deploy(world, "redis", "something")
    with pytest.raises(errors.InputError, match="has no mariadb and no nonsense") as wrong:
        backup.backup(asked(world), engines=("nonsense", "redis", "mariadb"), to=str(tmp_path))
    assert wrong.value.hint.endswith("deployed there: redis")
    del world.kube.objects[(SETS, "redis")]
    with pytest.raises(errors.InputError, match="has no database"):
        backup.backup(asked(world), engines=(), to=str(tmp_path))


def test_a_database_whose_workload_is_missing_at_the_moment_is_no_database_that_is_not_there(
    world: World, tmp_path: pathlib.Path
) -> None:
    """A deploy that was killed while it made the volume larger leaves it so."""
    deploy(world, "redis")
    claim = {"metadata": {"name": "data-postgresql-0"}, "spec": {}}
    world.kube.put(CLAIMS, claim)
    with pytest.raises(errors.NotReady, match="postgresql has its volume, but no workload") as wrong:
        backup.backup(asked(world, dry_run=True), engines=(), to=str(tmp_path))
    assert "deploy-db" in wrong.value.hint
    with pytest.raises(errors.NotReady, match="postgresql"):
        saving.save(asked(world), asked(world).observed_environments()[0], str(tmp_path))
    assert backup.backup(asked(world, dry_run=True), engines=("redis",), to=str(tmp_path)).state == "planned"
    world.kube.put(CLAIMS, {**claim, "metadata": {**claim["metadata"], "annotations": {keeping.RETIRED: "true"}}})
    assert backup.backup(asked(world, dry_run=True), engines=(), to=str(tmp_path)).outputs["databases"] == "redis"


def test_several_environments_are_too_many(world: World, tmp_path: pathlib.Path) -> None:
    deploy(world, "redis")
    world.put("other")
    with pytest.raises(errors.InputError, match="several environments: ") as wrong:
        backup.backup(asked(world), engines=(), to=str(tmp_path))
    assert "--project" in wrong.value.hint


def test_a_dry_run_says_what_and_where_to_and_writes_nothing(world: World, tmp_path: pathlib.Path) -> None:
    deploy(world, "redis", "postgresql")
    done = backup.backup(asked(world, dry_run=True), engines=(), to=str(tmp_path))
    assert done.state == "planned"
    assert done.outputs["databases"] == "postgresql redis"
    assert done.outputs["archive"] == str(tmp_path / "shop-pr-7-20260101T010000Z.k8s-ee.tar")
    assert list(tmp_path.glob("*.tar")) == []


def test_a_folder_that_is_not_there_and_a_file_that_is_are_refused(world: World, tmp_path: pathlib.Path) -> None:
    deploy(world, "redis")
    with pytest.raises(errors.InputError, match="there is no folder"):
        backup.backup(asked(world), engines=(), to=str(tmp_path / "no" / "a.tar"))
    for name in ("n" * 300, f"{'n' * 300}/a.tar"):
        with pytest.raises(errors.InputError, match="can't be written: File name too long"):
            backup.backup(asked(world), engines=(), to=str(tmp_path / name))
    (tmp_path / "a.tar").write_text("mine")
    with pytest.raises(errors.InputError, match="already"):
        backup.backup(asked(world), engines=(), to=str(tmp_path / "a.tar"))


def made(folder: pathlib.Path, *engines: str) -> pathlib.Path:
    entries = []
    for engine in engines:
        dump = archive.Dump(folder, engine)
        dump.close()
        entries.append(dump.entry(version="8.1", image=""))
    facts = {"project": "shop", "repository": "acme/shop", "repository_id": 42, "number": 6, "commit": ""}
    manifest = archive.Manifest(**facts, at="", made_by="", entries=tuple(entries))  # type: ignore[arg-type]
    archive.write(folder / "backup.tar", manifest, folder)
    return folder / "backup.tar"


def test_restore_takes_only_what_both_the_archive_and_the_environment_have(
    world: World, tmp_path: pathlib.Path
) -> None:
    deploy(world, "redis")
    with pytest.raises(errors.InputError, match="can't be read: File name too long"):
        restore.restore(asked(world), source="n" * 300, engines=(), replace=False)
    source = str(made(tmp_path, "redis", "mariadb"))
    for engines, said in (((), "shop-pr-7 has no mariadb"), (("minio",), "backup.tar has no minio")):
        with pytest.raises(errors.InputError, match=said):
            restore.restore(asked(world), source=source, engines=engines, replace=False)
    done = restore.restore(asked(world, dry_run=True), source=source, engines=("redis",), replace=True)
    assert (done.state, done.notes) == ("planned", ("redis: 0 bytes from version 8.1",))


def test_a_database_that_this_version_does_not_know_is_named(world: World, tmp_path: pathlib.Path) -> None:
    deploy(world, "redis")
    source = made(tmp_path, "redis", "oracle")
    with pytest.raises(errors.InputError, match="no database oracle"):
        restore.restore(asked(world), source=str(source), engines=(), replace=False)
    assert json.loads(source.read_bytes()[512:].split(b"\0")[0])["databases"].keys() == {"redis", "oracle"}


def test_what_the_next_deploy_would_empty_is_neither_saved_nor_loaded_into(
    world: World, tmp_path: pathlib.Path
) -> None:
    """A seed that was cut off: a deploy takes whatever is there for half of it."""
    deploy(world, "redis")
    source = str(made(tmp_path, "redis"))
    noted = {seeding.NOTE: "loading sum run"}
    world.kube.put(CLAIMS, {"metadata": {"name": "data-redis-0", "annotations": noted}, "spec": {}})
    with pytest.raises(errors.Refused, match="the seed of redis was not loaded to its end"):
        restore.restore(asked(world), source=source, engines=(), replace=True)
    with pytest.raises(errors.Refused, match="the seed of redis was not loaded to its end"):
        backup.backup(asked(world), engines=(), to=str(tmp_path))
    assert world.kube.commands == []


def dumping(command: commands.Command) -> commands.Ended:
    """A database whose scripts do what they are to."""
    dumps = "dump.sh" in command.words[2]
    return commands.Ended(stdout=b"data" + command.words[4].encode() if dumps else b"8.1")


def test_what_a_killed_backup_left_goes_with_the_next_one_and_not_before(world: World, tmp_path: pathlib.Path) -> None:
    deploy(world, "redis")
    begun, over = threading.Event(), threading.Event()

    def hanging(command: commands.Command) -> commands.Ended:
        if "dump.sh" in command.words[2]:
            begun.set()
            over.wait(20)
        return dumping(command)

    def names() -> set[str]:
        return {one.name for one in tmp_path.iterdir()}

    world.kube.run = hanging
    before = names()
    config = conftest.KUBECONFIG.format(url=world.url)
    facts = ("--pr", "7", "--repository-id", "42", "--kubeconfig", config, "--to", str(tmp_path / "never.tar"))
    with subprocess.Popen([PROGRAM, "backup", *facts], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert begun.wait(20)
        world.kube.run = dumping
        backup.backup(asked(world), engines=(), to=str(tmp_path / "beside.tar"))
        (left,) = names() - before - {"beside.tar"}
        process.send_signal(signal.SIGKILL)
    over.set()
    assert left in names(), "it was at work, and who is killed clears nothing away"
    backup.backup(asked(world), engines=(), to=str(tmp_path / "next.tar"))
    assert names() - before == {"beside.tar", "next.tar"}
