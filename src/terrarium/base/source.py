"""Text with places in it: a source file, and ranges of it.

Syntax nodes carry byte-free character offsets only (two integers); lines, columns and bytes are worked out when a
message is to be shown, because almost every node is never shown.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

from terrarium.base import graphemes


@dataclass(frozen=True, slots=True, order=True)
class Pos:
    """A place: `line` and `column` count from 1 (column in grapheme clusters), `byte` from 0 (UTF-8)."""

    line: int = 1
    column: int = 1
    byte: int = 0


@dataclass(frozen=True, slots=True)
class Range:
    """A stretch of a file from `start` up to, not including, `end`."""

    filename: str
    start: Pos = Pos()
    end: Pos = Pos()

    def __str__(self) -> str:
        if self.start.line == self.end.line:
            return f"{self.filename}:{self.start.line},{self.start.column}-{self.end.column}"
        return f"{self.filename}:{self.start.line},{self.start.column}-{self.end.line},{self.end.column}"


@dataclass(slots=True, eq=False)
class Source:
    """One text and its name. `text` is decoded UTF-8, as it was read (CRLF kept).

    `base` is where the text begins when it is a part of a greater one (a template in a JSON string).
    """

    filename: str
    text: str
    base: Pos = Pos()
    _lines: list[int] = field(default_factory=list, repr=False)
    _bytes: list[int] = field(default_factory=list, repr=False)

    def _starts(self) -> list[int]:
        if not self._lines:
            starts = [0]
            find = self.text.find
            at = find("\n")
            while at >= 0:
                starts.append(at + 1)
                at = find("\n", at + 1)
            self._lines = starts
        return self._lines

    def _byte(self, line: int, offset: int) -> int:
        if self.text.isascii():
            return offset
        if not self._bytes:
            starts = self._starts()
            at = 0
            for begin, end in zip(starts, [*starts[1:], len(self.text)], strict=True):
                self._bytes.append(at)
                at += utf8_length(self.text[begin:end])
        return self._bytes[line] + utf8_length(self.text[self._lines[line] : offset])

    def pos(self, offset: int) -> Pos:
        """The place of a character offset (0 up to `len(text)`)."""
        starts = self._starts()
        line = bisect.bisect_right(starts, offset) - 1
        before = self.text[starts[line] : offset]
        if line == 0:
            before = before.removeprefix("\ufeff")  # a byte order mark takes bytes, but no column
        column = columns(before) + 1
        byte = self._byte(line, offset)
        base = self.base
        first = line == 0
        return Pos(base.line + line, base.column + column - 1 if first else column, base.byte + byte)

    def range(self, start: int, end: int) -> Range:
        return Range(self.filename, self.pos(start), self.pos(end))

    def line_text(self, line: int) -> str:
        """The text of a line (counting from 1) without its end; "" when there is no such line."""
        starts = self._starts()
        if not 1 <= line <= len(starts):
            return ""
        end = starts[line] if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : end].rstrip("\r\n")


def utf8(text: str) -> bytes:
    """The bytes the text had in its file; a lone surrogate of `surrogateescape` stands for one that was no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def utf8_length(text: str) -> int:
    return len(text) if text.isascii() else len(utf8(text))


def columns(text: str) -> int:
    """How many columns `text` takes: its grapheme clusters."""
    return len(text) if text.isascii() and "\r" not in text else graphemes.count(text)
