"""What all parts of the EKS service stand on: its documents, the clock, the cloud around it, and the words of refusal.

Documents are in the API's own shape (members named as on the wire); members which begin with `_` are ours and never
leave the process, as answers are written from the service model.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.hooks import AwsError, Call, CloudView
from terrarium.cloud.records import Document, Records
from terrarium.eks.hosting import ClusterHost, ClusterId, ClusterRecord

CLUSTER = "eks.cluster"
PROFILE = "eks.profile"
ADDON = "eks.addon"
NODEGROUP = "eks.nodegroup"
ENTRY = "eks.entry"
ASSOCIATION = "eks.association"
UPDATE = "eks.update"
CONFIG = "eks.config"

_NAME = re.compile(r"[0-9A-Za-z][A-Za-z0-9\-_]{0,99}")


def invalid(message: str, **members: Any) -> AwsError:
    return AwsError("InvalidParameterException", message, 400, **members)


def refused(message: str, **members: Any) -> AwsError:
    return AwsError("InvalidRequestException", message, 400, **members)


def in_use(message: str, **members: Any) -> AwsError:
    return AwsError("ResourceInUseException", message, 409, **members)


def not_found(message: str, **members: Any) -> AwsError:
    return AwsError("ResourceNotFoundException", message, 404, **members)


def check_name(kind: str, name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(
            f"{kind} name '{name}' is not valid: it can contain only alphanumeric characters (case-sensitive), hyphens, "
            "and underscores, must start with an alphanumeric character and can't be longer than 100 characters"
        )
    return name


def required(call: Call, *names: str) -> None:
    """Refuses a call which lacks a parameter, as SDKs do before they send it."""
    for name in names:
        if call.parameters.get(name) in (None, ""):
            raise invalid(f"{name} must not be null")


@dataclass(slots=True)
class Ground:
    records: Records
    clock: Clock
    ids: Ids
    view: CloudView
    host: ClusterHost
    account: str
    tasks: Tasks

    # Names

    def arn(self, region: str, rest: str) -> str:
        return f"arn:aws:eks:{region}:{self.account}:{rest}"

    def now(self) -> float:
        """Epoch seconds as the API shows them."""
        return round(self.clock.time(), 3)

    # Clusters

    def cluster(self, call: Call, parameter: str = "clusterName") -> tuple[ClusterId, Document]:
        """The cluster a call names; ResourceNotFoundException when there is none."""
        name = str(call.parameters.get(parameter, ""))
        found = self.records.get(CLUSTER, f"{call.region}/{name}")
        if found is None:
            raise not_found(f"No cluster found for name: {name}.", clusterName=name)
        return ClusterId(call.region, name), found

    def active_cluster(self, call: Call) -> tuple[ClusterId, Document]:
        """A cluster which can be changed now."""
        id, cluster = self.cluster(call)
        if cluster["status"] not in ("ACTIVE", "UPDATING"):
            raise refused(f"Cluster '{id.name}' is not in ACTIVE status", clusterName=id.name)
        return id, cluster

    def clusters(self) -> list[tuple[ClusterId, Document]]:
        return [(ClusterId(*key.split("/", 1)), document) for key, document in self.records.scan(CLUSTER)]

    def of_cluster(self, kind: str, cluster: ClusterId) -> list[Document]:
        return [document for _, document in self.records.scan(kind, f"{cluster}/")]

    async def change(self, kind: str, key: str, **members: Any) -> Document | None:
        """Sets members of a document, if it still exists."""
        document = self.records.get(kind, key)
        if document is None:
            return None
        changed = {**document, **members}
        await self.records.put(kind, key, changed)
        return changed


def record_of(id: ClusterId, cluster: Mapping[str, Any]) -> ClusterRecord:
    """The host's view of a cluster document."""
    network, vpc = cluster["kubernetesNetworkConfig"], cluster["resourcesVpcConfig"]
    compute = cluster.get("computeConfig", {})
    return ClusterRecord(
        id=id,
        arn=cluster["arn"],
        version=cluster["version"],
        platform_version=cluster["platformVersion"],
        service_cidr=network.get("serviceIpv4Cidr") or network.get("serviceIpv6Cidr", ""),
        vpc=vpc["vpcId"],
        subnets=tuple(vpc["subnetIds"]),
        security_group=vpc.get("clusterSecurityGroupId", ""),
        oidc_issuer=cluster["_issuer"],
        authentication_mode=cluster["accessConfig"]["authenticationMode"],
        auto_mode=bool(compute.get("enabled")),
        node_pools=tuple(compute.get("nodePools", ())),
        created_at=cluster["createdAt"],
        tags=cluster.get("tags", {}),
    )


def page(call: Call, items: Sequence[Any], member: str, default: int = 100) -> dict[str, Any]:
    """One page of a list. The token says where the next begins."""
    size = call.parameters.get("maxResults") or default
    if not 1 <= size <= 100:
        raise invalid("maxResults must be between 1 and 100")
    token = call.parameters.get("nextToken")
    start = 0 if not token else _position(token)
    answer: dict[str, Any] = {member: list(items[start : start + size])}
    if start + size < len(items):
        answer["nextToken"] = base64.b64encode(orjson.dumps({"start": start + size})).decode()
    return answer


def _position(token: str) -> int:
    try:
        return int(orjson.loads(base64.b64decode(token))["start"])
    except (ValueError, KeyError, TypeError):
        _bad_token()


def _bad_token() -> NoReturn:
    raise invalid("The next token is not valid")
