"""Pods and pod specs."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import containers, meta, mounts, scheduling, windows
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.volumes import volumes as check_volumes

RESTART = ("Always", "OnFailure", "Never")
DNS = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_SYSCTL = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
_HOST_SYSCTLS = ("net.", "net/")
BAD_IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
UNDERSCORES = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and "
    "end with an alphanumeric character"
)


def is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def ip(errors: Errors, text: str, path: str) -> None:
    if not is_ip(text):
        errors.invalid(path, text, BAD_IP)


def dns(errors: Errors, spec: Obj, path: str) -> None:
    policy, config = spec.get("dnsPolicy") or "", spec.get("dnsConfig")
    if not policy:
        errors.required(f"{path}.dnsPolicy")
    elif policy not in DNS:
        errors.unsupported(f"{path}.dnsPolicy", policy, DNS)
    where = f"{path}.dnsConfig"
    if policy == "None":
        if config is None:
            errors.required(where, "must provide `dnsConfig` when `dnsPolicy` is None")
            return
        if not config.get("nameservers"):
            errors.required(f"{where}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
            return
    if config is None:
        return
    servers = config.get("nameservers") or []
    if len(servers) > 3:
        errors.invalid(f"{where}.nameservers", Raw(gotext.strings(servers)), "must not have more than 3 nameservers")
    for index, server in enumerate(servers):
        ip(errors, server, f"{where}.nameservers[{index}]")
    searches = config.get("searches") or []
    if len(searches) > 32:
        errors.invalid(f"{where}.searches", Raw(gotext.strings(searches)), "must not have more than 32 search paths")
    if len(" ".join(searches)) > 2048:
        errors.invalid(
            f"{where}.searches",
            Raw(gotext.strings(searches)),
            "must not have more than 2048 characters (including spaces) in the search list",
        )
    for index, search in enumerate(searches):
        text = search.removesuffix(".") if search != "." else "a"
        if not re.fullmatch(names.SUBDOMAIN, text.replace("_", "")) and names.dns_subdomain(text):
            errors.invalid(
                f"{where}.searches[{index}]", text, names.regex_error(UNDERSCORES, names.SUBDOMAIN, "example.com")
            )
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            errors.required(f"{where}.options[{index}]", "must not be empty")


def _sysctls(errors: Errors, held: Any, path: str, spec: Obj) -> None:
    seen: set[str] = set()
    for where, sysctl in items(held, path):
        name = sysctl.get("name") or ""
        if not name:
            errors.required(f"{where}.name")
        elif len(name) > 253 or not re.match(_SYSCTL, name):
            errors.invalid(f"{where}.name", name, f"must have at most 253 characters and match regex {_SYSCTL}")
        elif name in seen:
            errors.duplicate(f"{where}.name", name)
        dotted = name.replace("/", ".")
        if spec.get("hostNetwork") and dotted.startswith("net."):
            errors.invalid(f"{where}.name", name, "may not be specified when 'hostNetwork' is true")
        if spec.get("hostIPC") and (
            dotted.startswith(("kernel.shm", "kernel.msg", "fs.mqueue.")) or dotted == "kernel.sem"
        ):
            errors.invalid(f"{where}.name", name, "may not be specified when 'hostIPC' is true")
        seen.add(name)


def security(errors: Errors, spec: Obj, path: str) -> None:
    """The pod's own security context."""
    held = spec.get("securityContext") or {}
    where = f"{path}.securityContext"
    mounts.identity(errors, held.get("fsGroup"), f"{where}.fsGroup")
    mounts.identity(errors, held.get("runAsUser"), f"{where}.runAsUser")
    mounts.identity(errors, held.get("runAsGroup"), f"{where}.runAsGroup")
    for index, group in enumerate(held.get("supplementalGroups") or ()):
        mounts.identity(errors, group, f"{where}.supplementalGroups[{index}]")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        errors.invalid(
            f"{where}.shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled"
        )
    _sysctls(errors, held.get("sysctls"), f"{where}.sysctls", spec)
    if held.get("fsGroupChangePolicy") is not None:
        errors.one_of(f"{where}.fsGroupChangePolicy", held["fsGroupChangePolicy"], ("Always", "OnRootMismatch"))
    mounts.seccomp(errors, held.get("seccompProfile"), f"{where}.seccompProfile")
    if held.get("supplementalGroupsPolicy") is not None:
        errors.one_of(f"{where}.supplementalGroupsPolicy", held["supplementalGroupsPolicy"], ("Merge", "Strict"))
    windows.options(errors, held.get("windowsOptions"), f"{where}.windowsOptions")
    mounts.apparmor(errors, held.get("appArmorProfile"), f"{where}.appArmorProfile")


def _os(errors: Errors, spec: Obj, path: str) -> None:
    held = spec.get("os")
    if held is None:
        return
    name = held.get("name") or ""
    if not name:
        errors.required(f"{path}.os.name", "cannot be empty")
    elif name not in ("linux", "windows"):
        errors.unsupported(f"{path}.os", name, ("linux", "windows"))
    elif name == "linux":
        if at(spec, "securityContext", "windowsOptions"):
            errors.forbidden(f"{path}.securityContext.windowsOptions", "windows options cannot be set for a linux pod")
        for group in ("containers", "initContainers", "ephemeralContainers"):
            for where, container in items(spec.get(group), f"{path}.{group}"):
                if at(container, "securityContext", "windowsOptions"):
                    errors.forbidden(
                        f"{where}.securityContext.windowsOptions", "windows options cannot be set for a linux pod"
                    )
    else:
        windows.forbidden_on_windows(errors, spec, path)


def _host_users(errors: Errors, spec: Obj, path: str) -> None:
    if spec.get("hostUsers") is not False:
        return
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            errors.forbidden(f"{path}.{name}", "when `pod.Spec.HostUsers` is false")


def _gates(errors: Errors, spec: Obj, path: str) -> None:
    seen: set[str] = set()
    for where, gate in items(spec.get("schedulingGates"), f"{path}.schedulingGates"):
        name = gate.get("name") or ""
        errors.invalids(where, name, names.qualified_name(name))
        if name in seen:
            errors.duplicate(where, name)
        seen.add(name)


def pod_spec(errors: Errors, spec: Obj, path: str) -> None:
    """`ValidatePodSpec`."""
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        errors.required(f"{path}.terminationGracePeriodSeconds")
    found = check_volumes(errors, spec, f"{path}.volumes")
    containers.regular(errors, spec, found, f"{path}.containers", grace)
    containers.init(errors, spec, found, f"{path}.initContainers", grace)
    containers.ephemeral(errors, spec, found, f"{path}.ephemeralContainers")
    errors.required_one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), RESTART)
    if spec.get("dnsPolicy") not in DNS or not spec.get("dnsPolicy"):
        errors.required_one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), DNS)
    meta.labels(errors, spec.get("nodeSelector"), f"{path}.nodeSelector")
    security(errors, spec, path)
    _host_users(errors, spec, path)
    for where, secret in items(spec.get("imagePullSecrets"), f"{path}.imagePullSecrets"):
        name = secret.get("name") or ""
        if name:
            errors.invalids(f"{where}.name", name, names.dns_subdomain(name))
    scheduling.affinity(errors, spec.get("affinity"), f"{path}.affinity")
    if spec.get("dnsPolicy") in DNS:
        dns(errors, spec, path)
    for where, gate in items(spec.get("readinessGates"), f"{path}.readinessGates"):
        kind = gate.get("conditionType") or ""
        errors.invalids(f"{where}.conditionType", kind, names.qualified_name(kind))
    _gates(errors, spec, path)
    scheduling.spread(errors, spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")
    for name, rule in (("serviceAccountName", names.dns_subdomain), ("nodeName", names.dns_subdomain)):
        if spec.get(name):
            errors.invalids(f"{path}.{name}", spec[name], rule(spec[name]))
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        errors.invalid(f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            errors.invalids(f"{path}.{name}", spec[name], names.dns_label(spec[name]))
    scheduling.tolerations(errors, spec.get("tolerations"), f"{path}.tolerations")
    _aliases(errors, spec, path)
    if spec.get("priorityClassName"):
        errors.invalids(
            f"{path}.priorityClassName", spec["priorityClassName"], names.dns_subdomain(spec["priorityClassName"])
        )
    if spec.get("runtimeClassName") is not None:
        errors.invalids(
            f"{path}.runtimeClassName", spec["runtimeClassName"], names.dns_subdomain(spec["runtimeClassName"])
        )
    if spec.get("preemptionPolicy") is not None:
        errors.one_of(f"{path}.preemptionPolicy", spec["preemptionPolicy"], ("PreemptLowerPriority", "Never"))
    if spec.get("overhead"):
        containers.resources(errors, {"limits": spec["overhead"]}, f"{path}.overhead")
    _os(errors, spec, path)
    windows.host_process(errors, spec, path)


def _aliases(errors: Errors, spec: Obj, path: str) -> None:
    for where, alias in items(spec.get("hostAliases"), f"{path}.hostAliases"):
        ip(errors, alias.get("ip") or "", f"{where}.ip")
        for index, name in enumerate(alias.get("hostnames") or ()):
            errors.invalids(f"{where}.hostnames[{index}]", name, names.dns_subdomain(name))


def template_spec(errors: Errors, template: Obj, path: str) -> None:
    """`ValidatePodTemplateSpec`."""
    held = template.get("metadata") or {}
    meta.labels(errors, held.get("labels"), f"{path}.labels")
    meta.annotation_keys(errors, held.get("annotations"), f"{path}.annotations")
    spec = template.get("spec") or {}
    pod_spec(errors, spec, f"{path}.spec")
    if spec.get("ephemeralContainers"):
        errors.forbidden(f"{path}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def pod(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    pod_spec(errors, spec, "spec")
    if spec.get("nodeName") and spec.get("schedulingGates") and context.old is None:
        errors.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    if context.old is None and spec.get("ephemeralContainers"):
        errors.forbidden("spec.ephemeralContainers", "cannot be set on create")
    _apparmor_annotations(errors, obj)
    _claims(errors, obj)


def _claims(errors: Errors, obj: Obj) -> None:
    """Claims of ephemeral volumes are named by pod and volume."""
    name = (obj.get("metadata") or {}).get("name") or ""
    for where, volume in items((obj.get("spec") or {}).get("volumes"), "spec.volumes"):
        if volume.get("ephemeral") is None or not volume.get("name"):
            continue
        claim = f"{name}-{volume['name']}"
        for fault in names.dns_subdomain(claim):
            errors.invalid(f"{where}.name", volume["name"], f"PVC name {gotext.quote(claim)}: {fault}")


def _apparmor_annotations(errors: Errors, obj: Obj) -> None:
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    spec = obj.get("spec") or {}
    known = {c.get("name") for n in ("containers", "initContainers", "ephemeralContainers") for c in spec.get(n) or ()}
    for key, profile in sorted(((obj.get("metadata") or {}).get("annotations") or {}).items()):
        if key.startswith(prefix):
            name = key.removeprefix(prefix)
            if name not in known:
                errors.invalid(f"metadata.annotations[{key}]", name, "container not found")
            if profile not in ("", "runtime/default", "unconfined") and not profile.startswith("localhost/"):
                errors.invalid(f"metadata.annotations[{key}]", profile, "invalid AppArmor profile name")
