"""Metadata, labels and selectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, FieldError, Obj
from terrarium.kube.api.validation.fields import Errors, Raw

NameRule = Callable[[str], list[str]]

ANNOTATIONS_LIMIT = 256 * 1024
STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def masked(name: str) -> str:
    """A generateName ends as any name may go on: its trailing dash doesn't count."""
    return name[:-2] + "a" if len(name) > 1 and name.endswith("-") else name


def labels(errors: Errors, held: Mapping[str, str] | None, path: str) -> None:
    for key in sorted(held or {}):
        errors.invalids(path, key, names.qualified_name(key))
        errors.invalids(path, (held or {})[key], names.label_value((held or {})[key]))


def annotation_keys(errors: Errors, held: Mapping[str, str] | None, path: str) -> None:
    total = 0
    for key in sorted(held or {}):
        errors.invalids(path, key, names.qualified_name(key.lower()))
        total += len(key.encode()) + len((held or {})[key].encode())
    if total > ANNOTATIONS_LIMIT:
        errors.too_long(path, ANNOTATIONS_LIMIT)


def _owner(ref: Mapping[str, Any]) -> str:
    def flag(name: str) -> str:
        return "(*bool)(nil)" if ref.get(name) is None else "(*bool)(0xc000000000)"

    return (
        f"v1.OwnerReference{{APIVersion:{gotext.quote(ref.get('apiVersion', ''))}, Kind:{gotext.quote(ref.get('kind', ''))}, "
        f"Name:{gotext.quote(ref.get('name', ''))}, UID:{gotext.quote(ref.get('uid', ''))}, "
        f"Controller:{flag('controller')}, BlockOwnerDeletion:{flag('blockOwnerDeletion')}}}"
    )


def owners(errors: Errors, held: Sequence[Mapping[str, Any]] | None, path: str) -> None:
    first = ""
    for ref in held or ():
        version = ref.get("apiVersion", "")
        if not version or version.count("/") > 1:
            errors.invalid(f"{path}.apiVersion", version, "version must not be empty")
        for name in ("kind", "name", "uid"):
            if not ref.get(name):
                errors.invalid(f"{path}.{name}", ref.get(name, ""), f"{name} must not be empty")
        if (version, ref.get("kind")) == ("v1", "Event"):
            errors.invalid(path, Raw(_owner(ref)), "/v1, Kind=Event is disallowed from being an owner")
        if ref.get("controller"):
            current = f"{ref.get('kind', '')}/{ref.get('name', '')}"
            if first:
                printed = "[]v1.OwnerReference{" + ", ".join(_owner(r) for r in held or ()) + "}"
                errors.invalid(
                    path,
                    Raw(printed),
                    'Only one reference can have Controller set to true. Found "true" in references for '
                    f"{first} and {current}",
                )
            else:
                first = current


def finalizers(errors: Errors, held: Sequence[str] | None, path: str, *, core: bool = False) -> None:
    given = list(held or ())
    for index, name in enumerate(given):
        errors.invalids(f"{path}[{index}]", name, names.qualified_name(name))
    if "orphan" in given and "foregroundDeletion" in given:
        errors.invalid(path, Raw(gotext.strings(given)), "finalizer orphan and foregroundDeletion cannot be both set")
    if core:
        for index, name in enumerate(given):
            if "/" not in name and name not in STANDARD_FINALIZERS:
                errors.invalid(
                    f"{path}[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified"
                )


def object_meta(
    errors: Errors, meta: Mapping[str, Any], rule: NameRule, path: str = "metadata", *, core: bool = True
) -> None:
    """`ValidateObjectMeta`; `core` adds what the core package asks of finalizers."""
    generate = meta.get("generateName") or ""
    if generate:
        errors.invalids(f"{path}.generateName", generate, rule(masked(generate)))
    name = meta.get("name") or ""
    if name:
        errors.invalids(f"{path}.name", name, rule(name))
    else:
        errors.required(f"{path}.name", "name or generateName is required")
    labels(errors, meta.get("labels"), f"{path}.labels")
    annotation_keys(errors, meta.get("annotations"), f"{path}.annotations")
    owners(errors, meta.get("ownerReferences"), f"{path}.ownerReferences")
    finalizers(errors, meta.get("finalizers"), f"{path}.finalizers", core=core)


_FIXED = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")


def object_meta_update(errors: Errors, meta: Mapping[str, Any], old: Mapping[str, Any], path: str = "metadata") -> None:
    """`ValidateObjectMetaUpdate`."""
    if old.get("deletionTimestamp"):
        fresh = sorted(set(meta.get("finalizers") or ()) - set(old.get("finalizers") or ()))
        if fresh:
            errors.forbidden(
                f"{path}.finalizers",
                f"no new finalizers can be added if the object is being deleted, found new finalizers {gotext.strings(fresh)}",
            )
    for name in _FIXED:
        if (meta.get(name) or None) != (old.get(name) or None):
            errors.invalid(f"{path}.{name}", meta.get(name), "field is immutable")
    labels(errors, meta.get("labels"), f"{path}.labels")
    annotation_keys(errors, meta.get("annotations"), f"{path}.annotations")
    owners(errors, meta.get("ownerReferences"), f"{path}.ownerReferences")


def common_update(errors: Errors, obj: Obj, old: Obj) -> None:
    """What the generic store checks of every update, before the kind's own checks say much of it again."""
    meta = obj.get("metadata") or {}
    object_meta(errors, meta, names.path_segment, core=False)
    object_meta_update(errors, meta, old.get("metadata") or {})


Specific = Callable[[Errors, Obj, Context], None]


def create_check(
    rule: NameRule, *checks: Specific, core: bool = True
) -> Callable[[Obj, Context], Sequence[FieldError]]:
    """The `validate` of a kind: its metadata, then `checks`."""

    def validate(obj: Obj, context: Context) -> Sequence[FieldError]:
        errors = Errors()
        object_meta(errors, obj.get("metadata") or {}, rule, core=core)
        for check in checks:
            check(errors, obj, context)
        if not errors:
            object_meta(errors, obj.get("metadata") or {}, names.path_segment, core=False)
        return errors

    return validate


def update_check(
    rule: NameRule | None, *checks: Specific, core: bool = True
) -> Callable[[Obj, Context], Sequence[FieldError]]:
    """The `validate_update` of a kind. `checks` see the stored object as `context.old`; with a `rule` the metadata is
    checked as on create, after the update's own rules, as most kinds do."""

    def validate(obj: Obj, context: Context) -> Sequence[FieldError]:
        assert context.old is not None
        errors = Errors()
        meta = obj.get("metadata") or {}
        common_update(errors, obj, context.old)
        object_meta_update(errors, meta, context.old.get("metadata") or {})
        if rule is not None:
            object_meta(errors, meta, rule, core=core)
        for check in checks:
            check(errors, obj, context)
        return errors

    return validate


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def label_selector(errors: Errors, selector: Mapping[str, Any] | None, path: str) -> None:
    """`ValidateLabelSelector`."""
    if selector is None:
        return
    labels(errors, selector.get("matchLabels"), f"{path}.matchLabels")
    for index, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{index}]"
        operator, values = expression.get("operator", ""), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not values:
                errors.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                errors.forbidden(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            errors.invalid(f"{where}.operator", operator, "not a valid selector operator")
        errors.invalids(f"{where}.key", expression.get("key", ""), names.qualified_name(expression.get("key", "")))
        for at, value in enumerate(values):
            errors.invalids(f"{where}.values[{at}]", value, names.label_value(value))


def converts(selector: Mapping[str, Any] | None) -> bool:
    """Whether a selector is well-formed enough to be used."""
    errors = Errors()
    label_selector(errors, selector, "")
    return not errors
