"""Strategies from a kind's structure, its name rule and its checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrarium.kube.api import defaults, names
from terrarium.kube.api.kinds import Context, Obj, Strategy, Subresource, no_errors, nothing
from terrarium.kube.api.prepare import common
from terrarium.kube.api.prepare.common import Prepare
from terrarium.kube.api.validation.meta import NameRule, Specific, create_check, update_check

Warnings = Callable[[Obj, Context], Sequence[str]]


def strategy(
    schema: str,
    *,
    name: NameRule = names.dns_subdomain,
    create: Prepare = nothing,
    update: Prepare = nothing,
    check: Sequence[Specific] = (),
    check_update: Sequence[Specific] | None = None,
    meta_on_update: bool = False,
    warnings: Warnings = no_errors,  # type: ignore[assignment]
    generation: bool = False,
    settles: bool = False,
    create_on_update: bool = False,
    unconditional: bool = True,
    graceful: Callable[[Obj, int | None], int] | None = None,
) -> Strategy:
    """A kind's strategy. `check_update` None repeats the checks of creation on update."""
    again = tuple(check) if check_update is None else tuple(check_update)
    return Strategy(
        defaults.of(schema),
        create,
        update,
        create_check(name, *check),
        update_check(name if meta_on_update or check_update is None else None, *again),
        warnings,
        create_on_update,
        unconditional,
        graceful,
        generation,
        settles,
    )


def with_status(
    schema: str,
    *,
    create: Prepare = common.no_status,
    update: Prepare = common.stored_status,
    check: Sequence[Specific] = (),
    **more: object,
) -> Strategy:
    """A kind whose status clients don't write with the rest."""
    return strategy(schema, create=create, update=update, check=check, **more)  # type: ignore[arg-type]


def status(
    schema: str,
    *,
    prepare: Prepare = common.stored_spec,
    check: Sequence[Specific] = (),
    name: str = "status",
    verbs: tuple[str, ...] = ("get", "patch", "update"),
    warnings: Warnings = no_errors,  # type: ignore[assignment]
    generation: bool = False,
) -> Subresource:
    """The status subresource (or one like it) with its own strategy."""
    return Subresource(
        name,
        verbs,
        strategy=Strategy(
            default=defaults.of(schema),
            prepare_update=prepare,
            validate_update=update_check(None, *check),
            warnings=warnings,
            generation=generation,
        ),
    )
