"""The messages of plugin protocols 5 and 6, as tables from which the classes are made at first use.

Only what this host says and understands is listed; everything else on the wire is passed over, as protobuf has it.
A field is `name: (number, type)`; a type in brackets is repeated, one in braces the value of a map by string.
Source: tfplugin5.proto and tfplugin6.proto of Terraform 1.11 (field numbers and names).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

_Field = tuple[int, Any]
_Message = Mapping[str, _Field]

_CONFIG: _Message = {"type_name": (1, "string"), "config": (2, "DynamicValue")}
_SAID: _Message = {"diagnostics": (1, ["Diagnostic"])}

_COMMON: Mapping[str, _Message] = {
    "Empty": {},
    "DynamicValue": {"msgpack": (1, "bytes"), "json": (2, "bytes")},
    "Step": {"attribute_name": (1, "string?"), "element_key_string": (2, "string?"), "element_key_int": (3, "int64?")},
    "AttributePath": {"steps": (1, ["Step"])},
    "Diagnostic": {
        "severity": (1, "int32"),
        "summary": (2, "string"),
        "detail": (3, "string"),
        "attribute": (4, "AttributePath"),
    },
    "FunctionError": {"text": (1, "string"), "function_argument": (2, "int64?")},
    "RawState": {"json": (1, "bytes")},
    "Capabilities": {"deferral_allowed": (1, "bool"), "write_only_attributes_allowed": (2, "bool")},
    "Schema": {"version": (1, "int64"), "block": (2, "Block")},
    "Block": {
        "version": (1, "int64"),
        "attributes": (2, ["Attribute"]),
        "block_types": (3, ["NestedBlock"]),
        "description": (4, "string"),
        "description_kind": (5, "int32"),
        "deprecated": (6, "bool"),
    },
    "NestedBlock": {
        "type_name": (1, "string"),
        "block": (2, "Block"),
        "nesting": (3, "int32"),
        "min_items": (4, "int64"),
        "max_items": (5, "int64"),
    },
    "Parameter": {
        "name": (1, "string"),
        "type": (2, "bytes"),
        "allow_null_value": (3, "bool"),
        "allow_unknown_values": (4, "bool"),
        "description": (5, "string"),
    },
    "Return": {"type": (1, "bytes")},
    "Function": {
        "parameters": (1, ["Parameter"]),
        "variadic_parameter": (2, "Parameter"),
        "return": (3, "Return"),
        "summary": (4, "string"),
        "description": (5, "string"),
    },
    "SchemaResponse": {
        "provider": (1, "Schema"),
        "resource_schemas": (2, {"Schema"}),
        "data_source_schemas": (3, {"Schema"}),
        "diagnostics": (4, ["Diagnostic"]),
        "functions": (7, {"Function"}),
        "ephemeral_resource_schemas": (8, {"Schema"}),
    },
    "ProviderConfig": {"config": (1, "DynamicValue")},
    "PreparedConfig": {"prepared_config": (1, "DynamicValue"), "diagnostics": (2, ["Diagnostic"])},
    "ValidateRequest": {**_CONFIG, "client_capabilities": (3, "Capabilities")},
    "ValidateDataRequest": _CONFIG,
    "Said": _SAID,
    "UpgradeRequest": {"type_name": (1, "string"), "version": (2, "int64"), "raw_state": (3, "RawState")},
    "UpgradeResponse": {"upgraded_state": (1, "DynamicValue"), "diagnostics": (2, ["Diagnostic"])},
    "ConfigureRequest": {
        "terraform_version": (1, "string"),
        "config": (2, "DynamicValue"),
        "client_capabilities": (3, "Capabilities"),
    },
    "ReadRequest": {
        "type_name": (1, "string"),
        "current_state": (2, "DynamicValue"),
        "private": (3, "bytes"),
        "client_capabilities": (5, "Capabilities"),
    },
    "ReadResponse": {"new_state": (1, "DynamicValue"), "diagnostics": (2, ["Diagnostic"]), "private": (3, "bytes")},
    "PlanRequest": {
        "type_name": (1, "string"),
        "prior_state": (2, "DynamicValue"),
        "proposed_new_state": (3, "DynamicValue"),
        "config": (4, "DynamicValue"),
        "prior_private": (5, "bytes"),
        "client_capabilities": (7, "Capabilities"),
    },
    "PlanResponse": {
        "planned_state": (1, "DynamicValue"),
        "requires_replace": (2, ["AttributePath"]),
        "planned_private": (3, "bytes"),
        "diagnostics": (4, ["Diagnostic"]),
        "legacy_type_system": (5, "bool"),
    },
    "ApplyRequest": {
        "type_name": (1, "string"),
        "prior_state": (2, "DynamicValue"),
        "planned_state": (3, "DynamicValue"),
        "config": (4, "DynamicValue"),
        "planned_private": (5, "bytes"),
    },
    "ApplyResponse": {
        "new_state": (1, "DynamicValue"),
        "private": (2, "bytes"),
        "diagnostics": (3, ["Diagnostic"]),
        "legacy_type_system": (4, "bool"),
    },
    "ImportRequest": {"type_name": (1, "string"), "id": (2, "string"), "client_capabilities": (3, "Capabilities")},
    "Imported": {"type_name": (1, "string"), "state": (2, "DynamicValue"), "private": (3, "bytes")},
    "ImportResponse": {"imported_resources": (1, ["Imported"]), "diagnostics": (2, ["Diagnostic"])},
    "ReadDataRequest": {**_CONFIG, "client_capabilities": (4, "Capabilities")},
    "ReadDataResponse": {"state": (1, "DynamicValue"), "diagnostics": (2, ["Diagnostic"])},
    "OpenRequest": {**_CONFIG, "client_capabilities": (3, "Capabilities")},
    "OpenResponse": {"diagnostics": (1, ["Diagnostic"]), "result": (3, "DynamicValue"), "private": (4, "bytes")},
    "CloseRequest": {"type_name": (1, "string"), "private": (2, "bytes")},
    "CallRequest": {"name": (1, "string"), "arguments": (2, ["DynamicValue"])},
    "CallResponse": {"result": (1, "DynamicValue"), "error": (2, "FunctionError")},
    "StopResponse": {"Error": (1, "string")},
}

_ATTRIBUTE: _Message = {
    "name": (1, "string"),
    "type": (2, "bytes"),
    "description": (3, "string"),
    "required": (4, "bool"),
    "optional": (5, "bool"),
    "computed": (6, "bool"),
    "sensitive": (7, "bool"),
    "description_kind": (8, "int32"),
    "deprecated": (9, "bool"),
}
_BY_VERSION: Mapping[int, Mapping[str, _Message]] = {
    5: {"Attribute": {**_ATTRIBUTE, "write_only": (10, "bool")}},
    6: {
        "Attribute": {**_ATTRIBUTE, "nested_type": (10, "NestedType"), "write_only": (11, "bool")},
        "NestedType": {"attributes": (1, ["Attribute"]), "nesting": (3, "int32")},
    },
}

# What the host asks: name of the call in protocol 5, in 6, request, response.
_CALLS = (
    ("schema", "GetSchema", "GetProviderSchema", "Empty", "SchemaResponse"),
    ("validate_provider", "PrepareProviderConfig", "ValidateProviderConfig", "ProviderConfig", "PreparedConfig"),
    ("validate_resource", "ValidateResourceTypeConfig", "ValidateResourceConfig", "ValidateRequest", "Said"),
    ("validate_data", "ValidateDataSourceConfig", "ValidateDataResourceConfig", "ValidateDataRequest", "Said"),
    ("validate_ephemeral", "ValidateEphemeralResourceConfig", "ValidateEphemeralResourceConfig", "ValidateDataRequest", "Said"),
    ("upgrade", "UpgradeResourceState", "UpgradeResourceState", "UpgradeRequest", "UpgradeResponse"),
    ("configure", "Configure", "ConfigureProvider", "ConfigureRequest", "Said"),
    ("read", "ReadResource", "ReadResource", "ReadRequest", "ReadResponse"),
    ("plan", "PlanResourceChange", "PlanResourceChange", "PlanRequest", "PlanResponse"),
    ("apply", "ApplyResourceChange", "ApplyResourceChange", "ApplyRequest", "ApplyResponse"),
    ("import", "ImportResourceState", "ImportResourceState", "ImportRequest", "ImportResponse"),
    ("read_data", "ReadDataSource", "ReadDataSource", "ReadDataRequest", "ReadDataResponse"),
    ("open", "OpenEphemeralResource", "OpenEphemeralResource", "OpenRequest", "OpenResponse"),
    ("close", "CloseEphemeralResource", "CloseEphemeralResource", "CloseRequest", "Said"),
    ("call", "CallFunction", "CallFunction", "CallRequest", "CallResponse"),
    ("stop", "Stop", "StopProvider", "Empty", "StopResponse"),
)  # fmt: skip


class Protocol:
    """The message classes and calls of one version."""

    def __init__(self, version: int) -> None:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

        self.version = version
        package = f"tfplugin{version}"
        file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
        kinds = descriptor_pb2.FieldDescriptorProto
        plain = {"string": 9, "bytes": 12, "bool": 8, "int64": 3, "int32": 5}
        messages = {**_COMMON, **_BY_VERSION[version]}
        for name, fields in messages.items():
            message = file.message_type.add(name=name)
            for field, (number, written) in fields.items():
                one = next(iter(written)) if isinstance(written, list | set) else written
                added = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
                if isinstance(written, set):
                    entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
                    entry.options.map_entry = True
                    entry.field.add(name="key", number=1, label=kinds.LABEL_OPTIONAL, type=plain["string"])
                    entry.field.add(
                        name="value", number=2, label=kinds.LABEL_OPTIONAL, type=11, type_name=f".{package}.{one}"
                    )
                    added.label, added.type = kinds.LABEL_REPEATED, 11
                    added.type_name = f".{package}.{name}.{entry.name}"
                    continue
                if isinstance(written, list):
                    added.label = kinds.LABEL_REPEATED
                base = one.removesuffix("?")
                if base in plain:
                    added.type = plain[base]
                    if base != one:
                        added.proto3_optional = True
                        added.oneof_index = len(message.oneof_decl)
                        message.oneof_decl.add(name=f"_{field}")
                else:
                    added.type, added.type_name = 11, f".{package}.{base}"
        pool = descriptor_pool.DescriptorPool()
        pool.Add(file)
        self._classes = {
            name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages
        }
        self.calls = {
            row[0]: (f"/{package}.Provider/{row[1 if version == 5 else 2]}", row[3], row[4]) for row in _CALLS
        }

    def message(self, name: str) -> Any:
        """The class of a message."""
        return self._classes[name]

    def new(self, message: str, /, **fields: Any) -> Any:
        return self._classes[message](**fields)

    def call(self, name: str, /, **fields: Any) -> tuple[str, Any, Any]:
        """The method's path, the request and the class of the answer."""
        path, request, response = self.calls[name]
        return path, self._classes[request](**fields), self._classes[response]


@cache
def protocol(version: int) -> Protocol:
    return Protocol(version)
