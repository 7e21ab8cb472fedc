"""The examples of the guide are right, and it names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "python-api.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_examples() -> None:
    """Each may use what those before it imported."""
    names: dict[str, object] = {}
    for number, example in enumerate(EXAMPLES):
        exec(compile(example, f"example {number + 1}", "exec"), names)
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize(
    "module, names",
    [
        ("edit", "parse Document Comment"),
        ("format", "format_text format_source format_fragment"),
        ("parser", "parse parse_expression parse_template"),
        ("json_syntax", "parse"),
        ("evaluate", "evaluate"),
        ("functions", "table"),
        ("printing", "console_text"),
        ("json_values", "encode"),
        ("values", "string number boolean object_of tuple_of"),
        ("scope", "Scope"),
    ],
)
def test_names(module: str, names: str) -> None:
    found = __import__(f"terrarium.language.{module}", fromlist=["x"])
    text = GUIDE.read_text()
    assert module in text
    assert all(hasattr(found, name) for name in names.split())
