"""Joining configuration and prior state: what a provider is offered as the planned value of an object.

The rule in one sentence: what the configuration sets is taken from there, what only the provider computes is taken over
from the prior object. Elements of lists and maps are matched by index and key, those of sets by what the configuration
says of them. Pure functions on unmarked values.
"""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.engine.provider import Attribute, Block, NestedBlock, NestedObject, Nesting
from terrarium.language.types import Set
from terrarium.language.values import NULL, Value, null, set_of, unknown


def all_null(block: Block) -> Value:
    """An object of the block in which nothing is set."""
    members: dict[str, Value] = {name: null(a.type) for name, a in block.attributes.items()}
    members.update({name: empty_block(nested) for name, nested in block.blocks.items()})
    return Value(block.type, {name: members[name] for name in sorted(members)})


def empty_block(nested: NestedBlock) -> Value:
    """The value of a nested block type of which there is no block."""
    match nested.nesting:
        case Nesting.SINGLE:
            return null(nested.type)
        case Nesting.GROUP:
            return all_null(nested.block)
        case Nesting.MAP:
            return Value(nested.type, {})
        case _:
            return Value(nested.type, ())


def proposed_new(block: Block, prior: Value, config: Value) -> Value:
    """The object which the provider is to plan from. `prior` null means that it will be created."""
    config = without_write_only(block, config)
    if prior.is_null:
        prior = all_null(block)
    return _object(block.attributes, block.blocks, prior, config, block)


def _object(
    attributes: Mapping[str, Attribute],
    blocks: Mapping[str, NestedBlock],
    prior: Value,
    config: Value,
    typed: Block | NestedObject,
) -> Value:
    if config.is_null or not config.is_known:
        return prior
    found: dict[str, Value] = {}
    known_prior = prior.is_known and not prior.is_null
    for name, wanted in config.data.items():
        attribute = attributes.get(name)
        if attribute is not None:
            before = prior.data[name] if known_prior else null(attribute.type)
            found[name] = _attribute(attribute, before, wanted)
        else:
            nested = blocks[name]
            found[name] = _nested_block(nested, prior.data[name] if known_prior else null(nested.type), wanted)
    return Value(config.type, found)


def _attribute(attribute: Attribute, prior: Value, config: Value) -> Value:
    if attribute.computed and config.is_null:
        if attribute.optional and attribute.nested is not None and _was_configured(attribute.nested, prior):
            return config
        return prior
    if attribute.nested is not None:
        return _nested_object(attribute.nested, prior, config)
    return config


def _was_configured(nested: NestedObject, value: Value) -> bool:
    """Whether a value has parts that only a configuration can have set."""
    if value.is_null or not value.is_known:
        return False
    if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
        for name, part in value.data.items():
            attribute = nested.attributes[name]
            if part.is_null:
                continue
            if not attribute.computed or (attribute.nested is not None and _was_configured(attribute.nested, part)):
                return True
        return False
    single = NestedObject(nested.attributes, Nesting.SINGLE)
    return any(_was_configured(single, element) for element in value)


def _nested_block(nested: NestedBlock, prior: Value, config: Value) -> Value:
    if not config.is_known:
        return config
    block = nested.block
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            return config if config.is_null else proposed_new(block, prior, config)
        case _:
            return _collection(
                nested.nesting,
                prior,
                config,
                lambda p, c: proposed_new(block, p, c),
                lambda p, c: _block_fits(block, p, c),
            )


def _nested_object(nested: NestedObject, prior: Value, config: Value) -> Value:
    if not config.is_known or config.is_null:
        return config
    single = NestedObject(nested.attributes, Nesting.SINGLE)

    def join(before: Value, wanted: Value) -> Value:
        return _object(nested.attributes, {}, before, wanted, single)

    if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
        return join(prior, config)
    return _collection(nested.nesting, prior, config, join, lambda p, c: _attributes_fit(nested.attributes, p, c))


def _collection(nesting: Nesting, prior: Value, config: Value, join, fits) -> Value:  # type: ignore[no-untyped-def]
    if config.is_null or not config.data:
        return config
    before = prior.data if prior.is_known and not prior.is_null else ()
    match nesting:
        case Nesting.MAP:
            members = {
                key: join(before[key] if before and key in before else null(element.type), element)
                for key, element in config.data.items()
            }
            return Value(config.type, members)
        case Nesting.SET:
            left = list(before)
            found: list[Value] = []
            for element in config.data:
                match_at = next((i for i, p in enumerate(left) if fits(p, element)), None)
                found.append(join(left.pop(match_at) if match_at is not None else null(element.type), element))
            assert isinstance(config.type, Set)
            return set_of(config.type.element, found)
        case _:
            listed = tuple(
                join(before[i] if i < len(before) else null(element.type), element)
                for i, element in enumerate(config.data)
            )
            return Value(config.type, listed)


def _block_fits(block: Block, prior: Value, config: Value) -> bool:
    """Whether a prior element of a set may be what this configuration became."""
    if prior == config:
        return True
    if not _both_objects(prior, config):
        return False
    if not _attributes_fit(block.attributes, prior, config):
        return False
    for name, nested in block.blocks.items():
        before, wanted = prior.data[name], config.data[name]
        if before == wanted:
            continue
        if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
            if not _block_fits(nested.block, before, wanted):
                return False
        elif not _elements_fit(before, wanted, lambda p, c, b=nested.block: _block_fits(b, p, c)):
            return False
    return True


def _attributes_fit(attributes: Mapping[str, Attribute], prior: Value, config: Value) -> bool:
    if prior == config:
        return True
    if not _both_objects(prior, config):
        return False
    for name, attribute in attributes.items():
        before, wanted = prior.data[name], config.data[name]
        if before == wanted or (attribute.computed and wanted.is_null):
            continue
        nested = attribute.nested
        if nested is None:
            return False
        if nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
            if not _attributes_fit(nested.attributes, before, wanted):
                return False
        elif not _elements_fit(before, wanted, lambda p, c, n=nested: _attributes_fit(n.attributes, p, c)):
            return False
    return True


def _both_objects(prior: Value, config: Value) -> bool:
    return prior.is_known and config.is_known and not prior.is_null and not config.is_null


def _elements_fit(prior: Value, config: Value, fits) -> bool:  # type: ignore[no-untyped-def]
    if not _both_objects(prior, config) or len(prior) != len(config):
        return False
    if isinstance(prior.data, dict):
        return prior.data.keys() == config.data.keys() and all(fits(prior.data[k], config.data[k]) for k in prior.data)
    return all(fits(p, c) for p, c in zip(prior.data, config.data, strict=True))


def with_unknowns(block: Block, config: Value) -> Value:
    """The configuration with all that is computed and unset unknown: a data source which is to be read later."""
    if config.is_null or not config.is_known:
        return config
    members: dict[str, Value] = {}
    for name, value in config.data.items():
        attribute = block.attributes.get(name)
        if attribute is not None:
            members[name] = unknown(attribute.type) if attribute.computed and value.is_null else value
            continue
        nested = block.blocks[name]
        if not value.is_known or value.is_null:
            members[name] = value
        elif nested.nesting in (Nesting.SINGLE, Nesting.GROUP):
            members[name] = with_unknowns(nested.block, value)
        elif nested.nesting is Nesting.MAP:
            members[name] = Value(value.type, {k: with_unknowns(nested.block, v) for k, v in value.data.items()})
        else:
            members[name] = Value(value.type, tuple(with_unknowns(nested.block, v) for v in value.data))
    return Value(config.type, members)


def without_unknowns(value: Value) -> Value:
    """The value with null in the place of what is unknown."""
    if not value.is_known:
        return null(value.type)
    if isinstance(value.data, dict):
        return Value(value.type, {k: without_unknowns(v) for k, v in value.data.items()}, value.marks)
    if isinstance(value.data, tuple):
        return Value(value.type, tuple(without_unknowns(v) for v in value.data), value.marks)
    return value


# --- arguments that are only written ------------------------------------------------------------------------------------


def has_write_only(block: Block) -> bool:
    return any(map(_write_only, block.attributes.values())) or any(
        has_write_only(b.block) for b in block.blocks.values()
    )


def _write_only(attribute: Attribute) -> bool:
    return attribute.write_only or (
        attribute.nested is not None and any(map(_write_only, attribute.nested.attributes.values()))
    )


def without_write_only(block: Block, value: Value) -> Value:
    """The value with null for what is only written."""
    return _stripped(block, value) if has_write_only(block) else value


def _stripped(block: Block, value: Value) -> Value:
    if value.data is NULL or not value.is_known or not isinstance(value.data, dict):
        return value
    members = dict(value.data)
    for name, attribute in block.attributes.items():
        if attribute.write_only:
            members[name] = null(attribute.type)
        elif attribute.nested is not None and _write_only(attribute):
            members[name] = _each(Block(attributes=attribute.nested.attributes), members[name])
    for name, nested in block.blocks.items():
        if has_write_only(nested.block):
            members[name] = _each(nested.block, members[name])
    return Value(value.type, members, value.marks)


def _each(block: Block, value: Value) -> Value:
    data = value.data
    if isinstance(data, tuple):
        return Value(value.type, tuple(_stripped(block, v) for v in data), value.marks)
    if (
        isinstance(data, dict)
        and all(isinstance(v.data, dict) for v in data.values())
        and hasattr(value.type, "element")
    ):
        return Value(value.type, {k: _stripped(block, v) for k, v in data.items()}, value.marks)
    return _stripped(block, value)
