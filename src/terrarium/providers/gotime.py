"""RFC 3339 times as Go reads and writes them, with Go's words about those that are none."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_LAYOUT = "2006-01-02T15:04:05Z07:00"
_WHOLE = re.compile(r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})([.,]\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)
# What the layout asks for, piece by piece: pattern, and how Go names it.
_PIECES = (
    (r"\d{4}", "2006"),
    ("-", "-"),
    (r"\d{2}", "01"),
    ("-", "-"),
    (r"\d{2}", "02"),
    ("T", "T"),
    (r"\d{2}", "15"),
    (":", ":"),
    (r"\d{2}", "04"),
    (":", ":"),
    (r"\d{2}(?:[.,]\d+)?", "05"),
    (r"Z|[+-]\d{2}:\d{2}", "Z07:00"),
)
_LIMITS = (("month", 1, 12), ("day", 1, 31), ("hour", 0, 23), ("minute", 0, 59), ("second", 0, 59))


def parse_rfc3339(text: str) -> datetime:
    """The moment, with its zone. ValueError has the message of Go's `time.Parse`."""
    match = _WHOLE.fullmatch(text)
    if match is None:
        raise ValueError(_why(text))
    numbers = [int(match[i]) for i in range(1, 7)]
    for (name, low, high), value in zip(_LIMITS, numbers[1:], strict=True):
        if not low <= value <= high:
            raise ValueError(f'parsing time "{text}": {name} out of range')
    try:
        return datetime.fromisoformat(text.replace(",", "."))
    except ValueError:
        raise ValueError(f'parsing time "{text}": day out of range') from None


def _why(text: str) -> str:
    rest = text
    for pattern, name in _PIECES:
        match = re.match(pattern, rest, re.ASCII)
        if match is None:
            return f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as "{name}"'
        rest = rest[match.end() :]
    return f'parsing time "{text}": extra text: "{rest}"'


def rfc3339(moment: datetime) -> str:
    """To the second, with `Z` for UTC and the offset for other zones."""
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    offset = moment.utcoffset() or timedelta()
    if moment.tzinfo in (None, UTC) or not offset:
        return text + "Z"
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"{text}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def go_string(moment: datetime) -> str:
    """A moment as Go prints it by itself: `2026-11-22 19:45:56.629 +0000 UTC`."""
    utc = moment.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0").rstrip(".")
    return f"{utc:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"
