"""Pods for Windows: what they may not ask for, and the options that only they have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from terrarium.kube.api import names
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.validation.fields import Errors, at, items

_NOT = "cannot be set for a windows pod"
_POD = (
    "appArmorProfile",
    "seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "seccompProfile",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "shareProcessNamespace",
    "runAsUser",
    "runAsGroup",
    "supplementalGroups",
    "supplementalGroupsPolicy",
)
_OF_THE_POD = frozenset({"hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"})
"""Those which stand in the pod's spec, not in its security context."""
_CONTAINER = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)
_LARGEST_SPEC = 64 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NETBIOS = re.compile(r'[\\/:*?"<>|.]')
_ACCOUNT = re.compile(r'["/\\\[\]:;|=,+*?<>@]')


def _containers(spec: Obj, path: str) -> Iterator[tuple[str, Obj]]:
    for group in ("initContainers", "containers", "ephemeralContainers"):
        yield from items(spec.get(group), f"{path}.{group}")


def forbidden_on_windows(errors: Errors, spec: Obj, path: str) -> None:
    """`validateWindows`: what a pod of `os: windows` may not have."""
    held = spec.get("securityContext") or {}
    for name in _POD:
        own = name in _OF_THE_POD
        value = (spec if own else held).get(name)
        # The host's namespaces may be refused; anything else may not even be given.
        if value is None or (name in ("hostPID", "hostIPC") and value is False):
            continue
        errors.forbidden(f"{path}.{name}" if own else f"{path}.securityContext.{name}", _NOT)
    for where, container in _containers(spec, path):
        context = container.get("securityContext") or {}
        for name in _CONTAINER:
            if context.get(name) is not None:
                errors.forbidden(f"{where}.securityContext.{name}", _NOT)


def options(errors: Errors, held: Obj | None, path: str) -> None:
    """`windowsOptions` of a pod or a container."""
    if held is None:
        return
    name = held.get("gmsaCredentialSpecName")
    if name is not None:
        errors.invalids(f"{path}.gmsaCredentialSpecName", name, names.dns_subdomain(name))
    text = held.get("gmsaCredentialSpec")
    if text is not None:
        where = f"{path}.gmsaCredentialSpec"
        if not text:
            errors.invalid(where, text, "gmsaCredentialSpec cannot be an empty string")
        elif len(text) > _LARGEST_SPEC:
            errors.invalid(where, text, f"gmsaCredentialSpec size must be under {_LARGEST_SPEC // 1024} KiB")
    user = held.get("runAsUserName")
    if user is not None:
        _user(errors, user, f"{path}.runAsUserName")


def _user(errors: Errors, text: str, path: str) -> None:
    if not text:
        errors.invalid(path, text, "runAsUserName cannot be an empty string")
    elif _CONTROL.search(text):
        errors.invalid(path, text, "runAsUserName cannot contain control characters")
    elif text.count("\\") > 1:
        errors.invalid(path, text, "runAsUserName cannot contain more than one backslash")
    else:
        domain, slash, user = text.rpartition("\\")
        if slash and not domain:
            errors.invalid(path, text, "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format")
        elif len(domain) >= 256:
            errors.invalid(path, text, "runAsUserName's Domain length must be under 256 characters")
        elif domain and _NETBIOS.search(domain) and names.dns_subdomain(domain.lower()):
            errors.invalid(path, text, "runAsUserName's Domain doesn't match the NetBIOS nor the DNS format")
        if not user:
            errors.invalid(path, text, "runAsUserName's User cannot be empty")
        elif len(user) > 104:
            errors.invalid(path, text, "runAsUserName's User length must not be longer than 104 characters")
        elif not user.replace(".", "").replace(" ", ""):
            errors.invalid(path, text, "runAsUserName's User cannot contain only periods or spaces")
        elif _ACCOUNT.search(user):
            errors.invalid(
                path, text, "runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"
            )


def host_process(errors: Errors, spec: Obj, path: str) -> None:
    """Host process containers: all or none, and only on the host's network."""
    whole = at(spec, "securityContext", "windowsOptions", "hostProcess")
    found: list[bool] = []
    for where, container in _containers(spec, path):
        own: Any = at(container, "securityContext", "windowsOptions", "hostProcess")
        if whole is not None and own is not None and own != whole:
            text = "pod hostProcess value must be identical if both are specified, was "
            errors.invalid(
                f"{where}.securityContext.windowsOptions.hostProcess", own, f"{text}{str(bool(whole)).lower()}"
            )
        found.append(bool(whole if own is None else own))
    if not any(found):
        return
    if not all(found):
        errors.invalid(
            path, "", "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        )
    if not spec.get("hostNetwork"):
        errors.invalid(
            f"{path}.hostNetwork", False, "hostNetwork must be true if pod contains any hostProcess containers"
        )
