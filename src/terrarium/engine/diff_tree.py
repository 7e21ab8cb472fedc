"""The difference of two values, as a tree that can be shown: `compare_block` for objects by schema, `compare_any` for
values without one (outputs, `any`).

Input are the trees of `value_trees` (so that plans and states of other programs can be shown too). Every node has an
action of its own; the action of what holds it follows: equal ones keep it, different ones make it an update. Elements
of lists are paired by position when nothing was added or removed, else by their longest common subsequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from terrarium.engine.plan import Action
from terrarium.engine.provider import Attribute, Block, NestedBlock, NestedObject, Nesting
from terrarium.language.types import BOOL, NUMBER, STRING, List, Map, Object, Primitive, Set, Tuple, Type

NOOP, CREATE, UPDATE, DELETE = Action.NOOP, Action.CREATE, Action.UPDATE, Action.DELETE
Paths = tuple[tuple[Any, ...], ...]
EVERYTHING: Paths = ((),)


# --- nodes -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Node:
    action: Action
    replace: bool = False


@dataclass(slots=True)
class Scalar(Node):
    """A string, number, bool or null."""

    before: Any = None
    after: Any = None
    text: bool = False


@dataclass(slots=True)
class Elements(Node):
    """A list, tuple or set. `context` shows the neighbours of changes."""

    items: list[Node] = field(default_factory=list)
    context: bool = False
    is_set: bool = False
    nested: bool = False


@dataclass(slots=True)
class Members(Node):
    """A map or object. `is_map`: keys in quotes. `nested`: of a schema's nested attribute."""

    items: dict[str, Node] = field(default_factory=dict)
    is_map: bool = False
    nested: bool = False


@dataclass(slots=True)
class BlockNode(Node):
    attributes: dict[str, Node] = field(default_factory=dict)
    blocks: dict[str, Blocks] = field(default_factory=dict)


@dataclass(slots=True)
class Blocks:
    """All blocks of one type; those of maps have keys."""

    items: list[tuple[str, Node]]
    replace: bool
    before_sensitive: bool
    after_sensitive: bool
    unknown: bool


@dataclass(slots=True)
class UnknownNode(Node):
    before: Node | None = None


@dataclass(slots=True)
class SensitiveNode(Node):
    inner: Node | None = None
    before: bool = False
    after: bool = False
    block: bool = False


@dataclass(slots=True)
class TypeChange(Node):
    before: Node | None = None
    after: Node | None = None


@dataclass(slots=True)
class WriteOnly(Node):
    sensitive: bool = False


# --- the two sides ---------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """Both sides of one part. `has_before`/`has_after` tell null from absent. `relevant` limits what counts as changed;
    `modern` schemas tell "" from null."""

    before: Any = None
    after: Any = None
    has_before: bool = True
    has_after: bool = True
    unknown: Any = False
    before_sensitive: Any = False
    after_sensitive: Any = False
    replace: Paths = ()
    relevant: Paths = EVERYTHING
    modern: bool = False

    @property
    def forces(self) -> bool:
        return () in self.replace

    def action(self) -> Action:
        nothing_before = self.before is None and not self.has_before
        nothing_after = self.after is None and not self.has_after
        if nothing_before and not nothing_after:
            return CREATE
        if nothing_after and not nothing_before:
            return DELETE
        equal = same(self.before, self.after) and self.has_before == self.has_after
        return NOOP if equal and (self.before_sensitive is True) == (self.after_sensitive is True) else UPDATE

    def start(self) -> Action:
        """The action of a collection before its elements are looked at."""
        if self.before is None:
            return NOOP if self.after is None else CREATE
        return DELETE if self.after is None else NOOP

    def unchanged(self) -> Change:
        return self._replace(
            after=self.before, has_after=self.has_before, unknown=False, after_sensitive=self.before_sensitive
        )

    def deleted(self) -> Change:
        return self._replace(after=None, has_after=False, unknown=None, after_sensitive=None)

    def created(self) -> Change:
        return self._replace(before=None, has_before=False, before_sensitive=None)

    def member(self, key: str) -> Change:
        b, a = _dict(self.before), _dict(self.after)
        child = Change(
            b.get(key),
            a.get(key),
            key in b,
            key in a,
            _dict(self.unknown).get(key, False),
            _dict(self.before_sensitive).get(key, False),
            _dict(self.after_sensitive).get(key, False),
            _below(self.replace, key, False),
            self.relevant if self.relevant is EVERYTHING else _below(self.relevant, key, True),
            self.modern,
        )
        return child if child.relevant else child.unchanged()

    def element(self, i: int, j: int, relevant: bool = True) -> Change:
        """Element i of before against element j of after; an index past the end means none."""
        b, a = _list(self.before), _list(self.after)
        child = Change(
            b[i] if i < len(b) else None,
            a[j] if j < len(a) else None,
            i < len(b),
            j < len(a),
            _at(self.unknown, j),
            _at(self.before_sensitive, i),
            _at(self.after_sensitive, j),
            _below(self.replace, i if i < len(b) else j, False),
            EVERYTHING if relevant or self.relevant is EVERYTHING else _below(self.relevant, i, True),
            self.modern,
        )
        return child if child.relevant else child.unchanged()

    def keys(self, everything: bool = True) -> list[str]:
        found = {**_dict(self.before), **_dict(self.after)}
        if everything:
            found |= {**_dict(self.unknown), **_dict(self.after_sensitive), **_dict(self.before_sensitive)}
        return sorted(found)


def _dict(tree: Any) -> dict[str, Any]:
    return tree if isinstance(tree, dict) else {}


def _list(tree: Any) -> list[Any]:
    return tree if isinstance(tree, list) else []


def _at(tree: Any, i: int) -> Any:
    return tree[i] if isinstance(tree, list) and i < len(tree) else False


def _below(paths: Paths, step: Any, propagate: bool) -> Paths:
    if not paths:
        return ()
    return tuple(
        p[1:] if p else p for p in paths if (not p and propagate) or (p and (p[0] == step or str(p[0]) == str(step)))
    )


def same(a: Any, b: Any) -> bool:
    """Equality of JSON data, where true is not 1."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(v, b[k]) for k, v in a.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def joined(current: Action, following: Action) -> Action:
    if following is NOOP:
        return current
    return UPDATE if current is not following else current


# --- comparing -------------------------------------------------------------------------------------------------------


Compare = Callable[[Change], Node]


def _hidden(change: Change, compare: Compare, block: bool = False) -> Node | None:
    before, after = change.before_sensitive is True, change.after_sensitive is True
    if not before and not after:
        return None
    inner = compare(change._replace(before_sensitive=False, after_sensitive=False))
    action = inner.action
    nothing = change.before is None and not change.has_before and change.after is None and not change.has_after
    if action is NOOP and before != after and not nothing:
        action = UPDATE
    return SensitiveNode(action, change.forces, inner, before, after, block)


def _later(change: Change, compare: Compare, inner_unknown: Any = False) -> Node | None:
    if change.unknown is not True:
        return None
    change = change._replace(has_after=True)
    if change.before is None:
        return UnknownNode(change.action(), change.forces)
    return UnknownNode(change.action(), change.forces, compare(change.deleted()._replace(unknown=inner_unknown)))


def compare_type(change: Change, type: Type) -> Node:
    """A part by its type."""
    if not change.modern:
        change = change._replace(before=change.before or None if change.before == "" else change.before)
        change = change._replace(after=None if change.after == "" else change.after)

    def again(inner: Change) -> Node:
        return compare_type(inner, type)

    special = _hidden(change, again) or _later(change, again)
    if special is not None:
        return special
    match type:
        case Primitive():
            return Scalar(change.action(), change.forces, change.before, change.after, type == STRING)
        case Object(attributes):
            return _object(change, {name: _by_type(t) for name, t in attributes.items()}, False)
        case Map(element):
            return _map(change, change.keys(), lambda c: compare_type(c, element), False)
        case List(element):
            objects = isinstance(element, Object)
            items, action = _paired(change, lambda c: compare_type(c, element), lambda v: objects)
            return Elements(action, change.forces, items, context=True)
        case Tuple(elements):
            return _tuple(change, elements)
        case Set(element):
            return _set(change, lambda c: compare_type(c, element), False)
        case _:
            return compare_any(change)


def _by_type(type: Type) -> Compare:
    return lambda change: compare_type(change, type)


def _by_attribute(attribute: Attribute) -> Compare:
    return lambda change: compare_attribute(change, attribute)


def _object(change: Change, compares: dict[str, Compare], nested: bool) -> Members:
    items: dict[str, Node] = {}
    action = change.start()
    for name, compare in compares.items():
        child = change.member(name)._replace(has_before=False, has_after=False)
        node = compare(child)
        if node.action is NOOP and child.before is None and child.after is None:
            continue
        items[name] = node
        action = joined(action, node.action)
    return Members(action, change.forces, items, nested=nested)


def _map(change: Change, keys: Iterable[str], compare: Compare, nested: bool) -> Members:
    items: dict[str, Node] = {}
    action = _collection_start(change, dict)
    for key in keys:
        items[key] = compare(change.member(key))
        action = joined(action, items[key].action)
    return Members(action, change.forces, items, is_map=True, nested=nested)


def _collection_start(change: Change, kind: type) -> Action:
    before, after = isinstance(change.before, kind), isinstance(change.after, kind)
    if before and not after:
        return DELETE
    return CREATE if after and not before else NOOP


def _tuple(change: Change, elements: Sequence[Type]) -> Elements:
    items: list[Node] = []
    action = change.start()
    for i, type in enumerate(elements):
        node = compare_type(change.element(i, i, relevant=False), type)
        items.append(node)
        action = joined(action, node.action)
    return Elements(action, change.forces, items, context=True)


def _set(change: Change, compare: Compare, nested: bool) -> Elements:
    items: list[Node] = []
    action = change.start()
    for child in _set_pairs(change):
        node = compare(child)
        items.append(node)
        action = joined(action, node.action)
    return Elements(action, change.forces, items, is_set=True, nested=nested)


def _set_pairs(change: Change) -> Iterable[Change]:
    before, after = _list(change.before), _list(change.after)
    matches: dict[int, int] = {}
    taken: set[int] = set()
    for i in range(len(before)):
        for j in range(len(after)):
            if j in taken:
                continue
            child = change.element(i, j)
            hidden = (child.before_sensitive is True) == (child.after_sensitive is True)
            if same(child.before, child.after) and hidden and child.unknown is not True:
                matches[i] = j
                taken.add(j)
    for i in range(len(before)):
        yield change.element(i, matches.get(i, len(after)))
    for j in range(len(after)):
        if j not in taken:
            yield change.element(len(before), j)


def pairs(before: Sequence[Any], after: Sequence[Any], is_object: Callable[[Any], bool]) -> list[tuple[int, int]]:
    """Which elements belong together: (index before, index after), past the end for none."""
    if len(before) == len(after) and not all(any(same(b, a) for a in after) for b in before):
        return [(i, i) for i in range(len(before))]
    common = _common(before, after)
    found: list[tuple[int, int]] = []
    i = j = k = 0
    while i < len(before) or j < len(after) or k < len(common):
        while i < len(before) and (k >= len(common) or not same(before[i], common[k])):
            differs = j < len(after) and (k >= len(common) or not same(after[j], common[k]))
            if differs and is_object(before[i]) and is_object(after[j]):
                found.append((i, j))
                i, j = i + 1, j + 1
                continue
            found.append((i, len(after)))
            i += 1
        while j < len(after) and (k >= len(common) or not same(after[j], common[k])):
            found.append((len(before), j))
            j += 1
        if k < len(common):
            found.append((i, j))
            i, j, k = i + 1, j + 1, k + 1
    return found


def _common(before: Sequence[Any], after: Sequence[Any]) -> list[Any]:
    """A longest common subsequence; equal starts and ends are taken off first."""
    start = 0
    while start < min(len(before), len(after)) and same(before[start], after[start]):
        start += 1
    end = 0
    while end < min(len(before), len(after)) - start and same(before[-1 - end], after[-1 - end]):
        end += 1
    b, a = before[start : len(before) - end], after[start : len(after) - end]
    lengths = [[0] * (len(a) + 1) for _ in range(len(b) + 1)]
    for i in range(len(b)):
        for j in range(len(a)):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if same(b[i], a[j]) else max(lengths[i][j + 1], lengths[i + 1][j])
    middle: list[Any] = []
    i, j = len(b), len(a)
    while i and j:
        if same(b[i - 1], a[j - 1]):
            middle.append(b[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return [*before[:start], *reversed(middle), *before[len(before) - end :]]


def _paired(change: Change, compare: Compare, is_object: Callable[[Any], bool]) -> tuple[list[Node], Action]:
    action = _collection_start(change, list)
    items: list[Node] = []
    for i, j in pairs(_list(change.before), _list(change.after), is_object):
        node = compare(change.element(i, j))
        items.append(node)
        action = joined(action, node.action)
    return items, action


_KINDS: dict[type, str] = {bool: "bool", str: "string", dict: "object", list: "array", type(None): "null"}


def compare_any(change: Change) -> Node:
    """A part without a type, as JSON."""
    special = _json_special(change)
    if special is not None:
        return special
    before, after = _KINDS.get(type(change.before), "number"), _KINDS.get(type(change.after), "number")
    deleted = after == "null" and not change.has_after
    created = before == "null" and not change.has_before
    if before == after or created or deleted:
        return _json(change, after if before == "null" else before)
    return TypeChange(UPDATE, False, _json(change.deleted(), before), _json(change.created(), after))


def _json_special(change: Change) -> Node | None:
    hidden = _hidden(change, compare_any)
    if hidden is not None:
        return replace(hidden, replace=False)
    if change.unknown is True:
        if change.before is None:
            return UnknownNode(CREATE)
        return UnknownNode(UPDATE, False, compare_any(change.deleted()._replace(unknown=False)))
    return None


def _json(change: Change, kind: str) -> Node:
    if kind == "object":
        items: dict[str, Node] = {}
        action = _collection_start(change, dict)
        names = change.keys()
        for key in names:
            items[key] = compare_any(change.member(key))
            action = joined(action, items[key].action)
        return Members(action, False, items)
    if kind == "array":
        found, action = _paired(change, compare_any, lambda v: isinstance(v, dict))
        return Elements(action, False, found, context=True)
    nothing_before = change.before is None and not change.has_before
    nothing_after = change.after is None and not change.has_after
    if nothing_before != nothing_after:
        action = CREATE if nothing_before else DELETE
    else:
        action = NOOP if same(change.before, change.after) else UPDATE
    return Scalar(action, False, change.before, change.after, kind == "string")


def compare_attribute(change: Change, attribute: Attribute) -> Node:
    if attribute.nested is not None:
        return _nested(change, attribute.nested)
    assert attribute.plain is not None
    return compare_type(change, attribute.plain)


def _nested(change: Change, nested: NestedObject) -> Node:
    def again(inner: Change) -> Node:
        return _nested(inner, nested)

    special = _hidden(change, again) or _later(change, again, dict.fromkeys(nested.attributes, True))
    if special is not None:
        return special
    single = NestedObject(nested.attributes, Nesting.SINGLE)
    match nested.nesting:
        case Nesting.MAP:
            return _map(change, change.keys(everything=False), lambda c: _nested(c, single), True)
        case Nesting.LIST:
            items: list[Node] = []
            action = change.start()
            for child in _side_by_side(change):
                node = _nested(child, single)
                items.append(node)
                action = joined(action, node.action)
            return Elements(action, change.forces, items, nested=True)
        case Nesting.SET:
            return _set(change, lambda c: _nested(c, single), True)
        case _:
            compares: dict[str, Compare] = {
                name: _by_attribute(a) for name, a in nested.attributes.items() if not a.write_only
            }
            found = _object(change, compares, True)
            for name, attribute in nested.attributes.items():
                if attribute.write_only:
                    found.items[name] = _write_only(change, change.member(name), found.action)
            return found


def _write_only(around: Change, change: Change, action: Action) -> WriteOnly:
    """Whether the object around it is sensitive is what counts, as Terraform does it."""
    hidden = around.before_sensitive is True or around.after_sensitive is True
    return WriteOnly(NOOP if action is UPDATE else action, change.forces, hidden)


def _side_by_side(change: Change) -> Iterable[Change]:
    for i in range(max(len(_list(change.before)), len(_list(change.after)))):
        yield change.element(i, i, relevant=False)


def is_modern(block: Block) -> bool:
    """Whether a schema uses what old SDKs had not: only they confuse "" with null."""
    if any(b.nesting in (Nesting.MAP, Nesting.GROUP) for b in block.blocks.values()):
        return True
    for attribute in block.attributes.values():
        if attribute.nested is not None:
            return True
        type = attribute.type
        if type.has_dynamic() or type.is_structural:
            return True
        if isinstance(type, List | Set | Map):
            inner = type.element
            if isinstance(inner, List | Set | Map) and not inner.element.is_primitive:
                return True
    return False


def compare_block(change: Change, block: Block) -> Node:
    """An object by its schema."""

    def again(inner: Change) -> Node:
        return compare_block(inner, block)

    special = _hidden(change, again, block=True) or _later(change, again, dict.fromkeys(block.attributes, True))
    if special is not None:
        return special
    change = change._replace(modern=change.modern or is_modern(block))
    action = change.start()
    node = BlockNode(action, change.forces)
    for name, attribute in block.attributes.items():
        if attribute.write_only:
            continue
        child = change.member(name)._replace(has_before=False, has_after=False)
        found = compare_attribute(child, attribute)
        if found.action is NOOP and child.before is None and child.after is None:
            continue
        node.attributes[name] = found
        action = joined(action, found.action)
    for name, nested in block.blocks.items():
        child = change.member(name)
        items, inner_action = _blocks(child, nested)
        unknown = child.unknown is True
        if inner_action is NOOP and child.before is None and child.after is None and not unknown:
            continue
        node.blocks[name] = Blocks(
            items, child.forces, child.before_sensitive is True, child.after_sensitive is True, unknown
        )
        action = joined(action, inner_action)
    for name, attribute in block.attributes.items():
        if attribute.write_only:
            node.attributes[name] = _write_only(change, change.member(name), action)
    node.action = action
    return node


def _blocks(change: Change, nested: NestedBlock) -> tuple[list[tuple[str, Node]], Action]:
    block = nested.block
    match nested.nesting:
        case Nesting.SINGLE | Nesting.GROUP:
            node = compare_block(change, block)
            return [("", node)], node.action
        case Nesting.MAP:
            action = _collection_start(change, dict)
            keyed = [(key, compare_block(change.member(key), block)) for key in change.keys(everything=False)]
            for _, node in keyed:
                action = joined(action, node.action)
            return keyed, action
        case Nesting.SET:
            children: Iterable[Change] = _set_pairs(change)
        case _:
            children = _side_by_side(change)
    action = change.start()
    items: list[tuple[str, Node]] = []
    for child in children:
        node = compare_block(child, block)
        items.append(("", node))
        action = joined(action, node.action)
    return items, action


__all__ = ["BOOL", "NUMBER", "Change", "compare_any", "compare_attribute", "compare_block", "compare_type"]
