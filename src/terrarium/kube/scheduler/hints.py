"""Queueing hints: whether something that happened may make a rejected pod schedulable, by the plugin that rejected it.

`REGISTERED` says which events a plugin wants to hear of, and which function answers (none: every such event may
help). Only plugins that rejected the pod are asked (KEP-4247; each plugin's `EventsToRegister`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.events import Event
from terrarium.kube.scheduler.framework import Cycle
from terrarium.kube.scheduler.plugins.basic import UNSCHEDULABLE_TAINT
from terrarium.kube.scheduler.plugins.resources import NodeResourcesFit
from terrarium.kube.scheduler.plugins.spread import PodTopologySpread
from terrarium.kube.scheduler.plugins.volume_limits import driver_of
from terrarium.kube.scheduler.plugins.volume_restrictions import conflict
from terrarium.kube.scheduler.plugins.volume_zone import LABELS as ZONE_LABELS
from terrarium.kube.scheduler.plugins.volumes import PVCS, claimed, notes_of, volumes
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects, Snapshot
from terrarium.kube.scheduler.views import Node, Pod, PodTerm, amount, read_node, read_pod

Hint = Callable[[Pod, Event, Objects], bool]
"""Whether the event may help the pod."""


@dataclass(frozen=True, slots=True)
class Interest:
    """Events of a resource which a plugin wants to hear of; without `hint`, each of them may help."""

    resource: str
    actions: frozenset[str]
    hint: Hint | None = None


def _nodes(event: Event) -> tuple[Node | None, Node | None]:
    return (read_node(event.old) if event.old else None, read_node(event.new) if event.new else None)


def _pods(event: Event) -> tuple[Pod | None, Pod | None]:
    return (read_pod(event.old) if event.old else None, read_pod(event.new) if event.new else None)


# --- the pod itself, its node's taints, labels and room --------------------------------------------------------------


def _itself(pod: Pod, event: Event, objects: Objects) -> bool:
    return event.new is not None and read_pod(event.new).uid == pod.uid


def _tolerates_cordon(pod: Pod, event: Event, objects: Objects) -> bool:
    return _itself(pod, event, objects) and read_pod(event.new or {}).tolerates(UNSCHEDULABLE_TAINT)


def _uncordoned(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _nodes(event)
    return new is not None and not new.unschedulable and (old is None or old.unschedulable)


def _tolerated_now(pod: Pod, event: Event, objects: Objects) -> bool:
    def tolerated(node: Node | None) -> bool:
        return node is not None and all(
            pod.tolerates(t) for t in node.taints if t.effect in ("NoSchedule", "NoExecute")
        )

    old, new = _nodes(event)
    return tolerated(new) and not tolerated(old)


def _matches_now(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _nodes(event)
    return new is not None and pod.allowed_on(new) and not (old is not None and pod.allowed_on(old))


def _frees_port(pod: Pod, event: Event, objects: Objects) -> bool:
    old, _ = _pods(event)
    if old is None or not old.node_name:
        return False
    info = NodeInfo(Node({}, "", {}, (), False, {}))
    info.add(old)
    return not info.free_of(pod.host_ports)


def _frees_room(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _pods(event)
    if new is None:
        return old is not None and bool(old.node_name or old.nominated)
    if new.uid == pod.uid:
        return True
    if old is None or not new.node_name:
        return False
    return any(value and old.requests.get(n, 0) > new.requests.get(n, 0) for n, value in pod.requests.items())


def _has_room_now(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _nodes(event)
    if new is None or NodeResourcesFit().insufficient(pod, NodeInfo(new)):
        return False
    if old is None:
        return True
    wanted = ["pods", *(n for n, value in pod.requests.items() if value)]
    return any(new.allocatable.get(n, 0) > old.allocatable.get(n, 0) for n in wanted)


# --- other pods --------------------------------------------------------------------------------------------------


def _spread_by_pod(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _pods(event)
    changed = [p for p in (old, new) if p is not None]
    if any(p.namespace != pod.namespace for p in changed):
        return False
    if any(not p.node_name and p.uid != pod.uid for p in changed):
        return False
    constraints = PodTopologySpread().constraints(Cycle(pod, Snapshot((), objects)), hard=True)
    if old is not None and new is not None:
        return any(c.selector(old.labels) != c.selector(new.labels) for c in constraints)
    return any(c.selector(changed[0].labels) for c in constraints)


def _spread_by_node(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _nodes(event)
    constraints = PodTopologySpread().constraints(Cycle(pod, Snapshot((), objects)), hard=True)

    def counts(node: Node) -> bool:
        return all(c.key in node.labels for c in constraints)

    if old is None or new is None:
        node = new or old
        return node is not None and counts(node)
    if counts(old) != counts(new):
        return True
    moved = any(old.labels.get(c.key) != new.labels.get(c.key) for c in constraints)
    return counts(new) and (moved or old.taints != new.taints)


def _all(terms: Iterable[PodTerm], pod: Pod, objects: Objects) -> bool:
    terms = tuple(terms)
    labels = objects.namespace_labels(pod.namespace)
    return bool(terms) and all(t.matches(pod, labels) for t in terms)


def _any(terms: Iterable[PodTerm], pod: Pod, objects: Objects) -> bool:
    labels = objects.namespace_labels(pod.namespace)
    return any(t.matches(pod, labels) for t in terms)


def _affinity_by_pod(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _pods(event)
    if any(p is not None and not p.node_name for p in (old, new)):
        return False
    if new is None:
        assert old is not None
        return _any(pod.anti_affinity, old, objects)
    if _all(pod.affinity, new, objects):
        return old is None or not _all(pod.affinity, old, objects)
    return old is not None and _any(pod.anti_affinity, old, objects) and not _any(pod.anti_affinity, new, objects)


def _affinity_by_node(pod: Pod, event: Event, objects: Objects) -> bool:
    old, new = _nodes(event)
    if new is None:
        return False
    for term in pod.affinity:
        value = new.labels.get(term.topology_key)
        if value is not None and (old is None or old.labels.get(term.topology_key) != value):
            return True
    if old is None:
        return bool(pod.anti_affinity)
    return any(
        t.topology_key in old.labels and old.labels[t.topology_key] != new.labels.get(t.topology_key)
        for t in pod.anti_affinity
    )


# --- volumes -------------------------------------------------------------------------------------------------------


def _own_claim(ephemeral: bool) -> Hint:
    def hint(pod: Pod, event: Event, objects: Objects) -> bool:
        metadata = (event.new or {})["metadata"]
        if (metadata.get("namespace") or "default") != pod.namespace:
            return False
        return any(c.name == metadata["name"] and (ephemeral or not c.ephemeral) for c in claimed(pod))

    return hint


def _frees_disk(pod: Pod, event: Event, objects: Objects) -> bool:
    old, _ = _pods(event)
    if old is None:
        return False
    if old.namespace == pod.namespace:
        mine = {c.name for c in claimed(pod) if not c.ephemeral}
        if any(c.name in mine for c in claimed(old) if not c.ephemeral):
            return True
    return any(conflict(a, b) for a in volumes(pod) for b in volumes(old))


def _detaches(pod: Pod, event: Event, objects: Objects) -> bool:
    old, _ = _pods(event)
    kinds = ("persistentVolumeClaim", "ephemeral", "awsElasticBlockStore", "gcePersistentDisk", "azureDisk")
    return old is not None and bool(old.node_name) and any(k in v for v in volumes(old) for k in kinds)


def _detached(pod: Pod, event: Event, objects: Objects) -> bool:
    attacher = ((event.old or {}).get("spec") or {}).get("attacher")
    for wanted in claimed(pod):
        claim = objects.get(PVCS, wanted.name, pod.namespace)
        driver = driver_of(claim, objects) if claim is not None else None
        if driver is not None and driver[0] == attacher:
            return True
    return False


def _more_attachable(pod: Pod, event: Event, objects: Objects) -> bool:
    def limits(node: Obj | None) -> Mapping[str, int]:
        drivers = ((node or {}).get("spec") or {}).get("drivers") or ()
        counts = {d["name"]: (d.get("allocatable") or {}).get("count") for d in drivers}
        return {name: count for name, count in counts.items() if count is not None}

    old, new = limits(event.old), limits(event.new)
    return any(name not in old or count > old[name] for name, count in new.items()) or bool(old.keys() - new.keys())


def _newly_migrated(pod: Pod, event: Event, objects: Objects) -> bool:
    key = "storage.alpha.kubernetes.io/migrated-plugins"
    return event.old is None or notes_of(event.old).get(key) != notes_of(event.new or {"metadata": {}}).get(key)


def _topologies_changed(pod: Pod, event: Event, objects: Objects) -> bool:
    return event.old is None or event.old.get("allowedTopologies") != (event.new or {}).get("allowedTopologies")


def _more_capacity(pod: Pod, event: Event, objects: Objects) -> bool:
    def limit(capacity: Obj) -> Any:
        return amount(capacity.get("maximumVolumeSize", capacity.get("capacity", 0)))

    return event.old is None or limit(event.new or {}) > limit(event.old)


def _zones_changed(pod: Pod, event: Event, objects: Objects) -> bool:
    def zones(volume: Obj) -> Mapping[str, str]:
        labels = volume["metadata"].get("labels") or {}
        return {key: labels[key] for key in ZONE_LABELS if key in labels}

    return event.old is None or event.new is None or zones(event.old) != zones(event.new)


def _waits_for_consumer(pod: Pod, event: Event, objects: Objects) -> bool:
    return (event.new or {}).get("volumeBindingMode") == "WaitForFirstConsumer"


def _never(pod: Pod, event: Event, objects: Objects) -> bool:
    return False


def _on(resource: str, actions: str, hint: Hint | None = None) -> Interest:
    return Interest(resource, frozenset(actions.split()), hint)


_PVC, _PV, _STORAGE = "PersistentVolumeClaim", "PersistentVolume", "storage.k8s.io/"

REGISTERED: Mapping[str, tuple[Interest, ...]] = {
    # A pod which waits for its preemption is woken through the plugins whose no the preemption is to undo.
    "DefaultPreemption": (),
    "SchedulingGates": (_on("Pod", "UpdatePodSchedulingGatesEliminated", _itself),),
    "NodeName": (_on("Node", "Add"),),
    "NodeUnschedulable": (
        _on("Node", "Add UpdateNodeTaint", _uncordoned),
        _on("Pod", "UpdatePodToleration", _tolerates_cordon),
    ),
    "TaintToleration": (_on("Node", "Add UpdateNodeTaint", _tolerated_now), _on("Pod", "UpdatePodToleration", _itself)),
    "NodeAffinity": (_on("Node", "Add UpdateNodeLabel", _matches_now),),
    "NodePorts": (_on("Pod", "Delete", _frees_port), _on("Node", "Add")),
    "NodeResourcesFit": (
        _on("Pod", "Delete UpdatePodScaleDown", _frees_room),
        _on("Node", "Add UpdateNodeAllocatable", _has_room_now),
    ),
    "VolumeRestrictions": (
        _on("Pod", "Delete", _frees_disk),
        _on("Node", "Add"),
        _on(_PVC, "Add", _own_claim(ephemeral=False)),
    ),
    "NodeVolumeLimits": (
        _on(_STORAGE + "CSINode", "Add"),
        _on(_STORAGE + "CSINode", "Update", _more_attachable),
        _on("Pod", "Delete", _detaches),
        _on(_PVC, "Add", _own_claim(ephemeral=False)),
        _on(_STORAGE + "VolumeAttachment", "Delete", _detached),
    ),
    "VolumeBinding": (
        _on(_STORAGE + "StorageClass", "Add Update", _topologies_changed),
        _on(_PVC, "Add Update", _own_claim(ephemeral=True)),
        _on(_PV, "Add Update"),
        _on("Node", "Add UpdateNodeLabel"),
        _on(_STORAGE + "CSINode", "Add Update", _newly_migrated),
        _on(_STORAGE + "CSIDriver", "Update", _never),
        _on(_STORAGE + "CSIStorageCapacity", "Add Update", _more_capacity),
    ),
    "VolumeZone": (
        _on(_STORAGE + "StorageClass", "Add", _waits_for_consumer),
        _on("Node", "Add UpdateNodeLabel"),
        _on(_PVC, "Add Update", _own_claim(ephemeral=False)),
        _on(_PV, "Add Update", _zones_changed),
    ),
    "PodTopologySpread": (
        _on("Pod", "Add Delete UpdatePodLabel UpdatePodToleration", _spread_by_pod),
        _on("Node", "Add Delete UpdateNodeLabel UpdateNodeTaint", _spread_by_node),
    ),
    "InterPodAffinity": (
        _on("Pod", "Add Delete UpdatePodLabel", _affinity_by_pod),
        _on("Node", "Add UpdateNodeLabel", _affinity_by_node),
    ),
}


def answer(plugin: str, pod: Pod, event: Event, objects: Objects) -> bool | None:
    """Whether the plugin thinks that the event may help; None when it does not care for such events."""
    for interest in REGISTERED.get(plugin, ()):
        if interest.resource == event.kind and event.action in interest.actions:
            return interest.hint is None or interest.hint(pod, event, objects)
    return None


def interested(plugins: Iterable[str], event: Event) -> bool:
    """Whether any of the plugins wants to hear of such events at all; a plugin nobody knows here hears of all."""
    for plugin in plugins:
        registered = REGISTERED.get(plugin)
        if registered is None:
            return True
        for wanted in registered:
            if wanted.resource != event.kind:
                continue
            if event.action in wanted.actions or (event.label == "NodeUpdateNodeTaint" and "Add" in wanted.actions):
                return True
    return False


def helps(plugins: Iterable[str], pod: Pod, event: Event, objects: Objects) -> bool:
    """Whether a pod which these plugins rejected is worth another try after the event."""
    for plugin in plugins:
        if plugin not in REGISTERED:
            return True
        said = answer(plugin, pod, event, objects)
        if said:
            return True
        # A node's taints kept it from being looked at when it came; so who waits for nodes hears of that too.
        wants_nodes = any(i.resource == "Node" and "Add" in i.actions for i in REGISTERED[plugin])
        if said is None and wants_nodes and event.label == "NodeUpdateNodeTaint":
            return True
    return False
