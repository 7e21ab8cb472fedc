"""Odd arguments for the functions and operators, with what Terraform 1.11.4's console said to each.

The expressions were made at random, a few for each function and each kind of mistake; all stand alone. `value` is what
the console prints, `errors` are the summaries of its diagnostics.
"""

from __future__ import annotations

import json
from pathlib import Path

from terrarium.cli.tf_console import answer
from terrarium.language import functions
from terrarium.language.scope import Scope

CASES = Path(__file__).parents[1] / "data" / "language" / "differential.jsonl"


def test_recorded() -> None:
    table = functions.table(console=True)
    different: list[str] = []
    for line in CASES.read_text().splitlines():
        case = json.loads(line)
        text, found = answer(case["expr"] + "\n", lambda expression: (Scope({}, table), []))
        expected = (case.get("value", ""), sorted(case.get("errors", [])))
        if (text.strip("\n"), sorted(d.summary for d in found)) != expected:
            different.append(f"{case['expr']}\n    {expected}\n    {text!r} {[d.summary for d in found]}")
    assert not different, "\n".join(different)
