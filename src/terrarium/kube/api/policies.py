"""Admission policies and match conditions as programs: what their expressions may read, and how they are compiled. Pure.

Expressions see the request, the object before and after it, the namespace, parameters, variables (computed when first
read), and an authoriser. Authorisation can't be decided here: a program that asks what is not yet known stops with
`Undecided`, and runs again when the answer is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from terrarium.kube.api import cel
from terrarium.kube.api.cel import schemas
from terrarium.kube.api.cel.extensions import Check, Decision
from terrarium.kube.api.cel.types import BOOL, DYN, STRING, Type, list_of, map_of, object_of
from terrarium.kube.api.kinds import Obj

AUTHORIZER = Type("kubernetes.authorization.Authorizer")
RESOURCE_CHECK = Type("kubernetes.authorization.ResourceCheck")
REQUEST_RESOURCE = "authorizer.requestResource"
_TEXT: Obj = {"type": "string"}
_TEXTS: Obj = {"type": "array", "items": _TEXT}
_TEXT_MAP: Obj = {"type": "object", "additionalProperties": _TEXT}
_TIME: Obj = {"type": "string", "format": "date-time"}
_WHOLE: Obj = {"type": "integer"}
NAMESPACE_SCHEMA: Obj = {
    "type": "object",
    "properties": {
        "metadata": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "generateName": _TEXT,
                "namespace": _TEXT,
                "labels": _TEXT_MAP,
                "annotations": _TEXT_MAP,
                "UID": _TEXT,
                "creationTimestamp": _TIME,
                "deletionGracePeriodSeconds": _WHOLE,
                "deletionTimestamp": _TIME,
                "generation": _WHOLE,
                "resourceVersion": _TEXT,
                "finalizers": _TEXTS,
            },
        },
        "spec": {"type": "object", "properties": {"finalizers": _TEXTS}},
        "status": {"type": "object", "properties": {"phase": _TEXT}},
    },
}
"""What expressions may read of a namespace."""


def _texts(name: str, *fields: str) -> Type:
    return object_of(name, dict.fromkeys(fields, STRING))


@lru_cache(maxsize=1)
def _fixed() -> Mapping[str, Type]:
    """The types that never differ."""
    kind = _texts("kubernetes.GroupVersionKind", "group", "version", "kind")
    resource = _texts("kubernetes.GroupVersionResource", "group", "version", "resource")
    user = object_of(
        "kubernetes.UserInfo",
        {"username": STRING, "uid": STRING, "groups": list_of(STRING), "extra": map_of(STRING, list_of(STRING))},
    )
    request = object_of(
        "kubernetes.AdmissionRequest",
        {
            "kind": kind,
            "resource": resource,
            "subResource": STRING,
            "requestKind": kind,
            "requestResource": resource,
            "requestSubResource": STRING,
            "name": STRING,
            "namespace": STRING,
            "operation": STRING,
            "userInfo": user,
            "dryRun": BOOL,
            "options": DYN,
        },
    )
    return {
        "object": DYN,
        "oldObject": DYN,
        "request": request,
        "namespaceObject": schemas.type_of(NAMESPACE_SCHEMA, "kubernetes.Namespace"),
        "authorizer": AUTHORIZER,
        REQUEST_RESOURCE: RESOURCE_CHECK,
    }


def environment(*, params: bool = False, variables: Mapping[str, Type] | None = None) -> dict[str, Type]:
    """The variables that expressions may name. Match conditions of webhooks see neither namespace nor parameters."""
    made = dict(_fixed())
    if variables is None:
        del made["namespaceObject"]
    else:
        made["variables"] = object_of("kubernetes.variables", variables)
    if params:
        made["params"] = DYN
    return made


@dataclass(frozen=True, slots=True)
class Expression:
    """`program` is None when it does not compile, and `error` says why."""

    path: str
    source: str
    program: cel.Program | None
    error: str = ""


def expression(source: str, path: str, types: Mapping[str, Type], *wanted: Type) -> Expression:
    """Compiles; a type other than those `wanted` is an error (none: any will do)."""
    try:
        program = cel.compile(source, types)
    except cel.CompileError as error:
        return Expression(path, source, None, f"compilation failed: {error}")
    if wanted and program.result not in wanted:
        told = f"must evaluate to {wanted[0]} but got {program.result}"
        if len(wanted) > 1:
            told = f"must evaluate to one of [{' '.join(map(str, wanted))}]".replace("null", "null_type")
        return Expression(path, source, None, told)
    return Expression(path, source, program)


@dataclass(frozen=True, slots=True)
class Validation:
    expression: Expression
    message: str
    message_expression: Expression | None
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A ValidatingAdmissionPolicy, compiled."""

    conditions: Sequence[Expression] = ()
    variables: Mapping[str, Expression] = field(default_factory=dict)
    validations: Sequence[Validation] = ()
    annotations: Mapping[str, Expression] = field(default_factory=dict)

    def expressions(self) -> Iterator[Expression]:
        """All, in the order in which their errors are told."""
        yield from self.conditions
        yield from self.variables.values()
        for validation in self.validations:
            yield validation.expression
            if validation.message_expression is not None:
                yield validation.message_expression
        yield from self.annotations.values()


def conditions(held: Sequence[Obj] | None, path: str, types: Mapping[str, Type]) -> list[Expression]:
    """Match conditions."""
    return [
        expression(c.get("expression") or "", f"{path}[{i}].expression", types, BOOL) for i, c in enumerate(held or ())
    ]


def compile_policy(spec: Mapping[str, Any]) -> Policy:
    """The `spec` of a policy. Expressions that are wrong are in it, with their errors."""
    params = spec.get("paramKind") is not None
    found: dict[str, Type] = {}
    variables: dict[str, Expression] = {}
    before = environment(params=params, variables={})
    matching = conditions(spec.get("matchConditions"), "spec.matchConditions", before)
    for index, variable in enumerate(spec.get("variables") or ()):
        types = environment(params=params, variables=dict(found))
        made = expression(variable.get("expression") or "", f"spec.variables[{index}].expression", types)
        variables[variable.get("name") or ""] = made
        found[variable.get("name") or ""] = made.program.result if made.program is not None else DYN
    types = environment(params=params, variables=found)
    validations = []
    for index, held in enumerate(spec.get("validations") or ()):
        where = f"spec.validations[{index}]"
        own = expression(held.get("expression") or "", f"{where}.expression", types, BOOL)
        text = held.get("messageExpression") or ""
        plain = {name: type for name, type in types.items() if not name.startswith("authorizer")}
        told = expression(text, f"{where}.messageExpression", plain, STRING) if text.strip() else None
        validations.append(Validation(own, (held.get("message") or "").strip(), told, held.get("reason") or ""))
    annotations = {
        held.get("key") or "": expression(
            held.get("valueExpression") or "",
            f"spec.auditAnnotations[{index}].valueExpression",
            types,
            STRING,
            Type("null"),
        )
        for index, held in enumerate(spec.get("auditAnnotations") or ())
    }
    return Policy(matching, variables, validations, annotations)


# Running


class Undecided(Exception):
    """A program asked whether something is allowed, and nobody knows yet."""

    def __init__(self, question: Check) -> None:
        super().__init__()
        self.question = question


@dataclass(slots=True)
class Decisions:
    """What has been decided, by question."""

    known: dict[tuple[str, ...], Decision] = field(default_factory=dict)

    @staticmethod
    def key(question: Check) -> tuple[str, ...]:
        return (
            question.verb,
            question.path,
            question.group,
            question.resource,
            question.subresource,
            question.namespace,
            question.name,
            question.account,
            question.field_selector,
            question.label_selector,
        )

    def ask(self, question: Check) -> Decision:
        found = self.known.get(self.key(question))
        if found is None:
            raise Undecided(question)
        return found


class Lazy(Mapping[str, Any]):
    """The variables of a policy: each computed when first read, with those before it."""

    def __init__(self, expressions: Mapping[str, Expression], others: Mapping[str, Any]) -> None:
        self._expressions = expressions
        self._others = others
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name in self._known:
            return self._known[name]
        program = self._expressions[name].program
        if program is None:
            raise cel.EvalError(f'composited variable "{name}" fails to compile: {self._expressions[name].error}')
        try:
            value, _ = program.run({**self._others, "variables": self})
        except cel.EvalError as error:
            raise cel.EvalError(f'composited variable "{name}" fails to evaluate: {error}') from None
        self._known[name] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One validation that failed, or could not be evaluated (`failed`)."""

    message: str
    reason: str = ""
    failed: bool = False


def failing(expression: Expression, variables: Mapping[str, Any]) -> str | bool:
    """Runs a condition: its value, or the text of an error."""
    if expression.program is None:
        return f"expression '{expression.source}' resulted in error: {expression.error}"
    try:
        value, _ = expression.program.run(variables)
    except cel.EvalError as error:
        return f"expression '{expression.source}' resulted in error: {error}"
    return value is True


def matched(held: Sequence[Expression], variables: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether all match conditions hold, and the texts of those that could not tell. One that does not hold decides."""
    wrong: list[str] = []
    for expression in held:
        found = failing(expression, variables)
        if found is False:
            return False, ""
        if isinstance(found, str):
            wrong.append(found)
    return not wrong, wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]" if wrong else ""


def validate(policy: Policy, variables: Mapping[str, Any]) -> list[Refusal]:
    """All validations which fail; `variables` hold `variables` already."""
    found: list[Refusal] = []
    for validation in policy.validations:
        holds = failing(validation.expression, variables)
        if holds is True:
            continue
        if isinstance(holds, str):
            found.append(Refusal(holds, failed=True))
            continue
        message = validation.message or f"failed expression: {validation.expression.source.strip()}"
        if validation.message_expression is not None:
            message = _told(validation.message_expression, variables) or message
        found.append(Refusal(message, validation.reason))
    return found


def _told(expression: Expression, variables: Mapping[str, Any]) -> str:
    if expression.program is None:
        return ""
    try:
        text, _ = expression.program.run(variables)
    except cel.EvalError:
        return ""
    usable = isinstance(text, str) and "\n" not in text and len(text) <= 5 * 1024
    return text.strip() if usable else ""
