"""The server as HTTP clients see it: requests and answers through the ASGI application."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from terrarium.kube.apiserver.server import ApiServer
from terrarium.kube.apiserver.spdy import DICTIONARY, Connection, Data, Opened

_SPEC = importlib.util.spec_from_file_location("kube_http_cluster", Path(__file__).parent / "cluster.py")
assert _SPEC is not None and _SPEC.loader is not None
_CLUSTER = importlib.util.module_from_spec(_SPEC)
sys.modules["kube_http_cluster"] = _CLUSTER
_SPEC.loader.exec_module(_CLUSTER)
cluster = _CLUSTER.cluster

ADMIN = {"authorization": "Bearer admin-token"}
ALICE = {"authorization": "Bearer alice-token"}


class Answer:
    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {k.decode(): v.decode() for k, v in messages[0]["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def call(
    server: ApiServer, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    data = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
    target, _, query = path.partition("?")
    pairs = [(k.encode(), v.encode()) for k, v in {**ADMIN, **(headers or {})}.items() if v]
    scope = {"type": "http", "method": method, "path": target, "query_string": query.encode(), "headers": pairs}
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": data})
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await server.app(scope, incoming.get, send)
    return Answer(sent)


MAPS = "/api/v1/namespaces/default/configmaps"
MAP = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"x": "1"}}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}

ANSWERS = [
    pytest.param("GET", "/healthz", None, {"authorization": ""}, 200, "ok", id="health without credentials"),
    pytest.param("GET", "/api", None, {"authorization": "Bearer nobody"}, 401, "Unauthorized", id="unknown token"),
    pytest.param("GET", MAPS, None, {"authorization": ""}, 403, "system:anonymous", id="anonymous"),
    pytest.param("GET", MAPS, None, ALICE, 403, 'User \\"alice\\" cannot list resource', id="not allowed"),
    pytest.param("GET", "/apis/nope/v1", None, {}, 404, "404 page not found", id="unknown group"),
    pytest.param("GET", "/api/v1/nopes", None, {}, 404, "could not find the requested resource", id="unknown resource"),
    pytest.param("GET", f"{MAPS}/nope", None, {}, 404, 'configmaps \\"nope\\" not found', id="missing object"),
    pytest.param("PUT", MAPS, {}, {}, 405, "does not allow this method", id="put on a collection"),
    pytest.param("GET", MAPS, None, {"accept": "text/html"}, 406, "Available representations", id="unknown media type"),
    pytest.param(
        "PATCH", f"{MAPS}/a", {}, {"content-type": "text/plain"}, 415, "Unsupported Media Type", id="bad patch"
    ),
    pytest.param("POST", MAPS, b"{", {}, 400, "json parse error", id="no JSON"),
    pytest.param("POST", MAPS, b"x" * 3_200_000, {}, 413, "limit is 3145728", id="too large"),
    pytest.param("POST", f"{MAPS}?dryRun=yes", MAP, {}, 422, 'supported values: \\"All\\"', id="bad dry run"),
    pytest.param(
        "POST", "/api/v1/namespaces/no/configmaps", MAP, {}, 404, 'namespaces \\"no\\"', id="missing namespace"
    ),
    pytest.param("GET", f"{MAPS}?limit=x", None, {}, 400, "strconv.ParseInt", id="bad limit"),
    pytest.param("GET", f"{MAPS}?resourceVersion=999999", None, {}, 504, "Too large resource version", id="future"),
    pytest.param("GET", f"{MAPS}?labelSelector=a==b=c", None, {}, 400, "expected", id="bad selector"),
    pytest.param("DELETE", "/api/v1/namespaces/default", None, {}, 403, "may not be deleted", id="protected namespace"),
    pytest.param("GET", "/version", None, {}, 200, '"minor": "33"', id="version"),
    pytest.param("GET", "/metrics", None, {}, 200, "apiserver_request_total", id="metrics"),
    pytest.param("GET", "/apis/apps/v1", None, {}, 200, '"deployments/scale"', id="discovery"),
    pytest.param("GET", "/openapi/v3/apis/apps/v1", None, {}, 200, "io.k8s.api.apps.v1.Deployment", id="openapi"),
    pytest.param("GET", "/api/v1/namespaces", None, TABLE, 200, '"columnDefinitions"', id="table"),
]


def test_answers(tmp_path: Path) -> None:
    async def run() -> None:
        wrong: list[str] = []
        async with cluster(tmp_path) as server:
            await call(server, "GET", "/api/v1/namespaces")
            for case in ANSWERS:
                method, path, body, headers, status, text = case.values
                answer = await call(server, method, path, body, headers)
                if answer.status != status or text not in answer.body.decode():
                    wrong.append(f"{case.id}: {answer.status} {answer.body[:300].decode()}")
        assert not wrong, "\n".join(wrong)

    asyncio.run(run())


def test_writes_warn_and_lists_continue(tmp_path: Path) -> None:
    async def run() -> None:
        async with cluster(tmp_path) as server:
            made = await call(server, "POST", MAPS, {**MAP, "bogus": 1})
            assert made.status == 201
            assert made.headers["warning"] == '299 - "unknown field \\"bogus\\""'
            assert "bogus" not in made.json and made.body.endswith(b"\n")
            strict = await call(server, "POST", f"{MAPS}?fieldValidation=Strict", {**MAP, "bogus": 1})
            assert strict.status == 400
            dry = await call(server, "POST", f"{MAPS}?dryRun=All", {**MAP, "metadata": {"generateName": "g-"}})
            assert dry.status == 201 and dry.json["metadata"]["name"].startswith("g-")
            again = await call(server, "POST", MAPS, MAP)
            assert (again.status, again.json["reason"]) == (409, "AlreadyExists")
            await call(server, "POST", MAPS, {**MAP, "metadata": {"name": "b"}})
            page = await call(server, "GET", f"{MAPS}?limit=1")
            assert page.json["metadata"]["remainingItemCount"] == 1
            await call(server, "DELETE", f"{MAPS}/b")
            token = page.json["metadata"]["continue"]
            rest = await call(server, "GET", f"{MAPS}?limit=1&continue={token}")
            assert [o["metadata"]["name"] for o in rest.json["items"]] == ["b"], "the snapshot still has it"
            yaml = b"kind: ConfigMap\napiVersion: v1\nmetadata:\n  name: yam\n"
            assert (await call(server, "POST", MAPS, yaml, {"content-type": "application/yaml"})).status == 201
            binary = await call(server, "GET", f"{MAPS}/yam", None, {"accept": "application/vnd.kubernetes.protobuf"})
            assert binary.body.startswith(b"k8s\0")

    asyncio.run(run())


def test_a_watch_streams_until_its_timeout(tmp_path: Path) -> None:
    async def run() -> None:
        async with cluster(tmp_path) as server:
            await call(server, "POST", MAPS, MAP)
            watching = asyncio.create_task(
                call(server, "GET", f"{MAPS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true")
            )
            await asyncio.sleep(0)
            await call(server, "POST", MAPS, {**MAP, "metadata": {"name": "b"}})
            await call(server, "DELETE", f"{MAPS}/a")
            answer = await watching
            events = [orjson.loads(line) for line in answer.body.splitlines()]
            told = [(e["type"], e["object"]["metadata"].get("name")) for e in events]
            assert told[:3] == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]
            assert told[3:] == [("BOOKMARK", None)]

    asyncio.run(run())


CRD = {
    "kind": "CustomResourceDefinition",
    "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": "toys.example.com"},
    "spec": {
        "group": "example.com",
        "names": {"kind": "Toy", "plural": "toys", "singular": "toy", "listKind": "ToyList"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["size"],
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                },
                            },
                            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                        },
                    }
                },
            }
        ],
    },
}


def test_custom_resources_are_served_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        async with cluster(tmp_path) as server:
            definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            assert (await call(server, "POST", definitions, CRD)).status == 201
            toys = "/apis/example.com/v1/namespaces/default/toys"
            toy = {
                "kind": "Toy",
                "apiVersion": "example.com/v1",
                "metadata": {"name": "t"},
                "spec": {"size": 2, "x": 1},
            }
            made = await call(server, "POST", toys, toy)
            assert made.status == 201 and made.json["spec"] == {"size": 2, "colour": "red"}
            assert made.json["metadata"]["generation"] == 1
            assert made.headers["warning"] == '299 - "unknown field \\"spec.x\\""'
            bad = await call(server, "POST", toys, {**toy, "metadata": {"name": "u"}, "spec": {"colour": "green"}})
            assert bad.status == 422
            causes = {(c["field"], c["reason"]) for c in bad.json["details"]["causes"]}
            assert causes == {("spec.size", "FieldValueRequired"), ("spec.colour", "FieldValueNotSupported")}
            status = {**made.json, "spec": {"size": 9}, "status": {"ready": True}}
            changed = await call(server, "PUT", f"{toys}/t/status", status)
            assert changed.json["spec"]["size"] == 2 and changed.json["status"] == {"ready": True}
            await call(server, "DELETE", f"{definitions}/toys.example.com")
            ending = await call(server, "POST", toys, {**toy, "metadata": {"name": "v"}})
            assert ending.status == 405, ending.json
            await asyncio.sleep(0)
            await server.clock.advance(1)
            assert (await call(server, "GET", toys)).status == 404

    asyncio.run(run())


def test_exec_over_websocket(tmp_path: Path) -> None:
    async def run() -> None:
        async with cluster(tmp_path) as server:
            client = server.client()
            from terrarium.kube.client.contract import NODES, PODS, SERVICE_ACCOUNTS

            await client.create(NODES, {"metadata": {"name": "n1"}})
            await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "default")
            pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
            await client.create(PODS, pod, "default")
            log = await call(server, "GET", "/api/v1/namespaces/default/pods/p/log?tailLines=2")
            assert log.body == b"c line 0\nc line 1\n"
            scope = {
                "type": "websocket",
                "path": "/api/v1/namespaces/default/pods/p/exec",
                "query_string": b"command=exit&command=7&stdout=true",
                "headers": [
                    (b"authorization", b"Bearer admin-token"),
                    (b"sec-websocket-protocol", b"v5.channel.k8s.io"),
                ],
            }
            incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
            incoming.put_nowait({"type": "websocket.connect"})
            sent: list[dict[str, Any]] = []

            async def send(message: Any) -> None:
                sent.append(message)

            await server.app(scope, incoming.get, send)
            assert sent[0] == {"type": "websocket.accept", "subprotocol": "v5.channel.k8s.io"}
            assert sent[1]["bytes"] == b"\x01c: exit 7\n"
            error = orjson.loads(sent[2]["bytes"][1:])
            assert sent[2]["bytes"][0] == 3 and error["details"]["causes"][0]["message"] == "7"

    asyncio.run(run())


def test_spdy_frames_survive_any_split() -> None:
    import zlib

    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2, "the dictionary of the specification"
    ours, theirs = Connection(), Connection()
    wire = theirs.open(1, {"streamtype": "data", "port": "80"}) + theirs.data(1, b"hello", fin=True)
    wire += theirs.open(3, {"streamtype": "error"})
    for step in (1, 3, len(wire)):
        ours = Connection()
        seen = [event for at in range(0, len(wire), step) for event in ours.feed(wire[at : at + step])]
        assert seen == [
            Opened(1, {"streamtype": "data", "port": "80"}),
            Data(1, b"hello", fin=True),
            Opened(3, {"streamtype": "error"}),
        ]
