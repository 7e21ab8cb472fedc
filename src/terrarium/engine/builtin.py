"""The provider that is part of the engine: `terraform_data` and `terraform_remote_state`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.base.ids import Ids
from terrarium.engine import builtin_functions
from terrarium.engine.addresses import BUILTIN
from terrarium.engine.backends import BACKENDS
from terrarium.engine.plan_object import equal
from terrarium.engine.provider import (
    Attribute,
    Block,
    ImportedObject,
    ImportResult,
    PlanResult,
    Provider,
    ProviderSchema,
    Schema,
    StateResult,
    ValueResult,
)
from terrarium.engine.state import TERRAFORM_VERSION, State
from terrarium.language.json_values import from_json
from terrarium.language.types import DYNAMIC, STRING, Dynamic, Map, Object, Type
from terrarium.language.values import NULL, Value, null, object_of, string, unknown

DATA_BLOCK = Block(
    attributes={
        "input": Attribute(DYNAMIC, optional=True),
        "output": Attribute(DYNAMIC, computed=True),
        "triggers_replace": Attribute(DYNAMIC, optional=True),
        "id": Attribute(STRING, computed=True),
    }
)


def _described(
    type: Type, text: str, required: bool = False, optional: bool = False, computed: bool = False
) -> Attribute:
    return Attribute(type, description=text, markdown=True, required=required, optional=optional, computed=computed)


REMOTE_STATE = Block(
    attributes={
        "backend": _described(STRING, "The remote backend to use, e.g. `remote` or `http`.", required=True),
        "config": _described(
            DYNAMIC,
            "The configuration of the remote backend. Although this is optional, most backends require some "
            "configuration.\n\nThe object can use any arguments that would be valid in the equivalent `terraform { backend "
            '"<TYPE>" { ... } }` block.',
            optional=True,
        ),
        "defaults": _described(
            DYNAMIC,
            "Default values for outputs, in case the state file is empty or lacks a required output.",
            optional=True,
        ),
        "outputs": _described(
            DYNAMIC, "An object containing every root-level output in the remote state.", computed=True
        ),
        "workspace": _described(
            STRING, "The Terraform workspace to use, if the backend supports workspaces.", optional=True
        ),
    }
)
SCHEMA = ProviderSchema(
    Schema(Block()),
    {"terraform_data": Schema(DATA_BLOCK)},
    {"terraform_remote_state": Schema(REMOTE_STATE)},
    functions=builtin_functions.SIGNATURES,
)
_DATA_TYPE = DATA_BLOCK.type
_REMOTE_TYPE = REMOTE_STATE.type

ReadState = Callable[[str, Mapping[str, Value], str], State | None]
"""Reads another configuration's state: (backend type, its settings, workspace). None when there is none; ValueError
says what is wrong with the settings."""


def _object(type: object, **members: Value) -> Value:
    return Value(_DATA_TYPE if type == "data" else _REMOTE_TYPE, {k: members[k] for k in sorted(members)})


def _unknown_like(input: Value) -> Value:
    """What `output` will be: of the input's type, but known only after apply."""
    return null(input.type) if input.data is NULL else unknown(input.type)


def _remote_state_problems(config: Value) -> list[Diagnostic]:
    """What can be said against the arguments of `terraform_remote_state` before the state is read."""
    backend, settings, defaults = (config.data[name] for name in ("backend", "config", "defaults"))
    found: list[Diagnostic] = []

    def refuse(summary: str, detail: str, attribute: str) -> None:
        found.append(replace(error(summary, detail), attribute=(attribute,)))

    if isinstance(backend.data, str) and settings.is_wholly_known:
        if backend.data not in BACKENDS:
            refuse("Invalid backend configuration", f'There is no backend type named "{backend.data}".', "backend")
        elif problem := _settings_problem(backend.data, settings):
            detail = f'The given configuration is not valid for backend "{backend.data}": {problem}.'
            refuse("Invalid backend configuration", detail, "config")
    elif not _may_be_object(settings):
        refuse("Invalid backend configuration", "The configuration must be an object value.", "config")
    if not _may_be_object(defaults):
        refuse("Invalid default values", "Defaults must be given in an object value.", "defaults")
    return found


def _may_be_object(value: Value) -> bool:
    return value.data is NULL or isinstance(value.type, Dynamic | Object | Map)


def _settings_problem(backend: str, settings: Value) -> str:
    if not _may_be_object(settings):
        return "an object is required"
    known = BACKENDS[backend]
    if known is None or not isinstance(settings.data, dict):
        return ""
    return next((f'unexpected attribute "{name}"' for name in settings.data if name not in known), "")


class Builtin:
    """The provider terraform.io/builtin/terraform."""

    quick = True

    def __init__(self, ids: Ids, read_state: ReadState) -> None:
        self._ids = ids
        self._read_state = read_state

    def schema(self) -> ProviderSchema:
        return SCHEMA

    def validate_provider(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def configure(self, config: Value) -> Sequence[Diagnostic]:
        return ()

    def validate_resource(self, type: str, config: Value) -> Sequence[Diagnostic]:
        data = config.data
        return [
            error(f'"{name}" attribute is read-only')
            for name in ("output", "id")
            if data[name].is_known and data[name].data is not NULL
        ]

    def validate_data(self, type: str, config: Value) -> Sequence[Diagnostic]:
        return _remote_state_problems(config)

    def upgrade(self, type: str, version: int, state: Mapping[str, object]) -> ValueResult:
        members = {name: from_json(state.get(name), a.type) for name, a in DATA_BLOCK.attributes.items()}
        return ValueResult(_object("data", **members))

    def read(self, type: str, prior: Value, private: bytes) -> StateResult:
        return StateResult(prior, private)

    def plan(self, type: str, prior: Value, proposed: Value, config: Value, private: bytes) -> PlanResult:
        if proposed.is_null:
            return PlanResult(proposed, (), private)
        wanted = proposed.data
        members = {name: wanted[name] for name in DATA_BLOCK.attributes}
        replace: tuple[tuple[str, ...], ...] = ()
        if prior.is_null:
            members["id"] = unknown(STRING)
            members["output"] = _unknown_like(members["input"])
        else:
            before = prior.data
            if not equal(before["input"], members["input"]):
                members["output"] = unknown(members["input"].type)
            if not equal(before["triggers_replace"], members["triggers_replace"]):
                replace = (("triggers_replace",),)
        return PlanResult(_object("data", **members), replace, private)

    def apply(self, type: str, prior: Value, planned: Value, config: Value, private: bytes) -> StateResult:
        if planned.is_null:
            return StateResult(planned, private)
        members = dict(planned.data)
        if not members["id"].is_known:
            members["id"] = string(self._ids.uuid())
        if not members["output"].is_known:
            members["output"] = members["input"]
        return StateResult(_object("data", **members), private)

    def import_(self, type: str, id: str) -> ImportResult:
        if not id:
            return ImportResult((), (error("Import failed", "An id is required."),))
        value = _object("data", id=string(id), input=null(), output=null(), triggers_replace=null())
        return ImportResult((ImportedObject(type, value),))

    def read_data(self, type: str, config: Value) -> ValueResult:
        data = config.data
        workspace = "default" if data["workspace"].data is NULL else data["workspace"].data
        settings = data["config"].data if isinstance(data["config"].data, dict) else {}
        failed = null(_REMOTE_TYPE)
        try:
            state = self._read_state(data["backend"].data, settings, workspace)
        except ValueError as problem:
            return ValueResult(failed, (error("Invalid configuration", str(problem)),))
        outputs: dict[str, Value] = {}
        defaults = data["defaults"]
        if defaults.data is not NULL and isinstance(defaults.data, dict):
            outputs.update(defaults.data)
        if state is None:
            return ValueResult(
                failed,
                (
                    error(
                        "Unable to find remote state",
                        "No stored state was found for the given workspace in the given backend.",
                    ),
                ),
            )
        for name, output in state.outputs.items():
            outputs[name] = output.value
        return ValueResult(_object("remote", **{**data, "outputs": object_of(outputs)}))

    def call(self, function: str, arguments: Sequence[Value]) -> ValueResult:
        return builtin_functions.call(function, arguments)

    def stop(self) -> None: ...

    def close(self) -> None: ...


class BuiltinFactory:
    """Makes the built-in provider."""

    source = BUILTIN
    version = TERRAFORM_VERSION

    def __init__(self, ids: Ids, read_state: ReadState) -> None:
        self._ids = ids
        self._read_state = read_state

    def create(self) -> Provider:
        return Builtin(self._ids, self._read_state)
