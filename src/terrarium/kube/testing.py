"""An API server for tests of controllers and clients: in a thread of its own, ready in a moment, gone at the end.

`serving` is a context manager; `pytest_plugin` makes a fixture of it. The kubeconfig is named in `KUBECONFIG`, so that
kubectl, lightkube, the official client, kr8s and kopf find the server without being told.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from terrarium.kube.apiserver.server import ApiServer

Result = TypeVar("Result")
COMPONENTS = ("controllers", "scheduler")


@dataclass(frozen=True, slots=True)
class Kube:
    """A running server. `kubeconfig` is the file of an administrator, `ca` the PEM of its authority."""

    url: str
    kubeconfig: Path
    ca: bytes
    server: ApiServer
    _loop: asyncio.AbstractEventLoop

    def run(self, work: Callable[[ApiServer], Awaitable[Result]]) -> Result:
        """Does `work` in the server's own loop and waits for it: `kube.run(lambda s: s.client().get(PODS, "p"))`."""

        async def go() -> Result:
            return await work(self.server)

        return asyncio.run_coroutine_threadsafe(go(), self._loop).result()

    def advance(self, seconds: float) -> None:
        """Moves the cluster's clock ahead: tokens and events expire, controllers do what is due."""
        asyncio.run_coroutine_threadsafe(self.server.clock.advance(seconds), self._loop).result()

    def kubeconfig_of(self, user: str, *groups: str) -> str:
        """The text of a kubeconfig of any user."""
        return self.server.kubeconfig(user, groups)


@contextmanager
def serving(minor: int = 33, components: Sequence[str] = (), folder: Path | None = None) -> Iterator[Kube]:
    """A server of Kubernetes 1.`minor` with what of `COMPONENTS` is wanted. Sets `KUBECONFIG` as long as it runs."""
    unknown = [name for name in components if name not in COMPONENTS]
    if unknown:
        raise ValueError(f"there is no component {unknown[0]!r}; there are {', '.join(COMPONENTS)}")
    with tempfile.TemporaryDirectory(prefix="terrarium-kube-") as scratch:
        place = folder or Path(scratch)
        ready: list[Kube | BaseException] = []
        started, stopping = threading.Event(), asyncio.Event()
        loop = asyncio.new_event_loop()

        async def serve() -> None:
            async with AsyncExitStack() as stack:
                try:
                    server = await _start(stack, place, minor, components)
                    path = place / "kubeconfig"
                    path.touch(mode=0o600)
                    path.write_text(server.admin_kubeconfig())
                    ready.append(Kube(server.url, path, server.ca, server, loop))
                except BaseException as wrong:
                    ready.append(wrong)
                    return
                finally:
                    started.set()
                await stopping.wait()

        thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="terrarium-kube", daemon=True)
        thread.start()
        started.wait()
        kube = ready[0]
        if isinstance(kube, BaseException):
            thread.join()
            loop.close()
            raise kube
        before = os.environ.get("KUBECONFIG")
        os.environ["KUBECONFIG"] = str(kube.kubeconfig)
        try:
            yield kube
        finally:
            if before is None:
                os.environ.pop("KUBECONFIG", None)
            else:
                os.environ["KUBECONFIG"] = before
            loop.call_soon_threadsafe(stopping.set)
            thread.join()
            loop.close()


async def _start(stack: AsyncExitStack, folder: Path, minor: int, components: Sequence[str]) -> ApiServer:
    from terrarium.base.clock import Clock
    from terrarium.base.ids import Ids
    from terrarium.kube.api.builtin import registry
    from terrarium.kube.apiserver.server import ApiServer, ServerConfig
    from terrarium.kube.storage.memory import MemoryStorage

    clock, ids = Clock(), Ids()
    server = ApiServer(ServerConfig(folder, minor=minor), MemoryStorage(), registry(minor), clock, ids)
    await server.start()
    stack.push_async_callback(server.close)
    if "controllers" in components:
        from terrarium.kube.controllers.manager import ControllerManager, Options

        controllers = ControllerManager(server.client(), clock, ids, Options(root_ca=server.ca.decode()))
        await controllers.start()
        stack.push_async_callback(controllers.close)
    if "scheduler" in components:
        from terrarium.kube.scheduler.server import Scheduler

        scheduler = Scheduler(server.client("system:kube-scheduler"), clock, ids, None)
        await scheduler.start()
        stack.push_async_callback(scheduler.close)
    return server
