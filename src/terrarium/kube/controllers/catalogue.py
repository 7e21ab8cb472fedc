"""Which resources exist, for controllers that deal with all of them: the built-in rows and what CRDs add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from terrarium.kube.api import builtin
from terrarium.kube.api.kinds import GroupVersion, Obj
from terrarium.kube.client.contract import Resource
from terrarium.kube.client.informer import Informer

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
"""Their objects expire by themselves; the garbage collector never follows them."""
_NEEDED = frozenset({"list", "watch", "delete", "get"})


@dataclass(frozen=True, slots=True)
class Entry:
    resource: Resource
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return str(GroupVersion(self.resource.group, self.resource.version))


class Catalogue:
    """Resources that can be listed, watched and deleted, one version of each. CRDs come and go with `follow`."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._kinds: dict[tuple[str, str], tuple[str, str]] = {}
        """(apiVersion, kind), of any served version, to (group, plural)."""
        for kind in builtin.registry():
            gv = kind.group_version
            if not set(kind.verbs) >= _NEEDED:
                continue
            entry = Entry(Resource(gv.group, gv.version, kind.plural), kind.kind, kind.namespaced)
            known = self._entries.get((gv.group, kind.plural))
            if known is None or _rank(gv.version) > _rank(known.resource.version):
                self._entries[(gv.group, kind.plural)] = entry
            self._kinds[(str(gv), kind.kind)] = (gv.group, kind.plural)
        self._custom: dict[str, Entry] = {}

    def of_kind(self, api_version: str, kind: str) -> Entry | None:
        return self._entries.get(self._kinds.get((api_version, kind), ("", "")))

    def of(self, resource: Resource) -> Entry | None:
        return self._entries.get((resource.group, resource.plural))

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def namespaced(self) -> list[Entry]:
        return [e for e in self._entries.values() if e.namespaced]

    def take_crds(self, crds: Informer) -> None:
        """Brings the entries of CRDs in line with what stands now."""
        found: dict[str, Entry] = {}
        kinds: dict[tuple[str, str], tuple[str, str]] = {}
        for crd in crds.items():
            entry = _custom(crd)
            if entry is not None:
                found[crd["metadata"]["name"]] = entry
                for version in crd["spec"]["versions"]:
                    if version.get("served"):
                        key = (f"{entry.resource.group}/{version['name']}", entry.kind)
                        kinds[key] = (entry.resource.group, entry.resource.plural)
        for name, entry in self._custom.items():
            if name not in found:
                self._entries.pop((entry.resource.group, entry.resource.plural), None)
        for entry in found.values():
            self._entries[(entry.resource.group, entry.resource.plural)] = entry
        self._kinds |= kinds
        self._custom = found


def _rank(version: str) -> tuple[int, str]:
    """Stable versions before beta before alpha, later before earlier."""
    level = 0 if "alpha" in version else 1 if "beta" in version else 2
    return level, version


def _custom(crd: Obj) -> Entry | None:
    spec = crd["spec"]
    established = any(
        c["type"] == "Established" and c["status"] == "True" for c in (crd.get("status") or {}).get("conditions") or ()
    )
    served = [v["name"] for v in spec["versions"] if v.get("served")]
    if not established or not served or "deletionTimestamp" in crd["metadata"]:
        return None
    names = spec["names"]
    version = max(served, key=_rank)
    return Entry(Resource(spec["group"], version, names["plural"]), names["kind"], spec["scope"] == "Namespaced")
