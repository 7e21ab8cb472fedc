"""Text to tokens, as HCL's scanner cuts it (hclsyntax/spec.md, "Lexical Elements").

Theory of operation. One compiled regular expression per mode, and a stack of modes: ordinary code, quoted template,
heredoc. `"` and `<<EOT` push a template, `${` and `%{` push code again, and the brace which balances them pops it.
A brace counter tells that brace from one of an object. The most frequent tokens (names, punctuation, plain strings)
never leave the loop over one expression; everything rare or wrong takes a slower turn.

Where a template is cut into literal tokens is visible to the formatter (a label of one literal is a label, one of
several is not), so the cuts are HCL's: a `$` or `%` which starts nothing, and `$${`, are tokens of their own.

Tokens are three parallel lists (kind, start, end; character offsets), because a file of a megabyte has 280,000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.source import Source

# Kinds. The order means nothing, but that brackets come first (see `BRACKETS`).
(
    O_BRACE,
    C_BRACE,
    O_BRACK,
    C_BRACK,
    O_PAREN,
    C_PAREN,
    T_INTERP,
    T_CONTROL,
    T_END,
    O_QUOTE,
    C_QUOTE,
    O_HEREDOC,
    C_HEREDOC,
    QUOTED_LIT,
    STRING_LIT,
    IDENT,
    NUMBER,
    NEWLINE,
    COMMENT,
    EOF,
    EQUAL,
    COLON,
    COMMA,
    DOT,
    STAR,
    SLASH,
    PERCENT,
    PLUS,
    MINUS,
    QUESTION,
    BANG,
    LESS,
    GREATER,
    LESS_EQ,
    GREATER_EQ,
    EQUAL_OP,
    NOT_EQUAL,
    AND,
    OR,
    FAT_ARROW,
    ELLIPSIS,
    DOUBLE_COLON,
    BIT_AND,
    BIT_OR,
    BIT_XOR,
    BIT_NOT,
    SEMICOLON,
    BACKTICK,
    APOSTROPHE,
    QUOTED_NEWLINE,
    BAD_UTF8,
    INVALID,
) = range(52)

_SYMBOLS: Final[dict[str, int]] = {
    "[": O_BRACK,
    "]": C_BRACK,
    "(": O_PAREN,
    ")": C_PAREN,
    ".": DOT,
    ",": COMMA,
    "*": STAR,
    "/": SLASH,
    "%": PERCENT,
    "+": PLUS,
    "-": MINUS,
    "=": EQUAL,
    "<": LESS,
    ">": GREATER,
    "!": BANG,
    "?": QUESTION,
    ":": COLON,
    "&&": AND,
    "||": OR,
    "==": EQUAL_OP,
    "!=": NOT_EQUAL,
    ">=": GREATER_EQ,
    "<=": LESS_EQ,
    "=>": FAT_ARROW,
    "...": ELLIPSIS,
    "::": DOUBLE_COLON,
}

# Symbols which no valid file has outside of strings and comments; each has a message of its own.
_SUSPECT: Final[dict[str, int]] = {
    "&": BIT_AND,
    "|": BIT_OR,
    "^": BIT_XOR,
    "~": BIT_NOT,
    ";": SEMICOLON,
    "`": BACKTICK,
    "'": APOSTROPHE,
}

# What Go's unicode.IsSpace takes for white space; Python's own idea has four control characters more.
SPACE: Final = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"

_BAD = "\ud800-\udfff"  # bytes which are not UTF-8, as `decode` keeps them

_CODE = re.compile(
    rf"""[ \t]*(?:
      ([A-Za-z_][A-Za-z0-9_-]*+(?![^\x00-\x7f]))                      # 1 name
    | (\r?\n)                                                          # 2 newline
    | (&&|\|\||==|!=|>=|<=|=>|\.\.\.|::|[\[\]().,*%+=>!?:-]|<(?!<)|/(?![/*]))   # 3 symbol
    | ("[^"\\$%\r\n{_BAD}]*+")                                         # 4 plain string
    | ([0-9](?:(?:[0-9.]|[eE][+-]?[0-9])*(?:[0-9]|[eE][+-]?[0-9]))?)   # 5 number
    | (\{{)                                                            # 6
    | (\}})                                                            # 7
    | (")                                                              # 8 template
    | ((?:\#|//)[^\n]*\n?)                                             # 9 comment to the end of the line
    | (<<-?(?=[^\W\d]))                                                # 10 heredoc, perhaps
    | (~\}})                                                           # 11
    | ([^ \t])                                                         # 12 anything else
    )""",
    re.VERBOSE,
)

_QUOTED = re.compile(
    rf"""
      ([^\\$%"\r\n{_BAD}]++(?:\\[^\r\n{_BAD}][^\\$%"\r\n{_BAD}]*+)*+|(?:\\[^\r\n{_BAD}][^\\$%"\r\n{_BAD}]*+)++)   # 1
    | (\$\$\{{~?|%%\{{~?)                    # 2 escaped
    | (\$\{{~?)                              # 3
    | (%\{{~?)                               # 4
    | ([$%](?=.))                            # 5
    | (")                                    # 6
    | ([\r\n]+)                              # 7
    | (.)                                    # 8
    """,
    re.VERBOSE | re.DOTALL,
)

_HEREDOC = re.compile(
    rf"""
      ((?:\$\$\{{~?|%%\{{~?|[$%](?!\{{)|[^$%\r\n{_BAD}]*+)\r?\n)         # 1 ends a line
    | (\$\{{~?)                              # 2
    | (%\{{~?)                               # 3
    | (\$\$\{{~?|%%\{{~?|[$%](?=.)|[^$%\r\n{_BAD}]+)  # 4
    | (.)                                    # 5
    """,
    re.VERBOSE | re.DOTALL,
)

_BARE = re.compile(
    rf"""
      (\$\$\{{~?(?:\r?\n)?|%%\{{~?(?:\r?\n)?|[$%](?!\{{)(?:\r?\n)?|[^$%\r\n{_BAD}]*\r?\n|[^$%\r\n{_BAD}]+)      # 1
    | (\$\{{~?)                              # 2
    | (%\{{~?)                               # 3
    | (.)                                    # 4
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class Tokens:
    """The tokens of one text, ending with `EOF`. `odd` are the indices of those which need a word (see `complaints`)."""

    source: Source
    kinds: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)
    comments: int = 0

    def __len__(self) -> int:
        return len(self.kinds)

    def text(self, index: int) -> str:
        return self.source.text[self.starts[index] : self.ends[index]]


def is_name_start(char: str) -> bool:
    return char == "_" or char.isidentifier()


def is_name_part(char: str) -> bool:
    return char == "-" or ("a" + char).isidentifier()


def is_name(text: str) -> bool:
    """Whether `text` is an identifier of the language (UAX 31, and dashes)."""
    return bool(text) and is_name_start(text[0]) and all(map(is_name_part, text))


def _name_end(text: str, at: int) -> int:
    """The end of the name which starts at `at`, or `at` when there is none."""
    end = at
    size = len(text)
    if at < size and is_name_start(text[at]):
        end = at + 1
        while end < size and is_name_part(text[end]):
            end += 1
    return end


def _heredoc(text: str, at: int) -> tuple[str, int] | None:
    """The marker and end of a heredoc's introduction at `at` (`<<-EOT` and the newline), or None."""
    begin = at + 3 if text.startswith("<<-", at) else at + 2
    end = _name_end(text, begin)
    if end == begin:
        return None
    if text.startswith("\n", end):
        return text[begin:end], end + 1
    if text.startswith("\r\n", end):
        return text[begin:end], end + 2
    return None


_MOST_ODD: Final = 20_000
"""A text with more characters that mean nothing is none; the rest of it isn't read."""


class _NoText(Exception):
    """Internal: stops the scan of what is no text."""


class _Scan:
    """One scan: the output lists, and the stacks."""

    def __init__(self, source: Source) -> None:
        self.tokens = Tokens(source)
        self.text = source.text
        self.braces = 0
        self.returns: list[int] = []  # brace depths at which code goes back to a template
        self.heredocs: list[list[object]] = []  # [marker, whether at the start of a line]
        self.modes: list[int] = []
        self.no_comment_end_after = -1  # from here on no "*/" follows: keeps "/*/*/*…" linear

    def emit(self, kind: int, start: int, end: int) -> None:
        tokens = self.tokens
        if kind >= BIT_AND:
            tokens.odd.append(len(tokens.kinds))
            if len(tokens.odd) > _MOST_ODD:
                raise _NoText
        tokens.kinds.append(kind)
        tokens.starts.append(start)
        tokens.ends.append(end)

    def run(self, mode: int, at: int) -> Tokens:
        size = len(self.text)
        self.modes.append(mode)
        steps = (self.code, self.quoted, self.heredoc, self.bare)
        try:
            while at < size:
                at = steps[self.modes[-1]](at)
        except _NoText:
            pass  # what was read is complaint enough
        self.emit(EOF, size, size)
        return self.tokens

    def code(self, at: int) -> int:
        """Scans code up to a change of mode or the end; returns where."""
        tokens = self.tokens
        kinds, starts, ends = tokens.kinds, tokens.starts, tokens.ends
        add_kind, add_start, add_end = kinds.append, starts.append, ends.append
        symbols = _SYMBOLS
        for match in _CODE.finditer(self.text, at):
            group = match.lastindex
            if group == 1:
                add_kind(IDENT)
            elif group == 2:
                add_kind(NEWLINE)
            elif group == 3:
                add_kind(symbols[match[3]])
            elif group == 4:
                start, end = match.span(4)
                if end - start == 2:
                    kinds += (O_QUOTE, C_QUOTE)
                    starts += (start, start + 1)
                    ends += (start + 1, end)
                else:
                    kinds += (O_QUOTE, QUOTED_LIT, C_QUOTE)
                    starts += (start, start + 1, end - 1)
                    ends += (start + 1, end - 1, end)
                continue
            elif group == 5:
                add_kind(NUMBER)
            elif group == 6:
                self.braces += 1
                add_kind(O_BRACE)
            elif group == 9:
                tokens.comments += 1
                add_kind(COMMENT)
            elif group == 7:
                returns = self.returns
                self.braces -= 1
                if returns and returns[-1] == self.braces + 1:
                    returns.pop()
                    self.modes.pop()
                    self.emit(T_END, match.start(7), match.end(7))
                    return match.end()
                add_kind(C_BRACE)
            else:
                start, end = match.span(group or 0)
                mode = self.rare(group or 12, start, end)
                if mode is not None:
                    return mode
                continue
            start, end = match.span(group)
            add_start(start)
            add_end(end)
        return len(self.text)

    def rare(self, group: int, start: int, end: int) -> int | None:
        """The seldom tokens of code. Returns where to go on when the loop over the text can't just continue."""
        text = self.text
        if group == 8:
            self.emit(O_QUOTE, start, end)
            self.modes.append(_M_QUOTED)
            return end
        if group == 11:
            closes = bool(self.returns) and self.returns[-1] == self.braces
            self.emit(T_END, start, end)
            self.braces -= 1
            if closes:
                self.returns.pop()
                self.modes.pop()
                return end
            return None
        char = text[start]
        if group == 10 or char == "<":
            found = _heredoc(text, start) if text.startswith("<<", start) else None
            if found is not None:
                marker, end = found
                self.emit(O_HEREDOC, start, end)
                self.heredocs.append([marker, True])
                self.modes.append(_M_HEREDOC)
                return end
            self.emit(LESS, start, start + 1)
            return start + 1 if end > start + 1 else None
        if char == "/":
            if not 0 <= self.no_comment_end_after <= start:
                close = text.find("*/", start + 2)
                if close >= 0:
                    self.tokens.comments += 1
                    self.emit(COMMENT, start, close + 2)
                    return close + 2
                self.no_comment_end_after = start
            self.emit(SLASH, start, start + 1)
            return None
        if char in _SUSPECT:
            self.emit(_SUSPECT[char], start, end)
            return None
        if is_name_start(char):
            end = _name_end(text, start)
            self.emit(IDENT, start, end)
            return end
        self.emit(BAD_UTF8 if "\ud800" <= char <= "\udfff" else INVALID, start, end)
        return None

    def begin(self, kind: int, start: int, end: int) -> int:
        """Enters code from a template, at `${` or `%{`."""
        self.emit(kind, start, end)
        self.braces += 1
        self.returns.append(self.braces)
        if self.heredocs:
            self.heredocs[-1][1] = False
        self.modes.append(_M_CODE)
        return end

    def quoted(self, at: int) -> int:
        for match in _QUOTED.finditer(self.text, at):
            group = match.lastindex
            start, end = match.span()
            if group in (1, 2, 5):
                self.emit(QUOTED_LIT, start, end)
            elif group == 3:
                return self.begin(T_INTERP, start, end)
            elif group == 4:
                return self.begin(T_CONTROL, start, end)
            elif group == 6:
                self.emit(C_QUOTE, start, end)
                self.modes.pop()
                return end
            elif group == 7:
                self.emit(QUOTED_NEWLINE, start, end)
            else:
                self.emit(BAD_UTF8 if "\ud800" <= match[0] <= "\udfff" else INVALID, start, end)
        return len(self.text)

    def heredoc(self, at: int) -> int:
        text = self.text
        state = self.heredocs[-1]
        marker = state[0]
        emit = self.emit
        for match in _HEREDOC.finditer(text, at):
            group = match.lastindex
            start, end = match.span()
            if group == 1:
                if state[1] and match[0].strip(SPACE) == marker:
                    newline = end - 2 if text[end - 2] == "\r" else end - 1
                    emit(C_HEREDOC, start, newline)
                    emit(NEWLINE, newline, end)
                    self.heredocs.pop()
                    self.modes.pop()
                    return end
                state[1] = True
                emit(STRING_LIT, start, end)
            elif group == 2:
                return self.begin(T_INTERP, start, end)
            elif group == 3:
                return self.begin(T_CONTROL, start, end)
            elif group == 4:
                state[1] = False
                emit(STRING_LIT, start, end)
            elif "\ud800" <= match[0] <= "\udfff":
                emit(BAD_UTF8, start, end)
            else:
                # A carriage return alone, or a dollar sign at the very end: the rest can't be read.
                emit(INVALID, start, len(text))
                return len(text)
        return len(text)

    def bare(self, at: int) -> int:
        for match in _BARE.finditer(self.text, at):
            group = match.lastindex
            start, end = match.span()
            if group == 1:
                self.emit(STRING_LIT, start, end)
            elif group == 2:
                return self.begin(T_INTERP, start, end)
            elif group == 3:
                return self.begin(T_CONTROL, start, end)
            elif "\ud800" <= match[0] <= "\udfff":
                self.emit(BAD_UTF8, start, end)
            else:
                self.emit(INVALID, start, len(self.text))
                return len(self.text)
        return len(self.text)


_M_CODE, _M_QUOTED, _M_HEREDOC, _M_BARE = range(4)


def tokenize(source: Source) -> Tokens:
    """The tokens of a configuration file or of an expression."""
    return _Scan(source).run(_M_CODE, 1 if source.text.startswith("\ufeff") else 0)


def tokenize_template(source: Source) -> Tokens:
    """The tokens of a template without quotes around it (a `templatefile`, a string of JSON syntax)."""
    return _Scan(source).run(_M_BARE, 1 if source.text.startswith("\ufeff") else 0)


# kind: (how often it is worth a message, summary, detail)
_COMPLAINTS: Final[dict[int, tuple[int, str, str]]] = {
    SEMICOLON: (
        1,
        "Invalid character",
        'The ";" character is not valid. Use newlines to separate arguments and blocks, and commas to separate items '
        "in collection values.",
    ),
    BAD_UTF8: (
        1,
        "Invalid character encoding",
        "All input files must be UTF-8 encoded. Ensure that UTF-8 encoding is selected in your editor.",
    ),
    BACKTICK: (
        3,
        "Invalid character",
        'The "`" character is not valid. To create a multi-line string, use the "heredoc" syntax, like "<<EOT".',
    ),
    APOSTROPHE: (
        3,
        "Invalid character",
        'Single quotes are not valid. Use double quotes (") to enclose strings.',
    ),
}

_BITWISE: Final = {
    BIT_AND: ' Did you mean boolean AND ("&&")?',
    BIT_OR: ' Did you mean boolean OR ("||")?',
    BIT_NOT: ' Did you mean boolean NOT ("!")?',
    BIT_XOR: "",
}

QUOTED_NEWLINE_DETAIL: Final = (
    "Quoted strings may not be split over multiple lines. To produce a multi-line string, either use the \\n escape "
    'to represent a newline character or use the "heredoc" multi-line template syntax.'
)

_CURLY_DETAIL: Final = (
    '"Curly quotes" are not valid here. These can sometimes be inadvertently introduced when sharing code via '
    'documents or discussion forums. It might help to replace the character with a "straight quote".'
)

MAX_COMPLAINTS: Final = 1000
"""After so many, a file is no configuration file (a picture, perhaps) and further messages would help nobody."""


def complaints(tokens: Tokens) -> list[Diagnostic]:
    """What is wrong with single tokens, wherever they stand. Repetitions are left out, as in Terraform."""
    found: list[Diagnostic] = []
    told: dict[int, int] = {}
    source = tokens.source
    for index in tokens.odd:
        kind = tokens.kinds[index]
        if len(found) >= MAX_COMPLAINTS:
            break
        if kind in _BITWISE:
            told[BIT_AND] = told.get(BIT_AND, 0) + 1
            if told[BIT_AND] > 4:
                continue
            summary, detail = "Unsupported operator", "Bitwise operators are not supported." + _BITWISE[kind]
        elif kind == QUOTED_NEWLINE:
            summary, detail = "Invalid multi-line string", QUOTED_NEWLINE_DETAIL
        elif kind == INVALID:
            curly = tokens.text(index) in ("\u201c", "\u201d")
            summary = "Invalid character"
            detail = _CURLY_DETAIL if curly else "This character is not used within the language."
        else:
            limit, summary, detail = _COMPLAINTS[kind]
            count = told.get(kind, 0)
            told[kind] = min(count + 1, 3)
            # Of quotes in pairs only the opening one is worth a message.
            if count % 2 or (limit == 1 and count):
                continue
        found.append(error(summary, detail, source.range(tokens.starts[index], tokens.ends[index])))
    return found
