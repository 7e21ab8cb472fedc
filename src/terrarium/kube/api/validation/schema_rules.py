"""The rules in CEL of a custom resource's schema: what they say besides the expression, whether they compile, their cost.

A rule may cost so much for one object; below lists and maps it runs for each of their elements, as many as a request can
hold where no limit is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terrarium.kube.api.cel import cost, schemas
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.structural.rules import RULES, Rule, compile_rule
from terrarium.kube.api.validation.fields import Errors, Raw, items

Schema = Mapping[str, Any]
RULE_LIMIT = 10_000_000
SCHEMA_LIMIT = 100_000_000
_ADVICE = "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)"
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_STEP = re.compile(r"\.([a-zA-Z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]")
_WORST = 4


@dataclass(slots=True)
class _Total:
    cost: int = 0
    worst: list[tuple[int, str]] = field(default_factory=list)

    def add(self, path: str, cost_: int) -> None:
        self.cost = cost.plus(self.cost, cost_)
        if cost_ >= SCHEMA_LIMIT // 100:
            self.worst = sorted([*self.worst, (cost_, path)], key=lambda pair: -pair[0])[:_WORST]


def check(errors: Errors, schema: Schema, path: str) -> None:
    """All rules of a schema at `path`. Nothing is compiled where one is not even well-formed."""
    shape = Errors()
    _forms(shape, schema, path)
    errors.extend(shape)
    total = _Total()
    _compiled(errors, schema, path, 1, total, "", blocked=bool(shape), root=True)
    if total.cost > SCHEMA_LIMIT:
        for _, where in total.worst:
            text = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            errors.forbidden(where, text)
        name = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        errors.forbidden(path, _too_dear(name, total.cost, SCHEMA_LIMIT))


def _too_dear(name: str, estimate: int, limit: int) -> str:
    factor = estimate / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{name} exceeds budget by factor of {shown} {_ADVICE}"


def _parts(schema: Schema, path: str) -> list[tuple[str, Schema, bool]]:
    """What is below: path, schema, and whether there may be many of it."""
    found = []
    if isinstance(schema.get("additionalProperties"), Mapping):
        found.append((f"{path}.additionalProperties", schema["additionalProperties"], True))
    found += [(f"{path}.properties[{k}]", v, False) for k, v in sorted((schema.get("properties") or {}).items())]
    if isinstance(schema.get("items"), Mapping):
        found.append((f"{path}.items", schema["items"], True))
    return found


def _forms(errors: Errors, schema: Schema, path: str) -> None:
    for where, inner, _ in _parts(schema, path):
        _forms(errors, inner, where)
    for where, rule in items(schema.get(RULES), f"{path}.{RULES}"):
        _form(errors, rule, schema, where)


def _form(errors: Errors, rule: Schema, schema: Schema, path: str) -> None:
    text, message = str(rule.get("rule") or ""), str(rule.get("message") or "")
    expression, place = str(rule.get("messageExpression") or ""), str(rule.get("fieldPath") or "")
    if not text.strip():
        errors.required(f"{path}.rule", "rule is not specified")
    elif message and not message.strip():
        errors.invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        errors.invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in text.strip() and not message.strip():
        errors.required(f"{path}.message", "message must be specified if rule contains line breaks")
    if expression and not expression.strip():
        errors.required(f"{path}.messageExpression", "messageExpression must be non-empty if specified")
    if rule.get("reason") is not None and rule["reason"] not in _REASONS:
        errors.unsupported(f"{path}.reason", rule["reason"], _REASONS)
    if place and not place.strip():
        errors.invalid(f"{path}.fieldPath", place, "fieldPath must be non-empty if specified")
    if "\n" in place:
        errors.invalid(f"{path}.fieldPath", place, "fieldPath must not contain line breaks")
    if place and not _leads(place, schema):
        errors.invalid(f"{path}.fieldPath", place, "fieldPath must be a valid path")


def _leads(place: str, schema: Schema) -> bool:
    """Whether a path leads to something in the schema. Lists can't be passed."""
    at = 0
    here: Any = schema
    while at < len(place):
        match = _STEP.match(place, at)
        if match is None or not isinstance(here, Mapping):
            return False
        name = match[1] or re.sub(r"\\(.)", r"\1", match[2] or "")
        extra = here.get("additionalProperties")
        here = (here.get("properties") or {}).get(name)
        if here is None:
            here = extra if isinstance(extra, Mapping) else None
        at = match.end()
    return here is not None


def _compiled(
    errors: Errors,
    schema: Schema,
    path: str,
    count: int | None,
    total: _Total,
    fixed: str,
    *,
    blocked: bool,
    root: bool,
) -> None:
    """`count`: how many values of this node an object may have, None where that is open. `fixed`: the list above whose
    items can't be told apart, where old values have no place."""
    for where, inner, many in _parts(schema, path):
        below, held = count, fixed
        if many:
            most = schema.get("maxItems" if where.endswith(".items") else "maxProperties")
            below = None if most is None or count is None else cost.times(count, int(most))
            if where.endswith(".items") and schema.get("x-kubernetes-list-type") != "map":
                held = fixed or path
        _compiled(errors, inner, where, below, total, held, blocked=blocked, root=False)
    given = schema.get(RULES)
    if not given or blocked:
        return
    whole = schemas.rooted(schema) if root or schema.get("x-kubernetes-embedded-resource") else schema
    own = schemas.type_of(whole)
    sizes = cost.sizes_of(whole, schemas.largest, schemas.escaped)
    times = count if count is not None else schemas.REQUEST_BYTES // (schemas.smallest(schema) + 1)
    for where, rule in items(given, f"{path}.{RULES}"):
        made = compile_rule(rule, own)
        _one(errors, made, where, sizes, times, total, fixed)


def _one(errors: Errors, rule: Rule, path: str, sizes: cost.Sizes, count: int, total: _Total, fixed: str) -> None:
    given = rule.given
    if rule.program is not None:
        dear = cost.times(cost.estimate(rule.program.node, rule.program.types, sizes), count)
        if dear > RULE_LIMIT:
            errors.forbidden(f"{path}.rule", _too_dear("estimated rule cost", dear, RULE_LIMIT))
        total.add(f"{path}.rule", dear)
    else:
        errors.invalid(f"{path}.rule", Raw(_shown(given)), rule.error)
    if rule.message_error:
        errors.invalid(f"{path}.messageExpression", Raw(_shown(given)), rule.message_error)
    elif rule.message is not None:
        dear = cost.estimate(rule.message.node, rule.message.types, sizes)
        if dear > RULE_LIMIT:
            where = f"{path}.messageExpression"
            errors.forbidden(where, _too_dear("estimated messageExpression cost", dear, RULE_LIMIT))
        total.add(f"{path}.messageExpression", dear)
    if rule.uses_old:
        if fixed:
            text = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {fixed}"
            errors.invalid(f"{path}.rule", given["rule"], text)
    elif given.get("optionalOldSelf") is not None and rule.program is not None:
        text = "may not be set if oldSelf is not used in rule"
        errors.invalid(f"{path}.optionalOldSelf", bool(given["optionalOldSelf"]), text)


def _shown(rule: Schema) -> str:
    """A rule as Go prints its structure. Addresses differ from run to run."""

    def pointer(type: str, value: object) -> str:
        return f"({type})({'nil' if value is None else '0xc000000000'})"

    return (
        f"apiextensions.ValidationRule{{Rule:{quote(str(rule.get('rule') or ''))}, "
        f"Message:{quote(str(rule.get('message') or ''))}, "
        f"MessageExpression:{quote(str(rule.get('messageExpression') or ''))}, "
        f"Reason:{pointer('*apiextensions.FieldValueErrorReason', rule.get('reason'))}, "
        f"FieldPath:{quote(str(rule.get('fieldPath') or ''))}, "
        f"OptionalOldSelf:{pointer('*bool', rule.get('optionalOldSelf'))}}}"
    )
