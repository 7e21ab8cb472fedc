"""The `-json` streams of plan, apply and init: one event a line."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.clock import real_monotonic
from terrarium.base.diagnostics import Diagnostic, Severity, has_errors
from terrarium.cli.tf_flags import Parsed
from terrarium.cli.tf_world import World
from terrarium.engine.addresses import Instance, module_text
from terrarium.engine.events import Progress
from terrarium.engine.plan import Action, Mode, Plan, ResourceChange
from terrarium.engine.state import TERRAFORM_VERSION
from terrarium.engine.value_trees import known
from terrarium.language.json_values import dumps
from terrarium.language.render import Renderer, in_order
from terrarium.language.type_expressions import to_json as type_to_json


def emit(
    world: World, text: str, kind: str, level: str = "info", tail: Mapping[str, Any] | None = None, **fields: Any
) -> None:
    """One line. `tail` goes after the type."""
    moment = world.clock.now().astimezone().isoformat(timespec="microseconds").replace("+00:00", "Z")
    row = {
        "@level": level,
        "@message": text,
        "@module": "terraform.ui",
        "@timestamp": moment,
        **fields,
        "type": kind,
        **(tail or {}),
    }
    world.streams.print(dumps(row) + "\n")


def header(world: World) -> None:
    emit(world, f"Terraform {TERRAFORM_VERSION}", "version", terraform=TERRAFORM_VERSION, tail={"ui": "1.2"})


def message(world: World, text: str, code: str) -> None:
    from terrarium.language.render import paint

    fields: dict[str, Any] = {"message_code": code} if code else {}
    emit(world, paint(text, False).strip("\n"), "init_output" if code else "log", **fields)


def diagnostics_json(world: World, diagnostics: Sequence[Diagnostic]) -> None:
    renderer = Renderer(world.sources)
    for diagnostic in in_order(diagnostics):
        is_error = diagnostic.severity is Severity.ERROR
        text = f"{'Error' if is_error else 'Warning'}: {diagnostic.summary}"
        emit(world, text, "diagnostic", "error" if is_error else "warn", diagnostic=renderer.to_json(diagnostic))


def resource(address: Instance) -> dict[str, Any]:
    """How events name an instance."""
    return {
        "addr": str(address),
        "module": module_text(address.module),
        "resource": address.local,
        "implied_provider": address.type.partition("_")[0],
        "resource_type": address.type,
        "resource_name": address.name,
        "resource_key": address.key,
    }


_VERBS = {
    Action.CREATE: ("create", "Creating...", "Creation"),
    Action.UPDATE: ("update", "Modifying...", "Modifications"),
    Action.DELETE: ("delete", "Destroying...", "Destruction"),
    Action.READ: ("read", "Refreshing...", "Refresh"),
}
_PLANNED = {
    Action.CREATE: "create",
    Action.UPDATE: "update",
    Action.DELETE: "delete",
    Action.READ: "read",
    Action.REPLACE: "replace",
    Action.CREATE_REPLACE: "replace",
    Action.FORGET: "remove",
    Action.NOOP: "noop",
}
_REASONS = {
    "replace_because_tainted": "tainted",
    "replace_by_request": "requested",
    "replace_by_triggers": "replace_triggered_by",
    "replace_because_cannot_update": "cannot_update",
    "read_because_config_unknown": "read_because_config_unknown",
}


_EPHEMERAL = {
    "open": ("Opening", "Opening"),
    "renew": ("Renewing", "Renewal"),
    "close": ("Closing", "Closing"),
}


class JsonLines(Progress):
    """A line of JSON for each event."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._began: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def close(self) -> None: ...

    def _say(self, address: Instance, text: str, kind: str, **hook: Any) -> None:
        with self._lock:
            emit(self.world, f"{address}: {text}", kind, hook={"resource": resource(address), **hook})

    def _elapsed(self, address: Instance, name: str) -> int:
        return int(real_monotonic() - self._began.pop((str(address), name), real_monotonic()))

    def _start(self, address: Instance, action: Action, id: str) -> None:
        name, words, _ = _VERBS[action]
        self._began[(str(address), name)] = real_monotonic()
        suffix = f" [id={id}]" if id else ""
        self._say(address, words + suffix, "apply_start", action=name, **_id(id))

    def _done(self, address: Instance, action: Action, id: str) -> None:
        name, _, noun = _VERBS[action]
        seconds = self._elapsed(address, name)
        shown = id if action is not Action.DELETE else ""
        suffix = f" [id={shown}]" if shown else ""
        self._say(
            address,
            f"{noun} complete after {seconds}s{suffix}",
            "apply_complete",
            action=name,
            **_id(shown),
            elapsed_seconds=seconds,
        )

    def refresh_start(self, address: Instance, id: str, deposed: str = "") -> None:
        self._say(address, f"Refreshing state...{f' [id={id}]' if id else ''}", "refresh_start", **_id(id))

    def refresh_done(self, address: Instance, id: str, deposed: str = "") -> None:
        self._say(address, f"Refresh complete{f' [id={id}]' if id else ''}", "refresh_complete", **_id(id))

    def read_start(self, address: Instance) -> None:
        self._start(address, Action.READ, "")

    def read_done(self, address: Instance, id: str) -> None:
        self._done(address, Action.READ, id)

    def read_failed(self, address: Instance) -> None:
        self._failed(address, Action.READ)

    def _failed(self, address: Instance, action: Action) -> None:
        name, _, noun = _VERBS[action]
        seconds = self._elapsed(address, name)
        self._say(address, f"{noun} errored after {seconds}s", "apply_errored", action=name, elapsed_seconds=seconds)

    def apply_start(self, address: Instance, action: Action, id: str, deposed: str = "") -> None:
        self._start(address, action, id)

    def apply_done(self, address: Instance, action: Action, id: str, deposed: str = "") -> None:
        self._done(address, action, id)

    def apply_failed(self, address: Instance, action: Action, deposed: str = "") -> None:
        self._failed(address, action)

    def ephemeral_start(self, address: Instance, what: str) -> None:
        self._began[(str(address), what)] = real_monotonic()
        self._say(address, f"{_EPHEMERAL[what][0]}...", "ephemeral_op_start", action=what)

    def ephemeral_done(self, address: Instance, what: str) -> None:
        seconds = self._elapsed(address, what)
        text = f"{_EPHEMERAL[what][1]} complete after {seconds}s"
        self._say(address, text, "ephemeral_op_complete", action=what, elapsed_seconds=seconds)

    def ephemeral_failed(self, address: Instance, what: str) -> None:
        seconds = self._elapsed(address, what)
        text = f"{_EPHEMERAL[what][1]} errored after {seconds}s"
        self._say(address, text, "ephemeral_op_errored", action=what, elapsed_seconds=seconds)

    def provision_start(self, address: Instance, type: str) -> None:
        self._say(address, f"Provisioning with '{type}'...", "provision_start", provisioner=type)

    def provision_output(self, address: Instance, type: str, line: str) -> None:
        self._say(address, f"({type}): {line}", "provision_progress", provisioner=type, output=line)

    def provision_done(self, address: Instance, type: str) -> None:
        self._say(address, f"({type}) Provisioning complete", "provision_complete", provisioner=type)

    def provision_failed(self, address: Instance, type: str) -> None:
        self._say(address, f"({type}) Provisioning errored", "provision_errored", provisioner=type)


def _id(id: str) -> dict[str, str]:
    return {"id_key": "id", "id_value": id} if id else {}


def _change(change: ResourceChange, drift: bool) -> dict[str, Any]:
    action = "move" if change.action is Action.NOOP and change.moved else _PLANNED[change.action]
    if change.action is Action.NOOP and change.importing is not None:
        action = "import"
    row: dict[str, Any] = {"resource": resource(change.address)}
    if change.moved:
        assert change.previous is not None
        row["previous_resource"] = resource(change.previous)
    row["action"] = action
    reason = _REASONS.get(change.reason) or change.reason
    if reason and not drift:
        row["reason"] = reason
    if change.importing is not None:
        row["importing"] = {"id": change.importing}
    return row


def planned(world: World, plan: Plan) -> None:
    """The events that describe a plan."""
    for change in plan.drift:
        if plan.mode is Mode.REFRESH_ONLY or change.action is not Action.NOOP:
            row = _change(change, True)
            emit(world, f"{change.address}: Drift detected ({row['action']})", "resource_drift", change=row)
    for change in plan.changes:
        if change.action is Action.NOOP and not change.moved and change.importing is None:
            continue
        if change.action is Action.DELETE and change.address.mode != "managed":
            continue
        row = _change(change, False)
        emit(world, f"{change.address}: Plan to {row['action']}", "planned_change", change=row)


def plan_summary(world: World, plan: Plan) -> None:
    imported, added, changed, removed, _ = plan.counts()
    first = f"{imported} to import, " if imported else ""
    emit(
        world,
        f"Plan: {first}{added} to add, {changed} to change, {removed} to destroy.",
        "change_summary",
        changes={"add": added, "change": changed, "import": imported, "remove": removed, "operation": "plan"},
    )
    outputs = {
        o.name: {"sensitive": o.sensitive_after or o.sensitive_before, "action": _PLANNED[o.action]}
        for o in plan.outputs
    }
    if outputs:
        emit(world, f"Outputs: {len(outputs)}", "outputs", outputs=outputs)


def plan_json(world: World, flags: Parsed, mode: Mode) -> int:
    """`plan -json`."""
    from terrarium.cli import tf_run

    header(world)
    with tf_run.interruptible(world) as stopped:
        found, root, store, diagnostics = tf_run.make(world, flags, mode, "Plan", stopped, events=JsonLines(world))
    try:
        if found is not None and root is not None and store is not None:
            planned(world, found)
            if not found.errored:
                plan_summary(world, found)
            if flags.text("out") and not found.aborted:
                tf_run.save_plan(world, found, root, store, Path(flags.text("out")))
        diagnostics_json(world, diagnostics)
        if found is None or found.errored:
            return 1
    finally:
        if store is not None:
            store.unlock()
    return 2 if flags.flag("detailed-exitcode") and found.applyable else 0


def apply_json(world: World, flags: Parsed, mode: Mode) -> int:
    """`apply -json` and `destroy -json`."""
    from terrarium.cli import tf_run
    from terrarium.cli.tf_saved import load_saved

    header(world)
    with tf_run.interruptible(world) as stopped:
        if flags.rest:
            found, root, store, diagnostics = load_saved(world, flags, Path(flags.rest[0]))
        else:
            found, root, store, diagnostics = tf_run.make(world, flags, mode, "Apply", stopped, events=JsonLines(world))
        try:
            if found is not None:
                planned(world, found)
            if found is None or root is None or store is None or found.errored:
                diagnostics_json(world, diagnostics)
                return 1
            if not flags.rest:
                plan_summary(world, found)
            return _apply(world, flags, found, root, store, stopped, tf_run.without_checks(diagnostics))
        finally:
            if store is not None:
                store.unlock()


def _apply(
    world: World,
    flags: Parsed,
    found: Plan,
    root: Any,
    store: Any,
    stopped: Any,
    later: Sequence[Diagnostic],
) -> int:
    from terrarium.cli import tf_run
    from terrarium.engine.applying import apply_plan

    lines = JsonLines(world)
    session = tf_run.functions_session(world, root, found.variables, flags, lines, False, stopped, found.timestamp)
    state, counts, diagnostics = apply_plan(session, found, store, world.ids)
    store.finish(state)
    diagnostics_json(world, [*later, *diagnostics])
    if has_errors(diagnostics):
        return 1
    destroying = flags.text("command") == "destroy"
    emit(
        world,
        tf_run.summary(counts, destroying, bool(flags.rest)),
        "change_summary",
        changes={
            "add": counts["add"],
            "change": counts["change"],
            "import": counts["import"],
            "remove": counts["remove"],
            "operation": "destroy" if destroying else "apply",
        },
    )
    outputs: Mapping[str, Any] = {
        name: {"sensitive": o.sensitive, "type": type_to_json(o.value.type)}
        | ({} if o.sensitive else {"value": known(o.value)})
        for name, o in sorted(state.outputs.items())
    }
    if not destroying:
        emit(world, f"Outputs: {len(outputs)}", "outputs", outputs=outputs)
    return 0


__all__ = ["apply_json", "diagnostics_json", "header", "json", "message", "plan_json"]
