"""Claims, storage classes and CSI drivers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items

ACCESS = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
MODES = ("Block", "Filesystem")
RECLAIM = ("Delete", "Recycle", "Retain")


def access_modes(errors: Errors, modes: Sequence[str], path: str) -> None:
    for mode in modes:
        if mode not in ACCESS:
            errors.unsupported(path, mode, ACCESS)
    if "ReadWriteOncePod" in modes and len(set(modes)) > 1:
        errors.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def claim_spec(errors: Errors, spec: Obj, path: str) -> None:
    """`ValidatePersistentVolumeClaimSpec`."""
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required(f"{path}.accessModes", "at least 1 access mode is required")
    meta.label_selector(errors, spec.get("selector"), f"{path}.selector")
    access_modes(errors, modes, f"{path}.accessModes")
    storage = at(spec, "resources", "requests", "storage")
    if storage is None:
        errors.required(f"{path}.resources[storage]")
    elif Quantity.of(storage).nanos <= 0:
        amount = Quantity.of(storage)
        if amount.nanos < 0:
            errors.invalid(f"{path}.resources[storage]", str(amount), "must be greater than or equal to 0")
        errors.invalid(f"{path}.resources[storage]", str(amount), "must be greater than zero")
    name = spec.get("storageClassName")
    if name:
        errors.invalids(f"{path}.storageClassName", name, names.dns_subdomain(name))
    if spec.get("volumeMode") is not None:
        errors.one_of(f"{path}.volumeMode", spec["volumeMode"], MODES)
    source, ref = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, held in (("dataSource", source), ("dataSourceRef", ref)):
        if held is None:
            continue
        for part in ("name", "kind"):
            if not held.get(part):
                errors.required(f"{path}.{field}.{part}")
        if not (held.get("apiGroup") or "") and held.get("kind") != "PersistentVolumeClaim":
            errors.invalid(
                f"{path}.{field}",
                held.get("kind", ""),
                "must be 'PersistentVolumeClaim' when referencing the default apiGroup",
            )
    if (
        source is not None
        and ref is not None
        and any((source.get(p) or "") != (ref.get(p) or "") for p in ("apiGroup", "kind", "name"))
    ):
        errors.invalid(
            path,
            Raw('field.Path{name:"dataSource", index:"", parent:(*field.Path)(0xc000000000)}'),
            "must match dataSourceRef",
        )


BETA_CLASS = "volume.beta.kubernetes.io/storage-class"


def class_warnings(obj: Obj, context: Context) -> list[str]:
    if BETA_CLASS in (at(obj, "metadata", "annotations") or {}):
        return [f'metadata.annotations[{BETA_CLASS}]: deprecated since v1.8; use "storageClassName" attribute instead']
    return []


def claim(errors: Errors, obj: Obj, context: Context) -> None:
    claim_spec(errors, obj.get("spec") or {}, "spec")


SPEC_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def _storage(obj: Obj) -> Quantity:
    return Quantity.of(at(obj, "spec", "resources", "requests", "storage") or "0")


def claim_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = dict(obj.get("spec") or {}), dict(context.old.get("spec") or {})
    if not old.get("volumeName"):
        spec.pop("volumeName", None)
        old.pop("volumeName", None)
    bound = at(context.old, "status", "phase") == "Bound"

    if old.get("storageClassName") is None and spec.get("storageClassName") and not bound:
        # A claim from before there was a default class may be given one.
        old["storageClassName"] = spec["storageClassName"]

    def rest(held: Obj) -> Obj:
        made = {k: v for k, v in held.items() if k != "volumeAttributesClassName"}
        if bound:
            resources = dict(made.get("resources") or {})
            requests = {k: v for k, v in (resources.get("requests") or {}).items() if k != "storage"}
            made["resources"] = {**resources, "requests": requests}
        return made

    if rest(spec) != rest(old):
        errors.forbidden("spec", f"{SPEC_FIXED}\n{difference(spec, old)}")
    elif bound and _storage(obj) < _storage(context.old):
        capacity = at(context.old, "status", "capacity", "storage")
        if capacity is None or _storage(obj) <= Quantity.of(capacity):
            errors.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
    errors.immutable("volumeMode", spec.get("volumeMode"), old.get("volumeMode"))


def difference(spec: Obj, old: Obj) -> str:
    changed = sorted(name for name in {*spec, *old} if spec.get(name) != old.get(name))
    lines = [f"- \t{n}: {gotext.v(old.get(n))},\n+ \t{n}: {gotext.v(spec.get(n))}," for n in changed]
    return "  core.PersistentVolumeClaimSpec{\n" + "\n".join(lines) + "\n  }\n"


def claim_status(errors: Errors, obj: Obj, context: Context) -> None:
    for side in ("capacity", "allocatedResources"):
        held = at(obj, "status", side) or {}
        for name in sorted(held):
            amount = Quantity.of(held[name])
            if amount.nanos < 0:
                errors.invalid(f"status.{side}[{name}]", Raw(str(amount)), "must be a valid resource quantity")


def storage_class(errors: Errors, obj: Obj, context: Context) -> None:
    provisioner = obj.get("provisioner") or ""
    if not provisioner:
        errors.required("provisioner", provisioner)
    else:
        errors.invalids("provisioner", provisioner, names.qualified_name(provisioner.lower()))
    total = 0
    for key, value in sorted((obj.get("parameters") or {}).items()):
        if not key:
            errors.invalid("parameters", key, "field can not be empty.")
        total += len(key) + len(value)
    if len(obj.get("parameters") or {}) > 512:
        errors.too_long("parameters", 512)
    if total > 256 * 1024:
        errors.too_long("parameters", 256 * 1024)
    if obj.get("reclaimPolicy"):
        errors.one_of("reclaimPolicy", obj["reclaimPolicy"], ("Delete", "Retain"))
    if obj.get("volumeBindingMode") is None:
        errors.required("volumeBindingMode")
    else:
        errors.one_of("volumeBindingMode", obj["volumeBindingMode"], ("Immediate", "WaitForFirstConsumer"))
    _topologies(errors, obj.get("allowedTopologies"))


def _topologies(errors: Errors, held: Any) -> None:
    for where, term in items(held, "allowedTopologies"):
        seen: set[str] = set()
        for inner, expression in items(term.get("matchLabelExpressions"), f"{where}.matchLabelExpressions"):
            key = expression.get("key") or ""
            if not expression.get("values"):
                errors.required(f"{inner}.values")
            errors.invalids(f"{inner}.key", key, names.qualified_name(key))
            if key in seen:
                errors.duplicate(f"{inner}.key", key)
            seen.add(key)


def storage_class_update(errors: Errors, obj: Obj, context: Context) -> None:
    old = context.old
    assert old is not None
    for name in ("parameters", "provisioner", "reclaimPolicy"):
        if (obj.get(name) or None) != (old.get(name) or None):
            errors.forbidden(name, f"updates to {name} are forbidden.")
    errors.immutable("volumeBindingMode", obj.get("volumeBindingMode"), old.get("volumeBindingMode"))
    _topologies(errors, obj.get("allowedTopologies"))


def secret_reference(errors: Errors, ref: Any, path: str) -> None:
    if ref is None:
        return
    for field, rule in (("name", names.dns_subdomain), ("namespace", names.dns_label)):
        text = ref.get(field) or ""
        if not text:
            errors.required(f"{path}.{field}")
        else:
            errors.invalids(f"{path}.{field}", text, rule(text))


def csi_driver(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    name = (obj.get("metadata") or {}).get("name") or ""
    if len(name) > 63:
        errors.too_long("metadata.name", 63)
    for field in ("attachRequired", "podInfoOnMount", "storageCapacity", "requiresRepublish"):
        if spec.get(field) is None:
            errors.required(f"spec.{field}")
    if spec.get("fsGroupPolicy") is not None:
        errors.one_of("spec.fsGroupPolicy", spec["fsGroupPolicy"], ("File", "None", "ReadWriteOnceWithFSType"))
    seen: set[str] = set()
    for where, token in items(spec.get("tokenRequests"), "spec.tokenRequests"):
        audience = token.get("audience") or ""
        if audience in seen:
            errors.duplicate(f"{where}.audience", audience)
        seen.add(audience)
        seconds = token.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            errors.invalid(f"{where}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    for mode in spec.get("volumeLifecycleModes") or ():
        errors.one_of("spec.volumeLifecycleModes", mode, ("Ephemeral", "Persistent"))


def csi_driver_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    for field, path in (("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")):
        if spec.get(field) != old.get(field):
            printed = spec.get(field)
            errors.invalid(
                f"spec.{path}", printed if isinstance(printed, bool) else Raw(gotext.v(printed)), "field is immutable"
            )
