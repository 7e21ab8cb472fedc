"""Admission webhooks and policies at work: who is asked what, in which order, and what follows from the answers."""

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

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str = "a", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **more}


def patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(operations)).decode()}


ANSWERS: dict[str, dict[str, Any]] = {
    "/allow": {"allowed": True},
    "/warn": {"allowed": True, "warnings": ["mind the gap"]},
    "/deny": {"allowed": False, "status": {"message": "no thanks"}},
    "/teapot": {"allowed": False, "status": {"code": 418, "reason": "Teapot", "message": "short and stout"}},
    "/bare": {"allowed": False},
    "/data": patch({"op": "add", "path": "/data", "value": {"added": "1"}}),
    "/label": patch({"op": "add", "path": "/metadata/labels", "value": {"patched": "yes"}}),
    "/wrong": patch({"op": "remove", "path": "/data/nope"}),
    "/misfit": patch({"op": "add", "path": "/data", "value": "no map"}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys are made once for all tests: nothing else is kept in it."""
    return tmp_path_factory.mktemp("keys")


class Hooks:
    """A webhook server: answers by path, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.port = 0
        self.ca = b""

    def of(self, path: str, **more: Any) -> dict[str, Any]:
        """A webhook for ConfigMaps."""
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
        return {
            "name": f"{path[1:]}.example.com",
            "clientConfig": {
                "url": f"https://127.0.0.1:{self.port}{path}",
                "caBundle": base64.b64encode(self.ca).decode(),
            },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
            "rules": [rule],
            **more,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        length = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length"))
        review = orjson.loads(await reader.readexactly(length))
        path = head[0].split(" ")[1].partition("?")[0]
        self.asked.append((path, review["request"]))
        response = {"uid": review["request"]["uid"], **ANSWERS.get(path, {})}
        body = orjson.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response})
        status = b"200 OK" if path in ANSWERS else b"404 Not Found"
        writer.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def hooks(folder: Path) -> AsyncIterator[Hooks]:
    authority = Authority(folder, Clock().now())
    context = authority.context(["127.0.0.1"])
    context.verify_mode = ssl.CERT_NONE
    made = Hooks()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.port, made.ca = server.sockets[0].getsockname()[1], authority.certificate
    try:
        yield made
    finally:
        server.close()


async def configure(ask: Any, server: Any, kind: str, *webhooks: dict[str, Any]) -> None:
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": f"{kind}WebhookConfiguration",
        "metadata": {"name": "w"},
        "webhooks": list(webhooks),
    }
    answer = await ask(server, "POST", f"{GROUP}/{kind.lower()}webhookconfigurations", body)
    assert answer.status == 201, answer.json


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/allow", 201, None),
        ("/deny", 400, 'admission webhook "deny.example.com" denied the request: no thanks'),
        ("/teapot", 418, 'admission webhook "teapot.example.com" denied the request: short and stout'),
        ("/bare", 400, 'admission webhook "bare.example.com" denied the request without explanation'),
        (
            "/gone",
            500,
            'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: '
            "the server could not find the requested resource",
        ),
        (
            "/label",
            500,
            'Internal error occurred: failed calling webhook "label.example.com": received invalid webhook response: '
            "validating webhook may not return response.patch",
        ),
    ],
)
async def test_validating(
    path: str, status: int, message: str | None, servers: ModuleType, ask: Any, folder: Path
) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        await configure(ask, server, "Validating", outside.of(path))
        answer = await ask(server, "POST", MAPS, config_map())
        assert (answer.status, answer.json.get("message")) == (status, message)
        assert [asked for asked, _ in outside.asked] == [path]


async def test_what_a_webhook_is_told(servers: ModuleType, ask: Any, folder: Path) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        await configure(ask, server, "Validating", outside.of("/warn"))
        made = await ask(server, "POST", f"{MAPS}?fieldManager=me&dryRun=All", config_map())
        assert made.warnings == ['299 - "mind the gap"']
        (_, request), *_ = outside.asked
        assert request["operation"] == "CREATE" and request["dryRun"] is True and request["oldObject"] is None
        assert request["userInfo"]["username"] == "admin"
        assert request["options"] == {
            "kind": "CreateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "me",
            "dryRun": ["All"],
        }


async def test_failures_may_be_ignored_but_not_refusals(servers: ModuleType, ask: Any, folder: Path) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        gone = outside.of("/gone", failurePolicy="Ignore")
        await configure(ask, server, "Validating", gone, outside.of("/deny", failurePolicy="Ignore"))
        answer = await ask(server, "POST", MAPS, config_map())
        assert (answer.status, answer.json["message"].rpartition(": ")[2]) == (400, "no thanks")


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        pytest.param(
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, 1, id="namespace"
        ),
        pytest.param({"namespaceSelector": {"matchLabels": {"a": "b"}}}, 0, id="another namespace"),
        pytest.param({"objectSelector": {"matchLabels": {"app": "x"}}}, 1, id="labels"),
        pytest.param({"objectSelector": {"matchLabels": {"app": "y"}}}, 0, id="other labels"),
        pytest.param(
            {"matchConditions": [{"name": "c", "expression": "object.metadata.name == 'a'"}]}, 1, id="condition"
        ),
        pytest.param({"matchConditions": [{"name": "c", "expression": "request.dryRun"}]}, 0, id="no condition"),
        pytest.param(
            {
                "matchConditions": [
                    {"name": "c", "expression": "authorizer.group('').resource('pods').check('get').allowed()"}
                ]
            },
            1,
            id="who may",
        ),
        pytest.param(
            {"rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["*"]}]},
            0,
            id="another operation",
        ),
    ],
)
async def test_who_is_asked(more: dict[str, Any], asked: int, servers: ModuleType, ask: Any, folder: Path) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        await configure(ask, server, "Validating", outside.of("/allow", **more))
        body = config_map()
        body["metadata"]["labels"] = {"app": "x"}
        assert (await ask(server, "POST", MAPS, body)).status == 201
        assert len(outside.asked) == asked


async def test_mutating_webhooks_run_again_if_somebody_changed_the_object(
    servers: ModuleType, ask: Any, folder: Path
) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        again = {"reinvocationPolicy": "IfNeeded"}
        await configure(ask, server, "Mutating", outside.of("/allow", **again), outside.of("/data", **again))
        answer = await ask(server, "POST", MAPS, config_map())
        assert answer.json["data"] == {"added": "1"}
        assert [path for path, _ in outside.asked] == ["/allow", "/data", "/allow"]
        assert outside.asked[2][1]["object"]["data"] == {"added": "1"}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/wrong", 'remove operation does not apply: doc is missing path: "/data/nope": missing value'),
        ("/misfit", "json: cannot unmarshal string into Go struct field ConfigMap.data of type map[string]string"),
    ],
)
async def test_patches_that_do_not_fit(path: str, message: str, servers: ModuleType, ask: Any, folder: Path) -> None:
    async with servers.cluster(folder / "c") as server, hooks(folder / "h") as outside:
        await configure(ask, server, "Mutating", outside.of(path))
        answer = await ask(server, "POST", MAPS, config_map())
        assert (answer.status, answer.json["message"]) == (500, f"Internal error occurred: {message}")


def policy(**spec: Any) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, **spec},
    }


def bound(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "b"},
        "spec": {"policyName": "p", "validationActions": ["Deny"], **spec},
    }


FRONT = "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "


@pytest.mark.parametrize(
    ("spec", "binding", "status", "message"),
    [
        pytest.param({"validations": [{"expression": "object.data.size() < 2"}]}, {}, 201, None, id="holds"),
        pytest.param(
            {"validations": [{"expression": "false"}]}, {}, 422, FRONT + "failed expression: false", id="fails"
        ),
        pytest.param(
            {"validations": [{"expression": "false", "message": "m", "reason": "Forbidden"}]},
            {},
            403,
            FRONT + "m",
            id="with a reason",
        ),
        pytest.param(
            {
                "variables": [{"name": "n", "expression": "object.data.size()"}],
                "validations": [
                    {"expression": "variables.n > 5", "messageExpression": "'only ' + string(variables.n)"}
                ],
            },
            {},
            422,
            FRONT + "only 1",
            id="variables",
        ),
        pytest.param(
            {"validations": [{"expression": "object.nope == 1"}]},
            {},
            422,
            FRONT + "expression 'object.nope == 1' resulted in error: no such key: nope",
            id="can't be evaluated",
        ),
        pytest.param(
            {"validations": [{"expression": "object.nope == 1"}], "failurePolicy": "Ignore"},
            {},
            201,
            None,
            id="ignored",
        ),
        pytest.param(
            {"validations": [{"expression": "false"}], "matchConditions": [{"name": "c", "expression": "false"}]},
            {},
            201,
            None,
            id="not for it",
        ),
        pytest.param(
            {"validations": [{"expression": "false"}]},
            {"matchResources": {"objectSelector": {"matchLabels": {"x": "y"}}}},
            201,
            None,
            id="not bound to it",
        ),
        pytest.param(
            {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "validations": [{"expression": "true"}]},
            {"paramRef": {"name": "nope", "namespace": "default", "parameterNotFoundAction": "Deny"}},
            422,
            FRONT
            + "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
            id="no parameters",
        ),
        pytest.param(
            {
                "validations": [
                    {"expression": "namespaceObject.metadata.name == 'default' && request.operation == 'CREATE'"}
                ]
            },
            {},
            201,
            None,
            id="what is known",
        ),
    ],
)
async def test_policies(
    spec: dict[str, Any],
    binding: dict[str, Any],
    status: int,
    message: str | None,
    servers: ModuleType,
    ask: Any,
    folder: Path,
) -> None:
    async with servers.cluster(folder) as server:
        assert (await ask(server, "POST", f"{GROUP}/validatingadmissionpolicies", policy(**spec))).status == 201
        path = f"{GROUP}/validatingadmissionpolicybindings"
        assert (await ask(server, "POST", path, bound(**binding))).status == 201
        answer = await ask(server, "POST", MAPS, config_map(data={"x": "1"}))
        assert (answer.status, answer.json.get("message")) == (status, message)


async def test_policies_may_only_warn(servers: ModuleType, ask: Any, folder: Path) -> None:
    async with servers.cluster(folder) as server:
        spec = {"validations": [{"expression": "false", "message": "careful"}]}
        await ask(server, "POST", f"{GROUP}/validatingadmissionpolicies", policy(**spec))
        binding = bound(validationActions=["Warn", "Audit"])
        await ask(server, "POST", f"{GROUP}/validatingadmissionpolicybindings", binding)
        answer = await ask(server, "POST", MAPS, config_map())
        told = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': careful"
        assert (answer.status, answer.warnings) == (201, [f'299 - "{told}"'])


@pytest.mark.parametrize(
    ("enable", "body", "message"),
    [
        ("AlwaysDeny", config_map(), 'configmaps "a" is forbidden: admission control is denying all modifications'),
        (
            "DenyServiceExternalIPs",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "a"},
                "spec": {"ports": [{"port": 80}], "externalIPs": ["1.2.3.4"]},
            },
            'services "a" is forbidden: Use of external IPs is denied by admission control.',
        ),
    ],
)
async def test_plugins_on_demand(
    enable: str, body: dict[str, Any], message: str, servers: ModuleType, ask: Any, folder: Path
) -> None:
    plural = f"{body['kind'].lower()}s"
    async with servers.cluster(folder / "on", enable_admission=(enable,)) as server:
        answer = await ask(server, "POST", f"/api/v1/namespaces/default/{plural}", body)
        assert (answer.status, answer.json["message"]) == (403, message)
    async with servers.cluster(folder / "off") as server:
        assert (await ask(server, "POST", f"/api/v1/namespaces/default/{plural}", body)).status == 201
