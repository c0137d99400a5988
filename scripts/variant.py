"""Derives the variant of the toolkit that act, runners before 2.336 and GHES understand.

Two things differ from the source: `uses: $/path` (this file's repository, at this file's commit) becomes
`OWNER/REPO/path@REF`, and `concurrency.queue` goes, with which such a server keeps one waiting run at most.

    python scripts/variant.py --repository OWNER/REPO --ref v1 --out DIR
"""

from __future__ import annotations

import argparse
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+", re.ASCII)
REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*", re.ASCII)

_MADE = frozenset({".git", ".venv", ".hypothesis", "__pycache__"})
_SELF = re.compile(r"^(?P<head>\s*(?:- )?uses: )\$/(?P<path>[A-Za-z0-9._/-]+)(?P<tail>\s*(?:#.*)?)$", re.MULTILINE)
_QUEUE = re.compile(r"^ *queue: (?:max|single)\s*(?:#.*)?\n", re.MULTILINE)
_LEFT = re.compile(r"^[^#\n]*\b(?:uses\b.*\$/|queue\s*:).*$", re.MULTILINE)


class VariantError(Exception):
    pass


def translate(text: str, *, repository: str, ref: str) -> str:
    """One workflow or action.yml. Raises VariantError when a `uses: $/…` is written in a way that is not understood."""
    text = _SELF.sub(rf"\g<head>{repository}/\g<path>@{ref}\g<tail>", text)
    text = _QUEUE.sub("", text)
    left = _LEFT.search(text)
    if left:
        line = text.count("\n", 0, left.start()) + 1
        raise VariantError(f"line {line}: `{left.group().strip()}`: write `uses: $/path` and `queue: max` plainly")
    return text


def derive(directory: pathlib.Path, *, repository: str, ref: str) -> tuple[pathlib.Path, ...]:
    """Translates a copy of the toolkit in place; the files that changed. Raises VariantError for all files at once."""
    changed, problems = [], []
    for path in sources(directory):
        text = path.read_text(encoding="utf-8")
        try:
            translated = translate(text, repository=repository, ref=ref)
        except VariantError as error:
            problems.append(f"{path.relative_to(directory)}: {error}")
            continue
        if translated != text:
            path.write_text(translated, encoding="utf-8")
            changed.append(path.relative_to(directory))
    if problems:
        raise VariantError("\n".join(problems))
    return tuple(changed)


def sources(directory: pathlib.Path) -> list[pathlib.Path]:
    """Everything that may say `uses:` or `queue:`: the actions and the workflows, examples included."""
    actions = [path for name in ("action.yml", "action.yaml") for path in directory.rglob(name)]
    workflows = [path for suffix in ("yml", "yaml") for path in directory.rglob(f".github/workflows/*.{suffix}")]
    return sorted({*actions, *workflows})


def export(out: pathlib.Path, *, worktree: bool) -> None:
    """Files at HEAD, or as they lie in the work tree (new ones too). Raises VariantError if `out` has files."""
    if out.exists() and any(out.iterdir()):
        raise VariantError(f"{out} is not empty")
    out.mkdir(parents=True, exist_ok=True)
    if not worktree:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", "HEAD"))) as tar:
            tar.extractall(out, filter="data")
        return
    for name in worktree_files():
        source, target = ROOT / name, out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def worktree_files() -> list[str]:
    """All that belongs to the sources, committed or not. Without git, as in an archive, that is all there is."""
    try:
        listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    except subprocess.CalledProcessError:
        walked = (pathlib.Path(folder) / name for folder, _, names in _walk() for name in names)
        return sorted(str(path.relative_to(ROOT)) for path in walked)
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def _walk() -> Iterator[tuple[str, list[str], list[str]]]:
    for folder, below, names in os.walk(ROOT):
        below[:] = [one for one in below if one not in _MADE and not one.endswith("_cache")]
        yield folder, below, names


def _git(*arguments: str) -> bytes:
    return subprocess.run(
        ["git", "-c", "safe.directory=*", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=60
    ).stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", required=True, help="OWNER/REPO the variant will be at")
    parser.add_argument("--ref", required=True, help="tag or branch the variant will be at")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="empty folder to write to")
    parser.add_argument("--worktree", action="store_true", help="the files as they lie, not the last commit")
    options = parser.parse_args(arguments)
    if not REPOSITORY.fullmatch(options.repository) or not REF.fullmatch(options.ref):
        parser.error("--repository is OWNER/REPO, --ref a tag or branch")
    try:
        export(options.out, worktree=options.worktree)
        changed = derive(options.out, repository=options.repository, ref=options.ref)
    except VariantError as error:
        print(f"variant: {error}", file=sys.stderr)
        return 2
    print(f"{len(changed)} files translated to {options.repository}@{options.ref} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
