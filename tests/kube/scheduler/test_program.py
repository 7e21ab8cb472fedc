"""The scheduler as a program beside an API server, over HTTPS, with the rights of system:kube-scheduler alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.kube.scheduler.live_cluster import Live, live

from terrarium.base.diagnostics import Failure
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import EVENTS, LEASES, PODS, ApiError
from terrarium.kube.scheduler.configuration import effective
from terrarium.kube.scheduler.program import Options, Program

BASE = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def configuration(**more: Any) -> Obj:
    return effective({**BASE, "leaderElection": {"leaderElect": False}, **more})


def program(cluster: Live, elect: bool = False, **more: Any) -> Program:
    options = Options(configuration(**more), elect, host="test", port=None)
    return Program(cluster.over_http(), cluster.clock, cluster.ids, options)


class Running:
    """A program that runs until it is stopped in good order, or killed."""

    def __init__(self, of: Program) -> None:
        self.program = of
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(of.run(self.stopping))

    async def stop(self) -> None:
        self.stopping.set()
        await self.task

    async def kill(self) -> None:
        """Nothing that is under way is waited for."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def in_cluster(body: Callable[[Live], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def run() -> None:
        async with live(folder) as cluster:
            await body(cluster)

    asyncio.run(run())


def all_placed(placed: dict[str, str]) -> bool:
    return bool(placed) and all(placed.values())


async def scheduled_events(cluster: Live) -> list[str]:
    events = (await cluster.client.list(EVENTS, "default")).items
    return sorted(e["involvedObject"]["name"] for e in events if e["reason"] == "Scheduled")


def test_schedules_with_its_own_rights(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        running = Running(program(cluster))
        await cluster.node("n1", cpu="1")
        await cluster.pod("fits")
        await cluster.pod("too-large", cpu="3")
        await cluster.until(lambda placed: placed["fits"] == "n1")
        await asyncio.sleep(0)
        await running.stop()
        large = await cluster.client.get(PODS, "too-large", "default")
        (condition,) = large["status"]["conditions"]
        assert (condition["reason"], condition["status"]) == ("Unschedulable", "False")
        assert condition["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")
        assert await scheduled_events(cluster) == ["fits"]

    in_cluster(body, tmp_path)


def test_beside_the_default_scheduler(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        first = Running(program(cluster))
        second = Running(program(cluster, profiles=[{"schedulerName": "second"}]))
        await cluster.node("n1")
        await cluster.pod("a")
        await cluster.pod("b", schedulerName="second")
        await cluster.pod("c", schedulerName="nobody")
        placed = await cluster.until(lambda p: bool(p["a"] and p["b"]))
        assert placed["c"] == ""
        await first.stop()
        await second.stop()
        events = (await cluster.client.list(EVENTS, "default")).items
        assert {e["involvedObject"]["name"]: e["reportingComponent"] for e in events} == {
            "a": "default-scheduler",
            "b": "second",
        }

    in_cluster(body, tmp_path)


def test_one_leader_and_a_successor(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        times = {"leaseDuration": "2s", "renewDeadline": "1s", "retryPeriod": "200ms"}
        candidates = [Running(program(cluster, True, leaderElection=times)) for _ in range(2)]
        await cluster.node("n1")
        await cluster.pod("a")
        await cluster.until(all_placed)
        leaders = [c for c in candidates if c.program.leads]
        assert len(leaders) == 1
        await leaders[0].stop()
        await cluster.pod("b")
        await cluster.until(all_placed)
        (other,) = [c for c in candidates if c is not leaders[0]]
        assert other.program.leads
        await other.stop()
        lease = await cluster.client.get(LEASES, "kube-scheduler", "kube-system")
        assert not lease["spec"].get("holderIdentity")
        assert lease["spec"]["leaseTransitions"] >= 1
        assert await scheduled_events(cluster) == ["a", "b"]

    in_cluster(body, tmp_path)


def test_a_leader_that_is_pushed_aside_stops(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        times = {"leaseDuration": "2s", "renewDeadline": "1s", "retryPeriod": "100ms"}
        running = Running(program(cluster, True, leaderElection=times))
        await cluster.node("n1")
        await cluster.pod("a")
        await cluster.until(all_placed)
        while True:
            lease = await cluster.client.get(LEASES, "kube-scheduler", "kube-system")
            with suppress(ApiError):
                spec = {**lease["spec"], "holderIdentity": "somebody else"}
                await cluster.client.update(LEASES, {**lease, "spec": spec})
                break
        with pytest.raises(Failure, match="leader election lost"):
            await running.task

    in_cluster(body, tmp_path)


def test_killed_in_the_middle(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        for number in range(4):
            await cluster.node(f"n{number}", cpu="2", pods="20")
        for number in range(40):
            await cluster.pod(f"p{number}", cpu="200m")
        for least in (3, 15, 30):
            running = Running(program(cluster))
            await cluster.until(lambda placed, least=least: sum(map(bool, placed.values())) >= least)  # type: ignore[misc]
            await running.kill()
        running = Running(program(cluster))
        placed = await cluster.until(all_placed)
        await running.stop()
        counts = {node: list(placed.values()).count(node) for node in placed.values()}
        assert counts == {f"n{number}": 10 for number in range(4)}

    in_cluster(body, tmp_path)


async def ask(program: Program, path: str, token: str = "") -> tuple[int, str]:
    answer = await program.door.answer("GET", path, {"authorization": f"Bearer {token}"} if token else {})
    return answer.status, answer.body


def test_the_door(tmp_path: Path) -> None:
    async def body(cluster: Live) -> None:
        options = replace(Options(configuration(), False, host="test"), port=0)
        running = Running(Program(cluster.over_http(), cluster.clock, cluster.ids, options))
        await cluster.node("n1")
        await cluster.pod("a")
        await cluster.until(all_placed)
        its = running.program
        for path in ("/healthz", "/livez", "/readyz", "/healthz/ping"):
            assert await ask(its, path) == (200, "ok")
        assert (await ask(its, "/readyz?verbose"))[1].endswith(
            "[+]informer-sync ok\n[+]leaderElection ok\nreadyz check passed\n"
        )
        assert (await ask(its, "/healthz/nothing"))[0] == 404
        # Metrics are for those whom the cluster lets see them.
        assert (await ask(its, "/metrics"))[0] == 403
        assert (await ask(its, "/metrics", "nonsense"))[0] == 401
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
        from terrarium.kube.client.contract import SERVICE_ACCOUNTS, Resource

        await cluster.client.create(SERVICE_ACCOUNTS, account, "default")
        rbac = {"apiVersion": "rbac.authorization.k8s.io/v1"}
        await cluster.client.create(
            Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings"),
            {
                **rbac,
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "reader"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "system:monitoring",
                },
                "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "default"}],
            },
        )
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = await cluster.client.create(SERVICE_ACCOUNTS, request, "default", name="reader", subresource="token")
        status, text = await ask(its, "/metrics", token["status"]["token"])
        assert status == 200
        lines = text.splitlines()
        assert 'scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1' in lines
        assert 'scheduler_cache_size{type="nodes"} 1' in lines
        assert 'scheduler_pending_pods{queue="active"} 0' in lines
        # And the same over the wire, with the certificate it made for itself.
        import ssl

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", its.door.port, ssl=context)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = await reader.read()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n") and said.endswith(b"\r\n\r\nok")
        writer.close()
        await running.stop()

    in_cluster(body, tmp_path)
