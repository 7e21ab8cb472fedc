"""Static validation (filled by `validate_references` and `validate_values`)."""

from __future__ import annotations

from terrarium.base.diagnostics import Diagnostic
from terrarium.engine.walking import Session


def validate(session: Session) -> list[Diagnostic]:
    """What is wrong with a configuration, found without state."""
    return []
