"""Flags as Go's flag package reads them: `-name`, `-name=value`, `-name value`, one or two dashes, stop at the first
argument that is none. A wrong flag raises `FlagError` with Go's words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_DURATION = re.compile(r"[-+]?(?:0|(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
TRUE = ("1", "t", "T", "true", "TRUE", "True")
FALSE = ("0", "f", "F", "false", "FALSE", "False")


class FlagError(Exception):
    """A flag that is not there, or has a wrong value. `parsed` is what came before it, and as `rest` what comes after."""

    def __init__(self, text: str, parsed: Parsed) -> None:
        super().__init__(text)
        self.parsed = parsed


class WrongUse(Exception):
    """A command was used in a way that its help explains: the text goes to standard error, the help to standard
    output (with `quiet` to standard error too)."""

    def __init__(self, text: str, quiet: bool = False) -> None:
        super().__init__(text)
        self.quiet = quiet


class HelpWanted(Exception):
    """`-h`, `-help` or `--help` was given."""


def wants_help(args: Sequence[str]) -> bool:
    return any(a in ("-h", "-help", "--help") for a in args)


@dataclass(slots=True)
class Parsed:
    """`flags` by name: the last value for single flags; `many` all values in order, as (name, value)."""

    flags: dict[str, object] = field(default_factory=dict)
    many: list[tuple[str, str]] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.flags.get(name, default)
        assert isinstance(value, bool)
        return value

    def text(self, name: str, default: str = "") -> str:
        value = self.flags.get(name, default)
        assert isinstance(value, str)
        return value

    def number(self, name: str, default: int) -> int:
        value = self.flags.get(name, default)
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A duration, in seconds; 0 when the flag was not given."""
        parts = re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)", self.text(name))
        return sum(float(count) * _UNITS[unit] for count, unit in parts)

    def all(self, name: str) -> list[str]:
        return [value for n, value in self.many if n == name]


def parse(args: Sequence[str], kinds: Mapping[str, str], permute: bool = False) -> Parsed:
    """Reads flags. `kinds` by name: "bool", "text", "int", "duration", "many". With `permute`, flags may follow
    arguments."""
    parsed = Parsed()
    rest = list(args)

    def wrong(text: str) -> FlagError:
        parsed.rest += rest
        return FlagError(text, parsed)

    while rest:
        word = rest.pop(0)
        if len(word) < 2 or not word.startswith("-"):
            parsed.rest.append(word)
            if not permute:
                parsed.rest += rest
                break
            continue
        if word == "--":
            parsed.rest += rest
            break
        name, equals, value = word.lstrip("-").partition("=") if word[:2] == "--" else word[1:].partition("=")
        if word.startswith("---") or not name or name.startswith("="):
            raise wrong(f"bad flag syntax: {word}")
        kind = kinds.get(name)
        if kind is None:
            if name in ("h", "help"):
                raise HelpWanted
            raise wrong(f"flag provided but not defined: -{name}")
        if kind == "bool":
            text = value if equals else "true"
            if text not in TRUE + FALSE:
                raise wrong(f'invalid boolean value "{text}" for -{name}: parse error')
            parsed.flags[name] = text in TRUE
            continue
        if not equals:
            if not rest:
                raise wrong(f"flag needs an argument: -{name}")
            value = rest.pop(0)
        if kind == "duration" and not _DURATION.fullmatch(value):
            raise wrong(f'invalid value "{value}" for flag -{name}: parse error')
        if kind == "many":
            parsed.many.append((name, value))
        elif kind == "int":
            try:
                parsed.flags[name] = int(value, 0)
            except ValueError:
                raise wrong(f'invalid value "{value}" for flag -{name}: parse error') from None
        else:
            parsed.flags[name] = value
    return parsed
