"""The cloud as its neighbours in this process see it: moto's models read directly, everything else as a normal call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from terrarium.cloud.credentials import Credential
from terrarium.cloud.determinism import moto
from terrarium.cloud.hooks import AwsError, Call, Caller, Subnet
from terrarium.cloud.signature import Request, parse_query

if TYPE_CHECKING:
    from terrarium.cloud.server import AwsEndpoint

_ROLE = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/(?:.*/)?([^/]+)")


class InProcessView:
    """Implements `hooks.CloudView`."""

    def __init__(self, endpoint: AwsEndpoint) -> None:
        self._endpoint = endpoint
        self._clients: dict[tuple[str, str], Any] = {}

    # Reading moto's models

    async def subnet(self, region: str, id: str) -> Subnet | None:
        def read() -> Subnet | None:
            backend = self._ec2(region)
            subnet = next((s for zone in backend.subnets.values() for s in zone.values() if s.id == id), None)
            if subnet is None:
                return None
            return Subnet(
                id=subnet.id,
                vpc=subnet.vpc_id,
                zone=subnet.availability_zone,
                zone_id=subnet.availability_zone_id,
                cidr=subnet.cidr_block,
                public=_is_public(backend, subnet),
                tags={t["key"]: t["value"] for t in subnet.get_tags()},
            )

        return await self._endpoint.breadth.run(read)

    async def vpc_cidrs(self, region: str, vpc: str) -> list[str]:
        def read() -> list[str]:
            found = self._ec2(region).vpcs.get(vpc)
            if found is None:
                return []
            return [a["cidr_block"] for a in found._cidr_block_association_set.values()]

        return await self._endpoint.breadth.run(read)

    async def security_group_vpc(self, region: str, id: str) -> str | None:
        """The VPC of a security group, None when there is no such group."""

        def read() -> str | None:
            groups = self._ec2(region).groups
            return next((vpc for vpc, of_vpc in groups.items() if id in of_vpc), None)

        return await self._endpoint.breadth.run(read)

    async def role(self, arn: str) -> Mapping[str, Any] | None:
        found = _ROLE.fullmatch(arn)
        if found is None:
            return None
        account, name = found.groups()

        def read() -> Mapping[str, Any] | None:
            backend = moto("iam.models").iam_backends[account]["aws"]
            role = next((r for r in backend.roles.values() if r.name == name), None)
            if role is None or role.arn != arn:
                return None
            return {
                "Arn": role.arn,
                "RoleName": role.name,
                "RoleId": role.id,
                "AssumeRolePolicyDocument": role.assume_role_policy_document,
                "AttachedPolicies": list(role.managed_policies),
            }

        return await self._endpoint.breadth.run(read)

    async def user_exists(self, arn: str) -> bool:
        def read() -> bool:
            return any(
                u.arn == arn for u in moto("iam.models").iam_backends[self._endpoint.account]["aws"].users.values()
            )

        return await self._endpoint.breadth.run(read)

    async def iam_keys(self) -> list[Credential]:
        """Users' access keys, as IAM has them."""
        account, admin = self._endpoint.account, self._endpoint.admin

        def read() -> list[Credential]:
            return [
                Credential(key.access_key_id, key.secret_access_key, user.arn, user.id, account, "iam",
                           active=key.status == "Active")
                for user in moto("iam.models").iam_backends[account]["aws"].users.values()
                for key in user.access_keys
                if key.access_key_id != admin.access_key
            ]  # fmt: skip

        return await self._endpoint.breadth.run(read)

    def _ec2(self, region: str) -> Any:
        return moto("ec2.models").ec2_backends[self._endpoint.account][region]

    # Writing, as calls

    async def create_security_group(
        self, region: str, vpc: str, name: str, description: str, tags: Mapping[str, str]
    ) -> str:
        specification = [{"ResourceType": "security-group", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]
        answer = await self.call(
            "ec2",
            "CreateSecurityGroup",
            {"GroupName": name, "Description": description, "VpcId": vpc, "TagSpecifications": specification},
            region,
        )
        return str(answer["GroupId"])

    async def delete_security_group(self, region: str, id: str) -> None:
        try:
            await self.call("ec2", "DeleteSecurityGroup", {"GroupId": id}, region)
        except AwsError as failure:
            if failure.code != "InvalidGroup.NotFound":
                raise

    async def allocate_address(
        self, region: str, subnet: str, description: str, groups: Sequence[str] = ()
    ) -> tuple[str, str]:
        parameters: dict[str, Any] = {"SubnetId": subnet, "Description": description}
        if groups:
            parameters["Groups"] = list(groups)
        answer = await self.call("ec2", "CreateNetworkInterface", parameters, region)
        interface = answer["NetworkInterface"]
        return str(interface["NetworkInterfaceId"]), str(interface["PrivateIpAddress"])

    async def release_address(self, region: str, interface: str) -> None:
        try:
            await self.call("ec2", "DeleteNetworkInterface", {"NetworkInterfaceId": interface}, region)
        except AwsError as failure:
            if failure.code != "InvalidNetworkInterfaceID.NotFound":
                raise

    async def caller_of_presigned(self, url: str, headers: Mapping[str, str]) -> Caller:
        rest = url.partition("://")[2]
        host, slash, tail = rest.partition("/")
        path, _, query = tail.partition("?")
        if not slash:
            host, _, query = host.partition("?")
        lowered = {k.lower(): v for k, v in headers.items()}
        lowered.setdefault("host", host)
        admitted = self._endpoint.gate.admit(Request("GET", "/" + path, query, lowered, b""), "sts")
        if admitted.claim.service != "sts" or dict(parse_query(query)).get("Action") != "GetCallerIdentity":
            raise AwsError("InvalidAction", "not a presigned GetCallerIdentity request", 400)
        return admitted.credential.caller

    async def call(self, service: str, operation: str, parameters: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        own = self._endpoint.services.get(service)
        if own is not None:
            function = own.operations.get(operation)
            if function is None:
                raise AwsError("NotImplemented", f"{service} {operation} is not supported by this cloud yet.", 501)
            caller = self._endpoint.admin.caller
            return await function(Call(service, operation, parameters, region, caller, "in-process"))
        return await self._endpoint.breadth.run(lambda: self._in_moto(service, operation, parameters, region))

    async def warm(self) -> None:
        """Makes the client that a first cluster needs, beside everything else: it reads botocore's largest model."""
        await self._endpoint.breadth.run(lambda: self._client("ec2", self._endpoint.region))

    def _in_moto(self, service: str, operation: str, parameters: Mapping[str, Any], region: str) -> Mapping[str, Any]:
        """Runs in moto's thread: botocore shapes the request and reads the answer, and no socket is between."""
        from botocore import xform_name
        from botocore.exceptions import ClientError, ParamValidationError

        client = self._client(service, region)
        try:
            answer: dict[str, Any] = getattr(client, xform_name(operation))(**parameters)
        except ClientError as failure:
            detail = failure.response["Error"]
            status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
            raise AwsError(detail.get("Code", "Unknown"), detail.get("Message", ""), status) from None
        except ParamValidationError as failure:
            raise AwsError("ValidationError", str(failure), 400) from None
        answer.pop("ResponseMetadata", None)
        return answer

    def _client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            import botocore.session
            from botocore.config import Config

            admin = self._endpoint.admin
            # Nothing of the user's own AWS settings may reach in here.
            alone = dict.fromkeys(("profile", "config_file", "credentials_file"), (None, None, None, None))
            session = botocore.session.Session(session_vars=alone)
            client = session.create_client(
                service,
                endpoint_url=f"https://{service}.{region}.amazonaws.com",
                region_name=region,
                aws_access_key_id=admin.access_key,
                aws_secret_access_key=admin.secret,
                config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            )
            client.meta.events.register("before-send", self._send(service, region))
            self._clients[service, region] = client
        return self._clients[service, region]

    def _send(self, service: str, region: str) -> Any:
        from io import BytesIO

        from botocore.awsrequest import AWSResponse

        from terrarium.cloud.authentication import decoded
        from terrarium.cloud.wire import Response, error_response, protocol_of

        class Raw(BytesIO):
            def stream(self, **_: Any) -> Any:
                yield self.read()

        def send(request: Any, **_: Any) -> Any:
            address, _, query = request.url.partition("?")
            path = "/" + address.partition("://")[2].partition("/")[2]
            headers = {k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in request.headers.items()}
            body = request.body or b""
            content = body.read() if hasattr(body, "read") else body.encode() if isinstance(body, str) else bytes(body)
            plain = decoded(Request(request.method, path, query, headers, content), self._endpoint.admin)
            try:
                response: Response = self._endpoint.breadth.call(
                    service, region, plain, self._endpoint.admin.access_key
                )
            except AwsError as failure:
                response = error_response(protocol_of(service, plain), failure, "in-process", plain)
            return AWSResponse(request.url, response.status, dict(response.headers), Raw(response.body))

        return send


def _is_public(backend: Any, subnet: Any) -> bool:
    """Whether the subnet's route table leads to an internet gateway."""
    tables = [t for t in backend.route_tables.values() if t.vpc_id == subnet.vpc_id]
    own = next((t for t in tables if subnet.id in t._associations.values()), None)
    if own is None:
        own = next((t for t in tables if t.main_association_id), None)
    if own is None:
        return False
    return any(
        route.gateway is not None
        and route.gateway.id.startswith("igw-")
        and route.destination_cidr_block == "0.0.0.0/0"
        for route in own.routes
    )
