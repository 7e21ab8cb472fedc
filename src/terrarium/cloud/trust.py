"""Whether a role's trust policy lets somebody assume it. A pure function over the policy's text."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import orjson

from terrarium.cloud.hooks import Caller


def trusts(document: str, caller: Caller, action: str, external_id: str | None = None) -> bool:
    """An IAM principal: allowed by a statement, and denied by none."""
    names = _names(caller)
    facts = {"sts:externalid": external_id, "aws:principalarn": caller.arn, "aws:principalaccount": caller.account}
    return _decide(document, "AWS", names, action, facts)


def trusts_service(document: str, service: str, action: str = "sts:AssumeRole") -> bool:
    """A service such as `eks.amazonaws.com`; conditions on its source are taken as met."""
    return _decide(document, "Service", {service}, action, None)


def _names(caller: Caller) -> set[str]:
    names = {caller.arn, caller.account, f"arn:aws:iam::{caller.account}:root", "*"}
    if ":assumed-role/" in caller.arn:
        account, _, rest = caller.arn.removeprefix("arn:aws:sts::").partition(":assumed-role/")
        names.add(f"arn:aws:iam::{account}:role/{rest.split('/')[0]}")
    return names


def _decide(document: str, kind: str, names: set[str], action: str, facts: Mapping[str, Any] | None) -> bool:
    try:
        policy = orjson.loads(document)
        statements = policy["Statement"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return False
    allowed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or not _applies(statement, kind, names, action, facts):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = allowed or statement.get("Effect") == "Allow"
    return allowed


def _applies(
    statement: Mapping[str, Any], kind: str, names: set[str], action: str, facts: Mapping[str, Any] | None
) -> bool:
    if not any(fnmatchcase(action.lower(), str(a).lower()) for a in _listed(statement.get("Action"))):
        return False
    principal = statement.get("Principal")
    if principal != "*":
        given = _listed(principal.get(kind)) if isinstance(principal, dict) else []
        if not (names & {str(g) for g in given}):
            return False
    return facts is None or _conditions_met(statement.get("Condition") or {}, facts)


def _conditions_met(conditions: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    for operator, tests in conditions.items():
        for key, wanted in tests.items():
            value = facts.get(key.lower())
            texts = [str(w) for w in _listed(wanted)]
            match operator:
                case "StringEquals" | "ArnEquals":
                    met = value in texts
                case "StringLike" | "ArnLike":
                    met = value is not None and any(fnmatchcase(str(value), t) for t in texts)
                case "StringNotEquals":
                    met = value not in texts
                case _:
                    met = False
            if not met:
                return False
    return True


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
