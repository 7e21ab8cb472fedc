"""What must be seen: small named predicates over the answer of a command.

A check looks at what a command printed and gives a `Finding`: whether it held, and else what was expected and seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """The answer of one command. `seconds` is real time."""

    command: str
    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def json(self) -> Any:
        """Standard output as JSON; None when it is none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a check. `what` is a short sentence in the present: "the instance id is unchanged"."""

    ok: bool
    what: str
    expected: str = ""
    seen: str = ""


Check = Callable[[Seen], Finding]


def _shorten(text: str, limit: int = 600) -> str:
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"


def exits(code: int) -> Check:
    def check(seen: Seen) -> Finding:
        return Finding(seen.code == code, f"exit status {code}", str(code), f"{seen.code}: {_shorten(seen.text)}")

    return check


def says(text: str, what: str = "") -> Check:
    """The output has this text."""

    def check(seen: Seen) -> Finding:
        return Finding(text in seen.text, what or f"says “{text}”", text, _shorten(seen.text))

    return check


def silent_on(text: str, what: str = "") -> Check:
    """The output lacks this text."""

    def check(seen: Seen) -> Finding:
        return Finding(text not in seen.text, what or f"no “{text}”", f"no “{text}”", _shorten(seen.text))

    return check


def matches(pattern: str, what: str = "") -> Check:
    """A line of the output matches a regular expression."""

    def check(seen: Seen) -> Finding:
        ok = re.search(pattern, seen.text, re.MULTILINE) is not None
        return Finding(ok, what or f"matches {pattern}", pattern, _shorten(seen.text))

    return check


def dig(value: Any, path: str) -> Any:
    """Follows `a.b.0.c`; `*` gathers over a list; `\\.` is a dot in a key. None where nothing is."""
    current = value
    steps = [s.replace("\\.", ".") for s in re.split(r"(?<!\\)\.", path)] if path else []
    for at, step in enumerate(steps):
        if step == "*":
            rest = ".".join(s.replace(".", "\\.") for s in steps[at + 1 :])
            return [dig(item, rest) for item in current or []]
        if isinstance(current, dict):
            current = current.get(step)
        elif isinstance(current, list) and step.isdigit() and int(step) < len(current):
            current = current[int(step)]
        else:
            return None
    return current


def has(path: str, expected: Any, what: str = "") -> Check:
    """The JSON answer has `expected` at `path`."""

    def check(seen: Seen) -> Finding:
        found = dig(seen.json, path)
        label = what or f"{path} is {json.dumps(expected)}"
        return Finding(
            found == expected, label, json.dumps(expected), json.dumps(found) if seen.json else _shorten(seen.text)
        )

    return check


def holds(path: str, rule: Callable[[Any], bool], what: str) -> Check:
    """The JSON answer's value at `path` fulfils a rule; `what` says it in words."""

    def check(seen: Seen) -> Finding:
        found = dig(seen.json, path)
        try:
            ok = bool(rule(found))
        except (TypeError, ValueError, KeyError, IndexError, AttributeError):
            ok = False
        return Finding(ok, what, what, json.dumps(found)[:600] if seen.json is not None else _shorten(seen.text))

    return check


def is_true(ok: bool, what: str, expected: object = "", seen: object = "") -> Check:
    """A finding that was made by comparing several answers."""

    def check(_: Seen) -> Finding:
        return Finding(ok, what, str(expected), str(seen))

    return check


def prints_nothing(what: str) -> Check:
    """Standard output is empty."""

    def check(seen: Seen) -> Finding:
        return Finding(not seen.stdout.strip(), what, "nothing", _shorten(seen.stdout))

    return check
