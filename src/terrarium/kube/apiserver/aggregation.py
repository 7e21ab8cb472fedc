"""APIServices: groups and versions that another server answers, found through a Service of the cluster.

Theory of operation. Each stored APIService that names a Service is a `Remote`, checked when it or what it depends on may
have changed: is there the Service, its port, an endpoint, an answer to discovery. The result is its condition
`Available`. Requests to its group and version are authenticated and authorised here and passed on with the user's name in
headers that the other server believes, since they come with the front proxy's certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import orjson

from terrarium.base.clock import Clock, rfc3339
from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import GroupVersion, Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.conversion import trusting
from terrarium.kube.apiserver.messages import Reply, Request
from terrarium.kube.apiserver.requests import Info
from terrarium.kube.apiserver.resources import Behaviour, Call, Resources
from terrarium.kube.apiserver.upstream import Address, Answer, ServiceAddresses, ServiceNotFound, UpstreamError, ask
from terrarium.kube.client.contract import ApiError

CHECK_SECONDS = 30.0
"""Between two looks at services that are available, and the pause after which a failed one is asked again."""
_ANSWER_SECONDS = 60.0
_SYSTEM = User("system:kube-aggregator", groups=("system:masters",))
_DROPPED = frozenset(
    ["connection", "content-length", "host", "authorization", "transfer-encoding", "upgrade", "keep-alive", "te"]
)
Condition = tuple[str, str, str]
"""Status, reason and message of `Available`."""
LOCAL: Condition = ("True", "Local", "Local APIServices are always available")
PASSED: Condition = ("True", "Passed", "all checks passed")


@dataclass(slots=True)
class Remote:
    """One APIService of another server. `resources` are those its discovery told last."""

    name: str
    group_version: GroupVersion
    spec: Obj
    available: Condition = ("Unknown", "", "")
    resources: list[Obj] = field(default_factory=list)

    @property
    def serves(self) -> bool:
        return self.available[0] == "True"


class Aggregation(Behaviour):
    """The behaviour of apiservices, and the door to what they announce. `identity` gives the front proxy's
    certificate: a context to which it has been added."""

    def __init__(
        self, resources: Resources, kind: Kind, clock: Clock, identity: Callable[[ssl.SSLContext], None]
    ) -> None:
        self._resources = resources
        self._kind = kind
        self._clock = clock
        self._identity = identity
        self._services = ServiceAddresses(resources)
        self.remotes: dict[GroupVersion, Remote] = {}
        self.own: Mapping[GroupVersion, Callable[[bool], None]] = {}
        """What this server answers itself, whoever announces it: metrics, for which a simulated server only stands. The
        switch says whether it is announced and available."""
        self._standing: dict[GroupVersion, Remote] = {}
        self.generation = 0
        """Grows with every change of what is served."""

    async def start(self) -> None:
        for service in await self._resources.all(self._kind):
            if service["spec"].get("service"):
                remote = self._take(service)
                if remote.group_version in self.own:
                    await self._look(remote)

    async def written(self, obj: Obj, old: Obj | None) -> None:
        if old is not None and obj.get("spec") == old.get("spec"):
            return
        if not obj["spec"].get("service"):
            await self._tell(obj["metadata"]["name"], LOCAL)
            return
        remote = self._take(obj)
        await self._look(remote)

    async def removed(self, obj: Obj) -> None:
        spec = obj["spec"]
        gv = GroupVersion(spec.get("group", ""), spec.get("version", ""))
        if self._standing.pop(gv, None) is not None:
            self.own[gv](False)
        self.generation += self.remotes.pop(gv, None) is not None

    def _take(self, obj: Obj) -> Remote:
        spec = obj["spec"]
        gv = GroupVersion(spec.get("group", ""), spec.get("version", ""))
        held = self._standing if gv in self.own else self.remotes
        remote = held.get(gv) or Remote(obj["metadata"]["name"], gv, spec)
        remote.spec = spec
        held[gv] = remote
        self.generation += 1
        return remote

    async def keep(self) -> None:
        """Looks at all remote services for ever."""
        while True:
            await self._clock.heartbeat(CHECK_SECONDS)
            for remote in [*self.remotes.values(), *self._standing.values()]:
                await self._look(remote)

    # Availability

    async def _look(self, remote: Remote) -> None:
        found = await self._check(remote)
        if found != remote.available:
            remote.available = found
            if (switch := self.own.get(remote.group_version)) is not None:
                switch(remote.serves)
            self.generation += 1
            await self._tell(remote.name, found)

    async def _check(self, remote: Remote) -> Condition:
        service = remote.spec["service"]
        namespace, name, port = service.get("namespace", ""), service.get("name", ""), service.get("port") or 443
        kind = self._resources.registry.resource("", "v1", "services")
        held = await self._resources.find(kind, namespace, name) if kind is not None else None
        if kind is None or held is None:
            return ("False", "ServiceNotFound", f'service/{name} in "{namespace}" is not present')
        spec = held.obj(kind)["spec"]
        if not any(p.get("port") == port for p in spec.get("ports") or ()):
            text = f'service/{name} in "{namespace}" is not listening on port {port}'
            return ("False", "ServicePortError", text)
        try:
            address = await self._services.of(namespace, name, port, self._root(remote.group_version))
        except ServiceNotFound:
            text = (
                f'endpoints for service/{name} in "{namespace}" have no addresses with port name "{_port(spec, port)}"'
            )
            return ("False", "MissingEndpoints", text)
        if remote.group_version in self.own:
            return PASSED
        url = f"https://{address.host}:{address.port}{address.path}"
        try:
            answer = await self._ask(remote, address, "GET", _user_headers(_SYSTEM), b"")
            body = await answer.whole()
        except UpstreamError as wrong:
            return ("False", "FailedDiscoveryCheck", f'failing or missing response from {url}: Get "{url}": {wrong}')
        if not 200 <= answer.status < 300:
            text = f"failing or missing response from {url}: bad status from {url}: {answer.status}"
            return ("False", "FailedDiscoveryCheck", text)
        try:
            told = orjson.loads(body).get("resources") or []
        except (ValueError, AttributeError):
            told = []
        if told != remote.resources:
            remote.resources = told
            self.generation += 1
        return PASSED

    async def _tell(self, name: str, condition: Condition) -> None:
        status, reason, message = condition
        now = rfc3339(self._clock.now())

        def change(service: Obj) -> Obj:
            held = (service.get("status") or {}).get("conditions") or []
            was: Obj = next((c for c in held if c.get("type") == "Available"), {})
            since = was.get("lastTransitionTime") if was.get("status") == status else now
            made = {"type": "Available", "status": status, "lastTransitionTime": since or now}
            made |= {"reason": reason, "message": message}
            service.setdefault("status", {})["conditions"] = [
                *(c for c in held if c.get("type") != "Available"),
                made,
            ]
            return service

        try:
            await self._resources.update(self._kind, "", name, change, Call(_SYSTEM), system=True)
        except ApiError as gone:
            if gone.code != 404:
                raise

    # Requests

    @staticmethod
    def _root(gv: GroupVersion) -> str:
        return f"/apis/{gv}" if gv.group else f"/api/{gv.version}"

    def of(self, info: Info) -> Remote | None:
        """Who answers a request, when that is not this server. `/apis/<group>/<version>` itself is no resource."""
        if not self.remotes:
            return None
        if info.group:
            return self.remotes.get(GroupVersion(info.group, info.version))
        parts = [part for part in info.path.split("/") if part]
        return self.remotes.get(GroupVersion(*parts[1:])) if len(parts) == 3 and parts[0] == "apis" else None

    def _context(self, spec: Obj) -> ssl.SSLContext:
        if spec.get("insecureSkipTLSVerify"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = trusting(spec.get("caBundle") or "")
        self._identity(context)
        return context

    async def _ask(
        self, remote: Remote, address: Address, method: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Answer:
        return await ask(address, self._context(remote.spec), method, headers, body, _ANSWER_SECONDS)

    async def answer(self, request: Request, remote: Remote) -> Reply:
        """Passes a request on, and its answer back as it comes."""
        if not remote.serves:
            await self._look(remote)
        if not remote.serves:
            return Reply(503, b"service unavailable\n", "text/plain; charset=utf-8")
        service = remote.spec["service"]
        path = request.scope.get("raw_path", b"").decode("latin-1") or quote(request.scope["path"])
        if query := request.scope["query_string"].decode("latin-1"):
            path = f"{path.partition('?')[0]}?{query}"
        headers = [(name, value) for name, value in request.pairs if _passes(name)]
        headers += _user_headers(request.user)
        try:
            address = await self._services.of(
                service.get("namespace", ""), service.get("name", ""), service.get("port") or 443, path
            )
            answer = await self._ask(remote, address, request.info.method, headers, await request.body())
        except UpstreamError as wrong:
            raise errors.status(503, "ServiceUnavailable", f"error trying to reach service: {wrong}") from None
        content_type = dict(answer.headers).get("content-type", "")
        kept = [(name, value) for name, value in answer.headers if name not in _DROPPED and name != "content-type"]
        return Reply(answer.status, b"", content_type, kept, _stream(answer))


def _port(spec: Obj, port: int) -> str:
    return str(next((p.get("name") or "" for p in spec.get("ports") or () if p.get("port") == port), ""))


def _passes(name: str) -> bool:
    return name not in _DROPPED and not name.startswith(("x-remote-", "impersonate-"))


def _user_headers(user: User) -> list[tuple[str, str]]:
    """How the front proxy says who asks."""
    found = [("X-Remote-User", user.name)]
    if user.uid:
        found.append(("X-Remote-Uid", user.uid))
    found += [("X-Remote-Group", group) for group in user.groups]
    found += [(f"X-Remote-Extra-{quote(key)}", value) for key, values in user.extra.items() for value in values]
    return found


async def _stream(answer: Answer) -> AsyncIterator[bytes]:
    try:
        async for part in answer.body:
            yield part
    finally:
        answer.close()


def discovered(remote: Remote) -> list[dict[str, Any]]:
    """The resources of a remote as aggregated discovery lists them."""
    rows: dict[str, dict[str, Any]] = {}
    gv = remote.group_version
    for told in remote.resources:
        name, _, sub = str(told.get("name", "")).partition("/")
        kind = {
            "group": told.get("group") or gv.group,
            "version": told.get("version") or gv.version,
            "kind": told.get("kind", ""),
        }
        row = rows.setdefault(name, {"resource": name})
        if sub:
            entry = {"subresource": sub, "responseKind": kind, "verbs": told.get("verbs") or []}
            row.setdefault("subresources", []).append(entry)
            continue
        row["responseKind"] = kind
        row["scope"] = "Namespaced" if told.get("namespaced") else "Cluster"
        row["singularResource"] = told.get("singularName", "")
        row["verbs"] = told.get("verbs") or []
        for key in ("shortNames", "categories"):
            if told.get(key):
                row[key] = told[key]
    return list(rows.values())
