"""`aws_iam_policy_document`: a policy as JSON, byte for byte as the real provider writes it.

No request is made. Keys stand in the order of the provider's structures, lists of names in falling order, and a list of
one is written as its element. The id is the CRC-32 of the text.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from terrarium.providers.aws.rows import DataSource, Plain
from terrarium.providers.aws.session import WHOLE, AwsFailure, Cloud

_KEYS = (
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Principal",
    "NotPrincipal",
    "Condition",
)
_LISTS = (
    ("actions", "Action"),
    ("not_actions", "NotAction"),
    ("resources", "Resource"),
    ("not_resources", "NotResource"),
)


def read_document(cloud: Cloud, given: Plain) -> Plain:
    version = given.get("version") or "2012-10-17"
    merged: dict[str, Any] = {"Statement": []}
    sources = [t for t in (given.get("source_policy_documents") or ()) if t]
    if given.get("source_json"):
        sources.insert(0, given["source_json"])
    for number, text in enumerate(sources):
        _check_sids(_parsed(text), "source_policy_documents", number)
        _merge(merged, _parsed(text))
    own: dict[str, Any] = {"Version": version}
    if given.get("policy_id"):
        own["Id"] = given["policy_id"]
    own["Statement"] = [_statement(s, version) for s in given.get("statement") or ()]
    named = [s["Sid"] for s in own["Statement"] if s.get("Sid")]
    for sid in named:
        if named.count(sid) > 1:
            raise AwsFailure(f"duplicate Sid ({sid})", WHOLE)
    _merge(merged, own)
    overrides = [t for t in (given.get("override_policy_documents") or ()) if t]
    if given.get("override_json"):
        overrides.append(given["override_json"])
    for text in overrides:
        _merge(merged, _parsed(text))
    ordered = _ordered(merged)
    pretty = _go(json.dumps(ordered, indent=2, ensure_ascii=False))
    return {
        "id": str(zlib.crc32(pretty.encode())),
        "json": pretty,
        "minified_json": _go(json.dumps(ordered, separators=(",", ":"), ensure_ascii=False)),
        "statement": [_shown(s) for s in given.get("statement") or ()] or None,
        "version": version,
    }


def _statement(given: Plain, version: str) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": given.get("effect") or "Allow"}
    if given.get("sid"):
        made["Sid"] = given["sid"]
    for name, key in _LISTS:
        values = given.get(name)
        if values:
            made[key] = _one_or_many(_falling([_variables(v, version) for v in values]))
    for name, key in (("principals", "Principal"), ("not_principals", "NotPrincipal")):
        if given.get(name):
            made[key] = _principals(given[name], version)
    if given.get("condition"):
        conditions: dict[str, dict[str, Any]] = {}
        for condition in given["condition"]:
            tests = conditions.setdefault(condition["test"], {})
            variable = _variables(condition["variable"], version)
            tests[variable] = [*tests.get(variable, ()), *(_variables(v, version) for v in condition["values"] or ())]
        made["Condition"] = {
            test: {name: _one_or_many(values) for name, values in sorted(tests.items())}
            for test, tests in sorted(conditions.items())
        }
    return made


def _principals(given: list[Plain], version: str) -> Any:
    by_type: dict[str, list[str]] = {}
    for principal in given:
        names = _falling([_variables(v, version) for v in principal["identifiers"] or ()])
        by_type.setdefault(principal["type"], []).extend(names)
    if len(by_type) == 1 and by_type.get("*") == ["*"]:
        return "*"
    return {kind: _one_or_many(names) for kind, names in sorted(by_type.items())}


def _variables(text: str, version: str) -> str:
    """`&{…}` stands for `${…}`, which Terraform would take for its own."""
    if "&{" in text and version == "2008-10-17":
        raise AwsFailure(f"found &{{ sequence in (%s), which is not supported in document version {version}")
    return text.replace("&{", "${")


def _falling(values: list[str]) -> list[str]:
    return sorted(values, reverse=True)


def _one_or_many(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else values


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as wrong:
        raise AwsFailure(f"parsing JSON: {wrong}") from None
    if not isinstance(document, dict):
        raise AwsFailure("parsing JSON: a policy document is an object")
    statements = document.get("Statement", [])
    return {**document, "Statement": statements if isinstance(statements, list) else [statements]}


def _check_sids(document: dict[str, Any], where: str, number: int) -> None:
    seen: set[str] = set()
    for statement in document["Statement"]:
        sid = statement.get("Sid")
        if sid and sid in seen:
            raise AwsFailure(f"duplicate Sid ({sid}) in {where} (item {number}; use unique Sids or omit them)", WHOLE)
        seen.add(sid or "")


def _merge(into: dict[str, Any], other: dict[str, Any]) -> None:
    """Statements of `other` replace those with the same Sid; all others are added."""
    for key in ("Version", "Id"):
        if other.get(key):
            into[key] = other[key]
    for statement in other["Statement"]:
        sid = statement.get("Sid")
        for index, present in enumerate(into["Statement"]):
            if sid and present.get("Sid") == sid:
                into["Statement"][index] = statement
                break
        else:
            into["Statement"].append(statement)


def _ordered(document: dict[str, Any]) -> dict[str, Any]:
    found = {key: document[key] for key in ("Version", "Id") if document.get(key)}
    statements = [{k: s[k] for k in _KEYS if s.get(k) not in (None, "", [], {})} for s in document["Statement"]]
    for statement in statements:
        condition = statement.get("Condition")
        if isinstance(condition, dict):
            statement["Condition"] = {
                test: dict(sorted(tests.items())) if isinstance(tests, dict) else tests
                for test, tests in sorted(condition.items())
            }
        for key in ("Principal", "NotPrincipal"):
            if isinstance(statement.get(key), dict):
                statement[key] = dict(sorted(statement[key].items()))
    if statements:
        found["Statement"] = statements
    return found


def _go(text: str) -> str:
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return text


def _shown(given: Plain) -> Plain:
    """A statement as the state keeps it: defaults filled in, nothing null."""
    return {
        **{k: v if v is not None else [] for k, v in given.items()},
        "effect": given.get("effect") or "Allow",
        "sid": given.get("sid") or "",
    }


DOCUMENT = DataSource("reading IAM Policy Document", read_document)
