"""Mounts, devices and security contexts of containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.validation import windows
from terrarium.kube.api.validation.fields import Errors, Raw, at, items


def descending(errors: Errors, text: str, path: str) -> None:
    if text.startswith("/"):
        errors.invalid(path, text, "must be a relative path")
    no_dots(errors, text, path)


def unreserved(errors: Errors, text: str, path: str) -> None:
    """A relative path that stays below where it is, and off the names that atomic writers use."""
    descending(errors, text, path)
    if text.startswith("..") and not text.startswith("../"):
        errors.invalid(path, text, "must not start with '..'")


def no_dots(errors: Errors, text: str, path: str) -> None:
    if ".." in text.split("/"):
        errors.invalid(path, text, "must not contain '..'")


def mounts(errors: Errors, container: Obj, volumes: Mapping[str, Obj], path: str) -> None:
    points: set[str] = set()
    devices = {d.get("name"): d.get("devicePath") for d in container.get("volumeDevices") or ()}
    for where, mount in items(container.get("volumeMounts"), path):
        name, point = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            errors.required(f"{where}.name")
        if name not in volumes:
            errors.not_found(f"{where}.name", name)
        if not point:
            errors.required(f"{where}.mountPath")
        if point in points:
            errors.invalid(f"{where}.mountPath", point, "must be unique")
        points.add(point)
        if name in devices:
            errors.invalid(f"{where}.name", name, "must not already exist in volumeDevices")
        if point in devices.values():
            errors.invalid(f"{where}.mountPath", point, "must not already exist as a path in volumeDevices")
        if mount.get("subPath"):
            descending(errors, mount["subPath"], f"{path}.subPath")
        if mount.get("subPathExpr"):
            if mount.get("subPath"):
                errors.invalid(
                    f"{where}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
                )
            descending(errors, mount["subPathExpr"], f"{path}.subPathExpr")
        propagation = mount.get("mountPropagation")
        if propagation is not None:
            privileged = bool(at(container, "securityContext", "privileged"))
            if propagation == "Bidirectional" and not privileged:
                errors.forbidden(
                    f"{path}.mountPropagation",
                    "Bidirectional mount propagation is available only to privileged containers",
                )
            errors.one_of(f"{path}.mountPropagation", propagation, ("Bidirectional", "HostToContainer", "None"))
        _recursive(errors, mount, f"{where}.recursiveReadOnly")


def _recursive(errors: Errors, mount: Obj, path: str) -> None:
    wish = mount.get("recursiveReadOnly")
    if wish in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            errors.forbidden(path, "may only be specified when readOnly is true")
        if mount.get("mountPropagation") not in (None, "None"):
            errors.forbidden(path, "may only be specified when mountPropagation is None or not specified")
    elif wish is not None and wish != "Disabled":
        errors.unsupported(path, wish, ("Disabled", "Enabled", "IfPossible"))


def devices(errors: Errors, container: Obj, volumes: Mapping[str, Obj], path: str) -> None:
    seen_names: set[str] = set()
    seen_paths: set[str] = set()
    mounted = {m.get("name"): m.get("mountPath") for m in container.get("volumeMounts") or ()}
    for where, device in items(container.get("volumeDevices"), path):
        name, point = device.get("name") or "", device.get("devicePath") or ""
        volume = volumes.get(name)
        if not name:
            errors.required(f"{where}.name")
        if name in seen_names:
            errors.invalid(f"{where}.name", name, "must be unique")
        if volume is not None and not (volume.get("persistentVolumeClaim") or volume.get("ephemeral")):
            errors.invalid(
                f"{where}.name",
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            )
        if volume is None:
            errors.not_found(f"{where}.name", name)
        if not point:
            errors.required(f"{where}.devicePath")
        if point in seen_paths:
            errors.invalid(f"{where}.devicePath", point, "must be unique")
        if point and ".." in point.split("/"):
            errors.invalid(f"{where}.devicePath", point, "can not contain backsteps ('..')")
        if name in mounted:
            errors.invalid(f"{where}.name", name, "must not already exist in volumeMounts")
        if point in mounted.values():
            errors.invalid(f"{where}.devicePath", point, "must not already exist as a path in volumeMounts")
        seen_names.add(name)
        seen_paths.add(point)


# -- security ---------------------------------------------------------------------------------------------------------

_ID = "must be between 0 and 2147483647, inclusive"


def identity(errors: Errors, value: Any, path: str) -> None:
    if value is not None and not 0 <= value <= 2**31 - 1:
        errors.invalid(path, value, _ID)


def seccomp(errors: Errors, profile: Obj | None, path: str) -> None:
    if profile is None:
        return
    kind = profile.get("type") or ""
    local = profile.get("localhostProfile")
    if not kind:
        errors.required(f"{path}.type", "type is required when seccompProfile is set")
        return
    if kind == "Localhost":
        if local is None:
            errors.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost")
        else:
            descending(errors, local, f"{path}.localhostProfile")
    elif local is not None:
        errors.invalid(f"{path}.localhostProfile", local, "can only be set when seccomp type is Localhost")
    if kind not in ("Localhost", "RuntimeDefault", "Unconfined"):
        errors.unsupported(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))


def apparmor(errors: Errors, profile: Obj | None, path: str) -> None:
    if profile is None:
        return
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    if kind == "Localhost":
        if local is None or not local.strip():
            errors.required(f"{path}.localhostProfile", "must be set when AppArmor type is Localhost")
        elif local.strip() != local:
            errors.invalid(f"{path}.localhostProfile", local, "must not be padded with whitespace")
        elif len(local) > 4095:
            errors.too_long(f"{path}.localhostProfile", 4095)
    elif kind in ("RuntimeDefault", "Unconfined"):
        if local is not None:
            errors.invalid(f"{path}.localhostProfile", local, "can only be set when AppArmor type is Localhost")
    elif not kind:
        errors.required(f"{path}.type", "type is required when appArmorProfile is set")
    else:
        errors.unsupported(f"{path}.type", kind, ("Localhost", "RuntimeDefault", "Unconfined"))


def security(errors: Errors, held: Obj | None, path: str, *, host_users: bool = True) -> None:
    """A container's security context. `host_users`: the pod has no user namespace of its own."""
    if held is None:
        return
    identity(errors, held.get("runAsUser"), f"{path}.runAsUser")
    identity(errors, held.get("runAsGroup"), f"{path}.runAsGroup")
    if held.get("procMount") is not None:
        errors.one_of(f"{path}.procMount", held["procMount"], ("Default", "Unmasked"))
        if held["procMount"] == "Unmasked" and host_users:
            errors.invalid(f"{path}.procMount", "Unmasked", "`hostUsers` must be false to use `Unmasked`")
    seccomp(errors, held.get("seccompProfile"), f"{path}.seccompProfile")
    if held.get("allowPrivilegeEscalation") is False:
        if held.get("privileged"):
            errors.invalid(
                path,
                Raw("core.SecurityContext{}"),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            )
        added = at(held, "capabilities", "add") or ()
        if "CAP_SYS_ADMIN" in added:
            errors.invalid(
                path,
                Raw("core.SecurityContext{}"),
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
            )
    windows.options(errors, held.get("windowsOptions"), f"{path}.windowsOptions")
    apparmor(errors, held.get("appArmorProfile"), f"{path}.appArmorProfile")
