"""A dump is whole when the mark at its end has arrived, wherever the connection cuts it into pieces; empty is what was
seen to be."""

from __future__ import annotations

import os
import pathlib
import subprocess
import threading

import pytest

from k8s_ee import errors, plan
from k8s_ee.commands import contents
from tests.unit.commands import sweeps
from tests.unit.commands.test_janitor import world as world  # noqa: PLC0414 - the fixture
from tests.wire import commands

MARK = b"#mark#"


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize("dump", [b"", b"x", MARK, b"data #mark data", b"data" + MARK[:5]])
def test_what_comes_before_the_mark_is_handed_on_in_any_pieces(dump: bytes, size: int) -> None:
    got = bytearray()
    whole = contents.Whole(got.extend, mark=MARK)
    sent = dump + MARK
    for at in range(0, len(sent), size):
        whole.write(sent[at : at + size])
    assert (bytes(got), whole.is_complete, whole.arrived.is_set()) == (dump, True, True)


def test_without_its_mark_it_is_not_whole() -> None:
    whole = contents.Whole(bytearray().extend, mark=MARK)
    whole.write(b"data" + MARK[:-1])
    assert not whole.is_complete
    assert not whole.arrived.is_set()


def test_a_database_that_gives_no_answer_is_not_an_empty_one(world: sweeps.World) -> None:
    redis = plan.ENGINES["redis"]
    for code, empty in ((0, True), (3, False)):
        world.kube.run = lambda _command, code=code: commands.Ended(code)  # type: ignore[misc]
        assert contents.is_empty(world.session(after=sweeps.HOUR), "shop-pr-7", redis) is empty
    world.kube.run = lambda _command: commands.Ended(1, stderr=b"LOADING Valkey is loading the dataset")
    with pytest.raises(errors.NotReady, match="redis does not say whether it is empty") as caught:
        contents.is_empty(world.session(after=sweeps.HOUR), "shop-pr-7", redis)
    assert "is loading the dataset" in caught.value.hint
    assert {one.text for one in world.kube.commands} == {"sh -c sh /etc/k8s-ee/scripts/load.sh check sh"}


def container(folder: pathlib.Path, **scripts: str) -> commands.Run:
    """With these scripts of the database, and `folder` for its volume and its credentials."""
    for name, text in scripts.items():
        (folder / f"{name}.sh").write_text(text)

    def run(command: commands.Command) -> commands.Ended:
        words = [word.replace("/etc/k8s-ee/scripts", str(folder)) for word in command.words]
        environ = {**os.environ, "CREDENTIALS": str(folder), "VOLUME": str(folder)}
        done = subprocess.run(words, input=command.stdin, env=environ, capture_output=True, check=False)
        return commands.Ended(done.returncode, done.stdout, done.stderr)

    return run


def test_a_password_is_set_only_while_it_is_the_next_one(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    """A run that was held up must not undo what others have finished since: the server would have neither."""

    world.kube.run = container(tmp_path)
    said = []
    for following in ("mine", "theirs", None):
        (tmp_path / "NEXT").write_text(following) if following else (tmp_path / "NEXT").unlink()
        with pytest.raises(errors.NotReady, match="redis did not change its password") as caught:
            contents.change_password(world.session(after=sweeps.HOUR), "shop-pr-7", plan.ENGINES["redis"], "mine")
        said.append("password.sh" in caught.value.hint)  # of which there is none here
        assert ("somebody else" in caught.value.hint) is not said[-1]
    assert said == [True, False, False]


def test_a_command_whose_end_was_lost_is_asked_again(
    world: sweeps.World, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_QUICK_SECONDS", 1.0)
    works, asked, over = container(tmp_path), list[bytes](), threading.Event()

    def run(command: commands.Command) -> commands.Ended:
        asked.append(command.stdin)
        if len(asked) == 1:
            over.wait(20)
        return works(command)

    world.kube.run = run
    (tmp_path / "NEXT").write_text("mine")
    assert contents.has_next(world.session(after=sweeps.HOUR), "shop-pr-7", plan.ENGINES["redis"], "mine")
    over.set()
    assert asked == [b"mine\n"] * 2


_LOAD = """
cd "$VOLUME"
[ ! -e written ] || exit 3
cat >> loaded
"""
_WIPE = """
cd "$VOLUME"
echo wiped >> wipes
rm -f written
[ "$(wc -l < wipes)" -gt "$(cat writes)" ] || touch written
"""


@pytest.mark.parametrize(("writes", "loaded"), [(0, True), (2, True), (99, False)])
def test_an_app_that_writes_while_it_is_replaced_is_wiped_again_for_some_time(
    world: sweeps.World, tmp_path: pathlib.Path, writes: int, loaded: bool
) -> None:
    (tmp_path / "writes").write_text(str(writes))
    world.kube.run = container(tmp_path, load=_LOAD, wipe=_WIPE)
    ctx, redis = world.session(after=sweeps.HOUR), plan.ENGINES["redis"]
    assert contents.pour(ctx, "shop-pr-7", redis, [b"all of it"], size=9, replace=True) is loaded
    assert (tmp_path / "loaded").exists() is loaded
    assert not loaded or (tmp_path / "loaded").read_bytes() == b"all of it"
    assert not list(tmp_path.glob(".k8s-ee-load.*"))


def test_what_was_there_before_is_wiped_only_to_be_replaced(world: sweeps.World, tmp_path: pathlib.Path) -> None:
    (tmp_path / "written").touch()
    world.kube.run = container(tmp_path, load=_LOAD, wipe=_WIPE)
    ctx, redis = world.session(after=sweeps.HOUR), plan.ENGINES["redis"]
    assert not contents.pour(ctx, "shop-pr-7", redis, [b"all of it"], size=9)
    for size in (8, 10):
        with pytest.raises(errors.NotReady, match="can't load what it was given"):
            contents.pour(ctx, "shop-pr-7", redis, [b"all of it"], size=size, replace=True)
    assert not (tmp_path / "wipes").exists()
