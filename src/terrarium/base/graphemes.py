"""How many characters a reader sees: extended grapheme clusters (Unicode UAX 29, table of version 15).

Columns of messages and the alignment of formatted text count these. The properties come from Python's own tables
(categories) and the short lists which UAX 29 adds to them.
"""

from __future__ import annotations

import bisect
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

_OTHER, _CONTROL, _EXTEND, _JOINER, _SPACING, _PREPEND, _REGIONAL, _PICTURE, _L, _V, _T, _LV, _LVT = range(13)

# Spacing marks which count as extending (Other_Grapheme_Extend), and others that do.
_EXTENDING: Final = frozenset(
    map(
        chr,
        [
            0x9BE,
            0x9D7,
            0xB3E,
            0xB57,
            0xBBE,
            0xBD7,
            0xCC2,
            0xCD5,
            0xCD6,
            0xD3E,
            0xD57,
            0xDCF,
            0xDDF,
            0x1B35,
            0x302E,
            0x302F,
            0x1133E,
            0x11357,
            0x114B0,
            0x114BD,
            0x115AF,
            0x11930,
            0x1D165,
            *range(0x1D16E, 0x1D173),
            0x200C,
            0xFF9E,
            0xFF9F,
            *range(0x1F3FB, 0x1F400),
            *range(0xE0020, 0xE0080),
        ],
    )
)
_PREPENDED: Final = frozenset(
    map(
        chr,
        [
            *range(0x600, 0x606),
            0x6DD,
            0x70F,
            0x890,
            0x891,
            0x8E2,
            0xD4E,
            0x110BD,
            0x110CD,
            0x111C2,
            0x111C3,
            0x1193F,
            0x11941,
            0x11A3A,
            *range(0x11A84, 0x11A8A),
            0x11D46,
            0x11F02,
        ],
    )
)
# Spacing marks (category Mc) which are none for this purpose.
_NOT_SPACING: Final = frozenset(
    map(
        chr,
        [
            0x102B,
            0x102C,
            0x1038,
            *range(0x1062, 0x1065),
            *range(0x1067, 0x106E),
            0x1083,
            *range(0x1087, 0x108D),
            0x108F,
            *range(0x109A, 0x109D),
            0x1A61,
            0x1A63,
            0x1A64,
            0xAA7B,
            0xAA7D,
            0x11720,
            0x11721,
        ],
    )
)

# Extended_Pictographic, as first and last of each stretch.
_PICTURES: Final = (
    0xA9, 0xA9, 0xAE, 0xAE, 0x203C, 0x203C, 0x2049, 0x2049, 0x2122, 0x2122, 0x2139, 0x2139, 0x2194, 0x2199,
    0x21A9, 0x21AA, 0x231A, 0x231B, 0x2328, 0x2328, 0x2388, 0x2388, 0x23CF, 0x23CF, 0x23E9, 0x23F3, 0x23F8, 0x23FA,
    0x24C2, 0x24C2, 0x25AA, 0x25AB, 0x25B6, 0x25B6, 0x25C0, 0x25C0, 0x25FB, 0x25FE, 0x2600, 0x2605, 0x2607, 0x2612,
    0x2614, 0x2685, 0x2690, 0x2705, 0x2708, 0x2712, 0x2714, 0x2714, 0x2716, 0x2716, 0x271D, 0x271D, 0x2721, 0x2721,
    0x2728, 0x2728, 0x2733, 0x2734, 0x2744, 0x2744, 0x2747, 0x2747, 0x274C, 0x274C, 0x274E, 0x274E, 0x2753, 0x2755,
    0x2757, 0x2757, 0x2763, 0x2767, 0x2795, 0x2797, 0x27A1, 0x27A1, 0x27B0, 0x27B0, 0x27BF, 0x27BF, 0x2934, 0x2935,
    0x2B05, 0x2B07, 0x2B1B, 0x2B1C, 0x2B50, 0x2B50, 0x2B55, 0x2B55, 0x3030, 0x3030, 0x303D, 0x303D, 0x3297, 0x3297,
    0x3299, 0x3299, 0x1F000, 0x1F0FF, 0x1F10D, 0x1F10F, 0x1F12F, 0x1F12F, 0x1F16C, 0x1F171, 0x1F17E, 0x1F17F,
    0x1F18E, 0x1F18E, 0x1F191, 0x1F19A, 0x1F1AD, 0x1F1E5, 0x1F201, 0x1F20F, 0x1F21A, 0x1F21A, 0x1F22F, 0x1F22F,
    0x1F232, 0x1F23A, 0x1F23C, 0x1F23F, 0x1F249, 0x1F3FA, 0x1F400, 0x1F53D, 0x1F546, 0x1F64F, 0x1F680, 0x1F6FF,
    0x1F774, 0x1F77F, 0x1F7D5, 0x1F7FF, 0x1F80C, 0x1F80F, 0x1F848, 0x1F84F, 0x1F85A, 0x1F85F, 0x1F888, 0x1F88F,
    0x1F8AE, 0x1F8FF, 0x1F90C, 0x1F93A, 0x1F93C, 0x1F945, 0x1F947, 0x1FAFF, 0x1FC00, 0x1FFFD,
)  # fmt: skip

_BY_CATEGORY: Final = {
    "Cc": _CONTROL,
    "Cf": _CONTROL,
    "Cs": _CONTROL,
    "Zl": _CONTROL,
    "Zp": _CONTROL,
    "Mn": _EXTEND,
    "Me": _EXTEND,
    "Mc": _SPACING,
}


def _property(char: str) -> int:
    code = ord(char)
    if 0x1100 <= code <= 0x11FF or 0xA960 <= code <= 0xA97C or 0xAC00 <= code <= 0xD7FB:
        return _hangul(code)
    if 0x1F1E6 <= code <= 0x1F1FF:
        return _REGIONAL
    if char in _EXTENDING:
        return _EXTEND
    if char == "\u200d":
        return _JOINER
    if char in _PREPENDED:
        return _PREPEND
    if code in (0xE33, 0xEB3):
        return _SPACING
    kind = _BY_CATEGORY.get(unicodedata.category(char))
    if kind is not None:
        return _OTHER if kind == _SPACING and char in _NOT_SPACING else kind
    # Even places of the table start a stretch, odd ones end it.
    at = bisect.bisect_left(_PICTURES, code)
    inside = at % 2 == 1 or (at < len(_PICTURES) and _PICTURES[at] == code)
    return _PICTURE if inside else _OTHER


def _hangul(code: int) -> int:
    if 0xAC00 <= code <= 0xD7A3:
        return _LV if (code - 0xAC00) % 28 == 0 else _LVT
    if code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return _L
    if code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return _V
    if code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return _T
    return _OTHER


_HANGUL_JOINS: Final = frozenset(
    [(_L, _L), (_L, _V), (_L, _LV), (_L, _LVT), (_LV, _V), (_LV, _T), (_V, _V), (_V, _T), (_LVT, _T), (_T, _T)]
)


def count(text: str) -> int:
    """The number of grapheme clusters of `text`."""
    if text.isascii():
        return len(text) - text.count("\r\n")
    return sum(1 for _ in _starts(text))


def clusters(text: str) -> list[str]:
    """The text cut into its grapheme clusters."""
    if text.isascii() and "\r\n" not in text:
        return list(text)
    starts = [*_starts(text), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


def _starts(text: str) -> Iterator[int]:
    """Where clusters begin."""
    before = -1  # the property of the last character
    last = ""
    picture = False  # whether a picture and nothing but extending characters stand before
    regionals = 0  # how many regional indicators in a row stand before
    for at, char in enumerate(text):
        now = _property(char)
        if before < 0:
            joined = False
        elif before == _CONTROL or now == _CONTROL:
            joined = last == "\r" and char == "\n"
        elif now in (_EXTEND, _JOINER, _SPACING) or before == _PREPEND:
            joined = True
        elif now == _PICTURE:
            joined = before == _JOINER and picture
        elif now == _REGIONAL:
            joined = regionals % 2 == 1
        else:
            joined = (before, now) in _HANGUL_JOINS
        if not joined:
            yield at
        picture = now == _PICTURE or (picture and now in (_EXTEND, _JOINER))
        regionals = regionals + 1 if now == _REGIONAL else 0
        before, last = now, char
