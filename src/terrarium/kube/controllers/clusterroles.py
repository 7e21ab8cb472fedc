"""Aggregated ClusterRoles: their rules are those of the ClusterRoles that they select."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import Resource
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles")


def aggregated(role: Obj, roles: Iterable[Obj]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = []
    by_name = sorted(roles, key=o.name)
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for other in by_name:
            if o.name(other) != o.name(role) and o.selects(selector, o.labels(other)):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


class ClusterRoles(Controller):
    name: ClassVar[str] = "clusterrole-aggregation-controller"
    inputs: ClassVar[Sequence[Resource]] = (CLUSTER_ROLES,)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        for role in self.caches.of(CLUSTER_ROLES).items():
            if role.get("aggregationRule"):
                yield key_of(role)

    async def sync(self, key: Key, write: Writer) -> float | None:
        roles = self.caches.of(CLUSTER_ROLES)
        role = roles.get(*key)
        if role is None or not role.get("aggregationRule"):
            return None
        rules = aggregated(role, roles.items())
        if rules != (role.get("rules") or []):
            await write.patch(CLUSTER_ROLES, role, {"rules": rules}, type="merge")
        return None
