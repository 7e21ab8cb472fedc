"""Values as the parallel trees of plan and state JSON: what is known, what is unknown, what is sensitive.

`known` leaves unknown members of objects out and has None for unknown elements; `unknowns` and `sensitives` have true
where the value is, and leave out what is false inside objects.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from terrarium.language.json_values import Exact
from terrarium.language.numbers import to_text
from terrarium.language.types import Dynamic, List, Map, Object, Primitive, Set, Tuple
from terrarium.language.values import NULL, SENSITIVE, Path, Unknown, Value

_ALL = (1 << 64) - 1
_POLYNOMIAL = 0xD800000000000000


def number(data: int | Fraction | float) -> Any:
    """A number's payload as JSON data which keeps all digits."""
    if isinstance(data, int):
        return int(data)
    return Exact(to_text(data))


def known(value: Value) -> Any:
    """The known part of a value as JSON data."""
    data = value.data
    if data is NULL or isinstance(data, Unknown):
        return None
    if isinstance(data, bool | str):
        return data
    if isinstance(data, dict):
        return {k: known(v) for k, v in data.items() if not isinstance(v.data, Unknown)}
    if isinstance(data, tuple):
        return [known(v) for v in data]
    return number(data)


def unknowns(value: Value) -> Any:
    """True where the value is unknown."""
    data = value.data
    if isinstance(data, Unknown):
        return True
    if isinstance(data, dict):
        found = {k: unknowns(v) for k, v in data.items()}
        return {k: v for k, v in found.items() if v is not False}
    if isinstance(data, tuple):
        return [unknowns(v) for v in data]
    return False


def sensitives(value: Value) -> Any:
    """True where the value is marked as sensitive."""
    if SENSITIVE in value.marks:
        return True
    data, type = value.data, value.type
    if data is NULL or isinstance(type, Primitive | Dynamic):
        return False
    if isinstance(type, List | Set | Tuple):
        return [] if isinstance(data, Unknown) else [sensitives(v) for v in data]
    if isinstance(type, Map | Object):
        if isinstance(data, Unknown):
            return {}
        found = {k: sensitives(v) for k, v in data.items()}
        return {k: v for k, v in found.items() if v is not False}
    return False


def path_order(path: Path) -> int:
    """Where a path stands in a set of paths: by its CRC-64 (ISO 3309) as a signed number, steps by index as `#`."""
    crc = _ALL
    for step in path:
        for byte in step.encode() if isinstance(step, str) else b"#":
            crc ^= byte
            for _ in range(8):
                crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
    crc ^= _ALL
    return crc - (1 << 64) if crc >> 63 else crc


def path_json(path: Path) -> list[Any]:
    """A path as plan JSON has it; steps into sets end it."""
    found: list[Any] = []
    for step in path:
        if isinstance(step, Value):
            break
        found.append(step)
    return found
