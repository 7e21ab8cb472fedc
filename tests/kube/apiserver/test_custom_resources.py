"""Custom resources in their life: names, versions, columns, conversion by a webhook, and the end."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from terrarium.base.clock import Clock
from terrarium.kube.api import jsonpath
from terrarium.kube.apiserver.crds import accept_names
from terrarium.kube.apiserver.pki import Authority

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ANYTHING = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
LAMPS = "/apis/example.com/{}/namespaces/default/lamps"


def version(name: str = "v1", **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": name == "v1", "schema": ANYTHING, **more}


def definition(*versions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    names = {"plural": "lamps", "singular": "lamp", "kind": "Lamp", "listKind": "LampList", "shortNames": ["lp"]}
    held = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions or (version(),), **spec}
    meta = {"name": f"{held['names']['plural']}.{held['group']}"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta, "spec": held}


def lamp(name: str = "l", at: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": f"example.com/{at}", "kind": "Lamp", "metadata": {"name": name}, **fields}


@pytest.mark.parametrize(
    ("names", "held", "others", "accepted", "reason"),
    [
        pytest.param({}, {}, {}, {"plural": "a", "singular": "x", "kind": "X", "listKind": "XList"}, None, id="fresh"),
        pytest.param({}, {}, {"kind": "X"}, {"plural": "a", "singular": "x", "kind": "", "listKind": "XList"}, "KindConflict", id="kind taken"),
        pytest.param({}, {}, {"shortNames": ["x"]}, {"plural": "a", "kind": "X", "listKind": "XList"}, "SingularConflict", id="singular is a short name"),
        pytest.param(
            {"kind": "Y"},
            {"plural": "a", "singular": "y", "kind": "X", "listKind": "XList"},
            {},
            {"plural": "a", "singular": "y", "kind": "Y", "listKind": "YList"},
            None,
            id="renamed",
        ),
    ],
)  # fmt: skip
def test_names(names: Any, held: Any, others: Any, accepted: Any, reason: str | None) -> None:
    made = {"spec": {"names": {"plural": "a", "kind": "X", **names}}, "status": {"acceptedNames": held}}
    got, conflict = accept_names(made, [{"status": {"acceptedNames": others}}])
    assert (got, conflict and conflict[0]) == (accepted, reason)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        pytest.param(".spec.a[0].t", ["R"], id="index"),
        pytest.param(".spec.a[-1].t", ["X"], id="from the end"),
        pytest.param(".spec.a[*].s", [1, 2], id="all"),
        pytest.param(".spec.a[0:1].s", [1], id="slice"),
        pytest.param(".spec.a[0,1].s", [1, 2], id="union"),
        pytest.param('.spec.a[?(@.t=="X")].s', [2], id="filter by text"),
        pytest.param(".spec.a[?(@.s>1)].t", ["X"], id="filter by number"),
        pytest.param(".spec.a[?(@.z)].t", [], id="filter by presence"),
        pytest.param(r".spec.m.x\.y/z", ["q"], id="escaped dot"),
        pytest.param(".spec.m['x.y/z']", ["q"], id="quoted name"),
        pytest.param("{.spec.m.x\\.y/z}", ["q"], id="in braces"),
        pytest.param("..s", [1, 2], id="anywhere"),
        pytest.param(".spec.none.deeper", [], id="nowhere"),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    value = {"spec": {"a": [{"t": "R", "s": 1}, {"t": "X", "s": 2}], "m": {"x.y/z": "q"}}}
    assert jsonpath.parse(path).find(value) == found


async def test_names_in_conflict_wait_for_their_turn(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        await ask(server, "POST", DEFINITIONS, definition())
        other = definition(names={"plural": "lights", "singular": "light", "kind": "Lamp", "listKind": "LightList"})
        assert (await ask(server, "POST", DEFINITIONS, other)).status == 201
        path = "/apis/example.com/v1/lights"
        assert (await ask(server, "GET", path)).body == b"404 page not found\n"
        await ask(server, "DELETE", f"{DEFINITIONS}/lamps.example.com")
        assert (await ask(server, "GET", path)).status == 200


async def test_versions_and_what_is_said_of_them(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    old = version("v1beta1", deprecated=True)
    older = version("v1alpha1", deprecated=True, deprecationWarning="go away")
    async with servers.cluster(tmp_path) as server:
        await ask(server, "POST", DEFINITIONS, definition(older, old, version()))
        await ask(server, "POST", LAMPS.format("v1"), lamp(spec={"watts": 5}))
        found = await ask(server, "GET", LAMPS.format("v1beta1") + "/l")
        assert found.json["apiVersion"] == "example.com/v1beta1" and found.json["spec"] == {"watts": 5}
        assert found.warnings == ['299 - "example.com/v1beta1 Lamp is deprecated; use example.com/v1 Lamp"']
        assert (await ask(server, "GET", LAMPS.format("v1alpha1"))).warnings == ['299 - "go away"']
        group = (await ask(server, "GET", "/apis/example.com")).json
        assert [v["version"] for v in group["versions"]] == ["v1", "v1beta1", "v1alpha1"]
        services = (await ask(server, "GET", "/apis/apiregistration.k8s.io/v1/apiservices")).json["items"]
        assert {"v1.example.com", "v1beta1.example.com"} <= {s["metadata"]["name"] for s in services}
        document = (await ask(server, "GET", "/openapi/v3/apis/example.com/v1")).json
        assert "com.example.v1.Lamp" in document["components"]["schemas"]
        assert "/apis/example.com/v1/namespaces/{namespace}/lamps/{name}" in document["paths"]
        outside = await ask(server, "GET", "/apis/example.com/v1/namespaces/default/lamps/l/nothing")
        assert outside.json["message"] == 'lamps.example.com "l" not found'


async def test_columns_and_selectable_fields(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    columns = [
        {"name": "Watts", "type": "integer", "jsonPath": ".spec.watts"},
        {"name": "Lit", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Lit")].status'},
        {"name": "Since", "type": "date", "jsonPath": ".spec.since"},
    ]
    shape = {"type": "object", "properties": {"watts": {"type": "integer"}, "since": {"type": "string"}}}
    schema = {
        "openAPIV3Schema": {"type": "object", "properties": {"spec": shape, "status": ANYTHING["openAPIV3Schema"]}}
    }
    fields = [{"jsonPath": ".spec.watts"}]
    made = definition(version(schema=schema, additionalPrinterColumns=columns, selectableFields=fields))
    async with servers.cluster(tmp_path) as server:
        assert (await ask(server, "POST", DEFINITIONS, made)).status == 201
        status = {"conditions": [{"type": "Old", "status": "False"}, {"type": "Lit", "status": "True"}]}
        await ask(server, "POST", LAMPS.format("v1"), lamp("a", spec={"watts": 5, "since": "soon"}, status=status))
        await ask(server, "POST", LAMPS.format("v1"), lamp("b", spec={"watts": 7}))
        table = (await ask(server, "GET", LAMPS.format("v1"), accept=TABLE)).json
        assert [row["cells"] for row in table["rows"]] == [["a", 5, "True", "<invalid>"], ["b", 7, None, None]]
        chosen = (await ask(server, "GET", LAMPS.format("v1") + "?fieldSelector=spec.watts%3D7")).json["items"]
        assert [item["metadata"]["name"] for item in chosen] == ["b"]
        wrong = await ask(server, "GET", LAMPS.format("v1") + "?fieldSelector=spec.volts%3D7")
        assert (wrong.status, wrong.json["message"]) == (400, "field label not supported: spec.volts")


async def test_defaults_that_came_later_are_read(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    def with_default(default: dict[str, Any]) -> dict[str, Any]:
        colour = {"type": "string", **default}
        shape = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"colour": colour}}}}
        return definition(version(schema={"openAPIV3Schema": shape}))

    async with servers.cluster(tmp_path) as server:
        await ask(server, "POST", DEFINITIONS, with_default({}))
        await ask(server, "POST", LAMPS.format("v1"), lamp(spec={}))
        held = (await ask(server, "GET", f"{DEFINITIONS}/lamps.example.com")).json
        held["spec"]["versions"] = with_default({"default": "red"})["spec"]["versions"]
        assert (await ask(server, "PUT", f"{DEFINITIONS}/lamps.example.com", held)).status == 200
        assert (await ask(server, "GET", LAMPS.format("v1") + "/l")).json["spec"] == {"colour": "red"}
        assert (await ask(server, "GET", LAMPS.format("v1"))).json["items"][0]["spec"] == {"colour": "red"}


async def test_finalizers_hold_a_definition(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with servers.cluster(tmp_path) as server:
        await ask(server, "POST", DEFINITIONS, definition())
        held = lamp()
        held["metadata"]["finalizers"] = ["example.com/x"]
        await ask(server, "POST", LAMPS.format("v1"), held)
        ending = (await ask(server, "DELETE", f"{DEFINITIONS}/lamps.example.com")).json
        assert ending["status"]["conditions"][-1]["reason"] == "InstanceDeletionPending"
        refused = await ask(server, "POST", LAMPS.format("v1"), lamp("m"))
        assert refused.json["message"] == "create not allowed while custom resource definition is terminating"
        patch = {"metadata": {"finalizers": None}}
        await ask(server, "PATCH", LAMPS.format("v1") + "/l", patch, content_type="application/merge-patch+json")
        assert (await ask(server, "GET", f"{DEFINITIONS}/lamps.example.com")).status == 404
        assert (await ask(server, "GET", "/apis/apiregistration.k8s.io/v1/apiservices/v1.example.com")).status == 404


# -- conversion by a webhook ------------------------------------------------------------------------------------------

Convert = Callable[[dict[str, Any], str], dict[str, Any]]


@asynccontextmanager
async def webhook(folder: Path, convert: Convert) -> AsyncIterator[dict[str, Any]]:
    """A conversion webhook; gives the definition's `conversion`."""
    authority = Authority(folder, Clock().now())
    context = authority.context(["127.0.0.1"])
    context.verify_mode = ssl.CERT_NONE

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        request = orjson.loads(await reader.readexactly(length))["request"]
        objects = [convert(obj, request["desiredAPIVersion"]) for obj in request["objects"]]
        response = {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        body = orjson.dumps({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": response})
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    config = {"url": f"https://127.0.0.1:{port}/", "caBundle": base64.b64encode(authority.certificate).decode()}
    try:
        yield {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}
    finally:
        server.close()


def renamed(obj: dict[str, Any], wanted: str) -> dict[str, Any]:
    """v1 has `spec.watts`, v2 `spec.power` in milliwatts; labels may change, names may not."""
    spec = dict(obj["spec"])
    if wanted.endswith("v2"):
        spec = {"power": spec["watts"] * 1000}
    else:
        spec = {"watts": spec["power"] // 1000}
    meta = {**obj["metadata"], "name": "other", "labels": {"converted": wanted.rpartition("/")[2]}}
    return {**obj, "apiVersion": wanted, "metadata": meta, "spec": spec}


async def test_a_webhook_converts(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with webhook(tmp_path / "hook", renamed) as conversion, servers.cluster(tmp_path / "own") as server:
        made = definition(version(), version("v2"), conversion=conversion)
        assert (await ask(server, "POST", DEFINITIONS, made)).status == 201
        await ask(server, "POST", LAMPS.format("v1"), lamp("a", spec={"watts": 5}))
        other = await ask(server, "POST", LAMPS.format("v2"), lamp("b", "v2", spec={"power": 7000}))
        assert (other.status, other.json["spec"]) == (201, {"power": 7000})
        seen = (await ask(server, "GET", LAMPS.format("v2"))).json["items"]
        assert [(i["metadata"]["name"], i["spec"]) for i in seen] == [("a", {"power": 5000}), ("b", {"power": 7000})]
        assert seen[0]["metadata"]["labels"] == {"converted": "v2"}
        stored = (await ask(server, "GET", LAMPS.format("v1") + "/b")).json
        assert stored["spec"] == {"watts": 7} and stored["metadata"]["name"] == "b"
        patch = {"spec": {"power": 9000}}
        changed = await ask(
            server, "PATCH", LAMPS.format("v2") + "/a", patch, content_type="application/merge-patch+json"
        )
        assert changed.json["spec"] == {"power": 9000}
        assert (await ask(server, "GET", LAMPS.format("v1") + "/a")).json["spec"] == {"watts": 9}
        assert (await ask(server, "DELETE", LAMPS.format("v2") + "/a")).status == 200


def broken(obj: dict[str, Any], wanted: str) -> dict[str, Any]:
    return {**obj, "apiVersion": "example.com/v9"}


async def test_a_webhook_that_answers_nonsense(servers: ModuleType, ask: Any, tmp_path: Path) -> None:
    async with webhook(tmp_path / "hook", broken) as conversion, servers.cluster(tmp_path / "own") as server:
        await ask(server, "POST", DEFINITIONS, definition(version(), version("v2"), conversion=conversion))
        await ask(server, "POST", LAMPS.format("v1"), lamp("a", spec={"watts": 5}))
        found = await ask(server, "GET", LAMPS.format("v2") + "/a")
        assert found.status == 500
        assert found.json["message"].startswith("conversion webhook for example.com/v1, Kind=Lamp failed: ")
        assert (await ask(server, "GET", LAMPS.format("v1") + "/a")).status == 200
