"""EKS tokens: a presigned STS GetCallerIdentity request as a bearer token, and whose it is in a cluster.

The checks and their texts follow aws-iam-authenticator (pkg/token): everything about the URL is checked here, and in
place of the call to STS the signature is verified against the keys of this world. Then the caller becomes a user: by
its access entry, or by the cluster's aws-auth ConfigMap, as the authentication mode says; the entry wins.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from terrarium.cloud.hooks import AwsError, Caller
from terrarium.cloud.records import Document
from terrarium.eks.entries import principal_of
from terrarium.eks.ground import CLUSTER, ENTRY, Ground
from terrarium.eks.hosting import ClusterId
from terrarium.kube.api.hooks import Unauthenticated, User

PREFIX = "k8s-aws-v1."
LONGEST = 4096
LIFE = 900
_CLUSTER_HEADER = "x-k8s-aws-id"
_KNOWN = frozenset(
    ("action", "version", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-security-token",
     "x-amz-signature", "x-amz-signedheaders", "x-amz-user-agent")
)  # fmt: skip
_AWS_HOST = re.compile(r"sts(\.[a-z0-9-]+)?\.amazonaws\.com")
_EXTRA = "sigs.k8s.io/aws-iam-authenticator/principalId"

AwsAuth = Callable[[], Awaitable[Mapping[str, str] | None]]
"""Reads `data` of the ConfigMap kube-system/aws-auth; None when there is none."""


def check_url(text: str, hosts: Collection[str], now: float) -> tuple[str, Mapping[str, str]]:
    """Checks 1 to 11 of a token: its URL and the (lower-case) parameters. `Unauthenticated` with the first that fails.

    `hosts` are the `host:port` of this world's endpoint, which may be reached without TLS; `now` is real time.
    """
    if len(text) > LONGEST:
        raise Unauthenticated("token is too large")
    if not text.startswith(PREFIX):
        raise Unauthenticated(f'token is missing expected "{PREFIX}" prefix')
    raw = text[len(PREFIX) :]
    try:
        url = base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True).decode()
        parts = urlsplit(url)
    except (binascii.Error, ValueError) as failure:
        raise Unauthenticated(str(failure)) from None
    local = parts.netloc in hosts
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise Unauthenticated(f'unexpected scheme "{parts.scheme}" in pre-signed URL')
    if not local and not _AWS_HOST.fullmatch(parts.netloc):
        raise Unauthenticated(f'unexpected hostname "{parts.netloc}" in pre-signed URL')
    if parts.path != "/":
        raise Unauthenticated("unexpected path in pre-signed URL")
    parameters = _parameters(parts.query)
    if parameters.get("action") != "GetCallerIdentity":
        raise Unauthenticated("unexpected action parameter in pre-signed URL")
    if _CLUSTER_HEADER not in parameters.get("x-amz-signedheaders", "").lower().split(";"):
        raise Unauthenticated(f"client did not sign the {_CLUSTER_HEADER} header in the pre-signed URL")
    _check_times(parameters, now)
    return url, parameters


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise Unauthenticated("malformed query parameter") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        if key in found:
            raise Unauthenticated(f'duplicate query parameter found: "{key}"')
        if key not in _KNOWN:
            raise Unauthenticated(f'non-whitelisted query parameter "{key}"')
        found[key] = value
    return found


def _check_times(parameters: Mapping[str, str], now: float) -> None:
    expires = parameters.get("x-amz-expires", "")
    if not expires.isascii() or not expires.isdigit() or int(expires) > LIFE:
        raise Unauthenticated(f"invalid X-Amz-Expires parameter in pre-signed URL: {expires or 0}")
    date = parameters.get("x-amz-date")
    if not date:
        raise Unauthenticated("X-Amz-Date parameter must be present in pre-signed URL")
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise Unauthenticated(f"error parsing X-Amz-Date parameter {date} into format 20060102T150405Z") from None
    if now > signed + LIFE:
        raise Unauthenticated("X-Amz-Date parameter is expired (15 minute expiration) " + date)


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a principal is mapped to, with templates not yet filled in."""

    username: str
    groups: tuple[str, ...]


class EksTokens:
    """Implements `kube.api.hooks.Authenticator` for one cluster."""

    def __init__(
        self, ground: Ground, cluster: ClusterId, hosts: Callable[[], Collection[str]], aws_auth: AwsAuth | None = None
    ) -> None:
        self._ground = ground
        self._cluster = cluster
        self._hosts = hosts
        self._aws_auth = aws_auth

    async def authenticate(self, token: str) -> User | None:
        if not token.startswith(PREFIX):
            return None
        now = self._ground.clock.time() - self._ground.clock.offset
        url, _ = check_url(token, self._hosts(), now)
        headers = {_CLUSTER_HEADER: self._cluster.name, "accept": "application/json"}
        try:
            caller = await self._ground.view.caller_of_presigned(url, headers)
        except AwsError as failure:
            raise Unauthenticated(f"error from AWS (expected 200, got {failure.status}) {failure.code}") from None
        mapped = await self._map(caller)
        if mapped is None:
            raise Unauthenticated(f"ARN is not mapped: {principal_of(caller.arn).lower()}")
        return user_of(caller, mapped)

    async def _map(self, caller: Caller) -> Mapped | None:
        principal = principal_of(caller.arn)
        cluster = self._ground.records.get(CLUSTER, str(self._cluster))
        if cluster is None:
            return None
        entry = find_entry(self._ground.of_cluster(ENTRY, self._cluster), caller)
        if entry is not None:
            return Mapped(entry["username"], tuple(entry["kubernetesGroups"]))
        if cluster["accessConfig"]["authenticationMode"] == "API" or self._aws_auth is None:
            return None
        data = await self._aws_auth()
        return None if data is None else from_aws_auth(data, principal)


def find_entry(entries: Collection[Document], caller: Caller) -> Document | None:
    """The access entry of a caller. An assumed role names its role without the role's path."""
    principal = principal_of(caller.arn)
    for entry in entries:
        arn = entry["principalArn"]
        if arn == principal or (":assumed-role/" in caller.arn and _without_path(arn) == principal):
            return entry
    return None


def _without_path(arn: str) -> str:
    head, slash, rest = arn.partition("/")
    return head + slash + rest.rpartition("/")[2]


def from_aws_auth(data: Mapping[str, str], principal: str) -> Mapped | None:
    """The line of the aws-auth ConfigMap for a principal; lines that can't be read are passed over."""
    for member, name in (("mapRoles", "rolearn"), ("mapUsers", "userarn")):
        try:
            lines = yaml.safe_load(data.get(member, "")) or []
        except yaml.YAMLError:
            continue
        for line in lines if isinstance(lines, list) else []:
            if isinstance(line, dict) and str(line.get(name, "")).lower() == principal.lower():
                groups = tuple(str(g) for g in line.get("groups") or ())
                return Mapped(str(line.get("username") or principal), groups)
    return None


def user_of(caller: Caller, mapped: Mapped) -> User:
    """The Kubernetes user of a caller."""
    session = caller.arn.rpartition("/")[2] if ":assumed-role/" in caller.arn else ""
    principal_id = caller.user_id.partition(":")[0]
    values: dict[str, Any] = {
        "{{AccountID}}": caller.account,
        "{{SessionName}}": session.replace("@", "-"),
        "{{SessionNameRaw}}": session,
        "{{AccessKeyID}}": caller.access_key,
        # A node's session is named after its instance; its private name is known to EC2 only through that.
        "{{EC2PrivateDNSName}}": session,
    }

    def fill(text: str) -> str:
        return re.sub(r"\{\{\w+\}\}", lambda m: values.get(m.group(), m.group()), text)

    return User(
        name=fill(mapped.username),
        uid=f"aws-iam-authenticator:{caller.account}:{principal_id}",
        groups=(*(fill(g) for g in mapped.groups), "system:authenticated"),
        extra={
            "arn": (caller.arn,),
            "canonicalArn": (principal_of(caller.arn),),
            "sessionName": (session,),
            "accessKeyId": (caller.access_key,),
            "principalId": (principal_id,),
            _EXTRA: (principal_id,),
        },
    )
