"""Go's `math/rand`, so that a seed gives the results it gives in the real providers.

Theory of operation. The generator adds two of its last 607 values: v(k) = v(k-273) + v(k-607) mod 2^64. Its seeding
mixes numbers of a small generator into a table, which is the state after 7.8e12 steps from seed 1. A step is linear, so
the table need not be stored: with p(x) = x^607 - x^334 - 1, the value N steps on is given by x^N mod p. That takes some
forty squarings of polynomials of degree 606, done as products of large integers.
"""

from __future__ import annotations

import functools
import itertools

_LENGTH = 607
_TAP = 273
_STEPS = 7_800_000_000_000
_MASK = (1 << 64) - 1
_SLOT = 144
"""Bits for a coefficient of a product: two factors of 64 bits, and ten for the sum of 607."""


def _small(seed: int, shifts: tuple[int, int]) -> list[int]:
    """The 607 numbers which the small generator (48271 x mod 2^31-1) makes of a seed."""
    values = []
    x = seed
    for index in range(-20, _LENGTH):
        x = x * 48271 % 0x7FFFFFFF
        if index >= 0:
            u = x << shifts[0]
            x = x * 48271 % 0x7FFFFFFF
            u ^= x << shifts[1]
            x = x * 48271 % 0x7FFFFFFF
            values.append((u ^ x) & _MASK)
    return values


def _times(a: list[int], b: list[int]) -> list[int]:
    """The product of two polynomials modulo p and 2^64, coefficients from the lowest."""
    width = _SLOT // 8
    left = int.from_bytes(b"".join(c.to_bytes(width, "little") for c in a), "little")
    right = int.from_bytes(b"".join(c.to_bytes(width, "little") for c in b), "little")
    packed = (left * right).to_bytes(width * (len(a) + len(b)), "little")
    whole = [int.from_bytes(packed[i * width : (i + 1) * width], "little") & _MASK for i in range(len(a) + len(b) - 1)]
    for power in range(len(whole) - 1, _LENGTH - 1, -1):
        carried = whole[power]
        whole[power - _LENGTH] = (whole[power - _LENGTH] + carried) & _MASK
        whole[power - _TAP] = (whole[power - _TAP] + carried) & _MASK
    return [*whole, *([0] * _LENGTH)][:_LENGTH]


@functools.cache
def _table() -> tuple[int, ...]:
    """The state after all the steps, in the order of Go's array."""
    start = _small(1, (20, 10))
    # In order of time: step k writes at place (334 - k) mod 607, so the oldest value is at place 333.
    early = [start[(_LENGTH - _TAP + 606 - t) % _LENGTH] for t in range(_LENGTH)]
    for t in range(_LENGTH, 2 * _LENGTH):
        early.append((early[t - _TAP] + early[t - _LENGTH]) & _MASK)
    power = [1] + [0] * (_LENGTH - 1)
    for bit in bin(_STEPS)[2:]:
        power = _times(power, power)
        if bit == "1":
            power = _times(power, [0, 1])
    late = [sum(c * v for c, v in zip(power, early[j : j + _LENGTH], strict=True)) & _MASK for j in range(_LENGTH)]
    table = [0] * _LENGTH
    for j, value in enumerate(late):
        table[(_LENGTH - _TAP - (_STEPS - 606 + j)) % _LENGTH] = value
    return tuple(table)


class GoRandom:
    """`rand.New(rand.NewSource(seed))`."""

    def __init__(self, seed: int) -> None:
        reduced = abs(seed) % 0x7FFFFFFF * (-1 if seed < 0 else 1)
        if reduced < 0:
            reduced += 0x7FFFFFFF
        mixed = _small(reduced or 89482311, (40, 20))
        self._state = [(u ^ c) & _MASK for u, c in zip(mixed, _table(), strict=True)]
        self._tap, self._feed = 0, _LENGTH - _TAP

    def uint64(self) -> int:
        self._tap = (self._tap - 1) % _LENGTH
        self._feed = (self._feed - 1) % _LENGTH
        value = (self._state[self._feed] + self._state[self._tap]) & _MASK
        self._state[self._feed] = value
        return value

    def below(self, limit: int) -> int:
        """`Intn`."""
        bits = 31 if limit <= 0x7FFFFFFF else 63
        top = (1 << bits) - 1
        last = top - (1 << bits) % limit
        for _ in itertools.count():
            value = (self.uint64() & (2**63 - 1)) >> (63 - bits)
            if limit & (limit - 1) == 0:
                return value & (limit - 1)
            if value <= last:
                break
        return value % limit

    def permutation(self, count: int) -> list[int]:
        """`Perm`."""
        order = [0] * count
        for i in range(count):
            j = self.below(i + 1)
            order[i] = order[j]
            order[j] = i
        return order


def seed_of(text: str) -> int:
    """A text as a seed: its CRC-64 (ISO), as a signed number."""
    crc = _MASK
    for byte in text.encode():
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _MASK
    return crc - (1 << 64) if crc >> 63 else crc


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xD800000000000000 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()
