"""moto in process: the services this world has for breadth, with state that survives a kill.

Theory of operation. All of moto runs in one thread, which cures its races and gives its calls an order. A mutating
call draws its ids from a seed of its own, at the world's time of the call; when moto has answered, the request goes to
the journal, and the client gets its answer when the journal is on the disk (a read waits for the journal, too: it may
have seen what is not yet there). After a restart the journal is played again in the same order with the same seeds and
times, at the first call that needs moto or by `warm`. moto is imported only then: it costs a second and 100 MB.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from terrarium.base.clock import Clock, stopwatch
from terrarium.base.ids import Ids
from terrarium.cloud.credentials import Credential
from terrarium.cloud.determinism import Determinism, Moment, moto
from terrarium.cloud.hooks import AwsError
from terrarium.cloud.journal import Entry, Journal
from terrarium.cloud.quicken import quicken
from terrarium.cloud.records import Records, StorageFailure
from terrarium.cloud.repairs import MotoCall, Repair, repairs_of
from terrarium.cloud.signature import Request, parse_query
from terrarium.cloud.wire import Response

log = logging.getLogger(__name__)
T = TypeVar("T")

# Operations which change nothing; everything else is journaled. A name that is missed here costs a line in the journal,
# a name too much would lose a change.
_READS = re.compile(
    r"(Describe|Get|List|Head|Search|Lookup|BatchGet|Simulate|Validate|Estimate|Decode|Preview|Filter|Test|Query|Scan"
    r"|Select|GenerateDataKey|Check|Count|View).*|Encrypt|Decrypt|ReEncrypt|GenerateRandom|GenerateMac|VerifyMac|Sign|Verify"
)
# What moto has, but only in outline: without a service of ours these are not there.
_REPLACED = frozenset(("eks", "sts"))
# Names of moto's hosts where they are not the signing name.
_HOSTS = {
    "eventbridge": "events",
    "execute-api": "iot",
    "iotdata": "data.iot",
    "mobiletargeting": "pinpoint",
    "payment-cryptography": "controlplane.payment-cryptography",
    "sagemaker": "api.sagemaker",
    "timestream": "ingest.timestream",
    "ecr": "api.ecr",
}
_DROPPED_HEADERS = frozenset(
    ("authorization", "x-amz-security-token", "host", "connection", "user-agent", "transfer-encoding", "date",
     "amz-sdk-invocation-id", "amz-sdk-request", "accept-encoding", "expect", "x-amz-date")
)  # fmt: skip
_SIGNING_PAIRS = re.compile(r"X-Amz-(Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token)=")

Handler = Callable[[Any, str, Any], tuple[int, Mapping[str, Any], Any]]


class Breadth:
    def __init__(self, records: Records, clock: Clock, ids: Ids, account: str, admin: Callable[[], Credential]) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids
        self._account = account
        self._admin = admin
        self._journal = Journal(records)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="moto")
        self._thread_id: int | None = None
        self._determinism: Determinism | None = None
        self._loaded = False
        self._handlers: dict[str, list[tuple[re.Pattern[str], Handler]]] = {}
        self._repairs: dict[str, Repair | None] = {}

    async def start(self) -> None:
        if self._records.get("world", "genesis") is None:
            genesis = {"seed": self._ids.hex(32), "time": self._clock.time()}
            await self._records.put("world", "genesis", genesis)

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def warm(self) -> None:
        """Imports moto and plays the journal, so that the first call need not wait for it."""
        await self.run(lambda: None)

    async def handle(self, service: str, region: str, request: Request, credential: Credential) -> Response:
        """moto's answer to a verified request, once it is durable. `AwsError` for what moto does not know."""

        def work() -> tuple[Response | AwsError, Future[None], bool]:
            self.load()
            before = self._journal.length
            answer: Response | AwsError
            try:
                with self._held():
                    answer = self.call(service, region, request, credential.access_key)
            except AwsError as failure:
                answer = failure
            return answer, self._journal.durable(), self._journal.length > before

        answer, durable, changed = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            await asyncio.wrap_future(durable)
        except StorageFailure:
            # On a full disk nothing can be changed, but one may still look.
            if changed:
                raise
        if isinstance(answer, AwsError):
            raise answer
        return answer

    async def run(self, work: Callable[[], T]) -> T:
        """Runs code in moto's thread, with the journal played: for whoever looks into moto's models."""

        def whole() -> tuple[T, Future[None]]:
            self.load()
            with self._held():
                return work(), self._journal.durable()

        result, durable = await asyncio.get_running_loop().run_in_executor(self._thread, whole)
        await asyncio.wrap_future(durable)
        return result

    # What follows runs in moto's thread only.

    def _held(self) -> threading.RLock:
        assert self._determinism is not None
        return self._determinism.lock

    def load(self) -> None:
        if self._loaded:
            return
        elapsed = stopwatch()
        self._thread_id = threading.get_ident()
        # moto calls no AWS, but boto3 inside it looks for a region and keys.
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        os.environ.pop("AWS_PROFILE", None)
        genesis = self._records.get("world", "genesis")
        assert genesis is not None, "start() comes first"
        self._determinism = Determinism.of_process()
        if "quicken" not in self._determinism.installed:
            self._determinism.installed.add("quicken")
            quicken()
        with self._determinism.lock:
            self._play(genesis)
        self._loaded = True
        log.info("moto is ready after %.2f s", elapsed())

    def _play(self, genesis: Mapping[str, Any]) -> None:
        assert self._determinism is not None
        self._determinism.begin(self._account, genesis["seed"], genesis["time"])
        self._make_admin()
        count = 0
        for entry, content in self._journal.load():
            count += 1
            self._replay(entry, content)
        log.info("%d AWS calls played again", count)

    def _make_admin(self) -> None:
        """The world's administrator as an IAM user, so that `iam get-user` knows who asks."""
        assert self._determinism is not None
        self._service("iam")
        admin = self._admin()
        with self._determinism.apart(self._account, "admin"):
            backend = moto("iam.models").iam_backends[self._account]["aws"]
            user = backend.create_user("us-east-1", admin.arn.rsplit("/", 1)[1])
            user.id = admin.user_id
            key = backend.create_access_key(user.name)
            del backend.access_keys[key.physical_resource_id]
            key.access_key_id, key.secret_access_key = admin.access_key, admin.secret
            backend.access_keys[key.physical_resource_id] = key

    def _replay(self, entry: Entry, content: bytes) -> None:
        assert self._determinism is not None
        request = Request(entry.method, entry.path, entry.query, entry.headers, content)
        moment = Moment(entry.seed, entry.time, replay=True, tape=entry.drawn)
        try:
            with self._determinism.during(moment):
                status = self._ask(entry.service, entry.region, entry.operation, request, entry.access_key).status
        except AwsError as failure:
            status = failure.status
        if status != entry.status:
            log.warning(
                "%s %s answered %d when played again, %d before", entry.service, entry.operation, status, entry.status
            )

    def call(self, service: str, region: str, request: Request, access_key: str) -> Response:
        """One call; a mutating one is in the journal when this returns, `durable()` when it is on the disk."""
        assert self._determinism is not None
        operation = operation_of(service, request)
        reads = bool(_READS.fullmatch(operation)) if operation else request.method in ("GET", "HEAD")
        moment = Moment(self._ids.hex(32), self._clock.time())
        kept = {k: v for k, v in request.headers.items() if k not in _DROPPED_HEADERS}
        query = "&".join(p for p in request.query.split("&") if not _SIGNING_PAIRS.match(p))
        plain = Request(request.method, request.path, query, kept, request.body)
        status, known = 501, True
        try:
            with self._determinism.during(moment):
                response = self._ask(service, region, operation, plain, access_key)
            status = response.status
        except AwsError as failure:
            status, known = failure.status, failure.code not in ("UnsupportedOperation", "NotImplemented")
            raise
        finally:
            # A refused call may have changed something before it was refused, so it is played again, too; one that
            # moto does not know has not.
            if not reads and known:
                entry = Entry(service, region, operation, plain.method, plain.path, plain.query, kept, access_key,
                              moment.seed, moment.time, status, moment.tape)  # fmt: skip
                self._journal.append(entry, plain.body)
        return response

    def _ask(self, service: str, region: str, operation: str, request: Request, access_key: str) -> Response:
        handlers = self._service(service)
        repair = self._repairs.get(service)
        pairs: dict[str, str] = {}
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs = dict(parse_query(request.body.decode("utf-8", "replace")))
        call = MotoCall(service, region, operation, self._account, pairs)
        if repair is not None:
            repair.before(call)
        response = self._moto(handlers, service, region, operation, request, access_key)
        return response if repair is None else repair.after(call, response)

    def _moto(
        self,
        handlers: list[tuple[re.Pattern[str], Handler]],
        service: str,
        region: str,
        operation: str,
        request: Request,
        access_key: str,
    ) -> Response:
        refusals: type[Any] = moto("core.exceptions").HTTPException
        host = _host(service, region)
        if service == "s3" and (bucket := request.headers.get("x-terrarium-bucket")):
            host = f"{bucket}.{host}"
        url = f"https://{host}{request.path}"
        handler = next((h for pattern, h in handlers if pattern.match(url)), None)
        if handler is None:
            raise not_implemented(service, operation or f"{request.method} {request.path}")
        scope = f"{access_key}/20260101/{region}/{service}/aws4_request"
        headers = {
            **request.headers,
            "host": host,
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
            "x-moto-account-id": self._account,
        }
        full = url + (f"?{request.query}" if request.query else "")
        try:
            moto_request = moto("core.request").Request.from_primitives(request.method, full, headers, request.body)
            status, answer_headers, body = handler(moto_request, moto_request.raw_url, moto_request.headers)
        except refusals as failure:
            status, answer_headers, body = failure.code or 500, dict(failure.get_headers()), failure.get_body()
        except NotImplementedError:
            raise not_implemented(service, operation) from None
        except AwsError:
            raise
        except Exception:
            # A defect of moto's or a request so strange that moto stumbles over it. 501, as it would be the same again,
            # and SDKs try a 500 for minutes.
            log.exception("moto failed at %s %s", service, operation)
            raise AwsError("InternalFailure", f"{service} {operation} failed inside the emulation.", 501) from None
        return _response(service, operation, int(status), answer_headers, body)

    def _service(self, service: str) -> list[tuple[re.Pattern[str], Handler]]:
        """The compiled routes of a service, which moto imports now if it is the first call. `AwsError` for an unknown one."""
        if service in self._handlers:
            return self._handlers[service]
        assert self._determinism is not None
        url = f"https://{_host(service, 'us-east-1')}"
        name = next((n for n, pattern in moto("backend_index").backend_url_patterns if pattern.match(url)), None)
        if name is None or name in _REPLACED:
            raise not_implemented(service, "")
        try:
            found = moto("backends").get_backend(name)
        except ImportError as failure:
            text = f"The service {service} needs the Python package {failure.name}, which is not installed."
            raise AwsError("NotImplemented", text, 501) from None
        repair = repairs_of(service)
        if service not in self._determinism.installed:
            self._determinism.installed.add(service)
            if repair is not None:
                repair.install(self._determinism)
            self._determinism.install_for(name)
        if repair is not None:
            repair.begin(self._determinism)
        account = found[self._account]
        backend = account["us-east-1" if "us-east-1" in account else "aws"]
        self._repairs[service] = repair
        self._handlers[service] = [(re.compile(u), h) for u, h in backend.urls.items() if not u.endswith(".cn/")]
        return self._handlers[service]


def operation_of(service: str, request: Request) -> str:
    """The operation's name where the request tells it; REST requests don't."""
    target = request.headers.get("x-amz-target")
    if target:
        return target.rpartition(".")[2]
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        found = re.search(rb"(?:^|&)Action=([A-Za-z0-9]+)", request.body)
        if found:
            return found.group(1).decode()
    found_text = re.search(r"(?:^|&)Action=([A-Za-z0-9]+)", request.query)
    return found_text.group(1) if found_text else ""


def not_implemented(service: str, operation: str) -> AwsError:
    """What this cloud can't do is said in an AWS error document. 501, as SDKs don't try that again."""
    what = f"The {service} operation {operation}" if operation else f"The service {service}"
    code = "UnsupportedOperation" if service == "ec2" else "NotImplemented"
    return AwsError(code, f"{what} is not supported by this cloud yet.", 501)


def _host(service: str, region: str) -> str:
    if service in ("budgets", "cloudfront"):
        return f"{service}.amazonaws.com"
    return f"{_HOSTS.get(service, service)}.{region}.amazonaws.com"


def _response(service: str, operation: str, status: int, headers: Mapping[str, Any], body: Any) -> Response:
    content = body.encode() if isinstance(body, str) else bytes(body or b"")
    lowered = {str(k).lower(): str(v) for k, v in headers.items()}
    for name in ("status", "server", "date", "connection", "transfer-encoding"):
        lowered.pop(name, None)
    is_page = content == b"" or content[:20].lower().startswith((b"<!doctype html", b"<html"))
    if status == 404 and is_page and service != "s3":
        raise not_implemented(service, operation)
    return Response(status, lowered, content)
