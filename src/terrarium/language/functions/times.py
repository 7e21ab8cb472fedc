"""Timestamps (RFC 3339) and durations."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, parameters
from terrarium.language.numbers import Whole
from terrarium.language.text import quote
from terrarium.language.types import NUMBER, STRING, Type
from terrarium.language.values import Unknown, Value


@dataclass(frozen=True, slots=True)
class Moment:
    """A local time, its nanoseconds, and the zone's offset from UTC in minutes.

    Years from 0 to beyond 9999 are possible: `shift` years, a multiple of 400 so that weekdays stay, stand between
    `local` and the real time.
    """

    local: datetime
    nanoseconds: int
    offset: int
    shift: int = 0

    @property
    def year(self) -> int:
        return self.local.year + self.shift

    @property
    def instant(self) -> tuple[int, timedelta, int]:
        utc = self.local - timedelta(minutes=self.offset)
        return utc.year + self.shift, utc - datetime(utc.year, 1, 1), self.nanoseconds

    def zone(self, colon: bool) -> str:
        hours, minutes = divmod(abs(self.offset), 60)
        return f"{'-' if self.offset < 0 else '+'}{hours:02d}{':' if colon else ''}{minutes:02d}"

    def __str__(self) -> str:
        local = self.local
        text = f"{self.year:04d}-{local.month:02d}-{local.day:02d}T"
        return f"{text}{local:%H:%M:%S}{self.zone(True) if self.offset else 'Z'}"


class BadTime(Exception):
    """The text is no timestamp; `str()` says what stands where something else should."""


class _Stop(Exception):
    """Reading a timestamp stopped: at an element (its name, or the literal awaited) and the text shown for it."""

    def __init__(self, element: str, shown: str) -> None:
        super().__init__(element)
        self.element = element
        self.shown = shown


# What a timestamp is made of: a literal, or an element with its form, least and greatest value. Go's reader takes an hour
# of one digit.
_PIECES: Sequence[tuple[str, str, int, int]] = (
    ("year", r"\d{4}", 0, 9999), ("-", "-", 0, 0), ("month", r"\d\d", 1, 12), ("-", "-", 0, 0),
    ("day of month", r"\d\d", 0, 99), ("T", "T", 0, 0), ("hour", r"\d\d?", 0, 23), (":", ":", 0, 0),
    ("minute", r"\d\d", 0, 59), (":", ":", 0, 0), ("second", r"\d\d", 0, 59),
)  # fmt: skip
_FRACTION = re.compile(r"[.,](\d+)", re.ASCII)
_ZONE = re.compile(r"([+-])(\d\d):(\d\d)", re.ASCII)


def _read(text: str) -> Moment:
    """A timestamp by the rules of Go's `time.Parse`. _Stop where it goes wrong."""
    at = 0
    found: dict[str, int] = {}
    for name, form, least, most in _PIECES:
        match = re.compile(form, re.ASCII).match(text, at)
        if match is None:
            raise _Stop(name, text[at:])
        at = match.end()
        if len(name) > 1:
            found[name] = int(match[0])
            if not least <= found[name] <= most:
                raise _Stop(name, text[at:])
    fraction = _FRACTION.match(text, at)
    if fraction is not None:
        at = fraction.end()
    offset = 0
    if text.startswith("Z", at):
        at += 1
    else:
        zone = _ZONE.match(text, at)
        if zone is None:
            raise _Stop("UTC offset", text[at:])
        at = zone.end()
        hours, minutes = int(zone[2]), int(zone[3])
        if hours > 24 or minutes > 60:
            raise _Stop("UTC offset", text[at:])
        offset = (hours * 60 + minutes) * (-1 if zone[1] == "-" else 1)
    if at < len(text):
        raise _Stop("timestamp segment", text[at:])
    year = found["year"]
    shift = -400 if year < 400 else 2000 if year > 9000 else 0
    clock = found["hour"], found["minute"], found["second"]
    try:
        local = datetime(year - shift, found["month"], found["day of month"], *clock)
    except ValueError:
        raise BadTime("not a valid RFC3339 timestamp: day out of range") from None
    return Moment(local, int((fraction[1] if fraction else "0")[:9].ljust(9, "0")), offset, shift)


def _said(stop: _Stop, exact: bool) -> str:
    """The words for where reading stopped; with `exact` those of go-cty, which look closer at hours and minutes."""
    element, shown = stop.element, stop.shown
    if element == "T":
        return "missing required time introducer 'T'"
    if element in ("-", ":"):
        if not shown:
            return f'end of string where "{element}" is expected'
        return f'found {quote(shown)} where "{element}" is expected'
    if not shown:
        return f"end of string before {element}"
    if exact and element == "hour":
        return (
            "hour must be between 0 and 23 inclusive"
            if ":" in shown
            else f"cannot use {quote(shown)} as hour"
            if len(shown) == 2
            else "hour must have exactly two digits"
        )
    if exact and element == "minute" and len(shown.encode()) != 2:
        return "minute must have exactly two digits"
    return f"cannot use {quote(shown)} as {element}"


def parse_loosely(text: str) -> Moment:
    """A timestamp as `timecmp` takes it: an hour of one digit and a comma before the fraction will do."""
    try:
        return _read(text)
    except _Stop as stop:
        raise BadTime(f"not a valid RFC3339 timestamp: {_said(stop, False)}") from None


def parse(text: str) -> Moment:
    """A timestamp of RFC 3339."""
    try:
        moment = _read(text)
        if text[12] == ":":
            raise _Stop("hour", text[11])
        if text[19] == ",":
            raise _Stop("timestamp segment", ",")
        if text[-1] != "Z" and (int(text[-5:-3]) > 23 or int(text[-2:]) > 59):
            raise _Stop("UTC offset", text[-6:])
    except _Stop as stop:
        raise BadTime(f"not a valid RFC3339 timestamp: {_said(stop, True)}") from None
    return moment


_UNITS = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
}  # fmt: skip
_DURATION = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)", re.ASCII)


def _go_quote(text: str) -> str:
    """Go's `time` package quotes by bytes."""
    return '"' + "".join(c if c.isascii() and c not in '"\\' and c.isprintable() else _bytes(c) for c in text) + '"'


def _bytes(char: str) -> str:
    return f"\\{char}" if char in '"\\' else "".join(f"\\x{byte:02x}" for byte in char.encode())


def duration(text: str) -> int:
    """Nanoseconds of a duration of Go (`1h30m`). FunctionError in the words of `time.ParseDuration`."""
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = Fraction(0)
    if not rest:
        raise FunctionError(f"time: invalid duration {_go_quote(text)}")
    while rest:
        match = _DURATION.match(rest)
        assert match is not None
        whole, part, unit = match.group(1), match.group(2) or "", match.group(3)
        if not whole and part in ("", "."):
            raise FunctionError(f"time: invalid duration {_go_quote(text)}")
        if not unit:
            raise FunctionError(f"time: missing unit in duration {_go_quote(text)}")
        if unit not in _UNITS:
            raise FunctionError(f"time: unknown unit {_go_quote(unit)} in duration {_go_quote(text)}")
        total += Fraction(f"{whole or 0}{part if part != '.' else ''}") * _UNITS[unit]
        rest = rest[match.end() :]
    nanoseconds = int(total)
    if nanoseconds >= 1 << 63:
        raise FunctionError(f"time: invalid duration {_go_quote(text)}")
    return -nanoseconds if text[0] == "-" else nanoseconds


def _time_add(values: Sequence[Value], _: Type) -> Value:
    try:
        moment = parse(values[0].data)
    except BadTime as wrong:
        raise FunctionError(str(wrong)) from None
    seconds, nanoseconds = divmod(moment.nanoseconds + duration(values[1].data), 10**9)
    try:
        local = moment.local + timedelta(seconds=seconds)
        return Value(STRING, str(Moment(local, nanoseconds, moment.offset, moment.shift)))
    except OverflowError:
        raise FunctionError("the resulting year is out of range") from None


def _argument(values: Sequence[Value], index: int, read: Callable[[str], Moment]) -> Moment:
    try:
        return read(values[index].data)
    except BadTime as wrong:
        raise ArgumentError(index, str(wrong)) from None


def _time_compare(values: Sequence[Value], _: Type) -> Value:
    a, b = _argument(values, 0, parse_loosely).instant, _argument(values, 1, parse_loosely).instant
    return Value(NUMBER, Whole((a > b) - (a < b)))


# --- formatdate ------------------------------------------------------------------------------------------------------

_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _one_or_two(number: Callable[[Moment], int]) -> dict[int, Callable[[Moment], str]]:
    return {1: lambda t: str(number(t)), 2: lambda t: f"{number(t):02d}"}


def _half(t: Moment) -> str:
    return "PM" if t.local.hour >= 12 else "AM"


# letter: ({length: text}, what a wrong length is told)
_VERBS: Mapping[str, tuple[Mapping[int, Callable[[Moment], str]], str]] = {
    "Y": (
        {2: lambda t: f"{t.year % 100:02d}", 4: lambda t: f"{t.year:04d}"},
        'year must either be "YY" or "YYYY"',
    ),
    "M": (
        {
            **_one_or_two(lambda t: t.local.month),
            3: lambda t: _MONTHS[t.local.month - 1][:3],
            4: lambda t: _MONTHS[t.local.month - 1],
        },
        'month must be "M", "MM", "MMM", or "MMMM"',
    ),
    "D": (_one_or_two(lambda t: t.local.day), 'day of month must either be "D" or "DD"'),
    "E": (
        {3: lambda t: _DAYS[t.local.weekday()][:3], 4: lambda t: _DAYS[t.local.weekday()]},
        'day of week must either be "EEE" or "EEEE"',
    ),
    "h": (_one_or_two(lambda t: t.local.hour), '24-hour must either be "h" or "hh"'),
    "H": (_one_or_two(lambda t: t.local.hour % 12 or 12), '12-hour must either be "H" or "HH"'),
    "A": ({2: _half}, 'must be "AA"'),
    "a": ({2: lambda t: _half(t).lower()}, 'must be "aa"'),
    "m": (_one_or_two(lambda t: t.local.minute), 'minute must either be "m" or "mm"'),
    "s": (_one_or_two(lambda t: t.local.second), 'second must either be "s" or "ss"'),
    "Z": (
        {
            1: lambda t: t.zone(True) if t.offset else "Z",
            3: lambda t: t.zone(False) if t.offset else "UTC",
            4: lambda t: t.zone(False),
            5: lambda t: t.zone(True),
        },
        "timezone must be Z, ZZZZ, or ZZZZZ",
    ),
}
_TOKEN = re.compile(r"''|'(?:[^']|'')*'(?!')|'.*|([a-zA-Z])\1*|[^a-zA-Z']+", re.DOTALL)


def _format_date(values: Sequence[Value], _: Type) -> Value:
    moment = _argument(values, 1, parse)
    parts: list[str] = []
    for match in _TOKEN.finditer(values[0].data):
        token, letter = match.group(0), match.group(1)
        if token[0] == "'":
            if len(token) == 1 or token[-1] != "'":
                raise ArgumentError(0, "unterminated literal '")
            parts.append("'" if token == "''" else token[1:-1].replace("''", "'"))
        elif letter is None:
            parts.append(token)
        elif letter not in _VERBS:
            raise ArgumentError(0, f"invalid date format verb {quote(token)}")
        else:
            forms, words = _VERBS[letter]
            if len(token) not in forms:
                raise ArgumentError(0, f"invalid date format verb {quote(token)}: {words}")
            parts.append(forms[len(token)](moment))
    return Value(STRING, "".join(parts))


def no_clock() -> datetime:
    raise FunctionError("there is no clock here")


def clock_functions(now: Callable[[], datetime], plan_time: datetime | None) -> dict[str, Function]:
    """`timestamp` and `plantimestamp`; without a plan's time the latter is unknown."""

    def plan_timestamp(values: Sequence[Value], type: Type) -> Value:
        return Value(type, Unknown()) if plan_time is None else Value(STRING, text_of(plan_time))

    return {
        "timestamp": Function((), STRING, lambda values, _: Value(STRING, text_of(now()))),
        "plantimestamp": Function((), STRING, plan_timestamp, not_null=False),
    }


def text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


FUNCTIONS: Mapping[str, Function] = {
    "formatdate": Function(parameters(("format", STRING), ("time", STRING)), STRING, _format_date),
    "timeadd": Function(parameters(("timestamp", STRING), ("duration", STRING)), STRING, _time_add, not_null=False),
    "timecmp": Function(parameters(("timestamp_a", STRING), ("timestamp_b", STRING)), NUMBER, _time_compare),
}
