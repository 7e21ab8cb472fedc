"""Quantities of resources: `500m`, `1Gi`, `2e3` (apimachinery `resource.Quantity`).

An amount is held as a whole number of nano units, which is the finest grain Kubernetes keeps (anything finer is rounded
up). The text a client wrote is kept when the real parser keeps it, that is when it already is nearly canonical; else the
canonical form is printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Literal

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANO = 10**9
MILLI = 10**6
"""Nano units in one thousandth."""

BAD_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
BAD_SUFFIX = "unable to parse quantity's suffix"
BAD_NUMBER = "unable to parse numeric part of quantity"

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL_NAME = {v: k for k, v in _DECIMAL.items()}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BINARY_NAME = {0: "", **{v: k for k, v in _BINARY.items()}}
_PARTS = re.compile(r"([+-]?)(\d*)(?:(\.)(\d*))?([eEinumkKMGTP]*[+-]?\d*)\Z")
_EXPONENT = re.compile(r"[eE][+-]?\d+\Z")
_LARGEST = (2**63 - 1) * NANO
_DIGITS = 18


class QuantityError(ValueError):
    """The text is not a quantity; `str()` is Kubernetes' sentence."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """An amount. Comparison and hash look at the amount alone; `str()` is how the API prints it."""

    nanos: int
    format: Format = "DecimalSI"
    text: str = ""
    """The client's own text where it is kept, else empty."""
    scale: int | None = None
    """Power of ten of the parser's quick form (None: it had to take the slow one); it shows in template hashes."""

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Raises `QuantityError`."""
        if text == "0":
            return cls(0, "DecimalSI", "0", 0)
        match = _PARTS.match(text)
        if not text or match is None:
            raise QuantityError(BAD_FORMAT)
        sign, whole, _, fraction, suffix = match.groups()
        fraction = fraction or ""
        base, exponent, format = _suffix(suffix)
        digits = whole.lstrip("0") or "0"
        shifted = digits + fraction
        amount = int(shifted)
        negative = sign == "-"
        scale = (exponent if base == 10 else 0) - len(fraction)
        if base == 10:
            quick = _DIGITS - len(digits) - len(fraction) >= 0
        else:
            quick = not fraction and 15 - len(digits) - int(exponent * 3 / 10) - 1 >= 0
        if quick and scale >= -9:
            whole_value = amount << exponent if base == 2 else amount
            if whole_value < 2**63:
                if base == 2:
                    keep = exponent % 10 == 0 and amount & 7 != 0
                else:
                    keep = scale % 3 == 0 and not shifted.endswith("000") and shifted[0] != "0"
                nanos = whole_value * 10 ** (9 + scale)
                return cls(-nanos if negative else nanos, format, text if keep else "", scale)
        power = 9 + scale
        if base == 2:
            amount <<= exponent
        nanos = amount * 10**power if power >= 0 else -(-amount // 10**-power)
        if format == "BinarySI":
            nanos = min(nanos, _LARGEST)
            if 0 < nanos < NANO:
                format = "DecimalSI"
        return cls(-nanos if negative else nanos, format)

    @classmethod
    def of(cls, value: object) -> Quantity:
        """From a field's value in an object: a string, or a number as YAML may give it."""
        if isinstance(value, str):
            return cls.parse(value.strip())
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise QuantityError(BAD_FORMAT)
        return cls.parse(_number(value))

    @classmethod
    def units(cls, value: int, format: Format = "DecimalSI") -> Quantity:
        return cls(value * NANO, format)

    @classmethod
    def milli(cls, value: int, format: Format = "DecimalSI") -> Quantity:
        return cls(value * MILLI, format)

    def __str__(self) -> str:
        return self.text or self.canonical()

    def canonical(self) -> str:
        """The canonical text: no fraction, the largest suffix that keeps the number whole."""
        if self.nanos == 0:
            return "0"
        if self.format == "BinarySI" and abs(self.nanos) >= 1024 * NANO and self.nanos % NANO == 0:
            value, power = self.nanos // NANO, 0
            while value % 1024 == 0 and power < 60:
                value //= 1024
                power += 10
            return f"{value}{_BINARY_NAME[power]}"
        value, power = self.nanos, -9
        while value % 1000 == 0 and (self.format == "DecimalExponent" or power < 18):
            value //= 1000
            power += 3
        if self.format == "DecimalExponent":
            return f"{value}e{power}" if power else str(value)
        return f"{value}{_DECIMAL_NAME[power]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __add__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos + other.nanos, self.format if self.nanos else other.format)

    def __sub__(self, other: Quantity) -> Quantity:
        return Quantity(self.nanos - other.nanos, self.format if self.nanos else other.format)

    def __mul__(self, factor: int) -> Quantity:
        return Quantity(self.nanos * factor, self.format)

    def __neg__(self) -> Quantity:
        return Quantity(-self.nanos, self.format)

    def __bool__(self) -> bool:
        return self.nanos != 0

    def rounded_up(self, power: int) -> Quantity:
        """Rounded away from zero to a multiple of ten to `power`; `rounded_up(-3)` leaves no less than thousandths."""
        unit = 10 ** (9 + power)
        if self.nanos % unit == 0:
            return self
        size = -(-abs(self.nanos) // unit) * unit
        return Quantity(size if self.nanos > 0 else -size, self.format)

    def value(self) -> int:
        """In whole units, rounded away from zero (`Quantity.Value`)."""
        return self.rounded_up(0).nanos // NANO

    def milli_value(self) -> int:
        """In thousandths, rounded away from zero (`Quantity.MilliValue`)."""
        return self.rounded_up(-3).nanos // MILLI


def _number(value: int | float) -> str:
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _suffix(suffix: str) -> tuple[int, int, Format]:
    if suffix in _DECIMAL:
        return 10, _DECIMAL[suffix], "DecimalSI"
    if suffix in _BINARY:
        return 2, _BINARY[suffix], "BinarySI"
    if _EXPONENT.match(suffix):
        return 10, int(suffix[1:]), "DecimalExponent"
    raise QuantityError(BAD_SUFFIX)


def canonical(text: object) -> str:
    """A quantity as the API gives it back. Raises `QuantityError`."""
    return str(Quantity.of(text))
