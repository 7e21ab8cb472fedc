"""Whether a pod passes a node, also with the pods that are nominated to run there."""

from __future__ import annotations

from terrarium.kube.scheduler.framework import Cycle, Framework, Rejection
from terrarium.kube.scheduler.snapshot import NodeInfo


def passes(framework: Framework, cycle: Cycle, node: NodeInfo) -> Rejection | None:
    """Filters twice where pods of equal or higher priority are nominated to the node: with them, and without, since
    they may never come (`RunFilterPluginsWithNominatedPods`)."""
    pod = cycle.pod
    nominated = [
        p for p in cycle.snapshot.nominated.get(node.name, ()) if p.priority >= pod.priority and p.uid != pod.uid
    ]
    if nominated:
        state, info = cycle.copy(), node.copy()
        for other in nominated:
            info.add(other)
            for plugin in framework.what_ifs:
                if plugin.name not in state.skip_filter:
                    plugin.add_pod(state, other, info)
        rejection = framework.filter(state, info)
        if rejection is not None:
            return rejection
    return framework.filter(cycle, node)
