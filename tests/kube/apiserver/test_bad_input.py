"""Clients that misbehave: the others are served on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from terrarium.kube.apiserver.server import ApiServer
from terrarium.kube.client.contract import CONFIG_MAPS

HEAD = "Host: x\r\nAuthorization: Bearer admin-token\r\n"
MAPS = "/api/v1/namespaces/default/configmaps"


@asynccontextmanager
async def connection(
    server: ApiServer, limit: int = 2**16
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.create_default_context(cadata=server.ca.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=context, limit=limit)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def served(server: ApiServer) -> bool:
    async with connection(server) as (reader, writer):
        writer.write(f"GET /readyz HTTP/1.1\r\n{HEAD}\r\n".encode())
        return (await answer(reader))[0] == 200


async def test_idle_and_slow_connections(servers: ModuleType, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, port=0) as server:
        writers = []
        for number in range(60):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            # Every second one begins a handshake that it does not end.
            writer.write(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b"")
            writers.append(writer)
        async with connection(server) as (_, slow), connection(server) as (_, half):
            slow.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-")
            half.write(f"POST {MAPS} HTTP/1.1\r\n{HEAD}Content-Length: 1000\r\n\r\n".encode() + b'{"metadata"')
            assert await served(server)
        for writer in writers:
            writer.transport.abort()
        assert await served(server)


async def test_a_watcher_that_never_reads(servers: ModuleType, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, port=0) as server:
        watch = f"GET {MAPS}?watch=true HTTP/1.1\r\n{HEAD}\r\n".encode()
        async with connection(server, 1024) as (_, deaf), connection(server) as (reader, other):
            for writer in (deaf, other):
                writer.write(watch)
            await reader.readuntil(b"\r\n\r\n")
            client = server.client()
            for number in range(150):
                big = {"metadata": {"name": f"m{number}"}, "data": {"x": "y" * 100_000}}
                await client.create(CONFIG_MAPS, big, "default")
            seen = 0
            while seen < 150:
                seen += (await reader.read(2**16)).count(b'"type":"ADDED"')
            assert await served(server)


@pytest.mark.parametrize(
    ("raw", "status", "said"),
    [
        pytest.param(b"\x00\xff\xfe", 400, "couldn't get version/kind", id="no JSON"),
        pytest.param(b"[" * 100_000, 400, "exceeded max depth", id="deeply nested"),
        pytest.param(
            b'{"metadata":{"name":"a"},"data":' + b'{"x":' * 900 + b"1" + b"}" * 901, 400, "", id="nested object"
        ),
        pytest.param(b'"' + b"x" * (3 * 1024 * 1024) + b'"', 413, "limit is 3145728", id="too large"),
        pytest.param(b'{"metadata":[]}', 400, "", id="metadata is a list"),
        pytest.param(b'{"kind":7,"apiVersion":{}}', 400, "", id="kind is a number"),
        pytest.param(b'{"metadata":{"name":"\xed\xa0\x80"}}', 422, "", id="half a surrogate"),
        pytest.param(b"null", 422, "", id="null"),
    ],
)
async def test_bodies_that_are_none(
    raw: bytes, status: int, said: str, servers: ModuleType, ask: Any, tmp_path: Path
) -> None:
    async with servers.cluster(tmp_path) as server:
        found = await ask(server, "POST", MAPS, raw, content_type="application/json")
        assert (found.status, found.json["kind"]) == (status, "Status")
        assert said in found.json["message"] and "Traceback" not in found.json["message"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{MAPS}?limit=99999999999999999999999", id="limit beyond 64 bits"),
        pytest.param(f"{MAPS}?continue=%00", id="token of nothing"),
        pytest.param(f"{MAPS}?labelSelector=%28%28%28", id="selector of brackets"),
        pytest.param(f"{MAPS}?fieldSelector=%5C", id="selector of a backslash"),
        pytest.param(f"{MAPS}?resourceVersion=-1", id="negative version"),
        pytest.param(f"{MAPS}?resourceVersion=1e3", id="version with an exponent"),
        pytest.param("/api/v1/namespaces/%2e%2e/configmaps/..", id="dots for names"),
        pytest.param("/apis//v1/x", id="empty group"),
    ],
)
async def test_queries_that_are_none(path: str, servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        found = await ask(server, "GET", path)
        assert 200 <= found.status < 500 or found.json["message"].startswith("resourceVersion")
        assert b"defect" not in found.body


async def test_protobuf_that_is_none(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        media = "application/vnd.kubernetes.protobuf"
        for body in (b"", b"k8s\x00", b"k8s\x00" + b"\xff" * 40, b"nothing", b"k8s\x00\x0a\x0b\x0a\x02v1\x12\x05Weird"):
            found = await ask(server, "POST", MAPS, body, content_type=media, accept="application/json")
            assert found.status == 400 and orjson.loads(found.body)["reason"] == "BadRequest"
