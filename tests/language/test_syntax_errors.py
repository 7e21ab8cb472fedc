"""What Terraform 1.11.4 says of broken files: message, place and snippet, as it was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from terrarium.language import json_syntax, parser
from terrarium.language.render import Renderer

DATA = Path(__file__).parents[1] / "data" / "language"
CASES = [json.loads(line) for line in (DATA / "syntax_errors.jsonl").read_text().splitlines()]


def compact(diagnostic: dict[str, Any]) -> dict[str, Any]:
    start, end, snippet = diagnostic["range"]["start"], diagnostic["range"]["end"], diagnostic["snippet"]
    return {
        "summary": diagnostic["summary"],
        "detail": diagnostic["detail"],
        "at": [*start.values(), *end.values()],
        "snippet": [
            snippet[k] for k in ("context", "code", "start_line", "highlight_start_offset", "highlight_end_offset")
        ],
    }


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c['kind']}-{n}") for n, c in enumerate(CASES)])
def test_recorded_mistakes(case: dict[str, Any]) -> None:
    if case["kind"] == "json":
        file, diagnostics = json_syntax.parse(case["text"], "x.tf.json")
    else:
        file, diagnostics = parser.parse(case["text"], "x.tf")
    renderer = Renderer({file.source.filename: file.source})
    seen = [compact(renderer.to_json(d)) for d in diagnostics]
    by_text = json.dumps
    assert sorted(map(by_text, map(sorted_keys, seen))) == sorted(map(by_text, map(sorted_keys, case["diagnostics"])))


def sorted_keys(value: dict[str, Any]) -> dict[str, Any]:
    return {key: value[key] for key in sorted(value)}
