"""What a few resources do beyond their rows: the table of behaviours, and those that need no module of their own."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.aggregation import Aggregation
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.crds import Definitions, Later
from terrarium.kube.apiserver.escalation import Escalation
from terrarium.kube.apiserver.rbac import GROUP, Rbac
from terrarium.kube.apiserver.resources import Behaviour, Call, Resources
from terrarium.kube.apiserver.services import Allocator, Services


class Namespaces(Behaviour):
    """A namespace ends in two steps: it is marked, its content is removed by a controller, and its last finalizer
    (in `spec`) lets it go."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def finished(self, obj: Obj) -> bool:
        return not obj.get("spec", {}).get("finalizers")

    async def delete(self, obj: Obj, call: Call) -> Callable[[Obj], None] | None:
        now = rfc3339(self._resources.clock.now())
        if obj["metadata"].get("deletionTimestamp"):
            return None if self.finished(obj) else lambda obj: None

        def end(obj: Obj) -> None:
            obj["metadata"]["deletionTimestamp"] = now
            obj.setdefault("status", {})["phase"] = "Terminating"

        return end


class PriorityClasses(Behaviour):
    """The system's classes stay."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    async def delete(self, obj: Obj, call: Call) -> Callable[[Obj], None] | None:
        name = obj["metadata"]["name"]
        if name.startswith("system-"):
            raise errors.forbidden(self._kind, name, "this is a system priority class and cannot be deleted")
        return None


def behaviours(
    resources: Resources,
    rbac: Rbac,
    authorizer: Union,
    allocator: Allocator,
    later: Later,
    aggregation: Aggregation | None = None,
) -> dict[str, Behaviour]:
    """By resource. Kinds that the registry lacks are left out."""
    made: dict[str, Behaviour] = {"namespaces": Namespaces(resources)}
    services = resources.registry.resource("", "v1", "services")
    if services is not None:
        made["services"] = Services(allocator, services)
    for plural in Rbac.KINDS:
        kind = resources.registry.resource(GROUP, "v1", plural)
        if kind is not None:
            made[kind.resource] = Escalation(kind, rbac, authorizer)
    classes = resources.registry.resource("scheduling.k8s.io", "v1", "priorityclasses")
    if classes is not None:
        made[classes.resource] = PriorityClasses(classes)
    definitions = resources.registry.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    if definitions is not None:
        made[definitions.resource] = Definitions(resources, definitions, later)
    if aggregation is not None:
        made["apiservices.apiregistration.k8s.io"] = aggregation
    return made
