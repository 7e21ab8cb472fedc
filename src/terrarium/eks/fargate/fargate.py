"""Fargate of one cluster: its admission, and its scheduler, which gets a machine for each pod.

Theory of operation. Every pod of `fargate-scheduler` has a task that walks it from its creation to its binding: judge
it, note its size, ask for a machine (a network interface in the profile's subnet with the fewest pods), let the machine
register as a node, bind. A refused pod stays Pending and is not judged again. When a pod is gone its node goes too, and
the interface is given back. Nothing is kept but the cluster itself: a node says by its name and address which pod it
serves, so after a restart every standing node is taken up and every pod without one begins anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from terrarium.base.clock import Clock, rfc3339
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.cloud.hooks import AwsError, Subnet
from terrarium.eks.fargate import logging as fargate_logging
from terrarium.eks.fargate.admission import SCHEDULER, FargateAdmission
from terrarium.eks.fargate.machines import node_spec
from terrarium.eks.fargate.profiles import COMPUTE_TYPE, PROFILE_LABEL
from terrarium.eks.fargate.refusals import message, refusals
from terrarium.eks.fargate.sizing import Size, size_of
from terrarium.eks.hosting import ClusterRecord, FargateProfile
from terrarium.eks.versions import VERSIONS
from terrarium.kube.api.hooks import Admission
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import CONFIG_MAPS, NAMESPACES, NODES, PODS, ApiError, Client, Resource
from terrarium.kube.client.informer import Informers
from terrarium.kube.client.recorder import Recorder
from terrarium.runtime.kubelet.nodes import NodeSpec

log = logging.getLogger(__name__)

CLAIMS = Resource("", "v1", "persistentvolumeclaims")
VOLUMES = Resource("", "v1", "persistentvolumes")
ACCEPT_SECONDS, REQUEST_SECONDS, BOOT_SECONDS, BIND_SECONDS = 1.5, 5.0, 30.0, 8.0
REMOVE_SECONDS = 5.0
RETRY_SECONDS = 30.0


class Addresses(Protocol):
    """What Fargate asks of the cloud (part of `cloud.hooks.CloudView`)."""

    async def subnet(self, region: str, id: str) -> Subnet | None: ...
    async def allocate_address(self, region: str, subnet: str, description: str) -> tuple[str, str]: ...
    async def release_address(self, region: str, interface: str) -> None: ...
    async def call(
        self, service: str, operation: str, parameters: Mapping[str, Any], region: str
    ) -> Mapping[str, Any]: ...


class NodeHost(Protocol):
    """Where nodes run: the kubelets of the cluster."""

    async def add_node(self, spec: NodeSpec) -> None: ...
    async def remove_node(self, name: str) -> None: ...


class Fargate:
    def __init__(self, record: ClusterRecord, clock: Clock, ids: Ids, addresses: Addresses, nodes: NodeHost) -> None:
        self._record = record
        self._region = record.id.region
        self._clock = clock
        self._ids = ids
        self._addresses = addresses
        self._nodes = nodes
        self._profiles: dict[str, FargateProfile] = {}
        self._tasks = Tasks(f"fargate {record.id}")
        self._walking: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, list[str]] = {}
        """By uid of the pod: why it can't run."""
        self._interfaces: dict[str, str] = {}
        """Network interface by node."""
        self._in_subnet: Counter[str] = Counter()
        """How many pods' interfaces stand in each subnet."""
        self._subnet_of: dict[str, str] = {}
        """Subnet by interface."""
        self._asked: set[asyncio.Future[tuple[str, str]]] = set()
        """Interfaces that are on their way."""
        self.admission: list[Admission] = [FargateAdmission(lambda: list(self._profiles.values()))]
        self._client: Client | None = None
        self._informers: Informers | None = None

    @property
    def _version(self) -> str:
        return f"v{VERSIONS[self._record.version].patch}-eks-2d5f260"

    async def start(self, client: Client) -> None:
        """`client` may do everything; Fargate acts as its own scheduler."""
        self._client = client.acting_as("eks:fargate-scheduler", ("system:masters", "system:authenticated"))
        self._events = Recorder(self._client, self._clock, SCHEDULER)
        self._events.start(self._tasks)
        self._informers = Informers(client, self._clock, self._tasks)
        pods, nodes = self._informers.of(PODS), self._informers.of(NODES)
        await self._informers.synced()
        for node in nodes.items():
            if (node["metadata"].get("labels") or {}).get(COMPUTE_TYPE) == "fargate":
                await self._take_up(node)
        pods.on_change(self._changed)

    async def close(self) -> None:
        await self._tasks.close()

    async def clear(self) -> None:
        """Ends all work and gives back every interface: the cluster is about to be deleted."""
        await self._tasks.close()
        await asyncio.gather(*self._asked, return_exceptions=True)
        for interface in await self._describe({"vpc-id": self._record.vpc}):
            if str(interface.get("Description", "")).endswith(self._of_cluster):
                await self._give_back(str(interface["NetworkInterfaceId"]))

    @property
    def _of_cluster(self) -> str:
        return f" of cluster {self._record.id.name}"

    async def profiles_changed(self, profiles: Sequence[FargateProfile]) -> None:
        """The profiles in force. Pods of one that is gone are deleted, and come again where their owners make them."""
        gone = set(self._profiles) - {p.name for p in profiles}
        self._profiles = {p.name: p for p in profiles}
        if not gone or self._client is None or self._informers is None:
            return
        for pod in self._informers.of(PODS).items():
            meta = pod["metadata"]
            if pod["spec"].get("schedulerName") == SCHEDULER and _profile_name(pod) in gone:
                try:
                    await self._client.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
                except ApiError as error:
                    if error.code not in (404, 409):
                        raise

    def explain(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Why a Fargate pod is where it is; None for a pod that isn't Fargate's."""
        pod = self._informers.of(PODS).get(namespace, name) if self._informers is not None else None
        if pod is None or pod["spec"].get("schedulerName") != SCHEDULER:
            return None
        reasons = self._refused.get(pod["metadata"]["uid"], [])
        size, node = size_of(pod), pod["spec"].get("nodeName", "")
        profile = _profile_name(pod)
        details = [f"Fargate profile: {profile}", f"size: {size}" if size is not None else "no size is large enough"]
        if reasons:
            summary = message(reasons)
            details += reasons
        elif node:
            summary = f"Fargate gave it a node of its own: {node}"
        elif profile not in self._profiles:
            summary = f"Its Fargate profile {profile} is not in force"
        else:
            summary = "Fargate is getting a machine for it"
        return {
            "namespace": namespace,
            "name": name,
            "phase": (pod.get("status") or {}).get("phase", "Pending"),
            "scheduler": SCHEDULER,
            "summary": summary,
            "details": details,
            "nodes": [{"node": node, "verdict": "runs here"}] if node else [],
        }

    # -- one pod ----------------------------------------------------------------------------------------------------

    def _changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        assert pod is not None
        if pod["spec"].get("schedulerName") != SCHEDULER:
            return
        uid = pod["metadata"]["uid"]
        if new is None or new["metadata"].get("deletionTimestamp"):
            walking = self._walking.pop(uid, None)
            if walking is not None:
                walking.cancel()
        if new is None:
            self._refused.pop(uid, None)
            node = pod["spec"].get("nodeName", "")
            if node:
                self._tasks.start(f"remove {node}", self._remove(node))
        elif (
            not new["spec"].get("nodeName")
            and not new["metadata"].get("deletionTimestamp")
            and uid not in self._walking
            and uid not in self._refused
        ):
            self._walking[uid] = self._tasks.start(f"launch {uid}", self._launch(new))

    async def _launch(self, pod: Obj) -> None:
        uid = pod["metadata"]["uid"]
        try:
            while not await self._attempt(pod):
                await self._clock.sleep(RETRY_SECONDS)
        except ApiError as error:
            if error.code not in (404, 409):
                raise
        finally:
            self._walking.pop(uid, None)

    async def _attempt(self, pod: Obj) -> bool:
        """True when there is nothing more to do for this pod."""
        meta = pod["metadata"]
        profile = self._profiles.get(_profile_name(pod))
        if profile is None:
            # A profile that is being made or was removed: nothing is known to launch under.
            return False
        reasons = refusals(pod, *await self._claims(pod))
        if reasons:
            self._refused[meta["uid"]] = reasons
            await self._refuse(pod, message(reasons))
            return True
        size = size_of(pod)
        assert size is not None
        await self._clock.transition(ACCEPT_SECONDS)
        await self._note(pod, size)
        task = f"{self._ids.hex(10)}-{self._ids.hex(32)}"
        await self._clock.transition(REQUEST_SECONDS)
        await self._status(pod, {"nominatedNodeName": task})
        try:
            spec, interface = await self._machine(pod, profile, size, task)
        except AwsError as failure:
            text = f"Pod provisioning timed out (will retry) for pod: {meta['namespace']}/{meta['name']}"
            log.warning("%s: %s", text, failure.message)
            self._events.event(pod, "Warning", "FailedScheduling", text)
            return False
        self._interfaces[spec.name] = interface
        bound = False
        try:
            await self._clock.transition(BOOT_SECONDS)
            await self._nodes.add_node(spec)
            await self._clock.transition(BIND_SECONDS)
            await self._bind(pod, spec.name)
            bound = True
        finally:
            if not bound and not self._tasks.closed:
                self._tasks.start(f"give back {spec.name}", self._remove(spec.name))
        return True

    async def _claims(self, pod: Obj) -> tuple[dict[str, Obj | None], dict[str, Obj | None]]:
        claims: dict[str, Obj | None] = {}
        volumes: dict[str, Obj | None] = {}
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if name:
                claim = claims[name] = await self._find(CLAIMS, name, pod["metadata"]["namespace"])
                bound = ((claim or {}).get("spec") or {}).get("volumeName")
                if bound:
                    volumes[bound] = await self._find(VOLUMES, bound)
        return claims, volumes

    async def _find(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        assert self._client is not None
        try:
            return await self._client.get(resource, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def _refuse(self, pod: Obj, text: str) -> None:
        self._events.event(pod, "Warning", "FailedScheduling", text)
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": text,
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(self._clock.now()),
        }
        await self._status(pod, {"conditions": [condition]})

    async def _note(self, pod: Obj, size: Size) -> None:
        """Size and logging, as annotations and an event."""
        namespace = await self._find(NAMESPACES, fargate_logging.NAMESPACE)
        config = await self._find(CONFIG_MAPS, fargate_logging.CONFIG_MAP, fargate_logging.NAMESPACE)
        verdict = fargate_logging.judge(namespace, config)
        notes = {"CapacityProvisioned": str(size), "Logging": verdict.annotation}
        assert self._client is not None
        meta = pod["metadata"]
        patch = {"metadata": {"uid": meta["uid"], "annotations": notes}}
        await self._client.patch(PODS, meta["name"], patch, meta["namespace"], type="merge")
        self._events.event(pod, verdict.type, verdict.reason, verdict.message)

    async def _status(self, pod: Obj, status: Mapping[str, Any]) -> None:
        assert self._client is not None
        meta = pod["metadata"]
        patch = {"metadata": {"uid": meta["uid"]}, "status": dict(status)}
        await self._client.patch(PODS, meta["name"], patch, meta["namespace"], type="strategic", subresource="status")

    async def _machine(self, pod: Obj, profile: FargateProfile, size: Size, task: str) -> tuple[NodeSpec, str]:
        """An interface in the profile's emptiest subnet, and the node that will stand on it."""
        subnet_id = min(profile.subnets, key=lambda s: (self._in_subnet[s], s))
        subnet = await self._addresses.subnet(self._region, subnet_id)
        if subnet is None:
            raise AwsError("InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist")
        meta = pod["metadata"]
        description = f"Fargate pod {meta['namespace']}/{meta['name']}{self._of_cluster}"
        asked = asyncio.ensure_future(self._allocate(subnet_id, description))
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        try:
            interface, address = await asyncio.shield(asked)
        except asyncio.CancelledError:
            # The pod has gone meanwhile, but the cloud will not stop half way: the interface comes and is given back.
            if not self._tasks.closed:
                self._tasks.start(f"give back what {meta['uid']} asked for", self._return(asked))
            raise
        spec = node_spec(address, subnet, self._region, task, size.cpu_millis, size.memory_gib, self._version)
        return spec, interface

    async def _allocate(self, subnet: str, description: str) -> tuple[str, str]:
        # Counted before it is there, so that pods which come together spread.
        self._in_subnet[subnet] += 1
        try:
            interface, address = await self._addresses.allocate_address(self._region, subnet, description)
        except BaseException:
            self._in_subnet[subnet] -= 1
            raise
        self._subnet_of[interface] = subnet
        return interface, address

    async def _bind(self, pod: Obj, node: str) -> None:
        assert self._client is not None
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"kind": "Node", "name": node, "apiVersion": "v1"},
        }
        await self._client.create(PODS, binding, meta["namespace"], name=meta["name"], subresource="binding")
        text = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
        self._events.event(pod, "Normal", "Scheduled", text)
        await self._status(pod, {"nominatedNodeName": None})

    # -- machines ---------------------------------------------------------------------------------------------------

    async def _take_up(self, node: Obj) -> None:
        """A node from before a restart: its kubelet goes on, or it goes when its pod is gone."""
        name = node["metadata"]["name"]
        assert self._informers is not None
        pods = [p for p in self._informers.of(PODS).items() if p["spec"].get("nodeName") == name]
        if not pods:
            self._tasks.start(f"remove {name}", self._remove(name))
            return
        status = node["status"]
        meta = node["metadata"]
        await self._nodes.add_node(
            NodeSpec(
                name=name,
                labels=meta.get("labels") or {},
                taints=node["spec"].get("taints") or (),
                annotations=meta.get("annotations") or {},
                capacity=status["capacity"],
                allocatable=status["allocatable"],
                address=_address(node),
                addresses=status["addresses"],
                provider_id=node["spec"].get("providerID", ""),
                info=status["nodeInfo"],
                shares_address=True,
                version=status["nodeInfo"]["kubeletVersion"],
            )
        )

    async def _remove(self, name: str) -> None:
        await self._clock.transition(REMOVE_SECONDS)
        address = ""
        if self._client is not None:
            node = await self._find(NODES, name)
            address = _address(node) if node is not None else ""
        await self._nodes.remove_node(name)
        interface = self._interfaces.pop(name, "") or await self._interface_at(address)
        if interface:
            await self._give_back(interface)

    async def _return(self, asked: asyncio.Future[tuple[str, str]]) -> None:
        try:
            interface, _ = await asked
        except AwsError:
            return
        await self._give_back(interface)

    async def _give_back(self, interface: str) -> None:
        subnet = self._subnet_of.pop(interface, "")
        if subnet:
            self._in_subnet[subnet] -= 1
        try:
            await self._addresses.release_address(self._region, interface)
        except AwsError as failure:
            log.info("interface %s: %s", interface, failure.message)

    async def _interface_at(self, address: str) -> str:
        """The interface of a node that an earlier process made."""
        if not address:
            return ""
        found = await self._describe({"private-ip-address": address, "vpc-id": self._record.vpc})
        return str(found[0]["NetworkInterfaceId"]) if found else ""

    async def _describe(self, filters: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
        listed = [{"Name": name, "Values": [value]} for name, value in filters.items()]
        try:
            answer = await self._addresses.call("ec2", "DescribeNetworkInterfaces", {"Filters": listed}, self._region)
        except AwsError:
            return ()
        return answer.get("NetworkInterfaces") or ()


def _profile_name(pod: Obj) -> str:
    return str((pod["metadata"].get("labels") or {}).get(PROFILE_LABEL, ""))


def _address(node: Obj) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((str(a["address"]) for a in addresses if a["type"] == "InternalIP"), "")
