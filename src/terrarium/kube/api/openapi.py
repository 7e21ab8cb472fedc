"""OpenAPI v3: one document per group and version, made from the registry and the schema package.

The definitions come from `kubernetes-validate` where it is installed (with descriptions), else from the own table of
structures. Paths, verbs and the group-version-kind extension come from the registry's rows; so a custom resource's row
appears as soon as it is there, its schema handed in by `schemas`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from terrarium.kube.api.documentation import definitions
from terrarium.kube.api.kinds import GroupVersion, Kind, Registry
from terrarium.kube.api.schema import Struct, Type, schema

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_REF = "#/components/schemas/"
_DROPPED = ("$schema", "$id")

Schemas = Mapping[str, Mapping[str, Any]]


def v3_index(registry: Registry) -> list[str]:
    """The paths that have a document: `api/v1`, `apis/apps/v1`."""
    found = dict.fromkeys(_path(kind.group_version) for kind in registry)
    return list(found)


def _path(gv: GroupVersion) -> str:
    return f"apis/{gv}" if gv.group else f"api/{gv}"


def v3_document(
    registry: Registry, path: str, minor: int = 33, schemas: Schemas | None = None
) -> dict[str, Any] | None:
    """The document of `api/v1` or `apis/<group>/<version>`; None when no kind is served there.

    `schemas` are those of custom kinds by definition name (`com.example.v1.Foo`), with their `Kind.schema` the same.
    """
    kinds = [kind for kind in registry if _path(kind.group_version) == path]
    if not kinds:
        return None
    known = _known(minor)
    components: dict[str, Any] = {}
    wanted: list[str] = []
    for kind in kinds:
        name = kind.schema or _custom_name(kind)
        held = (schemas or {}).get(name)
        if held is not None or name not in known:
            components[name] = _custom(kind, held)
        else:
            wanted.append(name)
        if "list" in kind.verbs:
            listed = f"{name}List"
            if listed in known:
                wanted.append(listed)
            else:
                components[listed] = _list(kind, name)
        for sub in kind.subresources.values():
            if sub.kind and sub.group_version:
                wanted.append(_of_kind(sub.group_version, sub.kind))
    paths: dict[str, Any] = {f"/{path}/": _resource_list(path)}
    for kind in kinds:
        paths.update(_paths(kind, path))
    wanted += [META + name for name in ("ObjectMeta", "ListMeta", "DeleteOptions", "Status")]
    _collect([*wanted, *_references(paths)], known, components)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v1.{minor}.0"},
        "paths": paths,
        "components": {
            "schemas": {name: components[name] for name in sorted(components)},
            "securitySchemes": {
                "BearerToken": {
                    "type": "apiKey",
                    "description": "Bearer Token authentication",
                    "name": "authorization",
                    "in": "header",
                }
            },
        },
    }


def _custom_name(kind: Kind) -> str:
    reverse = ".".join(reversed(kind.group_version.group.split(".")))
    return f"{reverse}.{kind.group_version.version}.{kind.kind}"


def _of_kind(gv: GroupVersion, kind: str) -> str:
    from terrarium.kube.api.groups.rows import schema_name

    return schema_name(gv, kind)


# -- definitions ------------------------------------------------------------------------------------------------------


_WATCH_EVENT = {
    "description": "One change of a watched object.",
    "type": "object",
    "required": ["type", "object"],
    "properties": {"type": {"type": "string"}, "object": {"type": "object"}},
}


@lru_cache(maxsize=1)
def _known(minor: int) -> dict[str, Any]:
    """All built-in definitions in OpenAPI v3's form."""
    found = {name: _converted(held) for name, held in definitions(minor).items()}
    shapes = schema(minor)
    for name in shapes:
        if name not in found:
            found[name] = _from_table(shapes[name])
    found.setdefault(META + "WatchEvent", _WATCH_EVENT)
    return found


def _converted(value: Any, *, properties: bool = False) -> Any:
    """From JSON schema: no null types, references to components, no one-value enums of apiVersion and kind."""
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for key, item in value.items():
        if properties:
            made[key] = _converted(item)
        elif key == "$ref" and isinstance(item, str):
            made["$ref"] = _REF + item.rpartition("/")[2]
        elif key in _DROPPED:
            continue
        elif key == "type" and isinstance(item, list):
            kinds = [kind for kind in item if kind != "null"]
            if len(kinds) == 1:
                made["type"] = kinds[0]
            else:
                made["oneOf"] = [{"type": kind} for kind in kinds]
        elif key == "properties" and isinstance(item, dict):
            made["properties"] = _converted(item, properties=True)
            for name in ("apiVersion", "kind"):
                if isinstance(made["properties"].get(name), dict):
                    made["properties"][name].pop("enum", None)
        elif key in ("enum", "required", "default", "x-kubernetes-group-version-kind"):
            made[key] = [e for e in item if e is not None] if key == "enum" else item
        elif key == "oneOf" and isinstance(item, list):
            options = [o for o in item if o != {"type": "null"}]
            if len(options) == 1 and isinstance(options[0], dict):
                made.update(_converted(options[0]))
            else:
                made["oneOf"] = _converted(options)
        else:
            made[key] = _converted(item)
    if "$ref" in made and len(made) > 1:
        # Beside a reference nothing else counts in OpenAPI 3.0.
        made["allOf"] = [{"$ref": made.pop("$ref")}]
    return made


_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "string": {"type": "string"},
    "bytes": {"type": "string", "format": "byte"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "int": {"type": "integer"},
    "float64": {"type": "number", "format": "double"},
    "time": {"type": "string", "format": "date-time"},
    "microtime": {"type": "string", "format": "date-time"},
    "duration": {"type": "string"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
}


def _from_table(struct: Struct) -> dict[str, Any]:
    properties = {}
    for item in struct.fields.values():
        held = _table_type(item.type)
        if item.patch_strategy:
            held = {**held, "x-kubernetes-patch-strategy": item.patch_strategy}
        if item.merge_key:
            held = {**held, "x-kubernetes-patch-merge-key": item.merge_key}
        if item.list_type:
            held = {**held, "x-kubernetes-list-type": item.list_type}
        if item.list_keys:
            held = {**held, "x-kubernetes-list-map-keys": list(item.list_keys)}
        if item.default is not None:
            held = {**held, "default": item.default}
        properties[item.json] = held
    return {"type": "object", "properties": properties}


def _table_type(type: Type) -> dict[str, Any]:
    match type.shape:
        case "list":
            assert type.element is not None
            return {"type": "array", "items": _table_type(type.element)}
        case "map":
            assert type.element is not None
            return {"type": "object", "additionalProperties": _table_type(type.element)}
        case "struct":
            return {"allOf": [{"$ref": _REF + type.name}]}
    return dict(_SCALARS.get(type.name, {"type": "object"}))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref" and isinstance(item, str):
                yield item.removeprefix(_REF)
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


def _collect(names: list[str], known: Mapping[str, Any], into: dict[str, Any]) -> None:
    """The definitions and all that they refer to."""
    todo = [*names, *(ref for held in list(into.values()) for ref in _references(held))]
    while todo:
        name = todo.pop()
        if name in into or name not in known:
            continue
        into[name] = known[name]
        todo += _references(known[name])


def _gvk(kind: Kind) -> list[dict[str, str]]:
    gv = kind.group_version
    return [{"group": gv.group, "kind": kind.kind, "version": gv.version}]


def _custom(kind: Kind, held: Mapping[str, Any] | None) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", **(held or {"x-kubernetes-preserve-unknown-fields": True})}
    made["properties"] = {
        **(made.get("properties") or {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"allOf": [{"$ref": _REF + META + "ObjectMeta"}]},
    }
    made["x-kubernetes-group-version-kind"] = _gvk(kind)
    return made


def _list(kind: Kind, name: str) -> dict[str, Any]:
    gv = kind.group_version
    return {
        "description": f"{kind.kind}List is a list of {kind.kind}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"allOf": [{"$ref": _REF + META + "ListMeta"}]},
            "items": {"type": "array", "items": {"allOf": [{"$ref": _REF + name}]}},
        },
        "x-kubernetes-group-version-kind": [{"group": gv.group, "kind": f"{kind.kind}List", "version": gv.version}],
    }


# -- paths ------------------------------------------------------------------------------------------------------------

_METHODS = (
    # verb, method, action, on a collection
    ("list", "get", "list", True),
    ("create", "post", "post", True),
    ("deletecollection", "delete", "deletecollection", True),
    ("get", "get", "get", False),
    ("update", "put", "put", False),
    ("delete", "delete", "delete", False),
    ("patch", "patch", "patch", False),
)
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_WRITES = ("post", "put", "patch")


def _resource_list(path: str) -> dict[str, Any]:
    return {
        "get": {
            "tags": [_tag(path)],
            "description": "get available resources",
            "operationId": f"get{_title(path)}APIResources",
            "responses": _answers(META + "APIResourceList"),
        }
    }


def _tag(path: str) -> str:
    parts = path.split("/")
    return "core_v1" if parts[0] == "api" else f"{parts[1].split('.')[0]}_{parts[2]}"


def _title(path: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in _tag(path).split("_"))


def _query(name: str, type: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": type, "uniqueItems": True}}


def _place(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "uniqueItems": True}}


_LIST_OPTIONS = [
    _query("allowWatchBookmarks", "boolean"),
    _query("continue"),
    _query("fieldSelector"),
    _query("labelSelector"),
    _query("limit", "integer"),
    _query("resourceVersion"),
    _query("resourceVersionMatch"),
    _query("sendInitialEvents", "boolean"),
    _query("timeoutSeconds", "integer"),
    _query("watch", "boolean"),
]
_WRITE_OPTIONS = [_query("dryRun"), _query("fieldManager"), _query("fieldValidation")]
_DELETE_OPTIONS = [
    _query("dryRun"),
    _query("gracePeriodSeconds", "integer"),
    _query("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    _query("orphanDependents", "boolean"),
    _query("propagationPolicy"),
]


def _options(action: str) -> list[dict[str, Any]]:
    match action:
        case "list" | "watch":
            return _LIST_OPTIONS
        case "patch":
            return [*_WRITE_OPTIONS, _query("force", "boolean")]
        case "post" | "put":
            return _WRITE_OPTIONS
        case "delete":
            return _DELETE_OPTIONS
        case "deletecollection":
            return [*_LIST_OPTIONS[1:8], *_DELETE_OPTIONS]
    return []


def _answers(name: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF + name}}}
    return {"200": {"description": "OK", "content": content}, "401": {"description": "Unauthorized"}}


def _operation(kind: Kind, method: str, action: str, body: str, answer: str, tag: str, ident: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tags": [tag],
        "operationId": ident,
        "parameters": _options(action),
        "responses": _answers(answer),
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _gvk(kind)[0],
    }
    if method in _WRITES:
        media = _PATCHES if method == "patch" else ("*/*",)
        name = META + "Patch" if method == "patch" else body
        made["requestBody"] = {
            "content": {m: {"schema": {"$ref": _REF + name}} for m in media},
            "required": True,
        }
    return made


def _paths(kind: Kind, path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tag, title = _tag(path), _title(path)
    name = kind.schema or _custom_name(kind)
    base = f"/{path}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"/{path}/{kind.plural}"
    scope = "Namespaced" if kind.namespaced else ""
    common = [_query("pretty")]
    places = [_place("namespace")] if kind.namespaced else []
    for verb, method, action, collection in _METHODS:
        if verb not in kind.verbs:
            continue
        where = base if collection else f"{base}/{{name}}"
        item = found.setdefault(where, {"parameters": [*places, *([] if collection else [_place("name")]), *common]})
        answer = f"{name}List" if action == "list" else META + "Status" if "delete" in action else name
        word = {"post": "create", "get": "read", "put": "replace", "deletecollection": "deleteCollection"}.get(
            action, action
        )
        item[method] = _operation(kind, method, action, name, answer, tag, f"{word}{title}{scope}{kind.kind}")
    if kind.namespaced and "list" in kind.verbs:
        every = _operation(kind, "get", "list", name, f"{name}List", tag, f"list{title}{kind.kind}ForAllNamespaces")
        found[f"/{path}/{kind.plural}"] = {"get": every, "parameters": common}
    if "watch" in kind.verbs:
        found.update(_watches(kind, path, tag, title))
    for sub in kind.subresources.values():
        found.update(_subresource(kind, base, sub, places, common, tag, title, scope, name))
    return found


def _watches(kind: Kind, path: str, tag: str, title: str) -> dict[str, Any]:
    prefix = f"/{path}/watch"
    scoped = f"{prefix}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{prefix}/{kind.plural}"
    event = META + "WatchEvent"
    found = {}
    places = [scoped, f"{scoped}/{{name}}"]
    if kind.namespaced:
        places.append(f"{prefix}/{kind.plural}")
    for place in places:
        one = place.endswith("{name}")
        action = "watch" if one else "watchlist"
        operation = _operation(
            kind, "get", action, "", event, tag, f"watch{title}{kind.kind}{'' if one else 'List'}{places.index(place)}"
        )
        operation["parameters"] = []
        found[place] = {"get": operation, "parameters": _LIST_OPTIONS}
    return found


_VERBS = {"get": "get", "update": "put", "patch": "patch", "create": "post", "delete": "delete"}


_OPTIONS = {"portforward": "PortForward"}
"""How the options of connecting subresources are called, where that is not the capitalised name."""


def _subresource(
    kind: Kind,
    base: str,
    sub: Any,
    places: list[dict[str, Any]],
    common: list[dict[str, Any]],
    tag: str,
    title: str,
    scope: str,
    name: str,
) -> dict[str, Any]:
    target = _of_kind(sub.group_version, sub.kind) if sub.group_version and sub.kind else name
    item: dict[str, Any] = {"parameters": [*places, _place("name"), *common]}
    word = sub.name[:1].upper() + sub.name[1:]
    for verb in sub.verbs:
        method = _VERBS[verb]
        action = "connect" if sub.name in ("attach", "exec", "portforward", "proxy") else method
        item[method] = _operation(kind, method, action, target, target, tag, f"{method}{title}{scope}{kind.kind}{word}")
        if sub.kind or action == "connect":
            # Clients look for a kind's own PATCH by this mark: what speaks of another kind must say so.
            gv = sub.group_version or kind.group_version
            other = sub.kind or f"{kind.kind}{_OPTIONS.get(sub.name, word)}Options"
            item[method]["x-kubernetes-group-version-kind"] = {"group": gv.group, "kind": other, "version": gv.version}
    found = {f"{base}/{{name}}/{sub.name}": item}
    if sub.name == "proxy":
        found[f"{base}/{{name}}/proxy/{{path}}"] = item
    return found
