"""OpenAPI documents, made from the registry and the schema package: version 3 in many parts, version 2 in one.

Version 3 has a document for each group and version, one for each group, and one for each page that is no resource.
Paths, verbs and the group-version-kind extension come from the registry's rows, so a custom resource appears as soon as
its row is there, its schema handed in by `schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api import openapi_definitions as held
from terrarium.kube.api import openapi_paths as routes
from terrarium.kube.api.kinds import GroupVersion, Kind, Registry

Schemas = Mapping[str, Mapping[str, Any]]
"""Structural schemas of custom kinds by definition name (`com.example.v1.Foo`)."""


def v3_index(registry: Registry) -> list[str]:
    """The paths that have a document: `api/v1`, `apis/apps`, `apis/apps/v1`, `version`, …"""
    found = set(routes.PAGES)
    for kind in registry:
        group = kind.group_version.group
        found.add(_path(kind.group_version))
        if group:
            found.add(f"apis/{group}")
    return sorted(found)


def rows_at(registry: Registry, path: str) -> tuple[Kind, ...]:
    """What a path's document is made of: it changes only with these."""
    return tuple(kind for kind in registry if _path(kind.group_version) == path)


def _path(gv: GroupVersion) -> str:
    return f"apis/{gv}" if gv.group else f"api/{gv}"


def v3_document(
    registry: Registry, path: str, minor: int = 33, schemas: Schemas | None = None
) -> dict[str, Any] | None:
    """The document of one of the index's paths; None for others."""
    if path in routes.PAGES:
        return _document(minor, routes.PAGES[path], {})
    kinds = rows_at(registry, path)
    if kinds:
        return _of_kinds(kinds, path, minor, schemas or {})
    group = path.removeprefix("apis/")
    if path.startswith("apis/") and any(kind.group_version.group == group for kind in registry):
        return _document(minor, routes.group(group), {})
    return None


def _of_kinds(kinds: Sequence[Kind], path: str, minor: int, schemas: Schemas) -> dict[str, Any]:
    known = held.known(minor)
    components: dict[str, Any] = {}
    paths = routes.resource_list(path, kinds[0].group_version)
    for kind in kinds:
        name = held.definition_name(kind)
        if name in schemas or name not in known:
            components[name] = held.custom(kind, schemas.get(name), minor)
        if "list" in kind.verbs and f"{name}List" not in known:
            components[f"{name}List"] = held.listed(kind, name, minor)
        paths.update(routes.KindPaths(kind, path).all())
    return _document(minor, paths, components)


def _document(minor: int, paths: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    held.collect(list(held.references(paths)), held.known(minor), components)
    parts: dict[str, Any] = {}
    if components:
        parts["schemas"] = {name: components[name] for name in sorted(components)}
    parts["securitySchemes"] = {
        "BearerToken": {
            "type": "apiKey",
            "description": "Bearer Token authentication",
            "name": "authorization",
            "in": "header",
        }
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"1.{minor}"},
        "paths": paths,
        "components": parts,
    }


def v2_document(registry: Registry, minor: int = 33, schemas: Schemas | None = None) -> dict[str, Any]:
    """The whole API as one document of version 2 (Swagger)."""
    from terrarium.kube.api import swagger

    documents = [v3_document(registry, path, minor, schemas) for path in v3_index(registry)]
    return swagger.joined([document for document in documents if document is not None])
