"""From the provider's block and the environment to a `Cloud`, with the checks and words of the real provider."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.providers.aws.session import AwsFailure, Cloud, Settings, go_duration
from terrarium.providers.values import UNKNOWN

# The patterns by which the SDK's partitions accept regions, also ones that are newer than its list.
_REGION = re.compile(
    r"(us|eu|ap|sa|ca|me|af|il|mx)-(gov-|iso[a-z]?-)?\w+-\d+|cn-\w+-\d+|us-(iso|isob|isof|gov)-\w+-\d+|eu-isoe-\w+-\d+"
)


def configured(config: Mapping[str, Any]) -> tuple[Cloud | None, list[Diagnostic]]:
    """The cloud that the block describes, its credentials checked; or what is wrong with it."""
    settings = _settings(config)
    if not _given(config, "skip_region_validation") and not _REGION.fullmatch(settings.region):
        return None, [error(f"invalid AWS Region: {settings.region}")]
    cloud = Cloud(settings)
    unavailable = _credentials_problem(cloud)
    if unavailable is not None:
        return None, [unavailable]
    check = not _given(config, "skip_credentials_validation")
    ask = not _given(config, "skip_requesting_account_id")
    if check or ask:
        try:
            identity = cloud.call("sts", "get_caller_identity")
        except AwsFailure as failure:
            if check:
                return None, [
                    error(
                        "Retrieving AWS account details: validating provider credentials: "
                        f"retrieving caller identity from STS: {failure}"
                    )
                ]
            return cloud, []
        cloud.account_id = identity["Account"]
        cloud.caller_arn = identity["Arn"]
    problem = _forbidden(config, cloud.account_id)
    return (None, [problem]) if problem else (cloud, [])


def _given(config: Mapping[str, Any], name: str) -> Any:
    value = config.get(name)
    return None if value is UNKNOWN else value


def _settings(config: Mapping[str, Any]) -> Settings:
    profile = _given(config, "profile") or None
    region = _given(config, "region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    defaults: dict[str, str] = {}
    for name, value in os.environ.items():
        if name.startswith("TF_AWS_DEFAULT_TAGS_"):
            defaults[name.removeprefix("TF_AWS_DEFAULT_TAGS_")] = value
    for block in _given(config, "default_tags") or ():
        defaults.update({k: v for k, v in (_given(block, "tags") or {}).items() if isinstance(v, str)})
    ignore: Mapping[str, Any] = next(iter(_given(config, "ignore_tags") or ()), {})
    endpoints: dict[str, str] = {}
    for block in _given(config, "endpoints") or ():
        endpoints.update({_service(name): url for name, url in block.items() if isinstance(url, str) and url})
    roles = tuple(
        _role(r) for r in _given(config, "assume_role") or () if isinstance(r, dict) and _given(r, "role_arn")
    )
    web = next(iter(_given(config, "assume_role_with_web_identity") or ()), None)
    settings = Settings(
        region=region or "",
        profile=profile,
        access_key=_given(config, "access_key") or None,
        secret_key=_given(config, "secret_key") or None,
        token=_given(config, "token") or None,
        endpoints=endpoints,
        assume_roles=roles,
        web_identity=_role(web) if isinstance(web, dict) and _given(web, "role_arn") else None,
        default_tags=defaults,
        ignore_keys=frozenset(_given(ignore, "keys") or ()),
        ignore_prefixes=tuple(_given(ignore, "key_prefixes") or ()),
        max_retries=_given(config, "max_retries"),
        retry_mode=_given(config, "retry_mode") or None,
        insecure=bool(_given(config, "insecure")),
        ca_bundle=_given(config, "custom_ca_bundle") or None,
        s3_path_style=bool(_given(config, "s3_use_path_style")),
        dualstack=bool(_given(config, "use_dualstack_endpoint")),
        fips=bool(_given(config, "use_fips_endpoint")),
        credential_files=tuple(str(Path(f).expanduser()) for f in _given(config, "shared_credentials_files") or ()),
        config_files=tuple(str(Path(f).expanduser()) for f in _given(config, "shared_config_files") or ()),
    )
    if not settings.region:
        from dataclasses import replace

        settings = replace(settings, region=_profile_region(settings))
    return settings


def _service(name: str) -> str:
    aliases = {
        "cloudwatchlogs": "logs",
        "cloudwatchlog": "logs",
        "elasticloadbalancingv2": "elbv2",
        "elasticloadbalancing": "elb",
        "eventbridge": "events",
        "cloudwatchevents": "events",
        "s3api": "s3",
    }
    return aliases.get(name, name)


def _role(role: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: _given(role, name) for name in role}
    length = known.pop("duration", None)
    if length:
        known["duration_seconds"] = int(go_duration(length) or 3600)
    return known


def _profile_region(settings: Settings) -> str:
    import botocore.exceptions
    import botocore.session

    try:
        session = botocore.session.Session(profile=settings.profile)
        if settings.config_files:
            session.set_config_variable("config_file", settings.config_files[0])
        return session.get_config_variable("region") or ""
    except botocore.exceptions.BotoCoreError:
        return ""


def _credentials_problem(cloud: Cloud) -> Diagnostic | None:
    import botocore.exceptions

    try:
        if cloud.session().get_credentials() is not None:
            return None
        reason = "failed to refresh cached credentials, no EC2 IMDS role found, operation error ec2imds: GetMetadata, "
        if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            reason += (
                'access disabled to EC2 IMDS via client option, or "AWS_EC2_METADATA_DISABLED" environment variable'
            )
        else:
            reason += "request canceled, context deadline exceeded"
    except botocore.exceptions.ProfileNotFound:
        reason = f"failed to get shared config profile, {cloud.settings.profile or os.environ.get('AWS_PROFILE', '')}"
    except botocore.exceptions.BotoCoreError as failure:
        reason = str(failure)
    return error(
        "No valid credential sources found",
        "Please see https://registry.terraform.io/providers/hashicorp/aws\n"
        f"for more information about providing credentials.\n\nError: {reason}\n",
    )


def _forbidden(config: Mapping[str, Any], account: str) -> Diagnostic | None:
    allowed = _given(config, "allowed_account_ids") or ()
    if allowed and account not in allowed:
        return error(f"AWS account ID not allowed: {account}")
    if account in (_given(config, "forbidden_account_ids") or ()):
        return error(f"AWS account ID not allowed: {account}")
    return None
