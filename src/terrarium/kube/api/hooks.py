"""What others may plug into an API server: who a caller is, what it may do, what happens to a write, and a door to pods.

EKS gives authenticators (its tokens), an authoriser (access policies) and admission (Fargate); the runtime gives the
kubelet door. They stand here, and not with the API server, because those layers may see only `api` and `client`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import Resource


@dataclass(frozen=True, slots=True)
class User:
    """Who calls (authentication.k8s.io UserInfo)."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Authenticator(Protocol):
    async def authenticate(self, token: str) -> User | None:
        """The user of a bearer token; None when the token is not of this authenticator's kind. `Unauthenticated`
        when it is, but is not valid."""
        ...


class Unauthenticated(Exception):
    """A token that is refused. The text goes to the server's log only; the client sees 401 Unauthorized."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is to be allowed. `resource` None means a path that is no resource."""

    user: User
    verb: str
    resource: Resource | None = None
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    fields: str = ""
    """The field selector of a list or watch."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An authoriser's word; `no opinion` lets the next one speak, and nobody's yes is a refusal."""

    verdict: Literal["allow", "deny", "no opinion"]
    reason: str = ""


class Authorizer(Protocol):
    async def authorize(self, attributes: Attributes) -> Decision: ...


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A write on its way. `old` is None on create, `obj` None on delete."""

    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource
    kind: str
    namespace: str
    name: str
    obj: Obj | None
    old: Obj | None
    user: User
    subresource: str = ""
    dry_run: bool = False
    warnings: list[str] = field(default_factory=list)
    """What the answer shall warn of; a plugin may add to it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The request's CreateOptions, UpdateOptions, PatchOptions or DeleteOptions."""


class Denied(Exception):
    """Admission refuses a write: `message` as the webhook or plugin words it, `code` the HTTP status. A `status` is the
    whole answer in place of all others."""

    details: Mapping[str, Any] | None = None

    def __init__(
        self, message: str, code: int = 403, reason: str = "Forbidden", *, status: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.reason = reason


class Admission(Protocol):
    """An admission plugin in process. `admit` may change `request.obj` (it is fresh); both may raise `Denied`."""

    name: str

    async def admit(self, request: AdmissionRequest) -> None: ...
    async def validate(self, request: AdmissionRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class LogOptions:
    """Options of `pods/log` (core/v1 PodLogOptions)."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since_seconds: int | None = None
    since_time: str = ""
    tail_lines: int | None = None
    limit_bytes: int | None = None


class Stream(Protocol):
    """A running exec, attach or forwarded port: bytes both ways. Channels: 1 stdout (or data), 2 stderr."""

    async def write(self, data: bytes) -> None: ...
    async def close_input(self) -> None: ...
    async def resize(self, width: int, height: int) -> None: ...
    def output(self) -> AsyncIterator[tuple[int, bytes]]: ...
    async def wait(self) -> int:
        """The exit code."""
        ...


class KubeletRefusal(Exception):
    """The kubelet can't serve it; `code` and text become the Status (400 for `container "x" … is waiting to start`)."""

    def __init__(self, message: str, code: int = 400, reason: str = "BadRequest") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class KubeletDoor(Protocol):
    """What an API server asks of the kubelet of a pod's node. `pod` is the stored object, already authorised."""

    def logs(self, pod: Obj, options: LogOptions) -> AsyncIterator[bytes]: ...
    async def exec(self, pod: Obj, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Stream: ...
    async def attach(self, pod: Obj, container: str, *, stdin: bool, tty: bool) -> Stream: ...
    async def connect(self, pod: Obj, port: int) -> Stream: ...
    async def proxy(
        self, pod: Obj, port: int, method: str, path: str, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]: ...
    async def usage(self, node: str) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        """`{namespace/pod: {container: (cpu nanocores, memory bytes)}}` of a node."""
        ...
