"""Broken and odd text for every door of the language: each may only return diagnostics.

A few hundred inputs run with the tests. For many (a million takes about half an hour on one core):

    .venv/bin/python -m tests.language.fuzzing 1000000 [SEED]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.base.source import Source
from terrarium.language import edit, functions, json_syntax
from terrarium.language.bodies import just_attributes
from terrarium.language.evaluate import evaluate
from terrarium.language.format import format_fragment, format_text
from terrarium.language.parser import parse, parse_expression, parse_template
from terrarium.language.scope import Scope
from terrarium.language.tokens import EOF, tokenize, tokenize_template

DATA: Final = Path(__file__).parent.parent / "data" / "language"
PIECES: Final = (
    *"{}[]()\"'`;:,.=!?<>+-*/%&|^~#@$\\\n\r\t \0",
    *("${", "%{", "~}", "$${", "%%{", "<<EOT\n", "<<-A\n", "EOT\n", "//", "/*", "*/", "...", "=>", "==", "::", "\r\n"),
    *("for ", " in ", "if ", "else", "endif", "endfor", "null", "true", "a", "b.c", "f(", "1", "1.5e3", "0x", "é", "\ufeff"),
    *("e\u0301", "\u2028", "\udc80", "👩‍👩‍👧", 'resource "a" "b" {\n', "x = ", '{"a":', "[1,", "\\u00e9", "\\q", '"k"'),
)  # fmt: skip


def sources() -> list[str]:
    """Right texts to break: what the formatter and the evaluator are tested with."""
    found: list[str] = []
    for name, field in (("fmt.jsonl", "input"), ("expressions.jsonl", "expr"), ("syntax_errors.jsonl", "text")):
        for line in (DATA / name).read_text().splitlines():
            text = json.loads(line).get(field)
            if isinstance(text, str) and len(text) < 2000:
                found.append(text)
    return found


def inputs(count: int, seed: int = 0) -> Iterator[str]:
    """Soups of pieces, and right texts with a few places broken."""
    chance = random.Random(seed)
    known = sources()
    for _ in range(count):
        if chance.random() < 0.5:
            yield "".join(chance.choices(PIECES, k=chance.randrange(1, 25)))
            continue
        text = chance.choice(known)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(PIECES) * chance.randrange(3) + text[at + chance.randrange(4) :]
        yield text


def placed(text: str, diagnostics: Sequence[Diagnostic]) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    for d in diagnostics:
        assert d.summary
        assert d.subject is None or 0 <= d.subject.start.byte <= d.subject.end.byte <= size + 8


def check(text: str) -> None:
    """Puts a text through every door. AssertionError or another exception: a defect."""
    for scan in (tokenize, tokenize_template):
        tokens = scan(Source("x", text))
        assert tokens.kinds[-1] == EOF and len(tokens.starts) == len(tokens.ends) == len(tokens.kinds)
    _, found = parse(text, "x")
    placed(text, found)
    formatted = format_text(text)
    assert formatted == text or not has_errors(found)
    format_fragment(text)
    document = edit.parse(text)
    for block in document.blocks():
        document.lead_comments(block)
    scope = Scope({}, functions.table())
    for read in (parse_expression, parse_template):
        expression, found = read(text, "x")
        placed(text, found)
        if not has_errors(found):
            _, found = evaluate(expression, scope)
            placed(text, found)
    file, found = json_syntax.parse(text, "x")
    placed(text, found)
    just_attributes(file.body)


def main(arguments: Sequence[str]) -> int:
    count = int(arguments[0]) if arguments else 10_000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    failures = 0
    for number, text in enumerate(inputs(count, seed)):
        try:
            check(text)
        except Exception as problem:
            failures += 1
            print(f"{number}: {text!r}\n   {type(problem).__name__}: {problem}")
    print(f"{count} inputs, {failures} defects")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
