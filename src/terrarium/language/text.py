"""Text as Go sees it: normal form, quoting, white space, and what is certain of its beginning."""

from __future__ import annotations

import unicodedata
from typing import Final

from terrarium.base.graphemes import clusters

_NAMED: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip


SPACES: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What Go's `unicode.IsSpace` takes for white space."""


def nfc(text: str) -> str:
    """The text in normal form C, as all strings of the language are."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def quote(text: str) -> str:
    """A string literal of Go (`strconv.Quote`), which Terraform's messages and console show."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_quoted(c) for c in text) + '"'


def _quoted(char: str) -> str:
    if (named := _NAMED.get(char)) is not None:
        return named
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if printable(char):
        return char
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(char: str) -> bool:
    """Go's `unicode.IsPrint`: letters, marks, numbers, punctuation, symbols, and the plain space."""
    return char == " " or unicodedata.category(char)[0] in "LMNPS"


_ENDS: Final = frozenset("-_:;/\\,.(){}[]|?!~ \t@#$%^&*+\"'")


def safe_prefix(text: str) -> str:
    """As much of a known beginning as stays the same whatever follows: the last cluster may yet grow."""
    text = nfc(text)
    parts = clusters(text)
    if not parts or parts[-1] in _ENDS:
        return text
    return "".join(parts[:-1])
