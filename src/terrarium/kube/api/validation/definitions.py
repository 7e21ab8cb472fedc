"""CustomResourceDefinitions: names, versions, structural schemas, subresources, columns, conversion.

Errors of a definition whose versions share one schema are told as of the old top-level fields, as the real server
does: `spec.validation.openAPIV3Schema`.
"""

from __future__ import annotations

import re
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import schemas
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
APPROVED = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")
MOST_SELECTABLE = 8


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
    stored, unique = 0, True
    versions = spec.get("versions") or []
    for where, version in items(spec.get("versions"), "spec.versions"):
        name = version.get("name") or ""
        if names.dns_label_1035(name):
            errors.invalid(f"{where}.name", name, ",".join(names.dns_label_1035(name)))
        if version.get("deprecationWarning") is not None and not version.get("deprecated"):
            errors.invalid(
                f"{where}.deprecationWarning", version["deprecationWarning"], "can only be set for deprecated versions"
            )
        unique = unique and name not in seen
        seen.add(name)
        stored += bool(version.get("storage"))
    if not unique:
        errors.invalid("spec.versions", Raw(_shown(versions)), "must contain unique version names")
    if stored != 1:
        errors.invalid(
            "spec.versions", Raw(_shown(versions)), "must have exactly one version marked as storage version"
        )
    if versions and names.dns_label_1035(versions[0].get("name") or ""):
        name = versions[0].get("name") or ""
        errors.invalid("spec.version", name, ",".join(names.dns_label_1035(name)))


_PARTS = (
    ("Schema", "schema", "*apiextensions.CustomResourceValidation"),
    ("Subresources", "subresources", "*apiextensions.CustomResourceSubresources"),
    ("AdditionalPrinterColumns", "additionalPrinterColumns", "[]apiextensions.CustomResourceColumnDefinition"),
    ("SelectableFields", "selectableFields", "[]apiextensions.SelectableField"),
)


def _shown(versions: list[Obj]) -> str:
    """Versions as Go prints them. What all have alike stands elsewhere in the server's own form, so it is nil here."""

    def part(version: Obj, name: str, field: str, type: str) -> str:
        value = version.get(field)
        shared = all((v.get(field) or None) == (value or None) for v in versions)
        pointer = type.startswith("*")
        if shared or not value:
            return f"{name}:({type})(nil)" if pointer else f"{name}:{type}(nil)"
        return f"{name}:({type})(0xc000000000)" if pointer else f"{name}:{type}{{}}"

    shown = []
    for version in versions:
        flags = ", ".join(
            f"{name}:{str(bool(version.get(name.lower()))).lower()}" for name in ("Served", "Storage", "Deprecated")
        )
        warning = "nil" if version.get("deprecationWarning") is None else "0xc000000000"
        parts = ", ".join(part(version, *row) for row in _PARTS)
        shown.append(
            f"apiextensions.CustomResourceDefinitionVersion{{Name:{gotext.quote(version.get('name') or '')}, {flags}, "
            f"DeprecationWarning:(*string)({warning}), {parts}}}"
        )
    return f"[]apiextensions.CustomResourceDefinitionVersion{{{', '.join(shown)}}}"


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
        ("selectableFields", "spec.selectableFields", lambda e, held, path: _selectable(e, held, path, versions[0])),
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


def _schema(errors: Errors, held: Any, path: str) -> None:
    schema = (held or {}).get("openAPIV3Schema")
    if schema is not None:
        schemas.whole(errors, schema, f"{path}.openAPIV3Schema")


def _selectable(errors: Errors, held: Any, path: str, version: Obj) -> None:
    """Fields of selectors lead to plain values of the schema."""
    if len(held or ()) > MOST_SELECTABLE:
        errors.too_many(path, len(held), MOST_SELECTABLE)
    seen: set[str] = set()
    for where, selected in items(held, path):
        text = selected.get("jsonPath") or ""
        if not text:
            errors.required(f"{where}.jsonPath")
            continue
        if not re.fullmatch(r"(\.[A-Za-z_][\w-]*)+", text):
            errors.invalid(f"{where}.jsonPath", text, "is an invalid path: does not point to a valid field")
            continue
        if text.startswith(".metadata."):
            errors.invalid(f"{where}.jsonPath", text, "must not point to fields in metadata")
        if text in seen:
            errors.duplicate(f"{where}.jsonPath", text)
        seen.add(text)
        here: Any = at(version, "schema", "openAPIV3Schema")
        for step in text[1:].split("."):
            here = at(here, "properties", step)
        if here is None:
            errors.invalid(f"{where}.jsonPath", text, "is an invalid path: does not point to a valid field")
        elif here.get("type") not in ("string", "boolean", "integer") or here.get("x-kubernetes-int-or-string"):
            text_ = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            errors.invalid(f"{where}.jsonPath", text, text_)


def definition_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    established = any(
        c.get("type") == "Established" and c.get("status") == "True"
        for c in at(context.old, "status", "conditions") or ()
    )
    definition(errors, obj, context)
    served = {v.get("name") for v in at(obj, "spec", "versions") or ()}
    for where, name in items(at(obj, "status", "storedVersions"), "status.storedVersions"):
        if name not in served:
            text = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {name} and removes {name} from "
                "status.storedVersions"
            )
            errors.invalid(where, name, text)
    if established:
        for field in ("group", "scope"):
            errors.immutable(f"spec.{field}", at(obj, "spec", field), at(context.old, "spec", field))
        for field in ("plural", "kind"):
            errors.immutable(
                f"spec.names.{field}", at(obj, "spec", "names", field), at(context.old, "spec", "names", field)
            )
