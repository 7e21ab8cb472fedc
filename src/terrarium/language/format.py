"""Canonical layout, byte for byte as `terraform fmt`.

Theory of operation (hclwrite's, in our own form). Only the space between tokens changes, and three spellings which
Terraform calls old: labels without quotes, `"${x}"` for `x`, and quoted type constraints. Work goes by lines of tokens;
a heredoc or a block comment is one token among others, so a "line" may span several of the text.

1. A line's indentation comes from the brackets which the lines before it opened: one level for a line, however many.
2. Between two tokens of a line there is one space or none; a table says which, and looks at a third token only for
   the sign of a number and the word `in`.
3. Where lines follow each other which have an `=` (and close on their right side what they open), the signs are
   aligned. Then the comments at the ends of neighbouring lines are.

What 2 and 3 need to know of a line depends on the kinds of its tokens alone. Files repeat few such shapes, so each is
worked out once (`_Shape`).
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from terrarium.base.diagnostics import Diagnostic, has_errors
from terrarium.base.source import Source, columns
from terrarium.language.nodes import Attribute, Block, Body, Template, TemplateWrap, Traversal
from terrarium.language.parser import parse_with_tokens
from terrarium.language.reading import collector_paused
from terrarium.language.tokens import (
    AND,
    BANG,
    C_BRACE,
    C_BRACK,
    C_HEREDOC,
    C_PAREN,
    C_QUOTE,
    COLON,
    COMMA,
    COMMENT,
    DOT,
    DOUBLE_COLON,
    ELLIPSIS,
    EQUAL,
    EQUAL_OP,
    GREATER,
    GREATER_EQ,
    IDENT,
    INVALID,
    LESS,
    LESS_EQ,
    MINUS,
    NEWLINE,
    NOT_EQUAL,
    NUMBER,
    O_BRACE,
    O_BRACK,
    O_HEREDOC,
    O_PAREN,
    O_QUOTE,
    OR,
    PERCENT,
    PLUS,
    QUESTION,
    QUOTED_LIT,
    SLASH,
    STAR,
    STRING_LIT,
    T_CONTROL,
    T_END,
    T_INTERP,
    Tokens,
    tokenize,
)

_BRACKET: Final[dict[int, int]] = {
    O_BRACE: 1,
    O_BRACK: 1,
    O_PAREN: 1,
    T_CONTROL: 1,
    T_INTERP: 1,
    C_BRACE: -1,
    C_BRACK: -1,
    C_PAREN: -1,
    T_END: -1,
}

_TEMPLATE_BEFORE: Final = frozenset((QUOTED_LIT, STRING_LIT, O_QUOTE, O_HEREDOC))
_TEMPLATE_AFTER: Final = frozenset((QUOTED_LIT, STRING_LIT, C_QUOTE, C_HEREDOC))

# After these, or at the start, a minus is the sign of what follows and not a subtraction.
_SIGN_AFTER: Final = frozenset(
    (
        O_PAREN,
        O_BRACE,
        O_BRACK,
        EQUAL,
        COLON,
        COMMA,
        QUESTION,
        PLUS,
        STAR,
        SLASH,
        PERCENT,
        MINUS,
        EQUAL_OP,
        NOT_EQUAL,
        GREATER,
        GREATER_EQ,
        LESS,
        LESS_EQ,
        AND,
        OR,
        BANG,
    )
)

_ENDINGS: Final = re.compile(b"[" + re.escape(bytes([NEWLINE, COMMENT])) + b"]")
_NONE: Final = -1
_NEVER, _ALWAYS, _AFTER_IN, _AFTER_MINUS = range(4)


def _space(subject: int, after: int) -> int:
    """Whether a space stands between two kinds of tokens; the rules in their order of precedence."""
    if after == NEWLINE:
        return _NEVER
    if subject == IDENT and after in (O_PAREN, DOUBLE_COLON):
        return _NEVER
    if subject == DOUBLE_COLON and after == IDENT:
        return _NEVER
    if DOT in (subject, after) or after in (COMMA, ELLIPSIS):
        return _NEVER
    if subject == COMMA:
        return _ALWAYS
    if subject in _TEMPLATE_BEFORE or after in _TEMPLATE_AFTER:
        return _NEVER
    closes = _BRACKET.get(after, 0) < 0
    if subject == IDENT and (after == O_BRACK or (closes and after != C_BRACE)):
        return _AFTER_IN
    if after == O_BRACK and (subject == NUMBER or _BRACKET.get(subject, 0) < 0):
        return _NEVER
    if subject == BANG:
        return _NEVER
    if subject == MINUS:
        return _AFTER_MINUS
    if subject == O_BRACE or after == C_BRACE:
        return _NEVER if subject == O_BRACE and after == C_BRACE else _ALWAYS
    if subject in (T_INTERP, T_CONTROL) and after == O_BRACE:
        return _ALWAYS
    if subject == C_BRACE and after == T_END:
        return _ALWAYS
    if subject == T_END and after in (T_INTERP, T_CONTROL):
        return _NEVER
    if _BRACKET.get(subject, 0) > 0 or closes:
        return _NEVER
    return _ALWAYS


_KINDS: Final = INVALID + 1


@dataclass(frozen=True, slots=True)
class _Shape:
    """What can be said of a line by the kinds of its tokens.

    `net` is how many brackets it leaves open, for the indentation. `assign` is the index of the aligned `=`, or of the
    end; `comment` is the index of the comment at the end, or of the end. `gaps` has "" or " " before each token (those
    which start a cell are filled in later); `asks` are the indices of gaps which depend on a word `in` before. `left`
    and `right` are the cells before and from the `=`, as formats for the tokens' texts.
    """

    net: int
    assign: int
    comment: int
    gaps: tuple[str, ...]
    asks: tuple[int, ...]
    left: str
    right: str


def _format_of(gaps: Sequence[str]) -> str:
    return "".join([f"{gap}%s" for gap in gaps])


class _Shapes:
    """Shapes by kinds, each worked out once."""

    def __init__(self) -> None:
        self.known: dict[bytes, _Shape] = {}
        self.spaces = [-1] * (_KINDS * _KINDS)

    def of(self, kinds: bytes) -> _Shape:
        size = len(kinds)
        comment = size - 1 if size > 1 and kinds[-1] == COMMENT else size
        assign = comment
        first = kinds.find(EQUAL, 1, comment)
        if first >= 0 and sum(_BRACKET.get(k, 0) for k in kinds[first:comment]) == 0:
            assign = first
        net = 0
        for kind in kinds[:assign]:
            net += _BRACKET.get(kind, 0)
            if kind == O_HEREDOC:
                break
        net += sum(_BRACKET.get(k, 0) for k in kinds[assign:comment])
        gaps = [""] * size
        asks: list[int] = []
        for begin, end in ((0, assign), (assign, comment)):
            for i in range(begin + 1, end):
                before = kinds[i - 2] if i - 2 >= begin else _NONE
                gaps[i] = self.gap(before, kinds[i - 1], kinds[i], i, asks)
        left, right = _format_of(gaps[:assign]), _format_of(gaps[assign:comment])
        return _Shape(net, assign, comment, tuple(gaps), tuple(asks), left, right)

    def gap(self, before: int, subject: int, after: int, index: int, asks: list[int]) -> str:
        key = subject * _KINDS + after
        answer = self.spaces[key]
        if answer < 0:
            answer = self.spaces[key] = _space(subject, after)
        if answer == _AFTER_MINUS:
            return "" if before == _NONE or before in _SIGN_AFTER else " "
        if answer == _AFTER_IN:
            if before == IDENT:
                asks.append(index)
            return ""
        return " " if answer else ""


@dataclass(slots=True)
class _Line:
    """A line on its way to the output: its cells as text, without the space between them, and how wide two of them are."""

    lead: str
    lead_width: int = 0
    assign: str = ""
    assign_width: int = 0
    comment: str = ""
    gap: str = ""
    comment_gap: str = ""


def _lay_out(kinds: list[int], words: tuple[str, ...], trailing: str) -> str:
    """The whole layout. `words` are the tokens' texts; the last token is EOF, with `trailing` before it."""
    codes = bytes(kinds)
    shapes = _Shapes()
    known = shapes.known
    lines: list[_Line] = []
    indents: list[int] = []
    assigns: list[_Line] = []  # the lines of the running chain of assignments
    comments: list[_Line] = []
    pending_comments: list[list[_Line]] = []
    start = 0
    for end in _line_ends(kinds, words, codes):
        signature = codes[start:end]
        shape = known.get(signature)
        if shape is None:
            shape = known[signature] = shapes.of(signature)
        text = words[start:end]
        indent = _indent(indents, shape.net) if signature[0] != NEWLINE else ""
        line = _cells(shape, text, indent)
        lines.append(line)
        if line.assign:
            assigns.append(line)
        elif assigns:
            _align(assigns)
            assigns = []
        if line.comment:
            comments.append(line)
        elif comments:
            pending_comments.append(comments)
            comments = []
        start = end
    if assigns:
        _align(assigns)
    if comments:
        pending_comments.append(comments)
    for chain in pending_comments:
        _align_comments(chain)
    return "".join([f"{x.lead}{x.gap}{x.assign}{x.comment_gap}{x.comment}" for x in lines]) + trailing


def _line_ends(kinds: list[int], words: tuple[str, ...], codes: bytes) -> list[int]:
    """The indices after each line's last token. EOF belongs to no line."""
    last = len(kinds) - 1
    marks = (match.start() for match in _ENDINGS.finditer(codes))
    ends = [i + 1 for i in marks if kinds[i] == NEWLINE or words[i][-1] == "\n"]
    if last > 0 and (not ends or ends[-1] < last):
        ends.append(last)
    return ends


def _indent(indents: list[int], net: int) -> str:
    """The indentation of a line which opens (`net` > 0) or closes brackets, and what it leaves for the next."""
    if net > 0:
        indent = "  " * len(indents)
        indents.append(net)
        return indent
    closed = -net
    while closed > 0 and indents:
        if closed < indents[-1]:
            indents[-1] -= closed
            break
        closed -= indents.pop()
    return "  " * len(indents)


def _cells(shape: _Shape, text: tuple[str, ...], indent: str) -> _Line:
    left, right = shape.left, shape.right
    assign, comment = shape.assign, shape.comment
    if shape.asks:
        changed = list(shape.gaps)
        for index in shape.asks:
            if text[index - 1] == "in":
                changed[index] = " "
        left, right = _format_of(changed[:assign]), _format_of(changed[assign:comment])
    size = len(text)
    if assign == size:
        return _Line(indent + left % text)
    first = indent + left % text[:assign]
    second = right % text[assign:comment]
    return _Line(
        first,
        _width(first, indent, text[:assign], left),
        second,
        _width(second, "", text[assign:comment], right),
        text[comment] if comment < size else "",
    )


def _width(cell: str, indent: str, text: tuple[str, ...], form: str) -> int:
    """The columns of a cell. Each token counts for itself, even where its first character joins the one before."""
    if cell.isascii() and "\r" not in cell:
        return len(cell)
    return len(indent) + sum(map(columns, text)) + form.count(" ")


def _align(chain: list[_Line]) -> None:
    if len(chain) == 1:
        chain[0].gap = " "
        return
    widths = [line.lead_width for line in chain]
    most = max(widths) + 1
    for line, width in zip(chain, widths, strict=True):
        line.gap = " " * (most - width)


def _align_comments(chain: list[_Line]) -> None:
    widths = [line.lead_width + len(line.gap) + line.assign_width for line in chain]
    most = max(widths) + 1
    for line, width in zip(chain, widths, strict=True):
        line.comment_gap = " " * (most - width)


# --- old spellings -------------------------------------------------------------------------------------------------

_Edit = tuple[int, int, list[tuple[int, str]]]
"""Tokens first up to, not including, last are replaced by these (kind, text)."""

_TYPE_WORDS: Final = {"list": "any", "map": "any", "set": "any"}
_QUOTED_TYPES: Final = {"string": None, "list": "string", "map": "string"}


def _type_tokens(name: str, element: str | None) -> list[tuple[int, str]]:
    if element is None:
        return [(IDENT, name)]
    return [(IDENT, name), (O_PAREN, "("), (IDENT, element), (C_PAREN, ")")]


class _Rewriter:
    """Finds the old spellings in a syntax tree, as edits of its tokens in the order of the text."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self.text = tokens.source.text
        self.edits: list[_Edit] = []

    def body(self, body: Body, type: str, depth: int) -> None:
        pending: list[tuple[Body, str, int]] = [(body, type, depth)]
        while pending:
            body, type, depth = pending.pop()
            for attribute in body.attributes.values():
                self.attribute(attribute, depth == 1 and type == "variable" and attribute.name == "type")
            for block in body.blocks:
                self.labels(block)
                pending.append((block.body, block.type, depth + 1))
        self.edits.sort(key=lambda edit: edit[0])

    def at(self, offset: int) -> int:
        """The index of the first token at or after an offset."""
        return bisect.bisect_left(self.tokens.starts, offset)

    def attribute(self, attribute: Attribute, is_type: bool) -> None:
        expression = attribute.expression
        if is_type:
            self.type(expression.start, expression.end, expression)
        elif expression.__class__ is TemplateWrap and self.text[expression.start] == '"':
            self.unwrap(self.at(expression.start), self.at(expression.end))

    def type(self, start: int, end: int, expression: object) -> None:
        if isinstance(expression, Traversal):
            element = _TYPE_WORDS.get(self.text[start:end])
            if element is not None:
                index = self.at(start)
                self.edits.append((index, index + 1, _type_tokens(self.text[start:end], element)))
        elif isinstance(expression, Template) and self.text[start] == '"':
            word = self.text[start + 1 : end - 1]
            if word in _QUOTED_TYPES:
                index = self.at(start)
                self.edits.append((index, index + 3, _type_tokens(word, _QUOTED_TYPES[word])))

    def unwrap(self, first: int, last: int) -> None:
        """`"${x}"` to `x`, when the quotes provably hold nothing else. `last` is past the closing quote."""
        kinds = self.tokens.kinds
        inside = range(first + 2, last - 2)
        quotes = 0
        for index in inside:
            kind = kinds[index]
            if kind == O_QUOTE:
                quotes += 1
            elif kind == C_QUOTE:
                quotes -= 1
            elif quotes <= 0 and kind in (T_INTERP, T_END, QUOTED_LIT):
                return
        begin, end = inside.start, inside.stop
        while begin < end and kinds[begin] == NEWLINE:
            begin += 1
        while end > begin and kinds[end - 1] == NEWLINE:
            end -= 1
        kept = [(kinds[i], self.tokens.text(i)) for i in range(begin, end)]
        several_lines = any(kind == NEWLINE for kind, _ in kept)
        if several_lines and not (kept[0][0] == O_PAREN and kept[-1][0] == C_PAREN):
            kept = [(O_PAREN, "("), *kept, (C_PAREN, ")")]
        self.edits.append((first, last, kept))

    def labels(self, block: Block) -> None:
        """Labels in quotes, with nothing between them and the type."""
        if not block.labels:
            return
        tokens = self.tokens
        first = self.at(block.type_end)
        last = self.at(block.header_end)
        fresh: list[tuple[int, str]] = []
        for label in block.labels:
            begin = self.at(label.start)
            count = self.at(label.end) - begin
            # A label in several pieces (`"a$b"`) is none that Terraform can write again: it is lost.
            if tokens.kinds[begin] == IDENT or count in (2, 3):
                fresh += _quoted(label.text)
        old = [(tokens.kinds[i], tokens.text(i)) for i in range(first, last)]
        if old != fresh:
            self.edits.append((first, last, fresh))


def _quoted(text: str) -> list[tuple[int, str]]:
    inner = quote(unicodedata.normalize("NFC", text))
    middle = [(QUOTED_LIT, inner)] if inner else []
    return [(O_QUOTE, '"'), *middle, (C_QUOTE, '"')]


_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


def quote(text: str) -> str:
    """What stands between the quotes of a string literal which means `text`."""
    if text.isascii() and text.isprintable() and not any(c in text for c in '"\\{'):
        return text
    pieces: list[str] = []
    for index, char in enumerate(text):
        if char in _ESCAPES:
            pieces.append(_ESCAPES[char])
        elif char in "$%":
            pieces.append(char * 2 if text.startswith("{", index + 1) else char)
        elif char.isprintable():
            pieces.append(char)
        else:
            pieces.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return "".join(pieces)


# --- doors -----------------------------------------------------------------------------------------------------------


def _rendered(tokens: Tokens, edits: list[_Edit]) -> str:
    source = tokens.source
    text = source.text
    kinds = tokens.kinds
    words = [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]
    # The space before the end of the file is nobody's, and stays. A byte order mark counts as three columns of it.
    last = tokens.ends[-2] if len(kinds) > 1 else 0
    tail = text[last : tokens.starts[-1]]
    trailing = " " * (3 * tail.count("\ufeff") + len(tail.replace("\ufeff", "")))
    if edits:
        kinds = list(kinds)
        for first, end, fresh in reversed(edits):
            kinds[first:end] = [kind for kind, _ in fresh]
            words[first:end] = [word for _, word in fresh]
    return _lay_out(kinds, tuple(words), trailing)


def format_source(source: Source) -> tuple[str, list[Diagnostic]]:
    """The file in canonical form, or as it is, with the mistakes in it."""
    with collector_paused():
        file, diagnostics, tokens = parse_with_tokens(source)
        if has_errors(diagnostics):
            return source.text, diagnostics
        rewriter = _Rewriter(tokens)
        rewriter.body(file.body, "", 0)
        return _rendered(tokens, rewriter.edits), diagnostics


def format_text(text: str) -> str:
    """The text of a native syntax file as `terraform fmt` writes it. A file with mistakes comes back as it is."""
    return format_source(Source("", text))[0]


def format_fragment(text: str) -> str:
    """Layout alone, for text which need not be a whole or a right file (a fragment made by a program)."""
    return _rendered(tokenize(Source("", text)), [])
