"""Text to tokens, by the lexical rules of the CEL specification."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.cel.syntax import Problem
from terrarium.kube.api.cel.values import UInt

KEYWORDS = frozenset({"true", "false", "null", "in"})
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
    |(?P<string>(?P<prefix>[rR][bB]|[bB][rR]|[rRbB])?(?:\"\"\"(?:[^\\]|\\.)*?\"\"\"|'''(?:[^\\]|\\.)*?'''
        |"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*'))
    |(?P<raw>[rR](?:"[^"\n\r]*"|'[^'\n\r]*'))
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)
    |(?P<uint>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<escaped>`[a-zA-Z0-9_.\-/ ]+`)
    |(?P<ident>[a-zA-Z_][a-zA-Z0-9_]*)
    |(?P<op>==|!=|<=|>=|&&|\|\||[<>\[\]{}().,\-!?:+*/%])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SAME = "\\?\"'`"


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is string, bytes, float, int, uint, ident, escaped, end, or the operator or keyword itself."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens(source: str) -> tuple[list[Token], list[Problem]]:
    """All tokens, the last of kind `end`, and what could not be read."""
    found: list[Token] = []
    problems: list[Problem] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            problems.append(Problem(at, f"Syntax error: token recognition error at: '{_unread(source, at)}'"))
            at += len(_unread(source, at))
            continue
        text, kind = match[0], match.lastgroup or ""
        if match["space"] is None:
            try:
                found.append(_token(match, kind, text, at))
            except ValueError as error:
                problems.append(Problem(at, str(error)))
                found.append(Token("int", text, at, 0))
        at = match.end()
    found.append(Token("end", "<EOF>", len(source)))
    return found, problems


def _unread(source: str, at: int) -> str:
    """An open quote takes the rest of its line; anything else is one character."""
    return source[at:].split("\n", 1)[0] if source[at] in "\"'" else source[at]


def _token(match: re.Match[str], kind: str, text: str, at: int) -> Token:
    if match["string"] is not None or match["raw"] is not None:
        prefix = (match["prefix"] or text[: len(text) - len(text.lstrip("rRbB"))]).lower()
        body = text[len(prefix) :]
        quote = 3 if len(body) >= 6 and body[:3] in ('"""', "'''") else 1
        inner = body[quote:-quote]
        is_bytes = "b" in prefix
        value = inner if "r" in prefix else _unescaped(inner, is_bytes=is_bytes)
        if is_bytes:
            encoded = value.encode() if "r" in prefix else value.encode("latin-1", "surrogateescape")
            return Token("bytes", text, at, encoded)
        return Token("string", text, at, value)
    match kind:
        case "float":
            return Token("float", text, at, float(text))
        case "int" | "uint":
            digits = text.rstrip("uU")
            number = int(digits, 16 if digits.startswith("0x") else 10)
            if kind == "uint":
                if number >= 1 << 64:
                    raise ValueError("invalid uint literal")
                return Token("uint", text, at, UInt(number))
            if number > 1 << 63:
                raise ValueError("invalid int literal")
            return Token("int", text, at, number)
        case "escaped":
            return Token("escaped", text[1:-1], at)
        case "ident":
            return Token(text if text in KEYWORDS else "ident", text, at)
    return Token(text, text, at)


def _unescaped(text: str, *, is_bytes: bool) -> str:
    """Of bytes each character of the answer is one byte."""

    def one(match: re.Match[str]) -> str:
        for group, base in ((1, 16), (4, 8)):
            if match[group]:
                return chr(int(match[group], base))
        if code := match[2] or match[3]:
            if is_bytes:
                raise ValueError("invalid bytes literal")
            return chr(int(code, 16))
        letter = match[5]
        if letter in _SIMPLE:
            return _SIMPLE[letter]
        if letter in _SAME:
            return letter
        raise ValueError("invalid string literal")

    if not is_bytes:
        return _ESCAPE.sub(one, text)
    parts: list[str] = []
    last = 0
    for match in _ESCAPE.finditer(text):
        parts += [text[last : match.start()].encode().decode("latin-1"), one(match)]
        last = match.end()
    return "".join([*parts, text[last:].encode().decode("latin-1")])
