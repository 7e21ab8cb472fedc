"""STS: who is asking, and credentials for a while.

Roles belong to IAM (moto); a role is assumed only if it exists and its trust policy lets the caller.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.credentials import Credential, Credentials
from terrarium.cloud.hooks import AwsError, Call, CloudView, Operation
from terrarium.cloud.trust import trusts

_ROLE = re.compile(r"arn:aws[\w-]*:iam::(\d{12}):role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]+)")
_SESSION = re.compile(r"[\w+=,.@-]{2,64}")


class Sts:
    name = "sts"

    def __init__(self, credentials: Credentials, view: CloudView, clock: Clock, ids: Ids) -> None:
        self._credentials = credentials
        self._view = view
        self._clock = clock
        self._ids = ids

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {
            "GetCallerIdentity": self.get_caller_identity,
            "AssumeRole": self.assume_role,
            "GetSessionToken": self.get_session_token,
            "GetAccessKeyInfo": self.get_access_key_info,
        }

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def get_caller_identity(self, call: Call) -> Mapping[str, Any]:
        return {"UserId": call.caller.user_id, "Account": call.caller.account, "Arn": call.caller.arn}

    async def get_session_token(self, call: Call) -> Mapping[str, Any]:
        if call.caller.access_key.startswith("ASIA"):
            raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        seconds = _duration(call, 43_200, 129_600)
        caller = call.caller
        session = await self._credentials.issue_session(caller.arn, caller.user_id, caller.account, seconds)
        return {"Credentials": _shown(session)}

    async def get_access_key_info(self, call: Call) -> Mapping[str, Any]:
        known = self._credentials.get(str(call.parameters.get("AccessKeyId", "")))
        return {"Account": known.account if known else self._credentials.account}

    async def assume_role(self, call: Call) -> Mapping[str, Any]:
        arn = str(call.parameters.get("RoleArn", ""))
        session_name = str(call.parameters.get("RoleSessionName", ""))
        found = _ROLE.fullmatch(arn)
        if found is None:
            raise AwsError("ValidationError", f"{arn} is invalid", 400)
        if not _SESSION.fullmatch(session_name):
            raise AwsError(
                "ValidationError",
                f"1 validation error detected: Value '{session_name}' at 'roleSessionName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
                400,
            )
        seconds = _duration(call, 3_600, 43_200)
        role = await self._view.role(arn)
        external = call.parameters.get("ExternalId")
        if role is None or not trusts(role["AssumeRolePolicyDocument"], call.caller, "sts:AssumeRole", external):
            raise AwsError(
                "AccessDenied",
                f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                403,
            )
        account, name = found.groups()
        user_id = f"{role['RoleId']}:{session_name}"
        session_arn = f"arn:aws:sts::{account}:assumed-role/{name}/{session_name}"
        session = await self._credentials.issue_session(session_arn, user_id, account, seconds)
        return {
            "Credentials": _shown(session),
            "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": session_arn},
        }


def _duration(call: Call, default: int, longest: int) -> int:
    seconds = int(call.parameters.get("DurationSeconds", default))
    if not 900 <= seconds <= longest:
        raise AwsError(
            "ValidationError",
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
            f"Member must have value between 900 and {longest}",
            400,
        )
    return seconds


def _shown(session: Credential) -> Mapping[str, Any]:
    assert session.expires is not None
    return {
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": datetime.fromtimestamp(int(session.expires), UTC),
    }
