"""Times and durations as the API writes them: RFC 3339 to the second, micro times, Go durations, kubectl's ages."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)([.,]\d+)?(Z|[+-]\d\d:\d\d)\Z")
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_MICRO_LAYOUT = "2006-01-02T15:04:05.000000Z07:00"
_DURATION = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
# The pieces of a layout with what each must look like, to name the first piece that does not fit, as Go does.
_PIECES = (
    ("2006", r"\d{4}"),
    ("-", "-"),
    ("01", r"\d\d"),
    ("-", "-"),
    ("02", r"\d\d"),
    ("T", "T"),
    ("15", r"\d\d"),
    (":", ":"),
    ("04", r"\d\d"),
    (":", ":"),
    ("05", r"\d\d"),
)


class TimeError(ValueError):
    """Not a time or a duration; `str()` is Go's sentence."""


def parse_time(text: str) -> datetime:
    """An RFC 3339 time in UTC, with its fraction. Raises `TimeError`."""
    match = _RFC3339.match(text)
    if match is None:
        raise TimeError(_explain(text, _LAYOUT, "Z07:00"))
    return _build(text, match)


def parse_micro_time(text: str) -> datetime:
    """A time which must have six digits of fraction."""
    match = _RFC3339.match(text)
    if match is None or match[7] is None or len(match[7]) != 7:
        raise TimeError(_explain(text, _MICRO_LAYOUT, ".000000"))
    return _build(text, match)


def _build(text: str, match: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    fraction = int((match[7] or ".0")[1:7].ljust(6, "0"))
    for value, limit, name in (
        (month, 12, "month"),
        (hour, 23, "hour"),
        (minute, 59, "minute"),
        (second, 59, "second"),
    ):
        if value > limit or (name == "month" and value == 0):
            raise TimeError(f'parsing time "{text}": {name} out of range')
    try:
        moment = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
    except ValueError:
        raise TimeError(f'parsing time "{text}": day out of range') from None
    zone = match[8]
    if zone != "Z":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6]))
        moment = moment - offset if zone[0] == "+" else moment + offset
    return moment


def _explain(text: str, layout: str, tail: str) -> str:
    rest = text
    for piece, pattern in _PIECES:
        found = re.match(pattern, rest)
        if found is None:
            return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{piece}"'
        rest = rest[found.end() :]
    if tail == "Z07:00" and rest[:1] in (".", ","):
        rest = re.sub(r"^[.,]\d+", "", rest)
    if re.fullmatch(r"(Z|[+-]\d\d:\d\d).+", rest):
        extra = re.sub(r"^(Z|[+-]\d\d:\d\d)", "", rest)
        return f'parsing time "{text}": extra text: "{extra}"'
    return f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as "{tail}"'


def format_time(moment: datetime) -> str:
    """To the second, in UTC: `2026-01-02T03:04:05Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def format_micro_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"


@lru_cache(maxsize=16_384)
def time(text: str) -> str:
    """A `metav1.Time` as the API gives it back."""
    if len(text) == 20 and text[19] == "Z" and _RFC3339.match(text):
        parse_time(text)
        return text
    return format_time(parse_time(text))


@lru_cache(maxsize=4_096)
def micro_time(text: str) -> str:
    return format_micro_time(parse_micro_time(text))


def duration_nanos(text: str) -> int:
    """A Go duration (`1h30m`) in nanoseconds. Raises `TimeError`."""
    rest = text[1:] if text[:1] in "+-" and text else text
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest):
        found = re.compile(r"(\d*)\.?(\d*)([a-zµμ]*)").match(rest, at)
        assert found is not None
        if not found[1] and not found[2]:
            raise TimeError(f'time: invalid duration "{text}"')
        if not found[3]:
            raise TimeError(f'time: missing unit in duration "{text}"')
        unit = _UNITS.get(found[3])
        if unit is None:
            raise TimeError(f'time: unknown unit "{found[3]}" in duration "{text}"')
        total += int(found[1] or 0) * unit + int(found[2] or 0) * unit // 10 ** len(found[2])
        at = found.end()
    if not rest:
        raise TimeError(f'time: invalid duration "{text}"')
    return -total if text[:1] == "-" else total


def format_duration(nanos: int) -> str:
    """As Go prints durations: `1h30m0s`, `1.5s`, `20ms`."""
    if nanos == 0:
        return "0s"
    sign, nanos = ("-", -nanos) if nanos < 0 else ("", nanos)
    if nanos < 10**9:
        for unit, size in (("ms", 10**6), ("µs", 10**3), ("ns", 1)):
            if nanos >= size:
                return sign + _decimal(nanos, size) + unit
    hours, rest = divmod(nanos, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds = _decimal(rest, 10**9)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}s"
    return f"{sign}{minutes}m{seconds}s" if minutes else f"{sign}{seconds}s"


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}." + str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")


def parse_duration(text: str) -> str:
    """A `metav1.Duration` as the API gives it back."""
    return format_duration(duration_nanos(text))


def age(seconds: float) -> str:
    """How kubectl prints a time span (apimachinery `duration.HumanDuration`)."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 0:
        return "0s"
    if total < 120:
        return f"{total}s"
    minutes, rest = divmod(total, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = total // 3600
    if hours < 8:
        rest = minutes % 60
        return f"{hours}h{rest}m" if rest else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    days = hours // 24
    if hours < 24 * 8:
        rest = hours % 24
        return f"{days}d{rest}h" if rest else f"{days}d"
    if hours < 24 * 365 * 2:
        return f"{days}d"
    years = days // 365
    if hours < 24 * 365 * 8:
        rest = days % 365
        return f"{years}y{rest}d" if rest else f"{years}y"
    return f"{years}y"
