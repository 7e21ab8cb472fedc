"""Whether what a provider did is what it had promised: a planned value against the one that came of it."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.addresses import (
    Instance,
)
from terrarium.language.values import NULL, Value


def incompatible(planned: Value, actual: Value, path: tuple[object, ...]) -> str:
    """How a value breaks the promise of an earlier, partly unknown one; "" when it doesn't."""
    from terrarium.language.types import Set

    if not planned.is_known:
        return ""
    if not actual.is_known:
        return f"{_at(path)}: was known, but now unknown"
    if (planned.data is NULL) != (actual.data is NULL):
        return f"{_at(path)}: was {_brief(planned)}, but now {_brief(actual)}"
    if planned.data is NULL:
        return ""
    if isinstance(planned.data, dict) and isinstance(actual.data, dict):
        for key, part in planned.data.items():
            if key not in actual.data:
                return f"{_at((*path, key))}: element {key!r} has vanished".replace("'", '"')
            found = incompatible(part, actual.data[key], (*path, key))
            if found:
                return found
        extra = [k for k in actual.data if k not in planned.data]
        return f'{_at(path)}: new element "{extra[0]}" has appeared' if extra else ""
    if isinstance(planned.data, tuple) and isinstance(actual.data, tuple):
        if isinstance(planned.type, Set):
            if planned.is_wholly_known and set(planned.data) != set(actual.data):
                return f"{_at(path)}: planned set element does not correlate with any element in actual"
            return ""
        if len(planned.data) != len(actual.data):
            return f"{_at(path)}: new element {min(len(planned.data), len(actual.data))} has {'appeared' if len(actual.data) > len(planned.data) else 'vanished'}"
        for i, (a, b) in enumerate(zip(planned.data, actual.data, strict=True)):
            if found := incompatible(a, b, (*path, i)):
                return found
        return ""
    if planned.data != actual.data:
        return f"{_at(path)}: was {_brief(planned)}, but now {_brief(actual)}"
    return ""


def _at(path: Sequence[object]) -> str:
    return "".join(f".{p}" if isinstance(p, str) else f"[{p}]" for p in path) or "."


def _brief(value: Value) -> str:
    from terrarium.language.explain import compact

    return (
        "null"
        if value.data is NULL
        else "cty."
        + {"string": "StringVal", "number": "NumberIntVal", "bool": "BoolVal"}.get(value.type.friendly(), "Value")
        + f"({compact(value)})"
    )


def _bug(source: str) -> str:
    return "This is a bug in the provider, which should be reported in the provider's own issue tracker."


def inconsistent(address: Instance, source: str, what: str, final_plan: bool = False) -> Diagnostic:
    if final_plan:
        return error(
            "Provider produced inconsistent final plan",
            f"When expanding the plan for {address} to include new values learned so far during apply, provider "
            f'"{source}" produced an invalid new value for {what}.\n\n{_bug(source)}',
        )
    return error(
        "Provider produced inconsistent result after apply",
        f'When applying changes to {address}, provider "provider[\\"{source}\\"]" produced an unexpected new value: {what}.'
        f"\n\n{_bug(source)}",
    )


def still_unknown(address: Instance, source: str) -> Diagnostic:
    return error(
        "Provider returned invalid result object after apply",
        f"After the apply operation, the provider still indicated an unknown value for {address}. All values must be known "
        f"after apply, so this is always a bug in the provider and should be reported in the provider's own repository. "
        "Terraform will still save the other known object values in the state.",
    )


def absent_after_apply(address: Instance, source: str) -> Diagnostic:
    return error(
        "Provider produced inconsistent result after apply",
        f'When applying changes to {address}, provider "provider[\\"{source}\\"]" produced an unexpected new value: Root '
        f"object was present, but now absent.\n\n{_bug(source)}",
    )
