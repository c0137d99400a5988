"""Shows text that others wrote as text: never as a mention, a marker, a workflow command or an escape sequence."""

from __future__ import annotations

import re

BIDIRECTIONAL = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f]|{BIDIRECTIONAL.pattern}")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_COMMAND = re.compile(r"^\s*(?=::)|#(?=#\[)", re.MULTILINE)
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~])")
_ZERO_WIDTH = "\u200b"


def plain(text: str) -> str:
    """Without control characters and terminal sequences, and harmless to the runner.

    It obeys `::` at the start of a line, and `##[` anywhere in it.
    """
    return _COMMAND.sub(rf"\g<0>{_ZERO_WIDTH}", _CONTROL.sub("", _ANSI.sub("", text.replace("\r\n", "\n"))))


def one_line(text: str, *, limit: int = 500) -> str:
    joined = " ".join(plain(text[: limit * 8]).split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def markdown(text: str, *, limit: int = 2000) -> str:
    """One line of Markdown that shows these very characters; `@` and `#` name nobody, links are no links."""
    line = one_line(text, limit=limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _MARKDOWN.sub(r"\\\1", line).replace("://", "&#58;//").replace("www.", "www&#46;")
    return line.replace("@", f"@{_ZERO_WIDTH}").replace("\\#", f"\\#{_ZERO_WIDTH}")


def code(text: str, *, limit: int = 200) -> str:
    """A code span that its content can't end; also fits into a table."""
    line = one_line(text, limit=limit).replace("|", "\u2502")
    ticks = "`" * (_longest_run(line) + 1)
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{space}{line}{space}{ticks}" if line else ""


def fence(lines: tuple[str, ...], *, limit: int) -> str:
    """A code block with the last lines that fit into `limit` characters, which its content can't end."""
    text = plain("\n".join(lines)[-limit * 4 :])
    if len(text) > limit:
        text = "…\n" + text[-limit:].partition("\n")[2]
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}text\n{text}\n{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
