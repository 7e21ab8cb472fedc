"""`expect_failures`: which failed conditions a run wants, and which of those it got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from terrarium.base.diagnostics import Diagnostic, Severity, error, warning
from terrarium.base.source import Range
from terrarium.engine.addresses import DATA, MANAGED, key_text, resource_text
from terrarium.engine.checks import Origin
from terrarium.engine.references import Reference, parse
from terrarium.language import nodes

_KINDS = {"var": "var", "output": "output_value", "check": "check"}


@dataclass(frozen=True, slots=True)
class Expected:
    """A checkable object of the root module. `kind` as in `checks.Checks`, `address` as there."""

    kind: str
    address: str
    range: Range

    def meant_by(self, origin: Origin) -> bool:
        return self.kind == origin.kind and self.address in (origin.address, origin.config)


def expected_of(traversals: Sequence[nodes.Traversal]) -> tuple[list[Expected], list[Diagnostic]]:
    """The objects that `expect_failures` names, and what is wrong with it."""
    found: list[Expected] = []
    diagnostics: list[Diagnostic] = []
    for traversal in traversals:
        one = _one(traversal)
        if isinstance(one, Expected):
            found.append(one)
        else:
            diagnostics.append(one)
    return found, diagnostics


def _one(traversal: nodes.Traversal) -> Expected | Diagnostic:
    if traversal.root in _KINDS and len(traversal.steps) == 1 and isinstance(traversal.steps[0], nodes.Attr):
        name = traversal.steps[0].name
        return Expected(_KINDS[traversal.root], f"{traversal.root}.{name}", traversal.range)
    reference = parse(traversal)
    if isinstance(reference, Diagnostic):
        return reference
    if reference.kind == "resource" and reference.mode in (MANAGED, DATA):
        return Expected("resource", _address(reference), traversal.range)
    return error(
        "Invalid `expect_failures` reference",
        f"You cannot expect failures from {reference.subject}. You can only expect failures from checkable objects such as "
        "input variables, output values, check blocks, managed resources and data sources.",
        traversal.range,
    )


def _address(reference: Reference) -> str:
    key = key_text(reference.key) if reference.has_key else ""
    return resource_text(reference.mode, reference.type, reference.name) + key


def judged(diagnostics: Sequence[Diagnostic], expected: Sequence[Expected]) -> list[Diagnostic]:
    """Diagnostics without expected failures; failed checks that nobody expected are errors, and so is an expected
    failure that did not come."""
    found: list[Diagnostic] = []
    seen: set[Expected] = set()
    for diagnostic in diagnostics:
        origin = diagnostic.extra
        if not isinstance(origin, Origin) or "module." in origin.address:
            found.append(diagnostic)
            continue
        meant = next((e for e in expected if e.meant_by(origin)), None)
        if origin.kind == "check":
            if meant is not None:
                seen.add(meant)
            else:
                found.append(replace(diagnostic, severity=Severity.ERROR))
        elif meant is not None and diagnostic.severity is Severity.ERROR:
            seen.add(meant)
        else:
            found.append(diagnostic)
    found += [
        error(
            "Missing expected failure",
            f"The checkable object, {e.address}, was expected to report an error but did not.",
            e.range,
        )
        for e in expected
        if e not in seen
    ]
    return found


def explained(diagnostics: Sequence[Diagnostic], expected: Sequence[Expected]) -> list[Diagnostic]:
    """Expected failures that came too early: they kept the apply from being done."""
    found: list[Diagnostic] = []
    for diagnostic in diagnostics:
        origin = diagnostic.extra
        if isinstance(origin, Origin) and diagnostic.severity is Severity.ERROR:
            meant = next((e for e in expected if e.meant_by(origin)), None)
            if meant is not None:
                found.append(
                    warning(
                        "Expected failure while planning",
                        f"A custom condition within {meant.address} failed during the planning stage and prevented the "
                        "requested apply operation. While this was an expected failure, the apply operation could not be "
                        "executed and so the overall test case will be marked as a failure and the original diagnostic "
                        "included in the test report.",
                        meant.range if meant.kind != "resource" else None,
                    )
                )
        found.append(diagnostic)
    return found


def without_checks(diagnostics: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Without what check blocks said while planning: the apply says it again, or not any more."""
    return [d for d in diagnostics if not (isinstance(d.extra, Origin) and d.extra.kind == "check")]
