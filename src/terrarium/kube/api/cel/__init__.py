"""The Common Expression Language with Kubernetes' functions: rules of CRDs, admission policies, match conditions.

`compile` parses and checks the types of an expression against declared variables; the `Program` then runs on values.
No library serves: type errors, optionals, cost limits and Kubernetes' functions are part of what clients see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from terrarium.kube.api.cel import evaluate
from terrarium.kube.api.cel.checker import check
from terrarium.kube.api.cel.evaluate import BUDGET, COST_LIMIT, CostError, Step, Thunk
from terrarium.kube.api.cel.parser import parse
from terrarium.kube.api.cel.syntax import CompileError, Node
from terrarium.kube.api.cel.types import Type
from terrarium.kube.api.cel.values import EvalError

__all__ = ["BUDGET", "COST_LIMIT", "CompileError", "CostError", "EvalError", "Program", "Thunk", "Type", "compile"]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A checked expression. `types` are those of its nodes by identity (for estimates of cost)."""

    source: str
    node: Node
    result: Type
    types: Mapping[int, Type]
    step: Step

    def run(self, variables: Mapping[str, Any], limit: int = COST_LIMIT) -> tuple[Any, int]:
        """The value and its cost. Raises `EvalError` (`CostError` when it costs more than `limit`)."""
        return evaluate.run(self.step, variables, limit)


def compile(source: str, variables: Mapping[str, Type]) -> Program:
    """Raises `CompileError`, whose text is what kube-apiserver puts behind `compilation failed: `."""
    node = parse(source)
    result, types = check(source, node, variables)
    return Program(source, node, result, types, evaluate.build(node, frozenset(variables)))
