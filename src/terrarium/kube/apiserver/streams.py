"""Logs, exec, attach, port-forward and proxies: checked here, done by the kubelet of the pod's node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import KubeletDoor, KubeletRefusal, LogOptions, Stream
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver import errors, remote
from terrarium.kube.apiserver.api import Api, Target
from terrarium.kube.apiserver.handlers import Special
from terrarium.kube.apiserver.messages import Receive, Reply, Request, Send
from terrarium.kube.apiserver.requests import Info, flag
from terrarium.kube.apiserver.resources import Call
from terrarium.kube.client.contract import ApiError

_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
_TUNNEL = "SPDY/3.1+portforward.k8s.io"
_FORWARD = (_TUNNEL, "v4.channel.k8s.io")
_SPDY_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_SPDY_FORWARD = ("portforward.k8s.io",)
_GROUPS = ("initContainers", "containers", "ephemeralContainers")


class WebSocketWire:
    """A WebSocket's binary messages as `remote.Wire`."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._open = True

    async def send(self, data: bytes) -> None:
        if self._open:
            await self._send({"type": "websocket.send", "bytes": data})

    async def receive(self) -> bytes | None:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._open = False
            return None
        data = message.get("bytes")
        text: str = message.get("text") or ""
        return data if data is not None else text.encode()

    async def close(self) -> None:
        if self._open:
            self._open = False
            await self._send({"type": "websocket.close", "code": 1000})


class Streams:
    """`kubelet` None: the server has no nodes of its own, and says so."""

    def __init__(self, api: Api, kubelet: KubeletDoor | None) -> None:
        self._api = api
        self._kubelet = kubelet

    def specials(self) -> dict[tuple[str, str], Special]:
        """What HTTP answers at these subresources."""
        return {
            ("pods", "log"): self._log,
            ("pods", "exec"): self._exec,
            ("pods", "attach"): self._attach,
            ("pods", "portforward"): self._forward,
            ("pods", "proxy"): self._proxy,
            ("services", "proxy"): self._service_proxy,
            ("nodes", "proxy"): self._node_proxy,
        }

    # Checks that come before any stream

    async def _pod(self, request: Request, target: Target) -> Obj:
        record = await self._api.connect(target, Call(request.user), {})
        return record.obj(target.kind)

    def _door(self, pod: Obj) -> KubeletDoor:
        node = pod["spec"].get("nodeName", "")
        if self._kubelet is None:
            raise errors.status(404, "NotFound", f'pods "{node}" not found', {"name": node, "kind": "pods"})
        return self._kubelet

    async def _placed(self, pod: Obj) -> KubeletDoor:
        """The door to a pod's node. 400 without a node, 404 when the node is unknown."""
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
        if not node:
            raise errors.bad_request(f"pod {name} does not have a host assigned")
        nodes = self._api.resources.registry.resource("", "v1", "nodes")
        if nodes is None or await self._api.resources.find(nodes, "", node) is None:
            raise errors.status(404, "NotFound", f'pods "{node}" not found', {"name": node, "kind": "pods"})
        return self._door(pod)

    # Logs

    async def _log(self, request: Request, target: Target) -> Reply:
        options = _log_options(request.info, target.name)
        pod = await self._pod(request, target)
        container = _container(pod, options.container, annotation=False)
        if not pod["spec"].get("nodeName"):
            return Reply(204, b"", "")
        door = await self._placed(pod)
        lines = door.logs(pod, _with_container(options, container))
        try:
            first = await anext(aiter(lines), b"")
        except KubeletRefusal as refusal:
            raise _refusal(refusal) from None

        async def whole() -> AsyncIterator[bytes]:
            if first:
                yield first
            async for part in lines:
                yield part

        return Reply(200, b"", "text/plain", stream=whole())

    # exec, attach, port-forward

    async def websocket(self, request: Request, target: Target, receive: Receive, send: Send) -> None:
        """Serves a WebSocket at one of the stream subresources; refuses (as `ApiError`) before it is accepted."""
        asked = [p.strip() for p in request.headers.get("sec-websocket-protocol", "").split(",") if p.strip()]
        wire = WebSocketWire(receive, send)
        if target.subresource == "portforward":
            pod = await self._pod(request, target)
            door = await self._placed(pod)
            chosen = _choose(asked, _FORWARD)
            await self._accept(receive, send, chosen)
            connect = _connector(door, pod)
            if chosen == _TUNNEL:
                await remote.forward_spdy(wire, connect)
            else:
                ports = [int(p) for p in request.info.query.get("ports", ()) for p in p.split(",") if p.isdigit()]
                await remote.forward_channels(wire, ports, connect)
        elif target.subresource in ("exec", "attach"):
            start, _ = await self._command(request, target)
            await self._accept(receive, send, _choose(asked, _EXEC))
            await remote.command(remote.WebSocketChannels(wire), start)
        else:
            raise errors.method_not_allowed()
        await wire.close()

    async def _accept(self, receive: Receive, send: Send, protocol: str) -> None:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept", "subprotocol": protocol or None})

    async def _command(self, request: Request, target: Target) -> tuple[Callable[[], Awaitable[Stream]], int]:
        """How to start an exec or attach, and how many channels its client opens."""
        info = request.info
        pod = await self._pod(request, target)
        container = _container(pod, info.first("container"), annotation=True)
        door = await self._placed(pod)
        stdin, tty = _flag(info, "stdin"), _flag(info, "tty")
        stdout, stderr = _flag(info, "stdout"), _flag(info, "stderr")
        channels = 1 + stdin + stdout + (stderr and not tty) + tty
        if target.subresource == "attach":
            return lambda: door.attach(pod, container, stdin=stdin, tty=tty), channels
        words = list(info.query.get("command", ()))
        if not words:
            raise errors.bad_request("you must specify at least one command for the container")
        return lambda: door.exec(pod, container, words, stdin=stdin, tty=tty), channels

    async def _exec(self, request: Request, target: Target) -> Reply:
        start, channels = await self._command(request, target)
        wire = await _hijack(request, _SPDY_EXEC)
        session = remote.SpdyChannels(wire, channels)
        try:
            await session.opened()
            await remote.command(session, start)
        finally:
            await wire.close()
        return Reply(101)

    _attach = _exec

    async def _forward(self, request: Request, target: Target) -> Reply:
        pod = await self._pod(request, target)
        door = await self._placed(pod)
        wire = await _hijack(request, _SPDY_FORWARD)
        try:
            await remote.forward_spdy(wire, _connector(door, pod))
        finally:
            await wire.close()
        return Reply(101)

    # Proxies

    async def _proxy(self, request: Request, target: Target) -> Reply:
        _, name, port = _split_name(target.name)
        pod = await self._pod(request, Target(target.kind, target.namespace, name, target.subresource))
        if not pod["spec"].get("nodeName") or not (pod.get("status") or {}).get("podIP"):
            raise errors.bad_request("address not allowed")
        return await self._proxied(request, pod, _port_of(pod, port))

    async def _service_proxy(self, request: Request, target: Target) -> Reply:
        """To one of the ready pods behind a Service."""
        _, name, port = _split_name(target.name)
        resources = self._api.resources
        service = (await resources.get(target.kind, target.namespace, name)).obj(target.kind)
        spec = service["spec"]
        row = _service_port(spec, port)
        slices = resources.registry.resource("discovery.k8s.io", "v1", "endpointslices")
        pods = resources.registry.resource("", "v1", "pods")
        found = await resources.all(slices, target.namespace) if slices else []
        for part in found:
            if (part["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name or row is None:
                continue
            number = next(
                (p.get("port") for p in part.get("ports") or () if p.get("name", "") == row.get("name", "")), None
            )
            for endpoint in part.get("endpoints") or ():
                ref = endpoint.get("targetRef") or {}
                if (endpoint.get("conditions") or {}).get("ready") is False or ref.get("kind") != "Pod" or not number:
                    continue
                record = await resources.find(pods, target.namespace, ref["name"]) if pods else None
                if record is not None:
                    return await self._proxied(request, record.stored, int(number))
        if row is None or not found:
            raise errors.not_found(target.kind, name)
        raise errors.status(503, "ServiceUnavailable", f"no endpoints available for service {quote(name)}")

    async def _node_proxy(self, request: Request, target: Target) -> Reply:
        raise errors.bad_request("address not allowed")

    async def _proxied(self, request: Request, pod: Obj, port: int) -> Reply:
        door = await self._placed(pod)
        path = "/" + "/".join(request.info.rest)
        if query := request.scope["query_string"].decode("latin-1"):
            path += f"?{query}"
        try:
            status, headers, body = await door.proxy(pod, port, request.info.method, path, await request.body())
        except KubeletRefusal as refusal:
            raise _refusal(refusal) from None
        except OSError as error:
            raise errors.status(503, "ServiceUnavailable", f"error trying to reach service: {error}") from None
        reply = Reply(status, body, "")
        reply.headers = [(k.lower(), v) for k, v in headers.items() if k.lower() not in _HOP_BY_HOP]
        return reply


_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "te", "trailer"})


async def _hijack(request: Request, protocols: tuple[str, ...]) -> Any:
    """Takes the connection over for SPDY. 400 when that was not asked for, 403 when no protocol fits."""
    take = request.scope.get("extensions", {}).get("terrarium.hijack")
    if take is None or not request.headers.get("upgrade", "").lower().startswith("spdy/3.1"):
        raise errors.bad_request("Upgrade request required")
    offered = [p.strip() for p in request.headers.get("x-stream-protocol-version", "").split(",") if p.strip()]
    chosen = _choose(offered, protocols)
    if offered and not chosen:
        raise errors.status(
            403, "Forbidden", f"unable to upgrade: unable to negotiate protocol: client supports {offered}"
        )
    headers = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
    if chosen:
        headers["x-stream-protocol-version"] = chosen
    return take(headers)


def _connector(door: KubeletDoor, pod: Obj) -> remote.Connect:
    async def connect(port: int) -> Stream:
        return await door.connect(pod, port)

    return connect


def _choose(asked: list[str], offered: tuple[str, ...]) -> str:
    return next((name for name in asked if name in offered), "")


def _refusal(refusal: KubeletRefusal) -> ApiError:
    return errors.status(refusal.code, refusal.reason, str(refusal))


def _flag(info: Info, name: str) -> bool:
    return flag(info.query, name)


def _with_container(options: LogOptions, container: str) -> LogOptions:
    import dataclasses

    return dataclasses.replace(options, container=container)


def _container(pod: Obj, asked: str, *, annotation: bool) -> str:
    """The container that is meant. 400 when it is none of the pod's, or when there are several."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    names = [c["name"] for group in _GROUPS for c in spec.get(group) or ()]
    if asked:
        if asked not in names:
            raise errors.bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    containers = spec.get("containers") or []
    if len(containers) == 1:
        first: str = containers[0]["name"]
        return first
    default = (pod["metadata"].get("annotations") or {}).get("kubectl.kubernetes.io/default-container", "")
    if annotation and default in names:
        return str(default)
    raise errors.bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")


def _log_options(info: Info, pod: str) -> LogOptions:
    found: list[FieldError] = []

    def number(name: str, least: int, text: str) -> int | None:
        raw = info.first(name)
        try:
            value = int(raw) if raw else None
        except ValueError:
            return None
        if value is not None and value < least:
            found.append(FieldError("FieldValueInvalid", name, f"Invalid value: {value}: {text}"))
        return value

    tail = number("tailLines", 0, "must be greater than or equal to 0")
    limit = number("limitBytes", 1, "must be greater than 0")
    since = info.first("sinceTime")
    seconds = None
    if since and info.first("sinceSeconds"):
        found.append(
            FieldError(
                "FieldValueForbidden", "[]", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
            )
        )
    else:
        seconds = number("sinceSeconds", 1, "must be greater than 0")
    if found:
        raise errors.invalid_named("", "PodLogOptions", pod, found)
    return LogOptions(
        info.first("container"),
        _flag(info, "follow"),
        _flag(info, "previous"),
        _flag(info, "timestamps"),
        seconds,
        since,
        tail,
        limit,
    )


def _split_name(text: str) -> tuple[str, str, str]:
    """`scheme:name:port`, `name:port` or `name`."""
    parts = text.split(":")
    if len(parts) == 3:
        return parts[0], parts[1], parts[2]
    return "", parts[0], parts[1] if len(parts) == 2 else ""


def _port_of(pod: Obj, asked: str) -> int:
    ports = [p for c in pod["spec"].get("containers") or () for p in c.get("ports") or ()]
    if not asked:
        return int(ports[0]["containerPort"]) if ports else 80
    if asked.isdigit():
        return int(asked)
    for port in ports:
        if port.get("name") == asked:
            return int(port["containerPort"])
    raise errors.bad_request("address not allowed")


def _service_port(spec: Mapping[str, Any], asked: str) -> Mapping[str, Any] | None:
    for port in spec.get("ports") or ():
        if not asked or port.get("name") == asked or str(port["port"]) == asked:
            found: Mapping[str, Any] = port
            return found
    return None
