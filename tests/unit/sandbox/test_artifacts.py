"""How artefacts are keyed, kept, locked and made; the recipes here are small ones of the tests' own."""

import io
import os
import pathlib
import threading
from collections.abc import Callable

import pytest

from k8s_ee_sandbox import artifacts, artifacts_recipe, errors, progress, sources


def _recipe(
    name: str,
    make: Callable[[artifacts_recipe.Workshop], None] | None = None,
    *,
    inputs: str = "",
    needs: tuple[str, ...] = (),
) -> artifacts_recipe.Recipe:
    def write(workshop: artifacts_recipe.Workshop) -> None:
        (workshop.into / name).write_text("made")

    return artifacts_recipe.Recipe(
        name=name, what="test", make=make or write, inputs=lambda: {"x": inputs}, result=name, needs=needs
    )


def _maker(root: pathlib.Path, *recipes: artifacts_recipe.Recipe, stream: io.StringIO | None = None) -> artifacts.Maker:
    lines = progress.Progress(stream if stream is not None else io.StringIO())
    return artifacts.Maker({recipe.name: recipe for recipe in recipes}, root=root, progress=lines)


def test_the_key_is_the_name_and_twelve_digits() -> None:
    name, _, digits = _recipe("tool").key({}).rpartition("-")
    assert name == "tool"
    assert len(digits) == 12
    assert int(digits, 16) >= 0


def test_the_key_changes_with_the_inputs() -> None:
    assert _recipe("tool", inputs="1").key({}) != _recipe("tool", inputs="2").key({})


def test_the_key_changes_with_the_key_of_what_is_needed(tmp_path: pathlib.Path) -> None:
    tool = _recipe("tool", needs=("go",))
    before = _maker(tmp_path, tool, _recipe("go", inputs="1.26")).ensure(["tool"])
    after = _maker(tmp_path, tool, _recipe("go", inputs="1.27")).ensure(["tool"])
    assert before != after


def test_the_source_hash_counts_names_and_contents_but_no_tests(tmp_path: pathlib.Path) -> None:
    (tmp_path / "main.go").write_text("package main")
    before = sources.digest(tmp_path)
    (tmp_path / "main_test.go").write_text("package main")
    assert sources.digest(tmp_path) == before
    (tmp_path / "main.go").rename(tmp_path / "other.go")
    assert sources.digest(tmp_path) != before


def test_what_is_there_is_not_made_again(tmp_path: pathlib.Path) -> None:
    made = _maker(tmp_path, _recipe("tool")).ensure(["tool"])["tool"]

    def refuse(_: artifacts_recipe.Workshop) -> None:
        raise AssertionError("made twice")

    assert _maker(tmp_path, _recipe("tool", refuse)).ensure(["tool"])["tool"] == made
    assert made.read_text() == "made"


def test_what_only_a_missing_artefact_needs_is_not_made_when_it_is_there(tmp_path: pathlib.Path) -> None:
    tool, go = _recipe("tool", needs=("go",)), _recipe("go")
    maker = _maker(tmp_path, tool, go)
    maker.ensure(["tool"])
    go_file = maker.ensure(["go"])["go"]
    go_file.unlink()
    go_file.parent.rmdir()
    maker.ensure(["tool"])
    assert not go_file.exists()


def test_a_recipe_gets_the_paths_of_what_it_needs(tmp_path: pathlib.Path) -> None:
    def copy(workshop: artifacts_recipe.Workshop) -> None:
        (workshop.into / "tool").write_text(workshop.needs["go"].read_text())

    paths = _maker(tmp_path, _recipe("tool", copy, needs=("go",)), _recipe("go")).ensure(["tool"])
    assert paths["tool"].read_text() == "made"
    assert list(paths) == ["tool"]


def test_a_recipe_that_fails_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    def fail(workshop: artifacts_recipe.Workshop) -> None:
        (workshop.into / "half").write_text("")
        raise errors.SandboxError("no")

    with pytest.raises(errors.SandboxError, match="no"):
        _maker(tmp_path, _recipe("tool", fail)).ensure(["tool"])
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_a_failure_stops_what_runs_beside_it(tmp_path: pathlib.Path) -> None:
    running = threading.Event()

    def run_for_ever(workshop: artifacts_recipe.Workshop) -> None:
        running.set()
        workshop.runner.run(["sleep", "3600"], log=workshop.log, timeout=3600)

    def fail(_: artifacts_recipe.Workshop) -> None:
        running.wait()
        raise errors.SandboxError("the cause")

    with pytest.raises(errors.SandboxError, match="the cause"):
        _maker(tmp_path, _recipe("slow", run_for_ever), _recipe("broken", fail)).ensure(["slow", "broken"])


def test_two_makers_at_once_make_it_once_and_the_second_says_that_it_waits(tmp_path: pathlib.Path) -> None:
    begun, waiting, made = threading.Event(), threading.Event(), []

    class Lines(io.StringIO):
        def write(self, text: str) -> int:
            if "waiting for the process that is making it" in text:
                waiting.set()
            return super().write(text)

    def slow(workshop: artifacts_recipe.Workshop) -> None:
        begun.set()
        assert waiting.wait(30)
        made.append((workshop.into / "tool").write_text("made"))

    first = threading.Thread(target=lambda: _maker(tmp_path, _recipe("tool", slow)).ensure(["tool"]))
    first.start()
    assert begun.wait(30)
    path = _maker(tmp_path, _recipe("tool", slow), stream=Lines()).ensure(["tool"])["tool"]
    first.join()
    assert path.read_text() == "made"
    assert len(made) == 1


def test_what_nobody_asked_for_in_weeks_goes_when_its_successor_is_made(tmp_path: pathlib.Path) -> None:
    old, recent = (_maker(tmp_path, _recipe("tool", inputs=age)).ensure(["tool"])["tool"] for age in ("old", "recent"))
    other = _maker(tmp_path, _recipe("tool-box")).ensure(["tool-box"])["tool-box"]
    for path in (old, other):
        os.utime(path.parent, (0, 0))
    new = _maker(tmp_path, _recipe("tool", inputs="new")).ensure(["tool"])["tool"]
    assert [path.exists() for path in (old, recent, other, new)] == [False, True, True, True]


def test_what_is_asked_for_counts_as_used(tmp_path: pathlib.Path) -> None:
    maker = _maker(tmp_path, _recipe("tool"))
    folder = maker.ensure(["tool"])["tool"].parent
    os.utime(folder, (0, 0))
    maker.ensure(["tool"])
    assert folder.stat().st_mtime > 0


def test_an_unknown_name_lists_the_known_ones(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.SandboxError, match=r"(?s)no artefact is called 'kubctl'.*kubectl"):
        _maker(tmp_path, _recipe("kubectl")).ensure(["kubctl"])


def test_lines_count_what_is_made_and_say_how_long_it_took(tmp_path: pathlib.Path) -> None:
    stream = io.StringIO()
    _maker(tmp_path, _recipe("tool", needs=("go",)), _recipe("go"), stream=stream).ensure(["tool"])
    begun, ended, *_ = stream.getvalue().splitlines()
    assert begun == "[1/2] go: test …"
    assert ended.startswith("[1/2] go: test: done in 0.")


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0s"), (9.9, "9.9s"), (12, "12s"), (192, "3m12s")])
def test_elapsed_time_is_short(seconds: float, text: str) -> None:
    assert progress.elapsed(seconds) == text


def test_every_recipe_has_what_it_needs_and_a_key() -> None:
    for recipe in artifacts.RECIPES.values():
        assert set(recipe.needs) <= set(artifacts.RECIPES)
        assert recipe.key(dict.fromkeys(recipe.needs, "")).startswith(f"{recipe.name}-")


def test_the_command_line_reports_an_unknown_name_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert artifacts.main(["ensure", "nothing"]) == 1
    assert capsys.readouterr().err.startswith("error: no artefact is called 'nothing'\n")
