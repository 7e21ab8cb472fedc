"""The kubelet with the simulated runtime on a real API server, in process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.kube.api import builtin
from terrarium.kube.api.hooks import LogOptions
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.client.contract import CONFIG_MAPS, EVENTS, NODES, PODS, SERVICE_ACCOUNTS, Client
from terrarium.kube.storage.memory import MemoryStorage
from terrarium.runtime.kubelet.manager import Kubelets
from terrarium.runtime.kubelet.nodes import NodeSpec
from terrarium.runtime.simulated.runtime import SimulatedRuntime


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock(frozen=True)
        config = ServerConfig(folder / "server", port=None)
        self.server = ApiServer(config, MemoryStorage(), builtin.registry(), self.clock, Ids(1))
        self.client: Client = self.server.client()
        self.kubelets = self._kubelets(2)

    def _kubelets(self, seed: int) -> Kubelets:
        runtime = SimulatedRuntime(self.clock, Ids(seed), self.folder / "runtime")
        return Kubelets(self.clock, Ids(seed), [runtime], self.folder / "pods")

    async def begin(self) -> None:
        await self.server.start()
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await self.client.create(SERVICE_ACCOUNTS, account, "default")
        await self.kubelets.start(self.client)
        await self.kubelets.add_node(NodeSpec("node-1", address="10.0.0.1"))
        # Nobody watches over nodes here, so nobody takes the first taint away.
        await self.client.patch(NODES, "node-1", {"spec": {"taints": None}}, type="merge")

    async def restart(self) -> None:
        """As after a kill: a new kubelet on the same folder."""
        await self.kubelets.close()
        self.kubelets = self._kubelets(3)
        await self.kubelets.start(self.client)
        await self.kubelets.add_node(NodeSpec("node-1", address="10.0.0.1"))

    async def close(self) -> None:
        await self.kubelets.close()
        await self.server.close()

    async def create(self, name: str, script: str, **more: Any) -> None:
        container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **more.pop("container", {})}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"nodeName": "node-1", "containers": [container], "automountServiceAccountToken": False, **more},
        }
        await self.client.create(PODS, pod, "default")

    async def pod(self, name: str, ready: Callable[[Any], Any]) -> Any:
        """The pod as soon as `ready` holds for its status."""
        found: Any = None
        for _ in range(3000):
            found = await self.client.get(PODS, name, "default")
            if ready(found["status"]):
                return found
            await asyncio.sleep(0)
        return found

    async def logs(self, pod: Any, **options: Any) -> str:
        pieces = [piece async for piece in self.kubelets.logs(pod, LogOptions(**options))]
        return b"".join(pieces).decode()

    async def reasons(self, name: str) -> list[str]:
        for _ in range(200):
            await asyncio.sleep(0)
        events = (await self.client.list(EVENTS, "default")).items
        return [e["reason"] for e in events if e["involvedObject"]["name"] == name]


def play(folder: Path, story: Callable[[Bench], Awaitable[None]]) -> None:
    async def go() -> None:
        bench = Bench(folder)
        await bench.begin()
        try:
            await story(bench)
        finally:
            await bench.close()

    asyncio.run(go())


def phase(wanted: str) -> Callable[[Any], bool]:
    return lambda status: bool(status.get("phase") == wanted)


def state(kind: str) -> Callable[[Any], Any]:
    return lambda status: (status.get("containerStatuses") or [{"state": {}}])[0]["state"].get(kind)


@pytest.mark.parametrize(
    "script, ends, code, reason",
    [("echo hello; exit 0", "Succeeded", 0, "Completed"), ("echo oh >&2; exit 7", "Failed", 7, "Error")],
)
def test_a_pod_that_ends(script: str, ends: str, code: int, reason: str, tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.create("one", script, restartPolicy="Never")
        pod = await bench.pod("one", phase(ends))
        ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
        assert (pod["status"]["phase"], ended["exitCode"], ended["reason"]) == (ends, code, reason)
        assert await bench.logs(pod) == ("hello\n" if code == 0 else "oh\n")
        assert {"Pulling", "Pulled", "Created", "Started"} <= set(await bench.reasons("one"))

    play(tmp_path, story)


def test_crash_loop(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.create("one", "echo again; exit 1")
        waiting = await bench.pod("one", lambda s: (state("waiting")(s) or {}).get("reason") == "CrashLoopBackOff")
        status = waiting["status"]["containerStatuses"][0]
        assert status["restartCount"] == 1
        assert status["state"]["waiting"]["message"].startswith("back-off 10s restarting failed container=main")
        assert status["lastState"]["terminated"]["exitCode"] == 1
        await bench.clock.advance(10)
        again = await bench.pod("one", lambda s: s["containerStatuses"][0]["restartCount"] == 2)
        assert again["status"]["phase"] == "Running"
        assert "BackOff" in await bench.reasons("one")

    play(tmp_path, story)


@pytest.mark.parametrize(
    "image, reason", [("nonexistent:1", "ImagePullBackOff"), ("nginx:nonexistent", "ImagePullBackOff")]
)
def test_an_image_that_is_not_there(image: str, reason: str, tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.create("one", "true", container={"image": image})
        pod = await bench.pod("one", lambda s: (state("waiting")(s) or {}).get("reason") == reason)
        assert pod["status"]["phase"] == "Pending"
        assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
        assert {"Failed", "BackOff"} <= set(await bench.reasons("one"))

    play(tmp_path, story)


def test_files_and_variables(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "value"}}
        await bench.client.create(CONFIG_MAPS, config, "default")
        env = [
            {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "BOTH", "value": "$(KEY)@$(NODE)"},
        ]
        mount = [{"name": "v", "mountPath": "/etc/config"}]
        await bench.create(
            "one",
            "cat /etc/config/key; echo; echo $BOTH; hostname",
            restartPolicy="Never",
            volumes=[{"name": "v", "configMap": {"name": "c"}}],
            container={"env": env, "volumeMounts": mount},
        )
        pod = await bench.pod("one", phase("Succeeded"))
        assert await bench.logs(pod) == "value\nvalue@node-1\none\n"

    play(tmp_path, story)


def test_running_pods_go_on_after_a_restart(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.create("one", "i=0; while true; do i=$((i+1)); echo line $i; sleep 10; done")
        before = await bench.pod("one", state("running"))
        await bench.clock.advance(25)
        assert await bench.logs(before) == "line 1\nline 2\nline 3\n"
        await bench.restart()
        await bench.clock.advance(10)
        after = await bench.pod("one", state("running"))
        status = after["status"]["containerStatuses"][0]
        assert (status["restartCount"], status["containerID"]) == (
            0,
            before["status"]["containerStatuses"][0]["containerID"],
        )
        assert after["status"]["podIP"] == before["status"]["podIP"]
        assert await bench.logs(after) == "line 1\nline 2\nline 3\nline 4\n"

    play(tmp_path, story)


def test_init_containers_come_first(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        init = [{"name": "first", "image": "busybox", "command": ["sh", "-c", "sleep 5; echo ready"]}]
        await bench.create("one", "sleep 60", initContainers=init)
        pod = await bench.pod("one", lambda s: s.get("initContainerStatuses"))
        assert pod["status"]["phase"] == "Pending"
        await bench.clock.advance(6)
        pod = await bench.pod("one", phase("Running"))
        assert await bench.logs(pod, container="first") == "ready\n"
        conditions = {c["type"]: c["status"] for c in pod["status"]["conditions"]}
        assert (conditions["Initialized"], conditions["Ready"]) == ("True", "True")

    play(tmp_path, story)


def test_a_deleted_pod_goes(tmp_path: Path) -> None:
    async def story(bench: Bench) -> None:
        await bench.create("one", "sleep 3600")
        await bench.pod("one", state("running"))
        await bench.client.delete(PODS, "one", "default")
        for _ in range(3000):
            if not (await bench.client.list(PODS, "default")).items:
                break
            await asyncio.sleep(0)
        assert not (await bench.client.list(PODS, "default")).items
        assert "Killing" in await bench.reasons("one")

    play(tmp_path, story)
