"""What expressions see while a configuration is validated, and the evaluator that checks references first."""

from __future__ import annotations

from collections.abc import Iterable

from terrarium.base.diagnostics import has_errors
from terrarium.engine.addresses import ModuleInstance, path_of
from terrarium.engine.configuration import ModuleNode, Resource
from terrarium.engine.evaluation import Diagnostics, Evaluator, Repetition, Values
from terrarium.engine.validate_references import Place, ReferenceRules
from terrarium.language import nodes
from terrarium.language.evaluate import evaluate
from terrarium.language.references import references
from terrarium.language.scope import Scope
from terrarium.language.types import DYNAMIC, List, Map, Object
from terrarium.language.values import DYNAMIC_UNKNOWN, Value, unknown


class ValidateValues(Values):
    """What names mean before anything is known. A resource may turn out to be anything; a module is an object of
    anything, or a list or map of such."""

    def __init__(self, root: ModuleNode) -> None:
        super().__init__()
        self._root = root
        self._modules: dict[tuple[ModuleInstance, str], Value] = {}

    def module(self, parent: ModuleInstance, name: str) -> Value:
        known = self._modules.get((parent, name))
        if known is None:
            known = self._modules[(parent, name)] = self._stand_in(parent, name)
        return known

    def _stand_in(self, parent: ModuleInstance, name: str) -> Value:
        node = self._root.find((*path_of(parent), name))
        if node is None or node.call is None:
            return DYNAMIC_UNKNOWN
        one = Object(dict.fromkeys(node.module.outputs, DYNAMIC))
        if node.call.count is not None:
            return unknown(List(one))
        return unknown(Map(one)) if node.call.for_each is not None else unknown(one)


class CheckedEvaluator(Evaluator):
    """Checks what an expression refers to before it evaluates it. `check` is the check block in which it stands."""

    rules: ReferenceRules
    check = ""

    def place(self, repetition: Repetition | None, self_of: Resource | None = None) -> Place:
        if repetition is None:
            return Place(self_of=self_of, check=self.check)
        each = repetition.each_key is not None
        return Place(repetition.count is not None, each, self_of=self_of, check=self.check)

    def node(self, module: ModuleInstance) -> ModuleNode:
        found = self.root.find(path_of(module))
        assert found is not None
        return found

    def checked(
        self,
        traversals: Iterable[nodes.Traversal],
        module: ModuleInstance,
        repetition: Repetition | None = None,
        self_of: Resource | None = None,
    ) -> tuple[Scope, Diagnostics]:
        """The scope for some references, and what is wrong with them."""
        traversals = list(traversals)
        if not traversals:
            return self.scope(module, ()), []
        found, diagnostics, allowed = self.rules.check(self.node(module), traversals, self.place(repetition, self_of))
        self_value = None if self_of is None else DYNAMIC_UNKNOWN
        return self.scope(module, found if allowed else (), repetition, self_value), diagnostics

    def evaluate(
        self,
        expression: nodes.Expression,
        module: ModuleInstance,
        repetition: Repetition | None = None,
        self_value: Value | None = None,
    ) -> tuple[Value, Diagnostics]:
        scope, diagnostics = self.checked(references(expression), module, repetition)
        if has_errors(diagnostics):
            return DYNAMIC_UNKNOWN, diagnostics
        value, said = evaluate(expression, scope)
        return value, [*diagnostics, *said]
