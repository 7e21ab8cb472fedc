"""The engine's provider contract on top of a plugin's process: each method is one call of the protocol."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.engine.provider import (
    Attribute,
    Block,
    ImportedObject,
    ImportResult,
    NestedBlock,
    NestedObject,
    Nesting,
    OpenResult,
    Parameter,
    PlanResult,
    ProviderSchema,
    Schema,
    Signature,
    StateResult,
    ValueResult,
)
from terrarium.language import type_expressions
from terrarium.language.types import DYNAMIC, Type
from terrarium.language.values import DYNAMIC_NULL, Value, null
from terrarium.language.values import Path as ValuePath
from terrarium.providers.plugin import encoding
from terrarium.providers.plugin.process import Process

_BLOCK_NESTING = {1: Nesting.SINGLE, 2: Nesting.LIST, 3: Nesting.SET, 4: Nesting.MAP, 5: Nesting.GROUP}
TERRAFORM_VERSION = "1.11.4"
"""What providers are told is asking; some of them decide by it what they may do."""


class PluginProvider:
    """One instance: a process of its own, since a plugin can be configured only once. It is started when first asked."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self._started: Process | None = None
        self._schema: ProviderSchema | None = None
        self._types: dict[tuple[str, str], Type] = {}
        self._lock = threading.Lock()

    def _process(self) -> Process:
        with self._lock:
            if self._started is None:
                self._started = Process(self._program)
            return self._started

    def _ask(self, call: str, /, **fields: Any) -> Any:
        return self._process().ask(call, **fields)

    # --- schema ----------------------------------------------------------------------------------------------------

    def schema(self) -> ProviderSchema:
        if self._schema is None:
            answer = self._ask("schema")
            self._schema = ProviderSchema(
                _schema(answer.provider),
                _Lazy(answer.resource_schemas, _schema),
                _Lazy(answer.data_source_schemas, _schema),
                _Lazy(answer.ephemeral_resource_schemas, _schema),
                _Lazy(answer.functions, _signature),
            )
        return self._schema

    def _type(self, mode: str, name: str) -> Type:
        known = self._types.get((mode, name))
        if known is None:
            schema = self.schema()
            schemas = {"managed": schema.resources, "data": schema.data_sources, "ephemeral": schema.ephemeral}
            known = schema.provider.block.type if mode == "provider" else schemas[mode][name].block.type
            self._types[mode, name] = known
        return known

    def _value(self, value: Value, type: Type) -> Any:
        return self._process().protocol.new("DynamicValue", msgpack=encoding.pack(value, type))

    def _capabilities(self) -> Any:
        return self._process().protocol.new("Capabilities", write_only_attributes_allowed=True)

    # --- configuration ---------------------------------------------------------------------------------------------

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]:
        answer = self._ask("validate_provider", config=self._value(config, self._type("provider", "")))
        return _diagnostics(answer)

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        answer = self._ask(
            "configure",
            terraform_version=TERRAFORM_VERSION,
            config=self._value(config, self._type("provider", "")),
            client_capabilities=self._capabilities(),
        )
        return _diagnostics(answer)

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]:
        value = self._value(config, self._type("managed", type))
        answer = self._ask("validate_resource", type_name=type, config=value, client_capabilities=self._capabilities())
        return _diagnostics(answer)

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]:
        value = self._value(config, self._type("data", type))
        return _diagnostics(self._ask("validate_data", type_name=type, config=value))

    def validate_ephemeral(self, type: str, config: Value) -> Sequence[Diagnostic]:
        value = self._value(config, self._type("ephemeral", type))
        return _diagnostics(self._ask("validate_ephemeral", type_name=type, config=value))

    # --- managed resources -----------------------------------------------------------------------------------------

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        raw = self._process().protocol.new("RawState", json=json.dumps(state).encode())
        answer = self._ask("upgrade", type_name=type, version=version, raw_state=raw)
        return ValueResult(_read(answer.upgraded_state, self._type("managed", type)), _diagnostics(answer))

    def read(self, type: str, prior: Value, private: bytes) -> StateResult:
        kind = self._type("managed", type)
        answer = self._ask(
            "read",
            type_name=type,
            current_state=self._value(prior, kind),
            private=private,
            client_capabilities=self._capabilities(),
        )
        diagnostics = _diagnostics(answer)
        value = prior if _failed(diagnostics) else _read(answer.new_state, kind)
        # Protocol 5's SDKs answer to refreshes with the same liberties as to plans.
        return StateResult(value, answer.private, diagnostics, legacy=True)

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        if proposed.is_null:
            # Only providers that ask for it are asked about deletions, and this host does not say it can.
            return PlanResult(proposed, private=private)
        kind = self._type("managed", type)
        answer = self._ask(
            "plan",
            type_name=type,
            prior_state=self._value(prior, kind),
            proposed_new_state=self._value(proposed, kind),
            config=self._value(config, kind),
            prior_private=private,
            client_capabilities=self._capabilities(),
        )
        diagnostics = _diagnostics(answer)
        planned = proposed if _failed(diagnostics) else _read(answer.planned_state, kind)
        replace = tuple(_path(path) for path in answer.requires_replace)
        return PlanResult(planned, replace, answer.planned_private, diagnostics, answer.legacy_type_system)

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult:
        kind = self._type("managed", type)
        answer = self._ask(
            "apply",
            type_name=type,
            prior_state=self._value(prior, kind),
            planned_state=self._value(planned, kind),
            config=self._value(config, kind),
            planned_private=private,
        )
        value = _read(answer.new_state, kind)
        return StateResult(value, answer.private, _diagnostics(answer), answer.legacy_type_system)

    def import_(self, type: str, id: str) -> ImportResult:
        answer = self._ask("import", type_name=type, id=id, client_capabilities=self._capabilities())
        objects = tuple(
            ImportedObject(found.type_name, _read(found.state, self._type("managed", found.type_name)), found.private)
            for found in answer.imported_resources
        )
        return ImportResult(objects, _diagnostics(answer))

    # --- the rest --------------------------------------------------------------------------------------------------

    def read_data(self, type: str, config: Value) -> ValueResult:
        kind = self._type("data", type)
        answer = self._ask(
            "read_data", type_name=type, config=self._value(config, kind), client_capabilities=self._capabilities()
        )
        return ValueResult(_read(answer.state, kind), _diagnostics(answer))

    def open(self, type: str, config: Value) -> OpenResult:
        kind = self._type("ephemeral", type)
        answer = self._ask(
            "open", type_name=type, config=self._value(config, kind), client_capabilities=self._capabilities()
        )
        return OpenResult(_read(answer.result, kind), answer.private, _diagnostics(answer))

    def close_ephemeral(self, type: str, private: bytes) -> Sequence[Diagnostic]:
        return _diagnostics(self._ask("close", type_name=type, private=private))

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult:
        signature = self.schema().functions[function]
        kinds = [p.type for p in signature.parameters]
        if signature.variadic is not None:
            kinds += [signature.variadic.type] * (len(arguments) - len(kinds))
        packed = [self._value(value, kind) for value, kind in zip(arguments, kinds, strict=True)]
        answer = self._ask("call", name=function, arguments=packed)
        if answer.HasField("error"):
            argument = (answer.error.function_argument,) if answer.error.HasField("function_argument") else None
            failed = Diagnostic(Severity.ERROR, "Error in function call", answer.error.text, attribute=argument)
            return ValueResult(DYNAMIC_NULL, (failed,))
        return ValueResult(_read(answer.result, signature.returns))

    def stop(self) -> None:
        if self._started is not None:
            self._ask("stop")

    def close(self) -> None:
        with self._lock:
            started, self._started = self._started, None
        if started is not None:
            started.close()


_T = TypeVar("_T")


class _Lazy(Mapping[str, _T]):
    """A mapping whose values are read when they are asked for: a large provider has thousands, a run needs few."""

    def __init__(self, sent: Mapping[str, Any], read: Callable[[Any], _T]) -> None:
        self._sent = sent
        self._read = read
        self._known: dict[str, _T] = {}

    def __getitem__(self, name: str) -> _T:
        known = self._known.get(name)
        if known is None:
            if name not in self._sent:  # protobuf's maps make what they are asked for
                raise KeyError(name)
            known = self._known[name] = self._read(self._sent[name])
        return known

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._sent))

    def __len__(self) -> int:
        return len(self._sent)

    def __contains__(self, name: object) -> bool:
        return name in self._sent


# --- from the wire --------------------------------------------------------------------------------------------------


def _read(sent: Any, type: Type) -> Value:
    if sent.msgpack:
        return encoding.unpack(sent.msgpack, type)
    if sent.json:
        from terrarium.language.json_values import from_json, loads

        return from_json(loads(sent.json.decode()), type)
    return null(type)


def _failed(diagnostics: Sequence[Diagnostic]) -> bool:
    return any(d.severity is Severity.ERROR for d in diagnostics)


def _diagnostics(answer: Any) -> tuple[Diagnostic, ...]:
    return tuple(
        Diagnostic(
            Severity.WARNING if d.severity == 2 else Severity.ERROR,
            d.summary,
            d.detail,
            attribute=_path(d.attribute) if d.HasField("attribute") else None,
        )
        for d in answer.diagnostics
    )


def _path(path: Any) -> ValuePath:
    steps: list[Any] = []
    for step in path.steps:
        if step.HasField("element_key_int"):
            steps.append(step.element_key_int)
        else:
            steps.append(step.element_key_string if step.HasField("element_key_string") else step.attribute_name)
    return tuple(steps)


def _schema(sent: Any) -> Schema:
    return Schema(_block(sent.block), sent.version)


def _block(sent: Any) -> Block:
    return Block(
        {a.name: _attribute(a) for a in sent.attributes},
        {
            b.type_name: NestedBlock(_block(b.block), _BLOCK_NESTING[b.nesting], b.min_items, b.max_items)
            for b in sent.block_types
        },
        sent.deprecated,
        sent.description,
    )


def _attribute(sent: Any) -> Attribute:
    nested = None
    if not sent.type:
        inner = sent.nested_type
        nested = NestedObject({a.name: _attribute(a) for a in inner.attributes}, _BLOCK_NESTING[inner.nesting])
    return Attribute(
        _parsed(sent.type) if sent.type else None,
        nested,
        sent.required,
        sent.optional,
        sent.computed,
        sent.sensitive,
        sent.write_only,
        sent.deprecated,
        sent.description,
        sent.description_kind == 1,
    )


def _parsed(type: bytes) -> Type:
    return type_expressions.from_json(json.loads(type)) if type else DYNAMIC


def _signature(sent: Any) -> Signature:
    variadic = _parameter(sent.variadic_parameter) if sent.HasField("variadic_parameter") else None
    parameters = tuple(_parameter(p) for p in sent.parameters)
    return Signature(parameters, _parsed(getattr(sent, "return").type), variadic, sent.summary, sent.description)


def _parameter(sent: Any) -> Parameter:
    return Parameter(sent.name, _parsed(sent.type), sent.allow_null_value, sent.allow_unknown_values, sent.description)
