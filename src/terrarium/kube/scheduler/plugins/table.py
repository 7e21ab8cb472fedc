"""The default plugins in the order in which the real scheduler runs them, with their weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.scheduler.plugins.basic import (
    ImageLocality,
    NodeName,
    NodePorts,
    NodeUnschedulable,
    SchedulingGates,
    TaintToleration,
)
from terrarium.kube.scheduler.plugins.inter_pod import InterPodAffinity
from terrarium.kube.scheduler.plugins.node_affinity import NodeAffinity
from terrarium.kube.scheduler.plugins.resources import NodeResourcesBalancedAllocation, NodeResourcesFit
from terrarium.kube.scheduler.plugins.spread import PodTopologySpread


@dataclass(frozen=True, slots=True)
class Entry:
    """A default plugin: how to make it, and its weight in scoring (0: does not score)."""

    make: Callable[[], Any]
    weight: int = 0


DEFAULTS: Mapping[str, Entry] = {
    "SchedulingGates": Entry(SchedulingGates),
    "NodeUnschedulable": Entry(NodeUnschedulable),
    "NodeName": Entry(NodeName),
    "TaintToleration": Entry(TaintToleration, 3),
    "NodeAffinity": Entry(NodeAffinity, 2),
    "NodePorts": Entry(NodePorts),
    "NodeResourcesFit": Entry(NodeResourcesFit, 1),
    "PodTopologySpread": Entry(PodTopologySpread, 2),
    "InterPodAffinity": Entry(InterPodAffinity, 2),
    "NodeResourcesBalancedAllocation": Entry(NodeResourcesBalancedAllocation, 1),
    "ImageLocality": Entry(ImageLocality, 1),
}
