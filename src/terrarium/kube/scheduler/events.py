"""What happened in the cluster, in the scheduler's words: which event an added, changed or deleted object means.

A change may be several events (a node's labels and its taints), or none (a node's heartbeat). (kube-scheduler
eventhandlers.go and framework/events.go)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.views import pod_requests

_PREFIX = {
    kind: f"storage.k8s.io/{kind}"
    for kind in ("CSINode", "CSIDriver", "CSIStorageCapacity", "StorageClass", "VolumeAttachment")
}


@dataclass(frozen=True, slots=True)
class Event:
    """`resource` as in the recordings (`Node`, `AssignedPod`, `UnschedulablePod`, `storage.k8s.io/CSINode` …)."""

    resource: str
    action: str
    old: Obj | None = None
    new: Obj | None = None

    @property
    def label(self) -> str:
        return f"{self.resource}{self.action}"

    @property
    def kind(self) -> str:
        """The resource plugins register for: all pods are one."""
        return "Pod" if self.resource.endswith("Pod") else self.resource


def _get(obj: Obj, *path: str) -> Any:
    found: Any = obj
    for key in path:
        found = (found or {}).get(key)
    return found or None


def _conditions(node: Obj) -> dict[str, Any]:
    return {
        c["type"]: (c.get("status"), c.get("reason"), c.get("message"))
        for c in _get(node, "status", "conditions") or ()
    }


_NODE_CHANGES: Mapping[str, Callable[[Obj], Any]] = {
    "UpdateNodeAllocatable": lambda n: _get(n, "status", "allocatable"),
    "UpdateNodeLabel": lambda n: _get(n, "metadata", "labels"),
    "UpdateNodeTaint": lambda n: (_get(n, "spec", "taints"), bool(_get(n, "spec", "unschedulable"))),
    "UpdateNodeCondition": _conditions,
    "UpdateNodeAnnotation": lambda n: _get(n, "metadata", "annotations"),
}


def _scaled_down(old: Obj, new: Obj) -> bool:
    before, after = pod_requests(old), pod_requests(new)
    return any(value > after.get(name, 0) for name, value in before.items())


_POD_CHANGES: Mapping[str, Callable[[Obj, Obj], bool]] = {
    "UpdatePodLabel": lambda old, new: _get(old, "metadata", "labels") != _get(new, "metadata", "labels"),
    "UpdatePodScaleDown": _scaled_down,
    "UpdatePodSchedulingGatesEliminated": lambda old, new: bool(
        _get(old, "spec", "schedulingGates") and not _get(new, "spec", "schedulingGates")
    ),
    "UpdatePodToleration": lambda old, new: _get(old, "spec", "tolerations") != _get(new, "spec", "tolerations"),
}


def events(kind: str, old: Obj | None, new: Obj | None) -> Sequence[Event]:
    """The events of one change; `old` is None for an addition, `new` for a deletion."""
    resource = _PREFIX.get(kind, kind)
    if kind == "Pod":
        assigned = _get(new or old or {}, "spec", "nodeName")
        resource = "AssignedPod" if assigned else "UnschedulablePod"
    if old is None or new is None:
        return (Event(resource, "Add" if old is None else "Delete", old, new),)
    if kind == "Node":
        if _get(new, "spec", "unschedulable") and not _get(old, "spec", "unschedulable"):
            # Cordoning helps nobody, so it is no event.
            old = {**old, "spec": {**(old.get("spec") or {}), "unschedulable": True}}
        return [Event("Node", name, old, new) for name, part in _NODE_CHANGES.items() if part(old) != part(new)]
    if kind == "Pod":
        changes = [name for name, changed in _POD_CHANGES.items() if changed(old, new)]
        return [Event(resource, name, old, new) for name in changes or ["Update"]]
    return (Event(resource, "Update", old, new),)
