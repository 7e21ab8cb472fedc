"""Regular expressions as Go writes them (RE2), for Python's matcher."""

from __future__ import annotations

import re
from functools import lru_cache

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7F",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_PIECE = re.compile(r"\\Q(?P<quoted>.*?)(?:\\E|$)|\\(?P<escaped>.)|\[:(?P<named>\^?\w+):\]|(?P<other>.)", re.DOTALL)


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """`re.error` for a pattern that Go refuses too (as far as Python sees it)."""
    parts: list[str] = []
    inside = False
    for match in _PIECE.finditer(pattern):
        if match["quoted"] is not None:
            parts.append(re.escape(match["quoted"]))
        elif match["escaped"] is not None:
            parts.append("\\Z" if match["escaped"] == "z" else "\\A" if match["escaped"] == "A" else match[0])
        elif match["named"] is not None and inside:
            if match["named"] not in _CLASSES:
                raise re.error(f"invalid character class range: `{match[0]}`")
            parts.append(_CLASSES[match["named"]])
        else:
            letter = match[0]
            if letter == "[" and inside:
                letter = "\\["
            elif letter == "[":
                inside = True
            elif letter == "]" and inside and parts[-1] not in ("[", "^"):
                inside = False
            elif letter == "$" and not inside:
                letter = "\\Z"
            parts.append(letter)
    text = "".join(parts)
    flags = 0
    if "\\Z" in text and re.match(r"\(\?[a-z]*m", pattern):
        text = text.replace("\\Z", "$")
    return re.compile(text, flags | re.ASCII)


def search(pattern: str, text: str) -> bool:
    """Whether some part of `text` matches."""
    return compiled(pattern).search(text) is not None
