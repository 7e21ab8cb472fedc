"""What Go's JSON decoder says about a text that is no JSON, for messages which name the character and what was awaited.

The text is read token by token as `json.Decoder.Token` does it: brackets, commas and colons by the state of the
container, strings, numbers and words by rules of their own. Positions are bytes, so a character beyond ASCII is named by
its first byte, as there.
"""

from __future__ import annotations

import re
from typing import Final

from terrarium.language.text import quote

_VALUE: Final = " looking for beginning of value"
# state: (what a wrong character is told, whether a value may stand here)
_STATES: Final[dict[str, tuple[str, bool]]] = {
    "top": (_VALUE, True),
    "array start": (_VALUE, True),
    "array value": (_VALUE, True),
    "array comma": (" after array element", False),
    "object start": ("", False),
    "object key": (" looking for beginning of object key string", False),
    "object colon": (" after object key", False),
    "object value": (_VALUE, True),
    "object comma": (" after object key:value pair", False),
}
_AFTER_VALUE: Final = {
    "array start": "array comma",
    "array value": "array comma",
    "object value": "object comma",
    "top": "end",
}
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_WORDS: Final = {b"t": b"true", b"f": b"false", b"n": b"null"}
_NUMBER: Final = re.compile(rb"(-?)(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][+-]?[0-9]*)?")


class _Wrong(Exception):
    pass


def complaint(text: str) -> str | None:
    """The decoder's words about the first mistake; None when it finds none."""
    try:
        _read(text.encode("utf-8", "surrogatepass"))
    except _Wrong as wrong:
        return str(wrong)
    return None


def _character(data: bytes, at: int, context: str) -> _Wrong:
    if at >= len(data):
        return _Wrong("unexpected EOF")
    char = chr(data[at])
    shown = {"'": "'\\''", '"': "'\"'"}.get(char) or f"'{quote(char)[1:-1]}'"
    return _Wrong(f"invalid character {shown}{context}")


def _read(data: bytes) -> None:
    at, state = 0, "top"
    outer: list[str] = []
    while state != "end":
        at = _skip(data, at)
        if at >= len(data):
            raise _Wrong("EOF")
        char = data[at : at + 1]
        context, value = _STATES[state]
        if char in b"[{" and value:
            outer.append(_AFTER_VALUE[state])
            state = "array start" if char == b"[" else "object start"
            at += 1
        elif (char == b"]" and state in ("array start", "array comma")) or (
            char == b"}" and state in ("object start", "object comma")
        ):
            state = outer.pop()
            at += 1
        elif char == b":" and state == "object colon":
            state, at = "object value", at + 1
        elif char == b"," and state in ("array comma", "object comma"):
            state, at = ("array value" if state == "array comma" else "object key"), at + 1
        elif char == b'"' and state in ("object start", "object key"):
            state, at = "object colon", _string(data, at)
        elif value and char not in b"[]{}:,":
            state, at = _AFTER_VALUE[state], _value(data, at)
        else:
            raise _character(data, at, context)
    at = _skip(data, at)
    if at < len(data):
        raise _Wrong("extraneous data after JSON object")


def _skip(data: bytes, at: int) -> int:
    match = _SPACE.match(data, at)
    assert match is not None
    return match.end()


def _value(data: bytes, at: int) -> int:
    char = data[at : at + 1]
    if char == b'"':
        return _string(data, at)
    if char == b"-" or char.isdigit():
        return _number(data, at)
    word = _WORDS.get(char)
    if word is None:
        raise _character(data, at, _VALUE)
    for i, expected in enumerate(word):
        if at + i >= len(data) or data[at + i] != expected:
            raise _character(data, at + i, f" in literal {word.decode()} (expecting '{chr(expected)}')")
    return at + len(word)


def _number(data: bytes, at: int) -> int:
    match = _NUMBER.match(data, at)
    assert match is not None
    end = match.end()
    if match[2] is None:
        raise _character(data, match.end(1), " in numeric literal")
    if match[3] == b".":
        raise _character(data, match.end(3), " after decimal point in numeric literal")
    if match[4] is not None and not match[4][-1:].isdigit():
        raise _character(data, end, " in exponent of numeric literal")
    return end


def _string(data: bytes, at: int) -> int:
    at += 1
    while True:
        if at >= len(data):
            raise _Wrong("unexpected EOF")
        byte = data[at]
        if byte == 0x22:
            return at + 1
        if byte < 0x20:
            raise _character(data, at, " in string literal")
        at += 1
        if byte != 0x5C:
            continue
        if data[at : at + 1] == b"u":
            for i in range(at + 1, at + 5):
                if i >= len(data) or chr(data[i]) not in "0123456789abcdefABCDEF":
                    raise _character(data, i, " in \\u hexadecimal character escape")
            at += 5
        elif data[at : at + 1] in (b'"', b"\\", b"/", b"b", b"f", b"n", b"r", b"t"):
            at += 1
        else:
            raise _character(data, at, " in string escape code")
