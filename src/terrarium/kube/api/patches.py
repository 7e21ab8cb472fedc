"""The patches: JSON patch (RFC 6902), JSON merge patch (RFC 7386) and Kubernetes' strategic merge patch.

All are copy-on-write: what a patch doesn't touch is shared with the object that went in, and neither the object nor the
patch is changed. `PatchError` carries the answer kube-apiserver gives. Server-side apply is `managed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api import gotext
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.schema import Field, Schema, Struct, Type, schema

LARGEST_JSON_PATCH = 10_000
REJECTED = "the server rejected our request due to an error in our request"


class PatchError(Exception):
    """A patch that can't be applied. `code`, `reason` ("" where the server gives none) and text are those of the Status;
    `details` is None where the Status has none."""

    def __init__(self, message: str, code: int = 422, reason: str = "Invalid", *, details: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.details: dict[str, Any] | None = {} if details else None


# -- JSON patch -------------------------------------------------------------------------------------------------------


class _Failed(Exception):
    """An operation that fails; the server doesn't say why."""


def json_patch(obj: Obj, ops: Any) -> Obj:
    """`ops` as decoded; None (the body `null`) changes nothing. Raises `PatchError`."""
    if ops is None:
        return obj
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        kind = _kind(ops) if not isinstance(ops, list) else _kind(next(o for o in ops if not isinstance(o, dict)))
        target = "jsonpatch.Patch" if not isinstance(ops, list) else "jsonpatch.Operation"
        raise PatchError(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type {target}", 400, "BadRequest"
        )
    if len(ops) > LARGEST_JSON_PATCH:
        raise PatchError(
            "Request entity too large: The allowed maximum operations in a JSON patch is "
            f"{LARGEST_JSON_PATCH}, got {len(ops)}",
            413,
            "RequestEntityTooLarge",
        )
    result: Any = obj
    try:
        for op in ops:
            result = _operate(result, op)
    except _Failed:
        raise PatchError(REJECTED, details=True) from None
    if not isinstance(result, dict):
        raise PatchError(REJECTED, details=True)
    return result


_MISSING = object()


def _operate(doc: Any, op: Mapping[str, Any]) -> Any:
    path = op.get("path")
    if not isinstance(path, str):
        raise _Failed
    steps = _steps(path)
    match op.get("op"):
        case "add":
            return _change(doc, steps, op.get("value"), "add")
        case "replace":
            return _change(doc, steps, op.get("value"), "replace")
        case "remove":
            return _change(doc, steps, None, "remove")
        case "test":
            found = _look(doc, steps)
            if found is _MISSING:
                found = None
            if not equal(found, op.get("value")):
                raise _Failed
            return doc
        case "move" | "copy" as verb:
            origin = op.get("from")
            if not isinstance(origin, str):
                raise _Failed
            start = _steps(origin)
            value = _look(doc, start)
            if value is _MISSING:
                raise _Failed
            if verb == "move":
                doc = _change(doc, start, None, "remove")
            return _change(doc, steps, value, "add")
    raise _Failed


def _steps(path: str) -> list[str]:
    if path == "":
        return []
    if not path.startswith("/"):
        raise _Failed
    return [part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]


def _index(step: str, length: int) -> int:
    try:
        index = int(step)
    except ValueError:
        raise _Failed from None
    if index < 0:
        if index < -length:
            raise _Failed
        index += length
    return index


def _look(doc: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(doc, dict):
            if step not in doc:
                return _MISSING
            doc = doc[step]
        elif isinstance(doc, list):
            index = _index(step, len(doc))
            if index >= len(doc):
                raise _Failed
            doc = doc[index]
        else:
            raise _Failed
    return doc


def _change(doc: Any, steps: Sequence[str], value: Any, verb: str) -> Any:
    if not steps:
        if verb == "remove":
            raise _Failed
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(doc, dict):
        # What a patch walks through is printed with sorted keys by the real library; texts of refusals show it.
        made = {key: doc[key] for key in sorted(doc)}
        if rest:
            if step not in doc:
                raise _Failed
            made[step] = _change(doc[step], rest, value, verb)
        elif verb in ("add", "replace"):
            # The real library lets `replace` make a missing field.
            made[step] = value
        elif step not in doc:
            raise _Failed
        else:
            del made[step]
        return dict(sorted(made.items())) if step not in doc else made
    if not isinstance(doc, list):
        raise _Failed
    items = list(doc)
    if rest:
        index = _index(step, len(doc))
        if index >= len(doc):
            raise _Failed
        items[index] = _change(doc[index], rest, value, verb)
    elif verb == "add":
        if step == "-":
            items.append(value)
        else:
            # Counting from the end, -1 is the place behind the last element.
            index = _index(step, len(doc) + 1) if step.startswith("-") else _index(step, len(doc))
            if index > len(doc):
                raise _Failed
            items.insert(index, value)
    else:
        index = _index(step, len(doc))
        if index >= len(doc):
            raise _Failed
        if verb == "replace":
            items[index] = value
        else:
            del items[index]
    return items


def equal(a: Any, b: Any) -> bool:
    """Equality of JSON values by type: 1, 1.0 and true differ."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)


# -- JSON merge patch -------------------------------------------------------------------------------------------------


def merge(obj: Obj, patch: Any) -> Obj:
    """Raises `PatchError` when `patch` is no object."""
    if patch is None:
        raise PatchError("Invalid JSON Patch", 400, "BadRequest")
    if not isinstance(patch, dict):
        raise PatchError(
            f"error decoding patch: json: cannot unmarshal {_kind(patch)} into Go value of type map[string]interface {{}}",
            400,
            "BadRequest",
        )
    merged: Obj = _merge(obj, patch)
    return merged


def _merge(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    made = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            made.pop(key, None)
        else:
            made[key] = _merge(made.get(key), change)
    return dict(sorted(made.items()))


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case None:
            return "null"
    return "object"


# -- strategic merge patch --------------------------------------------------------------------------------------------

DIRECTIVE = "$patch"
RETAIN = "$retainKeys"
ORDER = "$setElementOrder"
DELETE = "$deleteFromPrimitiveList"


def strategic(obj: Obj, patch: Any, schema_name: str, minor: int = 33) -> Obj:
    """Merges by the merge keys and strategies of the structure. Raises `PatchError`; its texts are the library's."""
    if not isinstance(patch, dict):
        if patch is None:
            return obj
        raise PatchError(
            f"json: cannot unmarshal {_kind(patch)} into Go value of type map[string]interface {{}}", 400, "BadRequest"
        )
    shapes = schema(minor)
    return _Strategic(shapes).merge(obj, patch, shapes[schema_name])


def _broken(message: str) -> PatchError:
    return PatchError(message, 500, "")


def _bad_format(what: str) -> PatchError:
    return PatchError(f"invalid patch format of {what}", 400, "BadRequest")


def _no_key(item: Mapping[str, Any], key: str) -> PatchError:
    return _broken(f"map: {gotext.v(item)} does not contain declared merge key: {key}")


class _Strategic:
    """The merge of one patch. A shape is the structure a map is of, or None for maps of free keys."""

    def __init__(self, shapes: Schema) -> None:
        self.shapes = shapes

    def merge(self, original: Mapping[str, Any], patch: Mapping[str, Any], shape: Struct | None) -> dict[str, Any]:
        if DIRECTIVE in patch:
            match patch[DIRECTIVE]:
                case "replace":
                    return {key: value for key, value in patch.items() if key != DIRECTIVE}
                case "delete":
                    return {}
            raise _broken(f"unknown patch type: {gotext.v(patch[DIRECTIVE])} in map: {gotext.v(patch)}")
        made = dict(original)
        todo = dict(patch)
        self._retain(made, todo)
        self._ordered(made, todo, shape)
        for key, change in todo.items():
            delete = key.startswith(DELETE)
            if delete:
                name = self._behind(key, DELETE, "primitive list")
                if isinstance(made.get(name), list) and isinstance(change, list):
                    made[name] = self._lists(made[name], change, *self._field(shape, name), delete=True)
            elif change is None:
                made.pop(key, None)
            elif key not in made or type(made[key]) is not type(change) or not isinstance(change, dict | list):
                self._take(made, key, change)
            elif isinstance(change, dict):
                item, inner = self._field(shape, key)
                if item is not None and "replace" in item.patch_strategy:
                    made[key] = change
                else:
                    made[key] = self.merge(made[key], change, inner)
            else:
                made[key] = self._lists(made[key], change, *self._field(shape, key))
        return made

    @staticmethod
    def _take(made: dict[str, Any], key: str, change: Any) -> None:
        value = _without_directives(_without_nulls(change))
        if value is _MISSING:
            made.pop(key, None)
        else:
            made[key] = value

    @staticmethod
    def _behind(key: str, prefix: str, what: str) -> str:
        head, slash, name = key.partition("/")
        if head != prefix or not slash or not name or "/" in name:
            raise _bad_format(what)
        return name

    def _field(self, shape: Struct | None, name: str) -> tuple[Field | None, Struct | None]:
        if shape is None:
            return None, None
        item = shape.fields.get(name)
        if item is None:
            raise _broken(f'unable to find api field in struct {shape.short} for the json field "{name}"')
        type: Type = item.type
        if type.element is not None:
            type = type.element
        return item, self.shapes.struct(type.name) if type.shape == "struct" else None

    @staticmethod
    def _retain(made: dict[str, Any], todo: dict[str, Any]) -> None:
        if RETAIN not in todo:
            return
        keep = todo.pop(RETAIN)
        if not isinstance(keep, list):
            raise _bad_format("retainKeys")
        for key, change in todo.items():
            if change is not None and not key.startswith((DELETE, ORDER)) and key not in keep:
                raise _bad_format("retainKeys")
        for key in [key for key in made if key not in keep]:
            del made[key]

    def _ordered(self, made: dict[str, Any], todo: dict[str, Any], shape: Struct | None) -> None:
        for directive in [key for key in todo if key.startswith(ORDER)]:
            order = todo.pop(directive)
            name = self._behind(directive, ORDER, "setElementOrder list")
            if not isinstance(order, list):
                raise _bad_format("setElementOrder list")
            if name not in made and name not in todo:
                continue
            item, inner = self._field(shape, name)
            key = item.merge_key if item else ""
            if name in todo:
                self._check_order(todo[name], order, key)
            current = made.get(name)
            if name not in todo:
                merged = list(current or ())
            elif name not in made:
                taken = _without_directives(_without_nulls(todo[name]))
                merged = taken if isinstance(taken, list) else []
            else:
                merged = self._lists(current or [], todo[name], item, inner)
            mine, others = _partition(merged, order, key)
            made[name] = _interleave(mine, others, order, list(current or ()), key)
            todo.pop(name, None)

    @staticmethod
    def _check_order(changes: Any, order: list[Any], key: str) -> None:
        if not isinstance(changes, list):
            raise _bad_format("setElementOrder list")
        if not order or not changes:
            return
        wanted = [
            c
            for c in changes
            if not (key and isinstance(c, dict) and c.get(DIRECTIVE) in ("delete", "replace", "merge"))
        ]
        at = 0
        for place in order:
            if at < len(wanted) and _same(wanted[at], place, key):
                at += 1
        if at < len(wanted):
            raise _broken(
                f"The order in patch list:\n{gotext.v(changes)}\n doesn't match {ORDER} list:\n{gotext.v(order)}\n"
            )

    def _lists(
        self,
        original: list[Any],
        change: list[Any],
        item: Field | None,
        inner: Struct | None,
        delete: bool = False,
    ) -> list[Any]:
        merges = item is not None and "merge" in item.patch_strategy.split(",")
        if not merges and not delete:
            return change
        if not original and not change:
            return original
        every = [*original, *change]
        if isinstance(every[0], list):
            raise PatchError("lists of lists are not supported", 422, "")
        if any(isinstance(e, dict) != isinstance(every[0], dict) for e in every):
            raise _broken(f"list element types are not identical: {gotext.v([original, change])}")
        key = item.merge_key if item else ""
        if not isinstance(every[0], dict):
            if delete:
                return [e for e in original if e not in change]
            merged = list(dict.fromkeys(every))
            mine, others = _partition(merged, change, "")
            return _interleave(mine, others, change, original, "")
        if not key:
            raise _broken(f"cannot merge lists without merge key for {inner.short if inner else ''}")
        current, plain = self._special(original, change, key)
        merged = list(current)
        for entry in plain:
            if key not in entry:
                raise _no_key(entry, key)
            at = _find(merged, key, entry[key])
            if at < 0:
                merged.append(entry)
            else:
                merged[at] = self.merge(merged[at], entry, inner)
        mine, others = _partition(merged, plain, key)
        return _interleave(mine, others, plain, current, key)

    @staticmethod
    def _special(original: list[Any], change: list[Any], key: str) -> tuple[list[Any], list[Any]]:
        plain: list[Any] = []
        replace = False
        for entry in change:
            match entry.get(DIRECTIVE, _MISSING):
                case d if d is _MISSING:
                    plain.append(entry)
                case "delete":
                    if key not in entry:
                        raise _no_key(entry, key)
                    original = [o for o in original if not _holds(o, key, entry[key])]
                case "replace":
                    replace = True
                case "merge":
                    raise _broken("merging lists cannot yet be specified in the patch")
                case other:
                    raise _broken(f"unknown patch type: {gotext.v(other)} in map: {gotext.v(entry)}")
        return (plain, []) if replace else (original, plain)


def _holds(item: Any, key: str, value: Any) -> bool:
    return isinstance(item, dict) and key in item and equal(item[key], value)


def _find(items: Sequence[Any], key: str, value: Any) -> int:
    return next((at for at, item in enumerate(items) if _holds(item, key, value)), -1)


def _same(a: Any, b: Any, key: str) -> bool:
    if not key:
        return equal(a, b)
    for side in (a, b):
        if not isinstance(side, dict) or key not in side:
            raise _no_key(side if isinstance(side, dict) else {}, key)
    return equal(a[key], b[key])


def _place(items: Sequence[Any], value: Any, key: str) -> int:
    if key:
        return _find(items, key, value.get(key))
    return items.index(value) if value in items else -1


def _partition(merged: Sequence[Any], by: Sequence[Any], key: str) -> tuple[list[Any], list[Any]]:
    mine: list[Any] = []
    others: list[Any] = []
    for item in merged:
        if key and key not in item:
            raise _no_key(item, key)
        (mine if _place(by, item, key) >= 0 else others).append(item)
    return mine, others


def _interleave(
    mine: list[Any], others: list[Any], order: Sequence[Any], current: Sequence[Any], key: str
) -> list[Any]:
    """The patch's items in its order, the server's own between them as near to where they stood as that allows."""

    def rank(items: Sequence[Any], within: Sequence[Any]) -> list[Any]:
        places = [(_place(within, item, key), at) for at, item in enumerate(items)]
        far = len(within)
        return [items[at] for _, at in sorted((place if place >= 0 else far, at) for place, at in places)]

    left, right = rank(others, current), rank(mine, order)
    made: list[Any] = []
    i = j = 0
    while i < len(left) and j < len(right):
        a, b = _place(current, left[i], key), _place(current, right[j], key)
        if a >= 0 and b >= 0 and a < b:
            made.append(left[i])
            i += 1
        else:
            made.append(right[j])
            j += 1
    return [*made, *left[i:], *right[j:]]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _without_directives(value: Any) -> Any:
    """A new part of the object: what carries a `$patch` directive has nothing to act on and goes."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            return _MISSING
        kept = ((key, _without_directives(item)) for key, item in value.items())
        return {key: item for key, item in kept if item is not _MISSING}
    if isinstance(value, list):
        return [item for item in map(_without_directives, value) if item is not _MISSING]
    return value
