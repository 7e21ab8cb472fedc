"""Ephemeral values: resources that are opened when needed and closed at the end, and arguments that are only written.

Theory of operation. An ephemeral resource has no state and no place in plans. Each walk opens it anew where its turn
comes in the graph, and closes it when the walk is over, the last opened first. All that comes out of it is marked
ephemeral, so that it can go only where nothing is kept: other ephemeral places, provider configurations, provisioners,
and write-only arguments. Those reach the provider with the configuration; in what is planned and stored they are null.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from terrarium.base.diagnostics import Diagnostic, error, has_errors
from terrarium.engine.addresses import Instance
from terrarium.engine.configuration import Resource
from terrarium.engine.evaluation import Repetition
from terrarium.engine.objchange import with_unknowns
from terrarium.engine.provider import Block, EphemeralProvider, Provider, Schema
from terrarium.engine.state import marked, sensitive_paths
from terrarium.language.values import EPHEMERAL, Path, Value

if TYPE_CHECKING:
    from terrarium.engine.walking import Walk

Diagnostics = list[Diagnostic]


@dataclass(frozen=True, slots=True)
class _Open:
    address: Instance
    provider: EphemeralProvider
    private: bytes


class Ephemerals:
    """The ephemeral resources that one walk has open."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._open: list[_Open] = []
        self._lock = threading.Lock()

    def open(
        self, address: Instance, resource: Resource, provider: Provider, schema: Schema, repetition: Repetition | None
    ) -> Diagnostics:
        """Opens one, or leaves its value unknown while its configuration is."""
        from terrarium.engine.plan_object import schema_marks
        from terrarium.engine.walking import located

        walk, block, name = self._walk, schema.block, str(address)
        if not isinstance(provider, EphemeralProvider):
            return [
                error(
                    "Ephemeral resources are not supported",
                    f"The provider of {address} has a schema for it, but no way to open it.",
                    resource.range,
                )
            ]
        diagnostics = self._conditions(address, resource, "precondition", repetition, None)
        if has_errors(diagnostics):
            return diagnostics
        config, more = walk.decode(block, resource.body, address.module, repetition)
        diagnostics += [replace(d, address=d.address or name) for d in more]
        if has_errors(more):
            return diagnostics
        plain = config.unmarked_deep()
        said = provider.validate_ephemeral(address.type, plain)
        diagnostics += [located(d, resource.body, name) for d in said]
        if has_errors(diagnostics):
            return diagnostics
        marks = sensitive_paths(config)
        if not plain.is_wholly_known:
            later = schema_marks(block, marked(with_unknowns(block, plain), marks))
            walk.values.set_object(address, later.marked(EPHEMERAL))
            return diagnostics
        events = walk.session.events
        events.ephemeral_start(address, "open")
        result = provider.open(address.type, plain)
        said = [located(d, resource.body, name) for d in result.diagnostics]
        diagnostics += said
        if has_errors(said):
            events.ephemeral_failed(address, "open")
            return diagnostics
        with self._lock:
            self._open.append(_Open(address, provider, result.private))
        value = schema_marks(block, marked(result.value, marks)).marked(EPHEMERAL)
        walk.values.set_object(address, value)
        events.ephemeral_done(address, "open")
        return diagnostics + self._conditions(address, resource, "postcondition", repetition, value)

    def _conditions(
        self,
        address: Instance,
        resource: Resource,
        what: str,
        repetition: Repetition | None,
        value: Value | None,
    ) -> Diagnostics:
        from terrarium.engine.checks import evaluate_rule, originating

        rules = resource.preconditions if what == "precondition" else resource.postconditions
        walk, config = self._walk, str(address.config)
        found: Diagnostics = []
        for index, rule in enumerate(rules):
            status, message, more = evaluate_rule(walk.evaluator, address.module, rule, what, repetition, value)
            walk.checks.report("resource", config, str(address), (what, index), status, message)
            found += originating(more, "resource", config, str(address))
        return found

    def close(self) -> Diagnostics:
        """Closes all that is open. Always to be called at the end of a walk."""
        with self._lock:
            opened, self._open = self._open, []
        found: Diagnostics = []
        events = self._walk.session.events
        for one in reversed(opened):
            events.ephemeral_start(one.address, "close")
            said = one.provider.close_ephemeral(one.address.type, one.private)
            found += [replace(d, address=d.address or str(one.address)) for d in said]
            if has_errors(said):
                events.ephemeral_failed(one.address, "close")
            else:
                events.ephemeral_done(one.address, "close")
        return found


# --- where ephemeral values may go -------------------------------------------------------------------------------------


def misused(block: Block, config: Value) -> Diagnostics:
    """Ephemeral values in arguments that are kept."""
    found: Diagnostics = []
    for path in _ephemeral_paths(config, ()):
        if not _is_write_only(block, path):
            problem = error(
                "Invalid use of ephemeral value",
                f'Ephemeral values are not valid for "{path[0]}", because it is not a write-only attribute and must be '
                "persisted to state.",
            )
            found.append(replace(problem, attribute=path))
    return found


def _ephemeral_paths(value: Value, path: Path) -> list[Path]:
    if EPHEMERAL in value.marks:
        return [path]
    if isinstance(value.data, dict):
        return [p for key, part in value.data.items() for p in _ephemeral_paths(part, (*path, key))]
    if isinstance(value.data, tuple):
        return [p for i, part in enumerate(value.data) for p in _ephemeral_paths(part, (*path, i))]
    return []


def _is_write_only(block: Block, path: Sequence[object]) -> bool:
    for step in path:
        if not isinstance(step, str):
            continue
        attribute = block.attributes.get(step)
        if attribute is not None:
            if attribute.write_only:
                return True
            if attribute.nested is None:
                return False
            block = Block(attributes=attribute.nested.attributes)
            continue
        nested = block.blocks.get(step)
        if nested is not None:
            block = nested.block
    return False
