"""The errors of a check: `Errors` gathers them in order, each with its path and Kubernetes' wording.

Values are printed as Go prints them in such messages: strings quoted, nothing as `"null"`; a `Raw` is printed as it is,
for structures whose Go form the caller wrote out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import Context, FieldError, Obj
from terrarium.kube.api.quantity import Quantity

IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"

Check = Callable[[Obj, Context], Sequence[FieldError]]


class Raw(str):
    """A value's Go form, printed without quotes."""

    __slots__ = ()


def shown(value: Any) -> str:
    match value:
        case Raw():
            return str(value)
        case None:
            return '"null"'
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value)
        case Quantity():
            return quote(str(value))
    return str(value)


class Errors(list[FieldError]):
    """A list of `FieldError` with a method for each kind of error. Paths are texts: `spec.containers[0].name`."""

    def invalid(self, path: str, value: Any, message: str) -> None:
        parts = [part for part in (shown(value), message) if part]
        self.append(FieldError("FieldValueInvalid", path, f"Invalid value: {': '.join(parts)}"))

    def invalids(self, path: str, value: Any, messages: Iterable[str]) -> None:
        for message in messages:
            self.invalid(path, value, message)

    def wrong_type(self, path: str, value: Any, message: str) -> None:
        self.append(FieldError("FieldValueTypeInvalid", path, f"Invalid value: {shown(value)}: {message}"))

    def required(self, path: str, message: str = "") -> None:
        tail = f": {message}" if message else ""
        self.append(FieldError("FieldValueRequired", path, f"Required value{tail}"))

    def forbidden(self, path: str, message: str) -> None:
        self.append(FieldError("FieldValueForbidden", path, f"Forbidden: {message}"))

    def duplicate(self, path: str, value: Any) -> None:
        self.append(FieldError("FieldValueDuplicate", path, f"Duplicate value: {shown(value)}"))

    def unsupported(self, path: str, value: Any, supported: Iterable[str]) -> None:
        known = ", ".join(quote(s) for s in supported)
        tail = f": supported values: {known}" if known else ""
        self.append(FieldError("FieldValueNotSupported", path, f"Unsupported value: {shown(value)}{tail}"))

    def not_found(self, path: str, value: Any) -> None:
        self.append(FieldError("FieldValueNotFound", path, f"Not found: {shown(value)}"))

    def too_long(self, path: str, limit: int) -> None:
        self.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes"))

    def too_many(self, path: str, count: int, limit: int) -> None:
        self.append(FieldError("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} items"))

    # Rules that recur

    def not_negative(self, path: str, value: Any) -> None:
        if isinstance(value, int) and value < 0:
            self.invalid(path, value, NOT_NEGATIVE)

    def one_of(self, path: str, value: Any, supported: Sequence[str]) -> None:
        if value not in supported:
            self.unsupported(path, value if value is not None else "", supported)

    def required_one_of(self, path: str, value: Any, supported: Sequence[str], message: str = "") -> None:
        if not value:
            self.required(path, message)
        else:
            self.one_of(path, value, supported)

    def immutable(self, path: str, new: Any, old: Any, printed: Any = ...) -> None:
        if (new or None) != (old or None) and new != old:
            self.invalid(path, new if printed is ... else printed, IMMUTABLE)

    def name(self, path: str, value: Any, rule: Callable[[str], list[str]]) -> None:
        self.invalids(path, value, rule(value or ""))

    def quantity(self, path: str, value: Any) -> None:
        if Quantity.of(value).nanos < 0:
            self.invalid(path, str(Quantity.of(value)), NOT_NEGATIVE)


def at(value: Any, *path: str | int) -> Any:
    """The value at a path, None when anything on the way is missing."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and step < len(value) else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is None:
            return None
    return value


def items(value: Any, path: str) -> Iterable[tuple[str, Any]]:
    """Elements of a list that may be missing, with their paths."""
    for index, item in enumerate(value or ()):
        yield f"{path}[{index}]", item if item is not None else {}
