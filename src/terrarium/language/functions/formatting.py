"""`format` and `formatlist`: printf-like verbs, on Go's big numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from terrarium.base.graphemes import clusters, count
from terrarium.language import json_values, numbers
from terrarium.language.convert import ConversionError, convert
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters
from terrarium.language.text import nfc, quote, safe_prefix
from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Set, Tuple, Type
from terrarium.language.unknowns import length_open
from terrarium.language.values import NOT_NULL, NULL, Unknown, Value

_VERB = re.compile(r"%([0#\-+ ]*)([1-9][0-9]*)?(\.[0-9]*)?(?:\[([1-9][0-9]*)\])?([a-zA-Z])", re.ASCII)
_PARTS = (r"[0#\-+ ]*", r"(?:[1-9][0-9]*)?", r"(?:\.[0-9]*)?", r"(?:\[(?:[1-9][0-9]*\]?)?)?")
_LONGEST = 1 << 24


@dataclass(slots=True)
class Verb:
    raw: str
    offset: int
    flags: str
    width: int
    precision: int
    argument: int
    mode: str

    @property
    def where(self) -> str:
        return f"{quote(self.raw)} at {self.offset}"


def formatted(template: str, arguments: Sequence[Value]) -> str:
    """The template with its verbs filled in; all arguments are wholly known."""
    parts: list[str] = []
    at, next_argument, highest = 0, 1, 0
    while (percent := template.find("%", at)) >= 0:
        parts.append(template[at:percent])
        if template.startswith("%%", percent):
            parts.append("%")
            at = percent + 2
            continue
        match = _VERB.match(template, percent)
        if match is None:
            raise _bad_verb(template, percent)
        flags, width, precision, index, mode = match.groups()
        offset = len(template[:percent].encode())
        verb = Verb(
            match.group(0),
            offset,
            flags,
            int(width) if width else -1,
            -1 if precision is None else int(precision[1:] or 0),
            int(index) if index else next_argument,
            mode,
        )
        if max(verb.width, verb.precision) > _LONGEST:
            raise FunctionError(f"unsupported width or precision in {verb.where}")
        highest = max(highest, verb.argument)
        parts.append(_filled(verb, arguments))
        next_argument = verb.argument + 1
        at = match.end()
    parts.append(template[at:])
    if highest < len(arguments):
        used = f"only {highest} used by format string" if highest else "no verbs in format string"
        raise ArgumentError(highest + 1, f"too many arguments; {used}")
    return nfc("".join(parts))


def _bad_verb(template: str, percent: int) -> FunctionError:
    """Where the scanner stops: as far as a verb could still have gone on."""
    at = percent + 1
    for part in _PARTS:
        match = re.compile(part, re.ASCII).match(template, at)
        assert match is not None
        at = match.end()
    offset = len(template[:at].encode())
    if at >= len(template):
        return FunctionError(f"invalid format string starting at offset {offset}")
    return FunctionError(f"unrecognized format character {_rune(template[at])} at offset {offset}")


def _rune(char: str) -> str:
    return "'\\''" if char == "'" else f"'{quote(char)[1:-1]}'" if char != '"' else "'\"'"


def _filled(verb: Verb, arguments: Sequence[Value]) -> str:
    if verb.argument > len(arguments):
        have = f"need index {verb.argument} but have {len(arguments)} total"
        raise FunctionError(f"not enough arguments for {verb.where}: {have}")
    value = arguments[verb.argument - 1]
    if verb.mode != "v" and value.data is NULL:
        raise FunctionError(f"unsupported value for {verb.where}: null value cannot be formatted")
    if verb.mode == "v":
        return _as_it_is(verb, value)
    if verb.mode == "t":
        return "true" if _converted(verb, value, BOOL).data else "false"
    if verb.mode in "bdoxX":
        return _integer(verb, _converted(verb, value, NUMBER).data)
    if verb.mode in "eEfgG":
        return _real(verb, _converted(verb, value, NUMBER).data)
    if verb.mode in "sq":
        text: str = _converted(verb, value, STRING).data
        if verb.precision > 0:
            text = "".join((clusters(text))[: verb.precision])
        return _padded(verb, json_values.dumps_text(text) if verb.mode == "q" else text)
    raise FunctionError(f"unsupported format verb {_rune(verb.mode)} in {verb.where.replace(' at ', ' at offset ')}")


def _converted(verb: Verb, value: Value, type: Type) -> Value:
    try:
        return convert(value, type)
    except ConversionError as wrong:
        raise FunctionError(f"unsupported value for {verb.where}: {wrong.message}") from None


def _as_it_is(verb: Verb, value: Value) -> str:
    if "#" not in verb.flags and value.data is not NULL:
        if value.type == STRING:
            return _padded(verb, value.data)
        if value.type == NUMBER:
            return _padded(verb, general(value.data, -1))
    try:
        return _padded(verb, json_values.encode(value))
    except json_values.JsonError as wrong:
        raise FunctionError(f"unsupported value for {verb.where}: {wrong}") from None


def _padded(verb: Verb, text: str) -> str:
    missing = verb.width - count(text)
    if missing <= 0:
        return text
    pad = ("0" if "0" in verb.flags else " ") * missing
    return text + pad if "-" in verb.flags else pad + text


# --- numbers as Go's fmt prints big.Int and big.Float ----------------------------------------------------------------

_BASES = {"b": ("b", "0b"), "d": ("d", ""), "o": ("o", "0"), "x": ("x", "0x"), "X": ("X", "0X")}


def _sign(verb: Verb, negative: bool) -> str:
    return "-" if negative else "+" if "+" in verb.flags else " " if " " in verb.flags else ""


def _integer(verb: Verb, number: int | Fraction | float) -> str:
    if not isinstance(number, int):
        raise FunctionError(f"unsupported value for {verb.where}: an integer is required")
    letter, prefix = _BASES[verb.mode]
    digits = numbers.to_text(abs(int(number))) if letter == "d" else format(abs(int(number)), letter)
    if verb.precision >= 0:
        if number == 0 and verb.precision == 0:
            return " " * max(verb.width, 0)
        digits = digits.rjust(verb.precision, "0")
    head = _sign(verb, number < 0) + (prefix if "#" in verb.flags else "")
    missing = verb.width - len(head) - len(digits)
    if missing <= 0:
        return head + digits
    if "-" in verb.flags:
        return head + digits + " " * missing
    if "0" in verb.flags and verb.precision < 0:
        return head + "0" * missing + digits
    return " " * missing + head + digits


def _real(verb: Verb, number: int | Fraction | float) -> str:
    negative = number < 0 or number is numbers.NEGATIVE_ZERO
    if isinstance(number, float):
        sign = "-" if negative else " " if " " in verb.flags and "+" not in verb.flags else "+"
        digits = "Inf"
    else:
        sign = _sign(verb, negative)
        magnitude = numbers.size(number)
        if verb.mode in "gG":
            digits = general(magnitude, verb.precision)
        elif verb.mode == "f":
            digits = fixed(magnitude, 6 if verb.precision < 0 else verb.precision)
        else:
            digits = scientific(magnitude, 6 if verb.precision < 0 else verb.precision)
        digits = digits.upper() if verb.mode in "EG" else digits
    missing = verb.width - len(sign) - len(digits)
    if missing <= 0:
        return sign + digits
    if "-" in verb.flags:
        return sign + digits + " " * missing
    if "0" in verb.flags and not isinstance(number, float):
        return sign + "0" * missing + digits
    return " " * missing + sign + digits


def fixed(number: int | Fraction, places: int) -> str:
    """`%.*f`, rounded half to even on the exact value."""
    scaled = abs(Fraction(number)) * 10**places
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    if 2 * rest > scaled.denominator or (2 * rest == scaled.denominator and whole & 1):
        whole += 1
    digits = numbers.to_text(numbers.Whole(whole, max(64, whole.bit_length()))).rjust(places + 1, "0")
    return f"{digits[:-places]}.{digits[-places:]}" if places else digits


def _exponential(digits: str, exponent: int) -> str:
    mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def scientific(number: int | Fraction, places: int) -> str:
    """`%.*e`."""
    if number == 0:
        return _exponential("0" * (places + 1), 0)
    exact, point = numbers.decimal_digits(number)
    digits, point = numbers.round_digits(exact, point, places + 1)
    return _exponential(digits.ljust(places + 1, "0"), point - 1)


def general(number: int | Fraction | float, precision: int) -> str:
    """`%g`; a negative precision means the shortest text that is still the same number."""
    if isinstance(number, float):
        return "+Inf" if number > 0 else "-Inf"
    if number == 0:
        return "-0" if number is numbers.NEGATIVE_ZERO else "0"
    sign = "-" if number < 0 else ""
    if precision < 0:
        digits, point = numbers.shortest(numbers.size(number), numbers.precision(number))
        limit = 6
    else:
        exact, at = numbers.decimal_digits(numbers.size(number))
        digits, point = numbers.round_digits(exact, at, precision or 1)
        limit = precision or 1
        if limit > len(digits) >= point:
            limit = len(digits)
    if point - 1 < -4 or point - 1 >= limit:
        return sign + _exponential(digits, point - 1)
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return sign + digits + "0" * (point - len(digits))
    return f"{sign}{digits[:point]}.{digits[point:]}"


# --- the functions ---------------------------------------------------------------------------------------------------


def _format(values: Sequence[Value], type: Type) -> Value:
    template: str = values[0].data
    if not all(v.is_wholly_known for v in values[1:]):
        at = template.find("%")
        return Value(type, Unknown(not_null=True, prefix=safe_prefix(template[:at]) if at > 0 else ""))
    return Value(STRING, formatted(template, values[1:]))


def _format_list(values: Sequence[Value], type: Type) -> Value:
    template, arguments = values[0].data, values[1:]
    length, chooser, unknown = -1, 0, False
    columns: list[Sequence[Value] | None] = []
    for i, argument in enumerate(arguments):
        columns.append(None)
        if not isinstance(argument.type, List | Set | Tuple) or argument.data is NULL:
            unknown = unknown or (argument.type == DYNAMIC and isinstance(argument.data, Unknown))
            continue
        if length_open(argument) if not isinstance(argument.data, Unknown) else not isinstance(argument.type, Tuple):
            unknown = True
            continue
        size = len(argument.type.elements) if isinstance(argument.type, Tuple) else len(argument.data)
        if length == -1:
            length, chooser = size, i
        elif size != length:
            message = f"argument {i + 1} has length {size}, which is inconsistent with argument {chooser + 1} of length {length}"
            raise ArgumentError(i + 1, message)
        if isinstance(argument.data, Unknown):
            unknown = True
        else:
            columns[i] = argument.data
    if unknown:
        return Value(type, Unknown())
    if length == 0:
        return Value(type, ())
    results: list[Value] = []
    for row in range(max(length, 1)):
        cells = [arguments[i] if column is None else column[row] for i, column in enumerate(columns)]
        if not all(cell.is_wholly_known for cell in cells):
            results.append(Value(STRING, NOT_NULL))
            continue
        try:
            results.append(Value(STRING, formatted(template, cells)))
        except FunctionError as wrong:
            if not arguments:
                raise
            raise FunctionError(f"error on format iteration {row}: {wrong}") from None
    return Value(type, tuple(results))


_ARGUMENTS = Parameter("args", DYNAMIC, allow_null=True, allow_unknown=True)

FUNCTIONS: Mapping[str, Function] = {
    "format": Function(parameters(("format", STRING)), STRING, _format, variadic=_ARGUMENTS),
    "formatlist": Function(parameters(("format", STRING)), List(STRING), _format_list, variadic=_ARGUMENTS),
}
