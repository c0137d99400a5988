"""parse → run the command → report. The only place that catches our errors and the only one that exits."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from typing import NoReturn

import click

from k8s_ee import cli, errors, outcome, report
from k8s_ee.commands import reporting

_BUG = "please report it with the output of the same command and --debug"


def main() -> NoReturn:
    """Exit codes are those of `errors`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    run = cli.Run()
    sys.exit(_execute(run, sys.argv[1:]))


def _execute(run: cli.Run, arguments: list[str]) -> int:
    try:
        result = cli.main.main(arguments, prog_name="k8s-ee", standalone_mode=False, obj=run)
    except errors.K8sEEError as error:
        return _failed(run, error)
    except click.ClickException as error:
        error.show()
        return errors.InputError.exit_code
    except click.Abort:
        return 130
    except Exception as error:  # a bug of ours: said as one, with a way to show it to us
        return _failed(run, errors.K8sEEError(f"this is a bug: {type(error).__name__}: {error}", hint=_BUG), error)
    if isinstance(result, outcome.Outcome):
        _report(run, result)
    return 0


def _failed(run: cli.Run, error: errors.K8sEEError, cause: Exception | None = None) -> int:
    if run.debug:
        traceback.print_exception(cause or error)
    _report(run, reporting.failure(run.session, error, command=run.command))
    return error.exit_code


def _report(run: cli.Run, result: outcome.Outcome) -> None:
    result = run.session.redactor.outcome(result) if run.session else result
    _print(run, result)
    reporting.publish(run.session, result)


def _print(run: cli.Run, result: outcome.Outcome) -> None:
    shown = report.as_json(result) if run.output == "json" else report.text(result, colour=sys.stdout.isatty())
    quiet = run.session.runner.foreign_output() if run.session else contextlib.nullcontext()
    with quiet:  # log lines and branch names are somebody else's words
        click.echo(shown, err=result.failure is not None and run.output != "json")


def _interrupt(number: int, _frame: object) -> NoReturn:
    """Once: what follows is the report, and a second signal must not cut that short."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise errors.Interrupted(number)


if __name__ == "__main__":
    main()
