"""Persistent volumes: their sources, capacity and what stays as it was.

Most sources are those of pods' volumes and are checked as such; what differs is told here: references to secrets name a
namespace, for a volume has none, and some drivers ask more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import scheduling, storage, volumes
from terrarium.kube.api.validation.containers import quantity_text
from terrarium.kube.api.validation.fields import Errors, Raw, at
from terrarium.kube.api.validation.mounts import no_dots

_LONG = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters "
    "if iscsi.initiatorName is specified."
)

Source = Callable[[Errors, Obj, str, Obj], None]
"""Takes the source, its path and the whole volume."""


def _as_in_pods(name: str) -> Source:
    check = volumes.SOURCES[name]
    return lambda errors, source, path, whole: check(errors, source, path)


def _referenced(errors: Errors, ref: Any, path: str) -> None:
    """A secret, by name and namespace."""
    for field in ("name", "namespace") if ref is not None else ():
        if not ref.get(field):
            errors.required(f"{path}.{field}")


def _with_secret(name: str) -> Source:
    check = volumes.SOURCES[name]

    def both(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
        check(errors, {k: v for k, v in source.items() if k != "secretRef"}, path)
        _referenced(errors, source.get("secretRef"), f"{path}.secretRef")

    return both


def _glusterfs(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
    volumes.SOURCES["glusterfs"](errors, source, path)
    where = source.get("endpointsNamespace")
    if where is not None:
        errors.invalids(f"{path}.endpointsNamespace", where, names.dns_label(where))


def _iscsi(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
    portal, name = source.get("targetPortal") or "", at(whole, "metadata", "name") or ""
    if source.get("initiatorName") is not None and len(f"{name}:{portal}") > 64:
        errors.invalid(f"{path}.targetportal", portal, _LONG)
    volumes.iscsi(errors, source, path)
    if source.get("secretRef") is not None and not source["secretRef"].get("name"):
        errors.required(f"{path}.secretRef.name")


def _azure_file(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
    volumes.SOURCES["azureFile"](errors, source, path)
    if source.get("secretNamespace") == "":
        errors.required(f"{path}.secretNamespace")


def _local(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
    if not source.get("path"):
        errors.required(f"{path}.path")
    else:
        no_dots(errors, source["path"], f"{path}.path")
    if at(whole, "spec", "nodeAffinity") is None:
        errors.required("spec.nodeAffinity", "Local volume requires node affinity")


_CSI_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def _csi(errors: Errors, source: Obj, path: str, whole: Obj) -> None:
    volumes.driver_name(errors, source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        errors.required(f"{path}.volumeHandle")
    for field in _CSI_SECRETS:
        storage.secret_reference(errors, source.get(field), f"{path}.{field}")


SOURCES: Mapping[str, Source] = {
    "hostPath": _as_in_pods("hostPath"),
    "gcePersistentDisk": _as_in_pods("gcePersistentDisk"),
    "awsElasticBlockStore": _as_in_pods("awsElasticBlockStore"),
    "glusterfs": _glusterfs,
    "flocker": _as_in_pods("flocker"),
    "nfs": _as_in_pods("nfs"),
    "rbd": _as_in_pods("rbd"),
    "quobyte": _as_in_pods("quobyte"),
    "cephfs": _as_in_pods("cephfs"),
    "iscsi": _iscsi,
    "cinder": _with_secret("cinder"),
    "fc": _as_in_pods("fc"),
    "flexVolume": _as_in_pods("flexVolume"),
    "azureFile": _azure_file,
    "vsphereVolume": _as_in_pods("vsphereVolume"),
    "photonPersistentDisk": _as_in_pods("photonPersistentDisk"),
    "portworxVolume": _as_in_pods("portworxVolume"),
    "azureDisk": _as_in_pods("azureDisk"),
    "scaleIO": _as_in_pods("scaleIO"),
    "local": _local,
    "storageos": _with_secret("storageos"),
    "csi": _csi,
}
"""Sources in the order in which they are looked at."""


def volume(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    modes = spec.get("accessModes") or []
    if not modes:
        errors.required("spec.accessModes")
    storage.access_modes(errors, modes, "spec.accessModes")
    _capacity(errors, spec.get("capacity"))
    found = [name for name in SOURCES if spec.get(name) is not None]
    if not found:
        errors.required("spec", "must specify a volume type")
    for name in found[1:]:
        errors.forbidden(f"spec.{name}", "may not specify more than 1 volume type")
    if spec.get("persistentVolumeReclaimPolicy"):
        errors.one_of("spec.persistentVolumeReclaimPolicy", spec["persistentVolumeReclaimPolicy"], storage.RECLAIM)
    if found:
        SOURCES[found[0]](errors, spec[found[0]], f"spec.{found[0]}", obj)
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            errors.required("spec.nodeAffinity.required", "must specify required node constraints")
        else:
            scheduling.node_selector(errors, affinity["required"], "spec.nodeAffinity.required")
    if (
        at(spec, "hostPath", "path") is not None
        and _clean(spec["hostPath"]["path"]) == "/"
        and spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    ):
        errors.forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'")
    if spec.get("storageClassName"):
        errors.invalids(
            "spec.storageClassName", spec["storageClassName"], names.dns_subdomain(spec["storageClassName"])
        )
    if spec.get("volumeMode") is not None:
        errors.one_of("spec.volumeMode", spec["volumeMode"], storage.MODES)


def _clean(path: str) -> str:
    parts = [p for p in path.split("/") if p not in ("", ".")]
    return "/" + "/".join(parts)


def _capacity(errors: Errors, capacity: Any) -> None:
    held = capacity or {}
    if not held:
        errors.required("spec.capacity")
    if "storage" not in held or len(held) > 1:
        if held:
            inner = ", ".join(f"{gotext.quote(k)}:{quantity_text(Quantity.of(held[k]))}" for k in sorted(held))
            printed = f"core.ResourceList{{{inner}}}"
        else:
            printed = "core.ResourceList(nil)"
        errors.unsupported("spec.capacity", Raw(printed), ("storage",))
    for name in sorted(held):
        amount = Quantity.of(held[name])
        if amount.nanos < 0:
            errors.invalid(f"spec.capacity[{name}]", Raw(str(amount.value())), "must be a valid resource quantity")
        if amount.nanos <= 0 and name == "storage":
            errors.invalid(f"spec.capacity[{name}]", str(amount), "must be greater than zero")


def volume_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    volume(errors, obj, context)
    sources = {n: spec[n] for n in SOURCES if spec.get(n) is not None}
    held = {n: old[n] for n in SOURCES if old.get(n) is not None}
    if sources != held:
        errors.forbidden(
            "spec.persistentvolumesource",
            f"spec.persistentvolumesource is immutable after creation\n{storage.difference(sources, held)}",
        )
    errors.immutable("volumeMode", spec.get("volumeMode"), old.get("volumeMode"))
    if old.get("nodeAffinity") is not None and spec.get("nodeAffinity") != old.get("nodeAffinity"):
        errors.invalid("spec.nodeAffinity", Raw("core.VolumeNodeAffinity{}"), "field is immutable")
