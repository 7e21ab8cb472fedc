"""What planning says: its diagnostics in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from terrarium.base.diagnostics import Diagnostic, Severity, error
from terrarium.engine.addresses import MANAGED, ConfigResource, Instance, ProviderConfig, quoted
from terrarium.engine.configuration import ModuleNode, Resource
from terrarium.engine.imports import static_target
from terrarium.engine.plan import ResourceChange
from terrarium.engine.references import Reference
from terrarium.engine.task import Task


def self_reference(address: ConfigResource, reference: Reference) -> Diagnostic:
    return error(
        "Self-referential block", f"Configuration for {address} may not refer to itself.", reference.traversal.range
    )


def unknown_type(resource: Resource, source: str, hint: str | None = None) -> Diagnostic:
    kind = "resource type" if resource.mode == MANAGED else "data source"
    detail = f'The provider {source} does not support {kind} "{resource.type}".'
    return error(f"Invalid {kind}", f"{detail} {hint}" if hint else detail, resource.type_range)


def destroy_prevented(address: Instance, resource: Resource) -> Diagnostic:
    return error(
        "Instance cannot be destroyed",
        f"Resource {address} has lifecycle.prevent_destroy set, but the plan calls for this resource to be destroyed. To "
        "avoid this error and continue with the plan, either disable lifecycle.prevent_destroy or reduce the scope of the "
        "plan using the -target option.",
        resource.range,
    )


def nothing_to_import(task: Task) -> Diagnostic:
    return error(
        "Cannot import non-existent remote object",
        f'While attempting to import an existing object to "{task.address}", the provider detected that no object exists '
        "with the given id. Only pre-existing objects can be imported; check that the id is correct and that it is "
        'associated with the provider\'s configured region or endpoint, or use "terraform apply" to create a new remote '
        "object for this resource.",
    )


def provider_gone(address: Instance, config: ProviderConfig) -> Diagnostic:
    return error(
        "Provider configuration not present",
        f"To work with {address} its original provider configuration at {config} is required, but it has been removed. "
        f"This occurs when a provider configuration is removed while objects created by that provider still exist in the "
        f"state. Re-add the provider configuration to destroy {address}, after which you can remove the provider "
        "configuration again.",
    )


def missing_import_targets(root: ModuleNode, known: Collection[ConfigResource]) -> list[Diagnostic]:
    """`import` blocks for resources that the configuration doesn't have."""
    found: list[Diagnostic] = []
    for block in root.module.imports:
        target = static_target(block.to)
        if target is not None and target not in known:
            found.append(
                error(
                    "Configuration for import target does not exist",
                    f"The configuration for the given import target {target} does not exist. If you wish to automatically generate config for "
                    "this resource, use the -generate-config-out option within terraform plan. Otherwise, make sure the target resource exists "
                    "within your configuration. For example:\n\n  terraform plan -generate-config-out=generated.tf",
                    block.to.range,
                )
            )
    return found


def forgetting_warning(forgotten: Sequence[ResourceChange]) -> Diagnostic:
    lines = "".join(f"\n - {c.address}" for c in sorted(forgotten, key=lambda c: c.address.order))
    return Diagnostic(
        Severity.WARNING,
        "Some objects will no longer be managed by Terraform",
        f"If you apply this plan, Terraform will discard its tracking information for the following objects, but it will not delete them:{lines}"
        "\n\nAfter applying this plan, Terraform will no longer manage these objects. You will need to import them into Terraform to manage "
        "them again.",
    )


def targeting_warning() -> Diagnostic:
    return Diagnostic(
        Severity.WARNING,
        "Resource targeting is in effect",
        "You are creating a plan with the -target option, which means that the result of this plan may not represent all of "
        "the changes requested by the current configuration.\n\nThe -target option is not for routine use, and is provided "
        "only for exceptional situations such as recovering from errors or mistakes, or when Terraform specifically "
        "suggests to use it as part of an error message.",
    )


def excluded_by_targets(ends: Sequence[Instance]) -> Diagnostic:
    lines = "".join(f"\n  -target={quoted(text)}" for text in dict.fromkeys(str(a.resource) for a in ends))
    return error(
        "Moved resource instances excluded by targeting",
        "Resource instances in your current state have moved to new addresses in the latest configuration. Terraform must "
        "include those resource instances while planning in order to ensure a correct result, but your -target=... options "
        f"do not fully cover all of those resource instances.\n\nTo create a valid plan, either remove your -target=... "
        f"options altogether or add the following additional target options:{lines}\n\nNote that adding these options may "
        "include further additional resource instances in your plan, in order to respect object dependencies.",
    )
