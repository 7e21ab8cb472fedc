"""Logarithm and power of float64s with the last bit as Go's `math` package gives it on amd64.

The C library rounds some results the other way, and a digit is a difference in a plan. The reduction and polynomials are
those of FreeBSD's e_log.c, and for the exponential those of Shibata's paper on SIMD evaluation (ISC 2010) with fused
multiply-add; the power is by squaring mantissa and exponent apart.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final

_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_LOG_ODD: Final = (
    1.479819860511658591e-01,
    1.818357216161805012e-01,
    2.857142874366239149e-01,
    6.666666666666735130e-01,
)
_LOG_EVEN: Final = (1.531383769920937332e-01, 2.222219843214978396e-01, 3.999999999940941908e-01)

_LN2_UPPER: Final = 0.69314718055966295651160180568695068359375
_LN2_LOWER: Final = 0.28235290563031577122588448175013436025525412068e-12
_TAYLOR: Final = (
    2.4801587301587301587e-5,
    1.9841269841269841270e-4,
    1.3888888888888888889e-3,
    8.3333333333333333333e-3,
    4.1666666666666666667e-2,
    1.6666666666666666667e-1,
    0.5,
    1.0,
)


def log(x: float) -> float:
    """The natural logarithm; NaN below zero."""
    if math.isnan(x) or x < 0:
        return math.nan
    if x == 0:
        return -math.inf
    if math.isinf(x):
        return x
    mantissa, power = math.frexp(x)
    if mantissa < math.sqrt(2) / 2:
        mantissa *= 2
        power -= 1
    f = mantissa - 1
    s = f / (2 + f)
    s2 = s * s
    s4 = s2 * s2
    odd = even = 0.0
    for factor in _LOG_ODD:
        odd = odd * s4 + factor
    for factor in _LOG_EVEN:
        even = even * s4 + factor
    rest = s2 * odd + s4 * even
    half = 0.5 * f * f
    return power * _LN2_HIGH - ((half - (s * (half + rest) + power * _LN2_LOW)) - f)


def _fused(a: float, b: float, c: float) -> float:
    """a·b + c, rounded once."""
    return float(Fraction(a) * Fraction(b) + Fraction(c))


def exp(x: float) -> float:
    """The exponential of a finite number."""
    if x > 7.09782712893384e02:
        return math.inf
    power = round(x * 1.4426950408889634073599246810018920)
    if power <= -1023:
        return 0.0
    x = _fused(-_LN2_UPPER, power, x)
    x = _fused(-_LN2_LOWER, power, x) * 0.0625
    total = _TAYLOR[0]
    for factor in _TAYLOR[1:]:
        total = _fused(total, x, factor)
    x *= total
    for _ in range(3):  # (1 + x)² - 1, three times of four: the last adds the one
        x *= x + 2.0
    return math.ldexp(_fused(x, x + 2.0, 1.0), power)


def power(x: float, y: float) -> float:
    """x to the power of y by IEEE 754's rules; NaN where there is no real result."""
    if y == 0 or x == 1:
        return 1.0
    if y == 1:
        return x
    if math.isnan(x) or math.isnan(y):
        return math.nan
    if x == 0 or math.isinf(x):
        large = math.isinf(x) == (y > 0)
        sign = math.copysign(1, x) if _odd(y) else 1.0
        return math.copysign(math.inf if large else 0.0, sign)
    if math.isinf(y) or abs(y) >= 1 << 63:
        if x == -1:
            return 1.0
        return 0.0 if (abs(x) < 1) == (y > 0) else math.inf
    if y == 0.5:
        return math.sqrt(x) if x >= 0 else math.nan
    if y == -0.5:
        return 1 / math.sqrt(x) if x >= 0 else math.nan
    part, whole = math.modf(abs(y))
    if part and x < 0:
        return math.nan
    return _by_squaring(x, int(whole), part, y < 0)


def _odd(y: float) -> bool:
    return y.is_integer() and abs(y) < 1 << 53 and int(y) & 1 == 1


def _by_squaring(x: float, whole: int, part: float, negative: bool) -> float:
    result, exponent = 1.0, 0
    if part:
        if part > 0.5:
            part -= 1
            whole += 1
        result = exp(part * log(x))
    square, power = math.frexp(x)
    while whole:
        if abs(power) > 1 << 12:
            exponent += power  # far out of range, whatever else is multiplied
            break
        if whole & 1:
            result *= square
            exponent += power
        square *= square
        power <<= 1
        if square < 0.5:
            square += square
            power -= 1
        whole >>= 1
    if negative:
        result, exponent = 1 / result, -exponent
    try:
        return math.ldexp(result, exponent)
    except OverflowError:
        return math.copysign(math.inf, result)
