"""The OpenAPI documents over HTTP: version 3 in parts behind an index of hashes, version 2 whole.

Each document is made when it is first asked for, and again when rows that it tells of have changed; its hash is its ETag
and the `hash` of its address in the index, so that clients may keep it for ever.
"""

from __future__ import annotations

import asyncio
import hashlib
import operator
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from terrarium.kube.api.kinds import Kind, Registry
from terrarium.kube.apiserver import negotiate
from terrarium.kube.apiserver.messages import Reply, Request

ROOT = "/openapi/v3"
_NEVER = "Fri, 31 Dec 2100 23:59:59 GMT"
_TEXT = "text/plain; charset=utf-8"
_JSON_V2 = "application/com.github.proto-openapi.spec.v2@v1.0+json"
Schemas = Callable[[], Mapping[str, Mapping[str, Any]]]


class Documents:
    """`schemas` gives the structural schemas of custom resources by definition name."""

    def __init__(self, registry: Registry, minor: int, schemas: Schemas) -> None:
        self._registry = registry
        self._minor = minor
        self._schemas = schemas
        self._made: dict[str, tuple[tuple[Kind, ...], bytes, str]] = {}

    def _kept(self, key: str, rows: tuple[Kind, ...], make: Callable[[], bytes | None]) -> tuple[bytes, str] | None:
        """What `make` gave for these rows, and its hash."""
        kept = self._made.get(key)
        if kept is not None and len(kept[0]) == len(rows) and all(map(operator.is_, kept[0], rows)):
            return kept[1], kept[2]
        body = make()
        if body is None:
            return None
        self._made[key] = (rows, body, hashlib.sha512(body).hexdigest().upper())
        return self._made[key][1:]

    def _part(self, path: str) -> tuple[bytes, str] | None:
        from terrarium.kube.api import openapi

        def make() -> bytes | None:
            document = openapi.v3_document(self._registry, path, self._minor, self._schemas())
            return orjson.dumps(document) if document is not None else None

        return self._kept(path, openapi.rows_at(self._registry, path), make)

    async def index(self, request: Request) -> Reply:
        from terrarium.kube.api import openapi

        paths: dict[str, Any] = {}
        for path in openapi.v3_index(self._registry):
            found = self._part(path)
            if found is not None:
                paths[path] = {"serverRelativeURL": f"{ROOT}/{path}?hash={found[1]}"}
        return Reply(200, orjson.dumps({"paths": paths}), _TEXT)

    async def part(self, request: Request) -> Reply:
        path = request.info.path.removeprefix(f"{ROOT}/").rstrip("/")
        found = self._part(path)
        if found is None:
            return Reply(404, b"", "")
        if not _accepts(request, negotiate.JSON):
            return Reply(406, b"", "")
        body, made = found
        asked = request.info.first("hash")
        headers = [("etag", f'"{made}"'), ("vary", "Accept")]
        if asked and asked.upper() != made:
            return Reply(301, b"", negotiate.JSON, [*headers, ("location", f"{ROOT}/{path}?hash={made}")])
        if asked:
            headers.append(("cache-control", "public, immutable"))
            headers.append(("expires", _NEVER))
        if request.headers.get("if-none-match") == f'"{made}"':
            return Reply(304, b"", "", headers)
        return Reply(200, body, negotiate.JSON, headers)

    async def whole(self, request: Request) -> Reply:
        """Version 2, as JSON or in the protobuf that client-go asks for."""
        from terrarium.kube.api import openapi, swagger_protobuf

        accept = request.headers.get("accept", "")
        wanted = [media for media, _ in negotiate.clauses(accept)] if accept else ["*/*"]
        binary = swagger_protobuf.ASKED, swagger_protobuf.MEDIA_TYPE
        media = next((m for m in wanted if m in (negotiate.JSON, "*/*", "application/*", _JSON_V2, *binary)), None)
        if media is None:
            return Reply(406, b"", "")

        def make() -> bytes:
            document = openapi.v2_document(self._registry, self._minor, self._schemas())
            return swagger_protobuf.encode(document) if media in binary else orjson.dumps(document)

        # The whole takes a moment: others are served meanwhile.
        key = "v2 protobuf" if media in binary else "v2"
        found = await asyncio.to_thread(self._kept, key, tuple(self._registry), make)
        assert found is not None
        body, made = found
        headers = [("etag", f'"{made}"'), ("vary", "Accept-Encoding"), ("vary", "Accept")]
        if request.headers.get("if-none-match") == f'"{made}"':
            return Reply(304, b"", "", headers)
        return Reply(200, body, swagger_protobuf.MEDIA_TYPE if media in binary else negotiate.JSON, headers)


def _accepts(request: Request, media: str) -> bool:
    accept = request.headers.get("accept", "")
    if not accept.strip():
        return True
    return any(found in (media, "*/*", "application/*") for found, _ in negotiate.clauses(accept))
