"""The AWS endpoint: one port for all services, as SDKs see them behind `AWS_ENDPOINT_URL`.

A request's way: bytes → claim (which key signed it for which service and region) → gate (signature, time, session) →
a service of our own, or moto → answer. Services of our own go through the service models; what fails anywhere is
written as the error document of the request's protocol.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.authentication import Admitted, Fault, Gate, refusal
from terrarium.cloud.breadth import Breadth, not_implemented, operation_of
from terrarium.cloud.credentials import Credential, Credentials
from terrarium.cloud.hooks import AwsError, Call, Caller, Service
from terrarium.cloud.models import Models
from terrarium.cloud.records import Records, StorageFailure
from terrarium.cloud.regions import REGIONS
from terrarium.cloud.services.sts import Sts
from terrarium.cloud.signature import MalformedSignature, Request, read_claim
from terrarium.cloud.view import InProcessView
from terrarium.cloud.wire import Response, error_response, protocol_of, read_operation, write_answer

log = logging.getLogger(__name__)

LARGEST_BODY = 16 * 1024 * 1024
LARGEST_OBJECT = 512 * 1024 * 1024
"""S3 uploads are held in memory."""
_UNSIGNED_ACTIONS = {"AssumeRoleWithWebIdentity": "sts", "AssumeRoleWithSAML": "sts"}
_KEY_OPERATIONS = frozenset(("CreateAccessKey", "DeleteAccessKey", "UpdateAccessKey", "DeleteUser", "UpdateUser"))

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class PortInUse(Failure):
    """Another program listens on the endpoint's port."""


class AwsEndpoint:
    """Everything AWS of one world. `start` serves, `close` stops; `services` join moto's under their signing names.

    `view` is what others in this process use of the cloud; `admin` is the key people sign with.
    """

    def __init__(
        self,
        world_dir: Path,
        clock: Clock,
        ids: Ids,
        services: Sequence[Service] = (),
        account: str = "000000000000",
        region: str = "us-east-1",
        records: Records | None = None,
    ) -> None:
        self.account = account
        self.region = region
        self.records = records or Records(world_dir / "cloud.db")
        self.credentials = Credentials(self.records, clock, ids, account)
        self.breadth = Breadth(self.records, clock, ids, account, lambda: self.credentials.admin)
        self.gate = Gate(self.credentials)
        self.view = InProcessView(self)
        self.models = Models()
        self.url = ""
        self._ids = ids
        self._tasks = Tasks("cloud")
        self.services: dict[str, Service] = {}
        self._started: list[Service] = []
        self.add(Sts(self.credentials, self.view, clock, ids))
        for service in services:
            self.add(service)
        self._server: Any = None
        self._serving: asyncio.Task[None] | None = None

    def add(self, service: Service) -> None:
        """Adds a service before `start` (those which need the endpoint's own `view`, `gate` or `records`)."""
        self.services[service.name] = service

    @property
    def admin(self) -> Credential:
        return self.credentials.admin

    # Life

    async def open(self) -> None:
        """Everything but the port: for use in process, and for tests."""
        self.records.open()
        await self.credentials.start()
        await self.breadth.start()
        for service in self.services.values():
            await service.start()
            self._started.append(service)

    async def start(self, host: str = "127.0.0.1", port: int = 4566) -> None:
        """Serves on `host:port` (0: any free one; `url` tells it). `PortInUse`, `StorageFailure`."""
        listener = _listen(host, port)
        try:
            await self.open()
            await self._serve(listener)
        except BaseException:
            listener.close()
            raise
        self.url = f"http://{host}:{listener.getsockname()[1]}"

    async def _serve(self, listener: socket.socket) -> None:
        import uvicorn

        config = uvicorn.Config(
            self, http="httptools", ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False,
            server_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = _quiet_server(config)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(sockets=[listener]))
        while not self._server.started:
            if self._serving.done():
                await self._serving
                raise Failure("The AWS endpoint ended while it started.")
            await asyncio.sleep(0)

    def warm(self) -> None:
        """Loads moto in the background, so that the first EC2 call is as fast as the second."""
        self._tasks.start("warm", self.breadth.warm())

    async def close(self) -> None:
        if self._server is not None and self._serving is not None:
            self._server.should_exit = True
            await asyncio.gather(self._serving, return_exceptions=True)
        for service in reversed(self._started):
            await service.close()
        await self._tasks.close()
        await self.breadth.close()
        self.records.close()

    # HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if scope["type"] != "http":
            return
        request, size_error = await _read(scope, receive)
        response = await self.answer(request) if size_error is None else self._refused(size_error, "", request)
        headers = [(k.encode("latin-1"), v.encode("latin-1", "replace")) for k, v in response.headers.items()]
        if "content-length" not in response.headers:
            headers.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})

    async def answer(self, request: Request) -> Response:
        """The answer to one HTTP request, whatever it is."""
        service = _service_of(request)
        try:
            return await self._answer(request, service)
        except AwsError as failure:
            return self._refused(failure, service, request)
        except StorageFailure as failure:
            log.error("%s", failure)
            return self._refused(AwsError("ServiceUnavailable", str(failure), 503), service, request)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s %s failed", service, operation_of(service, request) or request.path)
            return self._refused(AwsError("InternalFailure", "An internal error occurred.", 500), service, request)

    def _refused(self, failure: AwsError, service: str, request: Request) -> Response:
        return error_response(protocol_of(service, request), failure, self._ids.uuid(), request)

    async def _answer(self, request: Request, service: str) -> Response:
        action = operation_of(service, request)
        if request.headers.get("authorization") is None and action in _UNSIGNED_ACTIONS:
            anonymous = Caller(self.account, "", "", "")
            return await self._own(self.services[_UNSIGNED_ACTIONS[action]], request, self.region, anonymous)
        admitted = self.gate.admit(request, service)
        claim = admitted.claim
        if claim.region not in REGIONS:
            text = f"Credential should be scoped to a valid region, not '{claim.region}'."
            raise refusal(Fault.MALFORMED, claim.service, request, text)
        own = self.services.get(claim.service)
        if own is not None:
            return await self._own(own, admitted.request, claim.region, admitted.credential.caller)
        return await self._moto(admitted)

    async def _own(self, service: Service, request: Request, region: str, caller: Caller) -> Response:
        model = self.models.get(service.name)
        operation, parameters = read_operation(model, request)
        request_id = self._ids.uuid()
        function = service.operations.get(operation.name)
        if function is None:
            raise not_implemented(service.name, operation.name)
        try:
            answer = await function(Call(service.name, operation.name, parameters, region, caller, request_id))
        except AwsError as failure:
            status = model.error_status(failure.code) or failure.status
            refused = AwsError(failure.code, failure.message, status, **failure.members)
            return error_response(model.protocol, refused, request_id, request)
        return write_answer(model, operation, answer, request_id)

    async def _moto(self, admitted: Admitted) -> Response:
        claim, request = admitted.claim, _with_bucket(admitted.claim.service, admitted.request)
        response = await self.breadth.handle(claim.service, claim.region, request, admitted.credential)
        if claim.service == "iam" and response.status == 200 and operation_of("iam", request) in _KEY_OPERATIONS:
            await self.credentials.replace_iam_keys(await self.view.iam_keys())
        return response


def _service_of(request: Request) -> str:
    """The service a request is meant for, as far as it tells; only to choose the words of a refusal."""
    try:
        claim = read_claim(request)
    except MalformedSignature:
        text = request.headers.get("authorization", "").partition("Credential=")[2].partition(",")[0]
        scope = text.split("/")
        return scope[3] if len(scope) == 5 else _guess(request)
    return claim.service if claim is not None else _guess(request)


def _guess(request: Request) -> str:
    action = operation_of("", request)
    if (
        action in _UNSIGNED_ACTIONS
        or "Version=2011-06-15" in request.query
        or b"Version=2011-06-15" in request.body[:4096]
    ):
        return "sts"
    if "Version=2016-11-15" in request.query or b"Version=2016-11-15" in request.body[:4096]:
        return "ec2"
    return "" if action or "x-amz-target" in request.headers else "s3"


def _with_bucket(service: str, request: Request) -> Request:
    """A bucket named in the host (`bucket.localhost`), told to moto in a header of ours."""
    name = request.headers.get("host", "").partition(":")[0]
    if service != "s3" or not name.endswith(".localhost"):
        return request
    headers = {**request.headers, "x-terrarium-bucket": name.removesuffix(".localhost").removesuffix(".s3")}
    return Request(request.method, request.path, request.query, headers, request.body)


async def _read(scope: Scope, receive: Receive) -> tuple[Request, AwsError | None]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape")
        headers[key] = f"{headers[key]},{text}" if key in headers else text
    limit = LARGEST_OBJECT if "/s3/aws4_request" in headers.get("authorization", "") else LARGEST_BODY
    chunks: list[bytes] = []
    size, failure = 0, None
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            failure = AwsError("RequestEntityTooLarge", f"The request is larger than {limit} bytes.", 413)
            chunks.clear()
        else:
            chunks.append(chunk)
        if not message.get("more_body"):
            break
    raw_path = scope.get("raw_path") or scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return Request(scope["method"], path, query, headers, b"" if failure else b"".join(chunks)), failure


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as failure:
        listener.close()
        raise PortInUse(
            f"The AWS endpoint can't listen on {host}:{port}: {failure.strerror}",
            "Choose another port with --aws-port, or stop the program that uses it.",
        ) from None
    listener.setblocking(False)
    return listener


def _quiet_server(config: Any) -> Any:
    """uvicorn without its signal handlers: signals belong to the command line."""
    import contextlib

    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            yield

    return Server(config)
