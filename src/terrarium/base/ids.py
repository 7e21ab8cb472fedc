"""Random identifiers, from a source that is handed in: a seed makes a world repeatable, and lets a journal be replayed."""

from __future__ import annotations

import os
import random
import uuid
from typing import Any

_HEX = "0123456789abcdef"
# Kubernetes leaves out vowels and look-alikes, so that no words arise (apimachinery/pkg/util/rand).
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


class _System(random.SystemRandom):
    """The system's randomness, asked once for all letters of an identifier."""

    def choices(self, population: Any, weights: Any = None, *, cum_weights: Any = None, k: int = 1) -> list[Any]:
        if weights is not None or cum_weights is not None:
            return super().choices(population, weights, cum_weights=cum_weights, k=k)
        words, count = os.urandom(4 * k), len(population)
        return [population[int.from_bytes(words[at : at + 4]) * count >> 32] for at in range(0, 4 * k, 4)]


class Ids:
    """Identifiers in the forms of AWS and Kubernetes. Without a seed they come from the system's randomness."""

    def __init__(self, seed: int | str | None = None) -> None:
        self._random: random.Random = _System() if seed is None else random.Random(seed)

    def hex(self, digits: int) -> str:
        return "".join(self._random.choices(_HEX, k=digits))

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        """The tail of a generated Kubernetes name."""
        return "".join(self._random.choices(_SAFE, k=length))

    def text(self, length: int, alphabet: str) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def below(self, limit: int) -> int:
        """An integer from 0 up to, not including, `limit`."""
        return self._random.randrange(limit)

    def real(self) -> float:
        """From 0.0 up to, not including, 1.0."""
        return self._random.random()
