"""The rules in CEL of a structural schema (`x-kubernetes-validations`): compiled once, run on each object.

Theory of operation. `compile_rules` makes a tree of the schema's nodes that have rules at or below them. Running walks
object and tree together: a node's own rules first, then what is below. Rules that read `oldSelf` run only where the
old object had a value at the same place (or, with optionalOldSelf, always); others are skipped where nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from terrarium.kube.api import cel
from terrarium.kube.api.cel import schemas
from terrarium.kube.api.cel.syntax import Bind, Call, Fold, Ident, ListNode, MapNode, Node, Select
from terrarium.kube.api.cel.types import Type, optional_of
from terrarium.kube.api.cel.values import NONE, Optional
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError
from terrarium.kube.api.structural.values import ABSENT, old_field, old_items, same

Schema = Mapping[str, Any]
RULES = "x-kubernetes-validations"
_LONGEST_MESSAGE = 5 * 1024


@dataclass(frozen=True, slots=True)
class Rule:
    """`program` is None where the rule does not compile; `error` says why."""

    given: Mapping[str, Any]
    program: cel.Program | None
    error: str = ""
    message: cel.Program | None = None
    message_error: str = ""
    uses_old: bool = False

    @property
    def text(self) -> str:
        return str(self.given.get("message") or self.given.get("rule") or "").strip()


@dataclass(frozen=True, slots=True)
class Rules:
    """A node of the schema: its rules, and the nodes below that have any."""

    schema: Schema
    kind: str
    own: Sequence[Rule] = ()
    properties: Mapping[str, Rules] = field(default_factory=dict)
    extra: Rules | None = None
    items: Rules | None = None


def uses(node: Node, name: str) -> bool:
    """Whether an expression reads a variable."""
    match node:
        case Ident(name=found):
            return found == name
        case Select(operand=operand):
            return uses(operand, name)
        case Call(target=target, args=args):
            return (target is not None and uses(target, name)) or any(uses(arg, name) for arg in args)
        case ListNode(items=held):
            return any(uses(item, name) for item in held)
        case MapNode(entries=entries):
            return any(uses(k, name) or uses(v, name) for k, v, _ in entries)
        case Fold():
            return any(part is not None and uses(part, name) for part in (node.over, node.condition, node.result))
        case Bind():
            return uses(node.over, name) or uses(node.result, name)
    return False


def compile_rule(given: Mapping[str, Any], own: Type) -> Rule:
    """One rule for values of type `own`."""
    variables = {"self": own, "oldSelf": optional_of(own) if given.get("optionalOldSelf") else own}
    try:
        program = cel.compile(given.get("rule") or "", variables)
    except cel.CompileError as error:
        return Rule(given, None, f"compilation failed: {error}")
    if program.result.name != "bool":
        return Rule(given, None, "cel expression must evaluate to a bool")
    made = Rule(given, program, uses_old=uses(program.node, "oldSelf"))
    text = given.get("messageExpression") or ""
    if not text.strip():
        return made
    try:
        message = cel.compile(text, variables)
    except cel.CompileError as error:
        return replace(made, message_error=f"messageExpression compilation failed: {error}")
    if message.result.name != "string":
        return replace(made, message_error="messageExpression must evaluate to a string")
    return replace(made, message=message)


def compile_rules(schema: Schema, *, root: bool = True) -> Rules | None:
    """The tree of a schema; None when it has no rules."""
    whole = schemas.rooted(schema) if root or schema.get("x-kubernetes-embedded-resource") else schema
    given = [r for r in schema.get(RULES) or () if (r.get("rule") or "").strip()]
    own_type = schemas.type_of(whole) if given else None
    own = [compile_rule(rule, own_type) for rule in given] if own_type is not None else []
    below = {k: compile_rules(v, root=False) for k, v in (schema.get("properties") or {}).items()}
    properties = {k: v for k, v in below.items() if v is not None}
    more, items = schema.get("additionalProperties"), schema.get("items")
    extra = compile_rules(more, root=False) if isinstance(more, Mapping) else None
    element = compile_rules(items, root=False) if isinstance(items, Mapping) else None
    if not own and not properties and extra is None and element is None:
        return None
    return Rules(whole, schema.get("type") or "", own, properties, extra, element)


class _Run:
    def __init__(self) -> None:
        self.budget = cel.BUDGET
        self.errors: list[FieldError] = []

    def wrong(self, path: str, kind: str, text: str, reason: str = "FieldValueInvalid") -> None:
        self.errors.append(FieldError(reason, path or "<nil>", f"Invalid value: {quote(kind)}: {text}"))

    def node(self, rules: Rules, value: Any, old: Any, path: str) -> None:
        if value is None or self.budget < 0:
            return
        if rules.own:
            self.own(rules, value, old, path)
        if isinstance(value, dict):
            for key in sorted(value):
                inner = rules.properties.get(key)
                if inner is not None:
                    self.node(inner, value[key], old_field(old, key), f"{path}.{key}" if path else key)
                elif rules.extra is not None and key not in (rules.schema.get("properties") or {}):
                    self.node(rules.extra, value[key], old_field(old, key), f"{path}[{key}]")
        elif isinstance(value, list) and rules.items is not None:
            for index, (item, before) in enumerate(zip(value, old_items(value, old, rules.schema), strict=True)):
                self.node(rules.items, item, before, f"{path}[{index}]")

    def own(self, rules: Rules, value: Any, old: Any, path: str) -> None:
        has_old = old is not ABSENT and old is not None
        unchanged = has_old and same(value, old)
        seen: dict[str, Any] = {"self": schemas.value_of(value, rules.schema)}
        before = schemas.value_of(old, rules.schema) if has_old else None
        for rule in rules.own:
            optional = bool(rule.given.get("optionalOldSelf"))
            if rule.uses_old and not has_old and not optional:
                continue
            if unchanged and not rule.uses_old:
                continue
            if has_old:
                seen["oldSelf"] = Optional(before) if optional else before
            elif optional:
                seen["oldSelf"] = NONE
            self.one(rule, rules.kind, seen, path)
            if self.budget < 0:
                return

    def one(self, rule: Rule, kind: str, variables: Mapping[str, Any], path: str) -> None:
        if rule.program is None:
            self.wrong(path, kind, f"rule compile error: {rule.error}")
            return
        try:
            holds, cost = rule.program.run(variables)
        except cel.CostError as error:
            text = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
            self.wrong(path, kind, text)
            self.budget = -1
            return
        except cel.EvalError as error:
            text = f"{error} evaluating rule: {rule.text}"
            if str(error).startswith("no such overload"):
                text = (
                    f"'{error}': call arguments did not match a supported operator, function or macro signature "
                    f"for rule: {rule.text}"
                )
            self.wrong(path, kind, text)
            return
        self.budget -= cost
        if self.budget < 0:
            self.wrong(
                path,
                kind,
                "validation failed due to running out of cost budget, no further validation rules will be run",
            )
        elif holds is not True:
            self.refuse(rule, kind, variables, path)

    def refuse(self, rule: Rule, kind: str, variables: Mapping[str, Any], path: str) -> None:
        given = rule.given
        message = str(given.get("message") or "").strip() or f"failed rule: {str(given['rule']).strip()}"
        if rule.message is not None:
            message = self.told(rule.message, variables) or message
        where = f"{path}{given['fieldPath']}".lstrip(".") if given.get("fieldPath") else path
        match given.get("reason"):
            case "FieldValueForbidden":
                self.errors.append(FieldError("FieldValueForbidden", where or "<nil>", f"Forbidden: {message}"))
            case "FieldValueRequired":
                self.errors.append(FieldError("FieldValueRequired", where or "<nil>", f"Required value: {message}"))
            case "FieldValueDuplicate":
                self.errors.append(
                    FieldError("FieldValueDuplicate", where or "<nil>", f"Duplicate value: {quote(kind)}")
                )
            case _:
                self.wrong(where, kind, message)

    def told(self, program: cel.Program, variables: Mapping[str, Any]) -> str:
        """What a messageExpression says; "" when it fails or says nothing usable."""
        try:
            text, cost = program.run(variables)
        except cel.EvalError:
            return ""
        self.budget -= cost
        if not isinstance(text, str) or "\n" in text or len(text) > _LONGEST_MESSAGE:
            return ""
        return text.strip()


def run_rules(rules: Rules, obj: Any, old: Any = ABSENT) -> list[FieldError]:
    """All rules that an object breaks."""
    run = _Run()
    run.node(rules, obj, old, "")
    return run.errors
