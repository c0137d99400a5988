"""parse → run the command → report. The only place that catches our errors and the only one that exits."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from k8s_ee import cli, errors, options, outcome, redact, report, settings
from k8s_ee.commands import reporting

_BUG = "please report it with the output of the same command and --debug"


def main() -> NoReturn:
    """Exit codes are those of `errors`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    run = options.Run()
    try:
        code = _execute(run, sys.argv[1:])
    except errors.Interrupted as error:  # while the outcome was told: what is known of it is out
        _write(f"{error.message}: {error.hint}", to_stderr=True)
        code = error.exit_code
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
        return _failed(run, errors.K8sEEError(f"this is a bug: {type(error).__name__}: {error}", hint=_BUG), error)
    return _report(run, result) if isinstance(result, outcome.Outcome) else 0


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
    _report(run, result)
    return code


def _report(run: options.Run, result: outcome.Outcome) -> int:
    """The exit code: not 0 where a step after this one would miss its outputs."""
    result = run.session.redactor.outcome(result) if run.session else result
    _print(run, result)
    try:
        reporting.publish(run.session, result)
    except errors.Interrupted:
        raise
    except errors.K8sEEError as error:
        _write(f"{error.message}: {error.hint}", to_stderr=True)
        return error.exit_code
    # `report` speaks for jobs that failed, and did not fail itself.
    return result.failure.exit_code if result.failure and result.command != "report" else 0


def _print(run: options.Run, result: outcome.Outcome) -> None:
    if run.output == "json":
        _write(report.as_json(result), to_stderr=False)
        return
    failed = result.failure is not None
    stream = sys.stderr if failed else sys.stdout
    shown = report.text(result, colour=settings.colours() and stream.isatty())
    quiet = run.session.runner.foreign_output() if run.session else contextlib.nullcontext()
    with quiet:  # log lines and branch names are somebody else's words
        _write(shown, to_stderr=failed)


def _write(text: str, *, to_stderr: bool) -> None:
    """Whoever reads may have seen enough (`| head`); what was done is still reported, and decides the exit code."""
    try:
        click.echo(text, err=to_stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if to_stderr else sys.stdout).fileno())


def _interrupt(number: int, _frame: object) -> NoReturn:
    """Once: what follows is the report, and a second signal must not cut that short."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise errors.Interrupted(number)


if __name__ == "__main__":
    main()
