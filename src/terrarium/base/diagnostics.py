"""The user's mistakes as values: what is wrong, where, and what to do, all of them at once.

Checks return lists of diagnostics; only the command line decides to stop and how to print them.
The environment's failures are exceptions (`Failure` and its children), translated at one boundary.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from terrarium.base.source import Range


class Severity(enum.Enum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message for the user.

    `subject` is the place to underline, `context` the larger stretch to show around it. `values` are the values of
    expressions which explain the message, as (expression, statement): ("var.n", "is 3"). `address` says in which
    object the mistake shows ("with aws_vpc.this,"); `attribute` is a path inside that object which a caller who knows
    its source turns into a `subject`. `code` is a stable machine name where a protocol has one.
    """

    severity: Severity
    summary: str
    detail: str = ""
    subject: Range | None = None
    context: Range | None = None
    values: tuple[tuple[str, str], ...] = ()
    address: str | None = None
    attribute: tuple[object, ...] | None = None
    code: str | None = None
    extra: object = field(default=None, compare=False)

    def at(self, subject: Range | None, context: Range | None = None) -> Diagnostic:
        return replace(self, subject=subject, context=context)


def error(summary: str, detail: str = "", subject: Range | None = None, context: Range | None = None) -> Diagnostic:
    return Diagnostic(Severity.ERROR, summary, detail, subject, context)


def warning(summary: str, detail: str = "", subject: Range | None = None, context: Range | None = None) -> Diagnostic:
    return Diagnostic(Severity.WARNING, summary, detail, subject, context)


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR for d in diagnostics)


class Failure(Exception):
    """The environment failed: a disk, a port, another program. `str()` is a sentence for the user; `hint` says what to do.

    The command line prints it and ends with `exit_code`; nothing below catches it only to print.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageFailure(Failure):
    """The command was called in a way that can't work (exit code 2)."""

    exit_code = 2


class DiagnosedFailure(Failure):
    """Stops an operation with diagnostics which were found deep inside."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics[0].summary if self.diagnostics else "failed")
