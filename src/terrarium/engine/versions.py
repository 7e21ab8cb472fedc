"""Versions and constraints on them (`~> 5.0, != 5.3.1`), ordered as Terraform orders them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

_VERSION = re.compile(r"v?(\d+(?:\.\d+){0,2})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_TERM = re.compile(r"\s*(=|!=|>=|<=|>|<|~>|)\s*(v?\d+(?:\.\d+){0,2}(?:-[0-9A-Za-z.-]+)?)\s*")


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """`numbers` are major, minor and patch; `pre` the part after `-`."""

    numbers: tuple[int, int, int]
    pre: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """ValueError when the text is no version."""
        match = _VERSION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"malformed version: {text}")
        parts = [int(p) for p in match[1].split(".")]
        parts += [0] * (3 - len(parts))
        return cls((parts[0], parts[1], parts[2]), match[2] or "")

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers)) + (f"-{self.pre}" if self.pre else "")

    def _order(self) -> tuple[object, ...]:
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in self.pre.split(".")) if self.pre else ()
        return (self.numbers, not self.pre, parts)

    def __lt__(self, other: Version) -> bool:
        return self._order() < other._order()


@dataclass(frozen=True, slots=True)
class Constraint:
    """All of its terms must hold; without any, everything is allowed. Terms: (operator, version, parts written)."""

    terms: tuple[tuple[str, Version, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """ValueError when the text is no constraint."""
        if not text.strip():
            return cls()
        terms = []
        for part in text.split(","):
            match = _TERM.fullmatch(part)
            if match is None:
                raise ValueError(f"malformed constraint: {part.strip()}")
            count = match[2].partition("-")[0].count(".") + 1
            terms.append((match[1] or "=", Version.parse(match[2]), count))
        return cls(tuple(terms))

    def allows(self, version: Version) -> bool:
        if version.pre and not any(v.pre and v == version for op, v, _ in self.terms if op == "="):
            return False
        return all(_holds(version, *term) for term in self.terms)

    def __str__(self) -> str:
        """As the lock file writes constraints."""
        shown = []
        for operator, version, count in self.terms:
            text = ".".join(map(str, version.numbers[: count if operator == "~>" else 3]))
            text += f"-{version.pre}" if version.pre else ""
            shown.append(f"{operator} {text}" if operator != "=" else text)
        return ", ".join(shown)


def constraint_text(term: tuple[str, Version, int]) -> str:
    """One term as it was written, but for spaces."""
    operator, version, count = term
    text = ".".join(map(str, version.numbers[:count])) + (f"-{version.pre}" if version.pre else "")
    return text if operator == "=" else f"{operator} {text}"


def _holds(version: Version, operator: str, wanted: Version, count: int) -> bool:
    match operator:
        case "=":
            return version == wanted
        case "!=":
            return version != wanted
        case ">":
            return version > wanted
        case ">=":
            return version >= wanted
        case "<":
            return version < wanted
        case "<=":
            return version <= wanted
        case _:
            if version < wanted:
                return False
            fixed = max(count - 1, 1)
            return version.numbers[:fixed] == wanted.numbers[:fixed]


def is_constraint(text: str) -> bool:
    """Whether a text is a version constraint."""
    try:
        Constraint.parse(text)
    except ValueError:
        return False
    return True
