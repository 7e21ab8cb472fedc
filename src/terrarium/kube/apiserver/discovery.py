"""Discovery: what the server serves, in the plain form and in the aggregated one, made from the registry.

Documents are made once for each state of the registry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from terrarium.kube.api.kinds import GroupVersion, Kind, Registry
from terrarium.kube.apiserver.aggregation import Aggregation, Remote, discovered

AGGREGATED = "apidiscovery.k8s.io"


def storage_hash(kind: Kind) -> str:
    """Stands for the stored form of a resource: the same for all its versions."""
    gv = kind.group_version
    version = kind.storage_version or str(gv)
    return _base64(f"{gv.group}/{version}/{kind.kind}")


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(hashlib.sha256(text.encode()).digest()[:8]).decode()


class Discovery:
    """All discovery documents of one registry."""

    def __init__(self, registry: Registry, address: str) -> None:
        self._registry = registry
        self.address = address
        """host:port, for `serverAddressByClientCIDRs`."""
        self.aggregation: Aggregation | None = None
        """Who knows the groups of other servers."""
        self._made: dict[Any, Any] = {}
        self._generation = (-1, -1)

    def _once(self, key: Any, make: Any) -> Any:
        now = (self._registry.generation, self.aggregation.generation if self.aggregation is not None else 0)
        if self._generation != now:
            self._made.clear()
            self._generation = now
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def groups(self) -> dict[str, list[GroupVersion]]:
        """Group to its versions, the preferred first; groups in the registry's order."""

        def make() -> dict[str, list[GroupVersion]]:
            found: dict[str, list[GroupVersion]] = {}
            for kind in self._registry:
                versions = found.setdefault(kind.group_version.group, [])
                if kind.group_version not in versions:
                    versions.append(kind.group_version)
            for gv in self._remotes():
                versions = found.setdefault(gv.group, [])
                if gv not in versions:
                    versions.append(gv)
            built_in = {kind.group_version.group for kind in self._registry if kind.schema}
            # Those that came later have all the same priority, and follow by name.
            order = [*(g for g in found if g in built_in), *sorted(g for g in found if g not in built_in)]
            return {group: sorted(found[group], key=priority) for group in order}

        made: dict[str, list[GroupVersion]] = self._once("groups", make)
        return made

    def custom_only(self, group: str) -> bool:
        """Whether nothing built in is of a group: then unknown paths below it are answered as outside the API."""
        return not any(kind.schema for kind in self._registry if kind.group_version.group == group)

    def api_versions(self) -> dict[str, Any]:
        return {
            "kind": "APIVersions",
            "versions": [gv.version for gv in self.groups().get("", [])],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": self.address}],
        }

    def group_list(self) -> dict[str, Any]:
        groups = [_group(group, versions) for group, versions in self.groups().items() if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> dict[str, Any] | None:
        versions = self.groups().get(name)
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None

    def resource_list(self, gv: GroupVersion) -> dict[str, Any] | None:
        kinds = [kind for kind in self._registry if kind.group_version == gv]
        if not kinds:
            return None
        found: dict[str, Any] = {"kind": "APIResourceList"}
        if gv.group:
            found["apiVersion"] = "v1"
        found["groupVersion"] = str(gv)
        found["resources"] = [row for kind in sorted(kinds, key=lambda k: k.plural) for row in _resources(kind)]
        return found

    def aggregated(self, root: str) -> tuple[bytes, str]:
        """The document of `/api` or `/apis` in version v2, and its ETag."""

        def make() -> tuple[bytes, str]:
            items = [
                {
                    "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                    "versions": [self._version(gv) for gv in versions],
                }
                for group, versions in self.groups().items()
                if (group == "") == (root == "/api")
            ]
            body = orjson.dumps(
                {"kind": "APIGroupDiscoveryList", "apiVersion": f"{AGGREGATED}/v2", "metadata": {}, "items": items}
            )
            return body, '"' + hashlib.sha512(body).hexdigest().upper() + '"'

        made: tuple[bytes, str] = self._once(("aggregated", root), make)
        return made

    def _remotes(self) -> Mapping[GroupVersion, Remote]:
        return self.aggregation.remotes if self.aggregation is not None else {}

    def _version(self, gv: GroupVersion) -> dict[str, Any]:
        if (remote := self._remotes().get(gv)) is not None:
            freshness = "Current" if remote.serves else "Stale"
            return {"version": gv.version, "resources": discovered(remote), "freshness": freshness}
        kinds = sorted((k for k in self._registry if k.group_version == gv), key=lambda k: k.plural)
        return {"version": gv.version, "resources": [_aggregated(kind) for kind in kinds], "freshness": "Current"}

    def paths(self) -> list[str]:
        """The API paths among those of `/`."""
        found = ["/api", "/apis", "/apis/"]
        for group, versions in self.groups().items():
            root = f"/apis/{group}" if group else "/api"
            found.append(root)
            found.extend(f"{root}/{gv.version}" for gv in versions)
        return sorted(set(found))


def priority(gv: GroupVersion) -> tuple[int, int, int]:
    """Stable versions before betas before alphas, newer before older."""
    import re

    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", gv.version)
    if match is None:
        return (3, 0, 0)
    stage = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (stage, -int(match[1]), -int(match[3] or 0))


def _group(name: str, versions: Iterable[GroupVersion]) -> dict[str, Any]:
    entries = [{"groupVersion": str(gv), "version": gv.version} for gv in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def _resources(kind: Kind) -> list[dict[str, Any]]:
    row: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        row["shortNames"] = list(kind.short_names)
    if kind.categories:
        row["categories"] = list(kind.categories)
    if "get" in kind.verbs and "watch" in kind.verbs:
        row["storageVersionHash"] = storage_hash(kind)
    rows = [row]
    for sub in sorted(kind.subresources.values(), key=lambda s: s.name):
        entry: dict[str, Any] = {
            "name": f"{kind.plural}/{sub.name}",
            "singularName": "",
            "namespaced": kind.namespaced,
        }
        if sub.group_version is not None:
            entry["group"] = sub.group_version.group
            entry["version"] = sub.group_version.version
        entry["kind"] = sub.kind or kind.kind
        entry["verbs"] = list(sub.verbs)
        rows.append(entry)
    return rows


def _aggregated(kind: Kind) -> dict[str, Any]:
    gv = kind.group_version

    def response(of: GroupVersion | None, name: str) -> dict[str, str]:
        # Built-in resources leave group and version to the enclosing entry.
        shown = of or (gv if not kind.schema else GroupVersion("", ""))
        return {"group": shown.group, "version": shown.version, "kind": name}

    row: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": response(None, kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short_names:
        row["shortNames"] = list(kind.short_names)
    if kind.categories:
        row["categories"] = list(kind.categories)
    if kind.subresources:
        row["subresources"] = []
        for sub in sorted(kind.subresources.values(), key=lambda s: s.name):
            row["subresources"].append(
                {
                    "subresource": sub.name,
                    "responseKind": response(sub.group_version, sub.kind or kind.kind),
                    "verbs": list(sub.verbs),
                }
            )
    return row
