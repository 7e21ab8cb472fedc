"""Which changes of a pod are allowed: of its spec, its gates, its status, its size, its ephemeral containers."""

from __future__ import annotations

from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.pods import qos_class
from terrarium.kube.api.validation import scheduling
from terrarium.kube.api.validation.fields import Errors, Raw, at, items
from terrarium.kube.api.validation.pods import ip, is_ip, pod, pod_spec

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
