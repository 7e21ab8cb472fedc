"""Pods and pod specs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, FieldError, Obj
from terrarium.kube.api.prepare.pods import qos_class
from terrarium.kube.api.quantity import Quantity
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


NO_CHANGE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def _without(spec: Obj, *names_: str) -> Obj:
    return {name: value for name, value in spec.items() if name not in names_}


def _imageless(held: Any) -> list[Obj]:
    return [{n: v for n, v in c.items() if n != "image"} for c in held or ()]


def pod_update(errors: Errors, obj: Obj, context: Context) -> None:
    """`ValidatePodUpdate`, after the metadata."""
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    pod(errors, obj, context)
    if len(spec.get("containers") or ()) != len(old.get("containers") or ()):
        errors.forbidden("spec.containers", "pod updates may not add or remove containers")
        return
    if len(spec.get("initContainers") or ()) != len(old.get("initContainers") or ()):
        errors.forbidden("spec.initContainers", "pod updates may not add or remove containers")
        return
    for group in ("containers", "initContainers"):
        for where, container in items(spec.get(group), f"spec.{group}"):
            if not (container.get("image") or "").strip():
                errors.required(f"{where}.image")
    _deadline(errors, spec, old)
    _only_additions(errors, spec, old)
    gated = bool(old.get("schedulingGates"))
    _gate_changes(errors, spec, old)
    grace, before = spec.get("terminationGracePeriodSeconds"), old.get("terminationGracePeriodSeconds")
    free = ["activeDeadlineSeconds", "tolerations", "schedulingGates", "containers", "initContainers"]
    if before is not None and before < 0 and grace == 1:
        free.append("terminationGracePeriodSeconds")
    if gated:
        free += ["nodeSelector", "affinity"]
        _gated_node_selector(errors, spec, old)
        _gated_affinity(errors, spec, old)
    if (
        _without(spec, *free) != _without(old, *free)
        or _imageless(spec.get("containers")) != _imageless(old.get("containers"))
        or _imageless(spec.get("initContainers")) != _imageless(old.get("initContainers"))
        or (gated and _other_affinity(spec) != _other_affinity(old))
    ):
        errors.forbidden("spec", f"{NO_CHANGE}\n{_difference(spec, old)}")


def _difference(spec: Obj, old: Obj) -> str:
    """What changed, in the shape of the structural difference which the real server prints."""
    changed = sorted(name for name in {*spec, *old} if spec.get(name) != old.get(name))
    lines = [f"- \t{name}: {gotext.v(old.get(name))},\n+ \t{name}: {gotext.v(spec.get(name))}," for name in changed]
    return "  core.PodSpec{\n" + "\n".join(lines) + "\n  }\n"


def _deadline(errors: Errors, spec: Obj, old: Obj) -> None:
    fresh, before = spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if fresh is not None:
        if not 0 <= fresh <= 2**31 - 1:
            errors.invalid("spec.activeDeadlineSeconds", fresh, "must be between 0 and 2147483647, inclusive")
            return
        if before is not None and before < fresh:
            errors.invalid("spec.activeDeadlineSeconds", fresh, "must be less than or equal to previous value")
    elif before is not None:
        errors.invalid("spec.activeDeadlineSeconds", None, "must not update from a positive integer to nil value")


def _only_additions(errors: Errors, spec: Obj, old: Obj) -> None:
    for toleration in old.get("tolerations") or ():
        keep = {n: v for n, v in toleration.items() if n != "tolerationSeconds"}
        if not any(
            t == toleration
            or (t.get("effect") == "NoExecute" and {n: v for n, v in t.items() if n != "tolerationSeconds"} == keep)
            for t in spec.get("tolerations") or ()
        ):
            errors.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
            return
    scheduling.tolerations(errors, spec.get("tolerations"), "spec.tolerations")


def _gate_changes(errors: Errors, spec: Obj, old: Obj) -> None:
    held = {g.get("name") for g in old.get("schedulingGates") or ()}
    for where, gate in items(spec.get("schedulingGates"), "spec.schedulingGates"):
        if gate.get("name") not in held:
            errors.forbidden(
                f"{where}.name", f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            )


def _gated_node_selector(errors: Errors, spec: Obj, old: Obj) -> None:
    fresh, held = spec.get("nodeSelector") or {}, old.get("nodeSelector") or {}
    if any(fresh.get(key) != value for key, value in held.items()):
        errors.invalid(
            "spec.nodeSelector",
            Raw(gotext.string_map(fresh or None)),
            "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
        )


def _terms(spec: Obj) -> list[Obj] | None:
    found = at(spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    return None if found is None else list(found.get("nodeSelectorTerms") or ())


def _other_affinity(spec: Obj) -> Any:
    held = dict(spec.get("affinity") or {})
    node = {k: v for k, v in (held.pop("nodeAffinity", None) or {}).items() if not k.startswith("required")}
    node.pop("preferredDuringSchedulingIgnoredDuringExecution", None)
    return {k: v for k, v in held.items() if v}, node


def _gated_affinity(errors: Errors, spec: Obj, old: Obj) -> None:
    before, fresh = _terms(old), _terms(spec)
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if not before:
        return
    printed = "[]core.NodeSelectorTerm(nil)"
    if fresh:
        printed = "[]core.NodeSelectorTerm{" + ", ".join(scheduling.term_text(t) for t in fresh) + "}"
    if len(fresh or ()) != len(before):
        errors.invalid(path, Raw(printed), "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
        return
    for index, (term, held) in enumerate(zip(fresh or (), before, strict=True)):
        for side in ("matchExpressions", "matchFields"):
            ours, theirs = term.get(side) or [], held.get(side) or []
            if ours[: len(theirs)] != theirs:
                errors.invalid(
                    f"{path}[{index}]",
                    Raw(scheduling.term_text(term)),
                    "only additions are allowed (no mutations or deletions)",
                )
                break


def status_update(errors: Errors, obj: Obj, context: Context) -> None:
    """`ValidatePodStatusUpdate`, after the metadata."""
    assert context.old is not None
    if (obj.get("spec") or {}).get("nodeName", "") != (context.old.get("spec") or {}).get("nodeName", ""):
        errors.forbidden("status.nodeName", "may not be changed directly")
    status, old = obj.get("status") or {}, context.old.get("status") or {}
    if status.get("nominatedNodeName"):
        errors.invalids(
            "status.nominatedNodeName", status["nominatedNodeName"], names.dns_subdomain(status["nominatedNodeName"])
        )
    for path, element in (("podIPs", "PodIP"), ("hostIPs", "HostIP")):
        given = [entry.get("ip") or "" for entry in status.get(path) or ()]
        for index, text in enumerate(given):
            ip(errors, text, f"status.{path}[{index}]")
        if len(given) > 2 or (
            len(given) == 2 and is_ip(given[0]) and is_ip(given[1]) and (":" in given[0]) == (":" in given[1])
        ):
            errors.invalid(
                f"status.{path}",
                Raw(f"[]core.{element}{{}}"),
                "may specify no more than one IP for each IP family",
            )
    for name in ("containerStatuses", "initContainerStatuses"):
        _terminations(errors, status, old, obj, name)


def _terminations(errors: Errors, status: Obj, old: Obj, obj: Obj, name: str) -> None:
    policy = (obj.get("spec") or {}).get("restartPolicy")
    if policy == "Always" and name == "containerStatuses":
        return
    sidecars = {
        c.get("name") for c in (obj.get("spec") or {}).get("initContainers") or () if c.get("restartPolicy") == "Always"
    }
    fresh = {s.get("name"): s for s in status.get(name) or ()}
    for index, held in enumerate(old.get(name) or ()):
        ended = at(held, "state", "terminated")
        if ended is None or held.get("name") in sidecars:
            continue
        if (policy == "OnFailure" or name == "initContainerStatuses") and (ended.get("exitCode") or 0) != 0:
            continue
        current = fresh.get(held.get("name"))
        if current is not None and at(current, "state", "terminated") is None:
            errors.forbidden(f"status.{name}[{index}].state", "may not be transitioned to non-terminated state")


def resize(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    pod_spec(errors, spec, "spec")
    before = qos_class(old)
    if qos_class(spec) != before:
        errors.invalid("spec", before, "Pod QOS Class may not change as a result of resizing")
    plain = [
        [c.get("resources") for c in side.get("initContainers") or () if c.get("restartPolicy") != "Always"]
        for side in (spec, old)
    ]
    if plain[0] != plain[1]:
        errors.forbidden("spec", "resources for non-sidecar init containers are immutable")
    for group in ("containers", "initContainers"):
        for (where, container), before in zip(
            items(spec.get(group), f"spec.{group}"), old.get(group) or (), strict=False
        ):
            for side in ("limits", "requests"):
                ours, theirs = at(container, "resources", side) or {}, at(before, "resources", side) or {}
                for name in theirs:
                    if name in ("cpu", "memory") and name not in ours:
                        errors.forbidden(f"{where}.resources.{side}", f"{name} {side} cannot be removed")
                if {k: v for k, v in ours.items() if k not in ("cpu", "memory")} != {
                    k: v for k, v in theirs.items() if k not in ("cpu", "memory")
                }:
                    errors.forbidden(f"{where}.resources.{side}", "only cpu and memory resources are mutable")


MIRROR = "kubernetes.io/config.mirror"


def ephemeral_update(errors: Errors, obj: Obj, context: Context) -> None:
    assert context.old is not None
    if MIRROR in ((context.old.get("metadata") or {}).get("annotations") or {}):
        errors.forbidden("[]", "static pods do not support ephemeral containers")
    spec, old = obj.get("spec") or {}, context.old.get("spec") or {}
    pod_spec(errors, spec, "spec")
    fresh = {c.get("name"): c for c in spec.get("ephemeralContainers") or ()}
    for held in old.get("ephemeralContainers") or ():
        current = fresh.get(held.get("name"))
        if current is None:
            errors.forbidden(
                "spec.ephemeralContainers",
                f"existing ephemeral containers {gotext.quote(held.get('name', ''))} may not be removed\n",
            )
        elif current != held:
            errors.forbidden(
                "spec.ephemeralContainers",
                f"existing ephemeral containers {gotext.quote(held.get('name', ''))} may not be changed\n{_difference(current, held)}",
            )


# -- warnings ---------------------------------------------------------------------------------------------------------


def spec_warnings(spec: Obj, path: str) -> list[str]:
    """The warnings of a pod spec."""
    found: list[str] = []
    for where, secret in items(spec.get("imagePullSecrets"), f"{path}.imagePullSecrets"):
        if not (secret.get("name") or "").strip():
            found.append(f'{where}.name: invalid empty name "{secret.get("name") or ""}"')
    for where, constraint in items(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints"):
        if constraint.get("labelSelector") is None:
            found.append(f"{where}.labelSelector: a null labelSelector results in matching no pod")
    for side in ("podAffinity", "podAntiAffinity"):
        held = at(spec, "affinity", side) or {}
        for name in (
            "requiredDuringSchedulingIgnoredDuringExecution",
            "preferredDuringSchedulingIgnoredDuringExecution",
        ):
            for where, term in items(held.get(name), f"{path}.affinity.{side}.{name}"):
                inner = term.get("podAffinityTerm") or term if name.startswith("preferred") else term
                if inner.get("labelSelector") is None:
                    tail = ".podAffinityTerm" if name.startswith("preferred") else ""
                    found.append(f"{where}{tail}.labelSelector: a null labelSelector results in matching no pod")
    for where, volume in items(spec.get("volumes"), f"{path}.volumes"):
        source = volume.get("projected")
        if source is not None and not any(any(part.values()) for part in source.get("sources") or () if part):
            found.append(f'volume "{volume.get("name")}" (Projected) has no sources provided')
        found += [f"{where}.{name}: {text}" for name, text in _OLD_VOLUMES.items() if volume.get(name) is not None]
    found += _grace_warnings(spec, path)
    for group in ("initContainers", "containers"):
        for where, container in items(spec.get(group), f"{path}.{group}"):
            found += _container_warnings(container, where)
    return found


_OLD_VOLUMES = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
}


def _fractions(container: Obj, path: str) -> list[str]:
    found = []
    for side in ("limits", "requests"):
        for name, amount in sorted((at(container, "resources", side) or {}).items()):
            if name in ("memory", "ephemeral-storage") and Quantity.of(amount).nanos % 10**9:
                found.append(
                    f'{path}.resources.{side}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'
                )
    return found


def _grace_warnings(spec: Obj, path: str) -> list[str]:
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        return [
            f"{path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1"
        ]
    return []


def _container_warnings(container: Obj, path: str) -> list[str]:
    found: list[str] = _fractions(container, path)
    seen: dict[str, int] = {}
    for index, variable in enumerate(container.get("env") or ()):
        name = variable.get("name") or ""
        if name in seen:
            value = container["env"][seen[name]].get("value") or ""
            if f"$({name})" not in (variable.get("value") or "") or value == "":
                found.append(
                    f'{path}.env[{index}]: hides previous definition of "{name}", which may be dropped when using apply'
                )
        seen[name] = index
    ports: dict[tuple[Any, ...], int] = {}
    for index, port in enumerate(container.get("ports") or ()):
        key = (port.get("containerPort"), port.get("protocol"), port.get("hostPort") or 0, port.get("hostIP") or "")
        if port.get("hostIP") and not port.get("hostPort"):
            found.append(
                f"{path}.ports[{index}]: hostIP set without hostPort: {{Name:{port.get('name') or ''} "
                f"HostPort:{port.get('hostPort') or 0} ContainerPort:{port.get('containerPort') or 0} "
                f"Protocol:{port.get('protocol') or ''} HostIP:{port['hostIP']}}}"
            )
        if key in ports:
            found.append(f"{path}.ports[{index}]: duplicate port definition with {path}.ports[{ports[key]}]")
        else:
            ports[key] = index
    return found


def pod_warnings(obj: Obj, context: Context) -> Sequence[str]:
    found: list[str] = []
    name = (obj.get("metadata") or {}).get("name") or ""
    if context.old is None:
        faults = names.dns_label(name)
        if faults:
            found.append(
                "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
                f"a DNS label is recommended: [{' '.join(faults)}]"
            )
    if "scheduler.alpha.kubernetes.io/critical-pod" in ((obj.get("metadata") or {}).get("annotations") or {}):
        found.append(
            "metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; "
            'use the "priorityClassName" field instead'
        )
    return found + spec_warnings(obj.get("spec") or {}, "spec")


__all__ = ["FieldError", "pod", "pod_spec", "pod_update", "template_spec"]
