"""Functions that providers bring: `provider::LOCAL_NAME::function`.

A module may call those of the providers which its own `required_providers` names, under the local names given there. A
provider is asked for its schema only when one of its functions is called for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from terrarium.base.diagnostics import has_errors
from terrarium.engine import provider as contract
from terrarium.engine.configuration import Module
from terrarium.engine.plugins import Plugins
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter
from terrarium.language.types import Dynamic, Type
from terrarium.language.values import Value

_PREFIX = "provider::"


class ModuleFunctions(Mapping[str, Any]):
    """The functions which one module's expressions may call: the language's own, and those of its providers."""

    __slots__ = ("_base", "_made", "_module", "_plugins")

    def __init__(self, base: Mapping[str, Any], module: Module, plugins: Plugins) -> None:
        self._base = base
        self._module = module
        self._plugins = plugins
        self._made: dict[str, Function] = {}

    def get(self, name: str, default: Any = None) -> Any:
        if not name.startswith(_PREFIX):
            return self._base.get(name, default)
        known = self._made.get(name)
        if known is None:
            known = self._make(name)
            if known is None:
                return default
            self._made[name] = known
        return known

    def __getitem__(self, name: str) -> Any:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self._base
        for local, required in self._module.required.items():
            if required.source in self._plugins:
                for name in self._plugins.schema(required.source).functions:
                    yield f"{_PREFIX}{local}::{name}"

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _make(self, full_name: str) -> Function | None:
        local, _, name = full_name.removeprefix(_PREFIX).partition("::")
        required = self._module.required.get(local)
        if required is None or required.source not in self._plugins:
            return None
        signature = self._plugins.schema(required.source).functions.get(name)
        return None if signature is None else _function(self._plugins, required.source, name, signature)


def _function(plugins: Plugins, source: str, name: str, signature: contract.Signature) -> Function:
    def body(arguments: Sequence[Value], type: Type) -> Value:
        result = plugins.unconfigured(source).call(name, arguments)
        if has_errors(result.diagnostics):
            first = next(d for d in result.diagnostics if d.severity.value == "error")
            text = (first.detail or first.summary).rstrip(".")
            index = first.attribute[0] if first.attribute else None
            raise ArgumentError(index, text) if isinstance(index, int) else FunctionError(text)
        return result.value

    return Function(
        tuple(map(_parameter, signature.parameters)),
        signature.returns,
        body,
        None if signature.variadic is None else _parameter(signature.variadic),
        not_null=False,
        description=signature.description,
    )


def _parameter(p: contract.Parameter) -> Parameter:
    return Parameter(
        p.name,
        p.type,
        allow_null=p.allow_null,
        allow_unknown=p.allow_unknown,
        allow_dynamic=isinstance(p.type, Dynamic),
        description=p.description,
    )
