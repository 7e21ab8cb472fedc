"""The values of everything that has a name while a graph is walked, and the scopes that expressions see of them.

`Values` is filled by the walk (variables, locals, outputs, module calls, resources, each per module instance);
`Evaluator.scope` gathers for one expression just what it refers to, so that the cost of an expression does not grow
with the configuration. Values of a resource that repeats are built once, when all its instances are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Diagnostic
from terrarium.engine.addresses import ROOT, AbsResource, Instance, Key, ModuleInstance, path_of
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.plugins import Plugins
from terrarium.engine.provider_functions import ModuleFunctions
from terrarium.engine.references import Reference, parse
from terrarium.language import nodes
from terrarium.language.evaluate import evaluate
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.types import Object, Type
from terrarium.language.values import DYNAMIC_UNKNOWN, Value, boolean, number, object_of, string, tuple_of, unknown

Diagnostics = list[Diagnostic]


@dataclass(frozen=True, slots=True)
class Keys:
    """The instances of a resource or module call. `each` holds `each.value` by key. `kind`: single, count, each,
    unknown (the number is not known: its value is unknown too)."""

    kind: str
    keys: tuple[Key, ...] = (None,)
    each: Mapping[str, Value] = field(default_factory=dict)

    def repetition(self, key: Key) -> Repetition | None:
        if self.kind == "count" and isinstance(key, int):
            return Repetition(count=number(key))
        if self.kind == "each" and isinstance(key, str):
            return Repetition(each_key=string(key), each_value=self.each[key])
        if self.kind == "unknown":
            return Repetition(unknown(), unknown(), unknown())
        return None


@dataclass(frozen=True, slots=True)
class Repetition:
    """What `count.index`, `each.key` and `each.value` are for one instance."""

    count: Value | None = None
    each_key: Value | None = None
    each_value: Value | None = None


SINGLE = Keys("single")


class Values:
    """What is known so far. Written by one visit at a time for each entry; entries never change once set."""

    def __init__(self) -> None:
        self.variables: dict[ModuleInstance, dict[str, Value]] = {}
        self.locals: dict[ModuleInstance, dict[str, Value]] = {}
        self.outputs: dict[ModuleInstance, dict[str, Value]] = {}
        self.calls: dict[ModuleInstance, dict[str, Keys]] = {}
        self.keys: dict[AbsResource, Keys] = {}
        self.objects: dict[Instance, Value] = {}
        self.partial = False
        """Whether objects are left out on purpose (targets): what is not there is then no instance at all."""
        self._whole: dict[AbsResource, Value] = {}
        self._open: dict[int, tuple[bool, Type]] = {}

    def instances_of(self, path: tuple[str, ...]) -> list[ModuleInstance]:
        """All instances of a module, as far as its calls have been expanded."""
        found: list[ModuleInstance] = [ROOT]
        for name in path:
            found = [
                (*module, (name, key))
                for module in found
                for key in self.calls.get(module, {}).get(name, Keys("single", ())).keys
            ]
        return found

    def resource(self, address: AbsResource) -> Value:
        """A resource as expressions see it: an object, a tuple (`count`) or an object of objects (`for_each`)."""
        keys = self.keys.get(address)
        if keys is None:
            return DYNAMIC_UNKNOWN
        if keys.kind == "single":
            return self.objects.get(address.instance(None), DYNAMIC_UNKNOWN)
        whole = self._whole.get(address)
        if whole is not None:
            return whole
        if keys.kind == "unknown":
            return DYNAMIC_UNKNOWN
        members = {key: self.objects.get(address.instance(key)) for key in keys.keys}
        if self.partial:
            members = _present(members, keys.kind)
        values = {key: DYNAMIC_UNKNOWN if value is None else value for key, value in members.items()}
        if keys.kind == "count":
            whole = tuple_of(values.values())
        else:
            whole = object_of({str(key): value for key, value in values.items()})
        if all(value is not None for value in members.values()):
            self._whole[address] = whole
        return whole

    def set_object(self, address: Instance, value: Value) -> None:
        if isinstance(value.data, dict) and self._is_open(value.type):
            # What a schema leaves open has, in an expression, the type of the value that is there.
            value = Value(Object({k: v.type for k, v in value.data.items()}), value.data, value.marks)
        self.objects[address] = value
        self._whole.pop(address.resource, None)

    def _is_open(self, type: Type) -> bool:
        known = self._open.get(id(type))
        if known is None:
            known = self._open[id(type)] = (type.has_dynamic(), type)
        return known[0]

    def module(self, parent: ModuleInstance, name: str) -> Value:
        """A module call as expressions see it."""
        keys = self.calls.get(parent, {}).get(name)
        if keys is None or keys.kind == "unknown":
            return DYNAMIC_UNKNOWN
        values = {key: object_of(self.outputs.get((*parent, (name, key)), {})) for key in keys.keys}
        if keys.kind == "single":
            return values[None]
        if keys.kind == "count":
            return tuple_of(values.values())
        return object_of({str(key): value for key, value in values.items()})


def _present(members: dict[Key, Value | None], kind: str) -> dict[Key, Value | None]:
    """Without instances that are not there; before the last one with an index, they are unknown."""
    if kind != "count":
        return {key: value for key, value in members.items() if value is not None}
    last = max((key for key, value in members.items() if value is not None and isinstance(key, int)), default=-1)
    return {key: members.get(key) for key in range(last + 1)}


class Evaluator:
    """Evaluates expressions of a module against `Values`."""

    def __init__(
        self,
        root: ModuleNode,
        values: Values,
        functions: Mapping[str, Any],
        workspace: str = "default",
        working_folder: Path | None = None,
        applying: bool = False,
        plugins: Plugins | None = None,
        known: Callable[[Reference], Value | None] = lambda reference: None,
    ) -> None:
        self.root = root
        self.plugins = plugins
        self._known = known
        self.values = values
        self.functions = functions
        self.applying = applying
        self._terraform = {"workspace": string(workspace), "applying": boolean(applying).marked("ephemeral")}
        self._cwd = (working_folder or Path.cwd()).as_posix()
        self._references: dict[nodes.Expression, tuple[Reference, ...]] = {}
        self._functions: dict[tuple[str, ...], Mapping[str, Any]] = {}

    def references(self, expression: nodes.Expression) -> tuple[Reference, ...]:
        """What an expression refers to; references of wrong form are left out (validation reports them)."""
        known = self._references.get(expression)
        if known is None:
            parsed = (parse(t) for t in references(expression))
            known = self._references[expression] = tuple(r for r in parsed if isinstance(r, Reference))
        return known

    def scope(
        self,
        module: ModuleInstance,
        references: Iterable[Reference],
        repetition: Repetition | None = None,
        self_value: Value | None = None,
    ) -> Scope:
        """A scope in which just these references have a meaning."""
        roots: dict[str, dict[str, Value]] = {}
        variables: dict[Any, Value] = {}
        values = self.values
        for r in references:
            match r.kind:
                case "var":
                    roots.setdefault("var", {})[r.name] = values.variables.get(module, {}).get(r.name, DYNAMIC_UNKNOWN)
                case "local":
                    roots.setdefault("local", {})[r.name] = values.locals.get(module, {}).get(r.name, DYNAMIC_UNKNOWN)
                case "module":
                    roots.setdefault("module", {})[r.name] = values.module(module, r.name)
                case "resource":
                    value = values.resource(AbsResource(module, r.mode, r.type, r.name))
                    prefix = r.traversal.root if r.traversal.root in ("data", "ephemeral", "resource") else ""
                    roots.setdefault(f"{prefix}.{r.type}" if prefix else r.type, {})[r.name] = value
                case "self":
                    if self_value is not None:
                        variables["self"] = self_value
                case "count":
                    if repetition is not None and repetition.count is not None:
                        roots.setdefault("count", {})["index"] = repetition.count
                case "each":
                    if repetition is not None and repetition.each_key is not None:
                        assert repetition.each_value is not None
                        roots["each"] = {"key": repetition.each_key, "value": repetition.each_value}
                case "path":
                    roots["path"] = self._paths(module)
                case "terraform":
                    roots["terraform"] = self._terraform
                case _:
                    extra = self.extra(r)
                    if extra is not None:
                        roots.setdefault(r.kind, {})[r.name] = extra
        prefixed: dict[str, dict[str, Value]] = {}
        for name, members in roots.items():
            prefix, dot, type = name.partition(".")
            if dot:
                prefixed.setdefault(prefix, {})[type] = object_of(members)
            else:
                variables[name] = object_of(members)
        for prefix, types in prefixed.items():
            variables[prefix] = object_of(types)
        return Scope(variables, self.functions_of(module))

    def functions_of(self, module: ModuleInstance) -> Mapping[str, Any]:
        """The functions that expressions of a module may call: with those of the providers it requires."""
        if self.plugins is None:
            return self.functions
        path = path_of(module)
        known = self._functions.get(path)
        if known is None:
            node = self.root.find(path)
            known = self.functions
            if node is not None and node.module.required:
                known = ModuleFunctions(known, node.module, self.plugins)
            self._functions[path] = known
        return known

    def extra(self, reference: Reference) -> Value | None:
        """Objects that only some operations know (`run` in tests)."""
        return self._known(reference)

    def _paths(self, module: ModuleInstance) -> dict[str, Value]:
        node = self.root.find(path_of(module))
        folder = node.module.folder.as_posix() if node else "."
        return {
            "module": string(folder),
            "root": string(self.root.module.folder.as_posix()),
            "cwd": string(self._cwd),
        }

    def evaluate(
        self,
        expression: nodes.Expression,
        module: ModuleInstance,
        repetition: Repetition | None = None,
        self_value: Value | None = None,
    ) -> tuple[Value, Diagnostics]:
        scope = self.scope(module, self.references(expression), repetition, self_value)
        value, diagnostics = evaluate(expression, scope)
        return value, list(diagnostics)
