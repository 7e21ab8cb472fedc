"""What a request means: its path, method and query taken apart, before anybody is asked whether it is allowed.

Pure. The rules are kube-apiserver's RequestInfo: a verb, and either a resource (group, version, namespace, name,
subresource) or a plain path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus

Query = Mapping[str, Sequence[str]]

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
# Roots under which a namespace is itself the object, not a scope: /namespaces/x/status and /finalize.
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True, slots=True)
class Info:
    """`resource` is "" for a path that is no resource; `parts` counts what came behind the version."""

    method: str
    path: str
    query: Query
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: tuple[str, ...] = field(default=())
    """Segments behind the subresource (the path of a proxy)."""

    def first(self, name: str) -> str:
        """The first value of a query parameter, "" without."""
        return self.query.get(name, ("",))[0]


def parse_query(raw: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in parse_qsl(raw, keep_blank_values=True):
        found.setdefault(key, []).append(value)
    return found


def wants_watch(query: Query) -> bool:
    """`watch` without a value is a yes; `false`, `0` and their like are a no."""
    if "watch" not in query:
        return False
    return query["watch"][0].lower() not in ("0", "f", "false", "n", "no")


def parse(method: str, path: str, query: Query) -> Info:
    """Takes a decoded path apart."""
    segments = [unquote_plus(s) if "%" in s else s for s in path.split("/")[1:]]
    if segments and segments[-1] == "" and len(segments) > 1:
        segments = segments[:-1]
    plain = Info(method, path, query, _VERBS.get(method, method.lower()))
    if len(segments) >= 3 and segments[0] == "api":
        group, version, rest = "", segments[1], segments[2:]
    elif len(segments) >= 4 and segments[0] == "apis":
        group, version, rest = segments[1], segments[2], segments[3:]
    else:
        return plain if method != "GET" and method != "HEAD" else Info(method, path, query, "get")
    verb = _VERBS.get(method, method.lower())
    if rest[0] == "watch" and len(rest) > 1:
        verb, rest = "watch", rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    resource = rest[0]
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    tail = tuple(rest[3:])
    if not name:
        if verb == "get" and method != "HEAD":
            verb = "watch" if wants_watch(query) else "list"
        elif verb == "get":
            verb = "list"
        elif verb == "delete":
            verb = "deletecollection"
    elif verb == "get" and wants_watch(query) and not subresource:
        verb = "watch"
    return Info(method, path, query, verb, group, version, resource, namespace, name, subresource, tail)
