"""The console from a pipe: one expression a line, the last result printed, the first mistake the end."""

from __future__ import annotations

import io

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
