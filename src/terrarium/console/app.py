"""The console's web application: pages, their JSON twins, and the style sheet.

Pages are rendered here, so they work without scripts. The console asks a `Source` for what it shows and never reaches
into other layers; `stack.py` hands it one that reads the AWS API and each cluster's Kubernetes API. It listens on
loopback, and answers only requests whose Host is loopback too, so that no foreign page can read it by a rebound name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from terrarium.console.scheduler import SchedulerSource
from terrarium.console.scheduler import routes as scheduler_routes
from terrarium.console.views import Source


def _wants_json(request: Request) -> bool:
    return request.url.path.endswith(".json") or request.headers.get("accept", "").startswith("application/json")


def create(source: Source, scheduling: SchedulerSource | None = None) -> Starlette:
    """The console over a source of views; with pages about scheduling where there is one for those too."""
    pages = Environment(
        loader=PackageLoader("terrarium.console", "templates"),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def page(
        template: str, view: Callable[[Request], Awaitable[dict[str, Any] | None]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """A page and its twin at the same address with `.json`, or by Accept."""

        async def respond(request: Request) -> Response:
            data = await view(request)
            if data is None:
                return HTMLResponse(pages.get_template("missing.html").render(path=request.url.path), status_code=404)
            if _wants_json(request):
                return JSONResponse(data)
            return HTMLResponse(pages.get_template(template).render(**data))

        return respond

    async def clusters(request: Request) -> dict[str, Any]:
        return asdict(await source.world())

    async def cluster(request: Request) -> dict[str, Any] | None:
        world = await source.world()
        wanted = request.path_params["name"].removesuffix(".json")
        found = next((c for c in world.clusters if c.name == wanted), None)
        return None if found is None else {"clock": world.clock, "pace": world.pace, "cluster": asdict(found)}

    async def root(request: Request) -> Response:
        return RedirectResponse("/eks/clusters")

    return Starlette(
        routes=[
            Route("/", root),
            Route("/eks/clusters", page("clusters.html", clusters)),
            Route("/eks/clusters.json", page("clusters.html", clusters)),
            *(scheduler_routes(scheduling, page) if scheduling is not None else ()),
            Route("/eks/clusters/{name}", page("cluster.html", cluster)),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])],
    )
