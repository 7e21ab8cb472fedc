"""The scheduler's pages: the last decisions of a cluster, and for one pod the heat map of nodes by plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

View = Callable[[Request], Awaitable[dict[str, Any] | None]]
Page = Callable[[str, View], Callable[[Request], Awaitable[Response]]]


class SchedulerSource(Protocol):
    """Whom the pages ask. Data is that of `terrarium explain pod --json`, so the page and the command never differ."""

    async def decisions(self, cluster: str) -> dict[str, Any] | None:
        """`{clock, pace, cluster, decisions: [{namespace, name, result, node, message, at}]}`, the newest first; None
        without such a cluster."""
        ...

    async def placement(self, cluster: str, namespace: str, name: str) -> dict[str, Any] | None:
        """`{clock, pace, cluster, explanation, heatMap}` of a pod; None when there is none."""
        ...


def routes(source: SchedulerSource, page: Page) -> Sequence[Route]:
    """The pages and their JSON twins."""

    async def decisions(request: Request) -> dict[str, Any] | None:
        return await source.decisions(request.path_params["name"])

    async def placement(request: Request) -> dict[str, Any] | None:
        names = request.path_params
        return await source.placement(names["name"], names["namespace"], names["pod"].removesuffix(".json"))

    root = "/eks/clusters/{name}/scheduler"
    return [
        Route(root, page("scheduler.html", decisions)),
        Route(f"{root}.json", page("scheduler.html", decisions)),
        Route(root + "/{namespace}/{pod}", page("placement.html", _with_heat(placement))),
    ]


def _with_heat(view: View) -> View:
    """Adds to each cell how warm it is, so that the template only writes."""

    async def warmed(request: Request) -> dict[str, Any] | None:
        data = await view(request)
        if data is None:
            return None
        return data | {"rows": [_row(node, data["heatMap"]) for node in data["heatMap"]["nodes"]]}

    return warmed


def _row(node: dict[str, Any], heat: dict[str, Any]) -> dict[str, Any]:
    """A line of the map: cells of kind `no`, `yes` or `score` with a warmth of 0…10, and what a pointer shows."""
    cells = []
    for plugin in heat["filters"]:
        why = node["noes"].get(plugin, "")
        cells.append({"kind": "no" if why else "yes", "text": "no" if why else "", "title": why or f"{plugin}: yes"})
    strangers = [f"{p}: {why}" for p, why in node["noes"].items() if p not in heat["filters"]]
    for plugin, weight in heat["scores"].items():
        score = node.get("scores", {}).get(plugin)
        if score is None:
            cells.append({"kind": "none", "text": "", "title": ""})
        else:
            title = f"{plugin}: {score} of 100, weight {weight}"
            cells.append({"kind": f"score warm{score // 10}", "text": str(score), "title": title})
    return {
        "node": node["node"],
        "here": node["runsHere"],
        "cells": cells,
        "total": node.get("total"),
        "warmth": int(node.get("share", 0) * 10),
        "others": strangers,
    }
