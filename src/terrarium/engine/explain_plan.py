"""Why a plan does what it does to an object: for each attribute that changes, forces a replacement or can't be known yet,
the expression it comes from, and the chain of references back to the cause.

Theory of operation. Nothing is evaluated: a plan says already what changes and what is unknown. From an attribute the
search goes to the expression in the configuration that sets it, from there along references (through variables to what a
call passes in, through locals, through outputs of modules, through `each` and `count`), and ends at attributes of other
objects which themselves change or are unknown, at variables that were given, and at what only a provider decides.
Branches that end at nothing of the kind are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from terrarium.base.source import Range
from terrarium.engine.addresses import AbsResource, Instance, ModuleInstance, key_text, module_text, path_of
from terrarium.engine.configuration import ModuleNode, Resource
from terrarium.engine.plan import Action, Plan, ResourceChange
from terrarium.engine.plan_object import at_path, equal
from terrarium.engine.references import Reference, parse, plain_key
from terrarium.language import nodes
from terrarium.language.bodies import just_attributes
from terrarium.language.explain import compact
from terrarium.language.references import references
from terrarium.language.values import SENSITIVE, Path, Value

_ACTIONS = {
    Action.NOOP: "stays as it is",
    Action.CREATE: "will be created",
    Action.READ: "will be read during apply",
    Action.UPDATE: "will be updated in place",
    Action.DELETE: "will be destroyed",
    Action.REPLACE: "must be replaced: destroyed, then created again",
    Action.CREATE_REPLACE: "must be replaced: created anew, then the old one destroyed",
    Action.FORGET: "will be forgotten, and goes on to exist",
    Action.OPEN: "will be opened",
}
_REASONS = {
    "replace_because_tainted": "It is tainted: an earlier apply did not finish making it.",
    "replace_by_request": "The -replace option asks for it.",
    "replace_by_triggers": "Something that its replace_triggered_by names is going to change.",
    "replace_because_cannot_update": "The provider can't change the attributes below in place.",
    "delete_because_no_resource_config": "Its resource block is not in the configuration any more.",
    "delete_because_no_module": "Its module is not in the configuration any more.",
    "delete_because_wrong_repetition": "Its resource block has (or has lost) count or for_each, so that its address changed.",
    "delete_because_count_index": "Its index is beyond the present count.",
    "delete_because_each_key": "Its key is not in for_each any more.",
    "read_because_config_unknown": "Its configuration is known only after apply.",
    "read_because_dependency_pending": "Something it depends on is going to change.",
    "read_because_check_nested": "It belongs to a check block, which looks after apply.",
}
_PENDING = {
    Action.CREATE: "is created",
    Action.READ: "is read",
    Action.UPDATE: "is updated",
    Action.REPLACE: "is replaced",
    Action.CREATE_REPLACE: "is replaced",
}
_UNPREDICTABLE = ("timestamp", "uuid", "bcrypt")
_MOST = 12
"""How far a chain is followed."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A step towards the reason. `place` is file:line of `expression`, "" where there is none."""

    text: str
    place: str = ""
    expression: str = ""
    because: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class AttributeWhy:
    """One attribute. `kind`: replaces, changes, unknown, drifted. `before` and `after` as text."""

    attribute: str
    kind: str
    before: str
    after: str
    place: str = ""
    expression: str = ""
    because: tuple[Cause, ...] = ()


@dataclass(slots=True)
class Explanation:
    address: str
    action: str
    reasons: list[str] = field(default_factory=list)
    place: str = ""
    attributes: list[AttributeWhy] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "address": self.address,
            "action": self.action,
            "reasons": self.reasons,
            "place": self.place,
            "attributes": [
                {
                    "attribute": a.attribute,
                    "kind": a.kind,
                    "before": a.before,
                    "after": a.after,
                    "place": a.place,
                    "expression": a.expression,
                    "because": [_cause_document(c) for c in a.because],
                }
                for a in self.attributes
            ],
        }


def _cause_document(cause: Cause) -> dict[str, Any]:
    return {
        "text": cause.text,
        "place": cause.place,
        "expression": cause.expression,
        "because": [_cause_document(c) for c in cause.because],
    }


def explain_change(plan: Plan, root: ModuleNode, address: Instance) -> Explanation | None:
    """Why the plan does what it does to an object; None when the plan knows nothing of it."""
    change = next((c for c in plan.changes if c.address == address and not c.deposed), None)
    if change is None:
        return None
    resource = root.resource(address.config)
    found = Explanation(str(address), _ACTIONS[change.action])
    if change.reason:
        found.reasons.append(_REASONS.get(change.reason, change.reason))
    if change.moved:
        found.reasons.append(f"It was {change.previous} before.")
    if change.importing is not None:
        found.reasons.append(f'It is imported by the id "{change.importing}".')
    if resource is not None:
        found.place = _place(resource.range)
    tracer = _Tracer(plan, root)
    if change.reason == "replace_by_triggers" and resource is not None:
        found.reasons += tracer.triggers(address.module, resource)
    drifted = next((c for c in plan.drift if c.address == address), None)
    if drifted is not None:
        found.attributes += _drift(drifted)
    if change.action is not Action.NOOP and not change.after.is_null:
        found.attributes += tracer.attributes(change, resource)
    return found


def _drift(change: ResourceChange) -> Iterator[AttributeWhy]:
    for path in _differences(change.before, change.after, ()):
        before, after = _shown(at_path(change.before, path)), _shown(at_path(change.after, path))
        because = (Cause("changed outside of Terraform since the last apply"),)
        yield AttributeWhy(_path_text(path), "drifted", before, after, because=because)


class _Tracer:
    def __init__(self, plan: Plan, root: ModuleNode) -> None:
        self.plan = plan
        self.root = root
        self.changes: dict[AbsResource, list[ResourceChange]] = {}
        for change in plan.changes:
            self.changes.setdefault(change.address.resource, []).append(change)

    # --- one object --------------------------------------------------------------------------------------------

    def attributes(self, change: ResourceChange, resource: Resource | None) -> list[AttributeWhy]:
        """What changes, replacements first."""
        found: list[AttributeWhy] = []
        forcing = list(change.replace)
        paths = forcing + [
            p
            for p in _differences(change.before, change.after, ())
            if not any(p[: len(f)] == f or f[: len(p)] == p for f in forcing)
        ]
        if change.before.is_null:
            paths = [p for p in paths if not _known(at_path(change.after, p))]
        for path in paths:
            after = at_path(change.after, path)
            kind = "replaces" if path in forcing else "changes" if _known(after) else "unknown"
            expression = written(resource.body, path) if resource is not None else None
            because: tuple[Cause, ...]
            if expression is None:
                computed = not _known(after)
                text = f"the provider decides it when the object {_PENDING.get(change.action, 'is there')}"
                because = (Cause(text if computed else "it is no longer in the configuration"),)
            else:
                because = self.expression(change.address.module, expression, resource, _known(after), ())
            found.append(
                AttributeWhy(
                    _path_text(path),
                    kind,
                    _shown(at_path(change.before, path)),
                    _shown(after),
                    _place(expression.range) if expression is not None else "",
                    _text(expression),
                    because,
                )
            )
        return found

    def triggers(self, module: ModuleInstance, resource: Resource) -> list[str]:
        found = []
        for expression in resource.replace_triggered_by:
            for traversal in references(expression):
                reference = parse(traversal)
                if isinstance(reference, Reference) and reference.kind == "resource":
                    for change in self._meant(module, reference):
                        if change.action not in (Action.NOOP, Action.READ):
                            found.append(f"{change.address} {_ACTIONS[change.action]} ({_place(expression.range)}).")
        return found

    # --- chains ------------------------------------------------------------------------------------------------

    def expression(
        self,
        module: ModuleInstance,
        expression: nodes.Expression,
        inside: Resource | None,
        known: bool,
        seen: tuple[object, ...],
    ) -> tuple[Cause, ...]:
        """Why an expression has the value it has: what it refers to that changes (`known`), or that is unknown."""
        causes: list[Cause] = []
        done: set[str] = set()
        for traversal in references(expression):
            reference = parse(traversal)
            if not isinstance(reference, Reference) or traversal.text in done:
                continue
            done.add(traversal.text)
            key = (module, traversal.text, inside.local if inside else "")
            if key not in seen and len(seen) < _MOST:
                causes += self.reference(module, reference, inside, known, (*seen, key))
        if not known:
            called = [name for name in _UNPREDICTABLE if f"{name}(" in _text(expression)]
            causes += [Cause(f"{name}() is evaluated only during apply") for name in called]
        return tuple(causes)

    def reference(
        self,
        module: ModuleInstance,
        reference: Reference,
        inside: Resource | None,
        known: bool,
        seen: tuple[object, ...],
    ) -> Iterator[Cause]:
        node = self.root.find(path_of(module))
        if node is None:
            return
        match reference.kind:
            case "var":
                yield from self._variable(module, node, reference.name, known, seen)
            case "local":
                local = node.module.locals.get(reference.name)
                if local is not None:
                    inner = self.expression(module, local.expression, None, known, seen)
                    yield from self._named(f"local.{reference.name}", local.expression, inner, known)
            case "module":
                yield from self._module(module, node, reference, known, seen)
            case "resource":
                yield from self._resource(module, reference, known, seen)
            case "each" | "count" if inside is not None:
                expression = inside.for_each if reference.kind == "each" else inside.count
                if expression is not None:
                    inner = self.expression(module, expression, None, known, seen)
                    yield from self._named(f"{reference.kind}.{reference.name}", expression, inner, known)

    def _named(self, name: str, expression: nodes.Expression, inner: tuple[Cause, ...], known: bool) -> Iterator[Cause]:
        if inner or known:
            yield Cause(f"{name} comes from", _place(expression.range), _text(expression), inner)

    def _variable(
        self, module: ModuleInstance, node: ModuleNode, name: str, known: bool, seen: tuple[object, ...]
    ) -> Iterator[Cause]:
        if node.call is None:
            value = self.plan.variables.get(name)
            variable = node.module.variables.get(name)
            if known and value is not None and variable is not None:
                origin = (
                    "given" if name in self.plan.given and self.plan.given[name] is not variable.default else "default"
                )
                hidden = bool(variable.sensitive)
                shown = "a sensitive value" if hidden else _shown(value)
                yield Cause(f"var.{name} is {shown} ({origin})", _place(variable.range))
            return
        attribute = just_attributes(node.call.body)[0].get(name)
        if attribute is None:
            return
        inner = self.expression(module[:-1], attribute.expression, None, known, seen)
        yield from self._named(f"{module_text(module)}.var.{name}", attribute.expression, inner, known)

    def _module(
        self, module: ModuleInstance, node: ModuleNode, reference: Reference, known: bool, seen: tuple[object, ...]
    ) -> Iterator[Cause]:
        child = node.children.get(reference.name)
        if child is None:
            return
        for inner_module in self._instances(module, reference):
            for name in [reference.output] if reference.output else child.module.outputs:
                output = child.module.outputs.get(name)
                if output is None or output.expression is None:
                    continue
                inner = self.expression(inner_module, output.expression, None, known, seen)
                if inner:
                    text = f"{module_text(inner_module)}.{name}"
                    yield from self._named(text, output.expression, inner, known)

    def _instances(self, module: ModuleInstance, reference: Reference) -> list[ModuleInstance]:
        """The instances of a called module which the plan knows of."""
        if reference.has_key:
            return [(*module, (reference.name, reference.key))]
        depth = len(module)
        known = {
            c.address.module[: depth + 1]
            for c in self.plan.changes
            if c.address.module[:depth] == module
            and len(c.address.module) > depth
            and c.address.module[depth][0] == reference.name
        }
        return sorted(known, key=repr) or [(*module, (reference.name, None))]

    def _meant(self, module: ModuleInstance, reference: Reference) -> list[ResourceChange]:
        address = AbsResource(module, reference.mode, reference.type, reference.name)
        found = self.changes.get(address, [])
        return [c for c in found if not c.deposed and (not reference.has_key or c.address.key == reference.key)]

    def _resource(
        self, module: ModuleInstance, reference: Reference, known: bool, seen: tuple[object, ...]
    ) -> Iterator[Cause]:
        path = _reference_path(reference)
        for change in self._meant(module, reference):
            if change.action is Action.NOOP or change.after.is_null:
                continue
            inner_path = path
            after, before = at_path(change.after, path), at_path(change.before, path)
            while after is None and inner_path:
                inner_path = inner_path[:-1]
                after, before = at_path(change.after, inner_path), at_path(change.before, inner_path)
            if (
                after is None
                or (known and (not _known(after) or _same(before, after)))
                or (not known and _known(after))
            ):
                continue
            name = f"{change.address}{'.' if inner_path else ''}{_path_text(inner_path)}"
            resource = self.root.resource(change.address.config)
            expression = written(resource.body, inner_path) if resource is not None and inner_path else None
            inner: tuple[Cause, ...] = ()
            if expression is not None:
                inner = self.expression(module, expression, resource, known, seen)
            elif resource is not None and not known and not change.before.is_null:
                inner = self._pending(change, resource, seen)
            if known:
                text = f"{name} changes from {_shown(before)} to {_shown(after)}"
            else:
                text = f"{name} is known only after {change.address} {_PENDING.get(change.action, 'is there')}"
            place = expression.range if expression is not None else resource.range if resource is not None else None
            yield Cause(text, _place(place) if place is not None else "", _text(expression), inner)

    def _pending(self, change: ResourceChange, resource: Resource, seen: tuple[object, ...]) -> tuple[Cause, ...]:
        """Why an object that is there is touched at all: the attributes that replace it, or that change in place."""
        verb = "forces its replacement" if change.replace else "changes"
        found: list[Cause] = []
        for path in change.replace or _differences(change.before, change.after, ()):
            expression = written(resource.body, path)
            if expression is None:
                continue
            known = _known(at_path(change.after, path))
            inner = self.expression(change.address.module, expression, resource, known, seen)
            text = f"{change.address}.{_path_text(path)} {verb}"
            found.append(Cause(text, _place(expression.range), _text(expression), inner))
        return tuple(found)


# --- pieces ------------------------------------------------------------------------------------------------------------


def written(body: nodes.Body, path: Path) -> nodes.Expression | None:
    """The expression in a body that sets the attribute at a path; of a part the whole, where the part is not written out."""
    if not path or not isinstance(path[0], str):
        return None
    name, rest = path[0], path[1:]
    attribute = body.attributes.get(name)
    if attribute is not None:
        return attribute.expression
    found = [b for b in body.blocks if b.type == name]
    if not found:
        return next(
            (
                b.body.attributes["for_each"].expression
                for b in body.blocks
                if b.type == "dynamic" and b.labels and b.labels[0].text == name and "for_each" in b.body.attributes
            ),
            None,
        )
    index = rest[0] if rest and isinstance(rest[0], int) else 0
    block = found[index] if index < len(found) else found[0]
    return written(block.body, rest[1:] if rest and not isinstance(rest[0], str) else rest)


def _differences(before: Value, after: Value, path: Path) -> list[Path]:
    """The paths of attributes at which two objects differ, as deep as they are objects on both sides."""
    if after.is_null or not after.is_known or not isinstance(after.data, dict):
        return [] if _same(before, after) else [path]
    if not isinstance(before.data, dict):
        if path:
            return [path]
        return [(name,) for name, value in after.data.items() if not value.is_null]
    found: list[Path] = []
    for name, value in after.data.items():
        old = before.data.get(name)
        if old is None or not _same(old, value):
            found.append((*path, name))
    return found


def _same(before: Value | None, after: Value | None) -> bool:
    if before is None or after is None:
        return before is after
    return after.is_wholly_known and equal(before.unmarked_deep(), after.unmarked_deep())


def _known(value: Value | None) -> bool:
    return value is None or value.is_wholly_known


def _shown(value: Value | None) -> str:
    if value is None:
        return "(nothing)"
    if SENSITIVE in value.marks_deep:
        return "(sensitive value)"
    if not value.is_known:
        return "(known after apply)"
    if not value.is_wholly_known:
        return "(partly known after apply)"
    return "null" if value.is_null else compact(value)


def _path_text(path: Path) -> str:
    out = ""
    for step in path:
        out += f".{step}" if isinstance(step, str) else key_text(step) if isinstance(step, int) else "[…]"
    return out.lstrip(".")


def _reference_path(reference: Reference) -> Path:
    return tuple(s.name if isinstance(s, nodes.Attr) else plain_key(s.key) for s in reference.rest)


def _place(at: Range) -> str:
    return f"{at.filename}:{at.start.line}"


def _text(expression: nodes.Expression | None) -> str:
    """An expression as it was written, on one line."""
    if expression is None:
        return ""
    text = " ".join(expression.text.split())
    return text if len(text) <= 100 else text[:99] + "…"


def near_addresses(plan: Plan, text: str) -> Sequence[str]:
    """Addresses in the plan that look like a text."""
    from terrarium.base.suggest import nearest

    names = [str(c.address) for c in plan.changes]
    near = nearest(text, names)
    return [near] if near else sorted(n for n in names if text.split("[")[0] in n)[:5]


__all__ = ["AttributeWhy", "Cause", "Explanation", "explain_change", "near_addresses", "written"]
