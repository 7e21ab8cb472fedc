"""Places in text: lines, columns in what a reader counts as characters, bytes."""

from __future__ import annotations

import pytest

from terrarium.base.source import Pos, Source


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        pytest.param("abc", 0, Pos(1, 1, 0), id="start"),
        pytest.param("a\nbc", 3, Pos(2, 2, 3), id="second line"),
        pytest.param("a\r\nbc", 4, Pos(2, 2, 4), id="carriage return"),
        pytest.param("é=1", 1, Pos(1, 2, 2), id="two bytes, one column"),
        pytest.param("e\u0301=1", 2, Pos(1, 2, 3), id="a combining mark has no column"),
        pytest.param("日本\n語x", 4, Pos(2, 2, 10), id="three bytes each"),
        pytest.param("", 0, Pos(1, 1, 0), id="empty"),
    ],
)
def test_place_of_an_offset(text: str, offset: int, place: Pos) -> None:
    assert Source("f", text).pos(offset) == place


def test_a_part_of_a_text_knows_where_it_stands() -> None:
    part = Source("f", "ab\ncd", Pos(7, 11, 100))
    assert part.pos(1) == Pos(7, 12, 101)
    assert part.pos(4) == Pos(8, 2, 104)


def test_lines() -> None:
    source = Source("f", "one\r\ntwo\n")
    assert [source.line_text(n) for n in (0, 1, 2, 3, 4)] == ["", "one", "two", "", ""]
    assert str(source.range(0, 3)) == "f:1,1-4"
    assert str(source.range(0, 6)) == "f:1,1-2,2"
