"""Small tools for changing moto's classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def around(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replaces a method by one that knows the original."""
    setattr(owner, name, make(getattr(owner, name)))


def constant(value: Any) -> property:
    return property(lambda self: value)
