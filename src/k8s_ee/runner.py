"""The runner's protocol: outputs, summary, annotations, masks, groups. Outside of a workflow it does nothing.

Commands are formatted by actions-toolkit and written here: it leaves masks in a buffer while a child process prints
what they should hide, sends properties without a value, and lets text that starts with `::` through as a command.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TextIO

from k8s_ee import errors, quoting, redact, settings

Level = Literal["error", "warning", "notice"]

# https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands: per step.
ANNOTATIONS_PER_LEVEL = 10
SUMMARY_BYTES = 1024 * 1024

_CUT = "\n\n_The rest was cut: a job summary holds 1 MiB._\n"


class Runner:
    def __init__(
        self,
        given: settings.Settings,
        *,
        stream: TextIO | None = None,
        redacted: Callable[[str], str] | None = None,
    ) -> None:
        self._settings = given
        self._stream = stream
        self._redacted = redacted or redact.Redactor().redact
        self._annotated: dict[Level, int] = {}
        self._masked: set[str] = set()
        self._summary_bytes = 0
        self.lost: OSError | None = None
        """Why something could not be printed."""

    def outputs(self, values: Mapping[str, str]) -> None:
        """Appends to the step's outputs. Raises InputError when the runner's file can't be written."""
        from actions_toolkit import file_command

        if self._settings.output_path:
            lines = [file_command.prepare_key_value_message(name, value) for name, value in values.items()]
            self._append("GITHUB_OUTPUT", "".join(f"{line}\n" for line in lines))

    def summary(self, markdown: str) -> None:
        """Appends to the job summary, cut at what the runner accepts from one step; too much would lose all of it."""
        if not self._settings.summary_path:
            return
        room = SUMMARY_BYTES - self._summary_bytes
        data = f"{markdown}\n".encode()
        if len(data) > room:
            data = data[: max(0, room - len(_CUT.encode()))] + _CUT.encode()[:room]
        self._append("GITHUB_STEP_SUMMARY", data.decode(errors="ignore"))
        self._summary_bytes += len(data)

    def mask(self, value: str) -> None:
        """Hides a value in everything the job prints from now on, in all its encodings."""
        for form in redact.encodings(value):
            if len(form) >= redact.SHORTEST and form not in self._masked:
                self._masked.add(form)
                self._command("add-mask", form)

    def error(self, message: str, *, title: str = "", file: str = "", line: int = 0, column: int = 0) -> None:
        self._annotate("error", message, title=title, file=file, line=line, column=column)

    def warning(self, message: str, *, title: str = "", file: str = "", line: int = 0, column: int = 0) -> None:
        self._annotate("warning", message, title=title, file=file, line=line, column=column)

    def notice(self, message: str, *, title: str = "", file: str = "", line: int = 0, column: int = 0) -> None:
        self._annotate("notice", message, title=title, file=file, line=line, column=column)

    def problems(self, found: tuple[errors.Problem, ...]) -> None:
        """One annotation on the line of each problem; the runner shows ten, the summary has them all."""
        for one in found:
            hint = f" ({one.hint})" if one.hint else ""
            self.error(one.message + hint, title="k8s-ee", file=one.path, line=one.line, column=one.column)

    @contextlib.contextmanager
    def group(self, name: str) -> Iterator[None]:
        self._command("group", name)
        try:
            yield
        finally:
            self._command("endgroup", "")

    @contextlib.contextmanager
    def foreign_output(self) -> Iterator[None]:
        """Within, the runner takes no commands: a tool may print what a pull request told it to."""
        token = secrets.token_hex(16)
        self._command("stop-commands", token)
        try:
            yield
        finally:
            self._command(token, "")

    def _annotate(self, level: Level, message: str, **properties: str | int) -> None:
        message = self._redacted(message)
        count = self._annotated.get(level, 0) + 1
        self._annotated[level] = count
        if count > ANNOTATIONS_PER_LEVEL:
            self._write(f"{quoting.plain(f'{level}: {_place(properties)}{message}')}\n")
            return
        if not properties["line"]:
            properties["column"] = 0
        names = {"title": "title", "file": "file", "line": "line", "column": "col"}
        self._command(level, message, {names[key]: value for key, value in properties.items() if value})

    def _command(self, name: str, message: str, properties: Mapping[str, str | int] | None = None) -> None:
        from actions_toolkit import command

        self._write(f"{command.Command(name, dict(properties or {}), message)}\n")

    def _write(self, text: str) -> None:
        if not self._settings.is_actions:
            return
        self.lost = write(self._stream or sys.stdout, text) or self.lost

    def _append(self, variable: str, text: str) -> None:
        path = self._settings.output_path if variable == "GITHUB_OUTPUT" else self._settings.summary_path
        assert path is not None  # noqa: S101 - both callers looked
        try:
            with path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError as error:
            raise errors.InputError(f"{variable} can't be written: {error.strerror}", hint=f"{path}") from None


def _place(properties: Mapping[str, str | int]) -> str:
    return f"{properties['file']}:{properties['line']}: " if properties["file"] else ""


def write(stream: TextIO, text: str) -> OSError | None:
    """Why it could not be written, and then the stream takes whatever comes and keeps nothing.

    It is no trouble that a reader has seen enough (`| head`).
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        silence(stream)
        return None if isinstance(error, BrokenPipeError) else error
    return None


def silence(stream: TextIO) -> None:
    """What is still in its buffer would be tried once more when Python ends."""
    with pathlib.Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
