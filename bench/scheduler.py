"""How fast pods find their nodes: the decision alone, on 5,000 nodes and with every node scored.

`decide` measures three mixes in one thread: a pod is decided and assumed, and the next one sees it standing. Goals:
plain 5,000 pods/s, spread 2,000, anti 2,000. The rival's figures are recorded ones of kube-scheduler 1.33 on two quiet cores.
"""

from __future__ import annotations

import asyncio
import gc
import random
import resource
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import orjson
import uvloop

from terrarium.base.clock import Clock, stopwatch
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.builtin import registry
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.client.contract import NODES as NODES_OF_API
from terrarium.kube.client.contract import PODS, SERVICE_ACCOUNTS, Client, ObjectList, Resource, WatchEvent
from terrarium.kube.client.informer import Informer
from terrarium.kube.scheduler.cycle import decide
from terrarium.kube.scheduler.fast import FastPath
from terrarium.kube.scheduler.profiles import framework
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.scheduler.snapshot import Snapshot
from terrarium.kube.scheduler.views import read_node, read_pod
from terrarium.kube.storage.memory import MemoryStorage

NODES = 5_000
HOSTNAME, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def node(number: int) -> dict[str, Any]:
    """8 CPU, 32 GiB, 110 pods, in one of three zones."""
    name = f"node-{number:05}"
    resources = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    labels = {HOSTNAME: name, ZONE: f"zone-{number % 3}", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {},
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def _pod(number: int, app: str, cpu: str, memory: str, **spec: Any) -> dict[str, Any]:
    container = {
        "name": "c",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": cpu, "memory": memory}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{app}-{number}", "namespace": "default", "labels": {"app": app}},
        "spec": {"containers": [container], **spec},
    }


def _small(number: int) -> dict[str, Any]:
    """A pod that stands already."""
    return _pod(number, "small", "50m", "64Mi", nodeName=f"node-{number % NODES:05}")


REQUESTS = (("50m", "64Mi"), ("100m", "128Mi"), ("250m", "512Mi"), ("500m", "1Gi"), ("1", "2Gi"), ("2", "4Gi"))


def plain(number: int) -> dict[str, Any]:
    return _pod(number, "plain", *REQUESTS[number % len(REQUESTS)])


def spread(number: int) -> dict[str, Any]:
    app = f"app-{number % 10}"
    own = {"matchLabels": {"app": app}}
    constraint = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": own}
    term = {"weight": 100, "podAffinityTerm": {"topologyKey": HOSTNAME, "labelSelector": own}}
    apart = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}
    return _pod(number, app, "100m", "128Mi", topologySpreadConstraints=[constraint], affinity=apart)


def anti(number: int) -> dict[str, Any]:
    term = {"topologyKey": HOSTNAME, "labelSelector": {"matchLabels": {"app": "anti"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    return _pod(number, "anti", "100m", "128Mi", affinity=apart)


MIXES: Mapping[str, tuple[Callable[[int], dict[str, Any]], int, str]] = {
    "plain": (plain, 10_000, "983 sampling, 118 scoring all"),
    "spread": (spread, 10_000, "249 sampling, 92 scoring all"),
    "anti": (anti, 4_900, "397 sampling, 98 scoring all"),
}
"""Each mix: its pods, how many are placed, and what kube-scheduler 1.33 was recorded to do per second."""


def _memory() -> float:
    """The most memory this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _cpu() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def decisions(mix: str, few: int | None = None, standing: int = 0) -> None:
    make, count, recorded = MIXES[mix]
    count = few or count
    there = [read_pod(_small(n)) for n in range(standing)]
    snapshot = Snapshot.of([read_node(node(n)) for n in range(NODES)], there)
    fast, profile, dice = FastPath(), framework(), random.Random(7)
    pods = [read_pod(make(n)) for n in range(count)]
    gc.collect()
    first = stopwatch()
    fast.prepare(snapshot)
    prepared = first()
    halves: list[float] = []
    elapsed, cpu = stopwatch(), _cpu()
    for at, pod in enumerate(pods):
        decision = decide(profile, pod, snapshot, dice.choice, fast=fast)
        snapshot.by_name[decision.node].add(pod)
        if at == 0:
            beginning = first() - prepared
        if at in (count // 2, count - 1):
            halves.append(elapsed())
    seconds, used = elapsed(), _cpu() - cpu
    later = (halves[1] - halves[0]) / halves[0]
    print(
        f"{mix:<8}{standing:>8}{count:>8}{count / seconds:>10.0f}{used * 1000 / count:>12.3f}{prepared * 1000:>12.0f}{beginning * 1000:>12.1f}"
        f"{later:>10.2f}{_memory():>8.0f}   {recorded}"
    )


async def _bound(mix: str, count: int, folder: Path) -> None:
    """Pods are created through the API while the scheduler binds those that came before: all in one process."""
    clock, ids = Clock(), Ids()
    server = ApiServer(ServerConfig(folder, port=0), MemoryStorage(), registry(), clock, ids)
    await server.start()
    admin = server.client()
    for number in range(NODES):
        made = await admin.create(NODES_OF_API, node(number))
        # A node begins with the taint of one that is not ready.
        await admin.update(NODES_OF_API, {**made, "spec": {}})
    account = {"metadata": {"name": "default", "namespace": "default"}}
    await admin.create(SERVICE_ACCOUNTS, account, "default")
    make, writers = MIXES[mix][0], 16

    async def write(first: int) -> None:
        for number in range(first, count, writers):
            await admin.create(PODS, make(number))

    gc.collect()
    elapsed, cpu = stopwatch(), _cpu()
    await asyncio.gather(*(write(first) for first in range(writers)))
    created, creating = elapsed(), _cpu() - cpu

    tasks, done, bound = Tasks("bench"), asyncio.Event(), 0
    pods = Informer(admin, PODS, clock)

    def changed(old: Any, new: Any) -> None:
        nonlocal bound
        if new is not None and new["spec"].get("nodeName") and not (old or {"spec": {}})["spec"].get("nodeName"):
            bound += 1
            if bound == count:
                done.set()

    pods.on_change(changed)
    pods.start(tasks)
    await pods.synced()
    scheduler = Scheduler(server.client("system:kube-scheduler"), clock, ids)
    gc.collect()
    # From here on: the list, the decisions, the bindings, the events.
    elapsed, cpu = stopwatch(), _cpu()
    await scheduler.start()
    await done.wait()
    seconds, binding = elapsed(), _cpu() - cpu
    print(
        f"{mix:<8}{count:>8}{count / seconds:>10.0f}{count / created:>12.0f}{binding * 1000 / count:>14.2f}"
        f"{(creating + binding) * 1000 / count:>10.2f}{_memory():>8.0f}   {BOUND[mix]}"
    )
    await tasks.close()
    await scheduler.close()
    await server.close()


def end_to_end(mix: str, count: int) -> None:
    # As `terrarium kube serve` does.
    gc.set_threshold(50_000, 20, 100)
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as folder:
        uvloop.run(_bound(mix, count, Path(folder)))


class _FullCluster:
    """A cluster of many bound pods, as a remote API server would list it: each page is read from JSON."""

    def __init__(self, pods: int) -> None:
        self._pods = pods

    async def list(self, resource: Resource, namespace: str = "", **options: Any) -> ObjectList:
        first = int(options.get("next") or 0)
        count = {PODS: self._pods, NODES_OF_API: NODES}.get(resource, 0)
        make = _stored_pod if resource == PODS else node
        items = [orjson.loads(orjson.dumps(make(n))) for n in range(first, min(first + 500, count))]
        for at, item in enumerate(items, first):
            item["metadata"] |= {"uid": f"4b1c0f7e-0000-4000-8000-{at:012}", "resourceVersion": str(at + 1)}
        return ObjectList(items, "1000000", str(first + 500) if first + 500 < count else "")

    async def watch(self, resource: Resource, namespace: str = "", **options: Any) -> AsyncIterator[WatchEvent]:
        await asyncio.Event().wait()
        yield WatchEvent("BOOKMARK", {})


def _stored_pod(number: int) -> dict[str, Any]:
    """A bound pod with what an API server and a kubelet add to it."""
    pod = plain(number)
    token = f"kube-api-access-{number:05}"
    pod["metadata"] |= {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [
            {
                "manager": m,
                "operation": "Update",
                "fieldsType": "FieldsV1",
                "fieldsV1": {f"f:{k}": {} for k in range(20)},
            }
            for m in ("kube-controller-manager", "kubelet")
        ],
    }
    pod["spec"] |= {
        "nodeName": f"node-{number % NODES:05}",
        "volumes": [{"name": token, "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
        "tolerations": [
            {"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            for k in ("not-ready", "unreachable")
        ],
    }
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": token, "mountPath": "/var/run/secrets"}]
    pod["status"] = {
        "phase": "Running",
        "startTime": "2026-01-01T00:00:01Z",
        "conditions": [{"type": t, "status": "True"} for t in ("PodScheduled", "Initialized", "Ready")],
        "containerStatuses": [
            {"name": "c", "ready": True, "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}}}
        ],
    }
    return pod


async def _filled(pods: int) -> None:
    """The scheduler's memory over a full cluster, and what a decision costs then."""
    scheduler = Scheduler(cast(Client, _FullCluster(pods)), Clock(), Ids())
    elapsed, cpu = stopwatch(), _cpu()
    await scheduler.start()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    print(
        f"{pods:>8} pods on {NODES} nodes: {resident:.0f} MB now, {_memory():.0f} MB at most, "
        f"read in {elapsed():.1f} s ({_cpu() - cpu:.1f} CPU s)"
    )
    await scheduler.close()


BOUND = {"plain": "278 (3.3-5.7 CPU s)", "spread": "126", "anti": "107"}
"""What kube-scheduler and kube-apiserver with etcd were recorded to do on a busy machine of two cores."""


def main(arguments: list[str]) -> int:
    chosen = [name for name in MIXES if not set(arguments) & set(MIXES) or name in arguments]
    if "decide" in arguments or not set(arguments) & {"bound", "memory"}:
        print("decision alone, 5,000 nodes, every node scored, one thread; the rival's figures are recorded ones")
        print(
            f"{'mix':<8}{'before':>8}{'pods':>8}{'pods/s':>10}{'CPU ms/pod':>12}{'prepare, ms':>12}{'first, ms':>12}{'2nd/1st':>10}"
            f"{'MB':>8}   kube-scheduler 1.33, pods/s"
        )
        for mix in chosen:
            decisions(mix)
            decisions(mix, standing=100_000)
    if "bound" in arguments or not set(arguments) & {"decide", "memory"}:
        print("bound through our API server, all in one process; CPU is seconds for 1,000 pods")
        print(
            f"{'mix':<8}{'pods':>8}{'bound/s':>10}{'created/s':>12}{'CPU to bind':>14}{'all in':>10}{'MB':>8}"
            "   kube-scheduler 1.33, bound/s"
        )
        for mix in chosen:
            end_to_end(mix, 4_000)
    if "memory" in arguments or not arguments:
        uvloop.run(_filled(100_000))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
