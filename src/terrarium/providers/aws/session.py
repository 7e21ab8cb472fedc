"""Credentials, region, endpoints and clients of one configured provider, and waiting.

botocore reads the environment (`AWS_*`, `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_<SERVICE>`) and the shared configuration
files; what the provider's block says goes before them. Failures of calls are told in the words of the real provider,
which speaks through the Go SDK.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.base.clock import real_monotonic, real_wait
from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids

WHOLE = "\0"
"""As `detail` of a failure: its message is complete, nothing is put before it."""


class AwsFailure(Failure):
    """A call failed, or waiting for its effect did. `detail` for messages of two parts."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


class Stopped(AwsFailure):
    """The user asked to stop while something was awaited."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The provider's block and the environment, resolved."""

    region: str
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = None
    token: str | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    assume_roles: tuple[Mapping[str, Any], ...] = ()
    web_identity: Mapping[str, Any] | None = None
    default_tags: Mapping[str, str] = field(default_factory=dict)
    ignore_keys: frozenset[str] = frozenset()
    ignore_prefixes: tuple[str, ...] = ()
    max_retries: int | None = None
    retry_mode: str | None = None
    insecure: bool = False
    ca_bundle: str | None = None
    s3_path_style: bool = False
    dualstack: bool = False
    fips: bool = False
    credential_files: tuple[str, ...] = ()
    config_files: tuple[str, ...] = ()


class Cloud:
    """Calls for one account and region. Safe for several threads."""

    def __init__(self, settings: Settings, ids: Ids | None = None) -> None:
        self.settings = settings
        self.ids = ids or Ids()
        self.account_id = ""
        self.caller_arn = ""
        self.partition = partition_of(settings.region)
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._serial: dict[str, threading.Lock] = {}
        self._session: Any = None
        self._names = 0

    @property
    def region(self) -> str:
        return self.settings.region

    @property
    def dns_suffix(self) -> str:
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def arn(self, service: str, resource: str, region: bool = True) -> str:
        """An ARN of this account, composed as the provider does where no API tells it."""
        return f"arn:{self.partition}:{service}:{self.region if region else ''}:{self.account_id}:{resource}"

    def client(self, service: str) -> Any:
        """The botocore client of a service; made once."""
        made = self._clients.get(service)
        if made is None:
            with self._lock:
                made = self._clients.get(service)
                if made is None:
                    made = self._clients[service] = self._make(service)
        return made

    def session(self) -> Any:
        """The botocore session with the credentials of the configuration."""
        if self._session is None:
            self._session = _session(self.settings)
        return self._session

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """One API call (`create_vpc`), parameters that are None left out. Raises `AwsFailure`'s child `ApiError`."""
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client(service)
        given = {key: value for key, value in parameters.items() if value is not None}
        try:
            answer: dict[str, Any] = getattr(client, operation)(**given)
        except ClientError as failure:
            raise ApiError.of(client, operation, failure.response) from None
        except BotoCoreError as failure:
            name = client.meta.method_to_api_mapping[operation]
            raise AwsFailure(
                f"operation error {client.meta.service_model.service_id}: {name}, "
                f"https response error StatusCode: 0, RequestID: , request send failed, {failure}"
            ) from None
        return answer

    def pages(self, service: str, operation: str, result: str, **parameters: Any) -> list[Any]:
        """All items of a listing, page by page."""
        items: list[Any] = []
        while True:
            answer = self.call(service, operation, **parameters)
            items.extend(answer.get(result) or ())
            for received, sent in _TOKENS:
                token = answer.get(received)
                if token and answer.get("IsTruncated", True):
                    parameters[sent] = token
                    break
            else:
                return items

    def serial(self, key: str) -> threading.Lock:
        """A lock for what AWS refuses to do twice at once, such as two Fargate profiles of one cluster."""
        with self._lock:
            return self._serial.setdefault(key, threading.Lock())

    def wait(
        self,
        look: Callable[[], str],
        until: Iterable[str],
        pending: Iterable[str],
        seconds: float,
    ) -> str:
        """Looks at a state until it is one of `until`; "" stands for gone. Quickly at first, so that an instant cloud
        answers in milliseconds. Another state than `pending` or the time limit raises in the provider's words."""
        wanted, allowed = tuple(until), tuple(pending)
        deadline = real_monotonic() + seconds
        delay = 0.005
        while True:
            state = look()
            if state in wanted:
                return state
            if allowed and state not in allowed:
                target = ", ".join(wanted) if wanted != ("",) else ""
                raise AwsFailure(f"unexpected state '{state}', wanted target '{target}'. last error: %!s(<nil>)")
            if real_monotonic() >= deadline:
                target = f"to become '{', '.join(wanted)}'" if wanted != ("",) else "to be deleted"
                raise AwsFailure(
                    f"timeout while waiting for state {target} (last state: '{state}', timeout: {duration(seconds)})"
                )
            self.pause(delay)
            delay = min(delay * 1.6, 5.0)

    def pause(self, seconds: float) -> None:
        """Waits; raises `Stopped` when the user asks to stop."""
        if real_wait(self._stopping, seconds):
            raise Stopped("context canceled")

    def retry(self, act: Callable[[], Any], again: Callable[[ApiError], bool], seconds: float = 120.0) -> Any:
        """Repeats a call while its failure is one that passes by itself (a role not seen everywhere yet)."""
        deadline = real_monotonic() + seconds
        delay = 0.2
        while True:
            try:
                return act()
            except ApiError as failure:
                if not again(failure) or real_monotonic() + delay > deadline:
                    raise
            self.pause(delay)
            delay = min(delay * 2, 10.0)

    def unique_name(self, prefix: str = "terraform-") -> str:
        """A name in the form of the real provider's: time to 0.1 ms and a counter of eight hex digits."""
        from datetime import UTC, datetime

        from terrarium.base.clock import Clock

        with self._lock:
            self._names += 1
            count = self._names
        moment = datetime.fromtimestamp(Clock().time(), UTC)
        return f"{prefix}{moment:%Y%m%d%H%M%S}{moment.microsecond // 100:04d}{count:08x}"

    def stop(self) -> None:
        self._stopping.set()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _make(self, service: str) -> Any:
        from botocore.config import Config

        settings = self.settings
        options: dict[str, Any] = {
            "retries": {
                "mode": settings.retry_mode or "standard",
                "total_max_attempts": (settings.max_retries or 4) if settings.max_retries != 0 else 1,
            },
            "connect_timeout": 10,
            "read_timeout": 120,
            "max_pool_connections": 32,
            "user_agent_appid": "terrarium",
        }
        if service == "s3":
            options["s3"] = {"addressing_style": "path" if settings.s3_path_style else "auto"}
        if settings.dualstack:
            options["use_dualstack_endpoint"] = True
        if settings.fips:
            options["use_fips_endpoint"] = True
        return self.session().create_client(
            service,
            region_name=settings.region,
            endpoint_url=settings.endpoints.get(service),
            verify=False if settings.insecure else settings.ca_bundle,
            config=Config(**options),
        )


class ApiError(AwsFailure):
    """AWS answered with an error document. `code` and `text` are its parts; `str` is the whole message."""

    def __init__(self, message: str, code: str, text: str) -> None:
        super().__init__(message)
        self.code = code
        self.text = text

    def means(self, *codes: str) -> bool:
        return self.code in codes

    @classmethod
    def of(cls, client: Any, operation: str, response: Mapping[str, Any]) -> ApiError:
        error = response.get("Error", {})
        code, text = str(error.get("Code", "")), str(error.get("Message", ""))
        about = response.get("ResponseMetadata", {})
        model = client.meta.service_model
        name = client.meta.method_to_api_mapping[operation]
        modelled = any(_codes(shape) & {code} for shape in model.operation_model(name).error_shapes)
        kind = f"{code}: {text}" if modelled else f"api error {code}: {text}"
        return cls(
            f"operation error {model.service_id}: {name}, "
            f"https response error StatusCode: {about.get('HTTPStatusCode', 0)}, "
            f"RequestID: {about.get('RequestId', '')}, {kind}",
            code,
            text,
        )


_TOKENS = (("NextToken", "NextToken"), ("nextToken", "nextToken"), ("NextMarker", "Marker"), ("Marker", "Marker"))


def _codes(shape: Any) -> set[str]:
    return {shape.name, shape.error_code} if hasattr(shape, "error_code") else {shape.name}


def _session(settings: Settings) -> Any:
    import botocore.session
    from botocore.handlers import json_decode_policies

    session = botocore.session.Session(profile=settings.profile)
    if settings.credential_files:
        session.set_config_variable("credentials_file", settings.credential_files[0])
    if settings.config_files:
        session.set_config_variable("config_file", settings.config_files[0])
    if settings.access_key and settings.secret_key:
        session.set_credentials(settings.access_key, settings.secret_key, settings.token)
    for role in settings.assume_roles:
        session = _assumed(session, settings, role)
    if settings.web_identity is not None:
        session = _web_assumed(session, settings, settings.web_identity)
    # Policy documents stay the text they are; botocore would parse them.
    session.unregister("after-call.iam", json_decode_policies)
    return session


def _assumed(session: Any, settings: Settings, role: Mapping[str, Any]) -> Any:
    """A session with the credentials of an assumed role, renewed when they run out."""
    from botocore.credentials import DeferredRefreshableCredentials, create_assume_role_refresher

    client = session.create_client("sts", region_name=settings.region, endpoint_url=settings.endpoints.get("sts"))
    parameters = {
        "RoleArn": role["role_arn"],
        "RoleSessionName": role.get("session_name") or f"aws-go-sdk-{Ids().hex(16)}",
        "DurationSeconds": role.get("duration_seconds"),
        "ExternalId": role.get("external_id"),
        "Policy": role.get("policy"),
        "PolicyArns": [{"arn": a} for a in role.get("policy_arns") or ()] or None,
        "SourceIdentity": role.get("source_identity"),
        "Tags": [{"Key": k, "Value": v} for k, v in (role.get("tags") or {}).items()] or None,
        "TransitiveTagKeys": role.get("transitive_tag_keys") or None,
    }
    refresher = create_assume_role_refresher(client, {k: v for k, v in parameters.items() if v is not None})
    return _with_credentials(settings, DeferredRefreshableCredentials(refresher, "assume-role"))


def _web_assumed(session: Any, settings: Settings, role: Mapping[str, Any]) -> Any:
    from pathlib import Path

    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.credentials import DeferredRefreshableCredentials

    client = session.create_client(
        "sts",
        region_name=settings.region,
        endpoint_url=settings.endpoints.get("sts"),
        config=Config(signature_version=UNSIGNED),
    )

    def refresh() -> dict[str, Any]:
        file = role.get("web_identity_token_file")
        token = role.get("web_identity_token") or (Path(file).read_text("utf-8") if file else "")
        answer = client.assume_role_with_web_identity(
            RoleArn=role["role_arn"],
            RoleSessionName=role.get("session_name") or f"aws-go-sdk-{Ids().hex(16)}",
            WebIdentityToken=token,
        )["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }

    return _with_credentials(settings, DeferredRefreshableCredentials(refresh, "assume-role-with-web-identity"))


def _with_credentials(settings: Settings, credentials: Any) -> Any:
    import botocore.session

    session = botocore.session.Session(profile=settings.profile)
    session._credentials = credentials  # botocore has no public way to hand in credentials that renew themselves
    return session


def prefix_of(name: str) -> str:
    """The prefix in a name that `unique_name` made; "" for other names."""
    match = re.fullmatch(r"(.*?)\d{18}[0-9a-f]{8}", name, re.DOTALL)
    return match[1] if match else ""


def partition_of(region: str) -> str:
    for prefix, partition in (
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-isob-", "aws-iso-b"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
    ):
        if region.startswith(prefix):
            return partition
    return "aws"


def duration(seconds: float) -> str:
    """A length of time as Go prints it: `20m0s`."""
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def go_duration(text: str) -> float | None:
    """Seconds of a Go duration such as `1h30m`; None when it is none."""
    from terrarium.base.clock import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        return None
