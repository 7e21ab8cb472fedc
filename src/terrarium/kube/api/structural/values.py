"""Values against a structural schema, with the texts of the OpenAPI validator behind kube-apiserver.

On update an error is forgiven where the old object had the very same value at the same place (ratcheting). Items of
lists have a same place only in lists of type map.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrarium.kube.api import regexes
from terrarium.kube.api.gotext import compact_json, quote
from terrarium.kube.api.kinds import FieldError
from terrarium.kube.api.structural.formats import FORMATS
from terrarium.kube.api.structural.pruning import ROOT

Schema = Mapping[str, Any]
ABSENT: Any = object()
"""There is no old value to compare with."""


def type_name(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number" if value % 1 else "integer"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
    return "object"


def shown(value: Any) -> str:
    """A value as causes show it."""
    match value:
        case str():
            return quote(value)
        case dict() | list():
            return compact_json(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
    return str(value)


def same(new: Any, old: Any) -> bool:
    """Whether a value did not change."""
    return type(new) is type(old) and bool(new == old)


def old_items(value: Sequence[Any], old: Any, schema: Schema) -> list[Any]:
    """For each item of a list the old one that it was; `ABSENT` where there is none."""
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(old, list):
        return [ABSENT] * len(value)

    def key(item: Any) -> str:
        return repr([item.get(k) for k in keys]) if isinstance(item, dict) else ""

    held = {key(item): item for item in reversed(old)}
    return [held.get(key(item), ABSENT) if isinstance(item, dict) else ABSENT for item in value]


def old_field(old: Any, key: str) -> Any:
    return old.get(key, ABSENT) if isinstance(old, dict) else ABSENT


def validate(value: Any, schema: Schema, path: str = "", old: Any = ABSENT, *, root: bool = True) -> list[FieldError]:
    """All that is wrong with a value. The root's path is "" (shown as `<nil>`)."""
    if old is not ABSENT and same(value, old):
        return []
    if value is None and schema.get("nullable"):
        return []
    found: list[FieldError] = []
    kind = type_name(value)
    wanted = "integer,string" if schema.get("x-kubernetes-int-or-string") else schema.get("type", "")
    fits = not wanted or kind in wanted.split(",") or (wanted == "number" and kind == "integer")
    if not fits:
        # The path is part of the text, the kind stands for the value.
        text = f"Invalid value: {quote(kind)}: {path} in body must be of type {wanted}: {quote(kind)}"
        found.append(FieldError("FieldValueTypeInvalid", path or "<nil>", text))
    if value is not None:
        found += _combined(value, schema, path)
        checks = _CHECKS.get(kind)
        if checks is not None and (fits or kind in ("string", "integer", "number")):
            found += checks(value, schema, path, old, root)
    if (allowed := schema.get("enum")) and value not in allowed and fits:
        listed = ", ".join(shown(v) for v in allowed)
        text = f"Unsupported value: {shown(value)}: supported values: {listed}"
        found.append(FieldError("FieldValueNotSupported", path, text))
    return found


def _invalid(path: str, value: Any, text: str) -> FieldError:
    return FieldError("FieldValueInvalid", path or "<nil>", f"Invalid value: {shown(value)}: {text}")


def _string(value: str, schema: Schema, path: str, old: Any, root: bool) -> list[FieldError]:
    found: list[FieldError] = []
    body = f"{path} in body"
    most, least, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if most is not None and len(value) > most:
        found.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes"))
    elif least is not None and len(value) < least:
        found.append(_invalid(path, value, f"{body} should be at least {least} chars long"))
    elif pattern and not _fits(pattern, value):
        found.append(_invalid(path, value, f"{body} should match '{pattern}'"))
    form = schema.get("format", "")
    if form in FORMATS and not FORMATS[form](value):
        text = f"Invalid value: {quote(value)}: {body} must be of type {form}: {quote(value)}"
        found.append(FieldError("FieldValueTypeInvalid", path, text))
    return found


def _fits(pattern: str, value: str) -> bool:
    try:
        return regexes.search(pattern, value)
    except re.error:
        return True


def _number(value: float, schema: Schema, path: str, old: Any, root: bool) -> list[FieldError]:
    found: list[FieldError] = []
    body = f"{path} in body"
    if (step := schema.get("multipleOf")) is not None:
        # Of an integer the factor is taken as one too.
        factor = int(step) if isinstance(value, int) else step
        if factor <= 0:
            found.append(_invalid(path, factor, f"factor MultipleOf declared for {path} must be positive: {factor}"))
        elif (value / factor) % 1:
            found.append(_invalid(path, value, f"{body} should be a multiple of {step:g}"))
    if (most := schema.get("maximum")) is not None:
        if schema.get("exclusiveMaximum") and value >= most:
            found.append(_invalid(path, value, f"{body} should be less than {_bound(most)}"))
        elif value > most:
            found.append(_invalid(path, value, f"{body} should be less than or equal to {_bound(most)}"))
    if (least := schema.get("minimum")) is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            found.append(_invalid(path, value, f"{body} should be greater than {_bound(least)}"))
        elif value < least:
            found.append(_invalid(path, value, f"{body} should be greater than or equal to {_bound(least)}"))
    return found


def _bound(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e21 else str(value)


def _array(value: Sequence[Any], schema: Schema, path: str, old: Any, root: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if isinstance(items := schema.get("items"), Mapping):
        for index, (item, before) in enumerate(zip(value, old_items(value, old, schema), strict=True)):
            found += validate(item, items, f"{path}[{index}]", before, root=False)
    if (least := schema.get("minItems")) is not None and len(value) < least:
        found.append(_invalid(path, len(value), f"{path} in body should have at least {least} items"))
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        found.append(FieldError("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"))
    return found


def _object(value: Mapping[str, Any], schema: Schema, path: str, old: Any, root: bool) -> list[FieldError]:
    count = len(value)
    if (least := schema.get("minProperties")) is not None and count < least:
        return [_invalid(path, count, f"{path} in body should have at least {least} properties")]
    if (most := schema.get("maxProperties")) is not None and count > most:
        return [FieldError("FieldValueTooMany", path, f"Too many: {count}: must have at most {most} items")]
    found: list[FieldError] = []
    for name in schema.get("required") or ():
        if name not in value:
            found.append(FieldError("FieldValueRequired", f"{path}.{name}" if path else name, "Required value"))
    properties: Schema = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for key, inner in value.items():
        if root and not path and key in ROOT:
            continue
        where = f"{path}.{key}" if path else key
        if key in properties:
            found += validate(inner, properties[key], where, old_field(old, key), root=False)
        elif isinstance(extra, Mapping):
            found += validate(inner, extra, where, old_field(old, key), root=False)
    return found


def _combined(value: Any, schema: Schema, path: str) -> list[FieldError]:
    """anyOf, oneOf, allOf and not. What they say of the whole has no place; the nearest miss adds its own errors."""
    if schema.get("x-kubernetes-int-or-string"):
        return []
    found: list[FieldError] = []
    if parts := schema.get("anyOf"):
        results = [validate(value, part, path, root=False) for part in parts]
        if all(results):
            found += [_whole(path, "must validate at least one schema (anyOf)"), *_nearest(results)]
    if parts := schema.get("oneOf"):
        results = [validate(value, part, path, root=False) for part in parts]
        fits = sum(not result for result in results)
        if fits != 1:
            tail = f"Found {fits} valid alternatives" if fits else "Found none valid"
            found.append(_whole(path, f"must validate one and only one schema (oneOf). {tail}"))
            if not fits:
                found += _nearest(results)
    if parts := schema.get("allOf"):
        results = [validate(value, part, path, root=False) for part in parts]
        found += [error for result in results for error in result]
        if any(results):
            tail = ". None validated" if all(results) else ""
            found.append(_whole(path, f"must validate all the schemas (allOf){tail}"))
    if (part := schema.get("not")) is not None and not validate(value, part, path, root=False):
        found.append(_whole(path, "must not validate the schema (not)"))
    return found


def _nearest(results: Sequence[list[FieldError]]) -> list[FieldError]:
    return min(results, key=lambda result: len(result))


def _whole(path: str, text: str) -> FieldError:
    return FieldError("FieldValueInvalid", "<nil>", f'Invalid value: "": "{path}" {text}')


_CHECKS: Mapping[str, Callable[[Any, Schema, str, Any, bool], list[FieldError]]] = {
    "string": _string,
    "integer": _number,
    "number": _number,
    "array": _array,
    "object": _object,
}
