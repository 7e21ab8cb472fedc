"""Attributes written as blocks.

An attribute which is a list or set of objects may also be written as nested blocks of its name (Terraform's "attributes
as blocks" mode, which keeps configurations of before 0.12 alive): `ingress { … }` for `ingress = [{ … }]`. Which of the
two is meant is seen from the body: it is a block when blocks of the name are there, or `dynamic` blocks for it, and no
attribute. In JSON syntax it is always the attribute. The value has the attribute's type in either case.
"""

from __future__ import annotations

from dataclasses import replace

from terrarium.engine.provider import Attribute, Block, NestedBlock, Nesting
from terrarium.language import nodes
from terrarium.language.types import List, Object, Set, Type


def written_as_blocks(block: Block, body: nodes.Body) -> frozenset[str]:
    """The names of the attributes that this body writes as blocks."""
    if not body.blocks:
        return frozenset()
    types = {b.labels[0].text if b.type == "dynamic" and b.labels else b.type for b in body.blocks}
    return frozenset(
        name
        for name in types
        if name in block.attributes
        and name not in body.attributes
        and (plain := block.attributes[name].plain) is not None
        and _nested(plain) is not None
    )


def with_blocks(block: Block, names: frozenset[str]) -> Block:
    """The schema with those attributes as nested blocks."""
    blocks = dict(block.blocks)
    for name in names:
        plain = block.attributes[name].plain
        nested = _nested(plain) if plain is not None else None
        assert nested is not None, name
        blocks[name] = nested
    return replace(block, attributes={n: a for n, a in block.attributes.items() if n not in names}, blocks=blocks)


def _nested(type: Type) -> NestedBlock | None:
    match type:
        case List(Object() as element):
            return NestedBlock(_element(element), Nesting.LIST)
        case Set(Object() as element):
            return NestedBlock(_element(element), Nesting.SET)
        case _:
            return None


def _element(type: Object) -> Block:
    return Block({name: Attribute(plain=member, optional=True) for name, member in type.attributes.items()})
