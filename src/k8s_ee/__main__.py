"""parse → run the command → report. The only place that catches our errors and the only one that exits."""

from __future__ import annotations

import signal
import sys
import traceback
from typing import NoReturn

import click

from k8s_ee import cli, errors, outcome, report
from k8s_ee.commands import reporting


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
    if isinstance(result, outcome.Outcome):
        _print(run, result)
        reporting.publish(run.session, result)
    return 0


def _failed(run: cli.Run, error: errors.K8sEEError) -> int:
    if run.debug:
        traceback.print_exception(error)
    result = reporting.failure(run.session, error, command=run.command)
    _print(run, result)
    reporting.publish(run.session, result)
    return error.exit_code


def _print(run: cli.Run, result: outcome.Outcome) -> None:
    if run.output == "json":
        click.echo(report.as_json(result))
    else:
        click.echo(report.text(result, colour=sys.stdout.isatty()), err=result.failure is not None)


def _interrupt(number: int, _frame: object) -> NoReturn:
    """Once: what follows is the report, and a second signal must not cut that short."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    raise errors.Interrupted(number)


if __name__ == "__main__":
    main()
