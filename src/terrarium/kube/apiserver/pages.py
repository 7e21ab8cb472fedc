"""Everything that is no resource: discovery, OpenAPI, version, health, metrics, the keys of service accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from terrarium.kube.api.kinds import GroupVersion
from terrarium.kube.apiserver import bodies, errors, negotiate
from terrarium.kube.apiserver.discovery import Discovery
from terrarium.kube.apiserver.documents import Documents
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.metrics import Metrics
from terrarium.kube.client.contract import ApiError

TEXT = "text/plain; charset=utf-8"
JWKS = "application/jwk-set+json"
CHECKS = (
    "ping",
    "log",
    "etcd",
    "poststarthook/start-apiserver-admission-initializer",
    "poststarthook/generic-apiserver-start-informers",
    "poststarthook/start-system-namespaces-controller",
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
    "poststarthook/bootstrap-controller",
    "autoregister-completion",
)
_READY = ("informer-sync", "shutdown")


def not_found_page() -> Reply:
    """Go's own 404, for paths that nobody handles."""
    return Reply(404, b"404 page not found\n", TEXT, [("x-content-type-options", "nosniff")])


def text(body: str, status: int = 200) -> Reply:
    return Reply(status, body.encode(), TEXT, [("x-content-type-options", "nosniff")])


Handler = Callable[[Request], Awaitable[Reply]]


class Pages:
    """`version` is the body of /version; `keys` gives the JWKS of service account tokens."""

    def __init__(
        self,
        discovery: Discovery,
        metrics: Metrics,
        version: Mapping[str, str],
        issuer: str,
        keys: Callable[[], dict[str, Any]],
        documents: Documents,
        ready: Callable[[], bool],
    ) -> None:
        self.discovery = discovery
        self._metrics = metrics
        self._version = dict(version)
        self._issuer = issuer
        self._keys = keys
        self._documents = documents
        self._ready = ready
        self._exact: dict[str, Handler] = {
            "/": self._root,
            "/version": self._show_version,
            "/metrics": self._show_metrics,
            "/metrics/slis": self._show_metrics,
            "/api": self._api,
            "/apis": self._apis,
            "/openapi/v2": documents.whole,
            "/openapi/v3": documents.index,
            "/debug/pprof": self._profiles,
            "/.well-known/openid-configuration": self._openid,
            "/openid/v1/jwks": self._jwks,
        }

    async def answer(self, request: Request) -> Reply:
        path = request.info.path
        if path != "/":
            path = path.rstrip("/")
        parts = path.split("/")[1:]
        if parts[0] in ("healthz", "livez", "readyz"):
            return self._health(request, parts)
        handler = self._exact.get(path)
        if handler is None and parts[0] in ("api", "apis"):
            handler = self._group_page
        if handler is None and path.startswith("/openapi/v3/"):
            handler = self._documents.part
        if handler is None:
            return not_found_page()
        if request.info.method not in ("GET", "HEAD") and parts[0] not in ("api", "apis"):
            raise errors.method_not_allowed()
        return await handler(request)

    # Discovery

    def _encoded(self, request: Request, value: dict[str, Any]) -> Reply:
        try:
            form = negotiate.choose(request.headers.get("accept"), request.info.query, request.agent, shapes=False)
        except ApiError:
            accepted = ", ".join(negotiate.MEDIA)
            raise errors.status(
                406, "NotAcceptable", f"only the following media types are accepted: {accepted}"
            ) from None
        body, content_type = bodies.encode(value, form)
        return Reply(200, body, content_type)

    async def _api(self, request: Request) -> Reply:
        return self._aggregated(request, "/api") or self._encoded(request, self.discovery.api_versions())

    async def _apis(self, request: Request) -> Reply:
        return self._aggregated(request, "/apis") or self._encoded(request, self.discovery.group_list())

    def _aggregated(self, request: Request, root: str) -> Reply | None:
        """The aggregated form when it is wanted first."""
        accept = request.headers.get("accept", "")
        for media, parameters in negotiate.clauses(accept) if accept else ():
            if parameters.get("g") != "apidiscovery.k8s.io":
                if media in (*negotiate.MEDIA, "*/*"):
                    return None
                continue
            if parameters.get("v") != "v2" or parameters.get("as") != "APIGroupDiscoveryList":
                continue
            body, tag = self.discovery.aggregated(root)
            headers = [("etag", tag), ("vary", "Accept")]
            if request.headers.get("if-none-match") == tag:
                return Reply(304, b"", "", headers)
            kind = f"{negotiate.JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
            return Reply(200, body, kind, headers)
        return None

    async def _group_page(self, request: Request) -> Reply:
        parts = [p for p in request.info.path.split("/") if p]
        found: dict[str, Any] | None = None
        if parts[0] == "api" and len(parts) == 2:
            found = self.discovery.resource_list(GroupVersion("", parts[1]))
        elif parts[0] == "apis":
            if parts[1] not in self.discovery.groups() or not parts[1]:
                return not_found_page()
            if len(parts) == 2:
                found = self.discovery.group(parts[1])
            elif len(parts) == 3:
                found = self.discovery.resource_list(GroupVersion(parts[1], parts[2]))
        if found is None:
            if parts[0] == "apis" and self.discovery.custom_only(parts[1]):
                return not_found_page()
            raise errors.unknown_path()
        return self._encoded(request, found)

    async def _root(self, request: Request) -> Reply:
        checks = [f"/{root}/{check}" for root in ("healthz", "livez", "readyz") for check in CHECKS]
        rest = ["/healthz", "/livez", "/readyz", "/metrics", "/metrics/slis", "/version"]
        rest += ["/openapi/v2", "/openapi/v3", "/openapi/v3/", "/debug/pprof", "/debug/pprof/"]
        rest += ["/openid/v1/jwks", "/.well-known/openid-configuration"]
        paths = sorted({*self.discovery.paths(), *checks, *rest})
        return Reply(200, orjson.dumps({"paths": paths}))

    async def _show_version(self, request: Request) -> Reply:
        return Reply(200, orjson.dumps(self._version, option=orjson.OPT_INDENT_2))

    async def _profiles(self, request: Request) -> Reply:
        """The page is there, as with every kube-apiserver; a profile of Go there is not."""
        body = "<html><head><title>/debug/pprof/</title></head><body>This server keeps no profiles.</body></html>"
        return Reply(200, body.encode(), "text/html; charset=utf-8", [("x-content-type-options", "nosniff")])

    async def _show_metrics(self, request: Request) -> Reply:
        return Reply(
            200, self._metrics.text().encode(), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        )

    # Health

    def _health(self, request: Request, parts: list[str]) -> Reply:
        root = parts[0]
        names = CHECKS + (_READY if root == "readyz" else ())
        if len(parts) > 1:
            return text("ok") if "/".join(parts[1:]) in names else not_found_page()
        excluded = set(request.info.query.get("exclude", ()))
        ready = root != "readyz" or self._ready()
        verbose = "verbose" in request.info.query
        if ready and not verbose:
            return text("ok")
        lines = [f"[+]{name} excluded: ok" if name in excluded else f"[+]{name} ok" for name in names]
        if not ready:
            lines.append("[-]poststarthook/bootstrap failed: reason withheld")
            return text("\n".join([*lines, f"{root} check failed", ""]), 500)
        unmatched = sorted(excluded - set(names))
        if unmatched:
            quoted = ",".join(f'"{name}"' for name in unmatched)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        return text("\n".join([*lines, f"{root} check passed", ""]))

    # Keys

    async def _openid(self, request: Request) -> Reply:
        body = {
            "issuer": self._issuer,
            "jwks_uri": f"https://{self.discovery.address}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return Reply(200, orjson.dumps(body))

    async def _jwks(self, request: Request) -> Reply:
        negotiate.choose(request.headers.get("accept", "*/*"), {}, "", offered=(JWKS,), shapes=False)
        return Reply(200, orjson.dumps(self._keys()), JWKS)
