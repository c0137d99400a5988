"""Everything that may go wrong, each with its exit code.

    K8sEEError
    ├── InputError            2  what was given can't be used
    │   └── ConfigError       2  k8s-ee.yaml or the platform settings, with every problem at its line
    ├── Refused               3  ownership, policy or permission says no
    │   └── Superseded        0  a newer run has it: nothing to do, and not even the comment is ours any more
    ├── NotReady              4  the environment did not become ready
    ├── Unavailable           5  cluster, GitHub or a tool can't be reached, or their answer can't be trusted
    │   ├── ClusterUnavailable
    │   ├── GitHubUnavailable
    │   ├── StorageUnavailable
    │   └── ToolMissing
    └── Interrupted     130/143  SIGINT or SIGTERM

One line says what failed (`message`), another what to do (`hint`).
"""

from __future__ import annotations

import dataclasses


class K8sEEError(Exception):
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(K8sEEError):
    exit_code = 2


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong in one file. `line` and `column` count from 1; 0 = the file as a whole."""

    path: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class ConfigError(InputError):
    """`project` is the `projectId` where that much could be read: it says whose comment this belongs into."""

    def __init__(self, problems: tuple[Problem, ...], *, hint: str = "", project: str = "") -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{problems[0].path}: {count}", hint=hint)
        self.problems = problems
        self.project = project


class Refused(K8sEEError):
    exit_code = 3


class Superseded(Refused):
    exit_code = 0


class NotReady(K8sEEError):
    """`evidence` holds the last redacted log lines or events of what failed, oldest first; `problems` the line of
    k8s-ee.yaml that asked for it, where there is one."""

    exit_code = 4

    def __init__(
        self, message: str, *, hint: str = "", evidence: tuple[str, ...] = (), problems: tuple[Problem, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.evidence = evidence
        self.problems = problems


class Unavailable(K8sEEError):
    exit_code = 5


class ClusterUnavailable(Unavailable):
    pass


class GitHubUnavailable(Unavailable):
    pass


class StorageUnavailable(Unavailable):
    pass


class ToolMissing(Unavailable):
    pass


class Interrupted(K8sEEError):
    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted", hint="run the same command again: it goes on from what is there")
        self.exit_code = 128 + signal_number


ONE_OF_MANY = (InputError, Refused, NotReady, Unavailable)
"""What one of many may fail of while the others go on. An interruption is none of these: it ends them all."""
