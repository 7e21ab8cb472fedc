"""The fast path: the plugins' answer for all nodes at once, kept from pod to pod.

Theory of operation. Pods that differ in nothing but their names form a class. A class keeps, as numpy vectors with a row
for each node, what every plugin says of that node: the first rejection and the scores. Placing a pod changes one row (and,
where pods look at each other, the count of one topology domain), so a class only catches up with the rows that changed
since it was asked last; what depends on all feasible nodes together (normalising, skew) is computed anew from counts.
The cost of a decision therefore doesn't grow with the pods that stand already.

The plain plugins are the specification. `coverage` is the table of what is computed here; everything else goes the plain
way. numpy is loaded when there are enough nodes for it, and without numpy everything goes the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from terrarium.kube.scheduler.snapshot import Snapshot
from terrarium.kube.scheduler.views import Pod

if TYPE_CHECKING:
    from terrarium.kube.scheduler.cycle import Decision
    from terrarium.kube.scheduler.fast.board import Board
    from terrarium.kube.scheduler.framework import Framework

FEWEST_NODES = 200
"""With fewer nodes the plain plugins are fast enough, and numpy need not be loaded."""


class FastPath:
    """One scheduler's fast path, for all its profiles; it follows the nodes of the snapshots it is asked about."""

    def __init__(self, fewest_nodes: int = FEWEST_NODES) -> None:
        self._fewest = fewest_nodes
        self._board: Board | None = None
        self._missing = False

    def prepare(self, snapshot: Snapshot) -> None:
        """Loads what a cluster of this size will need, so that the first decision needn't."""
        board = self._board_for(snapshot)
        if board is not None:
            board.follow(snapshot)

    def _board_for(self, snapshot: Snapshot) -> Board | None:
        if self._board is None and not self._missing and len(snapshot.by_name) >= self._fewest:
            try:
                from terrarium.kube.scheduler.fast.board import Board
            except ImportError:
                self._missing = True
                return None
            self._board = Board()
        return self._board

    def decide(
        self, framework: Framework, pod: Pod, snapshot: Snapshot, choose: Callable[[Sequence[str]], str]
    ) -> Decision | None:
        """The same decision as the plain plugins'; None when they are to be asked. Without a node it has only the
        rejections: preemption and message are the caller's (`cycle.decide`)."""
        board = self._board_for(snapshot)
        return board.decide(framework, pod, snapshot, choose) if board is not None else None
