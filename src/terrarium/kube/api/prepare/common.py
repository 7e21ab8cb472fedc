"""Preparations that most kinds share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from terrarium.kube.api.kinds import Context, Obj

Prepare = Callable[[Obj, Context], None]


def keep(obj: Obj, old: Obj, *names: str) -> None:
    """Top-level fields as they are stored."""
    for name in names:
        if name in old:
            obj[name] = old[name]
        else:
            obj.pop(name, None)


def keep_meta(obj: Obj, old: Obj, *names: str) -> None:
    meta, stored = obj.setdefault("metadata", {}), old.get("metadata", {})
    for name in names:
        if name in stored:
            meta[name] = stored[name]
        else:
            meta.pop(name, None)


def no_status(obj: Obj, context: Context) -> None:
    """Create: a status is not the client's to give."""
    obj.pop("status", None)


def stored_status(obj: Obj, context: Context) -> None:
    """Update of the main resource: the status stays."""
    assert context.old is not None
    keep(obj, context.old, "status")


def stored_spec(obj: Obj, context: Context) -> None:
    """Update of the status: the spec stays."""
    assert context.old is not None
    keep(obj, context.old, "spec")


def stored_spec_and(*meta: str) -> Prepare:
    """Update of the status: spec and some metadata stay."""

    def prepare(obj: Obj, context: Context) -> None:
        assert context.old is not None
        keep(obj, context.old, "spec")
        keep_meta(obj, context.old, *meta)

    return prepare


def both(*prepares: Prepare) -> Prepare:
    def prepare(obj: Obj, context: Context) -> None:
        for one in prepares:
            one(obj, context)

    return prepare


def meta_of(obj: Obj) -> dict[str, Any]:
    meta: dict[str, Any] = obj.setdefault("metadata", {})
    return meta


def spec_of(obj: Obj) -> dict[str, Any]:
    spec = obj.get("spec")
    if spec is None:
        spec = obj["spec"] = {}
    assert isinstance(spec, dict)
    return spec


def bump_generation(obj: Obj, old: Obj) -> None:
    meta_of(obj)["generation"] = int(old.get("metadata", {}).get("generation", 0)) + 1
