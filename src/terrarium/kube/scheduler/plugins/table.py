"""The default plugins in the order in which the real scheduler runs them, their weights, and how args make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.scheduler.plugins.basic import (
    DefaultBinder,
    DefaultPreemption,
    ImageLocality,
    NodeName,
    NodePorts,
    NodeUnschedulable,
    PrioritySort,
    SchedulingGates,
    TaintToleration,
)
from terrarium.kube.scheduler.plugins.inter_pod import InterPodAffinity
from terrarium.kube.scheduler.plugins.node_affinity import NodeAffinity
from terrarium.kube.scheduler.plugins.resources import NodeResourcesBalancedAllocation, NodeResourcesFit, Scoring
from terrarium.kube.scheduler.plugins.spread import SYSTEM_DEFAULTS, PodTopologySpread
from terrarium.kube.scheduler.plugins.volume_binding import VolumeBinding
from terrarium.kube.scheduler.plugins.volume_limits import NodeVolumeLimits
from terrarium.kube.scheduler.plugins.volume_restrictions import VolumeRestrictions
from terrarium.kube.scheduler.plugins.volume_zone import VolumeZone

Args = Mapping[str, Any]
"""A plugin's `args` of a KubeSchedulerConfiguration, {} when there are none."""


def _resources(written: Any) -> tuple[tuple[str, int], ...]:
    found = tuple((r["name"], r.get("weight") or 1) for r in written or ())
    return found or (("cpu", 1), ("memory", 1))


def _fit(args: Args) -> NodeResourcesFit:
    strategy = args.get("scoringStrategy") or {}
    shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
    scoring = Scoring(
        strategy.get("type") or "LeastAllocated",
        _resources(strategy.get("resources")),
        tuple((point.get("utilization", 0), point.get("score", 0)) for point in shape),
    )
    return NodeResourcesFit(scoring, args.get("ignoredResources") or (), args.get("ignoredResourceGroups") or ())


def _spread(args: Args) -> PodTopologySpread:
    if args.get("defaultingType", "System") == "List":
        return PodTopologySpread(args.get("defaultConstraints") or (), system=False)
    return PodTopologySpread(SYSTEM_DEFAULTS, system=True)


def _inter_pod(args: Args) -> InterPodAffinity:
    weight = args.get("hardPodAffinityWeight")
    return InterPodAffinity(1 if weight is None else weight, bool(args.get("ignorePreferredTermsOfExistingPods")))


def _preemption(args: Args) -> DefaultPreemption:
    percentage, absolute = args.get("minCandidateNodesPercentage"), args.get("minCandidateNodesAbsolute")
    return DefaultPreemption(10 if percentage is None else percentage, 100 if absolute is None else absolute)


@dataclass(frozen=True, slots=True)
class Entry:
    """A default plugin: how its args make it, and its weight in scoring (0: does not score)."""

    make: Callable[[Args], Any]
    weight: int = 0


DEFAULTS: Mapping[str, Entry] = {
    "SchedulingGates": Entry(lambda args: SchedulingGates()),
    "PrioritySort": Entry(lambda args: PrioritySort()),
    "NodeUnschedulable": Entry(lambda args: NodeUnschedulable()),
    "NodeName": Entry(lambda args: NodeName()),
    "TaintToleration": Entry(lambda args: TaintToleration(), 3),
    "NodeAffinity": Entry(lambda args: NodeAffinity(args.get("addedAffinity")), 2),
    "NodePorts": Entry(lambda args: NodePorts()),
    "NodeResourcesFit": Entry(_fit, 1),
    "VolumeRestrictions": Entry(lambda args: VolumeRestrictions()),
    "NodeVolumeLimits": Entry(lambda args: NodeVolumeLimits()),
    "VolumeBinding": Entry(lambda args: VolumeBinding()),
    "VolumeZone": Entry(lambda args: VolumeZone()),
    "PodTopologySpread": Entry(_spread, 2),
    "InterPodAffinity": Entry(_inter_pod, 2),
    "DefaultPreemption": Entry(_preemption),
    "NodeResourcesBalancedAllocation": Entry(
        lambda args: NodeResourcesBalancedAllocation(_resources(args.get("resources"))), 1
    ),
    "ImageLocality": Entry(lambda args: ImageLocality(), 1),
    "DefaultBinder": Entry(lambda args: DefaultBinder()),
}
