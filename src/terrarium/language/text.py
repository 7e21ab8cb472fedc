"""Text as Go and Unicode see it: normal form, quoting, the clusters a reader takes for one character."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Final

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


# --- grapheme clusters (Unicode annex 29, extended clusters) ---------------------------------------------------------

_PREPEND: Final = frozenset(
    [*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0xD4E, 0x110BD, 0x110CD, 0x111C2, 0x111C3]
)
# Spacing marks of Unicode that count as Extend, and others that do not extend.
_OTHER_EXTEND: Final = frozenset([
    0x9BE, 0x9D7, 0xB3E, 0xB57, 0xBBE, 0xBD7, 0xCC2, 0xCD5, 0xCD6, 0xD3E, 0xD57, 0xDCF, 0xDDF, 0x1B35, 0x200C, 0x302E,
    0x302F, 0xFF9E, 0xFF9F, 0x1133E, 0x11357, 0x114B0, 0x114BD, 0x115AF, 0x11930, 0x1D165, *range(0x1D16E, 0x1D173),
    *range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080),
])  # fmt: skip
_NOT_SPACING: Final = frozenset([
    0x102B, 0x102C, 0x1038, *range(0x1062, 0x1065), *range(0x1067, 0x106E), 0x1083, *range(0x1087, 0x108D), 0x108F,
    *range(0x109A, 0x109D), 0x1A61, 0x1A63, 0x1A64, 0xAA7B, 0xAA7D, 0x11720, 0x11721,
])  # fmt: skip
_PICTOGRAPHIC: Final = (
    (0xA9, 0xA9), (0xAE, 0xAE), (0x203C, 0x203C), (0x2049, 0x2049), (0x2122, 0x2122), (0x2139, 0x2139),
    (0x2194, 0x2199), (0x21A9, 0x21AA), (0x231A, 0x231B), (0x2328, 0x2328), (0x2388, 0x2388), (0x23CF, 0x23CF),
    (0x23E9, 0x23F3), (0x23F8, 0x23FA), (0x24C2, 0x24C2), (0x25AA, 0x25AB), (0x25B6, 0x25B6), (0x25C0, 0x25C0),
    (0x25FB, 0x25FE), (0x2600, 0x2605), (0x2607, 0x2612), (0x2614, 0x2685), (0x2690, 0x2705), (0x2708, 0x2712),
    (0x2714, 0x2714), (0x2716, 0x2716), (0x271D, 0x271D), (0x2721, 0x2721), (0x2728, 0x2728), (0x2733, 0x2734),
    (0x2744, 0x2744), (0x2747, 0x2747), (0x274C, 0x274C), (0x274E, 0x274E), (0x2753, 0x2755), (0x2757, 0x2757),
    (0x2763, 0x2767), (0x2795, 0x2797), (0x27A1, 0x27A1), (0x27B0, 0x27B0), (0x27BF, 0x27BF), (0x2934, 0x2935),
    (0x2B05, 0x2B07), (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55), (0x3030, 0x3030), (0x303D, 0x303D),
    (0x3297, 0x3297), (0x3299, 0x3299), (0x1F000, 0x1F0FF), (0x1F10D, 0x1F10F), (0x1F12F, 0x1F12F), (0x1F16C, 0x1F171),
    (0x1F17E, 0x1F17F), (0x1F18E, 0x1F18E), (0x1F191, 0x1F19A), (0x1F1AD, 0x1F1E5), (0x1F201, 0x1F20F),
    (0x1F21A, 0x1F21A), (0x1F22F, 0x1F22F), (0x1F232, 0x1F23A), (0x1F23C, 0x1F23F), (0x1F249, 0x1F3FA),
    (0x1F400, 0x1F53D), (0x1F546, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F774, 0x1F77F), (0x1F7D5, 0x1F7FF),
    (0x1F80C, 0x1F80F), (0x1F848, 0x1F84F), (0x1F85A, 0x1F85F), (0x1F888, 0x1F88F), (0x1F8AE, 0x1F8FF),
    (0x1F90C, 0x1F93A), (0x1F93C, 0x1F945), (0x1F947, 0x1FAFF), (0x1FC00, 0x1FFFD),
)  # fmt: skip


def _kind(char: str) -> str:
    """The break property: CR LF Control Extend ZWJ RI Prepend SpacingMark L V T LV LVT Pictographic Other."""
    code = ord(char)
    if char == "\r":
        return "CR"
    if char == "\n":
        return "LF"
    if code == 0x200D:
        return "ZWJ"
    if code in _OTHER_EXTEND:
        return "Extend"
    if code in _PREPEND:
        return "Prepend"
    category = unicodedata.category(char)
    if category in ("Mn", "Me"):
        return "Extend"
    if category == "Mc" or code in (0xE33, 0xEB3):
        return "Other" if code in _NOT_SPACING else "SpacingMark"
    if category in ("Cc", "Cf", "Zl", "Zp", "Cs"):
        return "Control"
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    if 0x1F1E6 <= code <= 0x1F1FF:
        return "RI"
    if any(low <= code <= high for low, high in _PICTOGRAPHIC):
        return "Pictographic"
    return "Other"


_HANGUL: Final = {
    "L": ("L", "V", "LV", "LVT"), "LV": ("V", "T"), "V": ("V", "T"), "LVT": ("T",), "T": ("T",),
}  # fmt: skip


def clusters(text: str) -> Iterator[str]:
    """The text cut into grapheme clusters."""
    if text.isascii() and "\r" not in text:
        yield from text
        return
    start, previous, flags, pictographic, joined = 0, "", 0, False, False
    for at, char in enumerate(text):
        kind = _kind(char)
        if at and _breaks(previous, kind, flags, joined):
            yield text[start:at]
            start, flags, pictographic = at, 0, False
        joined = kind == "ZWJ" and pictographic
        if kind == "Pictographic":
            pictographic = True
        elif kind not in ("Extend", "ZWJ"):
            pictographic = False
        flags += kind == "RI"
        previous = kind
    if text:
        yield text[start:]


def _breaks(before: str, after: str, flags: int, joined: bool) -> bool:
    if before == "CR" and after == "LF":
        return False
    if before in ("CR", "LF", "Control") or after in ("CR", "LF", "Control"):
        return True
    if after in ("Extend", "ZWJ", "SpacingMark") or before == "Prepend" or after in _HANGUL.get(before, ()):
        return False
    if joined and after == "Pictographic":
        return False
    return not (before == "RI" and after == "RI" and flags % 2 == 1)


_ENDS: Final = frozenset("-_:;/\\,.(){}[]|?!~ \t@#$%^&*+\"'")


def safe_prefix(text: str) -> str:
    """As much of a known beginning as stays the same whatever follows: the last cluster may yet grow."""
    text = nfc(text)
    parts = list(clusters(text))
    if not parts or parts[-1] in _ENDS:
        return text
    return "".join(parts[:-1])
