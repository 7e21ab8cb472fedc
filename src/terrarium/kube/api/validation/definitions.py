"""CustomResourceDefinitions: names, versions, structural schemas, subresources, columns, conversion.

Errors of a definition whose versions share one schema are told as of the old top-level fields, as the real server
does: `spec.validation.openAPIV3Schema`. Rules in CEL are compiled by whoever runs them, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from terrarium.kube.api import names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation.fields import Errors, at, items

COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
APPROVED = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_PYTHON: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_COMBINED = ("allOf", "anyOf", "oneOf")


def definition(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    held = spec.get("names") or {}
    group, plural = spec.get("group") or "", held.get("plural") or ""
    name = at(obj, "metadata", "name") or ""
    if name != f"{plural}.{group}":
        errors.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    _protected(errors, obj, group)
    _group(errors, group)
    errors.required_one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    _versions(errors, spec)
    _names(errors, held, "spec.names")
    _conversion(errors, spec.get("conversion") or {})
    _contents(errors, spec)
    if spec.get("preserveUnknownFields"):
        errors.invalid(
            "spec.preserveUnknownFields",
            True,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        )


def _protected(errors: Errors, obj: Obj, group: str) -> None:
    if group in ("k8s.io", "kubernetes.io") or group.endswith(_PROTECTED):
        annotation = (at(obj, "metadata", "annotations") or {}).get(APPROVED)
        path = f"metadata.annotations[{APPROVED}]"
        if not annotation:
            errors.required(
                path,
                f'protected groups must have approval annotation "{APPROVED}", '
                "see https://github.com/kubernetes/enhancements/pull/1111",
            )


def _group(errors: Errors, group: str) -> None:
    if not group:
        errors.required("spec.group")
    elif names.dns_subdomain(group):
        errors.invalid("spec.group", group, ",".join(names.dns_subdomain(group)))
    elif "." not in group:
        errors.invalid("spec.group", group, "should be a domain with at least one dot")


def _versions(errors: Errors, spec: Obj) -> None:
    seen: set[str] = set()
    stored = 0
    for where, version in items(spec.get("versions"), "spec.versions"):
        name = version.get("name") or ""
        if names.dns_label_1035(name):
            errors.invalid(f"{where}.name", name, ",".join(names.dns_label_1035(name)))
        if name in seen:
            errors.invalid("spec.versions", name, "must contain unique version names")
        seen.add(name)
        stored += bool(version.get("storage"))
    if stored != 1:
        errors.invalid("spec.versions", "", "must have exactly one version marked as storage version")


def _names(errors: Errors, held: Obj, path: str) -> None:
    for field in ("plural", "singular"):
        text = held.get(field) or ""
        if field == "plural" or text:
            faults = names.dns_label_1035(text)
            if faults:
                errors.invalid(f"{path}.{field}", text, ",".join(faults))
    for field in ("kind", "listKind"):
        text = held.get(field) or ""
        faults = names.dns_label_1035(text.lower())
        if faults:
            errors.invalid(
                f"{path}.{field}", text, "may have mixed case, but should otherwise match: " + ",".join(faults)
            )
    for field in ("shortNames", "categories"):
        for index, text in enumerate(held.get(field) or ()):
            faults = names.dns_label_1035(text)
            if faults:
                errors.invalid(f"{path}.{field}[{index}]", text, ",".join(faults))
    if held.get("kind") and held.get("kind") == held.get("listKind"):
        errors.invalid(f"{path}.listKind", held["listKind"], "kind and listKind may not be the same")


def _conversion(errors: Errors, held: Obj) -> None:
    strategy = held.get("strategy") or ""
    errors.required_one_of("spec.conversion.strategy", strategy, ("None", "Webhook"))
    webhook = held.get("webhook") or {}
    if strategy == "Webhook":
        config = webhook.get("clientConfig")
        if config is None:
            errors.required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook")
        elif (config.get("url") is None) == (config.get("service") is None):
            errors.required("spec.conversion.webhookClientConfig", "exactly one of url or service is required")
        if not webhook.get("conversionReviewVersions"):
            errors.required("spec.conversion.conversionReviewVersions")


def _contents(errors: Errors, spec: Obj) -> None:
    versions = spec.get("versions") or []

    def shared(field: str) -> bool:
        return all((v.get(field) or None) == (versions[0].get(field) or None) for v in versions)

    for where, version in items(versions, "spec.versions"):
        if at(version, "schema", "openAPIV3Schema") is None:
            errors.required(f"{where}.schema.openAPIV3Schema", "schemas are required")
    for field, old, check in (
        ("schema", "spec.validation", _schema),
        ("subresources", "spec.subresources", _subresources),
        ("additionalPrinterColumns", "spec.additionalPrinterColumns", _columns),
    ):
        if versions and shared(field):
            check(errors, versions[0].get(field), old)
        else:
            for where, version in items(versions, "spec.versions"):
                check(errors, version.get(field), f"{where}.{field}")


def _subresources(errors: Errors, held: Any, path: str) -> None:
    scale = (held or {}).get("scale")
    if scale is None:
        return
    for field, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        text = scale.get(field) or ""
        where = f"{path}.scale.{field}"
        if not text:
            errors.required(where)
        elif not text.startswith(root):
            errors.invalid(where, text, f"should be a json path under {root[:-1]}")
    text = scale.get("labelSelectorPath")
    if text and not text.startswith((".spec.", ".status.")):
        errors.invalid(f"{path}.scale.labelSelectorPath", text, "should be a json path under either .spec or .status")


def _columns(errors: Errors, held: Any, path: str) -> None:
    for where, column in items(held, path):
        if not column.get("name"):
            errors.required(f"{where}.name")
        kind = column.get("type") or ""
        if not kind:
            errors.required(f"{where}.type", f"must be one of {','.join(COLUMN_TYPES)}")
        elif kind not in COLUMN_TYPES:
            errors.invalid(f"{where}.type", kind, f"must be one of {','.join(COLUMN_TYPES)}")
        text = column.get("jsonPath") or ""
        if not text:
            errors.required(f"{where}.JSONPath")
        elif not text.startswith("."):
            errors.invalid(f"{where}.JSONPath", text, "must be a simple json path starting with .")


# -- structural schemas -----------------------------------------------------------------------------------------------


def _schema(errors: Errors, held: Any, path: str) -> None:
    schema = (held or {}).get("openAPIV3Schema")
    if schema is None:
        return
    path = f"{path}.openAPIV3Schema"
    if schema.get("nullable"):
        errors.forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    if schema.get("additionalProperties") is not None:
        errors.forbidden(f"{path}.additionalProperties", "must not be used at the root")
    _walk(errors, schema, path)
    kind = schema.get("type") or ""
    if not kind:
        errors.required(f"{path}.type", "must not be empty at the root")
    elif kind != "object":
        errors.invalid(f"{path}.type", kind, "must be object at the root")


def _walk(errors: Errors, schema: Mapping[str, Any], path: str, *, logical: bool = False) -> None:
    if schema.get("additionalProperties") is not None and schema.get("properties"):
        errors.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    kind = schema.get("type") or ""
    if kind and kind not in _TYPES:
        errors.unsupported(f"{path}.type", kind, _TYPES)
    if schema.get("pattern"):
        _pattern(errors, schema["pattern"], f"{path}.pattern")
    if schema.get("uniqueItems"):
        errors.forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    if "default" in schema and kind in _PYTHON:
        _default(errors, schema["default"], kind, f"{path}.default")
    for name in sorted(schema.get("properties") or {}):
        _child(
            errors,
            schema["properties"][name],
            f"{path}.properties[{name}]",
            "must not be empty for specified object fields",
            logical,
        )
    more = schema.get("additionalProperties")
    if isinstance(more, Mapping):
        _child(errors, more, f"{path}.additionalProperties", "must not be empty for specified object fields", logical)
    element = schema.get("items")
    if isinstance(element, Mapping):
        _child(errors, element, f"{path}.items", "must not be empty for specified array items", logical)
    elif kind == "array" and not logical:
        errors.required(f"{path}.items", "must be specified")
    for name in _COMBINED:
        for where, inner in items(schema.get(name), f"{path}.{name}"):
            _walk(errors, inner, where, logical=True)
    if isinstance(schema.get("not"), Mapping):
        _walk(errors, schema["not"], f"{path}.not", logical=True)


def _child(errors: Errors, schema: Mapping[str, Any], path: str, empty: str, logical: bool) -> None:
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    _walk(errors, schema, path, logical=logical)
    if not schema.get("type") and not free and not logical:
        errors.required(f"{path}.type", empty)


def _pattern(errors: Errors, text: str, path: str) -> None:
    try:
        re.compile(text)
    except re.error as wrong:
        missing = text.count("(") > text.count(")")
        told = f"missing closing ): `{text}`" if missing else f"{wrong}: `{text}`"
        errors.invalid(path, text, f"must be a valid regular expression, but isn't: error parsing regexp: {told}")


def _json_type(value: Any) -> str:
    for name, types in (
        ("boolean", (bool,)),
        ("integer", (int,)),
        ("number", (float,)),
        ("string", (str,)),
        ("array", (list,)),
    ):
        if isinstance(value, types):
            return name
    return "null" if value is None else "object"


def _default(errors: Errors, value: Any, kind: str, path: str) -> None:
    if isinstance(value, _PYTHON[kind]) and (kind == "boolean" or not isinstance(value, bool)):
        return
    if value is None:
        return
    found = _json_type(value)
    errors.wrong_type(path, found, f' in body must be of type {kind}: "{found}"')


def definition_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    established = any(
        c.get("type") == "Established" and c.get("status") == "True"
        for c in at(context.old, "status", "conditions") or ()
    )
    definition(errors, obj, context)
    if established:
        for field in ("group", "scope"):
            errors.immutable(f"spec.{field}", at(obj, "spec", field), at(context.old, "spec", field))
        for field in ("plural", "kind"):
            errors.immutable(
                f"spec.names.{field}", at(obj, "spec", "names", field), at(context.old, "spec", "names", field)
            )
