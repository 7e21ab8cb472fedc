"""IAM policy documents: their normal form in a state, and whether two of them mean the same."""

from __future__ import annotations

import json
import re
from typing import Any

_VERSION_LATER = re.compile(r'^(\{)(.*?)(,)("Version":"2012-10-17")(.*)$', re.DOTALL)


def normalised(text: str) -> str:
    """JSON with sorted keys and without spaces, characters escaped as Go does; other text as it is."""
    try:
        return go_json(json.loads(text))
    except ValueError:
        return text


def version_first(text: str) -> str:
    """The normal form in which the version comes before the statements, as older types keep it."""
    return _VERSION_LATER.sub(r"\1\4\3\2\5", normalised(text))


def go_json(data: Any) -> str:
    """What Go's `json.Marshal` makes of it: sorted keys, no spaces, `<`, `>`, `&` escaped."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(character, escape)
    return text


def equivalent(a: str, b: str) -> bool:
    """Whether two policy documents grant and deny the same: order and form of lists don't matter."""
    if a.strip() in ("", "{}") and b.strip() in ("", "{}"):
        return True
    try:
        return bool(_document(json.loads(a)) == _document(json.loads(b)))
    except (ValueError, AttributeError, TypeError):
        return a == b


def same_json(a: str, b: str) -> bool:
    """Whether two JSON texts hold the same."""
    try:
        return bool(json.loads(a) == json.loads(b))
    except ValueError:
        return a == b


def _document(document: Any) -> Any:
    statements = document.get("Statement", [])
    if isinstance(statements, dict):
        statements = [statements]
    normal = sorted((_statement(s) for s in statements), key=repr)
    return {**{k: v for k, v in document.items() if k != "Statement"}, "Statement": normal}


def _statement(statement: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in sorted(statement.items()):
        if key == "Sid" and value == "":
            continue
        if key in ("Principal", "NotPrincipal"):
            found[key] = _principals(value)
        elif key == "Condition":
            found[key] = {
                test.lower(): {name: _texts(v) for name, v in sorted(tests.items())}
                for test, tests in sorted(value.items())
            }
        elif key in ("Action", "NotAction"):
            found[key] = [t.lower() for t in _texts(value)]
        elif key in ("Resource", "NotResource"):
            found[key] = _texts(value)
        else:
            found[key] = value
    return found


def _principals(value: Any) -> Any:
    if value == "*":
        return {"AWS": ["*"]}
    return {kind: sorted({_account(t) for t in _texts(names)}) for kind, names in sorted(value.items())}


def _account(text: str) -> str:
    """An account's root stands for the account."""
    match = re.fullmatch(r"arn:[^:]+:iam::(\d{12}):root", text)
    return match[1] if match else text


def _texts(value: Any) -> list[str]:
    many = value if isinstance(value, list) else [value]
    return sorted({str(v).lower() if isinstance(v, bool) else str(v) for v in many})
