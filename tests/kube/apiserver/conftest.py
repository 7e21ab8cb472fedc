"""What the tests of the API server share: servers in memory, requests through the ASGI application."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs `async def` tests, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    wanted = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in wanted}))
    return True


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"kube_apiserver_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def servers() -> ModuleType:
    """The module `cluster.py`."""
    return _load("cluster")


class Answer:
    def __init__(self, messages: Sequence[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {k.decode(): v.decode() for k, v in messages[0]["headers"]}
        self.warnings = [v.decode() for k, v in messages[0]["headers"] if k == b"warning"]
        self.body = b"".join(m.get("body", b"") for m in messages[1:])

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def _call(server: Any, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """A header's name is written with underscores."""
    data = body if isinstance(body, bytes) else orjson.dumps(body) if body is not None else b""
    target, _, query = path.partition("?")
    given = {"authorization": "Bearer admin-token", **{k.replace("_", "-"): v for k, v in headers.items()}}
    pairs = [(k.encode(), v.encode()) for k, v in given.items() if v]
    scope = {"type": "http", "method": method, "path": target, "query_string": query.encode(), "headers": pairs}
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": data})
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await server.app(scope, incoming.get, send)
    return Answer(sent)


@pytest.fixture
def ask() -> Any:
    """`await ask(server, "GET", "/api", body, accept="…")`."""
    return _call
