"""Helpers of columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from terrarium.kube.api.kinds import Column, Obj
from terrarium.kube.api.times import TimeError, age, parse_micro_time, parse_time

META = "@meta.v1.ObjectMeta."
NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"

Value = Callable[[Obj], Any]


def at(obj: Any, *path: str) -> Any:
    """The value at a path, None when anything is missing."""
    for step in path:
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(step)
    return obj


def since(text: str | None, now: datetime) -> str:
    """The time that has passed, `<unknown>` when there is none."""
    if not text:
        return UNKNOWN
    try:
        moment = parse_time(text)
    except TimeError:
        try:
            moment = parse_micro_time(text)
        except TimeError:
            return UNKNOWN
    return age((now - moment).total_seconds())


def column(
    name: str, value: Value, type: str = "string", *, wide: bool = False, format: str = "", about: str = ""
) -> Column:
    return Column(name, type, lambda obj, now: value(obj), format, about, 1 if wide else 0)


def timed(name: str, value: Callable[[Obj, datetime], Any], *, wide: bool = False, about: str = "") -> Column:
    return Column(name, "string", value, "", about, 1 if wide else 0)


def name_of(obj: Obj) -> str:
    return str(at(obj, "metadata", "name") or "")


NAME = column("Name", name_of, format="name", about=META + "name")
AGE = timed(
    "Age", lambda obj, now: since(at(obj, "metadata", "creationTimestamp"), now), about=META + "creationTimestamp"
)
CREATED = column(
    "Created At", lambda obj: at(obj, "metadata", "creationTimestamp"), "date", about=META + "creationTimestamp"
)


def number(*path: str) -> Value:
    return lambda obj: at(obj, *path) or 0


def string(*path: str, empty: str = "") -> Value:
    return lambda obj: str(at(obj, *path) or empty)


def flag(value: Any) -> str:
    return "true" if value else "false"


def labels(held: Mapping[str, str] | None, empty: str = NONE) -> str:
    """`a=b,c=d`."""
    return ",".join(f"{key}={held[key]}" for key in sorted(held)) if held else empty


_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector(held: Mapping[str, Any] | None) -> str:
    """A `metav1.LabelSelector` as text."""
    if held is None:
        return NONE
    parts = [(key, f"{key}={value}") for key, value in (held.get("matchLabels") or {}).items()]
    for expression in held.get("matchExpressions") or ():
        key, operator = expression.get("key", ""), expression.get("operator")
        if operator in _OPERATORS:
            parts.append((key, f"{key} {_OPERATORS[operator]} ({','.join(sorted(expression.get('values') or ()))})"))
        else:
            parts.append((key, key if operator == "Exists" else f"!{key}"))
    return ",".join(text for _, text in sorted(parts)) or NONE


def template(obj: Obj, *path: str) -> list[Obj]:
    return at(obj, *(path or ("spec", "template", "spec")), "containers") or []


def containers_and_images(*path: str) -> tuple[Column, Column]:
    return (
        column(
            "Containers",
            lambda obj: ",".join(c.get("name", "") for c in template(obj, *path)),
            wide=True,
            about="Names of each container in the template.",
        ),
        column(
            "Images",
            lambda obj: ",".join(c.get("image", "") for c in template(obj, *path)),
            wide=True,
            about="Images referenced by each container in the template.",
        ),
    )


def plural(values: Iterable[Any]) -> str:
    return ",".join(str(value) for value in values)
