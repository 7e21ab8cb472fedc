"""Custom objects by the structural schema of their definition: pruning, defaults, validation, rules in CEL. Pure."""

from __future__ import annotations

from terrarium.kube.api.structural.objects import Structure
from terrarium.kube.api.structural.pruning import default, prune
from terrarium.kube.api.structural.values import validate

__all__ = ["Structure", "default", "prune", "validate"]
