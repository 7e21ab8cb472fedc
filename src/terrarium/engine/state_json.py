"""A state as JSON (`show -json`), and the parts of it which plan JSON shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.engine.addresses import (
    Instance,
    ModuleInstance,
    key_text,
    module_order,
    module_text,
    parse_instance,
    parse_provider_config,
    sorted_instances,
)
from terrarium.engine.plan_object import schema_marks
from terrarium.engine.plugins import Plugins
from terrarium.engine.state import TERRAFORM_VERSION, CheckResult, State, StateObject
from terrarium.engine.value_trees import known, sensitives
from terrarium.language.type_expressions import to_json as type_to_json


def state_document(state: State, plugins: Plugins) -> dict[str, Any]:
    """The whole state; without a state only the format's version."""
    if state.empty:
        return {"format_version": "1.0"}
    document: dict[str, Any] = {
        "format_version": "1.0",
        "terraform_version": state.terraform_version or TERRAFORM_VERSION,
    }
    values = state_values(state, plugins)
    if values:
        document["values"] = values
    checks = checks_json(state.checks or ())
    if checks:
        document["checks"] = checks
    return document


def state_values(state: State, plugins: Plugins) -> dict[str, Any]:
    """Outputs and resources, those of child modules nested."""
    values: dict[str, Any] = {}
    if state.outputs:
        values["outputs"] = {
            name: {"sensitive": o.sensitive, "value": known(o.value), "type": type_to_json(o.value.type)}
            for name, o in sorted(state.outputs.items())
        }
    rows: list[tuple[ModuleInstance, dict[str, Any]]] = []
    for address in sorted_instances(a for a, _, _ in state.instances()):
        resource = state.resources[address.resource]
        instance = resource.instances[address.key]
        objects = [("", instance.current)] if instance.current is not None else []
        objects += list(instance.deposed.items())
        for deposed, held in objects:
            assert held is not None
            rows.append((address.module, _object(address, resource.provider, held, deposed, plugins)))
    values["root_module"] = modules_json(rows)
    return values


def _object(address: Instance, provider: str, held: StateObject, deposed: str, plugins: Plugins) -> dict[str, Any]:
    source = parse_provider_config(provider).source
    row = identity(address) | {"provider_name": source, "schema_version": held.schema_version}
    if source in plugins:
        schema = plugins.resource_schema(source, address.mode, address.type)
        assert schema is not None
        value = schema_marks(schema.block, held.value(plugins.decoder.type(schema.block)))
        row |= {"values": known(value), "sensitive_values": sensitives(value)}
    else:
        row |= {"values": dict(held.json()), "sensitive_values": {}}
    if held.dependencies:
        row["depends_on"] = list(held.dependencies.texts)
    if held.tainted:
        row["tainted"] = True
    if deposed:
        row["deposed_key"] = deposed
    return row


def identity(address: Instance) -> dict[str, Any]:
    """What names a resource instance in JSON."""
    row: dict[str, Any] = {
        "address": str(address),
        "mode": address.mode,
        "type": address.type,
        "name": address.name,
    }
    if address.key is not None:
        row["index"] = address.key
    return row


def modules_json(rows: Iterable[tuple[ModuleInstance, Mapping[str, Any]]]) -> dict[str, Any]:
    """Resources nested by the modules they are in."""
    by_module: dict[ModuleInstance, list[Mapping[str, Any]]] = {}
    for module, row in rows:
        by_module.setdefault(module, []).append(row)
    everything: set[ModuleInstance] = {()}
    for module in by_module:
        everything.update(module[:i] for i in range(len(module) + 1))

    def one(module: ModuleInstance) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if module in by_module:
            found["resources"] = by_module[module]
        if module:
            found["address"] = module_text(module)
        depth = len(module) + 1
        inner = sorted((m for m in everything if len(m) == depth and m[:-1] == module), key=module_order)
        if inner:
            found["child_modules"] = [one(m) for m in inner]
        return found

    return one(())


def checks_json(checks: Iterable[CheckResult]) -> list[dict[str, Any]]:
    """Results of conditions."""
    found = []
    for check in sorted(checks, key=lambda c: c.address):
        address = _checkable(check.kind, check.address)
        row: dict[str, Any] = {"address": address, "status": check.status}
        instances = []
        for text, status, messages in sorted(check.objects):
            one: dict[str, Any] = {"address": _checkable_instance(check.kind, text), "status": status}
            if messages:
                one["problems"] = [{"message": m} for m in messages]
            instances.append(one)
        if instances:
            row["instances"] = instances
        found.append(row)
    return found


def _checkable(kind: str, address: str) -> dict[str, Any]:
    shown = {"resource": "resource", "output_value": "output_value", "check": "check", "var": "var"}[kind]
    row: dict[str, Any] = {"kind": shown, "to_display": address}
    if kind == "resource":
        instance = parse_instance(address)
        row |= {"mode": instance.mode, "type": instance.type, "name": instance.name}
        if instance.module:
            row["module"] = module_text(instance.module)
        return row
    module, _, local = address.rpartition({"output_value": "output.", "check": "check.", "var": "var."}[kind])
    row["name"] = local
    if module:
        row["module"] = module.rstrip(".")
    return row


def _checkable_instance(kind: str, address: str) -> dict[str, Any]:
    row: dict[str, Any] = {"to_display": address}
    if kind == "resource":
        instance = parse_instance(address)
        if instance.module:
            row["module"] = module_text(instance.module)
        if instance.key is not None:
            row["instance_key"] = instance.key
        return row
    module = address.rpartition({"output_value": "output.", "check": "check.", "var": "var."}[kind])[0].rstrip(".")
    if module:
        row["module"] = module
    return row


__all__ = ["checks_json", "identity", "key_text", "modules_json", "state_document", "state_values"]
