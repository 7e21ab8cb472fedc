"""'Did you mean …?': the nearest of some names, by edit distance."""

from __future__ import annotations

from collections.abc import Iterable


def distance(a: str, b: str) -> int:
    """Levenshtein distance."""
    previous = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        current = [i]
        for j, y in enumerate(b, 1):
            current.append(min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + (x != y)))
        previous = current
    return previous[-1]


def nearest(given: str, known: Iterable[str]) -> str:
    """The first of `known` at a distance below 3 (as Terraform's `didyoumean.NameSuggestion`), or ""."""
    for name in known:
        if distance(given, name) < 3:
            return name
    return ""
