"""What the API server fills in: rules by structure, walked over an object from the outside in.

Theory of operation. A rule belongs to a structure (`core.v1.Container`), not to a kind: wherever a structure occurs, in a
Pod or in the template of a CronJob, its rules hold. `fill` walks an object along its schema; at each structure it first
gives plain defaults (those which the type table marks, then `Default` rows), then runs the functions of the
structure, then goes down. Which fields lead to structures with rules is worked out once per structure.

Group modules offer `RULES`, a table of structure to rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.quantity import Quantity, QuantityError
from terrarium.kube.api.schema import Type, schema

Rule = Callable[[Obj], None]

MODULES = ("core", "services", "workloads", "autoscaling", "platform")


@dataclass(frozen=True, slots=True)
class Default:
    """A value for a field that is absent or empty. A path with dots goes into structures which it makes if need be."""

    path: str
    value: Any

    def __call__(self, obj: Obj) -> None:
        *parents, name = self.path.split(".")
        for parent in parents:
            inner = obj.get(parent)
            if inner is None:
                inner = obj[parent] = {}
            obj = inner
        if obj.get(name) is None or obj[name] == "":
            obj[name] = _copy(self.value)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


@dataclass(slots=True)
class _Plan:
    """How to fill one structure: its own rules, then the fields that lead to others."""

    rules: tuple[Rule, ...]
    steps: list[tuple[str, str, _Plan]]
    quantities: tuple[str, ...]
    useful: bool = False


@lru_cache(maxsize=1)
def _rules() -> Mapping[str, Sequence[Rule]]:
    found: dict[str, Sequence[Rule]] = {}
    for module in MODULES:
        for name, rules in import_module(f"{__name__}.{module}").RULES.items():
            assert name not in found, name
            found[name] = rules
    return found


def _short(name: str) -> str:
    return name.removeprefix("io.k8s.api.").removeprefix("io.k8s.")


@lru_cache(maxsize=1)
def _plans() -> dict[str, _Plan]:
    return {}


def _plan(name: str) -> _Plan:
    plans = _plans()
    found = plans.get(name)
    if found is not None:
        return found
    shape = schema()[name]
    rules: list[Rule] = []
    for item in shape.fields.values():
        if item.default is not None and (item.default or item.type.pointer):
            rules.append(Default(item.json, item.default))
    for item in shape.declared:
        if item.inline and not item.json and item.type.shape == "struct":
            rules += _plan(item.type.name).rules
    rules += _rules().get(_short(name), ())
    quantities = tuple(f.json for f in shape.fields.values() if f.type.go.endswith("v1.ResourceList"))
    plan = plans[name] = _Plan(tuple(rules), [], quantities)
    for item in shape.fields.values():
        form, inner = _target(item.type)
        if inner:
            plan.steps.append((item.json, form, _plan(inner)))
    plan.useful = bool(plan.rules or plan.quantities) or any(step.useful for _, _, step in plan.steps)
    plan.steps = [step for step in plan.steps if step[2].useful or step[2] is plan]
    return plan


def _target(type: Type) -> tuple[str, str]:
    if type.shape == "struct":
        return ("one" if type.pointer else "value"), type.name
    if type.element is not None and type.element.shape == "struct":
        return type.shape, type.element.name
    return "", ""


def fill(obj: Obj, name: str) -> None:
    """Fills in the defaults of structure `name` (`io.k8s.api.core.v1.PodSpec`) in place."""
    _fill(obj, _plan(name))


def _fill(obj: Obj, plan: _Plan) -> None:
    for rule in plan.rules:
        rule(obj)
    for name in plan.quantities:
        amounts = obj.get(name)
        if amounts:
            for key, value in amounts.items():
                amounts[key] = _rounded(value)
    for name, form, inner in plan.steps:
        value = obj.get(name)
        if value is None:
            if form != "value":
                continue
            value = obj[name] = {}
        if form == "list":
            for item in value:
                if item is not None:
                    _fill(item, inner)
        elif form == "map":
            for item in value.values():
                _fill(item, inner)
        else:
            _fill(value, inner)


def _rounded(value: Any) -> Any:
    try:
        return str(Quantity.of(value).rounded_up(-3))
    except QuantityError:
        return value


def of(name: str) -> Callable[[Obj, Context], None]:
    """The `Strategy.default` of a kind whose structure is `name`."""

    def default(obj: Obj, context: Context) -> None:
        fill(obj, name)

    return default
