"""APIServices: another server answers for a group, found through its Service; and what this server computes itself."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from terrarium.base.clock import Clock
from terrarium.kube.apiserver.pki import Authority

RESOURCES = [{"name": "flunders", "singularName": "flunder", "namespaced": True, "kind": "Flunder", "verbs": ["get"]}]
LIST = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "wardle.example.com/v1", "resources": RESOURCES}


@asynccontextmanager
async def other_server(folder: Path) -> AsyncIterator[tuple[int, bytes]]:
    """An aggregated server: discovery, and for all else who asked what. Its port and its CA."""
    authority = Authority(folder, Clock().now())
    context = authority.context(["api.default.svc"])
    context.verify_mode = ssl.CERT_NONE

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        path = head[0].split(" ")[1]
        told: Any = LIST if path == "/apis/wardle.example.com/v1" else {"path": path, "user": headers["x-remote-user"]}
        body = orjson.dumps(told)
        status = b"404 Not Found" if "missing" in path else b"200 OK"
        writer.write(
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], authority.certificate
    finally:
        server.close()


def _service(port: int = 0) -> dict[str, Any]:
    """Of this machine (addresses of loopback may be no endpoints); without a port one that nobody stands behind."""
    outside = {"type": "ExternalName", "externalName": "localhost"} if port else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "api", "namespace": "default"},
        "spec": {"ports": [{"name": "https", "port": port or 443}], **outside},
    }


def _announce(ca: bytes, port: int = 443) -> dict[str, Any]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1.wardle.example.com"},
        "spec": {
            "group": "wardle.example.com",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": {"name": "api", "namespace": "default", "port": port},
            "caBundle": base64.b64encode(ca).decode(),
        },
    }


SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


async def test_requests_reach_the_other_server(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with other_server(tmp_path / "other") as (port, ca), servers.cluster(tmp_path / "own") as server:
        await ask(server, "POST", "/api/v1/namespaces/default/services", _service(port))
        await ask(server, "POST", SERVICES, _announce(ca, port))
        stored = await ask(server, "GET", f"{SERVICES}/v1.wardle.example.com")
        assert [(c["status"], c["reason"]) for c in stored.json["status"]["conditions"]] == [("True", "Passed")]
        groups = (await ask(server, "GET", "/apis")).json["groups"]
        assert "wardle.example.com" in [group["name"] for group in groups]
        wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        items = (await ask(server, "GET", "/apis", accept=wanted)).json["items"]
        [version] = next(i for i in items if i["metadata"]["name"] == "wardle.example.com")["versions"]
        assert [r["resource"] for r in version["resources"]] == ["flunders"]
        assert (await ask(server, "GET", "/apis/wardle.example.com/v1")).json == LIST
        path = "/apis/wardle.example.com/v1/namespaces/default/flunders?limit=5"
        assert (await ask(server, "GET", path)).json == {"path": path, "user": "admin"}
        assert (await ask(server, "GET", "/apis/wardle.example.com/v1/missing")).status == 404
        forbidden = await ask(server, "GET", path, authorization="Bearer alice-token")
        assert forbidden.status == 403
        await ask(server, "DELETE", f"{SERVICES}/v1.wardle.example.com")
        assert (await ask(server, "GET", path)).status == 404


@pytest.mark.parametrize(
    ("port", "announced", "reason"),
    [
        pytest.param(None, 443, "ServiceNotFound", id="no service"),
        pytest.param(0, 444, "ServicePortError", id="another port"),
        pytest.param(0, 443, "MissingEndpoints", id="no endpoints"),
        pytest.param(1, 1, "FailedDiscoveryCheck", id="nobody answers"),
    ],
)
async def test_what_is_missing_is_told(
    port: int | None, announced: int, reason: str, servers: ModuleType, ask: Any, tmp_path: Path
) -> None:
    async with servers.cluster(tmp_path) as server:
        if port is not None:
            await ask(server, "POST", "/api/v1/namespaces/default/services", _service(port))
        await ask(server, "POST", SERVICES, _announce(server.ca, announced))
        stored = await ask(server, "GET", f"{SERVICES}/v1.wardle.example.com")
        assert [(c["status"], c["reason"]) for c in stored.json["status"]["conditions"]] == [("False", reason)]
        answer = await ask(server, "GET", "/apis/wardle.example.com/v1/namespaces/default/flunders")
        assert (answer.status, answer.body) == (503, b"service unavailable\n")


async def test_a_certificate_of_another_authority_is_refused(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with other_server(tmp_path / "other") as (port, _), servers.cluster(tmp_path / "own") as server:
        await ask(server, "POST", "/api/v1/namespaces/default/services", _service(port))
        await ask(server, "POST", SERVICES, _announce(server.ca, port))
        stored = await ask(server, "GET", f"{SERVICES}/v1.wardle.example.com")
        [condition] = stored.json["status"]["conditions"]
        assert condition["reason"] == "FailedDiscoveryCheck" and "certificate" in condition["message"]


def test_a_bundle_that_is_none_trusts_nobody() -> None:
    from terrarium.kube.apiserver.conversion import trusting

    assert trusting("bm90IGEgY2VydA==").get_ca_certs() == []
    assert trusting("").verify_mode == ssl.CERT_REQUIRED


async def test_component_statuses(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path, components=("scheduler",)) as server:
        answer = await ask(server, "GET", "/api/v1/componentstatuses")
        found = {item["metadata"]["name"]: item["conditions"][0]["status"] for item in answer.json["items"]}
        assert found == {"controller-manager": "False", "etcd-0": "True", "scheduler": "True"}
        assert answer.warnings == ['299 - "v1 ComponentStatus is deprecated in v1.19+"']
        assert (await ask(server, "GET", "/api/v1/componentstatuses/scheduler")).status == 200
        assert (await ask(server, "GET", "/api/v1/componentstatuses/nope")).status == 404


async def test_metrics(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    pod = {"metadata": {"name": "p", "labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    used = {"n1": {"default/p": {"c": (250_000_000, 64 * 1024 * 1024)}, "default/gone": {"c": (1, 1)}}}
    async with servers.cluster(tmp_path, usage=used) as server:
        await ask(server, "POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
        await ask(server, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        assert (await ask(server, "POST", "/api/v1/namespaces/default/pods", pod)).status == 201
        root = "/apis/metrics.k8s.io/v1beta1"
        assert (await ask(server, "GET", f"{root}/nodes/n1")).status == 404
        # Somebody installs a metrics server: it stands for what this server knows.
        announced = _announce(server.ca)
        announced["metadata"]["name"] = "v1beta1.metrics.k8s.io"
        announced["spec"] |= {"group": "metrics.k8s.io", "version": "v1beta1"}
        await ask(server, "POST", "/api/v1/namespaces/default/services", _service(443))
        assert (await ask(server, "POST", SERVICES, announced)).status == 201
        stored = await ask(server, "GET", f"{SERVICES}/v1beta1.metrics.k8s.io")
        assert stored.json["status"]["conditions"][0]["reason"] == "Passed"
        assert (await ask(server, "GET", f"{root}/nodes/n1")).status == 200
        [item] = (await ask(server, "GET", f"{root}/namespaces/default/pods?labelSelector=app%3Dx")).json["items"]
        assert item["containers"] == [{"name": "c", "usage": {"cpu": "250000000n", "memory": "65536Ki"}}]
        node = (await ask(server, "GET", f"{root}/nodes/n1")).json
        assert node["usage"] == {"cpu": "250000001n", "memory": "65536Ki"}
        table = (await ask(server, "GET", f"{root}/pods", accept="application/json;as=Table;v=v1;g=meta.k8s.io")).json
        assert table["rows"][0]["cells"] == ["p", "250m", "65536Ki", "15s"]
        missing = await ask(server, "GET", f"{root}/namespaces/default/pods/x")
        assert missing.json["message"] == 'podmetrics.metrics.k8s.io "default/x" not found'
        await ask(server, "DELETE", f"{SERVICES}/v1beta1.metrics.k8s.io")
        assert (await ask(server, "GET", f"{root}/nodes/n1")).status == 404


async def test_events_are_forgotten_after_an_hour(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        event = {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reason": "R", "message": "m"}
        for name in ("old", "kept"):
            await ask(server, "POST", "/api/v1/namespaces/default/events", {"metadata": {"name": name}, **event})
        await asyncio.sleep(0)
        await server.clock.advance(3000)
        path = "/api/v1/namespaces/default/events"
        await ask(server, "PATCH", f"{path}/kept", {"count": 2}, content_type="application/merge-patch+json")
        await server.clock.advance(1000)
        names = [item["metadata"]["name"] for item in (await ask(server, "GET", path)).json["items"]]
        assert names == ["kept"]
        await server.clock.advance(3000)
        assert (await ask(server, "GET", path)).json["items"] == []
