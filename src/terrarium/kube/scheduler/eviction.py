"""Taking the victims of a preemption away: they are told why, then deleted.

The pod for which it happens is not tried again before its last victim's deletion has been asked for; that victim's going
is then what wakes it (kube-scheduler framework/preemption `prepareCandidateAsync`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from terrarium.base.clock import Clock, rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import PODS, ApiError, Client
from terrarium.kube.scheduler.recorder import Recorder
from terrarium.kube.scheduler.views import Pod

log = logging.getLogger(__name__)


class Evictions:
    """`under_way` are the uids of pods for which room is being made. `turn_back` stops a pod that is decided upon but not
    bound yet, and says whether there was such a one: it need not be deleted."""

    def __init__(self, client: Client, clock: Clock, recorder: Recorder, turn_back: Callable[[Pod], bool]) -> None:
        self._turn_back = turn_back
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self.under_way: set[str] = set()

    async def evict(self, pod: Pod, node: str, victims: Sequence[Pod], before_last: Callable[[], None]) -> bool:
        """Evicts all victims; `before_last` is called when only one is left. False when one could not be evicted."""
        try:
            for victim in victims[:-1]:
                if not await self._evict(pod, node, victim):
                    return False
            self.under_way.discard(pod.uid)
            before_last()
            return not victims or await self._evict(pod, node, victims[-1])
        finally:
            self.under_way.discard(pod.uid)

    async def _evict(self, pod: Pod, node: str, victim: Pod) -> bool:
        if not self._turn_back(victim) and not await self._delete(pod, victim):
            return False
        note = f"Preempted by pod {pod.uid} on node {node}"
        self._recorder.event(victim, "Normal", "Preempted", "Preempting", note, related=pod, by=pod.scheduler_name)
        return True

    async def _delete(self, pod: Pod, victim: Pod) -> bool:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{pod.scheduler_name}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": rfc3339(self._clock.now()),
        }
        conditions = (victim.obj.get("status") or {}).get("conditions") or ()
        order = [{"type": t} for t in dict.fromkeys((*(c["type"] for c in conditions), "DisruptionTarget"))]
        patch: Obj = {"status": {"$setElementOrder/conditions": order, "conditions": [condition]}}
        uid = victim.obj["metadata"].get("uid", "")
        try:
            await self._client.patch(PODS, victim.name, patch, victim.namespace, type="strategic", subresource="status")
            await self._client.delete(PODS, victim.name, victim.namespace, uid=uid)
        except ApiError as failure:
            if failure.code == 404:
                # It went by itself, which is as good.
                return True
            log.info("%s: can't evict it: %s", victim.key, failure)
            return False
        except OSError as failure:
            log.info("%s: can't evict it: %s", victim.key, failure)
            return False
        return True
