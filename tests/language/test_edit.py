"""Changes to a file by tools: only what was asked for changes."""

from __future__ import annotations

import pytest

from terrarium.language import edit

TEXT = """\
# The network.
# Two lines.
resource "aws_vpc" "this" {
  cidr_block   =   "10.0.0.0/16" # odd spacing

  tags = { a = 1 }
}

locals { one = 1 }
"""


@pytest.mark.parametrize(
    "find, name, expression, old, new",
    [
        (("resource", "aws_vpc", "this"), "cidr_block", "var.cidr", '"10.0.0.0/16"', "var.cidr"),
        (("resource", "aws_vpc", "this"), "new", "[1]", "  tags = { a = 1 }\n", "  tags = { a = 1 }\n  new = [1]\n"),
        (("locals",), "one", "2", "one = 1", "one = 2"),
        (("locals",), "two", "2", "{ one = 1 }", "{\n  one = 1\n  two = 2\n}"),
    ],
)
def test_set(find: tuple[str, ...], name: str, expression: str, old: str, new: str) -> None:
    document = edit.parse(TEXT, "main.tf")
    changed = document.set(document.find(*find), name, expression)
    assert changed.text == TEXT.replace(old, new)
    assert not changed.diagnostics


def test_refuses_what_is_no_expression() -> None:
    document = edit.parse(TEXT)
    block = document.find("locals")
    for wrong in ("1 +", "1\n+ 2"):
        with pytest.raises(ValueError):
            document.set(block, "one", wrong)


def test_comments_and_removal() -> None:
    document = edit.parse(TEXT)
    block = document.find("resource", "aws_vpc", "this")
    assert block is not None
    assert [c.text for c in document.lead_comments(block)] == ["# The network.", "# Two lines."]
    attribute = document.attribute(block, "tags")
    assert attribute is not None
    assert document.remove(attribute).text == TEXT.replace("  tags = { a = 1 }\n", "")
    assert [b.type for b in document.blocks()] == ["resource", "locals"]
    assert document.set(None, "top", "1").text == TEXT + "top = 1\n"
    assert 'cidr_block = "10.0.0.0/16"' in document.format()
