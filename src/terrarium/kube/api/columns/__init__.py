"""The columns of `kubectl get`, kind by kind, as the real server prints them (`pkg/printers/internalversion`).

`COLUMNS` maps a resource (`pods`, `deployments.apps`) to its columns, `SELECTABLE` to its field selectors. A description
that begins with `@` names a field whose documentation it is: `@core.v1.PodStatus.podIP`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from terrarium.kube.api.columns import cluster, core, pods, workloads
from terrarium.kube.api.columns.selectable import SELECTABLE
from terrarium.kube.api.kinds import Column, Obj

COLUMNS: Mapping[str, tuple[Column, ...]] = {**pods.COLUMNS, **workloads.COLUMNS, **core.COLUMNS, **cluster.COLUMNS}
Read = Callable[[Obj], str]

__all__ = ["COLUMNS", "SELECTABLE"]
