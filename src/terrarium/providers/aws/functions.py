"""The provider's functions: `arn_parse`, `arn_build`, `trim_iam_role_path`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from terrarium.base.diagnostics import error
from terrarium.engine.provider import ValueResult
from terrarium.language.values import Value, object_of, string
from terrarium.language.values import null as null_value

_PARTS = ("partition", "service", "region", "account_id", "resource")


def call(function: str, arguments: Sequence[Value]) -> ValueResult:
    texts = [str(a.data) for a in arguments]
    match function:
        case "arn_build":
            return ValueResult(string(":".join(["arn", *texts])))
        case "arn_parse":
            parts = texts[0].split(":", 5)
            if len(parts) != 6 or parts[0] != "arn":
                return _wrong("arn: invalid prefix" if not texts[0].startswith("arn:") else "arn: not enough sections")
            return ValueResult(object_of({name: string(p) for name, p in zip(_PARTS, parts[1:], strict=True)}))
        case "trim_iam_role_path":
            parts = texts[0].split(":", 5)
            if len(parts) != 6 or not parts[5].startswith("role/"):
                return _wrong(f'"{texts[0]}" is not an IAM role ARN')
            return ValueResult(string(":".join([*parts[:5], f"role/{parts[5].rsplit('/', 1)[1]}"])))
    raise KeyError(function)


def _wrong(text: str) -> ValueResult:
    return ValueResult(null_value(), (replace(error("Error in function call", text), attribute=(0,)),))
