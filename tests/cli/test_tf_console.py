"""The console from a pipe: one expression a line, the last result printed, the first mistake the end."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from terrarium.cli.tf_console import console, may_go_on
from terrarium.language import functions
from terrarium.language.scope import Scope

SCOPE = Scope({}, functions.table(console=True))


def run(text: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = console([], lambda expression: (SCOPE, []), source=io.StringIO(text))
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "text, code, out, said",
    [
        ("1 + 1\n", 0, "2\n", ""),
        ("1\n2\n", 0, "2\n", ""),
        ("1", 0, "1\n", ""),
        ("", 0, "\n", ""),
        ("1\n\n", 0, "\n", ""),
        ("1\nexit\n2\n", 0, "", ""),
        ("1\n[][0]\n2\n", 1, "", "Error: Invalid index"),
        ("(1\n", 1, "", "Error: "),
        ("type([1])\n", 0, "tuple([\n    number,\n])\n", ""),
        ("[type(1)]\n", 1, "", "Error: Invalid use of type function"),
        ("plantimestamp()\n", 1, "", "Error: Call to unknown function"),
    ],
)
def test_piped(text: str, code: int, out: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    got = run(text, capsys)
    assert got[:2] == (code, out)
    assert said in got[2] and bool(said) == bool(got[2])


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("help\n", capsys)[1].startswith("The Terraform console allows you to experiment")


def test_no_arguments() -> None:
    assert console(["x"], lambda expression: (SCOPE, [])) == 1


@pytest.mark.parametrize(
    "lines, more",
    [
        (["1 +"], False),
        (["["], True),
        (["[", "1"], True),
        (["[", "1]"], False),
        (["{ a = ("], True),
        (["(", ""], False),
        (["]"], False),
        (["(]"], False),
        (["<<EOT", "x"], True),
        ([], False),
    ],
)
def test_an_entry_may_go_on(lines: list[str], more: bool) -> None:
    assert may_go_on(lines) is more


# --- at a terminal ---------------------------------------------------------------------------------------------------

PROGRAM = """
import fcntl, termios

from terrarium.cli.tf_console import console
from terrarium.language import functions
from terrarium.language.scope import Scope

fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C comes through
table = functions.table(console=True)
raise SystemExit(console([], lambda expression: (Scope({}, table), []), lambda: ["upper", "uuid"]))
"""


class Terminal:
    """A console at a pseudo terminal: `type` sends keys and gives what is shown up to the next prompt."""

    def __init__(self, state: Path) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb", "INPUTRC": os.devnull},
        )
        os.close(theirs)
        self.shown()

    def shown(self) -> str:
        text = ""
        while not text.endswith(("> ", ": ")):
            try:
                text += os.read(self.ours, 4096).decode()
            except OSError:  # the other side is closed
                break
        return text.replace("\r", "").replace("\a", "")

    def type(self, keys: str) -> str:
        os.write(self.ours, keys.encode())
        return self.shown()

    def close(self) -> int:
        code = self.process.wait(20)
        os.close(self.ours)
        return code


def test_terminal(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.type("1 + 1\n") == "1 + 1\n2\n> "
    assert terminal.type("[\n") == "[\n: "
    assert terminal.type("3]\n") == "3]\n[\n  3,\n]\n> "
    assert "Error: Invalid index" in terminal.type("[][0]\n")
    assert terminal.type('upp\t("a")\n').endswith('"A"\n> ')
    assert terminal.type("((\n").endswith(": ")
    assert terminal.type("\x03").endswith("(multi-line entry canceled)\n> ")
    terminal.type("exit\n")
    assert terminal.close() == 0
    history = (tmp_path / "terrarium" / "console_history").read_text()
    assert "1 + 1" in history
    again = Terminal(tmp_path)
    assert again.type("\x10\x10\x10\n").endswith('"A"\n> ')  # three entries back
    assert again.type("\x04") == "exit\n"
    assert again.close() == 0
