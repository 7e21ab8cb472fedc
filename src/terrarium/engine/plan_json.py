"""A plan as JSON (`show -json PLAN`), format version 1.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from terrarium.engine.addresses import ModuleInstance, module_text
from terrarium.engine.config_json import ConfigJson
from terrarium.engine.configuration import ModuleNode
from terrarium.engine.plan import Action, Mode, OutputChange, Plan, ResourceChange
from terrarium.engine.plugins import Plugins
from terrarium.engine.state import TERRAFORM_VERSION, marked
from terrarium.engine.state_json import checks_json, identity, modules_json, state_document
from terrarium.engine.value_trees import known, path_json, path_order, sensitives, unknowns
from terrarium.language.type_expressions import to_json as type_to_json
from terrarium.language.values import EPHEMERAL, null


def plan_document(plan: Plan, root: ModuleNode, plugins: Plugins) -> dict[str, Any]:
    """The whole document."""
    document: dict[str, Any] = {"format_version": "1.2", "terraform_version": TERRAFORM_VERSION}
    ephemeral = {n: v.default for n, v in root.module.variables.items() if v.ephemeral}
    shown = {**plan.variables, **plan.given, **ephemeral}
    variables = {
        name: {"value": known(value)}
        for name, value in sorted(shown.items())
        if value is not None and EPHEMERAL not in value.marks
    }
    if variables:
        document["variables"] = variables
    document["planned_values"] = planned_values(plan)
    drift = [resource_change(c) for c in plan.drift if plan.mode is Mode.REFRESH_ONLY or c.action is not Action.NOOP]
    if drift:
        document["resource_drift"] = drift
    changes = [resource_change(c) for c in plan.changes]
    if changes:
        document["resource_changes"] = changes
    outputs = {o.name: output_change(o) for o in plan.outputs}
    if outputs:
        document["output_changes"] = outputs
    if plan.prior.lineage or not plan.prior.empty:
        prior = state_document(plan.prior, plugins)
        if "values" in prior and not plan.prior.empty:
            prior.pop("checks", None)
            prior["terraform_version"] = TERRAFORM_VERSION
            document["prior_state"] = prior
    document["configuration"] = ConfigJson(root, plugins).document()
    if plan.relevant:
        document["relevant_attributes"] = [
            {"resource": r.resource, "attribute": path_json(r.path)} for r in plan.relevant
        ]
    checks = checks_json(plan.checks)
    if checks:
        document["checks"] = checks
    document |= {
        "timestamp": plan.timestamp,
        "applyable": plan.applyable,
        "complete": not plan.errored and not plan.targets,
        "errored": plan.errored,
    }
    return document


def planned_values(plan: Plan) -> dict[str, Any]:
    values: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    for output in plan.outputs:
        if output.action is Action.DELETE or output.after is None:
            continue
        row: dict[str, Any] = {"sensitive": output.sensitive_after}
        if output.after.is_wholly_known:
            row |= {"type": type_to_json(output.after.type), "value": known(output.after)}
        outputs[output.name] = row
    if outputs:
        values["outputs"] = outputs
    rows: list[tuple[ModuleInstance, dict[str, Any]]] = []
    for change in plan.changes:
        if change.action is Action.FORGET:
            # It goes on to exist, but nothing is known of it any longer.
            row = identity(change.address) | {
                "provider_name": change.source,
                "schema_version": change.schema_version,
                "sensitive_values": False,
            }
            rows.append((change.address.module, row))
            continue
        if change.after.is_null or change.deposed:
            continue
        # What the schema hides is forgotten here when the object is replaced: Terraform plans it a second time then.
        after = marked(change.after.unmarked_deep(), change.hidden) if change.action.replaces else change.after
        row = identity(change.address) | {
            "provider_name": change.source,
            "schema_version": change.schema_version,
            "values": known(after),
            "sensitive_values": sensitives(after),
        }
        rows.append((change.address.module, row))
    values["root_module"] = modules_json(rows)
    return values


def change_json(change: ResourceChange) -> dict[str, Any]:
    """The `change` of a resource."""
    if change.action is Action.FORGET:
        change = replace(change, after=null(change.after.type))
    row: dict[str, Any] = {
        "actions": list(change.action.value),
        "before": known(change.before),
        "after": known(change.after),
        "after_unknown": {} if change.after.is_wholly_known else unknowns(change.after),
        "before_sensitive": False if change.before.is_null else sensitives(change.before),
        "after_sensitive": False if change.after.is_null else sensitives(change.after),
    }
    if change.replace:
        row["replace_paths"] = [path_json(p) for p in sorted(change.replace, key=path_order)]
    if change.importing is not None:
        row["importing"] = {"id": change.importing}
    if change.generated:
        row["generated_config"] = change.generated
    return row


def resource_change(change: ResourceChange) -> dict[str, Any]:
    row: dict[str, Any] = {"address": str(change.address)}
    if change.moved:
        row["previous_address"] = str(change.previous)
    if change.address.module:
        row["module_address"] = module_text(change.address.module)
    row |= {k: v for k, v in identity(change.address).items() if k != "address"}
    if change.deposed:
        row["deposed"] = change.deposed
    row["provider_name"] = change.source
    row["change"] = change_json(change)
    if change.reason:
        row["action_reason"] = change.reason
    return row


def output_change(output: OutputChange) -> dict[str, Any]:
    """The change of an output."""
    sensitive = output.sensitive_after or output.sensitive_before
    row: dict[str, Any] = {
        "actions": list(output.action.value),
        "before": known(output.before) if output.before is not None else None,
    }
    after = output.after
    if after is None:
        row |= {"after": None, "after_unknown": False}
    elif after.is_wholly_known:
        row |= {"after": known(after), "after_unknown": False}
    else:
        tree = known(after)
        if tree is not None:
            row["after"] = tree
        row["after_unknown"] = unknowns(after)
    return row | {"before_sensitive": sensitive, "after_sensitive": sensitive}
