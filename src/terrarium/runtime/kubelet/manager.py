"""Kubelets of many nodes in one process: they register nodes, keep leases, run a worker for each pod, and are the door
through which an API server reaches logs, exec and ports.

One informer of all pods serves all nodes; one loop renews all leases.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock, parse_rfc3339, real_sleep, rfc3339, rfc3339_micro
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.hooks import KubeletRefusal, LogOptions, Stream
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import (
    CONFIG_MAPS,
    LEASES,
    NODES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    ApiError,
    Client,
    Resource,
)
from terrarium.kube.client.informer import Informer, Informers
from terrarium.kube.client.recorder import Recorder
from terrarium.runtime.contract import NetworkUser, Runtime, RuntimeFailure
from terrarium.runtime.kubelet import files, logs, nodes
from terrarium.runtime.kubelet.journal import Journal
from terrarium.runtime.kubelet.network import ClusterNetwork
from terrarium.runtime.kubelet.nodes import NodeSpec
from terrarium.runtime.kubelet.worker import Worker

log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
MANY_NODES = 200
"""From here on leases are renewed half as often: still well within their 40 s."""
POD_RANGE = "10.244.0.0/14"


class ApiSource(files.Source):
    """ConfigMaps, Secrets, Services and tokens from the API."""

    def __init__(self, kubelets: Kubelets, informers: Informers) -> None:
        self._kubelets = kubelets
        self._services = informers.of(SERVICES)

    async def data(self, kind: str, namespace: str, name: str) -> Mapping[str, bytes] | None:
        resource: Resource = {"configmap": CONFIG_MAPS, "secret": SECRETS}[kind]
        try:
            return files.data_of(await self._kubelets.client.get(resource, name, namespace))
        except ApiError as error:
            if error.code == 404:
                return None
            raise files.Missing(str(error)) from None

    def services(self, namespace: str) -> Iterable[Obj]:
        return self._services.items()

    async def token(self, pod: Obj, audience: str, seconds: int) -> str:
        meta = pod["metadata"]
        account = pod["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
        spec: dict[str, Any] = {"expirationSeconds": max(seconds, 600), "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        node = self._kubelets.nodes.get(pod["spec"].get("nodeName", ""))
        client = node.client if node is not None else self._kubelets.client
        try:
            answer = await client.create(
                SERVICE_ACCOUNTS, request, meta["namespace"], name=account, subresource="token"
            )
        except ApiError as error:
            raise files.Missing(f"failed to fetch token: {error}") from None
        return str(answer["status"]["token"])


class Node:
    """A registered node: its spec, what it has pulled, and the client of its kubelet."""

    def __init__(self, kubelets: Kubelets, spec: NodeSpec, client: Client, runtime: Runtime) -> None:
        self.spec = spec
        self.client = client
        self.runtime = runtime
        self.images: dict[str, tuple[str, int]] = {}
        self.silent = False
        self._kubelets = kubelets
        version = spec.info.get("kubeletVersion", spec.version).removeprefix("v").split(".")
        self.minor = int(version[1]) if len(version) > 1 and version[1].isdigit() else 33

    async def address_for(self, pod: Obj) -> str:
        if self.spec.shares_address or pod["spec"].get("hostNetwork"):
            return self.spec.address
        if self.spec.pod_address is not None:
            return await self.spec.pod_address(pod)
        return self._kubelets.next_address()

    def refusal(self, pod: Obj) -> tuple[str, str] | None:
        """Why this node can't run the pod (reason, message), None when it can."""
        limit = int((self.spec.allocatable or self.spec.capacity).get("pods", "110"))
        others = self._kubelets.pods_on(self.spec.name, pod["metadata"]["uid"])
        if others >= limit:
            text = (
                "Pod was rejected: Node didn't have enough resource: pods, requested: 1, "
                f"used: {others}, capacity: {limit}"
            )
            return "OutOfpods", text
        return None


class Kubelets:
    """All kubelets of a cluster. `runtimes` belong to it from now on, the first is the default; `directory` holds pods'
    files and logs. It is a `KubeletDoor` before it is started, as the API server needs its door first."""

    client: Client
    source: ApiSource
    network: ClusterNetwork

    def __init__(self, clock: Clock, ids: Ids, runtimes: Sequence[Runtime], directory: Path) -> None:
        self.clock = clock
        self.ids = ids
        self.runtimes = {runtime.name: runtime for runtime in runtimes}
        self.directory = directory
        self.nodes: dict[str, Node] = {}
        self.tasks = Tasks("kubelets")
        self._informers: Informers | None = None
        self._workers: dict[str, Worker] = {}
        self._counts: dict[str, set[str]] = {}
        self._journal = Journal(directory / "sandboxes.jsonl")
        self._wakers: dict[str, asyncio.Event] = {}
        self._addresses = ipaddress.ip_network(POD_RANGE).hosts()
        self._taken: set[str] = set()
        self._by_address: dict[str, str] = {}

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self, client: Client) -> None:
        """Takes up what an earlier process left; pods of nodes that are added later follow then."""
        self.client = client
        self.events = Recorder(client, self.clock, "kubelet")
        self.events.start(self.tasks)
        informers = self._informers = Informers(client, self.clock, self.tasks)
        self.source = ApiSource(self, informers)
        self.network = ClusterNetwork(self, informers)
        self._journal.open()
        for uid, _, ip in self._journal.items():
            self._taken.add(ip)
            self._by_address[ip] = uid
        for runtime in self.runtimes.values():
            if isinstance(runtime, NetworkUser):
                runtime.use_network(self.network)
            await runtime.start()
        pods = informers.of(PODS)
        pods.add_index("node", lambda pod: [pod["spec"]["nodeName"]] if pod["spec"].get("nodeName") else [])
        await informers.synced()
        await self._drop_lost(pods)
        pods.on_change(self._pod_changed)
        self.tasks.keep("leases", self._renew)

    async def _drop_lost(self, pods: Informer) -> None:
        """Sandboxes of pods that were removed while nobody looked."""
        alive = {str(p["metadata"]["uid"]) for p in pods.items()}
        for uid, sandbox, _ in self._journal.items():
            if uid not in alive:
                for runtime in self.runtimes.values():
                    await runtime.remove_sandbox(sandbox)
                self.forget_sandbox(uid)

    async def close(self) -> None:
        for worker in list(self._workers.values()):
            await worker.let_go()
        await self.tasks.close()
        for runtime in self.runtimes.values():
            await runtime.close()

    # -- nodes ------------------------------------------------------------------------------------------------------

    async def add_node(self, spec: NodeSpec) -> None:
        """Registers the node, or takes up the one that stands; its pods start to run."""
        groups = ("system:nodes", "system:authenticated")
        client = self.client.acting_as(f"system:node:{spec.name}", groups)
        runtime = self.runtimes[spec.runtime] if spec.runtime else next(iter(self.runtimes.values()))
        node = Node(self, spec, client, runtime)
        now = rfc3339(self.clock.now())
        try:
            made = await client.create(NODES, nodes.registered(spec))
            fresh = True
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            made, fresh = await client.get(NODES, spec.name), False
        status = nodes.status(spec, runtime.name, made["metadata"]["uid"], (), now)
        if fresh:
            patch = {"metadata": {"uid": made["metadata"]["uid"]}, "status": status}
            made = await client.patch(NODES, spec.name, patch, type="strategic", subresource="status")
        await self._hold_lease(node, made)
        self.nodes[spec.name] = node
        if fresh:
            self._tell_start(made)
        assert self._informers is not None
        for pod in self._informers.of(PODS).indexed("node", spec.name):
            self._pod_changed(None, pod)

    async def _hold_lease(self, node: Node, made: Obj) -> None:
        now = rfc3339_micro(self.clock.now())
        try:
            await node.client.create(LEASES, nodes.lease(node.spec, made, now), "kube-node-lease")
        except ApiError as error:
            if error.reason == "AlreadyExists":
                await self._renew_one(node, now)
            elif error.code not in (403, 404):
                raise

    def _tell_start(self, node: Obj) -> None:
        name = node["metadata"]["name"]
        about = {"kind": "Node", "name": name, "uid": name}
        for reason, text in (
            ("Starting", "Starting kubelet."),
            ("NodeHasSufficientMemory", f"Node {name} status is now: NodeHasSufficientMemory"),
            ("NodeHasNoDiskPressure", f"Node {name} status is now: NodeHasNoDiskPressure"),
            ("NodeHasSufficientPID", f"Node {name} status is now: NodeHasSufficientPID"),
            ("NodeAllocatableEnforced", "Updated Node Allocatable limit across pods"),
            ("NodeReady", f"Node {name} status is now: NodeReady"),
        ):
            self.events.refer(about, "Normal", reason, text, host=name)

    async def remove_node(self, name: str, delete: bool = True) -> None:
        """The machine is gone: nothing runs there any more, and (unless `delete` is False) the Node object goes."""
        node = self.nodes.pop(name, None)
        for uid in list(self._counts.pop(name, ())):
            worker = self._workers.pop(uid, None)
            if worker is not None:
                await worker.discard()
        if delete:
            for resource, namespace in ((NODES, ""), (LEASES, "kube-node-lease")):
                try:
                    await self.client.delete(resource, name, namespace)
                except ApiError as error:
                    if error.code not in (403, 404):
                        raise
        if node is None:
            log.debug("node %s was not known", name)

    def silence(self, name: str, silent: bool = True) -> None:
        """A fault: the kubelet renews no lease and reports nothing while it is silent."""
        self.nodes[name].silent = silent

    async def _renew(self) -> None:
        while True:
            await self.clock.heartbeat(LEASE_SECONDS if len(self.nodes) < MANY_NODES else 2 * LEASE_SECONDS)
            now = rfc3339_micro(self.clock.now())
            for node in list(self.nodes.values()):
                if not node.silent:
                    await self._renew_one(node, now)

    async def _renew_one(self, node: Node, now: str) -> None:
        name = node.spec.name
        try:
            await node.client.patch(LEASES, name, {"spec": {"renewTime": now}}, "kube-node-lease", type="merge")
        except (ApiError, OSError) as failure:
            log.debug("lease of %s: %s", name, failure)

    # -- pods -------------------------------------------------------------------------------------------------------

    def pods_on(self, node: str, besides: str) -> int:
        """How many pods that have not ended a node has, not counting one."""
        return sum(
            uid != besides and not self._workers[uid].finished
            for uid in self._counts.get(node, ())
            if uid in self._workers
        )

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        assert pod is not None
        uid = str(pod["metadata"]["uid"])
        worker = self._workers.get(uid)
        if new is None:
            if worker is not None:
                self.tasks.start(f"discard {uid}", self._discard(worker))
            return
        if worker is not None:
            worker.update(new)
            return
        node = self.nodes.get(new["spec"].get("nodeName", ""))
        if node is None:
            return
        worker = Worker(self, node, new, self._runtime_of(new, node))
        self._workers[uid] = worker
        self._counts.setdefault(node.spec.name, set()).add(uid)
        self.tasks.start(f"pod {uid}", self._run(worker))

    def _runtime_of(self, pod: Obj, node: Node) -> Runtime:
        wanted = (pod["metadata"].get("annotations") or {}).get("terrarium.dev/runtime", "")
        return self.runtimes.get(wanted, node.runtime)

    async def _run(self, worker: Worker) -> None:
        await worker.run()
        self._forget(worker)

    async def _discard(self, worker: Worker) -> None:
        self._forget(worker)
        await worker.discard()

    def _forget(self, worker: Worker) -> None:
        self._workers.pop(worker.uid, None)
        self._counts.get(worker.node.spec.name, set()).discard(worker.uid)
        self._wakers.pop(worker.uid, None)

    def condition(self, uid: str) -> asyncio.Event:
        """An event that `wake` sets once."""
        return self._wakers.setdefault(uid, asyncio.Event())

    def wake(self, uid: str) -> None:
        waker = self._wakers.pop(uid, None)
        if waker is not None:
            waker.set()

    # -- sandboxes --------------------------------------------------------------------------------------------------

    def next_address(self) -> str:
        for address in self._addresses:
            text = str(address)
            if text not in self._taken:
                self._taken.add(text)
                return text
        # Round again: addresses of pods that are gone are free.
        self._addresses = ipaddress.ip_network(POD_RANGE).hosts()
        return self.next_address()

    def known_sandbox(self, uid: str) -> tuple[str, str] | None:
        return self._journal.get(uid)

    def remember_sandbox(self, uid: str, sandbox: str, ip: str) -> None:
        self._journal.put(uid, sandbox, ip)
        self._by_address[ip] = uid

    def forget_sandbox(self, uid: str) -> None:
        known = self._journal.get(uid)
        self._journal.drop(uid)
        if known is not None:
            self._taken.discard(known[1])
            if self._by_address.get(known[1]) == uid:
                del self._by_address[known[1]]

    async def http_get(self, address: str, port: int, path: str) -> tuple[int, bytes]:
        """What the pod with this address answers. `RuntimeFailure` when nobody does."""
        worker = self._workers.get(self._by_address.get(address, ""))
        if worker is None or not worker.sandbox:
            raise RuntimeFailure("ConnectionRefused", f"dial tcp {address}:{port}: connect: no route to host")
        return await worker.runtime.http_get(worker.sandbox, port, path)

    # -- the door ---------------------------------------------------------------------------------------------------

    def _worker(self, pod: Obj) -> Worker:
        worker = self._workers.get(str(pod["metadata"]["uid"]))
        if worker is None:
            name = pod["spec"].get("nodeName", "")
            raise KubeletRefusal(f"no kubelet for node {name!r} runs here", 500, "InternalError")
        return worker

    def _container(self, worker: Worker, name: str) -> Any:
        names = [c.name for c in worker.containers]
        found = worker.container(name or names[0])
        if found is None:
            pod = worker.pod["metadata"]["name"]
            raise KubeletRefusal(f"container {name} is not valid for pod {pod}")
        return found

    async def logs(self, pod: Obj, options: LogOptions) -> AsyncIterator[bytes]:
        """As `kubectl logs` wants them; with `follow` until the container has ended."""
        worker = self._worker(pod)
        container = self._container(worker, options.container)
        where = f'container "{container.name}" in pod "{pod["metadata"]["name"]}"'
        if options.previous:
            if container.restarts == 0 and "terminated" not in container.last:
                meta = pod["metadata"]
                text = f'previous terminated container "{container.name}" in pod "{meta["name"]}" not found'
                raise KubeletRefusal(text)
            attempt = container.restarts - (0 if "waiting" in container.state else 1)
        else:
            attempt = container.restarts
            waiting = container.state.get("waiting")
            if waiting is not None and not container.id:
                why = {
                    "ErrImagePull": "image can't be pulled",
                    "ImagePullBackOff": "trying and failing to pull image",
                }.get(waiting["reason"], waiting["reason"])
                raise KubeletRefusal(f"{where} is waiting to start: {why}")
        path = worker.log_path(container.name, attempt)
        left = options.limit_bytes
        now = self.clock.time()
        reader = logs.Reader(path)
        rotated = path.with_name(path.name + ".1")
        lines = [*(rotated.read_bytes().split(b"\n") if rotated.exists() else []), *reader.new_lines()]
        first = True
        while True:
            over = not options.follow or options.previous or container.restarts != attempt or not container.running
            for piece in logs.select(lines, options, now, first):
                if left is not None:
                    piece = piece[:left]
                    left -= len(piece)
                yield piece
                if left == 0:
                    return
            first = False
            if over:
                return
            await asyncio.sleep(0)
            await self._breath()
            lines = reader.new_lines()
            if not container.running and not lines:
                return

    async def _breath(self) -> None:
        """A short real pause between two looks at a log that grows."""
        await asyncio.get_running_loop().run_in_executor(None, real_sleep, 0.1)

    async def exec(self, pod: Obj, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Stream:
        worker = self._worker(pod)
        found = self._container(worker, container)
        if not found.running:
            raise KubeletRefusal(f"container not found ({found.name!r})", 500, "InternalError")
        try:
            process = await worker.runtime.exec(found.id, command, tty)
        except RuntimeFailure as failure:
            raise KubeletRefusal(str(failure), 500, "InternalError") from None
        if not stdin:
            await process.close_input()
        return process

    async def attach(self, pod: Obj, container: str, *, stdin: bool, tty: bool) -> Stream:
        return await self.exec(pod, container, ["sh"], stdin=stdin, tty=tty)

    async def connect(self, pod: Obj, port: int) -> Stream:
        worker = self._worker(pod)
        try:
            return await worker.runtime.connect(worker.sandbox, port)
        except RuntimeFailure as failure:
            raise KubeletRefusal(str(failure), 500, "InternalError") from None

    async def proxy(
        self, pod: Obj, port: int, method: str, path: str, body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        worker = self._worker(pod)
        try:
            status, answer = await worker.runtime.http_get(worker.sandbox, port, path)
        except RuntimeFailure as failure:
            raise KubeletRefusal(str(failure), 503, "ServiceUnavailable") from None
        return status, {"content-type": "text/html" if answer.lstrip().startswith(b"<") else "text/plain"}, answer

    async def usage(self, node: str) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for uid in self._counts.get(node, ()):
            worker = self._workers.get(uid)
            if worker is None:
                continue
            meta = worker.pod["metadata"]
            for container in worker.containers:
                if container.running:
                    used = await worker.runtime.usage(container.id)
                    began = parse_rfc3339(container.state["running"]["startedAt"]).timestamp()
                    seconds = max(1.0, self.clock.time() - began)
                    share = int(used.cpu_nanoseconds / seconds)
                    found.setdefault(f"{meta['namespace']}/{meta['name']}", {})[container.name] = (
                        share,
                        used.memory_bytes,
                    )
        return found
