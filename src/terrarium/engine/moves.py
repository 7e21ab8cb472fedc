"""`moved` and `removed` blocks: which objects of a state have new addresses, and which are only to be forgotten.

Explicit statements come first, then what `count` implies: a resource that gains `count` keeps its object as `[0]`, one
that loses it keeps `[0]` as the only one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from terrarium.base.diagnostics import Diagnostic, Severity, error
from terrarium.base.source import Range
from terrarium.engine.addresses import ConfigResource, Instance, ModuleInstance, ModulePath, path_of
from terrarium.engine.configuration import ModuleNode, Removed
from terrarium.engine.references import MoveEnd, module_and_resource
from terrarium.engine.state import State


@dataclass(frozen=True, slots=True)
class Statement:
    """A move inside the module at `path`, in each of its instances."""

    path: ModulePath
    source: MoveEnd
    target: MoveEnd
    range: Range


def statements(root: ModuleNode) -> tuple[list[Statement], list[Diagnostic]]:
    """All `moved` blocks of a configuration."""
    found: list[Statement] = []
    diagnostics: list[Diagnostic] = []
    for module in root.walk():
        for moved in module.module.moved:
            source, target = module_and_resource(moved.from_), module_and_resource(moved.to)
            if isinstance(source, Diagnostic) or isinstance(target, Diagnostic):
                diagnostics += [d for d in (source, target) if isinstance(d, Diagnostic)]
                continue
            if source.is_module != target.is_module:
                diagnostics.append(
                    error(
                        "Invalid moved addresses",
                        'The "from" and "to" addresses must either both refer to resources or both refer to modules.',
                        moved.range,
                    )
                )
                continue
            found.append(Statement(module.path, source, target, moved.range))
    return found, diagnostics


def destination(address: Instance, statement: Statement) -> Instance | None:
    """Where a statement moves an object; None when it doesn't concern it."""
    depth = len(statement.path)
    around, inner = address.module[:depth], address.module[depth:]
    if len(around) != depth or path_of(around) != statement.path:
        return None
    source, target = statement.source, statement.target
    if source.is_module:
        length = len(source.module)
        if len(inner) < length or inner[: length - 1] != source.module[:-1]:
            return None
        (name, key), (wanted, wanted_key) = inner[length - 1], source.module[-1]
        new_name, new_key = target.module[-1]
        if name != wanted:
            return None
        if wanted_key is None and new_key is None:
            new_key = key
        elif key != wanted_key:
            return None
        module = (*around, *target.module[:-1], (new_name, new_key), *inner[length:])
        return address._replace(module=module)
    if inner != source.module or address[1:4] != (source.mode, source.type, source.name):
        return None
    key = address.key
    if source.has_key or target.has_key:
        if key != source.key:
            return None
        key = target.key
    return Instance((*around, *target.module), target.mode, target.type, target.name, key)


def apply_moves(root: ModuleNode, prior: State) -> tuple[State, Mapping[Instance, Instance], list[Diagnostic]]:
    """The state with its objects where the configuration wants them, and for each moved one where it was."""
    found, diagnostics = statements(root)
    diagnostics += validate_moves(root, found)
    if any(d.severity is Severity.ERROR for d in diagnostics):
        return prior, {}, diagnostics
    addresses = [address for address, _, _ in prior.instances()]
    moved: dict[Instance, Instance] = {}
    taken = set(addresses)
    blocked: list[tuple[Instance, Instance]] = []
    for address in addresses:
        current = address
        for _ in range(len(found) + 1):
            new = next((d for s in found if (d := destination(current, s)) not in (None, current)), None)
            if new is None:
                break
            if new in taken:
                blocked.append((current, new))
                break
            taken.discard(current)
            taken.add(new)
            current = new
        if current == address:
            current = _implied(root, address, taken)
            if current != address:
                taken.discard(address)
                taken.add(current)
        if current != address:
            moved[current] = address
    if moved:
        prior = prior.copy()
        for new, old in moved.items():
            prior.move(old, new)
    if blocked:
        lines = "".join(
            f"\n  - {old} could not move to {new}" for old, new in sorted(blocked, key=lambda b: b[0].order)
        )
        diagnostics.append(
            Diagnostic(
                Severity.WARNING,
                "Unresolved resource instance address changes",
                "Terraform tried to adjust resource instance addresses in the prior state based on change information "
                f"recorded in the configuration, but some adjustments did not succeed due to existing objects already at "
                f"the intended addresses:{lines}\n\nTerraform has planned to destroy these objects. If Terraform's proposed "
                'changes aren\'t appropriate, you must first resolve the conflicts using the "terraform state" subcommands '
                "and then create a new plan.",
            )
        )
    return prior, moved, diagnostics


def _implied(root: ModuleNode, address: Instance, taken: set[Instance]) -> Instance:
    resource = root.resource(address.config)
    if resource is None:
        return address
    if address.key is None and resource.count is not None:
        new = address._replace(key=0)
    elif address.key == 0 and not resource.repeats:
        new = address._replace(key=None)
    else:
        return address
    return address if new in taken else new


def validate_moves(root: ModuleNode, found: list[Statement]) -> list[Diagnostic]:
    """What is wrong with the statements as such: both ends there, to itself, in a circle."""
    diagnostics: list[Diagnostic] = []
    for statement in found:
        source, target = statement.source, statement.target
        if source == target:
            diagnostics.append(
                error(
                    "Redundant move statement",
                    f"This statement declares a move from {source} to the same address, which is the same as not declaring "
                    "this move at all.",
                    statement.range,
                )
            )
            continue
        still = _declared(root, statement.path, source)
        if still is not None:
            kind = "module call" if source.is_module else "resource"
            diagnostics.append(
                error(
                    "Moved object still exists",
                    f"This statement declares a move from {source}, but that {kind} is still declared at "
                    f"{still.filename}:{still.start.line},{still.start.column}.\n\nChange "
                    f"your configuration so that this {kind} will be declared as {target} instead.",
                    statement.range,
                )
            )
    by_source: dict[tuple[ModulePath, MoveEnd], Statement] = {}
    by_target: dict[tuple[ModulePath, MoveEnd], Statement] = {}
    for statement in found:
        key = (statement.path, statement.source)
        if key in by_source and by_source[key].target != statement.target:
            first = by_source[key]
            diagnostics.append(
                error(
                    "Ambiguous move statements",
                    f"A statement at {_start(first.range)} declared that {first.source} moved to {first.target}, but this statement "
                    f"instead declares that it moved to {statement.target}.\n\nEach {'module' if statement.source.is_module else 'resource'} can move to only one destination {'module' if statement.source.is_module else 'resource'}.",
                    statement.range,
                )
            )
        by_source.setdefault(key, statement)
        key = (statement.path, statement.target)
        if key in by_target and by_target[key].source != statement.source:
            first = by_target[key]
            diagnostics.append(
                error(
                    "Ambiguous move statements",
                    f"A statement at {_start(first.range)} declared that {first.source} moved to {first.target}, but this statement "
                    f"instead declares that {statement.source} moved there.\n\nEach {'module' if statement.target.is_module else 'resource'} can have moved from only one source {'module' if statement.target.is_module else 'resource'}.",
                    statement.range,
                )
            )
        by_target.setdefault(key, statement)
    # A cycle is hard to explain: it is told only when nothing else explains it.
    circle = [] if diagnostics else _circle(found)
    if circle:
        lines = "".join(f"\n  - {_start(s.range)}: {_any_key(s.source)} → {_any_key(s.target)}" for s in circle)
        diagnostics.append(
            error(
                "Cyclic dependency in move statements",
                f"The following chained move statements form a cycle, and so there is no final location to move objects to:{lines}\n\nA chain of move statements must end with an address that doesn't appear in any other statements, and which typically also refers to an object still declared in the configuration.",
            )
        )
    return diagnostics


def _start(place: Range) -> str:
    return f"{place.filename}:{place.start.line},{place.start.column}"


def _any_key(end: MoveEnd) -> str:
    """An end as Terraform shows it in a chain: without a key it stands for all instances."""
    keyed = end.has_key if not end.is_module else bool(end.module and end.module[-1][1] is not None)
    return str(end) if keyed else f"{end}[*]"


def removed_problems(root: ModuleNode) -> list[Diagnostic]:
    """`removed` blocks for what is still there."""
    diagnostics: list[Diagnostic] = []
    for module in root.walk():
        for removed in module.module.removed:
            end = module_and_resource(removed.from_)
            if isinstance(end, Diagnostic):
                continue
            declared = _declared(root, module.path, end)
            if declared is not None:
                kind = "module" if end.is_module else "resource"
                diagnostics.append(
                    error(
                        f"Removed {kind} still exists",
                        f"This statement declares that {end} was removed, but it is still declared in configuration.",
                        declared,
                    )
                )
    return diagnostics


def _circle(found: list[Statement]) -> list[Statement]:
    for start in found:
        chain = [start]
        while True:
            last = chain[-1]
            following = next((s for s in found if s.path == last.path and s.source == last.target), None)
            if following is None or following in chain[1:]:
                break
            if following is start:
                return chain if len(chain) > 1 else []
            chain.append(following)
    return []


def _declared(root: ModuleNode, path: ModulePath, end: MoveEnd) -> Range | None:
    """Where the configuration declares what a statement says is gone; None when it doesn't."""
    module = root.find((*path, *(name for name, _ in (end.module[:-1] if end.is_module else end.module))))
    if module is None:
        return None
    if end.is_module:
        name, key = end.module[-1]
        call = module.module.calls.get(name)
        if call is None:
            return None
        repeats = call.count is not None or call.for_each is not None
        return call.range if (key is None) != repeats or (key is None and not repeats) else None
    resource = module.module.resources.get((end.mode, end.type, end.name))
    if resource is None:
        return None
    if end.has_key:
        kinds = resource.count is not None if isinstance(end.key, int) else resource.for_each is not None
        return None if not kinds else _key_declared(resource, end)
    return resource.range if not resource.repeats or (end.key is None and not resource.repeats) else None


def _key_declared(resource: object, end: MoveEnd) -> Range | None:
    """Instance keys are known only when planning: a key that exists still is found there as a conflict."""
    return None


def removed_for(root: ModuleNode, address: Instance) -> Removed | None:
    """The `removed` block which speaks of an object."""
    config: ConfigResource = address.config
    for removed, path, end in _removals(root):
        module = (*path, *(name for name, _ in end.module))
        if end.is_module:
            if config.path[: len(module)] == module:
                return removed
        elif config == ConfigResource(module, end.mode, end.type, end.name):
            return removed
    return None


def _removals(root: ModuleNode) -> Iterator[tuple[Removed, ModulePath, MoveEnd]]:
    for module in root.walk():
        for removed in module.module.removed:
            end = module_and_resource(removed.from_)
            if isinstance(end, MoveEnd):
                yield removed, module.path, end


__all__ = ["ModuleInstance", "Statement", "apply_moves", "destination", "removed_for", "statements", "validate_moves"]
