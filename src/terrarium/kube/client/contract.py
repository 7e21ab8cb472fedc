"""The only sight of a cluster that anything beside the API server has.

Two implementations: in process (`apiserver.local`, the API server without a socket) and HTTP (`http`, any
cluster by kubeconfig). Objects are decoded dictionaries which nobody changes in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from terrarium.kube.api.kinds import Obj

PatchType = Literal["json", "merge", "strategic", "apply"]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource by group, version and plural: `Resource("apps", "v1", "deployments")`."""

    group: str
    version: str
    plural: str

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural


PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes")
NAMESPACES = Resource("", "v1", "namespaces")
SERVICES = Resource("", "v1", "services")
CONFIG_MAPS = Resource("", "v1", "configmaps")
SECRETS = Resource("", "v1", "secrets")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
EVENTS = Resource("", "v1", "events")
REPLICA_SETS = Resource("apps", "v1", "replicasets")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
DAEMON_SETS = Resource("apps", "v1", "daemonsets")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets")
JOBS = Resource("batch", "v1", "jobs")
CRON_JOBS = Resource("batch", "v1", "cronjobs")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")
LEASES = Resource("coordination.k8s.io", "v1", "leases")


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: EventType
    object: Obj


@dataclass(frozen=True, slots=True)
class ObjectList:
    """`revision` is the list's resourceVersion; `next` the continue token, "" at the end."""

    items: Sequence[Obj]
    revision: str
    next: str = ""


class ApiError(Exception):
    """An answer that is a Status of failure. `reason` is Kubernetes' (NotFound, AlreadyExists, Conflict, Invalid …)."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(status.get("message", ""))
        self.status = dict(status)

    @property
    def code(self) -> int:
        return int(self.status.get("code", 500))

    @property
    def reason(self) -> str:
        return str(self.status.get("reason", ""))


class Client(Protocol):
    """Every call may raise `ApiError`; a lost connection raises `OSError`. `namespace` is "" for cluster-wide."""

    def acting_as(self, user: str, groups: Sequence[str] = ()) -> Client:
        """The same cluster seen as another user (controllers: `system:serviceaccount:kube-system:<name>`)."""
        ...

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Obj: ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        next: str = "",
        revision: str = "",
    ) -> ObjectList: ...

    def watch(
        self, resource: Resource, namespace: str = "", *, revision: str = "", labels: str = "", fields: str = ""
    ) -> AsyncIterator[WatchEvent]:
        """From after `revision`, until the server ends it. An expired revision raises `ApiError` with code 410."""
        ...

    async def create(
        self, resource: Resource, obj: Obj, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Obj:
        """`name` and `subresource` together post to a subresource (binding, eviction, token)."""
        ...

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        """Name and namespace are the object's."""
        ...

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Obj: ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: Literal["", "Background", "Foreground", "Orphan"] = "",
        uid: str = "",
        revision: str = "",
    ) -> Obj: ...
