"""The README promises what there is: its files are the example's, its commands and its links exist."""

from __future__ import annotations

import pathlib
import re
import tomllib

import pytest
import yaml

import k8s_ee
from k8s_ee import cli, config

ROOT = pathlib.Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
GUESTBOOK = ROOT / "examples" / "guestbook"
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("k8s/**/*.md"), *GUESTBOOK.glob("*.md")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> set[str]:
    """What `make` is called with, in code and in prose."""
    code = "\n".join(re.findall(r"`([^`\n]+)`", text) + [body for kind, body in FENCE.findall(text) if kind == "sh"])
    return set(re.findall(r"\bmake ([a-z][a-z-]*)", code))


@pytest.mark.parametrize("path", ["k8s-ee.yaml", ".github/workflows/preview.yml"])
def test_the_quick_start_is_the_examples_own_file(path: str) -> None:
    quoted = re.search(
        rf"<!-- the same as examples/guestbook/{re.escape(path)} -->\n```yaml\n(.*?)```\n", README, re.DOTALL
    )
    assert quoted, f"README.md does not quote examples/guestbook/{path}"
    assert quoted[1] == (GUESTBOOK / path).read_text()


def test_the_readme_promises_two_make_commands_and_they_exist() -> None:
    assert commands(README) == {"demo", "test"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_command_that_is_named_exists(document: pathlib.Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert commands(document.read_text()) <= targets


def test_what_is_tested_in_ci_is_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_shown_exists_with_its_options(document: pathlib.Path) -> None:
    shell = "\n".join(body for kind, body in FENCE.findall(document.read_text()) if kind == "sh")
    for name, rest in re.findall(r"^(?:uv run )?k8s-ee ([a-z-]+)(.*)$", shell, re.MULTILINE):
        assert name in cli.main.commands
        known = {option for parameter in cli.main.commands[name].params for option in parameter.opts}
        assert set(re.findall(r" (--[a-z-]+)", rest.partition("#")[0])) <= known


def test_the_outputs_of_the_actions_are_those_they_have() -> None:
    rows = re.findall(
        r"^\| `(actions/[a-z-]+)` \|[^|]*\| (.*) \|$", (ROOT / "docs" / "getting-started.md").read_text(), re.M
    )
    assert {action for action, _ in rows} == {
        f"actions/{path.parent.name}" for path in ROOT.glob("actions/*/action.yml") if path.parent.name != "setup"
    }
    for action, outputs in rows:
        described = yaml.safe_load((ROOT / action / "action.yml").read_text())
        assert set(re.findall(r"`([a-z-]+)`", outputs)) == set(described.get("outputs", {})), action


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_configuration_that_is_shown_is_valid(document: pathlib.Path) -> None:
    for kind, body in FENCE.findall(document.read_text()):
        if kind == "yaml" and re.search(r"^projectId:", body, re.MULTILINE):
            assert config.load(body, path=document.name).project


def test_the_platform_settings_of_the_quick_start_are_valid() -> None:
    quoted = re.search(r"^cat > platform\.yaml <<'EOF'\n(.*?)^EOF$", README, re.MULTILINE | re.DOTALL)
    assert quoted
    assert config.load_platform(quoted[1], path="platform.yaml").registries


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_release_that_is_installed_is_this_one_and_workflows_follow_its_major_version(
    document: pathlib.Path,
) -> None:
    text = document.read_text()
    major = k8s_ee.__version__.partition(".")[0]
    assert set(re.findall(r"//k8s/[a-z/-]+\?ref=([^\s`\"]+)", text)) <= {f"v{k8s_ee.__version__}"}
    assert set(re.findall(r"uses: k8s-ee/k8s-ee[^@\s]*@([^\s`]+)", text)) <= {f"v{major}"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(document: pathlib.Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text())):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        found = document.parent / path if path else document
        if not found.exists() or (anchor and anchor not in anchors(found.read_text())):
            broken.append(target)
    assert not broken


def test_the_messages_that_are_explained_are_those_that_are_given() -> None:
    lines = " ".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    source = re.sub(r'"\s*\n\s*f?"', "", lines)
    quoted = re.findall(r"\*\*`([^`]+)`\*\*", (ROOT / "docs/troubleshooting.md").read_text())
    assert len(quoted) > 10
    pieces = [piece.strip() for one in quoted for piece in re.split(r"…|\(exit code 1\)", one) if piece.strip()]
    assert [piece for piece in pieces if piece not in source] == []


def test_the_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == k8s_ee.__version__


def test_the_layers_that_are_drawn_are_those_that_are_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (checked,) = [one["layers"] for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers"]
    (drawn,) = re.findall(r"^```\n(__main__.*?)^```$", (ROOT / "docs/architecture.md").read_text(), re.M | re.DOTALL)
    assert [re.split(r"\s{2,}", line)[0] for line in drawn.splitlines()] == [
        one.replace("k8s_ee.", "") for one in checked
    ]


def anchors(text: str) -> set[str]:
    """As GitHub makes them from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
