"""Volumes: exactly one source each, and what each source asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation import storage
from terrarium.kube.api.validation.containers import VOLUME_PATHS, field_ref, resource_field
from terrarium.kube.api.validation.fields import Errors, Raw, items
from terrarium.kube.api.validation.mounts import no_dots, unreserved

HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_MODE = "must be a number between 0 and 0777 (octal), both inclusive"

Source = Callable[[Errors, Obj, str], None]


def required(*fields: str) -> Source:
    def check(errors: Errors, source: Obj, path: str) -> None:
        for name in fields:
            if not source.get(name):
                errors.required(f"{path}.{name}")

    return check


def mode(errors: Errors, value: Any, path: str) -> None:
    if value is not None and not 0 <= value <= 0o777:
        errors.invalid(path, value, _MODE)


def key_to_path(errors: Errors, entries: Any, path: str) -> None:
    for where, entry in items(entries, path):
        if not entry.get("key"):
            errors.required(f"{where}.key")
        if not entry.get("path"):
            errors.required(f"{where}.path")
        else:
            unreserved(errors, entry["path"], f"{where}.path")
        mode(errors, entry.get("mode"), f"{where}.mode")


def empty_dir(errors: Errors, source: Obj, path: str) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and Quantity.of(limit).nanos < 0:
        errors.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def host_path(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("path"):
        errors.required(f"{path}.path")
        return
    no_dots(errors, source["path"], f"{path}.path")
    if source.get("type") is not None:
        errors.one_of(f"{path}.type", source["type"], HOST_PATH_TYPES)


def secret(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("secretName"):
        errors.required(f"{path}.secretName")
    mode(errors, source.get("defaultMode"), f"{path}.defaultMode")
    key_to_path(errors, source.get("items"), f"{path}.items")


def config_map(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("name"):
        errors.required(f"{path}.name")
    mode(errors, source.get("defaultMode"), f"{path}.defaultMode")
    key_to_path(errors, source.get("items"), f"{path}.items")


def downward_file(errors: Errors, entry: Obj, path: str) -> None:
    if not entry.get("path"):
        errors.required(f"{path}.path")
    else:
        unreserved(errors, entry["path"], f"{path}.path")
    if entry.get("fieldRef") is not None:
        field_ref(errors, entry["fieldRef"], VOLUME_PATHS, f"{path}.fieldRef")
        if entry.get("resourceFieldRef") is not None:
            errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif entry.get("resourceFieldRef") is not None:
        resource_field(errors, entry["resourceFieldRef"], f"{path}.resourceFieldRef", volume=True)
    else:
        errors.required(path, "one of fieldRef and resourceFieldRef is required")
    mode(errors, entry.get("mode"), f"{path}.mode")


def downward(errors: Errors, source: Obj, path: str) -> None:
    mode(errors, source.get("defaultMode"), f"{path}.defaultMode")
    for _, entry in items(source.get("items"), path):
        downward_file(errors, entry, path)


def projected(errors: Errors, source: Obj, path: str) -> None:
    mode(errors, source.get("defaultMode"), f"{path}.defaultMode")
    seen: set[str] = set()

    def take(name: str, told: str = "") -> None:
        if name in seen:
            errors.invalid(path, told or name, "conflicting duplicate paths")
        elif name:
            seen.add(name)

    for where, part in items(source.get("sources"), f"{path}.sources"):
        count = 0
        for name in ("secret", "configMap"):
            held = part.get(name)
            if held is not None:
                count += 1
                if not held.get("name"):
                    errors.required(f"{where}.{name}.name")
                key_to_path(errors, held.get("items"), f"{where}.{name}.items")
                for entry in held.get("items") or ():
                    take(entry.get("path") or "", held.get("name") or "")
        held = part.get("downwardAPI")
        if held is not None:
            count += 1
            for _, entry in items(held.get("items"), where):
                downward_file(errors, entry, f"{where}.downwardAPI")
                take(entry.get("path") or "")
        token = part.get("serviceAccountToken")
        if token is not None:
            count += 1
            _token(errors, token, f"{where}.serviceAccountToken", path)
            take(token.get("path") or "")
        if part.get("clusterTrustBundle") is not None:
            count += 1
            take((part["clusterTrustBundle"] or {}).get("path") or "")
        if count > 1:
            errors.forbidden(where, "may not specify more than 1 volume type per source")


def _token(errors: Errors, token: Obj, path: str, outer: str) -> None:
    seconds = token.get("expirationSeconds") or 0
    if seconds < 600:
        errors.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 2**32:
        errors.invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    if not token.get("path"):
        errors.required(f"{outer}.path")
    else:
        unreserved(errors, token["path"], f"{outer}.path")


def nfs(errors: Errors, source: Obj, path: str) -> None:
    required("server", "path")(errors, source, path)
    if source.get("path") and not source["path"].startswith("/"):
        errors.invalid(f"{path}.path", source["path"], "must be an absolute path")


def csi(errors: Errors, source: Obj, path: str) -> None:
    driver_name(errors, source.get("driver") or "", f"{path}.driver")
    ref = source.get("nodePublishSecretRef")
    if ref is not None and not ref.get("name"):
        errors.required(f"{path}.nodePublishSecretRef.name")


def driver_name(errors: Errors, name: str, path: str) -> None:
    if not name:
        errors.required(path)
    elif len(name) > 63:
        errors.too_long(path, 63)
    errors.invalids(path, name, names.dns_subdomain(name.lower()) if name else [])


def ephemeral(errors: Errors, source: Obj, path: str) -> None:
    template = source.get("volumeClaimTemplate")
    if template is None:
        errors.required(f"{path}.volumeClaimTemplate")
        return
    storage.claim_spec(errors, template.get("spec") or {}, f"{path}.volumeClaimTemplate.spec")


def image(errors: Errors, source: Obj, path: str) -> None:
    if not source.get("reference"):
        errors.required(f"{path}.reference")
    errors.required_one_of(f"{path}.pullPolicy", source.get("pullPolicy"), ("Always", "IfNotPresent", "Never"))


def partitioned(field: str) -> Source:
    """A disk with a partition: 0 stands for none."""

    def check(errors: Errors, source: Obj, path: str) -> None:
        required(field)(errors, source, path)
        number = source.get("partition") or 0
        if not 0 <= number <= 255:
            errors.invalid(f"{path}.partition", number, "must be between 1 and 255, inclusive")

    return check


_IQN = re.compile(r"iqn\.\d{4}-\d{2}\.([0-9A-Za-z.-]+)(:[^,;*&$|\s]+)$")
_EUI = re.compile(r"^eui.[0-9A-Fa-f]{16}$")
_NAA = re.compile(r"^naa.[0-9A-Fa-f]{32}$")
_LUN = "must be between 0 and 255, inclusive"


def _initiator(errors: Errors, name: str, path: str) -> None:
    for front, form in (("iqn", _IQN), ("eui", _EUI), ("naa", _NAA)):
        if name.startswith(front):
            if form.search(name) is None:
                errors.invalid(path, name, "must be valid format")
            return
    errors.invalid(path, name, "must be valid format starting with iqn, eui, or naa")


def iscsi(errors: Errors, source: Obj, path: str) -> None:
    required("targetPortal", "iqn")(errors, source, path)
    if source.get("iqn"):
        _initiator(errors, source["iqn"], f"{path}.iqn")
    lun = source.get("lun") or 0
    if not 0 <= lun <= 255:
        errors.invalid(f"{path}.lun", lun, _LUN)
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and source.get("secretRef") is None:
        errors.required(f"{path}.secretRef")
    if source.get("initiatorName") is not None:
        _initiator(errors, source["initiatorName"], f"{path}.initiatorname")


def fibre_channel(errors: Errors, source: Obj, path: str) -> None:
    targets, ids = source.get("targetWWNs") or [], source.get("wwids") or []
    where = f"{path}.targetWWNs"
    if not targets and not ids:
        errors.required(where, "must specify either targetWWNs or wwids, but not both")
    if targets and ids:
        errors.invalid(where, Raw(gotext.strings(targets)), "targetWWNs and wwids can not be specified simultaneously")
    if targets:
        lun = source.get("lun")
        if lun is None:
            errors.required(f"{path}.lun", "lun is required if targetWWNs is specified")
        elif not 0 <= lun <= 255:
            errors.invalid(f"{path}.lun", lun, _LUN)


def flocker(errors: Errors, source: Obj, path: str) -> None:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    if not name and not uuid:
        errors.required(path, "one of datasetName and datasetUUID is required")
    if name and uuid:
        errors.invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously")
    if "/" in name:
        errors.invalid(f"{path}.datasetName", name, "must not contain '/'")


def azure_disk(errors: Errors, source: Obj, path: str) -> None:
    required("diskName", "diskURI")(errors, source, path)
    if source.get("cachingMode") is not None:
        errors.one_of(f"{path}.cachingMode", source["cachingMode"], ("None", "ReadOnly", "ReadWrite"))
    kind, uri = source.get("kind"), source.get("diskURI") or ""
    if kind is not None:
        errors.one_of(f"{path}.kind", kind, ("Dedicated", "Managed", "Shared"))
    managed = "/subscriptions/{sub-id}/resourceGroups/{group-name}/providers/Microsoft.Compute/disks/{disk-id}"
    if kind == "Managed" and not uri.startswith("/subscriptions"):
        errors.unsupported(f"{path}.diskURI", uri, (managed,))
    if kind not in (None, "Managed") and not uri.startswith("https://"):
        blob = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
        errors.unsupported(f"{path}.diskURI", uri, (blob,))


_REGISTRY = "must be a host:port pair or multiple pairs separated by commas"
_PAIR = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):[^:\[\]]*")


def quobyte(errors: Errors, source: Obj, path: str) -> None:
    registry = source.get("registry") or ""
    if not registry:
        errors.required(f"{path}.registry", _REGISTRY)
    elif len(source.get("tenant") or "") > 64:
        errors.required(f"{path}.tenant", "must be a UUID and may not exceed a length of 64 characters")
    else:
        for pair in registry.split(","):
            if not _PAIR.fullmatch(pair):
                errors.invalid(f"{path}.registry", registry, _REGISTRY)
    required("volume")(errors, source, path)


def flex(errors: Errors, source: Obj, path: str) -> None:
    required("driver")(errors, source, path)
    for name in sorted(source.get("options") or {}):
        domain = "." + name.split("/")[0].lower()
        if domain.endswith((".kubernetes.io", ".k8s.io")):
            errors.invalid(f"{path}.options[{name}]", name, "kubernetes.io and k8s.io namespaces are reserved")


def storage_os(errors: Errors, source: Obj, path: str) -> None:
    required("volumeName")(errors, source, path)
    for field in ("volumeName", "volumeNamespace"):
        if source.get(field):
            errors.invalids(f"{path}.{field}", source[field], names.dns_label(source[field]))


def with_secret(check: Source) -> Source:
    def both(errors: Errors, source: Obj, path: str) -> None:
        check(errors, source, path)
        ref = source.get("secretRef")
        if ref is not None and not ref.get("name"):
            errors.required(f"{path}.secretRef.name")

    return both


def git_repository(errors: Errors, source: Obj, path: str) -> None:
    required("repository")(errors, source, path)
    unreserved(errors, source.get("directory") or "", f"{path}.directory")


SOURCES: Mapping[str, Source] = {
    "emptyDir": empty_dir,
    "hostPath": host_path,
    "gitRepo": git_repository,
    "gcePersistentDisk": partitioned("pdName"),
    "awsElasticBlockStore": partitioned("volumeID"),
    "secret": secret,
    "nfs": nfs,
    "iscsi": iscsi,
    "glusterfs": required("endpoints", "path"),
    "flocker": flocker,
    "persistentVolumeClaim": required("claimName"),
    "rbd": required("monitors", "image"),
    "cinder": with_secret(required("volumeID")),
    "cephfs": required("monitors"),
    "quobyte": quobyte,
    "downwardAPI": downward,
    "fc": fibre_channel,
    "flexVolume": flex,
    "configMap": config_map,
    "azureFile": required("secretName", "shareName"),
    "vsphereVolume": required("volumePath"),
    "photonPersistentDisk": required("pdID"),
    "portworxVolume": required("volumeID"),
    "azureDisk": azure_disk,
    "storageos": with_secret(storage_os),
    "projected": projected,
    "scaleIO": required("gateway", "system", "volumeName"),
    "csi": csi,
    "ephemeral": ephemeral,
    "image": image,
}
"""Volume sources in the order in which they are looked at, each with its check."""


def volumes(errors: Errors, spec: Obj, path: str) -> dict[str, Obj]:
    """Checks `spec.volumes`; gives them by name."""
    found: dict[str, Obj] = {}
    for where, volume in items(spec.get("volumes"), path):
        name = volume.get("name") or ""
        count = 0
        local = Errors()
        for kind, check in SOURCES.items():
            source = volume.get(kind)
            if source is None:
                continue
            if count:
                local.forbidden(f"{where}.{kind}", "may not specify more than 1 volume type")
            else:
                check(local, source, f"{where}.{kind}")
            count += 1
        if not count:
            local.required(where, "must specify a volume type")
        if not name:
            local.required(f"{where}.name")
        else:
            local.invalids(f"{where}.name", name, names.dns_label(name))
        if name in found:
            local.duplicate(f"{where}.name", name)
        if not local:
            found[name] = volume
        else:
            errors += local
    return found
