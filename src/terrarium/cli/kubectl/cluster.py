"""A cluster as kubectl sees it: raw requests by kubeconfig, and resources found by any of their names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from terrarium.base.diagnostics import Failure
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError
from terrarium.kube.client.http import Transport, failure_of
from terrarium.kube.client.kubeconfig import Login

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One entry of discovery. `names` are all words that mean it: plural, singular, short names, kind."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    names: tuple[str, ...]
    short: tuple[str, ...]
    verbs: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self) -> str:
        """As kubectl names it in answers: `deployment.apps`, `pod`."""
        return f"{self.kind.lower()}.{self.group}" if self.group else self.kind.lower()

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Named:
    """What a word like `deployment/web` means; `name` is "" for all of a type."""

    type: ResourceType
    name: str

    def __str__(self) -> str:
        return f"{self.type.qualified}/{self.name}"


class Cluster:
    """Requests to one cluster. Every call may raise `ApiError`; a lost connection is a `Failure`."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._transport = Transport(login, "kubectl/v1.33.0 (linux/amd64) terrarium")
        self._types: list[ResourceType] | None = None

    async def close(self) -> None:
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        accept: str = "application/json",
        content: str = "application/json",
    ) -> bytes:
        chosen = {key: value for key, value in (query or {}).items() if value}
        target = f"{path}?{urlencode(chosen)}" if chosen else path
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        headers = [("Accept", accept), *([("Content-Type", content)] if data else [])]
        try:
            status, answer = await self._transport.request(method, target, headers, data)
        except OSError as error:
            raise Failure(
                f"The connection to the server {self.login.server} was refused or lost: {error.strerror or error}",
                "Is the cluster running? (terrarium status)",
            ) from None
        if status >= 400:
            raise failure_of(status, answer)
        return answer

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, **kw: Any
    ) -> Obj:
        answer: Obj = orjson.loads(await self.request(method, path, query, body, **kw))
        return answer

    async def lines(self, path: str, query: Mapping[str, str], accept: str = "*/*") -> AsyncIterator[bytes]:
        """Lines of an answer that goes on: a watch, a followed log."""
        chosen = {key: value for key, value in query.items() if value}
        try:
            async for line in self._transport.stream(f"{path}?{urlencode(chosen)}", [("Accept", accept)]):
                yield line
        except OSError:
            return

    # --- discovery -------------------------------------------------------------------------------------------------

    async def types(self) -> Sequence[ResourceType]:
        """Every resource served, preferred versions of groups first."""
        if self._types is None:
            listed = await self.ask("GET", "/apis")
            groups = [("", "v1")]
            for entry in listed.get("groups") or ():
                preferred = entry["preferredVersion"]["version"]
                rest = [v["version"] for v in entry["versions"] if v["version"] != preferred]
                groups += [(entry["name"], version) for version in (preferred, *rest)]
            found = await asyncio.gather(*(self._group(*pair) for pair in groups))
            self._types = [entry for listing in found for entry in listing]
        return self._types

    async def _group(self, group: str, version: str) -> list[ResourceType]:
        try:
            listing = await self.ask("GET", f"/apis/{group}/{version}" if group else f"/api/{version}")
        except ApiError:
            return []  # a group whose server does not answer hides nothing else
        return [
            ResourceType(
                group,
                version,
                r["name"],
                r["kind"],
                r["namespaced"],
                (
                    r["name"],
                    r.get("singularName") or r["kind"].lower(),
                    r["kind"].lower(),
                    *(r.get("shortNames") or ()),
                ),
                tuple(r.get("shortNames") or ()),
                tuple(r["verbs"]),
                tuple(r.get("categories") or ()),
            )
            for r in listing.get("resources") or ()
            if "/" not in r["name"]
        ]

    async def type(self, word: str) -> ResourceType:
        """By plural, singular, short name or kind, with or without `.group` or `.version.group`."""
        lowered = word.lower()
        name, _, rest = lowered.partition(".")
        for entry in await self.types():
            if lowered in entry.names:
                return entry
        for entry in await self.types():
            if name in entry.names and rest in (entry.group, f"{entry.version}.{entry.group}".rstrip(".")):
                return entry
        raise Failure(f'the server doesn\'t have a resource type "{word}"')

    async def type_of(self, obj: Obj) -> ResourceType:
        version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
        for entry in await self.types():
            if entry.api_version == version and entry.kind == kind:
                return entry
        raise Failure(f'no matches for kind "{kind}" in version "{version}"', "ensure CRDs are installed first")

    async def named(self, words: Sequence[str]) -> list[Named]:
        """`pod a b`, `pod/a svc/b`, `pods,services`, `all`: what they mean."""
        if not words:
            raise Failure("You must specify the type of resource, such as pods, or TYPE/NAME.")
        if any("/" in word for word in words):
            pairs = [word.partition("/") for word in words]
            return [Named(await self.type(kind), name) for kind, _, name in pairs]
        types = [entry for word in words[0].split(",") for entry in await self._types_of(word)]
        return [Named(entry, name) for entry in types for name in (words[1:] or [""])]

    async def _types_of(self, word: str) -> list[ResourceType]:
        seen: dict[tuple[str, str], ResourceType] = {}
        for entry in await self.types():
            if word in entry.categories and "list" in entry.verbs:
                seen.setdefault((entry.group, entry.plural), entry)
        return list(seen.values()) or [await self.type(word)]
