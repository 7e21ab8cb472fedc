"""Sets of field paths: what a manager owns, how objects differ, and the `fieldsV1` form of both.

A path is a tuple of elements as `fieldsV1` writes them: `f:spec`, `k:{"name":"a"}`, `v:"x"`. A set is a frozenset of paths.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from terrarium.kube.api.patches import equal
from terrarium.kube.api.shapes import ANY, Shape

Path = tuple[str, ...]
Fields = frozenset[Path]
EMPTY: Fields = frozenset()


class ShapeError(ValueError):
    """A value that doesn't fit its shape; `str()` is the text behind `failed to create typed patch object (…): `."""


def text(path: Path) -> str:
    """As conflicts name it: `.spec.containers[name="a"].image`."""
    out = []
    for element in path:
        kind, _, value = element.partition(":")
        if kind == "f":
            out.append(f".{value}")
        elif kind == "k":
            inner = ",".join(f"{k}={json.dumps(v)}" for k, v in sorted(json.loads(value).items()))
            out.append(f"[{inner}]")
        elif kind == "v":
            out.append(f"[={value}]")
        else:
            out.append(f"[{value}]")
    return "".join(out)


def decode(tree: Mapping[str, Any] | None) -> Fields:
    """Of a `fieldsV1` value."""
    found: set[Path] = set()

    def walk(node: Mapping[str, Any], at: Path) -> None:
        for key, inner in node.items():
            if key == ".":
                found.add(at)
                continue
            path = (*at, key)
            if inner:
                walk(inner, path)
            else:
                found.add(path)

    walk(tree or {}, ())
    return frozenset(found)


def encode(fields: Fields) -> dict[str, Any]:
    """As `fieldsV1`."""
    found: dict[str, Any] = orjson.loads(_encoded(fields))
    return found


@lru_cache(maxsize=2048)
def _encoded(fields: Fields) -> bytes:
    """Objects of one kind by one manager mostly have the same fields."""
    root: dict[str, Any] = {}
    prefixes = {path[:end] for path in fields for end in range(1, len(path))}
    for path in sorted(fields):
        node = root
        for element in path:
            node = node.setdefault(element, {})
        if path in prefixes:
            node["."] = {}
    return orjson.dumps(_sorted(root))


def _sorted(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: _sorted(tree[key]) for key in sorted(tree)}


def without(fields: Fields, prefixes: Iterable[Path]) -> Fields:
    """Leaves out paths and everything below them."""
    cut = tuple(prefixes)
    return frozenset(p for p in fields if not any(p[: len(c)] == c for c in cut)) if cut else fields


def element(shape: Shape, item: Any, where: str, index: int) -> str:
    """The path element of a list's item."""
    if shape.keys:
        if not isinstance(item, Mapping):
            raise ShapeError(f"{where}: element {index}: associative list with keys may not have non-map elements")
        key = {}
        for name in shape.keys:
            value = item.get(name)
            if value is None:
                inner = shape.element.child(name) if shape.element else None
                value = inner.default if inner is not None else None
            if value is not None:
                key[name] = value
        return "k:" + json.dumps(key, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return "v:" + json.dumps(item, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def resolve(shape: Shape, value: Any) -> Shape:
    """`ANY` made concrete by the value at hand."""
    if shape.form != "any":
        return shape
    if isinstance(value, dict):
        return _ANY_MAP
    return _ANY_LIST if isinstance(value, list) else _ANY_LEAF


_ANY_MAP = Shape("map", element=ANY)
_ANY_LIST = Shape("list", element=ANY, atomic=True)
_ANY_LEAF = Shape("leaf")


def check(value: Any, shape: Shape, where: str = "") -> None:
    """Raises `ShapeError` for undeclared fields, wrong types and items given twice."""
    shape = resolve(shape, value)
    if value is None:
        return
    if shape.form == "map":
        if not isinstance(value, dict):
            raise ShapeError(f"{where or '.'}: expected map, got &{{{_go(value)}}}")
        for name, item in value.items():
            inner = shape.child(name)
            if inner is None:
                raise ShapeError(f"{where}.{name}: field not declared in schema")
            check(item, inner, f"{where}.{name}")
    elif shape.form == "list":
        if not isinstance(value, list):
            raise ShapeError(f"{where}: expected list, got &{{{_go(value)}}}")
        assert shape.element is not None
        seen: set[str] = set()
        for index, item in enumerate(value):
            place = f"[{index}]"
            if shape.keys or shape.unique:
                found = element(shape, item, where, index)
                place = text((found,))
                if found in seen:
                    raise ShapeError(f"{where}: duplicate entries for key {place}")
                seen.add(found)
            check(item, shape.element, f"{where}{place}")
    else:
        _scalar(value, shape.scalar, where)


def _scalar(value: Any, wanted: str, where: str) -> None:
    match wanted:
        case "string" if not isinstance(value, str):
            raise ShapeError(f"{where}: expected string, got &value.valueUnstructured{{Value:{_go(value)}}}")
        case "boolean" if not isinstance(value, bool):
            raise ShapeError(f"{where}: expected boolean, got &value.valueUnstructured{{Value:{_go(value)}}}")
        case "numeric" if isinstance(value, bool) or not isinstance(value, int | float):
            raise ShapeError(f"{where}: expected numeric (int or float), got {_go_type(value)}")


def _go_type(value: Any) -> str:
    match value:
        case str():
            return "string"
        case bool():
            return "bool"
        case list():
            return "[]interface {}"
    return "map[string]interface {}"


def _go(value: Any) -> str:
    from terrarium.kube.api.gotext import v

    return v(value)


def of(value: Any, shape: Shape) -> Fields:
    """The fields a value sets (`ToFieldSet`)."""
    found: set[Path] = set()
    _collect(value, shape, (), found)
    return frozenset(found)


def _collect(value: Any, shape: Shape, at: Path, found: set[Path]) -> None:
    shape = resolve(shape, value)
    if shape.form == "map":
        if shape.atomic:
            found.add(at)
            return
        for name, item in (value or {}).items():
            inner = shape.child(name)
            if inner is None:
                continue
            path = (*at, f"f:{name}")
            _collect(item, inner, path, found)
            if item is None or item == {} or name not in shape.fields:
                found.add(path)
    elif shape.form == "list":
        if shape.atomic:
            found.add(at)
            return
        assert shape.element is not None
        for index, item in enumerate(value or ()):
            path = (*at, element(shape, item, "", index))
            _collect(item, shape.element, path, found)
            found.add(path)
    else:
        found.add(at)


@dataclass(frozen=True, slots=True)
class Difference:
    added: Fields
    modified: Fields
    removed: Fields

    @property
    def none(self) -> bool:
        return not (self.added or self.modified or self.removed)


_ABSENT = object()


def compare(old: Any, new: Any, shape: Shape) -> Difference:
    """How `new` differs from `old`."""
    work = _Comparison()
    work.walk(old, new, shape, ())
    return Difference(frozenset(work.added), frozenset(work.modified), frozenset(work.removed))


Skeleton = bool | tuple[bool, bool, tuple[Any, ...]]
"""The outline of what is set beyond an older value: of one value whether it is; of a map or list whether it is itself
(there was none), whether it is a map, and its children by key."""


def skeleton(old: Any, new: Any, shape: Shape) -> Skeleton | None:
    """Equal outlines have equal `outlined` fields: objects that are made alike share them. None when a list has an item
    twice, which only `compare` understands."""
    shape = resolve(shape, new if new is not None else old)
    there = old is not _ABSENT
    form = shape.form
    if (form != "map" and form != "list") or shape.atomic or (not new and not (there and old)):
        return not there or not equal(old, new)
    children: list[tuple[str, Skeleton]] = []
    if form == "map":
        before = old if isinstance(old, dict) else {}
        for name, item in (new if isinstance(new, dict) else {}).items():
            inner = shape.child(name)
            if inner is not None:
                found = skeleton(before.get(name, _ABSENT), item, inner)
                if found is None:
                    return None
                children.append((name, found))
        return not there, True, tuple(children)
    assert shape.element is not None
    first, second = _items(old, shape), _items(new, shape)
    for key, items in second.items():
        known = first.get(key, [_ABSENT])
        found = skeleton(known[0], items[0], shape.element) if len(items) == len(known) == 1 else None
        if found is None:
            return None
        children.append((key, found))
    return not there, False, tuple(children)


@lru_cache(maxsize=2048)
def outlined(outline: Skeleton) -> Fields:
    """What `compare` calls added or modified between the values of an outline."""
    found: set[Path] = set()

    def walk(node: Skeleton, at: Path) -> None:
        if isinstance(node, bool):
            if node:
                found.add(at)
            return
        own, is_map, children = node
        if own:
            found.add(at)
        for key, child in children:
            walk(child, (*at, f"f:{key}" if is_map else key))

    walk(outline, ())
    return frozenset(found)


class _Comparison:
    def __init__(self) -> None:
        self.added: set[Path] = set()
        self.modified: set[Path] = set()
        self.removed: set[Path] = set()

    def walk(self, old: Any, new: Any, shape: Shape, at: Path) -> None:
        shape = resolve(shape, new if new is not _ABSENT and new is not None else old)
        leaf = self._inside(old, new, shape, at)
        if leaf:
            if old is not _ABSENT and new is not _ABSENT and not equal(old, new):
                self.modified.add(at)
            if old is not _ABSENT and new is not _ABSENT:
                return
        if old is _ABSENT:
            self.added.add(at)
        elif new is _ABSENT:
            self.removed.add(at)

    def _inside(self, old: Any, new: Any, shape: Shape, at: Path) -> bool:
        """Goes into maps and lists; True for what is one value."""
        if shape.form not in ("map", "list"):
            return True
        empty_old, empty_new = old is _ABSENT or not old, new is _ABSENT or not new
        if shape.atomic or (empty_old and empty_new):
            return True
        if shape.form == "map":
            before = old if isinstance(old, dict) else {}
            after = new if isinstance(new, dict) else {}
            for name in (*before, *(n for n in after if n not in before)):
                inner = shape.child(name)
                if inner is not None:
                    self.walk(before.get(name, _ABSENT), after.get(name, _ABSENT), inner, (*at, f"f:{name}"))
            return False
        assert shape.element is not None
        first = _items(old, shape)
        second = _items(new, shape)
        for key in (*first, *(k for k in second if k not in first)):
            olds, news = first.get(key, []), second.get(key, [])
            path = (*at, key)
            if len(olds) <= 1 and len(news) <= 1:
                self.walk(olds[0] if olds else _ABSENT, news[0] if news else _ABSENT, shape.element, path)
            elif not equal(olds, news):
                # Items given twice can only be compared as a whole.
                (self.modified if olds and news else self.added if news else self.removed).add(path)
        return False


def _items(value: Any, shape: Shape) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    if isinstance(value, list):
        for index, item in enumerate(value):
            found.setdefault(element(shape, item, "", index), []).append(item)
    return found


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """`live` with what `config` sets."""
    shape = resolve(shape, config if config is not None else live)
    if shape.form == "map" and not shape.atomic:
        if not live and not config:
            return config if config is not None else live
        if not isinstance(live, dict):
            live = {}
        if not isinstance(config, dict):
            return live
        made = dict(live)
        for name, item in config.items():
            inner = shape.child(name) or ANY
            made[name] = merge(live[name], item, inner) if name in live else item
        return made
    if shape.form == "list" and not shape.atomic:
        if not live and not config:
            return config if config is not None else live
        return _merge_lists(live or [], config or [], shape)
    return config


def _merge_lists(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """Items of `config` in its order, those of `live` between them near to where they stood."""
    assert shape.element is not None
    left = [element(shape, item, "", at) for at, item in enumerate(live)]
    right = [element(shape, item, "", at) for at, item in enumerate(config)]
    held = {key: item for key, item in zip(left, live, strict=True) if left.count(key) == 1}
    given = dict(zip(right, config, strict=True))
    present = set(left)
    shared = [key for key in right if key in present]
    done: set[str] = set()
    out: list[Any] = []

    def take(key: str) -> None:
        done.add(key)
        out.append(merge(held[key], given[key], shape.element or ANY) if key in held else given[key])

    i = j = 0
    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left[i] == right[j]:
                take(left[i])
                i += 1
                j += 1
                shared = shared[1:]
                continue
            if left[i] in given and shared and shared[0] != left[i]:
                i += 1
                continue
        if i < len(left):
            if left[i] not in given:
                out.append(live[i])
                i += 1
                continue
            if left[i] in done:
                i += 1
        if j < len(right):
            key = right[j]
            take(key)
            j += 1
            if shared and shared[0] == key:
                shared = shared[1:]
    return out


def named_members(fields: Fields, shape: Shape) -> Fields:
    """With every named field on the way to a member (`EnsureNamedFieldsAreMembers`)."""
    found = set(fields)
    for path in fields:
        inner: Shape | None = shape
        for end, step in enumerate(path[:-1], 1):
            if inner is None:
                break
            name = step[2:]
            if step.startswith("f:"):
                if inner.form == "map" and name in inner.fields:
                    found.add(path[:end])
                inner = inner.child(name) if inner.form == "map" else ANY
            else:
                inner = inner.element
    return frozenset(found)


def remove(value: Any, fields: Fields, shape: Shape, at: Path = ()) -> Any:
    """The value without the items at the paths."""
    if not fields:
        return value
    prefixes = {path[:end] for path in fields for end in range(len(path))}
    return _remove(value, fields, prefixes, shape, at)


def _remove(value: Any, fields: Fields, prefixes: set[Path], shape: Shape, at: Path) -> Any:
    shape = resolve(shape, value)
    if shape.atomic or value is None or at not in prefixes:
        return value
    if shape.form == "map" and isinstance(value, dict):
        made = {}
        for name, item in value.items():
            path = (*at, f"f:{name}")
            if path not in fields:
                made[name] = _remove(item, fields, prefixes, shape.child(name) or ANY, path)
        return made or None
    if shape.form == "list" and isinstance(value, list):
        assert shape.element is not None
        kept = []
        for index, item in enumerate(value):
            path = (*at, element(shape, item, "", index))
            if path not in fields:
                kept.append(_remove(item, fields, prefixes, shape.element, path))
        return kept or None
    return value
