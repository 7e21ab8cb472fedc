"""How large a Fargate pod becomes: the smallest configuration that holds what it asks for, plus 256 MiB for the node's
own processes (EKS user guide, "Understand Fargate Pod configuration details")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity

GIB = 1024**3
OVERHEAD = 256 * 1024**2
CONFIGURATIONS: tuple[tuple[int, tuple[float, ...]], ...] = (
    (250, (0.5, 1, 2)),
    (500, (1, 2, 3, 4)),
    (1000, tuple(range(2, 9))),
    (2000, tuple(range(4, 17))),
    (4000, tuple(range(8, 31))),
    (8000, tuple(range(16, 61, 4))),
    (16000, tuple(range(32, 121, 8))),
)
"""Milli-vCPUs, and the memory sizes in GiB that go with them."""


@dataclass(frozen=True, slots=True)
class Size:
    """CPU in thousandths, memory in GiB. `str()` is the annotation CapacityProvisioned."""

    cpu_millis: int
    memory_gib: float

    def __str__(self) -> str:
        return f"{self.cpu_millis / 1000:g}vCPU {self.memory_gib:g}GB"


def _request(container: Mapping[str, Any], resource: str) -> int:
    """In nano units; without a request the limit is one (the API server has filled it in already)."""
    found = ((container.get("resources") or {}).get("requests") or {}).get(resource)
    return Quantity.parse(str(found)).nanos if found is not None else 0


def _needs(spec: Mapping[str, Any], resource: str) -> int:
    inits: Iterable[Mapping[str, Any]] = spec.get("initContainers") or ()
    # A sidecar runs beside the containers, so it counts with them.
    sidecars = sum(_request(c, resource) for c in inits if c.get("restartPolicy") == "Always")
    before = max((_request(c, resource) for c in inits if c.get("restartPolicy") != "Always"), default=0)
    return max(before, sidecars + sum(_request(c, resource) for c in spec["containers"]))


def size_of(pod: Obj) -> Size | None:
    """The configuration for a pod; None when it asks for more than the largest has."""
    cpu = -(-_needs(pod["spec"], "cpu") // 1_000_000)
    memory = -(-_needs(pod["spec"], "memory") // 1_000_000_000)
    if memory or cpu:
        memory += OVERHEAD
    for millis, sizes in CONFIGURATIONS:
        if cpu <= millis:
            for gib in sizes:
                if memory <= gib * GIB:
                    return Size(millis, gib)
    return None
