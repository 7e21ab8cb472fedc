"""What the scheduler keeps of pods that stand already: little, and shared where it is equal.

A cluster has far more bound pods than waiting ones, and nobody will decide upon them again. What others see of them, what
preemption asks and what the queue's hints compare stays; the rest of the object goes. Pods that wait are kept whole, and so
are all where extenders are to see them.
"""

from __future__ import annotations

from typing import Any

import orjson

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.plugins.volumes import HARMLESS

_METADATA = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp")
_SHARED_METADATA = ("labels", "ownerReferences")
_SPEC = ("nodeName", "schedulerName", "priority", "preemptionPolicy")
_SHARED_SPEC = ("affinity", "overhead", "tolerations")
_CONTAINER = ("name", "image", "resources", "ports", "restartPolicy")
_STATUS = ("phase", "startTime", "nominatedNodeName")
_CONDITION = ("type", "status", "reason")
_CONTAINER_STATUS = ("name", "resources", "allocatedResources")
_MOST_SHARED = 50_000


def _some(obj: Obj, keys: tuple[str, ...]) -> Obj:
    return {key: obj[key] for key in keys if obj.get(key) is not None}


class Trim:
    """Trims pods as they come; equal parts of different pods become one."""

    def __init__(self) -> None:
        self._parts: dict[bytes, Any] = {}

    def __call__(self, pod: Obj) -> Obj:
        spec = pod.get("spec") or {}
        if not spec.get("nodeName"):
            return pod
        metadata, status = pod["metadata"], pod.get("status") or {}
        return {
            "metadata": _some(metadata, _METADATA) | self._shared_of(metadata, _SHARED_METADATA),
            "spec": _some(spec, _SPEC) | self._shared_of(spec, _SHARED_SPEC) | self._lists(spec),
            "status": _some(status, _STATUS) | self._statuses(status),
        }

    def _shared_of(self, obj: Obj, keys: tuple[str, ...]) -> Obj:
        return {key: self._shared(obj[key]) for key in keys if obj.get(key)}

    def _lists(self, spec: Obj) -> Obj:
        found: Obj = {}
        for key in ("containers", "initContainers"):
            if spec.get(key):
                found[key] = self._shared([_some(c, _CONTAINER) for c in spec[key]])
        volumes = [v for v in spec.get("volumes") or () if not v.keys() <= HARMLESS]
        if volumes:
            found["volumes"] = volumes
        return found

    def _statuses(self, status: Obj) -> Obj:
        found: Obj = {}
        if status.get("conditions"):
            found["conditions"] = self._shared([_some(c, _CONDITION) for c in status["conditions"]])
        for key in ("containerStatuses", "initContainerStatuses"):
            sized = [c for c in status.get(key) or () if c.get("resources") or c.get("allocatedResources")]
            if sized:
                found[key] = self._shared([_some(c, _CONTAINER_STATUS) for c in sized])
        return found

    def _shared(self, part: Any) -> Any:
        if len(self._parts) > _MOST_SHARED:
            self._parts.clear()
        return self._parts.setdefault(orjson.dumps(part), part)
