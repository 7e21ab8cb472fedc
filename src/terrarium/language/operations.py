"""The operators of the language, indexing and attributes, on values: null, unknown and marks included.

Mistakes are `OperationError`s with HCL's summary and detail; `evaluate` gives them a place in the source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

from terrarium.language import numbers
from terrarium.language.convert import ConversionError, convert
from terrarium.language.text import quote
from terrarium.language.types import (
    BOOL,
    DYNAMIC,
    NUMBER,
    STRING,
    Dynamic,
    List,
    Map,
    Object,
    Primitive,
    Set,
    Tuple,
    Type,
)
from terrarium.language.values import (
    DYNAMIC_UNKNOWN,
    FALSE,
    NOT_NULL,
    NULL,
    TRUE,
    UNREFINED,
    Unknown,
    Value,
    boolean,
)


class OperationError(Exception):
    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(detail)
        self.summary = summary
        self.detail = detail


UNKNOWN_BOOL: Final = Value(BOOL, NOT_NULL)
UNKNOWN_NUMBER: Final = Value(NUMBER, NOT_NULL)

# --- equality ------------------------------------------------------------------------------------------------------


def equals(a: Value, b: Value) -> Value:
    """The language's `==`: a bool that may be unknown, with all marks of both sides."""
    marks = a.marks_deep | b.marks_deep
    if marks:
        return _equals(a.unmarked_deep(), b.unmarked_deep()).with_marks(marks)
    return _equals(a, b)


def _equals(a: Value, b: Value) -> Value:
    x, y = a.data, b.data
    x_unknown, y_unknown = isinstance(x, Unknown), isinstance(y, Unknown)
    if x_unknown or y_unknown:
        if x_unknown and y_unknown:
            return UNKNOWN_BOOL
        hidden, known = (a, b) if x_unknown else (b, a)
        if known.data is NULL:
            return FALSE if hidden.data.not_null else UNKNOWN_BOOL
        if excludes(hidden.data, known):
            return FALSE
        if hidden.type.has_dynamic() or hidden.type == known.type:
            return UNKNOWN_BOOL
        return FALSE
    if x is NULL or y is NULL:
        return boolean(x is y)
    if a.type != b.type:
        if not (a.type.has_dynamic() or b.type.has_dynamic()):
            return FALSE
        return UNKNOWN_BOOL if conforms(a.type, b.type) or conforms(b.type, a.type) else FALSE
    if a.type == NUMBER:
        return boolean(numbers.equal(x, y))
    if isinstance(a.type, Set):
        if any(isinstance(v.data, Unknown) for v in (*x, *y)):
            return UNKNOWN_BOOL
        return boolean(len(x) == len(y) and all(_equals(p, q).data is True for p, q in zip(x, y, strict=True)))
    if isinstance(x, dict):
        if x.keys() != y.keys():
            return FALSE
        return _all_equal([(x[key], y[key]) for key in x])
    if isinstance(x, tuple):
        return FALSE if len(x) != len(y) else _all_equal(list(zip(x, y, strict=True)))
    return boolean(x == y)


def _all_equal(pairs: list[tuple[Value, Value]]) -> Value:
    for p, q in pairs:
        equal = _equals(p, q)
        if equal.data is not True:
            return equal
    return TRUE


def excludes(known: Unknown, value: Value) -> bool:
    """Whether what is known of an unknown value rules out this (known) value."""
    data = value.data
    if data is NULL:
        return known.not_null
    if isinstance(data, str):
        return bool(known.prefix) and not data.startswith(known.prefix)
    if isinstance(data, tuple | dict) and not isinstance(value.type, Tuple | Object):
        return len(data) < known.min_length or (known.max_length is not None and len(data) > known.max_length)
    if value.type == NUMBER:
        low, high = known.lower, known.upper
        below = low is not None and (data < low[0] or (data == low[0] and not low[1]))
        return below or (high is not None and (data > high[0] or (data == high[0] and not high[1])))
    return False


def conforms(given: Type, wanted: Type) -> bool:
    """Whether the types are equal but for `any` in the wanted one (cty's TestConformance)."""
    match given, wanted:
        case _, Dynamic():
            return True
        case (List(a), List(b)) | (Set(a), Set(b)) | (Map(a), Map(b)):
            return conforms(a, b)
        case Tuple(a), Tuple(b):
            return len(a) == len(b) and all(conforms(p, q) for p, q in zip(a, b, strict=True))
        case Object(a), Object(b):
            return a.keys() == b.keys() and all(conforms(a[name], b[name]) for name in a)
        case _:
            return given == wanted


# --- operators -----------------------------------------------------------------------------------------------------

_NULL_ARGUMENT = "argument must not be null"


def _arithmetic(
    compute: Callable[[numbers.Number, numbers.Number], numbers.Number], nonsense: str
) -> Callable[[Value, Value], Value]:
    def apply(a: Value, b: Value) -> Value:
        x, y = a.data, b.data
        if x is NULL or y is NULL:
            raise OperationError("Operation failed", f"Error during operation: {_NULL_ARGUMENT}.")
        if isinstance(x, Unknown) or isinstance(y, Unknown):
            return UNKNOWN_NUMBER
        try:
            return Value(NUMBER, compute(x, y))
        except ZeroDivisionError:
            raise OperationError("Operation failed", f"Error during operation: {nonsense}.") from None

    return apply


Bound = tuple[int | Fraction | float, bool] | None


def _bounds(value: Value) -> tuple[Bound, Bound]:
    data = value.data
    if isinstance(data, Unknown):
        return data.lower, data.upper
    return (data, True), (data, True)


def _less(a: Value, b: Value) -> Value:
    x, y = a.data, b.data
    if isinstance(x, Unknown) or isinstance(y, Unknown):
        (a_low, a_high), (b_low, b_high) = _bounds(a), _bounds(b)
        if a_high is not None and b_low is not None and a_high[0] < b_low[0]:
            return TRUE
        if a_low is not None and b_high is not None and a_low[0] > b_high[0]:
            return FALSE
        return UNKNOWN_BOOL
    return boolean(x < y)


def _or(a: Value, b: Value) -> Value:
    if a.data is True or b.data is True:
        return TRUE
    return UNKNOWN_BOOL if isinstance(a.data, Unknown) or isinstance(b.data, Unknown) else FALSE


def _comparison(compute: Callable[[Value, Value], Value]) -> Callable[[Value, Value], Value]:
    def apply(a: Value, b: Value) -> Value:
        if a.data is NULL or b.data is NULL:
            raise OperationError("Operation failed", f"Error during operation: {_NULL_ARGUMENT}.")
        return compute(a, b)

    return apply


def _logic(compute: Callable[[bool, bool], bool]) -> Callable[[Value, Value], Value]:
    def apply(a: Value, b: Value) -> Value:
        if a.data is NULL or b.data is NULL:
            raise OperationError("Operation failed", f"Error during operation: {_NULL_ARGUMENT}.")
        if isinstance(a.data, Unknown) or isinstance(b.data, Unknown):
            return UNKNOWN_BOOL
        return boolean(compute(a.data, b.data))

    return apply


def negation(value: Value) -> Value:
    return value if isinstance(value.data, Unknown) else boolean(not value.data)


def _unequal(a: Value, b: Value) -> Value:
    equal = equals(a, b)
    return negation(equal).with_marks(equal.marks)


# operator: (type of operands, type of the result, computation on unmarked operands)
BINARY: Final[Mapping[str, tuple[Type, Type, Callable[[Value, Value], Value]]]] = {
    "||": (BOOL, BOOL, _logic(lambda a, b: a or b)),
    "&&": (BOOL, BOOL, _logic(lambda a, b: a and b)),
    "==": (DYNAMIC, BOOL, equals),
    "!=": (DYNAMIC, BOOL, _unequal),
    "<": (NUMBER, BOOL, _comparison(_less)),
    ">": (NUMBER, BOOL, _comparison(lambda a, b: _less(b, a))),
    "<=": (NUMBER, BOOL, _comparison(lambda a, b: _or(_less(a, b), _equals(a, b)))),
    ">=": (NUMBER, BOOL, _comparison(lambda a, b: _or(_less(b, a), _equals(a, b)))),
    "+": (NUMBER, NUMBER, _arithmetic(numbers.add, "can't compute sum of opposing infinities")),
    "-": (NUMBER, NUMBER, _arithmetic(numbers.subtract, "can't subtract infinity from itself")),
    "*": (NUMBER, NUMBER, _arithmetic(numbers.multiply, "can't multiply zero by infinity")),
    "/": (NUMBER, NUMBER, _arithmetic(numbers.divide, "can't divide zero by zero or infinity by infinity")),
    "%": (NUMBER, NUMBER, _arithmetic(numbers.modulo, "can't use modulo with zero and infinity")),
}


UNARY: Final[Mapping[str, Type]] = {"!": BOOL, "-": NUMBER}


def unary(operator: str, value: Value) -> Value:
    """`!` or `-` on an unmarked value of the right type."""
    if value.data is NULL:
        raise OperationError("Operation failed", f"Error during operation: {_NULL_ARGUMENT}.")
    if isinstance(value.data, Unknown):
        return Value(value.type, NOT_NULL)
    return negation(value) if operator == "!" else Value(NUMBER, numbers.negate(value.data))


# --- attributes and elements ---------------------------------------------------------------------------------------

_NO_ELEMENT = "The given key does not identify an element in this collection value"


def attribute(of: Value, name: str) -> Value:
    """`of.name`."""
    type, data = of.type, of.data
    if data is NULL:
        raise OperationError(
            "Attempt to get attribute from null value", "This value is null, so it does not have any attributes."
        )
    match type:
        case Object(attributes):
            if name not in attributes:
                raise OperationError(
                    "Unsupported attribute", f"This object does not have an attribute named {quote(name)}."
                )
            if isinstance(data, Unknown):
                return Value(attributes[name], UNREFINED, of.marks)
            member: Value = data[name]
            return member.with_marks(of.marks) if of.marks else member
        case Map(element):
            if isinstance(data, Unknown):
                return Value(element, UNREFINED, of.marks)
            if name not in data:
                raise OperationError(
                    "Missing map element", f"This map does not have an element with the key {quote(name)}."
                )
            member = data[name]
            return member.with_marks(of.marks) if of.marks else member
        case Dynamic():
            return DYNAMIC_UNKNOWN.with_marks(of.marks)
        case _:
            raise OperationError("Unsupported attribute", _no_attributes(type, name))


def _no_attributes(type: Type, name: str) -> str:
    match type:
        case List(Object(attributes)):
            which = f"attribute {quote(name)}" if name in attributes else "an attribute"
            return (
                f"Can't access attributes on a list of objects. Did you mean to access {which} for a specific element of "
                "the list, or across all elements of the list?"
            )
        case Set(Object()):
            return (
                "Can't access attributes on a set of objects. Did you mean to access an attribute across all elements of "
                "the set?"
            )
        case Primitive():
            return f"Can't access attributes on a primitive-typed value ({type.friendly()})."
        case _:
            return "This value does not have any attributes."


def element(of: Value, key: Value) -> Value:
    """`of[key]`."""
    type, data = of.type, of.data
    if data is NULL:
        raise OperationError("Attempt to index null value", "This value is null, so it does not have any indices.")
    if key.data is NULL:
        raise OperationError("Invalid index", "Can't use a null value as an indexing key.")
    if isinstance(key.type, Dynamic) or isinstance(type, Dynamic):
        return DYNAMIC_UNKNOWN.with_marks(of.marks)
    match type:
        case List() | Tuple():
            return _by_number(of, _key(key, NUMBER))
        case Map():
            return _by_text(of, _key(key, STRING))
        case Object(attributes):
            was_number = key.type == NUMBER
            name = _key(key, STRING)
            if isinstance(name.data, Unknown) or isinstance(data, Unknown):
                return DYNAMIC_UNKNOWN.with_marks(of.marks)
            if name.data not in attributes:
                hint = (
                    " An object only supports looking up attributes by name, not by numeric index."
                    if was_number
                    else ""
                )
                raise OperationError("Invalid index", f"{_NO_ELEMENT}.{hint}")
            return attribute(of, name.data)
        case Set():
            raise OperationError(
                "Invalid index",
                "Elements of a set are identified only by their value and don't have any separate index or key to select "
                "with, so it's only possible to perform operations across all elements of the set.",
            )
        case _:
            raise OperationError("Invalid index", "This value does not have any indices.")


def _key(key: Value, type: Type) -> Value:
    try:
        return convert(key, type)
    except ConversionError as wrong:
        raise OperationError("Invalid index", f"{_NO_ELEMENT}: {wrong.message}.") from None


def _by_number(of: Value, key: Value) -> Value:
    type, data, index = of.type, of.data, key.data
    marks = of.marks | key.marks
    length = len(type.elements) if isinstance(type, Tuple) else None if isinstance(data, Unknown) else len(data)
    if isinstance(index, Unknown) or length is None:
        if isinstance(type, Tuple):
            return DYNAMIC_UNKNOWN.with_marks(of.marks)
        assert isinstance(type, List)
        return Value(type.element, UNREFINED, of.marks)
    if isinstance(index, int) and 0 <= index < length:
        if isinstance(data, Unknown):
            assert isinstance(type, Tuple)
            return Value(type.elements[index], UNREFINED, marks)
        member: Value = data[index]
        return member.with_marks(marks) if marks else member
    if not isinstance(index, int):
        why = ": indexing a sequence requires a whole number, but the given index has a fractional part"
    elif index < 0:
        why = ": a negative number is not a valid index for a sequence"
    elif of.marks or index > length:
        why = ""  # far out of range it is not explained
    elif length == 0:
        why = ": the collection has no elements"
    else:
        why = ": the given index is greater than or equal to the length of the collection"
    raise OperationError("Invalid index", f"{_NO_ELEMENT}{why}.")


def _by_text(of: Value, key: Value) -> Value:
    assert isinstance(of.type, Map)
    if isinstance(key.data, Unknown) or isinstance(of.data, Unknown):
        return Value(of.type.element, UNREFINED, of.marks)
    if key.data not in of.data:
        raise OperationError("Invalid index", f"{_NO_ELEMENT}.")
    member: Value = of.data[key.data]
    return member.with_marks(of.marks | key.marks)
