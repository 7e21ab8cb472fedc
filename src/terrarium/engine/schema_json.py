"""Schemas and function signatures as JSON (`providers schema -json`, `metadata functions -json`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.engine.provider import Attribute, Block, ProviderSchema, Schema, Signature
from terrarium.language.type_expressions import to_json


def attribute_json(attribute: Attribute) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if attribute.nested is not None:
        row["nested_type"] = {
            "attributes": {n: attribute_json(a) for n, a in sorted(attribute.nested.attributes.items())},
            "nesting_mode": attribute.nested.nesting.value,
        }
    else:
        row["type"] = to_json(attribute.type)
    if attribute.description:
        row["description"] = attribute.description
    row["description_kind"] = "markdown" if attribute.markdown else "plain"
    for flag in ("deprecated", "required", "optional", "computed", "sensitive", "write_only"):
        if getattr(attribute, flag):
            row[flag] = True
    return row


def block_json(block: Block) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if block.attributes:
        row["attributes"] = {n: attribute_json(a) for n, a in sorted(block.attributes.items())}
    if block.blocks:
        row["block_types"] = {}
        for name, nested in sorted(block.blocks.items()):
            entry: dict[str, Any] = {"nesting_mode": nested.nesting.value, "block": block_json(nested.block)}
            if nested.min_items:
                entry["min_items"] = nested.min_items
            if nested.max_items:
                entry["max_items"] = nested.max_items
            row["block_types"][name] = entry
    if block.description:
        row["description"] = block.description
    row["description_kind"] = "plain"
    if block.deprecated:
        row["deprecated"] = True
    return row


def _schemas(schemas: Mapping[str, Schema]) -> dict[str, Any]:
    return {n: {"version": s.version, "block": block_json(s.block)} for n, s in sorted(schemas.items())}


def provider_json(schema: ProviderSchema) -> dict[str, Any]:
    """All schemas of a provider."""
    row: dict[str, Any] = {"provider": {"version": schema.provider.version}}
    if schema.provider.block.attributes or schema.provider.block.blocks:
        row["provider"]["block"] = block_json(schema.provider.block)
    for name, schemas in (
        ("resource_schemas", schema.resources),
        ("data_source_schemas", schema.data_sources),
        ("ephemeral_resource_schemas", schema.ephemeral),
    ):
        if schemas:
            row[name] = _schemas(schemas)
    if schema.functions:
        row["functions"] = {n: _provider_function(f) for n, f in sorted(schema.functions.items())}
    return row


def _provider_function(function: Signature) -> dict[str, Any]:
    row: dict[str, Any] = {"description": function.description} if function.description else {}
    if function.summary:
        row["summary"] = function.summary
    row["return_type"] = to_json(function.returns)
    if function.parameters:
        row["parameters"] = [_parameter(p) for p in function.parameters]
    if function.variadic is not None:
        row["variadic_parameter"] = _parameter(function.variadic)
    return row


def functions_json(functions: Mapping[str, Any]) -> dict[str, Any]:
    """The signatures of functions, both with and without their namespace."""
    return {"format_version": "1.0", "function_signatures": {n: _signature(functions[n]) for n in sorted(functions)}}


def _signature(function: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"description": getattr(function, "description", "") or ""}
    returns: Any = getattr(function, "returns", None)
    row["return_type"] = to_json(returns) if hasattr(returns, "friendly") else "dynamic"
    parameters = [_parameter(p) for p in function.parameters]
    if parameters:
        row["parameters"] = parameters
    if function.variadic is not None:
        row["variadic_parameter"] = _parameter(function.variadic)
    return row


def _parameter(parameter: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"name": parameter.name}
    if getattr(parameter, "description", ""):
        row["description"] = parameter.description
    if getattr(parameter, "allow_null", False):
        row["is_nullable"] = True
    row["type"] = to_json(parameter.type)
    return row
