"""The time provider: moments that are fixed, moved, that expire, and waiting."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, ClassVar

from terrarium.base.clock import Clock, real_sleep
from terrarium.base.diagnostics import Diagnostic
from terrarium.language.types import Object
from terrarium.language.values import Value
from terrarium.providers.framework import (
    Drawing,
    Function,
    Plain,
    Refused,
    Resource,
    SmallProvider,
    complaint,
    schema_of,
)
from terrarium.providers.gotime import parse_rfc3339, rfc3339
from terrarium.providers.values import UNKNOWN, value_of

_PARTS = ("year", "month", "day", "hour", "minute", "second")


def _now() -> datetime:
    return Clock().now().replace(microsecond=0)


def shifted(moment: datetime, years: int, months: int, days: int) -> datetime:
    """Go's `AddDate`: an overflow of days goes on into the next month."""
    month = moment.month - 1 + months
    first = moment.replace(year=moment.year + years + month // 12, month=month % 12 + 1, day=1)
    return first + timedelta(days=moment.day - 1 + days)


def _parts(moment: datetime) -> Plain:
    return {**{name: getattr(moment, name) for name in _PARTS}, "unix": int(moment.timestamp())}


def _bad_time(config: Plain, *names: str) -> list[Diagnostic]:
    found = []
    for name in names:
        text = config.get(name)
        if isinstance(text, str):
            try:
                parse_rfc3339(text)
            except ValueError as wrong:
                detail = (
                    "A string value was provided that is not valid RFC3339 string format.\n\n"
                    f"Given Value: {text}\nError: {wrong}"
                )
                found.append(complaint("Invalid RFC3339 String Value", detail, (name,)))
    return found


def _imported_time(text: str, kind: str) -> datetime:
    try:
        return parse_rfc3339(text)
    except ValueError as wrong:
        raise Refused(
            f"Import time {kind} error",
            f"The id that was supplied could not be parsed as RFC3339.\n\n+Original Error: {wrong}",
        ) from None


class TimeStatic(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _bad_time(config, "rfc3339")

    def amend(self, plan: Drawing) -> None:
        """A moment that is given is known while planning, with all its parts."""
        given = plan.config["rfc3339"]
        if given.is_null or not given.is_known or not isinstance(given.data, str):
            return
        for name, data in {"id": given.data, **_parts(parse_rfc3339(given.data))}.items():
            plan.set(name, data)

    def create(self, new: Plain) -> Plain:
        text = new.get("rfc3339") or rfc3339(_now())
        return {**new, "id": text, "rfc3339": text, **_parts(parse_rfc3339(text))}

    def imported(self, id: str) -> Plain:
        return {"id": id, "rfc3339": id, "triggers": {}, **_parts(_imported_time(id, "static"))}


_OFFSETS = ("offset_seconds", "offset_minutes", "offset_hours", "offset_days", "offset_months", "offset_years")


class TimeOffset(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        found = _bad_time(config, "base_rfc3339")
        if all(config.get(name) is None for name in _OFFSETS):
            detail = f"At least one of these attributes must be configured: [{','.join(_OFFSETS)}]"
            found.append(complaint("Missing Attribute Configuration", detail))
        return found

    def amend(self, plan: Drawing) -> None:
        """A moved offset is known while planning: the base stays."""
        if plan.prior is None or plan.replace:
            return
        if plan.config["base_rfc3339"].is_null:
            plan.members["base_rfc3339"] = plan.prior["base_rfc3339"]
        if any(not plan.members[name].is_known for name in ("base_rfc3339", *_OFFSETS)):
            return
        if all(plan.members[n] == plan.prior[n] for n in ("base_rfc3339", "triggers", *_OFFSETS)):
            plan.members.update(plan.prior)
            return
        known = {name: plan.members[name].data for name in _OFFSETS if not plan.members[name].is_null}
        moved = self._moved({**known, "base_rfc3339": plan.members["base_rfc3339"].data})
        for name, data in moved.items():
            if name in plan.members and not name.startswith("offset_"):
                plan.set(name, data)

    def _moved(self, given: Plain) -> Plain:
        base = given["base_rfc3339"]
        by = {name: int(given.get(name) or 0) for name in _OFFSETS}
        # One after the other, in this order: it matters where a month has no such day.
        moment = parse_rfc3339(base) + timedelta(
            days=by["offset_days"], hours=by["offset_hours"], minutes=by["offset_minutes"]
        )
        moment = shifted(moment, 0, by["offset_months"], 0) + timedelta(seconds=by["offset_seconds"])
        moment = shifted(moment, by["offset_years"], 0, 0)
        return {"id": base, "base_rfc3339": base, "rfc3339": rfc3339(moment), **_parts(moment)}

    def create(self, new: Plain) -> Plain:
        base = new.get("base_rfc3339") or rfc3339(_now())
        return {**new, **self._moved({**new, "base_rfc3339": base})}

    def update(self, old: Plain, new: Plain) -> Plain:
        return self.create(new)

    def imported(self, id: str) -> Plain:
        parts = id.split(",")
        if len(parts) != 7 or not parts[0]:
            raise Refused(
                "Unexpected Format of ID",
                f"Unexpected format of ID ({id!r}), expected BASETIMESTAMP,YEARS,MONTHS,DAYS,HOURS,MINUTES,SECONDS "
                "where at least one offset value is non-empty",
            )
        _imported_time(parts[0], "offset")
        numbers = dict(zip(reversed(_OFFSETS), (int(p or 0) for p in parts[1:]), strict=True))
        return self.create({"base_rfc3339": parts[0], "triggers": {}, **numbers})


_ROTATIONS = ("rotation_minutes", "rotation_hours", "rotation_days", "rotation_months", "rotation_years")


class TimeRotating(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        found = _bad_time(config, "rfc3339", "rotation_rfc3339")
        names = (*_ROTATIONS, "rotation_rfc3339")
        if all(config.get(name) is None for name in names):
            detail = f"At least one of these attributes must be configured: [{','.join(names)}]"
            found.append(complaint("Missing Attribute Configuration", detail))
        for name in _ROTATIONS:
            value = config.get(name)
            if value is not None and value is not UNKNOWN and value < 1:
                detail = f"Attribute {name} value must be at least 1, got: {value}"
                found.append(complaint("Invalid Attribute Value", detail, (name,)))
        return found

    def amend(self, plan: Drawing) -> None:
        if plan.prior is None:
            return
        names = ("rfc3339", "rotation_rfc3339", "triggers", *_ROTATIONS)
        configured = plan.config["rotation_rfc3339"]
        if not configured.is_null and configured != plan.prior["rotation_rfc3339"]:
            plan.replace.append(("rotation_rfc3339",))
        if plan.replace or any(not plan.members[n].is_known for n in names if n != "rotation_rfc3339"):
            return
        moved = self._turned({name: plan.members[name].data for name in names if not plan.members[name].is_null}, plan)
        for name, data in moved.items():
            plan.set(name, data)

    def _turned(self, given: Plain, plan: Drawing | None = None) -> Plain:
        text = given["rfc3339"]
        fixed = given.get("rotation_rfc3339") if plan is None else plan.config["rotation_rfc3339"].data
        if isinstance(fixed, str):
            turn = parse_rfc3339(fixed)
        else:
            by = {name: int(given.get(name) or 0) for name in _ROTATIONS}
            turn = parse_rfc3339(text) + timedelta(
                days=by["rotation_days"], hours=by["rotation_hours"], minutes=by["rotation_minutes"]
            )
            turn = shifted(shifted(turn, 0, by["rotation_months"], 0), by["rotation_years"], 0, 0)
        return {"id": text, "rfc3339": text, "rotation_rfc3339": rfc3339(turn), **_parts(turn)}

    def create(self, new: Plain) -> Plain:
        text = new.get("rfc3339") or rfc3339(_now())
        return {**new, **self._turned({**new, "rfc3339": text})}

    def update(self, old: Plain, new: Plain) -> Plain:
        return {**new, **self._turned(new)}

    def read(self, old: Plain) -> Plain | None:
        """Gone once its time has come."""
        turn = old.get("rotation_rfc3339")
        if turn and Clock().now() > parse_rfc3339(turn).astimezone(UTC):
            return None
        return old

    def imported(self, id: str) -> Plain:
        parts = id.split(",")
        if len(parts) == 2:
            _imported_time(parts[0], "rotating")
            _imported_time(parts[1], "rotating")
            zeros = dict.fromkeys(_ROTATIONS, 0)
            return self.create({"rfc3339": parts[0], "rotation_rfc3339": parts[1], "triggers": {}, **zeros})
        if len(parts) != 6 or not parts[0]:
            raise Refused(
                "Unexpected Format of ID",
                f"Unexpected format of ID ({id!r}), expected BASETIMESTAMP,YEARS,MONTHS,DAYS,HOURS,MINUTES or "
                "BASETIMESTAMP,ROTATIONTIMESTAMP",
            )
        _imported_time(parts[0], "rotating")
        numbers = dict(zip(reversed(_ROTATIONS), (int(p or 0) for p in parts[1:]), strict=True))
        return self.create({"rfc3339": parts[0], "triggers": {}, **numbers})


_DURATION = re.compile(r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class TimeSleep(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        found: list[Diagnostic] = []
        names = ("create_duration", "destroy_duration")
        if all(config.get(name) is None for name in names):
            for listed in (("destroy_duration", "create_duration"), names):
                detail = f"At least one attribute out of [{','.join(listed)}] must be specified"
                found.append(complaint("Invalid Attribute Combination", detail, (listed[-1],)))
        for name in names:
            text = config.get(name)
            if isinstance(text, str) and not _DURATION.match(text):
                detail = (
                    f"Attribute {name} must be a number immediately followed by ms (milliseconds), s (seconds), "
                    f'm (minutes), or h (hours). For example, "30s" for 30 seconds., got: {text}'
                )
                found.append(complaint("Invalid Attribute Value Match", detail, (name,)))
        return found

    def _wait(self, text: str | None) -> None:
        match = _DURATION.match(text or "")
        if match:
            real_sleep(float(match[0].removesuffix(match[2])) * _SECONDS[match[2]])

    def create(self, new: Plain) -> Plain:
        self._wait(new.get("create_duration"))
        return {**new, "id": rfc3339(_now())}

    def delete(self, old: Plain) -> None:
        self._wait(old.get("destroy_duration"))

    def imported(self, id: str) -> Plain:
        create, comma, destroy = id.partition(",")
        if not comma or not (create or destroy):
            raise Refused(
                "Unexpected Format of ID",
                f"Unexpected format of ID ({id!r}), expected CREATEDURATION,DESTROYDURATION where at least one value is "
                "non-empty",
            )
        return {
            "id": rfc3339(_now()),
            "create_duration": create or None,
            "destroy_duration": destroy or None,
            "triggers": {},
        }


# --- functions


def _object(provider_function: str, data: Any) -> Value:
    kind = schema_of("time").functions[provider_function].returns
    assert isinstance(kind, Object)
    return value_of(kind, data)


def _moment(moment: datetime) -> Plain:
    year, week, _ = moment.isocalendar()
    return {
        **{name: getattr(moment, name) for name in _PARTS},
        "unix": int(moment.timestamp()),
        "year_day": moment.timetuple().tm_yday,
        "month_name": calendar.month_name[moment.month],
        "weekday": moment.isoweekday() % 7,
        "weekday_name": calendar.day_name[moment.weekday()],
        "iso_year": year,
        "iso_week": week,
        "rfc3339": rfc3339(moment),
    }


def _rfc3339_parse(arguments: Sequence[Value]) -> Value:
    text = str(arguments[0].data)
    try:
        moment = parse_rfc3339(text)
    except ValueError:
        raise Refused(
            "Error in function call",
            f'Error parsing RFC3339 timestamp: "{text}" is not a valid RFC3339 timestamp.',
            (0,),
        ) from None
    return _object("rfc3339_parse", _moment(moment))


def _unix_timestamp_parse(arguments: Sequence[Value]) -> Value:
    return _object("unix_timestamp_parse", _moment(datetime.fromtimestamp(int(arguments[0].data), UTC)))


_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_GO_DURATION = re.compile(r"([0-9]*\.?[0-9]*)(ns|us|µs|μs|ms|s|m|h)")


def _ratio(nanos: int, unit: int) -> float:
    """As Go's `Duration.Hours` and its sisters do it: the whole part and the rest each as a float."""
    whole, rest = divmod(abs(nanos), unit)
    return (1 if nanos >= 0 else -1) * (float(whole) + float(rest) / unit)


def _duration_parse(arguments: Sequence[Value]) -> Value:
    text = str(arguments[0].data)
    body = text.lstrip("+-") if text[:1] in "+-" else text
    found = list(_GO_DURATION.finditer(body))
    whole = "".join(m[0] for m in found) == body and all(m[1] not in ("", ".") for m in found)
    if body != "0" and (not found or not whole):
        raise Refused(
            "Error in function call", f'Error parsing duration string: "{text}" is not a valid duration string.', (0,)
        )
    nanos = sum((int(Fraction(m[1]) * _UNITS[m[2]]) for m in found), 0) * (-1 if text.startswith("-") else 1)
    sign = -1 if nanos < 0 else 1
    return _object(
        "duration_parse",
        {
            "hours": _ratio(nanos, 3600 * 10**9),
            "minutes": _ratio(nanos, 60 * 10**9),
            "seconds": _ratio(nanos, 10**9),
            "milliseconds": sign * (abs(nanos) // 10**6),
            "microseconds": sign * (abs(nanos) // 10**3),
            "nanoseconds": nanos,
        },
    )


class TimeProvider(SmallProvider):
    name = "time"
    resources: ClassVar[Mapping[str, Resource]] = {
        "time_offset": TimeOffset(),
        "time_rotating": TimeRotating(),
        "time_sleep": TimeSleep(),
        "time_static": TimeStatic(),
    }
    functions: ClassVar[Mapping[str, Function]] = {
        "duration_parse": _duration_parse,
        "rfc3339_parse": _rfc3339_parse,
        "unix_timestamp_parse": _unix_timestamp_parse,
    }


def create() -> TimeProvider:
    return TimeProvider()
