"""JSON paths as kubectl and printer columns write them: text to a `Path`, and what it finds in an object. Pure.

`.spec.replicas`, `.metadata.labels.app\\.kubernetes\\.io/name`, `['a.b']`, `.items[0]`, `[-1]`, `[1:3]`, `[0,2]`, `[*]`,
`..name`, `[?(@.type=="Ready")]`. A path that leads nowhere finds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from terrarium.kube.api.gotext import compact_json

Step = Callable[[Any], Iterable[Any]]


class PathError(ValueError):
    """A text that is no JSON path."""


class Path:
    """A parsed path."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str, steps: tuple[Step, ...]) -> None:
        self.text = text
        self._steps = steps

    def find(self, value: Any) -> list[Any]:
        """All values at the path, in order."""
        found = [value]
        for step in self._steps:
            found = [inner for held in found for inner in step(held)]
        return found

    def first(self, value: Any) -> Any:
        """The first value at the path, None without."""
        return next(iter(self.find(value)), None)


@lru_cache(maxsize=1024)
def parse(text: str) -> Path:
    """Raises `PathError`."""
    return Path(text, tuple(_steps(text.removeprefix("{").removesuffix("}") if text.startswith("{") else text)))


_NAME = re.compile(r"(?:\\.|[^.\[\]\\])+")
_FILTER = re.compile(r"@([^=!<>]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+))?")


def _steps(text: str) -> Iterator[Step]:
    at = 0
    if text.startswith("$"):
        at = 1
    while at < len(text):
        if text.startswith("..", at):
            at += 2
            yield _deep
            if at < len(text) and text[at] not in "[.":
                name, at = _name(text, at)
                yield _field(name)
        elif text[at] == ".":
            at += 1
            if at < len(text) and text[at] == "[":
                continue
            if at == len(text):
                return
            name, at = _name(text, at)
            yield _every if name == "*" else _field(name)
        elif text[at] == "[":
            end = _closing(text, at)
            yield _bracket(text[at + 1 : end].strip())
            at = end + 1
        else:
            name, at = _name(text, at)
            yield _every if name == "*" else _field(name)


def _name(text: str, at: int) -> tuple[str, int]:
    found = _NAME.match(text, at)
    if found is None:
        raise PathError(f"unexpected {text[at : at + 1]!r} in {text}")
    return re.sub(r"\\(.)", r"\1", found.group()), found.end()


def _closing(text: str, at: int) -> int:
    """Where the bracket that opens at `at` closes: quoted text and inner brackets are stepped over."""
    depth, quoted = 0, ""
    for position in range(at, len(text)):
        char = text[position]
        if quoted:
            quoted = "" if char == quoted and text[position - 1] != "\\" else quoted
        elif char in "'\"":
            quoted = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return position
    raise PathError(f"unterminated array in {text}")


def _field(name: str) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[name],) if isinstance(value, Mapping) and name in value else ()

    return step


def _every(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _deep(value: Any) -> Iterator[Any]:
    yield value
    for inner in _every(value):
        yield from _deep(inner)


def _bracket(text: str) -> Step:
    if text == "*":
        return _every
    if match := re.fullmatch(r"\?\((.*)\)", text):
        return _filter(match[1].strip())
    if re.fullmatch(r"-?\d+", text):
        return _index(int(text))
    if match := re.fullmatch(r"(-?\d*):(-?\d*)(?::(-?\d+))?", text):
        bounds = slice(*(int(part) if part else None for part in match.groups()))
        return lambda value: value[bounds] if isinstance(value, list) else ()
    names = [part.strip() for part in re.split(r",(?=(?:[^'\"]|'[^']*'|\"[^\"]*\")*$)", text)]
    steps = [_index(int(n)) if re.fullmatch(r"-?\d+", n) else _field(_unquoted(n)) for n in names]
    return lambda value: [found for step in steps for found in step(value)]


def _index(number: int) -> Step:
    def step(value: Any) -> Iterable[Any]:
        return (value[number],) if isinstance(value, list) and -len(value) <= number < len(value) else ()

    return step


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
}


def _filter(text: str) -> Step:
    match = _FILTER.fullmatch(text)
    if match is None:
        raise PathError(f"unrecognized filter {text}")
    left, operator, right = parse(match[1] or "."), match[2], match[3]

    def fits(item: Any) -> bool:
        found = left.find(item)
        if operator is None:
            return bool(found)
        wanted = parse(right[1:]).find(item) if right.startswith("@") else [_literal(right)]
        if not found or not wanted or isinstance(found[0], bool) is not isinstance(wanted[0], bool):
            return False
        try:
            return _COMPARISONS[operator](found[0], wanted[0])
        except TypeError:
            return False

    return lambda value: [item for item in _every(value) if fits(item)]


def _literal(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if text[:1] in ("'", '"'):
        return _unquoted(text)
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def printed(value: Any) -> str:
    """A found value as text: maps and lists as JSON."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
        case float():
            return repr(value).removesuffix(".0")
        case dict() | list():
            return compact_json(value)
    return str(value)
