"""Numbers as cty has them: binary floating point of 512 bits, with whole numbers exact and fast.

Theory of operation. A number is a Python `int`, a `Fraction` (always dyadic: some integer over a power of two), or a
float infinity. Numbers that came out of text have 512 bits of mantissa. Some functions make shorter ones, as Go's
`big.Float` does: 53 bits for what was a float64 (`pow`, `log`), 64 bits for counts (`length`). How long the mantissa is
shows in two places: a result is rounded to the longer of its operands, and printing gives the shortest decimal which
still means the same number at that length. `Whole` and `Real` are the forms that know a length other than 512.
"""

from __future__ import annotations

import re
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import Final

PRECISION: Final = 512
_INFINITY: Final = float("inf")
# Beyond this many decimal digits a number counts as infinite (or zero): Go's own limit is far off, the cost is not.
_MOST_DIGITS: Final = 1_000_000

Number = int | Fraction | float


class Whole(int):
    """A whole number with a mantissa of `precision` bits."""

    precision: int

    def __new__(cls, value: int, precision: int = 64) -> Whole:
        self = super().__new__(cls, value)
        self.precision = precision
        return self


class Real(Fraction):
    """A fraction with a mantissa of `precision` bits."""

    __slots__ = ("precision",)
    precision: int

    @classmethod
    def of(cls, value: Fraction, precision: int) -> Real:
        self = cls(value.numerator, value.denominator)
        self.precision = precision
        return self


NEGATIVE_ZERO: Final = Whole(0, PRECISION)


def _zero(negative: bool) -> int:
    return NEGATIVE_ZERO if negative else 0


def _negative(number: Number) -> bool:
    return number < 0 or number is NEGATIVE_ZERO


def precision(number: Number) -> int:
    found: int = getattr(number, "precision", PRECISION)
    return found


def from_float(value: float) -> Number:
    """The number which a float64 computation gave (53 bits)."""
    if value in (_INFINITY, -_INFINITY):
        return value
    if value == 0:
        return _zero(str(value).startswith("-"))
    return _made(Fraction(value), 53)


def _made(value: Fraction, bits: int) -> Number:
    if value.denominator == 1:
        return value.numerator if bits == PRECISION else Whole(value.numerator, bits)
    return value if bits == PRECISION else Real.of(value, bits)


def rounded(value: int | Fraction, bits: int = PRECISION) -> Number:
    """The nearest number with a mantissa of `bits` bits, ties to even."""
    if isinstance(value, int) and value.bit_length() <= bits:
        return int(value) if bits == PRECISION else Whole(value, bits)
    numerator, denominator = abs(value.numerator), value.denominator
    if numerator.bit_length() <= bits and denominator & (denominator - 1) == 0:
        return _made(Fraction(value), bits)
    shift = bits - numerator.bit_length() + denominator.bit_length()
    while True:
        top, bottom = (numerator << shift, denominator) if shift >= 0 else (numerator, denominator << -shift)
        quotient, rest = divmod(top, bottom)
        if quotient.bit_length() <= bits:
            break
        shift -= 1
    if 2 * rest > bottom or (2 * rest == bottom and quotient & 1):
        quotient += 1
    if value < 0:
        quotient = -quotient
    return _made(Fraction(quotient, 1 << shift) if shift >= 0 else Fraction(quotient << -shift), bits)


# --- arithmetic: results as big.Float's, ZeroDivisionError where that panics with ErrNaN ---------------------------


def add(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        total = float("nan") if a == -b else a if isinstance(a, float) else b
        if total != total:
            raise ZeroDivisionError
        return total
    if isinstance(a, int) and isinstance(b, int):
        return _whole(int(a) + int(b), a, b, widen=False)
    return rounded(_plain(a) + _plain(b), max(precision(a), precision(b)))


def _whole(result: int, a: int, b: int, widen: bool = True) -> Number:
    """A whole result of two whole numbers; with `widen` it may get more bits than they have, up to 512."""
    bits = max(precision(a), precision(b))
    if result.bit_length() <= bits:
        return result if bits == PRECISION else Whole(result, bits)
    if not widen:
        return rounded(result, bits)
    exact = rounded(result)
    assert not isinstance(exact, float)
    return rounded(exact, max(bits, _needed(exact)))


def negate(a: Number) -> Number:
    if a == 0:
        return 0 if a is NEGATIVE_ZERO else NEGATIVE_ZERO
    if type(a) is int or isinstance(a, float):
        return -a
    return rounded(-_plain(a), precision(a))


def subtract(a: Number, b: Number) -> Number:
    return add(a, negate(b) if b else 0)


def multiply(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        if a == 0 or b == 0:
            raise ZeroDivisionError
        return _INFINITY if (a > 0) == (b > 0) else -_INFINITY
    if a == 0 or b == 0:
        return _zero(_negative(a) != _negative(b))
    if isinstance(a, int) and isinstance(b, int):
        return _whole(int(a) * int(b), a, b)
    exact = rounded(_plain(a) * _plain(b))
    # cty keeps as many bits as the product needs, up to 512.
    assert not isinstance(exact, float)
    return rounded(exact, max(precision(a), precision(b), _needed(exact)))


def divide(a: Number, b: Number) -> Number:
    if isinstance(a, float):
        if isinstance(b, float):
            raise ZeroDivisionError
        return a if b >= 0 else -a
    if isinstance(b, float):
        return _zero(_negative(a) != _negative(b))
    if b == 0:
        if a == 0:
            raise ZeroDivisionError
        return _INFINITY if (a > 0) != _negative(b) else -_INFINITY
    if a == 0:
        return _zero(_negative(a) != _negative(b))
    if type(a) is int and type(b) is int:
        whole, rest = divmod(a, b)
        if not rest:
            return rounded(whole)
    return rounded(Fraction(_plain(a)) / _plain(b), max(precision(a), precision(b)))


def modulo(a: Number, b: Number) -> Number:
    if isinstance(a, float) or isinstance(b, float):
        return multiply(a, b)
    if b == 0:
        return a
    if isinstance(a, int) and isinstance(b, int) and a.bit_length() < 64 > b.bit_length():
        rest = abs(int(a)) % abs(int(b))
        return _whole(-rest if a < 0 else rest, a, a)
    ratio = divide(a, b)
    assert not isinstance(ratio, float)
    left = subtract(a, multiply(b, truncate(ratio)))
    return left if isinstance(left, float) else rounded(left, precision(a))  # as long as the left side, not the right


def size(a: int | Fraction) -> int | Fraction:
    """Without its sign."""
    return -_plain(a) if a < 0 else a


def truncate(a: int | Fraction) -> int:
    """Towards zero."""
    return int(a) if isinstance(a, int) else abs(a).__floor__() * (1 if a > 0 else -1)


def equal(a: Number, b: Number) -> bool:
    """cty's rule: whole numbers by value, others when they print alike."""
    if a == b:
        return True
    if isinstance(a, Fraction) and isinstance(b, Fraction):
        return to_text(a) == to_text(b)
    return False


def _plain(a: int | Fraction) -> int | Fraction:
    return int(a) if isinstance(a, int) else Fraction(a.numerator, a.denominator)


def _needed(value: int | Fraction) -> int:
    """How many bits of mantissa the value needs (big.Float.MinPrec)."""
    top = abs(value.numerator)
    return top.bit_length() - (top & -top).bit_length() + 1 if top else 0


# --- text ----------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"([+-]?)(?:(\d+)(?:\.(\d*))?|\.(\d+))(?:([eEpP])([+-]?\d+))?", re.ASCII)


def parse(text: str) -> Number | None:
    """The number a decimal text means, as Go's `big.ParseFloat(text, 10, 512, ToNearestEven)`; None when it is none."""
    if text.isdecimal() and text.isascii() and len(text) < 150:
        return int(text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        sign, word = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
        if word in ("Inf", "inf"):
            return -_INFINITY if sign == "-" else _INFINITY
        return None
    sign, whole, part, bare, letter, exponent = match.groups()
    digits = (whole or "") + (part or bare or "")
    value = from_digits(digits)
    if value == 0:
        return _zero(sign == "-")
    if len(exponent or "") > 20:
        return 0 if exponent.startswith("-") else _infinite(sign)
    power = int(exponent or 0)
    tens = -len(part or bare or "")
    twos = power if letter in ("p", "P") else 0
    tens += 0 if letter in ("p", "P") else power
    if tens + len(digits) > _MOST_DIGITS or twos > 4 * _MOST_DIGITS:
        return _infinite(sign)
    if -tens > _MOST_DIGITS + len(digits) or twos < -4 * _MOST_DIGITS:
        return 0
    exact = Fraction(value * 10**tens) if tens >= 0 else Fraction(value, 10**-tens)
    exact = exact * (1 << twos) if twos >= 0 else exact / (1 << -twos)
    return rounded(-exact if sign == "-" else exact)


def _infinite(sign: str) -> Number:
    return -_INFINITY if sign == "-" else _INFINITY


# Conversions between int and str stop at 4300 digits in Python; those of Decimal do not.
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def from_digits(digits: str) -> int:
    """The whole number of decimal digits, however many."""
    return int(digits or "0") if len(digits) < 4000 else int(_EXACT.create_decimal(digits))


def _to_digits(value: int) -> str:
    return str(int(value)) if value.bit_length() < 13000 else format(Decimal(int(value)), "f")


def to_text(number: Number) -> str:
    """The shortest decimal that means the number, without exponent: Go's `Text('f', -1)`."""
    if isinstance(number, float):
        return "+Inf" if number > 0 else "-Inf"
    bits = precision(number)
    if number is NEGATIVE_ZERO:
        return "-0"
    if isinstance(number, int) and number.bit_length() <= bits:
        return _to_digits(number)
    digits, point = shortest(size(number), bits)
    sign = "-" if number < 0 else ""
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


def decimal_digits(value: int | Fraction) -> tuple[str, int]:
    """All decimal digits of a positive dyadic number and where its point stands: 0.d₁d₂… × 10^point."""
    numerator, power = value.numerator, value.denominator.bit_length() - 1
    digits = _to_digits(numerator * 5**power)
    point = len(digits) - power
    return digits.rstrip("0") or "0", point


def shortest(value: int | Fraction, bits: int) -> tuple[str, int]:
    """The fewest digits that still round to `value` at `bits` bits (the rule of Go's big.Float, with its way of
    comparing digit by digit). `value` is positive."""
    numerator, denominator = value.numerator, value.denominator
    # A mantissa of bits + 1 bits, whose last bit is half a unit in the last place.
    exponent = (numerator.bit_length() - denominator.bit_length() + 1) - (bits + 1)
    scale = Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)
    mantissa = Fraction(value) / scale
    if mantissa.denominator != 1:
        exponent -= 1
        scale /= 2
        mantissa *= 2
    whole = mantissa.numerator
    digits, point = decimal_digits(value)
    lower, _ = decimal_digits((whole - 1) * scale)
    upper, _ = decimal_digits((whole + 1) * scale)
    inclusive = whole & 2 == 0
    for i, digit in enumerate(digits):
        low = lower[i] if i < len(lower) else "0"
        high = upper[i] if i < len(upper) else "0"
        down = low != digit or (inclusive and i + 1 == len(lower))
        up = digit != high and (inclusive or ord(digit) + 1 < ord(high) or i + 1 < len(upper))
        if down and up:
            return round_digits(digits, point, i + 1, None)
        if down:
            return round_digits(digits, point, i + 1, False)
        if up:
            return round_digits(digits, point, i + 1, True)
    return digits, point


def round_digits(digits: str, point: int, keep: int, up: bool | None = None) -> tuple[str, int]:
    """The first `keep` digits, rounded; `up` None: to the nearest, half to even."""
    if keep >= len(digits):
        return digits, point
    if up is None:
        rest = digits[keep:]
        if rest[0] == "5" and len(rest) == 1:
            up = keep > 0 and int(digits[keep - 1]) % 2 == 1
        else:
            up = rest[0] >= "5"
    kept = digits[:keep]
    if up:
        kept = kept.rstrip("9")
        if not kept:
            return "1", point + 1
        kept = kept[:-1] + chr(ord(kept[-1]) + 1)
    return kept.rstrip("0") or "0", point


def to_general(number: Number, digits: int = 10) -> str:
    """Go's `Text('g', digits)`: at most so many significant digits, with an exponent when it is large or small."""
    if isinstance(number, float):
        return "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    exact, point = decimal_digits(size(number))
    kept, point = round_digits(exact, point, digits, None)
    exponent = point - 1
    # %e is used when the exponent is below -4 or not below the precision (or the count of digits where that is larger).
    limit = digits
    if limit > len(kept) and len(kept) >= point:
        limit = len(kept)
    if exponent < -4 or exponent >= max(limit, 0):
        mantissa = kept[0] + ("." + kept[1:] if len(kept) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{kept}"
    if point >= len(kept):
        return sign + kept + "0" * (point - len(kept))
    return f"{sign}{kept[:point]}.{kept[point:]}"
