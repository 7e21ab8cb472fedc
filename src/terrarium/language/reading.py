"""Reading tokens one after the other, with HCL's rules for finding the thread again after a mistake.

The base of the parser's parts (`template_parsing`, `expression_parsing`, `parser`). Newlines count in bodies and object
constructors and nowhere else, so the reader has one flag for whether to see them. Comments never reach it; one which
ends its line stands for the newline.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Range, Source
from terrarium.language import templates
from terrarium.language.nodes import (
    Attribute,
    Block,
    Label,
)
from terrarium.language.tokens import (
    C_BRACE,
    C_BRACK,
    C_HEREDOC,
    C_PAREN,
    C_QUOTE,
    COMMENT,
    EOF,
    IDENT,
    NEWLINE,
    O_BRACE,
    O_BRACK,
    O_HEREDOC,
    O_PAREN,
    O_QUOTE,
    QUOTED_LIT,
    T_CONTROL,
    T_END,
    T_INTERP,
    Tokens,
)

MAX_DEPTH: Final = 150
"""How deep brackets, blocks and templates may be nested in one another."""

MAX_HEIGHT: Final = 200
"""How high an expression's tree may be; also the longest chain of operators or index steps."""

_OPENER: Final = {
    C_BRACE: O_BRACE,
    C_BRACK: O_BRACK,
    C_PAREN: O_PAREN,
    C_QUOTE: O_QUOTE,
    C_HEREDOC: O_HEREDOC,
    T_END: T_INTERP,
}
_OPENERS: Final = frozenset((*_OPENER.values(), T_CONTROL))


_COMMENTS: Final = re.compile(re.escape(bytes([COMMENT])))


def _without(items: list[int], indices: list[int]) -> list[int]:
    """The items but those at these (rising) indices."""
    kept: list[int] = []
    at = 0
    for index in indices:
        kept += items[at:index]
        at = index + 1
    kept += items[at:]
    return kept


class TooDeep(Exception):
    """Internal: stops parsing at a bound; carries the offset."""

    def __init__(self, at: int) -> None:
        self.at = at


class Enough(Exception):
    """Internal: stops parsing a file with more mistakes than anybody will read."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Holds Python's cycle collector off while a tree of many small objects is built: it would walk all of them again
    and again, for a third of the time, and the tree has no cycles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Reader:
    """Reads one token list: what is next, what went wrong, and where the thread can be found again."""

    def __init__(self, tokens: Tokens) -> None:
        self.source = tokens.source
        self.text = tokens.source.text
        if tokens.comments:
            self._without_comments(tokens)
        else:
            self.kinds, self.starts, self.ends = tokens.kinds, tokens.starts, tokens.ends
        self.at = 0
        self.newlines = True
        self.recovery = False
        self.diagnostics: list[Diagnostic] = []
        self.depth = 0
        self.height = 0
        self.root_attributes: dict[str, Attribute] = {}
        self.root_blocks: list[Block] = []

    def _without_comments(self, tokens: Tokens) -> None:
        text, ends = self.text, tokens.ends
        kinds = tokens.kinds.copy()
        inside: list[int] = []
        for match in _COMMENTS.finditer(bytes(kinds)):
            index = match.start()
            if text[ends[index] - 1] == "\n":
                kinds[index] = NEWLINE
            else:
                inside.append(index)
        self.kinds, self.starts, self.ends = kinds, tokens.starts, ends
        if inside:
            self.kinds, self.starts, self.ends = (_without(x, inside) for x in (kinds, tokens.starts, ends))

    # --- reading tokens ------------------------------------------------------------------------------------------

    def peek(self) -> int:
        """The kind of the next token; `self.at` is then its index."""
        kinds = self.kinds
        at = self.at
        kind = kinds[at]
        if kind == NEWLINE and not self.newlines:
            while kind == NEWLINE:
                at += 1
                kind = kinds[at]
            self.at = at
        return kind

    def read(self) -> int:
        """Takes the next token and returns its index. The last one, EOF, is never taken."""
        kind = self.peek()
        at = self.at
        if kind != EOF:
            self.at = at + 1
        return at

    def range_of(self, first: int, last: int | None = None) -> Range:
        return self.source.range(self.starts[first], self.ends[first if last is None else last])

    def word(self, index: int) -> str:
        return self.text[self.starts[index] : self.ends[index]]

    def next_is_word(self, word: str) -> bool:
        return self.peek() == IDENT and self.word(self.at) == word

    def say(self, summary: str, detail: str, at: int, since: int | None = None) -> None:
        """Reports a mistake at token `at`, with everything since token `since` as its context."""
        context = None if since is None else self.range_of(since, at)
        self.diagnostics.append(error(summary, detail, self.range_of(at), context))

    def say_unless_lost(self, summary: str, detail: str, at: int, since: int | None = None) -> None:
        if not self.recovery:
            self.say(summary, detail, at, since)

    def failed_since(self, count: int) -> bool:
        """Whether the thread was lost since there were `count` diagnostics."""
        return self.recovery and len(self.diagnostics) > count

    # --- recovery ------------------------------------------------------------------------------------------------

    def recover(self, closer: int) -> int:
        """Skips past the next `closer` of this level; returns its index, or that of EOF."""
        self.recovery = True
        opener = _OPENER.get(closer)
        nested = 0
        while True:
            index = self.read()
            kind = self.kinds[index]
            if kind == closer:
                if nested < 1:
                    return index
                nested -= 1
            elif kind == opener or (closer == T_END and kind == T_CONTROL):
                nested += 1
            elif kind == EOF:
                return index

    def recover_over(self, opener: int, closer: int) -> None:
        """Skips to the next `opener`, and past what it opens."""
        while self.kinds[self.read()] not in (opener, EOF):
            pass
        self.recover(closer)

    def recover_item(self) -> None:
        """Skips to the end of the line, past whatever brackets open before it."""
        self.recovery = True
        opened: list[int] = []
        while True:
            kind = self.kinds[self.read()]
            if kind == EOF or (kind == NEWLINE and not opened):
                return
            if kind in _OPENERS:
                opened.append(kind)
            elif kind in _OPENER:
                wanted = (T_INTERP, T_CONTROL) if kind == T_END else (_OPENER[kind],)
                while opened and opened[-1] not in wanted:
                    opened.pop()
                if opened:
                    opened.pop()

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooDeep(self.starts[min(self.at, len(self.starts) - 1)])

    def rise(self, height: int, at: int) -> None:
        """Notes the height of the tree just built."""
        self.height = height
        if height > MAX_HEIGHT:
            raise TooDeep(at)

    def quoted_literal(self) -> Label:
        """A quoted string which may hold no template: a label, or the key of a traversal."""
        kinds, starts, ends = self.kinds, self.starts, self.ends
        at = self.at
        if kinds[at + 1] == QUOTED_LIT and kinds[at + 2] == C_QUOTE:
            text = self.text[starts[at + 1] : ends[at + 1]]
            if "\\" not in text and "{" not in text:
                self.at = at + 3
                return Label(text, starts[at], ends[at + 2])
        opening = self.read()
        parts: list[str] = []
        while True:
            index = self.read()
            kind = kinds[index]
            if kind == C_QUOTE:
                break
            if kind == QUOTED_LIT:
                text, wrong = templates.unescape(self.source, starts[index], ends[index], quoted=True)
                self.diagnostics += wrong
                parts.append(text)
            elif kind in (T_INTERP, T_CONTROL):
                sign = "$" if kind == T_INTERP else "%"
                self.say(
                    "Invalid string literal",
                    f'Template sequences are not allowed in this string. To include a literal "{sign}", double it '
                    f'(as "{sign}{sign}") to escape it.',
                    index,
                    opening,
                )
                parts.append(sign + "{ ... }")
                self.recover(T_END)
            elif kind == EOF:
                self.say(
                    "Unterminated string literal",
                    "Unable to find the closing quote mark before the end of the file.",
                    index,
                    opening,
                )
                break
            else:
                self.say("Invalid string literal", "This item is not valid in a string literal.", index, opening)
                self.recover(C_QUOTE)
                break
        return Label("".join(parts), starts[opening], ends[index])


def too_deep(source: Source, at: int) -> Diagnostic:
    return error(
        "Nesting too deep",
        f"Brackets, blocks and templates may be nested up to {MAX_DEPTH} levels deep, and an expression may chain up "
        f"to {MAX_HEIGHT} operators. Split this with a local value.",
        source.range(at, min(at + 1, len(source.text))),
    )
