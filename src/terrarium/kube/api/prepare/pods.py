"""Pods on their way in: quality of service, gates, AppArmor, affinity by label keys, fields of gates that are off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.prepare.common import keep, keep_meta, meta_of, spec_of
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.times import format_time

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
GATES = "Scheduling is blocked due to non-empty scheduling gates"


def all_containers(spec: Mapping[str, Any]) -> Iterator[Obj]:
    for name in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(name) or ()


def qos_class(spec: Mapping[str, Any]) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`."""
    requests: dict[str, int] = {}
    limits: dict[str, int] = {}
    guaranteed = True
    for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
        resources = container.get("resources") or {}
        found = set()
        for name, amount in (resources.get("requests") or {}).items():
            nanos = Quantity.of(amount).nanos
            if name in ("cpu", "memory") and nanos > 0:
                requests[name] = requests.get(name, 0) + nanos
        for name, amount in (resources.get("limits") or {}).items():
            nanos = Quantity.of(amount).nanos
            if name in ("cpu", "memory") and nanos > 0:
                found.add(name)
                limits[name] = limits.get(name, 0) + nanos
        if found != {"cpu", "memory"}:
            guaranteed = False
    if not requests and not limits:
        return "BestEffort"
    if guaranteed and requests == limits:
        return "Guaranteed"
    return "Burstable"


def drop_disabled(spec: Obj, old: Mapping[str, Any] | None) -> None:
    """Fields behind feature gates that are off by default, unless the stored object already has them."""
    old = old or {}
    if not old.get("resources"):
        spec.pop("resources", None)
    if not old.get("resourceClaims"):
        spec.pop("resourceClaims", None)
        for container in all_containers(spec):
            if container.get("resources"):
                container["resources"].pop("claims", None)


def drop_template(spec: Obj, context: Context, *path: str) -> None:
    """`drop_disabled` for the pod template at `path` of a spec."""

    def template(at: Any) -> Any:
        for name in (*path, "template", "spec"):
            at = (at or {}).get(name)
        return at

    found = template(spec)
    if found:
        drop_disabled(found, template((context.old or {}).get("spec")))


def _affinity_keys(pod: Obj) -> None:
    labels = meta_of(pod).get("labels") or {}
    affinity = spec_of(pod).get("affinity") or {}
    for side in ("podAffinity", "podAntiAffinity"):
        held = affinity.get(side) or {}
        terms = list(held.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [
            t.get("podAffinityTerm") or {} for t in held.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ]
        for term in terms:
            if term.get("labelSelector") is None:
                continue
            for names, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
                for key in term.get(names) or ():
                    if key in labels:
                        expressions = term["labelSelector"].setdefault("matchExpressions", [])
                        expressions.append({"key": key, "operator": operator, "values": [labels[key]]})


def _apparmor(pod: Obj) -> None:
    """The annotation and the field are kept in step, the field wins where both are set."""
    spec = spec_of(pod)
    if (spec.get("os") or {}).get("name") == "windows":
        return
    annotations = dict(meta_of(pod).get("annotations") or {})
    common = _profile_text((spec.get("securityContext") or {}).get("appArmorProfile"))
    for container in all_containers(spec):
        key = APPARMOR + container.get("name", "")
        held = (container.get("securityContext") or {}).get("appArmorProfile")
        if held is None and key in annotations:
            profile = _profile(annotations[key])
            whole = (spec.get("securityContext") or {}).get("appArmorProfile")
            if profile is not None and profile != whole:
                container["securityContext"] = {**(container.get("securityContext") or {}), "appArmorProfile": profile}
        elif held is None and common:
            annotations[key] = common
        elif held is not None and key not in annotations:
            text = _profile_text(held)
            if text:
                annotations[key] = text
    if annotations:
        meta_of(pod)["annotations"] = annotations


def _profile_text(profile: Mapping[str, Any] | None) -> str:
    match (profile or {}).get("type"):
        case "RuntimeDefault":
            return "runtime/default"
        case "Unconfined":
            return "unconfined"
        case "Localhost" if (profile or {}).get("localhostProfile"):
            return f"localhost/{(profile or {})['localhostProfile']}"
    return ""


def _profile(text: str) -> dict[str, Any] | None:
    if text == "runtime/default":
        return {"type": "RuntimeDefault"}
    if text == "unconfined":
        return {"type": "Unconfined"}
    if text.startswith("localhost/") and len(text) > len("localhost/"):
        return {"type": "Localhost", "localhostProfile": text.removeprefix("localhost/")}
    return None


def _grace(spec: Obj) -> None:
    grace = spec.get("terminationGracePeriodSeconds")
    if isinstance(grace, int) and grace < 0:
        spec["terminationGracePeriodSeconds"] = 1


def create(pod: Obj, context: Context) -> None:
    spec = spec_of(pod)
    drop_disabled(spec, None)
    status: Obj = {"phase": "Pending"}
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": format_time(context.now),
                "reason": "SchedulingGated",
                "message": GATES,
            }
        ]
    status["qosClass"] = qos_class(spec)
    pod["status"] = status
    _grace(spec)
    _affinity_keys(pod)
    _apparmor(pod)


def update(pod: Obj, context: Context) -> None:
    assert context.old is not None
    spec = spec_of(pod)
    drop_disabled(spec, context.old.get("spec"))
    keep(pod, context.old, "status")
    _grace(spec)
    _apparmor(pod)


def status(pod: Obj, context: Context) -> None:
    assert context.old is not None
    keep(pod, context.old, "spec")
    keep_meta(pod, context.old, "ownerReferences", "deletionTimestamp")
    held = pod.get("status") or {}
    held["qosClass"] = (context.old.get("status") or {}).get("qosClass") or qos_class(context.old.get("spec") or {})
    pod["status"] = held


def ephemeral(pod: Obj, context: Context) -> None:
    """`pods/ephemeralcontainers`: only those containers change."""
    assert context.old is not None
    fresh = spec_of(pod).get("ephemeralContainers")
    spec = dict(context.old["spec"])
    if fresh:
        spec["ephemeralContainers"] = fresh
    else:
        spec.pop("ephemeralContainers", None)
    keep(pod, context.old, "status")
    pod["metadata"] = _stored_meta(pod, context.old)
    pod["spec"] = spec


def _stored_meta(pod: Obj, old: Obj) -> Obj:
    """The stored metadata, but with who owns which fields now."""
    made = {key: value for key, value in old["metadata"].items() if key != "managedFields"}
    entries = (pod.get("metadata") or {}).get("managedFields")
    return {**made, "managedFields": entries} if entries else made


def resize(pod: Obj, context: Context) -> None:
    """`pods/resize`: only resources and resize policies of containers change."""
    assert context.old is not None
    fresh = {
        name: {c.get("name"): c for c in spec_of(pod).get(name) or ()} for name in ("containers", "initContainers")
    }
    spec = dict(context.old["spec"])
    for name, by_name in fresh.items():
        if spec.get(name):
            spec[name] = [_resized(c, by_name.get(c.get("name"))) for c in spec[name]]
    pod["spec"] = spec
    pod["metadata"] = _stored_meta(pod, context.old)
    keep(pod, context.old, "status")


def _resized(container: Obj, wanted: Obj | None) -> Obj:
    if wanted is None:
        return container
    made = {**container, "resources": wanted.get("resources") or {}}
    if wanted.get("resizePolicy"):
        made["resizePolicy"] = wanted["resizePolicy"]
    return made


def graceful(pod: Obj, wish: int | None) -> int:
    """How long a pod may take to end: at once when it runs nowhere or is finished."""
    spec = pod.get("spec") or {}
    period = wish
    if period is None:
        held = spec.get("terminationGracePeriodSeconds")
        period = 30 if held is None else int(held)
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    return 1 if period < 0 else period
