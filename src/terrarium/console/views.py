"""What pages show, as values, and whom the console asks for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PodView:
    namespace: str
    name: str
    phase: str
    """What `kubectl get pods` shows as STATUS."""
    node: str
    size: str
    """Fargate's size (`CapacityProvisioned`), or ""."""
    reason: str
    """Why it does not run, or ""."""


@dataclass(frozen=True, slots=True)
class NodeView:
    name: str
    compute: str
    """`fargate`, `ec2` or ""."""
    zone: str
    ready: bool
    version: str
    pods: tuple[PodView, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    name: str
    version: str
    status: str
    endpoint: str
    region: str
    nodes: tuple[NodeView, ...]
    pending: tuple[PodView, ...]


@dataclass(frozen=True, slots=True)
class WorldView:
    """Everything the front page shows. `clock` is the world's time as text."""

    clock: str
    pace: str
    aws_endpoint: str
    clusters: tuple[ClusterView, ...]


class Source(Protocol):
    async def world(self) -> WorldView: ...
