"""Rules of the house which no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src/terrarium").rglob("*.py"))


def _calls(tree: ast.AST) -> Iterator[tuple[int, str, list[ast.expr]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node.args


def test_all_waiting_goes_through_the_clock() -> None:
    """`asyncio.sleep(0)` lets others run; anything longer is time, and that is the clock's."""
    guilty = []
    for path in SOURCES:
        if path.parts[-2:] in (("base", "clock.py"), ("base", "tasks.py")):
            continue
        text = path.read_text()
        if "sleep" not in text:
            continue
        for line, name, arguments in _calls(ast.parse(text)):
            if name == "asyncio.sleep" and not (
                arguments and isinstance(arguments[0], ast.Constant) and arguments[0].value == 0
            ):
                guilty.append(f"{path.relative_to(ROOT)}:{line}")
    assert not guilty


def test_every_module_says_what_it_is() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


HEAVY = {
    "botocore",
    "boto3",
    "moto",
    "grpc",
    "numpy",
    "kubernetes_validate",
    "uvicorn",
    "starlette",
    "jinja2",
    "cryptography",
    "asyncio",
}


@pytest.mark.parametrize("command", [["--help"], ["tf", "version"], ["lab", "--list"]], ids=" ".join)
def test_a_light_command_imports_nothing_heavy(command: list[str]) -> None:
    program = (
        "import sys; from terrarium.cli.main import main; sys.argv = ['terrarium', *sys.argv[1:]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('\\n' + '\\n'.join(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=True)
    allowed = {"asyncio"} if command[0] == "lab" else set()
    assert not (HEAVY - allowed) & set(done.stderr.split())


def test_every_command_is_documented() -> None:
    from terrarium.cli.main import COMMANDS

    readme = (ROOT / "README.md").read_text()
    commands = (ROOT / "docs/commands.md").read_text()
    assert [c for c in COMMANDS if f"`terrarium {c}" not in readme + commands] == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken
