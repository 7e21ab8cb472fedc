"""A graph of things to do, and the walk which does them: in order of their dependencies, several at once.

Nodes are any hashable values; an edge says "this one after that one". `walk` calls `visit` for each node when all it
depends on have been visited; after a failure (false) everything that depends on the node is left out. Nodes for which
`inline` is true run on the coordinating thread at once: most nodes only evaluate an expression, and a thread's hand-over
would cost more than the work.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

N = TypeVar("N", bound=Hashable)


class Graph(Generic[N]):
    """`after[n]` holds what must be visited before n."""

    def __init__(self) -> None:
        self.after: dict[N, set[N]] = {}

    def add(self, node: N, after: Iterable[N] = ()) -> None:
        self.after.setdefault(node, set()).update(after)

    def __contains__(self, node: object) -> bool:
        return node in self.after

    def remove_missing(self) -> None:
        """Forgets edges to nodes that are not there."""
        known = self.after.keys()
        for node, before in self.after.items():
            if not before <= known:
                self.after[node] = before & known

    def ancestors(self, start: Iterable[N]) -> set[N]:
        """`start` and everything they depend on."""
        found: set[N] = set()
        pending = list(start)
        while pending:
            node = pending.pop()
            if node not in found:
                found.add(node)
                pending.extend(self.after.get(node, ()))
        return found

    def keep(self, nodes: set[N]) -> None:
        """Drops all other nodes."""
        self.after = {n: before & nodes for n, before in self.after.items() if n in nodes}

    def order(self) -> list[N]:
        """All nodes, dependencies first; those in a cycle are left out."""
        waiting = {n: len(before) for n, before in self.after.items()}
        dependents = self._dependents()
        ready = deque(n for n, count in waiting.items() if not count)
        found: list[N] = []
        while ready:
            node = ready.popleft()
            found.append(node)
            for other in dependents.get(node, ()):
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        return found

    def cycles(self) -> list[list[N]]:
        """The strongly connected groups of more than one node, and nodes which depend on themselves (Tarjan)."""
        left = set(self.after) - set(self.order())
        index: dict[N, int] = {}
        low: dict[N, int] = {}
        stack: list[N] = []
        on_stack: set[N] = set()
        found: list[list[N]] = []
        for root in self.after:
            if root not in left or root in index:
                continue
            work = [(root, iter(self.after[root]))]
            index[root] = low[root] = len(index)
            stack.append(root)
            on_stack.add(root)
            while work:
                node, rest = work[-1]
                for other in rest:
                    if other not in left:
                        continue
                    if other not in index:
                        index[other] = low[other] = len(index)
                        stack.append(other)
                        on_stack.add(other)
                        work.append((other, iter(self.after[other])))
                        break
                    if other in on_stack:
                        low[node] = min(low[node], index[other])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        group: list[N] = []
                        while True:
                            other = stack.pop()
                            on_stack.discard(other)
                            group.append(other)
                            if other == node:
                                break
                        if len(group) > 1 or node in self.after[node]:
                            found.append(group)
        return found

    def _dependents(self) -> dict[N, list[N]]:
        dependents: dict[N, list[N]] = {}
        for node, before in self.after.items():
            for other in before:
                dependents.setdefault(other, []).append(node)
        return dependents

    def walk(
        self,
        visit: Callable[[N], bool],
        parallelism: int = 10,
        inline: Callable[[N], bool] = lambda node: False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> set[N]:
        """Visits every node; returns those left out. After `stopped()` nothing new begins. An exception in `visit` is
        raised here, after what runs has ended."""
        waiting = {n: len(before) for n, before in self.after.items()}
        dependents = self._dependents()
        ready = deque(n for n, count in waiting.items() if not count)
        skipped: set[N] = set()
        results: queue.SimpleQueue[tuple[N, bool, BaseException | None]] = queue.SimpleQueue()
        jobs: queue.SimpleQueue[N | None] = queue.SimpleQueue()
        threads: list[threading.Thread] = []
        running = 0
        failure: BaseException | None = None

        def work() -> None:
            while (node := jobs.get()) is not None:
                try:
                    results.put((node, visit(node), None))
                except BaseException as problem:
                    results.put((node, False, problem))

        def done(node: N, good: bool) -> None:
            pending = [(node, good)]
            while pending:
                current, fine = pending.pop()
                for other in dependents.get(current, ()):
                    waiting[other] -= 1
                    if not fine:
                        skipped.add(other)
                    if not waiting[other]:
                        if other in skipped:
                            pending.append((other, False))
                        else:
                            ready.append(other)

        try:
            while ready or running:
                while ready:
                    node = ready.popleft()
                    if failure is not None or stopped():
                        skipped.add(node)
                        done(node, False)
                    elif parallelism <= 1 or inline(node):
                        done(node, visit(node))
                    else:
                        if running >= parallelism:
                            ready.appendleft(node)
                            break
                        if running >= len(threads):
                            threads.append(threading.Thread(target=work, name="walk", daemon=True))
                            threads[-1].start()
                        running += 1
                        jobs.put(node)
                if running:
                    node, good, problem = results.get()
                    running -= 1
                    failure = failure or problem
                    done(node, good)
        finally:
            for _ in threads:
                jobs.put(None)
        if failure is not None:
            raise failure
        return skipped
