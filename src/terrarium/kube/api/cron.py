"""Cron schedules as CronJobs have them: what a text means, and what is wrong with it (robfig/cron's standard parser)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

_MONTHS = {
    n: i + 1 for i, n in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
}
_DAYS = {n: i for i, n in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class CronError(ValueError):
    """A schedule that can't be read; `str()` is the parser's sentence."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Minutes, hours, days of the month, months and days of the week on which it is due; or a fixed distance."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool
    every: timedelta | None = None

    def next(self, after: datetime) -> datetime | None:
        """The first time due after `after`, in the zone of `after`; None when there is none within five years."""
        if self.every is not None:
            return (after + self.every).replace(microsecond=0)
        moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        limit = after.year + 5
        while moment.year <= limit:
            if moment.month not in self.months:
                year, month = (moment.year + 1, 1) if moment.month == 12 else (moment.year, moment.month + 1)
                moment = moment.replace(year=year, month=month, day=1, hour=0, minute=0)
            elif not self._day(moment):
                moment = moment.replace(hour=0, minute=0) + timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes:
                moment += timedelta(minutes=1)
            else:
                return moment
        return None

    def _day(self, moment: datetime) -> bool:
        day = moment.day in self.days
        weekday = (moment.weekday() + 1) % 7 in self.weekdays
        return day and weekday if self.any_day or self.any_weekday else day or weekday


def parse(text: str) -> Schedule:
    """Raises `CronError`."""
    if text.startswith("@"):
        if text.startswith("@every "):
            from terrarium.kube.api.times import TimeError, duration_nanos

            try:
                seconds = max(duration_nanos(text.removeprefix("@every ")) // 10**9, 1)
            except TimeError as wrong:
                raise CronError(f"failed to parse duration {text}: {wrong}") from None
            nothing: frozenset[int] = frozenset()
            return Schedule(nothing, nothing, nothing, nothing, nothing, True, True, timedelta(seconds=seconds))
        if text not in _DESCRIPTORS:
            raise CronError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != 5:
        raise CronError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    sets = [_field(part, *limits) for part, limits in zip(parts, _FIELDS, strict=True)]
    minutes, hours, days, months, weekdays = (values for values, _ in sets)
    return Schedule(minutes, hours, days, months, weekdays, sets[2][1], sets[4][1])


def _field(text: str, low: int, high: int, names: dict[str, int]) -> tuple[frozenset[int], bool]:
    found: set[int] = set()
    star = False
    for part in text.split(","):
        values, stars = _range(part, low, high, names)
        found |= values
        star = star or stars
    return frozenset(found), star


def _range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[set[int], bool]:
    pieces = text.split("/")
    bounds = pieces[0].split("-")
    star = False
    single = len(bounds) == 1
    if bounds[0] in ("*", "?"):
        start, end, star = low, high, True
    else:
        start = _number(bounds[0], names)
        if single:
            end = start
        elif len(bounds) == 2:
            end = _number(bounds[1], names)
        else:
            raise CronError(f"too many hyphens: {text}")
    step = 1
    if len(pieces) == 2:
        step = _number(pieces[1], {})
        if single and not star:
            end = high
        if step > 1:
            star = False
    elif len(pieces) > 2:
        raise CronError(f"too many slashes: {text}")
    if start < low:
        raise CronError(f"beginning of range ({start}) below minimum ({low}): {text}")
    if end > high:
        raise CronError(f"end of range ({end}) above maximum ({high}): {text}")
    if start > end:
        raise CronError(f"beginning of range ({start}) beyond end of range ({end}): {text}")
    if step == 0:
        raise CronError(f"step of range should be a positive number: {text}")
    return set(range(start, end + 1, step)), star


def _number(text: str, names: dict[str, int]) -> int:
    if text.lower() in names:
        return names[text.lower()]
    if not (text.isascii() and text.lstrip("+-").isdigit()):
        raise CronError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise CronError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def fault(text: str) -> str:
    """What is wrong with a schedule; "" when nothing is."""
    try:
        parse(text)
    except CronError as wrong:
        return str(wrong)
    return ""


@lru_cache(maxsize=256)
def known_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True
