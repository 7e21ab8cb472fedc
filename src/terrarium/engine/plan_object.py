"""What is to happen to one object: its configuration against what exists, asked of the provider.

`plan_managed` asks the provider and decides; it knows no graph and changes nothing. The rules: equal means nothing to
do; a changed path that the provider names forces a replacement, and then the object is planned anew from nothing;
tainted objects and those which the user or `replace_triggered_by` names are replaced whatever their values are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.objchange import proposed_new, without_write_only
from terrarium.engine.plan import Action
from terrarium.engine.provider import Block, NestedBlock, NestedObject, Nesting, Provider
from terrarium.engine.state import StateObject, marked, sensitive_paths
from terrarium.language import nodes
from terrarium.language.types import Type
from terrarium.language.values import NULL, SENSITIVE, Path, Value, null


@dataclass(frozen=True, slots=True)
class Decision:
    """`planned` is marked. With errors in `diagnostics` the rest means nothing."""

    action: Action
    planned: Value
    private: bytes = b""
    reason: str = ""
    replace: tuple[Path, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def schema_marks(block: Block, value: Value) -> Value:
    """The value with the parts marked that the schema says are sensitive."""
    paths = schema_sensitive(block, value)
    return marked(value, paths) if paths else value


def has_sensitive(block: Block) -> bool:
    return any(_sensitive_attribute(a) for a in block.attributes.values()) or any(
        has_sensitive(b.block) for b in block.blocks.values()
    )


def _sensitive_attribute(attribute: object) -> bool:
    nested: NestedObject | None = getattr(attribute, "nested", None)
    return bool(getattr(attribute, "sensitive", False)) or (
        nested is not None and any(_sensitive_attribute(a) for a in nested.attributes.values())
    )


def schema_sensitive(block: Block, value: Value) -> tuple[Path, ...]:
    """The paths in a value which its schema declares sensitive."""
    if value.data is NULL or not value.is_known:
        return ()
    found: list[Path] = []
    for name, attribute in block.attributes.items():
        if name not in value.data:
            continue
        if attribute.sensitive:
            found.append((name,))
        elif attribute.nested is not None and _sensitive_attribute(attribute):
            found += [(name, *p) for p in _nested_sensitive(attribute.nested, value.data[name])]
    for name, nested in block.blocks.items():
        if has_sensitive(nested.block):
            found += [(name, *p) for p in _block_sensitive(nested, value.data[name])]
    return tuple(found)


def _nested_sensitive(nested: NestedObject, value: Value) -> Sequence[Path]:
    inner = Block(attributes=nested.attributes)
    return _each(nested.nesting, value, inner)


def _block_sensitive(nested: NestedBlock, value: Value) -> Sequence[Path]:
    return _each(nested.nesting, value, nested.block)


def _each(nesting: Nesting, value: Value, block: Block) -> Sequence[Path]:
    if value.data is NULL or not value.is_known:
        return ()
    if nesting in (Nesting.SINGLE, Nesting.GROUP):
        return schema_sensitive(block, value)
    if nesting is Nesting.SET:
        # Inside a set nothing can be told apart once it is hidden: the whole set is.
        return [()] if any(schema_sensitive(block, element) for element in value) else ()
    if isinstance(value.data, dict):
        return [(key, *p) for key, element in value.data.items() for p in schema_sensitive(block, element)]
    return [(i, *p) for i, element in enumerate(value.data) for p in schema_sensitive(block, element)]


def at_path(value: Value, path: Path) -> Value | None:
    """The part at a path; None when the value has no such part (or it can't be known)."""
    for step in path:
        data = value.data
        if (isinstance(data, dict) and step in data) or (
            isinstance(data, tuple) and isinstance(step, int) and step < len(data)
        ):
            value = data[step]
        elif isinstance(data, tuple) and isinstance(step, Value):
            found = next((e for e in data if e == step), None)
            if found is None:
                return None
            value = found
        else:
            return None
    return value


def equal(a: Value, b: Value) -> bool:
    """Whether two values without marks are the same; nulls are, whatever their types, unknowns when they look alike."""
    if a is b:
        return True
    one, other = a.data, b.data
    if one is NULL or other is NULL:
        return one is other
    if isinstance(one, dict):
        if not isinstance(other, dict) or len(one) != len(other) or a.type.__class__ is not b.type.__class__:
            return False
        return all(k in other and equal(v, other[k]) for k, v in one.items())
    if isinstance(one, tuple):
        if not isinstance(other, tuple) or len(one) != len(other) or a.type.__class__ is not b.type.__class__:
            return False
        return all(map(equal, one, other))
    return bool(one == other) and a.type == b.type


def changed_paths(prior: Value, planned: Value, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Those of the paths at which the plan differs from what is there (or may: unknown)."""
    found: list[Path] = []
    for path in paths:
        before, after = at_path(prior, path), at_path(planned, path)
        if before is None or after is None:
            if before is not after:
                found.append(path)
            continue
        if not equal(before, after) or not after.is_wholly_known:
            found.append(path)
    return tuple(found)


def plan_managed(
    provider: Provider,
    type: str,
    block: Block,
    value_type: Type,
    held: StateObject | None,
    prior: Value,
    config: Value,
    create_before_destroy: bool,
    forced: str,
    address: str,
) -> Decision:
    """Decides for one object. `prior` (null when there is none) and `config` are marked; `forced` is a reason to
    replace from outside (`replace_by_request`, `replace_by_triggers`) or ""."""
    plain_config, plain_prior = config.unmarked_deep(), prior.unmarked_deep()
    config_marks = sensitive_paths(config)
    tainted = held is not None and held.tainted
    nothing = null(value_type)

    def with_marks(value: Value) -> Value:
        return schema_marks(block, marked(value, config_marks) if config_marks else value)

    start = nothing if held is None or tainted else plain_prior
    private = held.private if held is not None and not tainted else b""
    proposed = proposed_new(block, start, plain_config)
    result = provider.plan(type, start, proposed, plain_config, private)
    diagnostics = tuple(result.diagnostics)
    if has_errors(diagnostics):
        return Decision(Action.NOOP, nothing, diagnostics=diagnostics)
    planned = without_write_only(block, result.planned)
    problem = _conforms(planned, value_type, type, address)
    if problem is not None:
        return Decision(Action.NOOP, nothing, diagnostics=(*diagnostics, problem))
    if held is None:
        return Decision(Action.CREATE, with_marks(planned), result.private, diagnostics=diagnostics)
    replacing = Action.CREATE_REPLACE if create_before_destroy else Action.REPLACE
    if tainted:
        return Decision(
            replacing, with_marks(planned), result.private, "replace_because_tainted", diagnostics=diagnostics
        )
    same = equal(planned, plain_prior)
    paths = changed_paths(plain_prior, planned, result.replace) if not same or forced else ()
    if forced or paths:
        reason = forced or "replace_because_cannot_update"
        proposed = proposed_new(block, nothing, plain_config)
        again = provider.plan(type, nothing, proposed, plain_config, b"")
        diagnostics = (*diagnostics, *again.diagnostics)
        return Decision(
            replacing, with_marks(without_write_only(block, again.planned)), again.private, reason, paths, diagnostics
        )
    if same:
        # Only what is hidden differs: that is an update, so that the state learns of it.
        if (config_marks and set(config_marks) - set(sensitive_paths(prior))) or _unhidden(block, prior, config_marks):
            return Decision(Action.UPDATE, with_marks(planned), result.private, diagnostics=diagnostics)
        return Decision(Action.NOOP, with_marks(planned), result.private, diagnostics=diagnostics)
    return Decision(Action.UPDATE, with_marks(planned), result.private, diagnostics=diagnostics)


def _unhidden(block: Block, prior: Value, config_marks: tuple[Path, ...]) -> bool:
    own = set(schema_sensitive(block, prior.unmarked_deep()))
    return bool(set(sensitive_paths(prior)) - own - set(config_marks))


def _conforms(planned: Value, type: Type, kind: str, address: str) -> Diagnostic | None:
    if planned.data is NULL or not isinstance(planned.data, dict):
        return error(
            "Provider produced invalid plan",
            f"Provider planned an invalid value for {address}: it is not an object.\n\nThis is a bug in the provider, "
            "which should be reported in the provider's own issue tracker.",
        )
    missing = [name for name in getattr(type, "attributes", {}) if name not in planned.data]
    if missing:
        return error(
            "Provider produced invalid plan",
            f'Provider planned an invalid value for {address}: attribute "{missing[0]}" is missing.\n\nThis is a bug in '
            "the provider, which should be reported in the provider's own issue tracker.",
        )
    return None


def ignoring(prior: Value, config: Value, everything: bool, paths: Sequence[nodes.Traversal]) -> Value:
    """The configuration with what `ignore_changes` names taken from the prior object."""
    if prior.data is NULL or config.data is NULL:
        return config
    if everything:
        return _kept(prior, config)
    for reference in paths:
        path = (reference.root, *(s.name if isinstance(s, nodes.Attr) else s.key.data for s in reference.steps))
        config = _ignored(prior, config, path)
    return config


def _kept(prior: Value, config: Value) -> Value:
    members = {
        name: prior.data[name]
        if (name in prior.data and config.data[name].data is not NULL) or _is_set(prior, name)
        else v
        for name, v in config.data.items()
    }
    return Value(config.type, members, config.marks)


def _is_set(prior: Value, name: str) -> bool:
    return name in prior.data and prior.data[name].data is not NULL


def _ignored(prior: Value, config: Value, path: Path) -> Value:
    from terrarium.language.types import Map

    step, rest = path[0], path[1:]
    before, wanted = prior.data, config.data
    if isinstance(wanted, dict):
        if rest:
            if isinstance(before, dict) and step in before and step in wanted:
                if (
                    wanted[step].data is NULL
                    and isinstance(wanted[step].type, Map)
                    and isinstance(before[step].data, dict)
                ):
                    if rest[0] in before[step].data:
                        kept = Value(wanted[step].type, {rest[0]: before[step].data[rest[0]]})
                        return _with(config, step, kept)
                    return config
                if wanted[step].is_known and before[step].data is not NULL and wanted[step].data is not NULL:
                    return _with(config, step, _ignored(before[step], wanted[step], rest))
            return config
        if isinstance(before, dict) and step in before:
            return _with(config, step, before[step])
        if isinstance(config.type, Map) and isinstance(before, dict) and step in wanted:
            return Value(config.type, {k: v for k, v in wanted.items() if k != step}, config.marks)
        return config
    if (
        isinstance(wanted, tuple)
        and isinstance(before, tuple)
        and isinstance(step, int)
        and step < min(len(wanted), len(before))
    ):
        inner = _ignored(before[step], wanted[step], rest) if rest else before[step]
        return Value(config.type, (*wanted[:step], inner, *wanted[step + 1 :]), config.marks)
    return config


def _with(value: Value, step: str, part: Value) -> Value:
    data = {**value.data, step: part}
    return Value(value.type, {k: data[k] for k in sorted(data)}, value.marks)


__all__ = [
    "SENSITIVE",
    "Decision",
    "at_path",
    "changed_paths",
    "ignoring",
    "plan_managed",
    "schema_marks",
    "schema_sensitive",
]
