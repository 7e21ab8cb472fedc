"""What the cloud needs of others and what others may plug into it. `cloud` imports no layer but `base`.

A `Service` answers the operations of one AWS service (by its signing name: `eks`, `sts`). The endpoint does the rest
for all of them from botocore's service models: routing, signatures, parsing and shaping of requests and answers,
errors in the protocol of the service, the journal, paging limits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request: `arn` is an IAM user, a root or an assumed role session."""

    account: str
    arn: str
    user_id: str
    access_key: str


@dataclass(frozen=True, slots=True)
class Call:
    """One verified request: operation and parameters in botocore's names."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    caller: Caller
    request_id: str


class AwsError(Exception):
    """An error an operation answers with: the model's shape name, its HTTP status, a message, further members."""

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = members


Operation = Callable[[Call], Awaitable[Mapping[str, Any]]]


class Service(Protocol):
    """An AWS service of our own. Operations it lacks are answered with the protocol's "not implemented" error."""

    name: str
    """Signing name, also botocore's service name."""

    @property
    def operations(self) -> Mapping[str, Operation]: ...

    async def start(self) -> None:
        """Loads what is on disk."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Subnet:
    id: str
    vpc: str
    zone: str
    zone_id: str
    cidr: str
    public: bool
    """Its route table leads 0.0.0.0/0 to an internet gateway."""
    tags: Mapping[str, str] = field(default_factory=dict)


class CloudView(Protocol):
    """What EKS asks of the rest of the cloud, in process."""

    async def subnet(self, region: str, id: str) -> Subnet | None: ...
    async def vpc_cidrs(self, region: str, vpc: str) -> list[str]: ...
    async def role(self, arn: str) -> Mapping[str, Any] | None:
        """The IAM role (`Arn`, `RoleName`, `RoleId`, `AssumeRolePolicyDocument` as text, `AttachedPolicies`), or None."""
        ...

    async def create_security_group(
        self, region: str, vpc: str, name: str, description: str, tags: Mapping[str, str]
    ) -> str: ...
    async def delete_security_group(self, region: str, id: str) -> None: ...
    async def security_group_vpc(self, region: str, id: str) -> str | None:
        """The VPC of a security group, None when there is no such group."""
        ...

    async def user_exists(self, arn: str) -> bool: ...
    async def allocate_address(
        self, region: str, subnet: str, description: str, groups: Sequence[str] = ()
    ) -> tuple[str, str]:
        """A network interface with a private address in the subnet: (interface id, address)."""
        ...

    async def release_address(self, region: str, interface: str) -> None: ...
    async def caller_of_presigned(self, url: str, headers: Mapping[str, str]) -> Caller:
        """Verifies a presigned STS GetCallerIdentity URL against issued keys; `AwsError` says what is wrong."""
        ...

    async def call(self, service: str, operation: str, parameters: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """Any operation as the world's own account (logs, ELBv2 …)."""
        ...


class InstanceListener(Protocol):
    """Somebody who wants to know when EC2 instances come and go (nodes of clusters)."""

    async def running(self, region: str, instance: Mapping[str, Any]) -> None: ...
    async def terminated(self, region: str, instance_id: str) -> None: ...
