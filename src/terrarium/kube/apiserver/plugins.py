"""What admission plugins share: a base that lets everything pass, and reads of other objects."""

from __future__ import annotations

from terrarium.kube.api.hooks import AdmissionRequest
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.resources import Resources


class Plugin:
    """A plugin of the server. It reads the store directly, so its view is never old."""

    name = ""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def admit(self, request: AdmissionRequest) -> None:
        """May change `request.obj`."""

    async def validate(self, request: AdmissionRequest) -> None:
        """May refuse."""

    async def one(self, group: str, version: str, plural: str, namespace: str, name: str) -> Obj | None:
        kind = self._resources.registry.resource(group, version, plural)
        record = await self._resources.find(kind, namespace, name) if kind else None
        return record.obj(kind) if record is not None and kind is not None else None

    async def every(self, group: str, version: str, plural: str, namespace: str = "") -> list[Obj]:
        kind = self._resources.registry.resource(group, version, plural)
        return await self._resources.all(kind, namespace) if kind else []


def is_resource(request: AdmissionRequest, name: str, *operations: str) -> bool:
    """Whether a request is about `name` itself (`pods`, `ingresses.networking.k8s.io`), in one of `operations`."""
    return str(request.resource) == name and not request.subresource and request.operation in operations
