"""`count` and `for_each`: which instances a resource or module call has, and Terraform's words when that is unclear."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic, Severity, error, has_errors
from terrarium.engine import static
from terrarium.engine.addresses import ModuleInstance
from terrarium.engine.configuration import ModuleCall, Resource
from terrarium.engine.evaluation import SINGLE, Diagnostics, Evaluator, Keys
from terrarium.language import nodes
from terrarium.language.convert import ConversionError, convert
from terrarium.language.explain import explain
from terrarium.language.scope import Scope
from terrarium.language.types import DYNAMIC, NUMBER, STRING, Map, Object, Set
from terrarium.language.values import EPHEMERAL, NULL, SENSITIVE, Value

_COUNT_UNKNOWN = (
    'The "count" value depends on resource attributes that cannot be determined until apply, so Terraform cannot predict '
    "how many instances will be created. To work around this, use the -target argument to first apply only the resources "
    "that the count depends on."
)
_EACH_UNKNOWN = (
    'The "for_each" {} includes {} derived from resource attributes that cannot be determined until apply, and so '
    "Terraform cannot determine the full set of keys that will identify the instances of this resource.\n\nWhen working "
    "with unknown values in for_each, it's better to {}.\n\n"
    "Alternatively, you could use the -target planning option to first apply only the resources that the for_each value "
    "depends on, and then apply a second time to fully converge."
)
_MAP_KEYS = _EACH_UNKNOWN.format(
    "map",
    "keys",
    "define the map keys statically in your configuration and place apply-time results only in the map values",
)
_SET_VALUES = _EACH_UNKNOWN.format(
    "set",
    "values",
    "use a map value where the keys are defined statically in your configuration and where only the values contain "
    "apply-time results",
)
_EACH_SENSITIVE = (
    "Sensitive values, or values derived from sensitive values, cannot be used as for_each arguments. If used, the "
    "sensitive value could be exposed as a resource instance key."
)
_EACH_EPHEMERAL = (
    'The given "for_each" value is derived from an ephemeral value, which means that Terraform cannot persist it between '
    "plan/apply rounds. Use only non-ephemeral values to specify a resource's instance keys."
)
_UNSUITABLE = 'The given "for_each" argument value is unsuitable: '


def expand(
    evaluator: Evaluator, module: ModuleInstance, of: Resource | ModuleCall, allow_unknown: bool = False
) -> tuple[Keys, Diagnostics]:
    """The instances in one instance of the surrounding module. With `allow_unknown` (validation) an unknown number
    gives Keys of kind "unknown" in place of an error."""
    if of.count is not None:
        return _count(evaluator, module, of.count, allow_unknown)
    if of.for_each is not None:
        return for_each(evaluator, module, of.for_each, allow_unknown)
    return SINGLE, []


def _problem(summary: str, detail: str, expression: nodes.Expression, scope: Scope, because: str = "") -> Diagnostic:
    """`because` says which property of the value causes the message: unknown, sensitive, ephemeral or none of them."""
    values = explain(
        expression,
        scope,
        unknown=because == "unknown",
        sensitive=because == "sensitive",
        ephemeral=because == "ephemeral",
    )
    return Diagnostic(Severity.ERROR, summary, detail, expression.range, values=values)


UNKNOWN_KEYS = Keys("unknown", (None,))


def _count(
    evaluator: Evaluator, module: ModuleInstance, expression: nodes.Expression, allow_unknown: bool
) -> tuple[Keys, Diagnostics]:
    scope = evaluator.scope(module, evaluator.references(expression))
    value, diagnostics = evaluator.evaluate(expression, module)
    empty = Keys("count", ())
    if has_errors(diagnostics):
        return empty, diagnostics

    def refuse(detail: str) -> tuple[Keys, Diagnostics]:
        return empty, [*diagnostics, error("Invalid count argument", detail, expression.range)]

    if value.data is NULL:
        return refuse('The given "count" argument value is null. An integer is required.')
    try:
        value = convert(value, NUMBER)
    except ConversionError as problem:
        wrong = _problem("Incorrect value type", f"Invalid expression value: {problem}.", expression, scope)
        return empty, [*diagnostics, wrong]
    if EPHEMERAL in value.marks:
        return refuse(
            'The given "count" is derived from an ephemeral value, which means that Terraform cannot persist it between '
            "plan/apply rounds. Use only non-ephemeral values to specify the number of resource instances."
        )
    # A sensitive count shows nothing but how many there are, which the plan tells anyway.
    if not value.is_known:
        return (UNKNOWN_KEYS, diagnostics) if allow_unknown else refuse(_COUNT_UNKNOWN)
    count = static.whole(value.data)
    if count is None:
        return refuse(
            'The given "count" argument value is unsuitable: value must be a whole number, between -9223372036854775808 and 9223372036854775807.'
        )
    if count < 0:
        return refuse('The given "count" argument value is unsuitable: must be greater than or equal to zero.')
    return Keys("count", tuple(range(count))), diagnostics


def for_each(
    evaluator: Evaluator, module: ModuleInstance, expression: nodes.Expression, allow_unknown: bool
) -> tuple[Keys, Diagnostics]:
    """The instances that a `for_each` expression gives."""
    scope = evaluator.scope(module, evaluator.references(expression))
    value, diagnostics = evaluator.evaluate(expression, module)
    empty = Keys("each", ())
    if has_errors(diagnostics):
        return empty, diagnostics

    def refuse(detail: str, summary: str = "Invalid for_each argument", because: str = "") -> tuple[Keys, Diagnostics]:
        return empty, [*diagnostics, _problem(summary, detail, expression, scope, because)]

    if SENSITIVE in value.marks:
        return refuse(_EACH_SENSITIVE, because="sensitive")
    if EPHEMERAL in value.marks:
        return refuse(_EACH_EPHEMERAL, because="ephemeral")
    if value.data is NULL:
        return refuse(_UNSUITABLE + 'the given "for_each" argument value is null. A map, or set of strings is allowed.')
    type = value.type
    if not isinstance(type, Object | Map | Set) and type != DYNAMIC:
        return refuse(
            _UNSUITABLE + 'the "for_each" argument must be a map, or set of strings, and you have provided a value of '
            f"type {type.friendly()}."
        )
    too_early = _SET_VALUES if isinstance(type, Set) else _MAP_KEYS
    if not value.is_known:
        return (UNKNOWN_KEYS, diagnostics) if allow_unknown else refuse(too_early, because="unknown")
    if isinstance(type, Set):
        if not value.data:
            return empty, diagnostics
        if any(not element.is_known for element in value.data):
            return (UNKNOWN_KEYS, diagnostics) if allow_unknown else refuse(too_early, because="unknown")
        if type.element != STRING:
            return refuse(
                _UNSUITABLE + '"for_each" supports maps and sets of strings, but you have provided a set containing '
                f"type {type.element.friendly()}.",
                "Invalid for_each set argument",
            )
        members: dict[str, Value] = {}
        for element in value.data:
            if element.data is NULL:
                return refuse(
                    _UNSUITABLE + '"for_each" sets must not contain null values.', "Invalid for_each set argument"
                )
            if SENSITIVE in element.marks:
                return refuse(_EACH_SENSITIVE, because="sensitive")
            members[element.data] = element
        return Keys("each", tuple(sorted(members)), members), diagnostics
    return Keys("each", tuple(value.data), dict(value.data)), diagnostics
