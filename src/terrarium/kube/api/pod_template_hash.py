"""Hashes of pod templates and revisions, equal to those of the real controllers.

A Deployment's `pod-template-hash` is FNV-1a over a print of the whole Go structure: every field in declared order with
its Go type, absent ones too. The print is made from the table of structures; `schema` has the order and the types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from terrarium.kube.api.gotext import compact_json
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.schema import Field, Schema, Struct, Type, schema

TEMPLATE = "io.k8s.api.core.v1.PodTemplateSpec"
_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def safe_encode(text: str) -> str:
    """Without vowels and look-alikes (apimachinery `rand.SafeEncodeString`)."""
    return "".join(_SAFE[ord(char) % len(_SAFE)] for char in text)


def fnv1a(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def fnv1(data: bytes) -> int:
    value = 0x811C9DC5
    for byte in data:
        value = value * 0x01000193 & 0xFFFFFFFF ^ byte
    return value


def pod_template_hash(template: Mapping[str, Any], collision_count: int | None = None, minor: int = 33) -> str:
    """`ComputeHash`: the label of ReplicaSets and of DaemonSets' revisions."""
    data = template_text(template, minor).encode()
    if collision_count is not None:
        data += collision_count.to_bytes(4, "little") + bytes(4)
    return safe_encode(str(fnv1a(data)))


def revision_data(template: Mapping[str, Any]) -> dict[str, Any]:
    """`ControllerRevision.data` of a StatefulSet or DaemonSet: a patch that puts its template back."""
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def controller_revision(template: Mapping[str, Any], collision_count: int = 0) -> str:
    """The hash of a StatefulSet's revision; its name is the set's, a dash and this."""
    raw = compact_json(revision_data(template))
    return safe_encode(str(fnv1((raw + str(collision_count)).encode())))


def template_text(template: Mapping[str, Any], minor: int = 33) -> str:
    """The text that is hashed."""
    shapes = schema(minor)
    return "(v1.PodTemplateSpec)" + _Printer(shapes).struct(shapes[TEMPLATE], template)


class _Printer:
    def __init__(self, shapes: Schema) -> None:
        self.shapes = shapes
        self.specials: dict[str, Callable[[Any], str]] = {
            "quantity": _quantity,
            "intstr": _intstr,
            "time": lambda value: "{Time:(time.Time){wall:(uint64)0 ext:(int64)0 loc:(*time.Location)<nil>}}",
        }

    def struct(self, struct: Struct, value: Mapping[str, Any]) -> str:
        return "{" + " ".join(self._field(item, value) for item in struct.declared) + "}"

    def _field(self, item: Field, value: Mapping[str, Any]) -> str:
        held = value if item.inline and not item.json else value.get(item.json)
        return f"{item.go}:({item.type.go}){self._value(item.type, held)}"

    def _value(self, type: Type, value: Any) -> str:
        if value is None:
            if type.pointer or type.shape in ("list", "map"):
                return "<nil>"
            value = {"struct": {}}.get(type.shape, value)
        match type.shape:
            case "struct":
                return self.struct(self.shapes[type.name], value)
            case "special":
                return self.specials[type.name](value)
            case "list":
                assert type.element is not None
                return "[" + " ".join(self._value(type.element, item) for item in value) + "]"
            case "map":
                assert type.element is not None
                inner = " ".join(f"{key}:{self._value(type.element, value[key])}" for key in sorted(value))
                return f"map[{inner}]"
        if value is None:
            value = "" if type.name == "string" else False if type.name == "bool" else 0
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)


def _intstr(value: Any) -> str:
    if isinstance(value, str):
        return f"{{Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string){value}}}"
    return f"{{Type:(intstr.Type)0 IntVal:(int32){value or 0} StrVal:(string)}}"


def _quantity(value: Any) -> str:
    text = "" if value is None else str(value)
    amount = Quantity.of(text or "0")
    scale = amount.scale
    if not text or text == "0":
        return f"{{i:(resource.int64Amount){{value:(int64)0 scale:(resource.Scale)0}} d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){amount.text if text else ''} Format:(resource.Format){amount.format if text else ''}}}"
    if scale is None:
        power = 9
        number = amount.nanos
        while power > 0 and number % 10 == 0:
            number //= 10
            power -= 1
        return (
            "{i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0} d:(resource.infDecAmount)"
            f"{{Dec:(*inf.Dec){{unscaled:(big.Int){{neg:(bool){'true' if number < 0 else 'false'} abs:(big.nat)[{abs(number)}]}} "
            f"scale:(inf.Scale){power}}}}} s:(string){amount.text} Format:(resource.Format){amount.format}}}"
        )
    number = amount.nanos // 10 ** (9 + scale)
    return (
        f"{{i:(resource.int64Amount){{value:(int64){number} scale:(resource.Scale){scale}}} "
        f"d:(resource.infDecAmount){{Dec:(*inf.Dec)<nil>}} s:(string){amount.text} Format:(resource.Format){amount.format}}}"
    )
