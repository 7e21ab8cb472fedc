"""What CSI drivers and the attach controller write: CSINodes, VolumeAttachments, CSIStorageCapacities."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.volumes import driver_name

_LONGEST_ID = 256
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def node(errors: Errors, obj: Obj, context: Context) -> None:
    seen: set[str] = set()
    for where, driver in items(at(obj, "spec", "drivers"), "spec.drivers"):
        name, own = driver.get("name") or "", driver.get("nodeID") or ""
        driver_name(errors, name, f"{where}.name")
        if not own:
            errors.required(f"{where}.nodeID")
        elif len(own) > _LONGEST_ID:
            errors.invalid(f"{where}.nodeID", own, f"must be {_LONGEST_ID} characters or less")
        errors.not_negative(f"{where}.allocatable.count", at(driver, "allocatable", "count"))
        if name in seen:
            errors.duplicate(f"{where}.name", name)
        seen.add(name)
        _topology(errors, driver.get("topologyKeys") or [], where)


def _topology(errors: Errors, keys: list[str], path: str) -> None:
    seen: set[str] = set()
    for key in keys:
        if not key:
            errors.required(path)
        if key in seen:
            errors.duplicate(path, key)
        seen.add(key)
        errors.invalids(path, Raw(gotext.strings(keys)), names.qualified_name(key))


def node_update(errors: Errors, obj: Obj, context: Context) -> None:
    """A driver that is there may only be given a limit, or go."""
    assert context.old is not None
    fresh = {driver.get("name"): driver for driver in at(obj, "spec", "drivers") or ()}
    for driver in at(context.old, "spec", "drivers") or ():
        now = fresh.get(driver.get("name"))
        if now is None:
            continue
        mine = {key: value for key, value in now.items() if key != "allocatable"}
        theirs = {key: value for key, value in driver.items() if key != "allocatable"}
        if mine != theirs or (driver.get("allocatable") and now.get("allocatable") != driver["allocatable"]):
            errors.invalid("CSINode.spec.drivers", Raw("storage.CSINodeDriver{}"), "field is immutable")
    node(errors, obj, context)


def attachment(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("attacher"):
        errors.required("spec.attacher")
    source = spec.get("source") or {}
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        errors.required("spec.source", _ONE_SOURCE)
    elif inline is not None and volume is not None:
        errors.forbidden("spec.source", _ONE_SOURCE)
    elif volume == "":
        errors.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
    name = spec.get("nodeName") or ""
    errors.invalids("spec.nodeName", name, names.dns_subdomain(name))
    if context.old is None:
        driver_name(errors, spec.get("attacher") or "", "spec.attacher")
        if volume is not None:
            errors.invalids("spec.source.persistentVolumeName", volume, names.dns_subdomain(volume))


def capacity(errors: Errors, obj: Obj, context: Context) -> None:
    meta.label_selector(errors, obj.get("nodeTopology"), "nodeTopology")
    name = obj.get("storageClassName") or ""
    errors.invalids("storageClassName", name, names.dns_subdomain(name))
    for field in ("capacity", "maximumVolumeSize"):
        value: Any = obj.get(field)
        if value is not None:
            errors.quantity(field, value)
