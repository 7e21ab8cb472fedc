"""Custom objects by their structural schema: pruning, defaults and validation. Pure.

The texts are those of the OpenAPI validator behind kube-apiserver. Rules in CEL are not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api.gotext import compact_json, quote
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver.records import fresh

Schema = Mapping[str, Any]
_ROOT = frozenset({"apiVersion", "kind", "metadata"})
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_EMBEDDED = "x-kubernetes-embedded-resource"


def prune(value: Any, schema: Schema, path: str = "", *, root: bool = True) -> list[str]:
    """Removes unknown fields in place; their paths."""
    found: list[str] = []
    if isinstance(value, dict):
        properties: Mapping[str, Any] = schema.get("properties") or {}
        extra = schema.get("additionalProperties")
        for key in list(value):
            where = f"{path}.{key}" if path else key
            if (root or schema.get(_EMBEDDED)) and key in _ROOT:
                continue
            if key in properties:
                found += prune(value[key], properties[key], where, root=False)
            elif isinstance(extra, Mapping):
                found += prune(value[key], extra, where, root=False)
            elif extra is not True and not schema.get(_PRESERVE):
                del value[key]
                found.append(where)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(value):
            found += prune(item, schema["items"], f"{path}[{index}]", root=False)
    return found


def default(value: Any, schema: Schema) -> None:
    """Fills in defaults in place, and drops nulls of fields that may not be null but have a default."""
    if isinstance(value, dict):
        properties: Mapping[str, Any] = schema.get("properties") or {}
        for name, inner in properties.items():
            if value.get(name) is None and name in value and not inner.get("nullable"):
                del value[name]
            if name not in value and "default" in inner:
                value[name] = fresh(inner["default"])
            if name in value:
                default(value[name], inner)
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping):
            for key in value:
                if key not in properties:
                    default(value[key], extra)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            default(item, schema["items"])


def _type_of(value: Any) -> str:
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


def _shown(value: Any) -> str:
    """A value as the causes show it."""
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


_FORMATS = {
    "date-time": re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "uuid": re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"),
    "ipv4": re.compile(r"(\d{1,3}\.){3}\d{1,3}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+"),
    "byte": re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
}


def validate(value: Any, schema: Schema, path: str = "") -> list[FieldError]:
    """All that is wrong with a value. The root's path is "" (shown as `<nil>`)."""
    errors: list[FieldError] = []

    def wrong(reason: str, message: str, where: str = "") -> None:
        errors.append(FieldError(reason, where or path or "<nil>", message))

    if value is None and schema.get("nullable"):
        return errors
    kind = _type_of(value)
    wanted = schema.get("type", "")
    if schema.get("x-kubernetes-int-or-string"):
        if kind not in ("integer", "string"):
            wrong(
                "FieldValueTypeInvalid",
                f"Invalid value: {quote(kind)}: {path} in body must be of type integer,string: {quote(kind)}",
            )
            return errors
    elif wanted and kind != wanted and not (wanted == "number" and kind == "integer"):
        wrong(
            "FieldValueTypeInvalid",
            f"Invalid value: {quote(kind)}: {path} in body must be of type {wanted}: {quote(kind)}",
        )
        return errors
    if (allowed := schema.get("enum")) and value not in allowed:
        listed = ", ".join(_shown(v) for v in allowed)
        wrong("FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {listed}")
    if kind == "string":
        errors += _string(value, schema, path)
    elif kind in ("integer", "number"):
        errors += _number(value, schema, path)
    elif kind == "array":
        errors += _array(value, schema, path)
    elif kind == "object":
        errors += _object(value, schema, path)
    for name, all_of in (("allOf", True), ("anyOf", False), ("oneOf", False), ("not", False)):
        if name in schema and not schema.get("x-kubernetes-int-or-string"):
            errors += _combined(value, schema[name], name, path, all_of=all_of)
    return errors


def _string(value: str, schema: Schema, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    body = f"{path} in body"
    if (most := schema.get("maxLength")) is not None and len(value) > most:
        found.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {most} bytes"))
    if (least := schema.get("minLength")) is not None and len(value) < least:
        found.append(
            FieldError(
                "FieldValueInvalid",
                path,
                f"Invalid value: {quote(value)}: {body} should be at least {least} chars long",
            )
        )
    if pattern := schema.get("pattern"):
        try:
            fits = re.search(pattern, value) is not None
        except re.error:
            fits = True
        if not fits:
            found.append(
                FieldError("FieldValueInvalid", path, f"Invalid value: {quote(value)}: {body} should match '{pattern}'")
            )
    form = _FORMATS.get(schema.get("format", ""))
    if form is not None and form.fullmatch(value) is None:
        found.append(
            FieldError(
                "FieldValueInvalid",
                path,
                f"Invalid value: {quote(value)}: {body} must be of type {schema['format']}: {quote(value)}",
            )
        )
    return found


def _number(value: float, schema: Schema, path: str) -> list[FieldError]:
    found: list[str] = []
    body = f"{path} in body"
    if (least := schema.get("minimum")) is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            found.append(f"{body} should be greater than {least}")
        elif value < least:
            found.append(f"{body} should be greater than or equal to {least}")
    if (most := schema.get("maximum")) is not None:
        if schema.get("exclusiveMaximum") and value >= most:
            found.append(f"{body} should be less than {most}")
        elif value > most:
            found.append(f"{body} should be less than or equal to {most}")
    if (step := schema.get("multipleOf")) and value % step:
        found.append(f"{body} should be a multiple of {step}")
    return [FieldError("FieldValueInvalid", path, f"Invalid value: {_shown(value)}: {text}") for text in found]


def _array(value: Sequence[Any], schema: Schema, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        found.append(FieldError("FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"))
    if (least := schema.get("minItems")) is not None and len(value) < least:
        found.append(
            FieldError(
                "FieldValueInvalid",
                path,
                f"Invalid value: {len(value)}: {path} in body should have at least {least} items",
            )
        )
    if isinstance(items := schema.get("items"), Mapping):
        for index, item in enumerate(value):
            found += validate(item, items, f"{path}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys") or ()
    unique = schema.get("uniqueItems") or schema.get("x-kubernetes-list-type") in ("set", "map")
    seen: list[Any] = []
    for index, item in enumerate(value if unique else ()):
        mark = {k: item.get(k) for k in keys} if keys and isinstance(item, dict) else item
        if mark in seen:
            found.append(FieldError("FieldValueDuplicate", f"{path}[{index}]", f"Duplicate value: {_shown(mark)}"))
        seen.append(mark)
    return found


def _object(value: Mapping[str, Any], schema: Schema, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in schema.get("required") or ():
        if name not in value:
            found.append(FieldError("FieldValueRequired", f"{path}.{name}" if path else name, "Required value"))
    count = len(value)
    if (most := schema.get("maxProperties")) is not None and count > most:
        found.append(FieldError("FieldValueTooMany", path, f"Too many: {count}: must have at most {most} items"))
    if (least := schema.get("minProperties")) is not None and count < least:
        found.append(
            FieldError(
                "FieldValueInvalid",
                path,
                f"Invalid value: {count}: {path} in body should have at least {least} properties",
            )
        )
    properties: Mapping[str, Any] = schema.get("properties") or {}
    extra = schema.get("additionalProperties")
    for key, inner in value.items():
        if not path and key in _ROOT:
            continue
        where = f"{path}.{key}" if path else key
        if key in properties:
            found += validate(inner, properties[key], where)
        elif isinstance(extra, Mapping):
            found += validate(inner, extra, where)
    return found


def _combined(value: Any, parts: Any, name: str, path: str, *, all_of: bool) -> list[FieldError]:
    if all_of:
        return [error for part in parts for error in validate(value, part, path)]
    body = f"{path} in body" if path else '"" in body'
    if name == "not":
        if validate(value, parts, path):
            return []
        return [
            FieldError(
                "FieldValueInvalid",
                path or "<nil>",
                f"Invalid value: {_shown(value)}: {body} must not validate the schema (not)",
            )
        ]
    fits = sum(not validate(value, part, path) for part in parts)
    if (name == "anyOf" and fits) or fits == 1:
        return []
    text = f"{body} must validate at least one schema (anyOf)"
    if name == "oneOf":
        text = f"{body} must validate one and only one schema (oneOf). " + (
            "Found none valid" if not fits else f"Found {fits} valid alternatives"
        )
    return [FieldError("FieldValueInvalid", path or "<nil>", f"Invalid value: {_shown(value)}: {text}")]


def at(obj: Obj, path: str) -> Any:
    """The value at a simple JSON path (`.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`)."""
    value: Any = obj
    for step in re.findall(r"\.?([^.\[\]]+)|\[([^\]]*)\]", path):
        name, bracket = step
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        elif bracket.strip("'\"") != bracket and isinstance(value, dict):
            value = value.get(bracket.strip("'\""))
        elif match := re.fullmatch(r"\?\(@\.(\w+)==[\"']([^\"']*)[\"']\)", bracket):
            items = value if isinstance(value, list) else []
            value = next((i for i in items if isinstance(i, dict) and i.get(match[1]) == match[2]), None)
        elif bracket.isdigit() and isinstance(value, list):
            value = value[int(bracket)] if int(bracket) < len(value) else None
        elif bracket == "*" and isinstance(value, list):
            value = value[0] if value else None
        if value is None:
            return None
    return value
