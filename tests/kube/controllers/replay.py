"""Plays a recorded scenario against our controllers, in process and in virtual time, and says what ends differently.

The recording's users and kubelets are played here; controllers and scheduler are the real ones. After each action the
world runs until nothing is written any more, then a little more than a second passes, as it did in the recording.
Compared are the final objects and the set of events; generated names, uids, times and addresses by their kind alone.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock, rfc3339, rfc3339_micro
from terrarium.base.ids import Ids
from terrarium.kube.api import builtin
from terrarium.kube.apiserver.server import ApiServer, ServerConfig
from terrarium.kube.client.contract import (
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SERVICE_ACCOUNTS,
    ApiError,
    Resource,
)
from terrarium.kube.controllers.manager import ControllerManager, Options
from terrarium.kube.scheduler.server import Scheduler
from terrarium.kube.storage.memory import MemoryStorage

Document = dict[str, Any]
SAFE = "[bcdfghjklmnpqrstvwxz2456789]{5}"
BLANKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
    (r"\b10\.100\.\d+\.\d+\b", "<ip>"),
    (r"(?<=-)[23]\d{7}\b", "<minute>"),
    (r'"(nodePort|healthCheckNodePort)": \d+', r'"\1": "<port>"'),
    (r"<(gen|uid|rv|cidr|hash|ip|port|minute)-\d+>", r"<\1>"),
    (r"\b10\.244\.\d+\.0/24", "<cidr>"),
    (r"\b10\.0\.\d+\.\d+\b", "<podip>"),
    (r'"resourceVersion": "\d+"', '"resourceVersion": "<rv>"'),
    (r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----(\\n)?", "<pem>"),
)
POD_SPEC = ("nodeName", "hostname", "subdomain", "priority", "schedulingGates")
TEMPLATED = {"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController"}
UNORDERED = ("endpoints", "addresses", "notReadyAddresses", "ownerReferences", "subsets", "conditions_")
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


class Player:
    def __init__(self, folder: Path, scenario: Document) -> None:
        self.scenario = scenario
        self.clock = Clock(frozen=True, read=lambda: 1_790_000_000.0)
        self.server = ApiServer(
            ServerConfig(folder, port=None), MemoryStorage(), builtin.registry(), self.clock, Ids(3)
        )
        self.client = self.server.client("user", ("system:masters",))
        self.kinds = {k.kind: k for k in builtin.registry()}
        self.plurals = {k.plural: k for k in builtin.registry()}
        self.made: list[tuple[str, str]] = []
        """(prefix, name) of everything with a generated name, in order."""
        self.prefixes = set(re.findall(r"([\w.-]+-)<gen", json.dumps(scenario)))
        self.alive: dict[str, bool] = {}
        self.problems: list[str] = []

    def resource(self, kind: Any) -> Resource:
        return Resource(kind.group_version.group, kind.group_version.version, kind.plural)

    async def run(self) -> list[str]:
        await self.server.start()
        manager = ControllerManager(
            self.server.client(),
            self.clock,
            Ids(4),
            Options(
                root_ca=self.server.ca.decode(),
                node_cidrs="10.244.0.0/16" if "--allocate-node-cidrs=true" in self.flags else "",
                terminated_pod_gc_threshold=3 if "--terminated-pod-gc-threshold=3" in self.flags else 12_500,
            ),
        )
        scheduler = Scheduler(self.server.client("system:kube-scheduler"), self.clock, Ids(5))
        await manager.start()
        await scheduler.start()
        watches = [asyncio.ensure_future(self._note(plural)) for plural in ("pods", "endpointslices")]
        beat = asyncio.ensure_future(self._beat())
        try:
            await self._prepare()
            actions = self.scenario["actions"]
            for number, action in enumerate(actions):
                following = actions[number + 1] if number + 1 < len(actions) else {}
                await self._act(action, following)
                if action["do"] != "wait":
                    await self.rest()
            return self.problems + await self._compare()
        finally:
            for watch in watches:
                watch.cancel()
            beat.cancel()
            await scheduler.close()
            await manager.close()
            await self.server.close()

    @property
    def flags(self) -> list[str]:
        return list(self.scenario.get("flags") or ())

    async def _quiet(self) -> None:
        unchanged, last = 0, -1
        while unchanged < 120:
            await asyncio.sleep(0)
            now = self.server.resources.storage.revision
            unchanged = unchanged + 1 if now == last else 0
            last = now

    async def rest(self, seconds: float = 1.3) -> None:
        await self._quiet()
        await self.clock.advance(seconds)
        await self._quiet()

    async def _note(self, plural: str) -> None:
        resource = self.resource(self.plurals[plural])
        async for event in self.client.watch(resource, revision=str(self.server.resources.storage.revision)):
            if event.type == "ADDED":
                name = event.object["metadata"]["name"]
                if event.object["metadata"].get("generateName"):
                    self.made.append((event.object["metadata"]["generateName"], name))

    async def _beat(self) -> None:
        while True:
            await self.clock.sleep(5.0)
            for name, alive in list(self.alive.items()):
                if alive:
                    await self._renew(name)

    async def _renew(self, name: str) -> None:
        spec = {"renewTime": rfc3339_micro(self.clock.now()), "holderIdentity": name, "leaseDurationSeconds": 40}
        try:
            await self.client.patch(LEASES, name, {"spec": spec}, "kube-node-lease", type="merge")
        except ApiError:
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
            try:
                await self.client.create(LEASES, lease, "kube-node-lease")
            except ApiError:
                return

    async def _prepare(self) -> None:
        own = any(a["do"] == "nodeAdd" for a in self.scenario["actions"])
        if not own:
            for number in range(1, self.scenario["nodes"] + 1):
                await self._add_node(number)
        for _ in range(50):
            try:
                await self.client.create(
                    NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
                )
                break
            except ApiError:
                await self.rest()
        for _ in range(20):
            await self.rest()
            if (await self.client.list(SERVICE_ACCOUNTS, "demo")).items:
                break
        await self.rest(6.0)

    async def _add_node(self, number: int) -> None:
        name = f"node-{number}"
        zone = "zone-a" if number == 1 else f"zone-{'abc'[(number - 1) % 3]}"
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
        labels |= {"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64"}
        labels |= {"topology.kubernetes.io/zone": zone, "topology.kubernetes.io/region": "region-1"}
        capacity = {"cpu": "100000", "memory": "100000Gi", "pods": "9000"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}
        await self.client.create(NODES, node)
        await self._node_status(name, {"capacity": capacity, "allocatable": capacity})
        self.alive[name] = True
        await self._renew(name)

    async def _node_status(self, name: str, more: Document) -> None:
        now = rfc3339(self.clock.now())
        rows = (
            ("MemoryPressure", "KubeletHasSufficientMemory"),
            ("DiskPressure", "KubeletHasNoDiskPressure"),
            ("PIDPressure", "KubeletHasSufficientPID"),
            ("Ready", "KubeletReady"),
        )
        conditions = [
            {
                "type": type,
                "status": "True" if type == "Ready" else "False",
                "reason": reason,
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
            for type, reason in rows
        ]
        status = {"conditions": conditions, **more}
        await self.client.patch(NODES, name, {"status": status}, type="strategic", subresource="status")

    # -- actions ----------------------------------------------------------------------------------------------------

    def real(self, recorded: str) -> str:
        """Our name for a recorded one: of the same prefix, the one made at the same place in the order."""
        if "<hash-" in recorded:
            begin = recorded.partition("<hash-")[0]
            prefix = next((p for p, _ in self.made if p.startswith(begin)), None)
            recorded = re.sub(r".*<hash-\d+>-", prefix, recorded) if prefix else recorded
            names = [re.sub(r".*<hash-\d+>-", prefix, n) if prefix else n for n in self._recorded_names()]
        else:
            names = self._recorded_names()
        match = re.fullmatch(r"(.*)<gen-(\d+)>", recorded)
        if match is None:
            return recorded
        names = [n for n in names if re.fullmatch(r".*<gen-\d+>", n)]
        names = [n for n in names if n.rpartition("<gen-")[0] == match[1]]
        ours = [name for prefix, name in self.made if prefix == match[1]]
        at = names.index(recorded)
        return ours[at] if at < len(ours) else f"missing-{at}"

    def _recorded_names(self) -> list[str]:
        found: dict[str, None] = {}
        for entry in self.scenario["trace"]:
            if entry["verb"] == "create" and entry.get("name") and not entry.get("subresource"):
                found[entry["name"]] = None
        for action in self.scenario["actions"]:
            for key in ("created", "name"):
                if isinstance(action.get(key), str) and "<gen-" in action[key]:
                    found.setdefault(action[key])
        return list(found)

    def _replaced(self, value: Any) -> Any:
        text = json.dumps(value)
        for recorded in set(re.findall(r"[\w.-]*<gen-\d+>", text)):
            text = text.replace(recorded, self.real(recorded))
        text = text.replace("<time>", rfc3339(self.clock.now()))
        return json.loads(text)

    async def _owners(self, obj: Document) -> Document:
        for reference in obj.get("metadata", {}).get("ownerReferences") or ():
            if reference.get("uid", "").startswith("<uid"):
                kind = self.kinds[reference["kind"]]
                for namespace in ("demo", "demob", "") if kind.namespaced else ("",):
                    try:
                        owner = await self.client.get(self.resource(kind), reference["name"], namespace)
                    except ApiError:
                        continue
                    reference["uid"] = owner["metadata"]["uid"]
                    break
        return obj

    async def _act(self, action: Document, following: Document) -> None:
        do = getattr(self, f"_do_{action['do']}", None)
        if do is None:
            raise AssertionError(f"the replay knows no action {action['do']!r}")
        expected = action.get("code", 200)
        try:
            await (do(action, following) if action["do"] == "wait" else do(action))
        except ApiError as error:
            if error.code != expected:
                self.problems.append(f"step {action['step']} {action['do']}: {error.code} {error}")

    async def _do_create(self, action: Document) -> None:
        obj = await self._owners(self._replaced(action["object"]))
        kind = self.kinds[obj["kind"]]
        await self.client.create(self.resource(kind), obj, obj["metadata"].get("namespace", ""))

    def _where(self, action: Document) -> tuple[Resource, str]:
        kind = self.plurals[action["resource"]]
        return self.resource(kind), action.get("namespace", "demo") if kind.namespaced else ""

    async def _do_patch(self, action: Document) -> None:
        resource, namespace = self._where(action)
        patch = self._replaced(action["patch"])
        if isinstance(patch, dict):
            patch = await self._owners(patch)
        await self.client.patch(
            resource,
            self.real(action["name"]),
            patch,
            namespace,
            type=action.get("patchType", "merge"),
            subresource=action.get("subresource", ""),
        )

    async def _do_delete(self, action: Document) -> None:
        resource, namespace = self._where(action)
        await self.client.delete(
            resource,
            self.real(action["name"]),
            namespace,
            propagation=action.get("propagationPolicy", ""),
            grace=action.get("gracePeriodSeconds"),
        )

    async def _do_evict(self, action: Document) -> None:
        name = self.real(action["name"])
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "demo"}}
        await self.client.create(PODS, body, "demo", name=name, subresource="eviction")

    async def _pod(self, recorded: str, terminating: bool) -> str:
        """Our pod for a recorded one. It may still have to be made; which of several equal ones goes is arbitrary."""
        for _ in range(60):
            if not self.real(recorded).startswith("missing-"):
                break
            await self.rest(1.0)
        name = self.real(recorded)
        pods = (await self.client.list(PODS, "demo")).items
        for _ in range(60):
            if any(p["metadata"]["name"] == name for p in pods):
                break
            await self.rest(1.0)
            pods = (await self.client.list(PODS, "demo")).items
        state = {p["metadata"]["name"]: "deletionTimestamp" in p["metadata"] for p in pods}
        if state.get(name) == terminating or "<gen-" not in recorded:
            return name
        prefix = recorded.rpartition("<gen-")[0]
        same = [n for p, n in self.made if p == prefix and state.get(n) == terminating]
        if not terminating:
            pending = {p["metadata"]["name"] for p in pods if p["status"].get("phase") == "Pending"}
            same = [n for n in same if n in pending]
        return same[0] if same else name

    async def _do_podStatus(self, action: Document) -> None:
        patch = self._replaced(action["patch"])
        name = await self._pod(action["name"], False)
        await self.client.patch(PODS, name, patch, "demo", type="strategic", subresource="status")

    async def _do_podGone(self, action: Document) -> None:
        await self.client.delete(PODS, await self._pod(action["name"], True), "demo", grace=0)

    async def _do_nodeAdd(self, action: Document) -> None:
        obj = self._replaced(action["object"])
        name = obj["metadata"]["name"]
        if action.get("lease", True):
            self.alive[name] = True
            await self._renew(name)
        await self.client.create(NODES, {k: v for k, v in obj.items() if k != "status"})
        if obj.get("status"):
            await self.client.patch(NODES, name, {"status": obj["status"]}, type="strategic", subresource="status")

    async def _do_nodeSilence(self, action: Document) -> None:
        self.alive[action["name"]] = False

    async def _do_nodeStatus(self, action: Document) -> None:
        patch = self._replaced(action["patch"])
        await self.client.patch(NODES, action["name"], patch, type="strategic", subresource="status")

    async def _do_nodeBack(self, action: Document) -> None:
        self.alive[action["name"]] = True
        await self._renew(action["name"])
        await self._node_status(action["name"], {})

    async def _do_wait(self, action: Document, following: Document) -> None:
        until, left = action.get("until"), float(action.get("seconds") or 0) + (40 if action.get("until") else 1)
        while left > 0:
            await self.rest(1.0)
            left -= 1.0
            if until and await self._reached(until, following):
                break
        await self.rest()

    async def _reached(self, until: str, following: Document) -> bool:
        if following.get("do") in ("podStatus", "podGone", "delete") and following.get("name"):
            return not self.real(following["name"]).startswith("missing-")
        if "Complete or Failed" in until:
            jobs = (await self.client.list(self.resource(self.kinds["Job"]), "demo")).items
            ends = [c["type"] for j in jobs for c in (j.get("status") or {}).get("conditions") or ()]
            return any(e in ("Complete", "Failed") for e in ends)
        return False

    # -- comparing --------------------------------------------------------------------------------------------------

    async def _compare(self) -> list[str]:
        found: list[str] = []
        for kind, recorded in self.scenario["final"].items():
            if kind not in self.kinds:
                continue
            row = self.kinds[kind]
            items = list((await self.client.list(self.resource(row), "demo" if row.namespaced else "")).items)
            if row.namespaced and "demob" in json.dumps(recorded):
                items += (await self.client.list(self.resource(row), "demob")).items
            if not row.namespaced:
                names = {r["metadata"]["name"] for r in recorded}
                items = [i for i in items if i["metadata"]["name"] in names]
            ours = [self._view(kind, i) for i in items if not self._left_out(kind, i)]
            found += _differences(kind, [self._blank(r) for r in recorded], [self._blank(i) for i in ours])
        events = (await self.client.list(EVENTS, "")).items
        mine = Counter(
            self._blank(
                {
                    "type": e["type"],
                    "reason": e["reason"],
                    "name": e["involvedObject"].get("name"),
                    "message": e["message"],
                    "source": e["source"].get("component"),
                }
            )
            for e in events
            if "default-scheduler" not in (e["source"].get("component"), e.get("reportingComponent"))
            and (e["involvedObject"].get("namespace") == "demo" or "node" in self.scenario["id"])
        )
        theirs = Counter(
            self._blank(
                {
                    "type": e["type"],
                    "reason": e["reason"],
                    "name": e["object"].get("name"),
                    "message": e["message"],
                    "source": e["source"],
                }
            )
            for e in self.scenario["events"]
            if e["source"] != "default-scheduler" and e.get("namespace", "demo") == "demo"
        )
        combined = "(combined from similar events)"
        found += [f"event missing: {e}" for e in set(theirs) - set(mine) if combined not in e]
        found += [f"event too many: {e}" for e in set(mine) - set(theirs) if combined not in e and "node-" not in e]
        return found

    def _left_out(self, kind: str, item: Document) -> bool:
        if self.scenario["topic"] in ("namespace", "serviceaccount"):
            return False
        return (kind, item["metadata"]["name"]) in (("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default"))

    def _view(self, kind: str, item: Document) -> Document:
        item = {k: v for k, v in item.items() if k not in ("apiVersion", "kind")}
        meta = {k: v for k, v in item["metadata"].items() if k not in ("managedFields", "resourceVersion")}
        item["metadata"] = meta
        spec = dict(item.get("spec") or {})
        if kind == "Pod":
            spec = {k: v for k, v in spec.items() if k in POD_SPEC}
        if kind in TEMPLATED:
            spec.pop("template", None)
        if kind == "CronJob":
            spec.pop("jobTemplate", None)
        if "spec" in item:
            item["spec"] = spec
        return item

    def _blank(self, value: Document) -> str:
        text = json.dumps(_ordered(value), sort_keys=True)
        for prefix, name in self.made:
            text = text.replace(name, f"{prefix}<gen>")
        for pattern, blank in BLANKS:
            text = re.sub(pattern, blank, text)
        for prefix in self.prefixes:
            text = re.sub(rf"(?<![\w.-]){re.escape(prefix)}{SAFE}(?![\w<-])", f"{prefix}<gen>", text)
        if "<hash-" in json.dumps(self.scenario["final"]):
            text = re.sub(r'(-hash|/hash)": "(\w+-)?[a-z0-9]{8,10}"', r'\1": "\2<hash>"', text)
            text = re.sub(r"\b(web|db)-[a-z0-9]{8,10}\b", r"\1-<hash>", text)
        return text


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        out = {k: _ordered(v) for k, v in value.items() if k != TRIGGER}
        if out.get("annotations") == {}:
            del out["annotations"]
        if "apiVersion" in out and "kind" in out and "metadata" in out:
            del out["apiVersion"], out["kind"]
        return {
            k: sorted(v, key=lambda x: json.dumps(x, sort_keys=True)) if k in UNORDERED and isinstance(v, list) else v
            for k, v in out.items()
        }
    return [_ordered(v) for v in value] if isinstance(value, list) else value


def _differences(kind: str, theirs: list[str], ours: list[str]) -> Iterator[str]:
    missing, extra = Counter(theirs) - Counter(ours), Counter(ours) - Counter(theirs)
    lost, more = sorted(missing.elements()), sorted(extra.elements())
    for one, other in zip(lost, more, strict=False):
        yield f"{kind}: " + "; ".join(_deep(json.loads(one), json.loads(other), ""))[:700]
    for one in lost[len(more) :]:
        yield f"{kind} missing: {one[:200]}"
    for other in more[len(lost) :]:
        yield f"{kind} too many: {other[:200]}"


def _deep(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                yield from _deep(one.get(key), other.get(key), f"{path}.{key}")
    else:
        yield f"{path}: recorded {json.dumps(one)}, ours {json.dumps(other)}"


def play(folder: Path, scenario: Document) -> list[str]:
    """What ends differently; empty when nothing does."""

    async def go() -> list[str]:
        async with asyncio.timeout(100):
            return await Player(folder, scenario).run()

    return asyncio.run(go())
