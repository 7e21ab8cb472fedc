"""What the fast path computes itself: a table of plugins, and one of what in a pod keeps it on the plain path."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from terrarium.kube.scheduler.framework import Framework, Point
from terrarium.kube.scheduler.plugins.volumes import HARMLESS, volumes
from terrarium.kube.scheduler.views import Pod


class Role(enum.Enum):
    """What a plugin's answer for a node depends on."""

    ASIDE = "neither filter nor score, or nothing to say to a pod of the fast path"
    NODE = "the node object alone: asked once per class and node"
    ROOM = "what stands on the node: asked again when a pod comes or goes there"
    DOMAIN = "pods on other nodes too: kept as counts per topology domain"


PLUGINS: Mapping[str, Role] = {
    "SchedulingGates": Role.ASIDE,
    "PrioritySort": Role.ASIDE,
    "NodeUnschedulable": Role.NODE,
    "NodeName": Role.ASIDE,
    "TaintToleration": Role.NODE,
    "NodeAffinity": Role.NODE,
    "NodePorts": Role.ROOM,
    "NodeResourcesFit": Role.ROOM,
    "VolumeRestrictions": Role.ASIDE,
    "NodeVolumeLimits": Role.ASIDE,
    "VolumeBinding": Role.ASIDE,
    "VolumeZone": Role.ASIDE,
    "PodTopologySpread": Role.DOMAIN,
    "InterPodAffinity": Role.DOMAIN,
    "DefaultPreemption": Role.ASIDE,
    "NodeResourcesBalancedAllocation": Role.ROOM,
    "ImageLocality": Role.NODE,
    "DefaultBinder": Role.ASIDE,
}

_POINTS = (Point.PRE_FILTER, Point.FILTER, Point.PRE_SCORE, Point.SCORE)


def covers_profile(framework: Framework) -> str:
    """Why a profile's pods all go the plain way; "" when they need not."""
    plugins: dict[str, Any] = {}
    for point in _POINTS:
        for plugin in framework.points.get(point, ()):
            plugins[plugin.name] = plugin
    for name, plugin in plugins.items():
        if name not in PLUGINS:
            return f"plugin {name} has no vector form"
        if any(point.takes(plugin) and plugin not in framework.points.get(point, ()) for point in _POINTS):
            return f"plugin {name} is enabled at some of its points only"
    # What is worked out once, per row and per decision is laid over each other in this order.
    order = [role for role in (PLUGINS[p.name] for p in framework.filters) if role is not Role.ASIDE]
    if order != sorted(order, key=list(Role).index):
        return "a plugin that looks at other pods filters before one that looks at the node alone"
    return ""


MOST_TERMS = 16
MOST_RESOURCES = 9


def _exotic_volumes(pod: Pod) -> bool:
    return any(not volume.keys() <= HARMLESS for volume in volumes(pod))


def _many_terms(pod: Pod) -> bool:
    terms = (pod.affinity, pod.anti_affinity, pod.preferred_affinity, pod.preferred_anti_affinity, pod.spreads)
    return any(len(t) > MOST_TERMS for t in terms)


PLAIN: Mapping[str, Callable[[Pod], bool]] = {
    "names its node": lambda pod: bool(pod.node_name),
    "volumes which plugins look at": _exotic_volumes,
    "picks nodes by name": lambda pod: any(term.names for term in pod.required_nodes or ()),
    "a preferred term that can't be read": lambda pod: any(term.error for _, term in pod.preferred_nodes),
    "very many constraints": _many_terms,
    "very many resources": lambda pod: len(pod.requests) > MOST_RESOURCES,
    "impossible amounts": lambda pod: any(not 0 <= v < 2**53 for v in pod.requests.values()),
}
"""What keeps a pod on the plain path."""


def covers_pod(pod: Pod) -> str:
    """Why a pod goes the plain way; "" when it need not."""
    return next((why for why, applies in PLAIN.items() if applies(pod)), "")
