"""`terrarium tf console`: expressions in, values out.

From a pipe each line is one expression, the first mistake ends it, and only the last result is printed, as Terraform
does it. On a terminal it is a prompt with history, completion and expressions over several lines. What names mean is
the caller's: it hands in a function from an expression to the scope it is evaluated in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TextIO

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.language import nodes, printing
from terrarium.language.evaluate import evaluate
from terrarium.language.parser import parse_expression
from terrarium.language.scope import Scope
from terrarium.language.text import SPACES
from terrarium.language.types import TYPE
from terrarium.language.values import TYPE_MARK

MakeScope = Callable[[nodes.Expression], tuple[Scope, list[Diagnostic]]]
"""The scope in which an expression is evaluated, and what is wrong with its references. Its functions should come from
`functions.table(…, console=True)`."""

HELP: Final = """\
The Terraform console allows you to experiment with Terraform interpolations.
You may access resources in the state (if you have one) just as you would
from a configuration. For example: "aws_instance.foo.id" would evaluate
to the ID of "aws_instance.foo" if it exists in your state.

Type in the interpolation to test and hit <enter> to see the result.

To exit the console, type "exit" and hit <enter>, or use Control-C or
Control-D."""

FILENAME: Final = "<console-input>"


def answer(line: str, make_scope: MakeScope) -> tuple[str, list[Diagnostic]]:
    """What the console prints for an entry, and what is wrong with it."""
    word = line.strip(SPACES)
    if not word:
        return "", []
    if word == "help":
        return HELP, []
    expression, found = parse_expression(line, FILENAME)
    if has_errors(found):
        return "", found
    scope, more = make_scope(expression)
    found += more
    if has_errors(found):
        return "", found
    value, more = evaluate(expression, scope)
    found += more
    if has_errors(found):
        return "", found
    if TYPE_MARK in value.marks_deep:
        if value.type != TYPE:
            detail = 'The console-only "type" function cannot be used as part of an expression.'
            return "", [*found, error("Invalid use of type function", detail)]
        return printing.type_text(value.data), found
    return printing.console_text(value), found


def _report(found: Sequence[Diagnostic], colour: bool, width: int) -> None:
    if found:
        from terrarium.language.render import DEFAULT_WIDTH, render_all

        sys.stderr.write(render_all(found, {}, colour=colour, width=width or DEFAULT_WIDTH))
        sys.stderr.flush()


def console(
    args: Sequence[str],
    make_scope: MakeScope,
    names: Callable[[], Iterable[str]] = tuple,
    *,
    colour: bool = False,
    width: int = 0,
    source: TextIO | None = None,
) -> int:
    """Runs until the input ends; the exit code. `args` must be empty: flags are the caller's. `names` feeds completion,
    `width` is that of messages (0: the usual one)."""
    if args:
        print("The console command expects no arguments.", file=sys.stderr)
        return 1
    source = source or sys.stdin
    if source.isatty():
        return _interactive(make_scope, names, colour, width)
    return _piped(make_scope, source, colour, width)


def _piped(make_scope: MakeScope, source: TextIO, colour: bool, width: int) -> int:
    last = ""
    for line in source:
        text = line.strip(SPACES)
        if text == "exit":
            return 0
        last, found = answer(text, make_scope)
        _report(found, colour, width)
        if has_errors(found):
            return 1
    print(last)
    return 0


# --- at a terminal ---------------------------------------------------------------------------------------------------


def may_go_on(lines: Sequence[str]) -> bool:
    """Whether brackets, a template or a heredoc are still open, so that more lines are likely to come. An empty line
    ends the entry in any case."""
    from terrarium.base.source import Source
    from terrarium.language import tokens

    if not lines or not lines[-1].strip(SPACES):
        return False
    opened: list[int] = []
    scanned = tokens.tokenize(Source(FILENAME, "\n".join(lines) + "\n"))
    if scanned.odd and tokens.complaints(scanned):
        return False
    closes = {
        tokens.C_BRACE: (tokens.O_BRACE,),
        tokens.C_BRACK: (tokens.O_BRACK,),
        tokens.C_PAREN: (tokens.O_PAREN,),
        tokens.C_HEREDOC: (tokens.O_HEREDOC,),
        tokens.T_END: (tokens.T_INTERP, tokens.T_CONTROL),
    }
    openers = {kind for kinds in closes.values() for kind in kinds}
    for kind in scanned.kinds:
        if kind in openers:
            opened.append(kind)
        elif kind in closes and (not opened or opened.pop() not in closes[kind]):
            return False
    return bool(opened)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "terrarium" / "console_history"


def _prepare(names: Callable[[], Iterable[str]]) -> Callable[[], None]:
    """Sets up history and completion; what is returned saves the history."""
    try:
        import readline
    except ImportError:
        return lambda: None
    path = _history_file()
    try:
        readline.read_history_file(path)
    except OSError:
        pass  # no history yet, or none that may be read: start without
    readline.set_history_length(1000)
    readline.set_completer_delims(" \t\n()[]{},:=?!+-*/%<>&|\"'")

    def complete(text: str, index: int) -> str | None:
        found = sorted(name for name in names() if name.startswith(text))
        return found[index] if index < len(found) else None

    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")

    def save() -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(path)
        except OSError:
            pass  # a home that can't be written to is no reason to fail at the end

    return save


def _interactive(make_scope: MakeScope, names: Callable[[], Iterable[str]], colour: bool, width: int) -> int:
    save = _prepare(names)
    lines: list[str] = []
    try:
        while True:
            try:
                lines.append(input(": " if lines else "> "))
            except EOFError:
                print("exit")
                return 0
            except KeyboardInterrupt:
                print()
                if not lines:
                    return 0
                lines.clear()
                print("(multi-line entry canceled)")
                continue
            if may_go_on(lines):
                continue
            entry = "".join(f"{line}\n" for line in lines)
            lines.clear()
            if entry.strip(SPACES) == "exit":
                return 0
            text, found = answer(entry, make_scope)
            _report(found, colour, width)
            print(text)
    finally:
        save()
