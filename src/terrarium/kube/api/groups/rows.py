"""How a row of the registry is written down: what most kinds share is said here once, a group's module says the rest.

A group's module offers `KINDS`, its rows. `GROUPS` in `kube.api.builtin` lists the modules; nothing registers itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from terrarium.kube.api.columns import COLUMNS, SELECTABLE
from terrarium.kube.api.kinds import Column, GroupVersion, Kind, Obj, Strategy, Subresource

CRUD = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
CHANGE = ("get", "patch", "update")
CREATE = ("create",)
PROXY = ("create", "delete", "get", "patch", "update")

PACKAGES: Mapping[str, str] = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "rbac.authorization.k8s.io": "io.k8s.api.rbac",
    "flowcontrol.apiserver.k8s.io": "io.k8s.api.flowcontrol",
}
"""Where a group's definitions live in the OpenAPI document; other groups are `io.k8s.api.<first label>`."""


def schema_name(gv: GroupVersion, kind: str) -> str:
    """The OpenAPI definition of a built-in kind: `io.k8s.api.core.v1.Pod`."""
    package = PACKAGES.get(gv.group) or f"io.k8s.api.{gv.group.partition('.')[0]}"
    return f"{package}.{gv.version}.{kind}"


@dataclass(frozen=True, slots=True)
class Row:
    """A kind together with the minor versions of Kubernetes that serve it."""

    kind: Kind
    since: int = 0
    until: int = 999


def sub(
    name: str,
    verbs: tuple[str, ...] = CHANGE,
    *,
    kind: str | None = None,
    gv: str | None = None,
    strategy: Strategy | None = None,
) -> Subresource:
    return Subresource(name, verbs, kind, GroupVersion.parse(gv) if gv else None, strategy)


SCALE = sub("scale", kind="Scale", gv="autoscaling/v1")
STATUS = sub("status")
PLAIN = Strategy()


class Group:
    """Writes rows of one group and version."""

    def __init__(self, api_version: str) -> None:
        self.gv = GroupVersion.parse(api_version)

    def row(
        self,
        kind: str,
        plural: str,
        *,
        singular: str = "",
        cluster: bool = False,
        short: Sequence[str] = (),
        categories: Sequence[str] = (),
        verbs: tuple[str, ...] = CRUD,
        storage: str = "",
        storage_version: str = "",
        convert: Callable[[Obj, str], Obj] | None = None,
        strategy: Strategy = PLAIN,
        subresources: Sequence[Subresource] = (),
        columns: tuple[Column, ...] = (),
        selectable: Mapping[str, Callable[[Obj], str]] | None = None,
        since: int = 0,
        until: int = 999,
    ) -> Row:
        group = self.gv.group
        resource = f"{plural}.{group}" if group else plural
        return Row(
            Kind(
                self.gv,
                kind,
                plural,
                singular or kind.lower(),
                not cluster,
                tuple(short),
                tuple(categories),
                verbs,
                storage or resource,
                storage_version,
                convert,
                schema_name(self.gv, kind),
                strategy,
                {s.name: s for s in subresources},
                columns or COLUMNS.get(resource, ()),
                selectable or SELECTABLE.get(resource, {}),
            ),
            since,
            until,
        )
