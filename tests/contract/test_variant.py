"""The variant for act, GHES and older runners is the source, but for what they do not understand."""

from __future__ import annotations

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from tests.contract import actionfiles

SCRIPT = actionfiles.ROOT / "scripts" / "variant.py"
specification = importlib.util.spec_from_file_location("variant", SCRIPT)
assert specification
assert specification.loader
variant = importlib.util.module_from_spec(specification)
specification.loader.exec_module(variant)


def _translate(text: str) -> str:
    found = variant.translate(text, repository="acme/k8s-ee", ref="v1.2.3")
    assert isinstance(found, str)
    return found


def test_an_own_action_is_named_in_full() -> None:
    assert _translate("    - uses: $/actions/setup # why\n") == "    - uses: acme/k8s-ee/actions/setup@v1.2.3 # why\n"
    assert _translate("      uses: $/actions/build\n") == "      uses: acme/k8s-ee/actions/build@v1.2.3\n"


def test_a_reusable_workflow_is_named_in_full() -> None:
    found = _translate("    uses: $/.github/workflows/pr-environment.yml\n")
    assert found == "    uses: acme/k8s-ee/.github/workflows/pr-environment.yml@v1.2.3\n"


def test_queue_goes_and_the_rest_of_concurrency_stays() -> None:
    text = "    concurrency:\n      group: x\n      cancel-in-progress: false\n      queue: max\n    steps: []\n"
    assert _translate(text) == text.replace("      queue: max\n", "")


def test_other_peoples_actions_scripts_and_comments_stay() -> None:
    text = "# `$/` here, queue: there\n- uses: actions/checkout@0123 # v7\n- run: exec k8s-ee run\n"
    assert _translate(text) == text


@pytest.mark.parametrize(
    "text",
    [
        '- uses: "$/actions/setup"\n',
        "- {uses: $/actions/setup}\n",
        "  concurrency: {group: x, queue: max}\n",
        "      queue: 5\n",
        "- uses: $/\n",
    ],
)
def test_what_would_stay_untranslated_is_an_error_with_its_line(text: str) -> None:
    with pytest.raises(variant.VariantError, match="line 2"):
        _translate("name: x\n" + text)


def test_every_file_with_a_problem_is_named(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "actions" / name).mkdir(parents=True)
        (tmp_path / "actions" / name / "action.yml").write_text("- uses: '$/x'\n")
    with pytest.raises(variant.VariantError, match=r"(?s)actions/a/action\.yml.*actions/b/action\.yml"):
        variant.derive(tmp_path, repository="acme/k8s-ee", ref="v1")


def test_the_variant_of_this_commit_is_complete_and_refers_only_to_itself(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "variant"
    assert variant.main(["--repository", "acme/k8s-ee", "--ref", "v1", "--worktree", "--out", str(out)]) == 0
    for path in (*actionfiles.ACTIONS, *actionfiles.WORKFLOWS):
        source, derived = actionfiles.load(path), actionfiles.load(out / path.relative_to(actionfiles.ROOT))
        own = [step["uses"] for step in actionfiles.steps(derived) if "acme/" in step.get("uses", "")]
        assert len(own) == sum(step.get("uses", "").startswith("$/") for step in actionfiles.steps(source))
        for uses in own:
            folder = uses.removeprefix("acme/k8s-ee/").removesuffix("@v1")
            assert (out / folder / "action.yml").is_file()
        for job in derived.get("jobs", {}).values():
            assert "queue" not in job.get("concurrency", {})
    assert (out / "actions" / "setup" / "setup.sh").read_bytes()
    assert not (out / ".git").exists()


def test_a_folder_with_files_is_not_written_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").write_text("x")
    command = [sys.executable, str(SCRIPT), "--repository", "acme/k8s-ee", "--ref", "v1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (2, f"variant: {tmp_path} is not empty\n")


@pytest.mark.parametrize(
    "arguments", [["--repository", "acme", "--ref", "v1"], ["--repository", "a/b", "--ref", "v 1"]]
)
def test_a_name_that_is_none_is_refused(arguments: list[str], tmp_path: pathlib.Path) -> None:
    with pytest.raises(SystemExit):
        variant.main([*arguments, "--out", str(tmp_path / "out")])
