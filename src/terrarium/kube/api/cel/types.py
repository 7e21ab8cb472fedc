"""CEL's types, and which of them may stand for which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Type:
    """`name` is what messages print. Of an object `fields` are its fields; None means it has none to select."""

    name: str
    params: tuple[Type, ...] = ()
    form: str = "plain"
    """plain, object, or variable (a type that overload resolution finds)."""
    fields: Mapping[str, Type] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if not self.params:
            return self.name
        return f"{self.name}({', '.join(map(str, self.params))})"


DYN, BOOL, INT, UINT, DOUBLE = Type("dyn"), Type("bool"), Type("int"), Type("uint"), Type("double")
STRING, BYTES, NULL, ERROR = Type("string"), Type("bytes"), Type("null"), Type("!error!")
TIMESTAMP, DURATION, TYPE = Type("timestamp"), Type("duration"), Type("type")
_NULLABLE = frozenset({"timestamp", "duration", "any"})
_SCALARS = frozenset({"bool", "int", "uint", "double", "string", "bytes", "null", "timestamp", "duration", "type"})


def list_of(element: Type) -> Type:
    return Type("list", (element,))


def map_of(key: Type, value: Type) -> Type:
    return Type("map", (key, value))


def optional_of(value: Type) -> Type:
    return Type("optional_type", (value,))


def object_of(name: str, fields: Mapping[str, Type]) -> Type:
    return Type(name, (), "object", fields)


def variable(name: str) -> Type:
    return Type(name, (), "variable")


class Bindings:
    """What type variables stand for so far."""

    def __init__(self) -> None:
        self.held: dict[str, Type] = {}
        self._count = 0

    def copy(self) -> Bindings:
        made = Bindings()
        made.held, made._count = dict(self.held), self._count
        return made

    def fresh(self) -> Type:
        self._count += 1
        return variable(f"_var{self._count}")

    def resolve(self, type: Type, *, free: bool = True) -> Type:
        """With variables replaced; those that stand for nothing become dyn unless `free`."""
        if type.form == "variable":
            found = self.held.get(type.name)
            if found is None:
                return type if free else DYN
            return self.resolve(found, free=free)
        if not type.params:
            return type
        return Type(type.name, tuple(self.resolve(p, free=free) for p in type.params), type.form, type.fields)

    def assign(self, wanted: Type, given: Type) -> bool:
        """Whether a value of `given` may stand where `wanted` is wanted; binds variables."""
        wanted, given = self.resolve(wanted), self.resolve(given)
        if wanted == given and not wanted.params:
            return True
        for variable, other in ((wanted, given), (given, wanted)):
            if variable.form == "variable":
                if variable != other and not _occurs(variable, other):
                    self.held[variable.name] = other
                    return True
                return variable == other
        if "dyn" in (wanted.name, given.name) or "!error!" in (wanted.name, given.name):
            return True
        if given.name == "null":
            return (
                wanted.form == "object"
                or wanted.name in _NULLABLE
                or (wanted.name not in _SCALARS and not wanted.params)
            )
        if wanted.name != given.name or len(wanted.params) != len(given.params):
            return False
        return all(self.assign(w, g) for w, g in zip(wanted.params, given.params, strict=True))

    def join(self, first: Type, second: Type) -> Type | None:
        """The type of both, or None."""
        trial = self.copy()
        if trial.assign(first, second):
            self.held = trial.held
            return self.resolve(first)
        trial = self.copy()
        if trial.assign(second, first):
            self.held = trial.held
            return self.resolve(second)
        return None


def _occurs(variable: Type, type: Type) -> bool:
    return variable == type or any(_occurs(variable, p) for p in type.params)
