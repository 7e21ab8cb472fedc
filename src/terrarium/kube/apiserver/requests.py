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
    # Go drops what has a semicolon in it, since that once separated parameters too.
    clean = "&".join(part for part in raw.split("&") if ";" not in part) if ";" in raw else raw
    for key, value in parse_qsl(clean, keep_blank_values=True):
        found.setdefault(key, []).append(value)
    return found


def flag(query: Query, name: str) -> bool:
    """A boolean parameter as the API reads it: anything but `false` and `0` is a yes, even nothing."""
    values = query.get(name) or ("false",)
    return values[0].lower() not in ("false", "0")


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
    verb = _VERBS.get(method, "")
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
            verb = "watch" if flag(query, "watch") else "list"
        elif verb == "get":
            verb = "list"
        elif verb == "delete":
            verb = "deletecollection"
    elif verb == "get" and flag(query, "watch") and not subresource:
        verb = "watch"
    return Info(method, path, query, verb, group, version, resource, namespace, name, subresource, tail)
