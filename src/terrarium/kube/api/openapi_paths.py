"""The paths of the OpenAPI documents: which methods the rows of the registry give, and what they take and answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from terrarium.kube.api.kinds import GroupVersion, Kind, Subresource
from terrarium.kube.api.openapi_definitions import META, VERSION_INFO, definition_name, reference

_METHODS = (
    # verb, method, action, on a collection, first word of the operation's id, its description
    ("list", "get", "list", True, "list", "list or watch objects of kind {}"),
    ("create", "post", "post", True, "create", "create {}"),
    ("deletecollection", "delete", "deletecollection", True, "delete", "delete collection of {}"),
    ("get", "get", "get", False, "read", "read the specified {}"),
    ("update", "put", "put", False, "replace", "replace the specified {}"),
    ("delete", "delete", "delete", False, "delete", "delete {}"),
    ("patch", "patch", "patch", False, "patch", "partially update the specified {}"),
)
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)
_JSON, _YAML, _PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_STREAMS = ("application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
_CREATED = {"post": ("201", "202"), "put": ("201",), "patch": ("201",), "delete": ("202",)}
_ANSWERS = {"200": "OK", "201": "Created", "202": "Accepted"}


def _query(name: str, text: str, type: str = "string") -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": {"type": type, "uniqueItems": True}}


def _place(name: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "path",
        "description": text,
        "required": True,
        "schema": {"type": "string", "uniqueItems": True},
    }


_PRETTY = _query("pretty", "If 'true', the answer is indented.")
_NAMESPACE = _place("namespace", "object name and auth scope, such as for teams and projects")
_LIST_OPTIONS = [
    _query("allowWatchBookmarks", "Asks for events of type BOOKMARK, which tell how far the watch is.", "boolean"),
    _query("continue", "Where to go on: a token from the metadata of an earlier answer that had a limit."),
    _query("fieldSelector", "Restricts the objects by their fields."),
    _query("labelSelector", "Restricts the objects by their labels."),
    _query("limit", "The most objects to answer with.", "integer"),
    _query("resourceVersion", "Which state to answer from."),
    _query("resourceVersionMatch", "How resourceVersion is applied to lists: Exact or NotOlderThan."),
    _query("sendInitialEvents", "Whether a watch begins with the objects that there are.", "boolean"),
    _query("timeoutSeconds", "How long the call may last, in seconds.", "integer"),
    _query("watch", "Answers with changes, one after the other.", "boolean"),
]
_DRY_RUN = _query("dryRun", "All: nothing is stored.")
_WRITE_OPTIONS = [
    _DRY_RUN,
    _query("fieldManager", "The name of who makes these changes, of at most 128 printable characters."),
    _query("fieldValidation", "What happens to unknown and doubled fields: Ignore, Warn or Strict."),
]
_FORCE = _query("force", "Takes over fields that others own. Of apply alone.", "boolean")
_DELETE_OPTIONS = [
    _DRY_RUN,
    _query("gracePeriodSeconds", "Seconds before the object is deleted.", "integer"),
    _query(
        "ignoreStoreReadErrorWithClusterBreakingPotential", "Deletes objects that can no longer be read.", "boolean"
    ),
    _query("orphanDependents", "Deprecated: use propagationPolicy.", "boolean"),
    _query("propagationPolicy", "What happens to dependents: Orphan, Background or Foreground."),
]
_OPTIONS: dict[str, list[dict[str, Any]]] = {
    "list": _LIST_OPTIONS,
    "post": _WRITE_OPTIONS,
    "put": _WRITE_OPTIONS,
    "patch": [*_WRITE_OPTIONS, _FORCE],
    "delete": _DELETE_OPTIONS,
    "deletecollection": sorted(
        [*(o for o in _LIST_OPTIONS if o["name"] not in ("allowWatchBookmarks", "watch")), *_DELETE_OPTIONS],
        key=lambda option: str(option["name"]),
    ),
}
_STREAM_OPTIONS = [
    _query("container", "The container of the pod; may be left out when there is one."),
    _query("stderr", "Whether to take over standard error.", "boolean"),
    _query("stdin", "Whether to take over standard input.", "boolean"),
    _query("stdout", "Whether to take over standard output.", "boolean"),
    _query("tty", "Whether to give it a terminal.", "boolean"),
]
_CONNECT_OPTIONS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("Pod", "attach"): _STREAM_OPTIONS,
    ("Pod", "exec"): [_query("command", "The command and its arguments; no shell is involved."), *_STREAM_OPTIONS],
    ("Pod", "portforward"): [_query("ports", "The ports to forward.", "integer")],
    ("Pod", "proxy"): [_query("path", "The path of the request to the pod.")],
    ("Node", "proxy"): [_query("path", "The path of the request to the node.")],
    ("Service", "proxy"): [_query("path", "The path of the request to the service.")],
    ("Pod", "log"): [
        _query("container", "The container of the pod; may be left out when there is one."),
        _query("follow", "Goes on with what comes.", "boolean"),
        _query("insecureSkipTLSVerifyBackend", "Does not check the certificate of the kubelet.", "boolean"),
        _query("limitBytes", "The most bytes to answer with.", "integer"),
        _query("previous", "Of the terminated container before this one.", "boolean"),
        _query("sinceSeconds", "Not older than so many seconds.", "integer"),
        _query("stream", "Which stream: All, Stdout or Stderr."),
        _query("tailLines", "So many lines from the end.", "integer"),
        _query("timestamps", "Puts the time in front of each line.", "boolean"),
    ],
}
_CONNECTS = ("attach", "exec", "portforward", "proxy")
_OPTION_KINDS = {"portforward": "PortForward"}
"""How the options of connecting subresources are called, where that is not the capitalised name."""
_SUB_VERBS = {"get": ("get",), "update": ("put",), "patch": ("patch",), "create": ("post",), "delete": ("delete",)}
_PROXIED = ("get", "put", "post", "delete", "options", "head", "patch")
_SUB_WORDS = {"get": "read", "put": "replace", "patch": "patch", "post": "create", "delete": "delete"}
_SUB_TEXTS = {
    "get": "read {} of the specified {}",
    "put": "replace {} of the specified {}",
    "patch": "partially update {} of the specified {}",
    "post": "create {} of a {}",
    "delete": "delete {} of the specified {}",
}


def tag(gv: GroupVersion | None, group: str = "") -> str:
    """`core_v1`, `apps_v1`, `flowcontrolApiserver_v1`."""
    name = gv.group if gv is not None else group
    words = name.removesuffix(".k8s.io").split(".")
    joined = "".join([words[0], *(_capital(word) for word in words[1:])]) or "core"
    return f"{joined}_{gv.version}" if gv is not None else joined


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _title(gv: GroupVersion) -> str:
    return "".join(_capital(part) for part in tag(gv).split("_"))


def _article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'AEIOU' else 'a'} {kind}"


def _responses(content: dict[str, Any], codes: Sequence[str] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {code: {"description": _ANSWERS[code], "content": content} for code in ("200", *codes)}
    found["401"] = {"description": "Unauthorized"}
    return found


def _content(name: str, media: Iterable[str]) -> dict[str, Any]:
    held = reference(name) if name else {"type": "string"}
    return {key: {"schema": held} for key in media}


# -- paths that are no resources --------------------------------------------------------------------------------------


def _page(path: str, tag: str, text: str, ident: str, content: dict[str, Any]) -> dict[str, Any]:
    return {path: {"get": {"tags": [tag], "description": text, "operationId": ident, "responses": _responses(content)}}}


_DISCOVERED = (_JSON, _PROTOBUF, _YAML)
PAGES: dict[str, dict[str, Any]] = {
    ".well-known/openid-configuration": _page(
        "/.well-known/openid-configuration/",
        "WellKnown",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "getServiceAccountIssuerOpenIDConfiguration",
        _content("", (_JSON,)),
    ),
    "api": _page(
        "/api/", "core", "get available API versions", "getCoreAPIVersions", _content(META + "APIVersions", _DISCOVERED)
    ),
    "apis": _page(
        "/apis/", "apis", "get available API versions", "getAPIVersions", _content(META + "APIGroupList", _DISCOVERED)
    ),
    "openid/v1/jwks": _page(
        "/openid/v1/jwks/",
        "openid",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "getServiceAccountIssuerOpenIDKeyset",
        _content("", ("application/jwk-set+json",)),
    ),
    "version": _page(
        "/version/",
        "version",
        "get the version information for this server",
        "getCodeVersion",
        _content(VERSION_INFO, (_JSON,)),
    ),
}
"""The documents of paths that are neither groups nor resources: their paths."""


def group(name: str) -> dict[str, Any]:
    """The paths of a group's own document."""
    word = tag(None, name)
    return _page(
        f"/apis/{name}/",
        word,
        "get information of a group",
        f"get{_capital(word)}APIGroup",
        _content(META + "APIGroup", _DISCOVERED),
    )


def resource_list(path: str, gv: GroupVersion) -> dict[str, Any]:
    return _page(
        f"/{path}/",
        tag(gv),
        "get available resources",
        f"get{_title(gv)}APIResources",
        _content(META + "APIResourceList", _DISCOVERED),
    )


# -- resources --------------------------------------------------------------------------------------------------------


class KindPaths:
    """The paths of one row."""

    def __init__(self, kind: Kind, path: str) -> None:
        self._kind = kind
        self._path = path
        self._tag = tag(kind.group_version)
        self._title = _title(kind.group_version)
        self._scope = "Namespaced" if kind.namespaced else ""
        self._name = definition_name(kind)
        self._media = (_JSON, _PROTOBUF, _YAML) if kind.schema else (_JSON, _YAML)
        self._listed = (*self._media, *(_STREAMS if kind.schema else _STREAMS[:1]))
        inner = f"namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else kind.plural
        self._base = f"/{path}/{inner}"
        self._inner = inner
        self._object = _place("name", f"name of the {kind.kind}")

    def all(self) -> dict[str, Any]:
        found = self._verbs()
        kind = self._kind
        if kind.namespaced and "list" in kind.verbs:
            ident = f"list{self._title}{kind.kind}ForAllNamespaces"
            text = f"list or watch objects of kind {kind.kind}"
            every = self._operation("get", "list", text, ident, f"{self._name}List", self._listed)
            found[f"/{self._path}/{kind.plural}"] = {"get": every, "parameters": _ordered(_LIST_OPTIONS, [_PRETTY])}
        if "watch" in kind.verbs:
            found.update(self._watches())
        for sub in kind.subresources.values():
            found.update(self._subresource(sub))
        return found

    def _operation(
        self, method: str, action: str, text: str, ident: str, answer: str, media: Iterable[str], body: str = ""
    ) -> dict[str, Any]:
        gv = self._kind.group_version
        made: dict[str, Any] = {"tags": [self._tag], "description": text, "operationId": ident}
        if body:
            patches = _PATCHES if self._kind.schema else _PATCHES[:3]
            types = patches if method == "patch" else ("*/*",)
            name = META + "Patch" if method == "patch" else body
            made["requestBody"] = {"content": {m: {"schema": reference(name)} for m in types}}
            if method != "delete":
                made["requestBody"]["required"] = True
        codes = () if action == "deletecollection" else _CREATED.get(method, ())
        made["responses"] = _responses(_content(answer, media), codes)
        made["x-kubernetes-action"] = action
        made["x-kubernetes-group-version-kind"] = {"group": gv.group, "version": gv.version, "kind": self._kind.kind}
        return made

    def _verbs(self) -> dict[str, Any]:
        kind = self._kind
        found: dict[str, Any] = {}
        for verb, method, action, collection, word, text in _METHODS:
            if verb not in kind.verbs:
                continue
            where = self._base if collection else f"{self._base}/{{name}}"
            places = [self._object] if not collection else []
            if kind.namespaced:
                places.append(_NAMESPACE)
            item = found.setdefault(where, {"parameters": [*places, _PRETTY]})
            answer = self._name
            if action == "list":
                answer = f"{self._name}List"
            elif "delete" in action and (collection or not _returns_object(kind)):
                answer = META + "Status"
            body = self._name if method in ("post", "put", "patch") else ""
            if "delete" in action:
                body = META + "DeleteOptions"
            shown = kind.kind if action in ("list", "deletecollection", "get", "put", "patch") else _article(kind.kind)
            many = "Collection" if action == "deletecollection" else ""
            ident = f"{word}{self._title}{many}{self._scope}{kind.kind}"
            media = self._listed if action == "list" else self._media
            made = self._operation(method, action, text.format(shown), ident, answer, media, body)
            made["parameters"] = _OPTIONS.get(action, [])
            if not made["parameters"]:
                del made["parameters"]
            item[method] = made
        return found

    def _watches(self) -> dict[str, Any]:
        kind = self._kind
        prefix = f"/{self._path}/watch"
        places = [(f"{prefix}/{self._inner}", False), (f"{prefix}/{self._inner}/{{name}}", True)]
        if kind.namespaced:
            places.append((f"{prefix}/{kind.plural}", False))
        found = {}
        for place, one in places:
            every = kind.namespaced and "{namespace}" not in place
            action = "watch" if one else "watchlist"
            text = f"watch changes to an object of kind {kind.kind}" if one else f"watch a list of {kind.kind}"
            text += ". deprecated: use the 'watch' parameter with a list operation instead"
            if one:
                text += ", filtered to a single item with the 'fieldSelector' parameter"
            scope = "" if every else self._scope
            ident = f"watch{self._title}{scope}{kind.kind}{'' if one else 'List'}{'ForAllNamespaces' if every else ''}"
            media = (*self._media[:1], *_STREAMS[:1], *self._media[1:], *_STREAMS[1:])
            operation = self._operation("get", action, text + ".", ident, META + "WatchEvent", media)
            named = [*([self._object] if one else []), *([_NAMESPACE] if kind.namespaced and not every else [])]
            found[place] = {"get": operation, "parameters": _ordered(_LIST_OPTIONS, [*named, _PRETTY])}
        return found

    def _subresource(self, sub: Subresource) -> dict[str, Any]:
        connects = sub.name in _CONNECTS
        item: dict[str, Any] = {}
        methods = _PROXIED if sub.name == "proxy" else tuple(m for v in sub.verbs for m in _SUB_VERBS.get(v, ()))
        for method in methods:
            item[method] = self._connect(sub, method, "") if connects else self._sub_operation(sub, method)
        places = [self._object, *([_NAMESPACE] if self._kind.namespaced else [])]
        options = _CONNECT_OPTIONS.get((self._kind.kind, sub.name), [])
        # What all operations take is said once, and a single operation's parameters are such.
        alone = item[methods[0]].pop("parameters", []) if len(methods) == 1 else []
        item["parameters"] = _ordered(options, alone, places if connects else [*places, _PRETTY])
        found = {f"{self._base}/{{name}}/{sub.name}": item}
        if sub.name == "proxy":
            further: dict[str, Any] = {method: self._connect(sub, method, "WithPath") for method in methods}
            further["parameters"] = _ordered(options, [*places, _place("path", "path to the resource")])
            found[f"{self._base}/{{name}}/proxy/{{path}}"] = further
        return found

    def _connect(self, sub: Subresource, method: str, suffix: str) -> dict[str, Any]:
        kind = self._kind
        word = _capital(_OPTION_KINDS.get(sub.name, sub.name).lower())
        ident = f"connect{self._title}{_capital(method)}{self._scope}{kind.kind}{word}{suffix}"
        text = f"connect {method.upper()} requests to {sub.name} of {kind.kind}"
        made = self._operation(method, "connect", text, ident, "", ("*/*",))
        made["responses"] = _responses(_content("", ("*/*",)))
        # Clients look for a kind's own PATCH by this mark: what speaks of another kind must say so.
        made["x-kubernetes-group-version-kind"]["kind"] = (
            f"{kind.kind}{_OPTION_KINDS.get(sub.name, _capital(sub.name))}Options"
        )
        return made

    def _sub_operation(self, sub: Subresource, method: str) -> dict[str, Any]:
        kind = self._kind
        name, shown = self._name, {"group": kind.group_version.group, "version": kind.group_version.version}
        if sub.kind:
            gv = sub.group_version or kind.group_version
            name = of_kind(gv, sub.kind)
            shown = {"group": gv.group, "version": gv.version}
        text = _SUB_TEXTS[method].format(sub.name, kind.kind)
        ident = f"{_SUB_WORDS[method]}{self._title}{self._scope}{kind.kind}{_capital(sub.name)}"
        if sub.name == "log":
            return self._operation(method, method, text, ident, "", (*self._media, "text/plain"))
        made = self._operation(method, method, text, ident, name, self._media, name if method != "get" else "")
        made["x-kubernetes-group-version-kind"] = {**shown, "kind": sub.kind or kind.kind}
        if method != "get":
            made["parameters"] = _OPTIONS[method]
        return made


def _ordered(*options: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted((option for some in options for option in some), key=lambda option: (option["name"], option["in"]))


def _returns_object(kind: Kind) -> bool:
    return kind.resource in _RETURNED


_RETURNED = frozenset(
    [
        "pods",
        "services",
        "serviceaccounts",
        "persistentvolumes",
        "persistentvolumeclaims",
        "podtemplates",
        "resourcequotas",
        "csidrivers.storage.k8s.io",
        "csinodes.storage.k8s.io",
        "storageclasses.storage.k8s.io",
        "volumeattachments.storage.k8s.io",
    ]
)
"""Resources whose deletion is described as answering the object."""


def of_kind(gv: GroupVersion, kind: str) -> str:
    from terrarium.kube.api.groups.rows import schema_name

    return schema_name(gv, kind)
