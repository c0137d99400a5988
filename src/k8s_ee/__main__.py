"""parse → run the command → report. The only place that catches our errors and the only one that exits."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import io
import itertools
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from k8s_ee import cli, errors, options, outcome, redact, report, runner, settings
from k8s_ee.commands import reporting


def main() -> NoReturn:
    """Exit codes are those of `errors`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    gc.freeze()  # Modules live until the end: nobody need look for garbage in them, nor in those that follow.
    gc.set_threshold(20_000)
    _open_streams()
    run = options.Run()
    try:
        code = _execute(run, sys.argv[1:])
    except errors.Interrupted as error:  # while the outcome was told: what is known of it is out
        _write(f"{error.message}: {error.hint}", to_stderr=True)
        code = error.exit_code
    gc.freeze()  # Python would look for garbage once more, a tenth of what a short command takes, just to end.
    sys.exit(code)


def _execute(run: options.Run, arguments: list[str]) -> int:
    try:
        result = cli.main.main(arguments, prog_name="k8s-ee", standalone_mode=False, obj=run)
    except errors.K8sEEError as error:
        return _failed(run, error)
    except click.ClickException as error:
        return _misused(error, arguments)
    except click.Abort:
        return 130
    except Exception as error:  # a bug of ours: said as one, with a way to show it to us
        is_output = isinstance(error, OSError) and not run.command
        return _unprinted(error) if is_output else _failed(run, _bug(error), error)
    return _report(run, result) if isinstance(result, outcome.Outcome) else 0


def _unprinted(error: Exception) -> int:
    """What --help, --version and the like print by themselves."""
    runner.silence(sys.stdout)
    _write(f"the output can't be written: {getattr(error, 'strerror', error)}", to_stderr=True)
    return errors.InputError.exit_code


def _bug(error: Exception) -> errors.K8sEEError:
    return errors.K8sEEError(
        f"this is a bug: {type(error).__name__}: {error}",
        hint="please report it with the output of the same command and --debug",
    )


def _wants_json(arguments: list[str]) -> bool:
    asked = "--output=json" in arguments or ("--output", "json") in itertools.pairwise(arguments)
    return asked or settings.environ().get("K8S_EE_OUTPUT") == "json"


def _misused(error: click.ClickException, arguments: list[str]) -> int:
    """Options that can't be read: nothing has begun, so there is nobody to tell but the caller."""
    if _wants_json(arguments):
        failure = outcome.Failure(message=error.format_message(), exit_code=errors.InputError.exit_code)
        command = next((one for one in arguments if one in cli.main.commands), "")
        _write(report.as_json(outcome.Outcome(command=command, state="failed", failure=failure)), to_stderr=False)
    else:
        with contextlib.suppress(OSError):
            error.show()
    return errors.InputError.exit_code


def _failed(run: options.Run, error: errors.K8sEEError, cause: Exception | None = None) -> int:
    if run.debug:
        redactor = run.session.redactor if run.session else redact.Redactor()
        _write(redactor.redact("".join(traceback.format_exception(cause or error))), to_stderr=True)
    try:
        result, code = reporting.failure(run.session, error, command=run.command), error.exit_code
    except errors.Interrupted as cut:
        result, code = reporting.failure(run.session, error, command=run.command, cut=cut), cut.exit_code
    told = _report(run, result)
    return code or told


def _report(run: options.Run, result: outcome.Outcome) -> int:
    """The exit code: not 0 where a step after this one, or whoever reads what was printed, would miss something."""
    result = run.session.redactor.outcome(result) if run.session else result
    missed = reporting.hand_on(run.session, result)
    shown = dataclasses.replace(result, failure=missed) if missed and not result.failure else result
    lost = _print(run, shown)
    reporting.publish(run.session, result)
    lost = lost or (run.session.runner.lost if run.session else None)
    if lost:
        _write(f"the result can't be written: {lost.strerror}", to_stderr=True)
    # `report` speaks for jobs that failed, and did not fail itself.
    if result.failure and result.command != "report":
        return result.failure.exit_code
    return errors.InputError.exit_code if missed or lost else 0


def _print(run: options.Run, result: outcome.Outcome) -> OSError | None:
    """Why it could not be."""
    failed = result.failure is not None
    if run.output == "json" or (not failed and "manifests" in result.data):
        _settle(sys.stdout, encoding="utf-8")  # Documents have one encoding, whatever a terminal has.
    if run.output == "json":
        return _write(report.as_json(result), to_stderr=False)
    stream = sys.stderr if failed else sys.stdout
    shown = report.text(result, colour=settings.colours() and stream.isatty())
    quiet = run.session.runner.foreign_output() if run.session else contextlib.nullcontext()
    with quiet:  # log lines and branch names are somebody else's words
        return _write(shown, to_stderr=failed)


def _write(text: str, *, to_stderr: bool) -> OSError | None:
    """Whatever becomes of it, what was done is still reported."""
    return runner.write(sys.stderr if to_stderr else sys.stdout, f"{text}\n")


def _open_streams() -> None:
    """Whoever starts us may have closed them, and the next file that is opened, here or by a tool, would take their
    place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        _settle(getattr(sys, name))


def _settle(stream: object, *, encoding: str | None = None) -> None:
    """What its encoding does not have is escaped: an old locale is no reason to say nothing."""
    if isinstance(stream, io.TextIOWrapper) and (encoding or stream.errors == "strict"):
        stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _interrupt(number: int, _frame: object) -> NoReturn:
    """Once: what follows is the report, and a second signal must not cut that short."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise errors.Interrupted(number)


if __name__ == "__main__":
    main()
