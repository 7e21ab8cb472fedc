"""Configuration written for objects that `import` blocks take in (`plan -generate-config-out`).

The text has every argument that can be given, in the order of the schema, with the value that the object has. What only
the provider sets is left out, and so is what is deprecated; sensitive values become null.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.engine.addresses import Instance, quoted
from terrarium.engine.builtin_functions import expression as plain_expression
from terrarium.engine.builtin_functions import name as key_text
from terrarium.engine.configuration import Resource
from terrarium.engine.module_tree import Snapshot
from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting
from terrarium.language.format import format_text
from terrarium.language.values import NULL, SENSITIVE, Value


def resource_text(address: Instance, block: Block, value: Value, provider: str = "") -> str:
    """The `resource` block of an object. `provider` is the configuration to name, when it is not the implied one."""
    lines = [f'resource "{address.type}" "{address.name}" {{']
    if provider:
        lines.append(f"provider = {provider}")
    lines += _body(block, value)
    return format_text("\n".join([*lines, "}"]) + "\n").rstrip("\n")


def _body(block: Block, value: Value) -> Iterable[str]:
    data: Mapping[str, Value] = value.data if isinstance(value.data, dict) else {}
    for name in sorted(block.attributes):
        attribute = block.attributes[name]
        if _is_argument(name, attribute):
            yield f"{name} = {_argument(attribute, data.get(name))}"
    for name in sorted(block.blocks):
        nested = block.blocks[name]
        if not nested.block.deprecated and name in data:
            yield from _blocks(name, nested, data[name])


def _is_argument(name: str, attribute: Attribute) -> bool:
    # Providers of the older kind add an `id` to every schema, which can't always be given.
    implied_id = name == "id" and attribute.optional and attribute.computed
    return (attribute.required or attribute.optional) and not attribute.deprecated and not implied_id


def _argument(attribute: Attribute, value: Value | None) -> str:
    if value is None or value.data is NULL:
        return "null"
    if attribute.sensitive or SENSITIVE in value.marks:
        return "null # sensitive"
    if attribute.nested is not None:
        return _nested(attribute, value)
    if attribute.optional and value.data == "":
        return "null"  # the older providers have "" for what is not set
    return expression(value)


def _nested(attribute: Attribute, value: Value) -> str:
    assert attribute.nested is not None
    inner = Block(attributes=attribute.nested.attributes)

    def one(element: Value) -> str:
        return "{\n" + "\n".join(_body(inner, element)) + "\n}"

    match attribute.nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            return one(value)
        case Nesting.MAP:
            return "{\n" + "\n".join(f"{key_text(k)} = {one(v)}" for k, v in value.data.items()) + "\n}"
        case _:
            return "[\n" + "".join(f"{one(v)},\n" for v in value.data) + "]"


def _blocks(name: str, nested: NestedBlock, value: Value) -> Iterable[str]:
    if value.data is NULL:
        return
    if SENSITIVE in value.marks:
        yield f"{name} {{}} # sensitive"
        return
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            yield from [f"{name} {{", *_body(nested.block, value), "}"]
        case Nesting.MAP:
            for key, element in value.data.items():
                yield from [f"{name} {quoted(key)} {{", *_body(nested.block, element), "}"]
        case _:
            for element in value.data:
                yield from [f"{name} {{", *_body(nested.block, element), "}"]


def expression(value: Value) -> str:
    """A value as an expression. JSON documents are written as what they mean."""
    data = value.data
    if isinstance(data, str):
        document = _document(data)
        return f"jsonencode({_plain(document)})" if document is not None else quoted(data)
    if isinstance(data, dict) and data:
        return "{\n" + "\n".join(f"{key_text(k)} = {expression(v)}" for k, v in data.items()) + "\n}"
    if isinstance(data, tuple):
        return "[" + ", ".join(map(expression, data)) + "]"
    return plain_expression(value)


def _document(text: str) -> Any:
    """What a JSON text means, when it is an object or a list and nothing would be lost by writing it anew."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _plain(data: Any) -> str:
    if isinstance(data, dict):
        rows = [f"{key_text(k)} = {_plain(data[k])}" for k in sorted(data)]
        return "{\n" + "\n".join(rows) + "\n}" if rows else "{}"
    if isinstance(data, list):
        return "[" + ", ".join(map(_plain, data)) + "]"
    return quoted(data) if isinstance(data, str) else json.dumps(data)


def parsed(address: Instance, text: str) -> Resource:
    """A generated block, read back."""
    from terrarium.engine.loading import load_module

    module, _ = load_module(".", Snapshot({"generated.tf": text + "\n"}))
    return module.resources[(address.mode, address.type, address.name)]


HEADER = (
    "# __generated__ by Terraform\n# Please review these resources and move them into your main configuration files.\n"
)


def file_text(objects: Iterable[tuple[str, str]]) -> str:
    """The file for blocks with the ids they were imported by."""
    return HEADER + "".join(f"\n# __generated__ by Terraform from {quoted(id)}\n{text}\n" for text, id in objects)
