"""What a change would make of an object: pure functions from schema table, prior state and configuration to a plan.

Theory of operation. The real provider is written against two libraries with different notions of "nothing".

*The older one* (almost all types): null and the zero value (`""`, 0, false, empty) are the same; what is so equal to the
state keeps the state's form, so that a plan without a change is the state itself. Defaults fill arguments that are not
given. Computed attributes become unknown when an object is created and keep their value when it is updated, unless the
type's own rule says that they follow from another. JSON documents are kept normalised, and documents which mean the
same are no change.

*The newer one* (`modern` types): null is null. If anything differs from the state, every computed attribute that is not
configured becomes unknown, but for those in `stable`.

Unknown arguments stay unknown and count as changed, which also replaces where the argument forces a new object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.language.types import BOOL, NUMBER, STRING, List, Map, Object, Set, Type
from terrarium.language.values import NULL, Path, Value, boolean, number, set_of, string, unknown
from terrarium.providers.aws.schemas import Spec
from terrarium.providers.values import value_of

Same = Callable[[str, str], bool]
"""Whether two texts of an attribute mean the same."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the table does not say of a type. Attributes are named by dotted paths without indices."""

    computed: frozenset[str] = frozenset()
    """Blocks that are filled in by AWS when they are not given."""
    normal: Mapping[str, Callable[[str], str]] = field(default_factory=dict)
    """How a text is kept in the state."""
    same: Mapping[str, Same] = field(default_factory=dict)
    in_place: frozenset[str] = frozenset()
    """Attributes of the table's force_new that don't replace in this version."""
    replace: frozenset[str] = frozenset()
    """Attributes that do, though the table doesn't say so."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Defaults that differ from the table's; None: there is none."""
    modern: bool = False
    stable: frozenset[str] = frozenset({"id"})
    hashed: frozenset[str] = frozenset()
    """Attributes of which the state keeps a hash alone: what is sent comes from the configuration."""
    ignored: frozenset[str] = frozenset()
    """Attributes of which no difference counts once the object exists."""


@dataclass(slots=True)
class Drawn:
    """A plan while it is drawn: the members of the planned object, and the paths that ask for a new one."""

    members: dict[str, Value]
    replace: list[Path] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)

    def value(self, type: Type) -> Value:
        return Value(type, {name: self.members[name] for name in sorted(self.members)})


def draw(spec: Spec, rules: Rules, prior: Value | None, config: Value) -> Drawn:
    """The planned object, before the type's own rule and tags."""
    drawing = _Drawing(rules)
    drawn = Drawn({})
    before = None if prior is None else prior.data
    drawn.members = drawing.body(spec, config.data, before, "", ())
    drawn.replace = drawing.replace
    if before is not None:
        drawn.changed = {n for n, v in drawn.members.items() if v != before.get(n)}
        if rules.modern and (drawn.changed - {"timeouts"}):
            for name, flags in spec.get("attributes", {}).items():
                if flags.get("computed") and config.data[name].is_null and name not in rules.stable:
                    drawn.members[name] = unknown(config.data[name].type)
    return drawn


def same(a: Value, b: Value) -> bool:
    """Equal but for the difference of null and zero. Unknown equals nothing."""
    if not a.is_known or not b.is_known:
        return False
    if a.is_null or b.is_null:
        return is_zero(a) and is_zero(b)
    x, y = a.data, b.data
    if isinstance(x, dict) and isinstance(y, dict):
        if isinstance(a.type, Map):
            return x.keys() == y.keys() and all(same(x[k], y[k]) for k in x)
        return all(same(x[k], y[k]) for k in x.keys() & y.keys())
    if isinstance(x, tuple) and isinstance(y, tuple):
        if len(x) != len(y):
            return False
        if isinstance(a.type, Set):
            rest = list(y)
            for part in x:
                index = next((i for i, other in enumerate(rest) if same(part, other)), None)
                if index is None:
                    return False
                del rest[index]
            return True
        return all(same(p, q) for p, q in zip(x, y, strict=True))
    return bool(x == y)


def is_zero(value: Value) -> bool:
    """Null, or what the older library takes for it."""
    data = value.data
    if data is NULL:
        return True
    if not value.is_known:
        return False
    if isinstance(data, dict):
        return len(data) == 0
    return data in ("", 0, False, ())


def zero(type: Type) -> Value:
    """The zero value of a type."""
    if type == STRING:
        return string("")
    if type == NUMBER:
        return number(0)
    if type == BOOL:
        return boolean(False)
    if isinstance(type, List | Set):
        return Value(type, ())
    return Value(type, {})


class _Drawing:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.replace: list[Path] = []

    def body(
        self,
        spec: Spec,
        config: Mapping[str, Value],
        prior: Mapping[str, Value] | None,
        at: str,
        path: Path,
    ) -> dict[str, Value]:
        members: dict[str, Value] = {}
        for name, flags in spec.get("attributes", {}).items():
            before = None if prior is None else prior.get(name)
            members[name] = self.attribute(flags, config[name], before, _join(at, name), (*path, name))
        for name, flags in spec.get("block_types", {}).items():
            before = None if prior is None else prior.get(name)
            members[name] = self.block(flags, config[name], before, _join(at, name), (*path, name))
        return {name: members[name] for name in sorted(members)}

    def attribute(self, flags: Spec, config: Value, prior: Value | None, at: str, path: Path) -> Value:
        wanted = config
        if config.is_null:
            default = self.default(flags, at)
            if default is not None:
                wanted = value_of(config.type, default)
            elif flags.get("computed"):
                return unknown(config.type) if prior is None else prior
        elif not self.rules.modern:
            wanted = self.normalised(flags, config, at)
        if prior is None:
            return wanted
        if at in self.rules.ignored and not is_zero(prior):
            return prior
        if self.unchanged(wanted, prior, at):
            return prior
        self.note(flags, at, path)
        if wanted.is_null and wanted.type.is_collection and not self.rules.modern:
            # A collection is emptied rather than taken away.
            return zero(wanted.type)
        return wanted

    def block(self, flags: Spec, config: Value, prior: Value | None, at: str, path: Path) -> Value:
        spec = flags.get("block", {})
        kind = flags["nesting_mode"]
        if not config.is_known:
            if prior is not None:
                self.note(flags, at, path)
            return config
        if kind in ("single", "group"):
            return config
        if at in self.rules.computed and len(config) == 0:
            return unknown(config.type) if prior is None else prior
        if at in self.rules.ignored and prior is not None and len(config) == 0:
            return prior
        replaced = len(self.replace)
        if kind == "list":
            drawn = self.listed(spec, config, prior, at, path)
        else:
            drawn = self.assorted(spec, config, prior, at, path)
        if prior is not None:
            if not self.rules.modern and same(drawn, prior):
                del self.replace[replaced:]
                return prior
            grown = not prior.is_known or prior.is_null or len(prior) != len(drawn)
            if drawn != prior and (grown or kind == "set"):
                self.note(flags, at, path)
                if grown and self.holds_force_new(spec, at) and len(self.replace) == replaced:
                    self.replace.append(path)
        return drawn

    def listed(self, spec: Spec, config: Value, prior: Value | None, at: str, path: Path) -> Value:
        before = () if prior is None or not prior.is_known or prior.is_null else prior.data
        items = []
        for index, item in enumerate(config.data):
            if not item.is_known:
                items.append(item)
                continue
            old = before[index].data if index < len(before) and before[index].is_known else None
            items.append(Value(item.type, self.body(spec, item.data, old, at, (*path, index))))
        return Value(config.type, tuple(items))

    def assorted(self, spec: Spec, config: Value, prior: Value | None, at: str, path: Path) -> Value:
        """A set: an element goes on as the one of the state that differs in nothing it configures."""
        rest = [] if prior is None or not prior.is_known or prior.is_null else list(prior.data)
        items = []
        for item in config.data:
            if not item.is_known:
                items.append(item)
                continue
            kept = len(self.replace)
            for index, old in enumerate(rest):
                merged = Value(item.type, self.filled(self.body(spec, item.data, old.data, at, path)))
                if merged == old:
                    items.append(old)
                    del rest[index]
                    break
                del self.replace[kept:]
            else:
                items.append(Value(item.type, self.filled(self.body(spec, item.data, None, at, path))))
                if prior is not None and self.holds_force_new(spec, at) and path not in self.replace:
                    self.replace.append(path)
        if prior is not None and rest and self.holds_force_new(spec, at) and path not in self.replace:
            self.replace.append(path)
        assert isinstance(config.type, Set)
        return set_of(config.type.element, items)

    def filled(self, members: dict[str, Value]) -> dict[str, Value]:
        """In sets of blocks the older library writes texts that are not given as empty ones."""
        if self.rules.modern:
            return members
        return {k: string("") if v.is_null and v.type == STRING else v for k, v in members.items()}

    def default(self, flags: Spec, at: str) -> Any:
        if at in self.rules.defaults:
            return self.rules.defaults[at]
        return flags.get("default")

    def normalised(self, flags: Spec, value: Value, at: str) -> Value:
        normal = self.rules.normal.get(at)
        if normal is not None and isinstance(value.data, str):
            return string(normal(value.data))
        if flags.get("attr_as_blocks") and value.is_known:
            # Blocks written as an attribute: what an element leaves out is zero, not null.
            return _filled(value)
        return value

    def unchanged(self, wanted: Value, prior: Value, at: str) -> bool:
        if self.rules.modern:
            return wanted == prior
        if same(wanted, prior):
            return True
        equivalent = self.rules.same.get(at)
        if equivalent is None or not (isinstance(wanted.data, str) and isinstance(prior.data, str)):
            return False
        return equivalent(prior.data, wanted.data)

    def note(self, flags: Spec, at: str, path: Path) -> None:
        forced = flags.get("force_new") and at not in self.rules.in_place
        if (forced or at in self.rules.replace) and path not in self.replace:
            self.replace.append(path)

    def holds_force_new(self, spec: Spec, at: str) -> bool:
        """Whether something inside a block replaces, so that a block more or less does too."""
        for name, flags in spec.get("attributes", {}).items():
            inner = _join(at, name)
            if (flags.get("force_new") or inner in self.rules.replace) and inner not in self.rules.in_place:
                return True
        return any(
            self.holds_force_new(b.get("block", {}), _join(at, name)) for name, b in spec.get("block_types", {}).items()
        )


def _filled(value: Value) -> Value:
    """With zero values in place of nulls in the elements of a collection of objects."""
    parts = []
    for item in value.data:
        if isinstance(item.type, Object) and isinstance(item.data, dict):
            members = {k: zero(v.type) if v.is_null else v for k, v in item.data.items()}
            item = Value(item.type, members)
        parts.append(item)
    if isinstance(value.type, Set):
        return set_of(value.type.element, parts)
    return Value(value.type, tuple(parts))


def _join(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def settled(spec: Spec, rules: Rules, planned: Value, seen: Mapping[str, Any], type: Object) -> Value:
    """The state after create or update: what AWS said, in the form of the plan where both mean the same.

    `seen` has plain data by attribute; an attribute which it lacks stays as planned, or null where that was unknown.
    """
    members: dict[str, Value] = {}
    for name, kind in type.attributes.items():
        want = planned.data[name]
        blocks = name in spec.get("block_types", {})
        if name not in seen:
            members[name] = (
                want if want.is_wholly_known else (_nothing(kind, blocks) if not want.is_known else _known(want))
            )
            continue
        got = value_of(kind, seen[name]) if seen[name] is not None else _nothing(kind, blocks)
        members[name] = got if rules.modern and not blocks else like(got, want)
    return Value(type, {name: members[name] for name in sorted(members)})


def observed(spec: Spec, prior: Value, seen: Mapping[str, Any], type: Object) -> Value:
    """The state after a refresh: what AWS shows, in AWS's form; what a read leaves out stays."""
    members: dict[str, Value] = {}
    for name, kind in type.attributes.items():
        before = prior.data[name]
        if name not in seen:
            members[name] = before
        elif seen[name] is None:
            empty = not before.is_null and kind.is_collection and is_zero(before)
            members[name] = before if empty else _nothing(kind, name in spec.get("block_types", {}))
        else:
            members[name] = value_of(kind, seen[name])
    return Value(type, {name: members[name] for name in sorted(members)})


def like(got: Value, want: Value) -> Value:
    """`got`, but null or empty collections as `want` has them."""
    if not want.is_known or not got.is_known:
        return got
    if isinstance(got.type, List | Set | Map) and is_zero(got) and is_zero(want):
        return want
    if got.is_null or want.is_null:
        return got
    if isinstance(got.type, Object):
        return Value(got.type, {k: like(v, want.data[k]) for k, v in got.data.items()})
    if isinstance(got.type, List) and len(got) == len(want):
        return Value(got.type, tuple(like(g, w) for g, w in zip(got.data, want.data, strict=True)))
    if isinstance(got.type, Set) and same(got, want):
        return want
    return got


def _nothing(kind: Type, block: bool) -> Value:
    return Value(kind, ()) if block and isinstance(kind, List | Set) else Value(kind, NULL)


def _known(value: Value) -> Value:
    """With null for what is still unknown inside."""
    if not value.is_known:
        return Value(value.type, NULL)
    if isinstance(value.data, dict):
        return Value(value.type, {k: _known(v) for k, v in value.data.items()})
    if isinstance(value.data, tuple):
        if isinstance(value.type, Set):
            return set_of(value.type.element, [_known(v) for v in value.data])
        return Value(value.type, tuple(_known(v) for v in value.data))
    return value


def conflicts(spec: Spec, config: Mapping[str, Value]) -> Sequence[tuple[str, str, str]]:
    """Broken rules between top-level arguments, as (argument, summary, detail) in the provider's words."""
    found: list[tuple[str, str, str]] = []
    every = {**spec.get("attributes", {}), **spec.get("block_types", {})}

    def given(name: str) -> bool:
        value = config.get(name.split(".")[0])
        return (
            value is not None
            and not value.is_null
            and not (value.is_known and value.type.is_collection and not len(value))
        )

    def known(name: str) -> bool:
        # What is not known yet may turn out to be null, so nothing is held against it.
        value = config.get(name)
        return value is not None and value.is_known

    for name in sorted(every):
        flags = every[name]
        if given(name):
            for other in flags.get("conflicts_with", ()):
                if "." not in other and other != name and given(other) and known(name) and known(other):
                    found.append((name, "Conflicting configuration arguments", f'"{name}": conflicts with {other}'))
            wanted = [o for o in flags.get("required_with", ()) if "." not in o]
            lacking = [o for o in wanted if not given(o)]
            if lacking:
                listed = ",".join(sorted({name, *wanted}))
                found.append((name, "Missing required argument", f'"{name}": all of `{listed}` must be specified'))
        group = flags.get("exactly_one_of")
        if group and all("." not in o for o in group):
            present = [o for o in group if given(o) and known(o)]
            listed = ",".join(sorted(group))
            if len(present) > 1:
                found.append(
                    (
                        name,
                        "Invalid combination of arguments",
                        f'"{name}": only one of `{listed}` can be specified, but `{",".join(sorted(present))}` were specified.',
                    )
                )
            elif not present and not any(given(o) for o in group):
                found.append(
                    (name, "Invalid combination of arguments", f'"{name}": one of `{listed}` must be specified')
                )
        group = flags.get("at_least_one_of")
        if group and all("." not in o for o in group) and not any(given(o) for o in group):
            listed = ",".join(sorted(group))
            found.append((name, "Missing required argument", f'"{name}": one of `{listed}` must be specified'))
    return found
