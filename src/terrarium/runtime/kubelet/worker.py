"""One pod on its node, from its binding to its end.

Theory of operation. A worker is a task that walks a pod's life: volumes, sandbox, init containers, containers; each
container has a loop of its own (pull, create, start, wait, pause, again). Whatever changes calls `report`, which works
out the whole status (see `podstatus`) and patches it when it differs from what was sent last. When the pod is being
deleted the walk is cancelled, containers are stopped within the grace period, and the object is removed.
A pod that ran before this process did is taken up where it stands: its sandbox from the journal, its containers from
its status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from terrarium.base.clock import parse_rfc3339, rfc3339
from terrarium.base.tasks import Tasks
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.client.contract import PODS, ApiError
from terrarium.runtime.contract import ContainerSpec, Exit, Runtime, RuntimeFailure, SandboxSpec
from terrarium.runtime.kubelet import files, podstatus
from terrarium.runtime.kubelet.podstatus import Container
from terrarium.runtime.kubelet.probes import Prober

if TYPE_CHECKING:
    from terrarium.runtime.kubelet.manager import Kubelets, Node

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0
FORGIVEN_AFTER = 600.0
"""A container that ran this long starts its back-off anew."""
MOUNT_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 122.0)
PULL_BYTES_PER_SECOND = 50_000_000


class Worker:
    def __init__(self, kubelets: Kubelets, node: Node, pod: Obj, runtime: Runtime) -> None:
        self.kubelets = kubelets
        self.node = node
        self.pod = pod
        self.runtime = runtime
        self.clock = kubelets.clock
        self.uid = str(pod["metadata"]["uid"])
        spec = pod["spec"]
        self.policy = str(spec.get("restartPolicy", "Always"))
        self.specs: dict[str, Mapping[str, Any]] = {}
        self.inits: list[Container] = []
        self.containers: list[Container] = []
        for container in spec.get("initContainers") or ():
            sidecar = container.get("restartPolicy") == "Always"
            self._add(container, Container(container["name"], container["image"], True, sidecar))
        for container in spec["containers"]:
            self._add(container, Container(container["name"], container["image"]))
        if self.inits:
            for known in [*self.inits, *self.containers]:
                known.state = {"waiting": {"reason": "PodInitializing"}}
        self.sandbox = ""
        self.ip = ""
        self.finished = False
        """Nothing of it runs or will run again."""
        self._deleting = asyncio.Event()
        self._sent: dict[str, Any] | None = None
        self._report_wanted = False
        self._reporting = False
        self._tasks = Tasks(f"pod {pod['metadata']['namespace']}/{pod['metadata']['name']}")
        self._variables: Mapping[str, str] = {}
        self._mounts: dict[str, Path] = {}
        self._failures: dict[str, int] = {}
        self._reason = ("", "")
        """Reason and message of a pod that the kubelet itself ended."""

    def _add(self, spec: Mapping[str, Any], container: Container) -> None:
        self.specs[container.name] = spec
        (self.inits if container.init else self.containers).append(container)

    @property
    def directory(self) -> Path:
        meta = self.pod["metadata"]
        return self.kubelets.directory / "pods" / f"{meta['namespace']}_{meta['name']}_{self.uid}"

    def log_path(self, container: str, attempt: int) -> Path:
        return self.directory / "logs" / container / f"{attempt}.log"

    def container(self, name: str) -> Container | None:
        return next((c for c in [*self.inits, *self.containers] if c.name == name), None)

    def event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        path = ""
        if container:
            found = self.container(container)
            group = "initContainers" if found is not None and found.init else "containers"
            path = f"spec.{group}{{{container}}}"
        self.kubelets.events.event(self.pod, kind, reason, message, path, host=self.node.spec.name)

    # -- what the kubelet tells it ----------------------------------------------------------------------------------

    def update(self, pod: Obj) -> None:
        """A new version of the pod. Its status is ours but for other people's conditions."""
        before, self.pod = self.pod, pod
        if pod["metadata"].get("deletionTimestamp"):
            self._deleting.set()
        elif pod["spec"].get("readinessGates") and before.get("status") != pod.get("status"):
            self.report()

    async def run(self) -> None:
        """The whole life; ends when the object is gone."""
        life = self._tasks.start("life", self._live())
        end = asyncio.ensure_future(self._deleting.wait())
        if self.pod["metadata"].get("deletionTimestamp"):
            self._deleting.set()
        try:
            await end
        finally:
            end.cancel()
            life.cancel()
        await self._terminate()

    async def let_go(self) -> None:
        """Ends the watching of a pod; what runs stays."""
        await self._tasks.close()

    async def discard(self) -> None:
        """The object is gone: what still runs of the pod goes too."""
        await self._tasks.close()
        if self.sandbox:
            await self.runtime.remove_sandbox(self.sandbox)
            self.kubelets.forget_sandbox(self.uid)

    # -- life -------------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        status = self.pod.get("status") or {}
        if status.get("phase") in ("Succeeded", "Failed"):
            self.finished = True
            self._sent = status
            return
        refusal = self.node.refusal(self.pod)
        if refusal is not None:
            self._reason = refusal
            self.event("Warning", refusal[0], refusal[1])
            self.finished = True
            self.report()
            return
        recovered = await self._recover(status)
        if not recovered:
            self.ip = ""
            self.report()
        await self._set_up_volumes()
        if not recovered:
            await self._start_sandbox()
        await self._run_inits()
        if self.finished:
            return
        loops = [self._tasks.start(c.name, self._loop(c)) for c in self.containers]
        await asyncio.gather(*loops)
        await self._finish()

    async def _recover(self, status: Mapping[str, Any]) -> bool:
        """Takes up a pod that an earlier process left running. False when there is nothing to take up."""
        known = self.kubelets.known_sandbox(self.uid)
        if known is None:
            return False
        self.sandbox, self.ip = known
        reported = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
        for entry in reported:
            container = self.container(entry["name"])
            if container is not None:
                container.restarts = entry.get("restartCount", 0)
                container.id = entry.get("containerID", "")
                container.image_id = entry.get("imageID", "")
                container.state = entry.get("state") or container.state
                container.last = entry.get("lastState") or {}
                container.ready = bool(entry.get("ready"))
                container.started = bool(entry.get("started"))
        return True

    async def _finish(self) -> None:
        for sidecar in self.inits:
            if sidecar.running:
                await self._stop(sidecar, 30.0)
        self.finished = True
        self.report()

    async def _set_up_volumes(self) -> None:
        for pause in (*MOUNT_PAUSES, *([MOUNT_PAUSES[-1]] * 10_000)):
            try:
                self._mounts = await files.set_up(self.facts(), self.directory / "volumes", self.kubelets.source)
                return
            except files.Missing as missing:
                self.event("Warning", "FailedMount", str(missing))
            await self.clock.sleep(pause)

    def facts(self) -> files.PodFacts:
        spec = self.node.spec
        return files.PodFacts(self.pod, self.ip, spec.address, spec.name, spec.allocatable or spec.capacity)

    async def _start_sandbox(self) -> None:
        meta = self.pod["metadata"]
        self.ip = await self.node.address_for(self.pod)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sandbox = await self.runtime.start_sandbox(
            SandboxSpec(
                self.uid,
                meta["namespace"],
                self.pod["spec"].get("hostname") or meta["name"],
                self.node.spec.name,
                self.ip,
                self.directory,
                meta.get("labels") or {},
                meta.get("annotations") or {},
            )
        )
        self.kubelets.remember_sandbox(self.uid, self.sandbox, self.ip)

    async def _run_inits(self) -> None:
        for container in self.inits:
            if container.sidecar:
                self._tasks.start(container.name, self._loop(container))
                while not container.started:
                    await self._started(container)
            elif not (container.ended and container.ended["exitCode"] == 0):
                await self._loop(container)
                if container.ended and container.ended["exitCode"] != 0:
                    self.finished = True
                    self.report()
                    return

    async def _started(self, container: Container) -> None:
        waiter = self.kubelets.condition(self.uid)
        await waiter.wait()

    # -- containers -------------------------------------------------------------------------------------------------

    async def _loop(self, container: Container) -> None:
        """Runs a container until its policy lets it rest."""
        if container.id and container.running:
            end = await self._watch(container)
        elif container.ended:
            end = None
        else:
            end = await self._start_and_watch(container)
        while True:
            ended = container.ended
            assert ended is not None or end is not None
            code = ended["exitCode"] if ended is not None else 1
            policy = self._policy_of(container)
            if not podstatus.restarts(policy, code):
                return
            await self._pause(container)
            end = await self._start_and_watch(container)

    def _policy_of(self, container: Container) -> str:
        if container.sidecar:
            return "Always"
        if container.init:
            return "Never" if self.policy == "Never" else "OnFailure"
        return self.policy

    async def _pause(self, container: Container) -> None:
        """CrashLoopBackOff: at once after the first end, then 10 s, doubling up to 5 minutes."""
        ended = container.ended
        failures = self._failures.get(container.name, max(0, container.restarts))
        self._failures[container.name] = failures + 1
        container.last = dict(container.state)
        if failures > 0:
            seconds = min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
            meta = self.pod["metadata"]
            where = f"pod={meta['name']}_{meta['namespace']}({self.uid})"
            shown = f"{int(seconds)}s" if seconds < 60 else f"{int(seconds // 60)}m{int(seconds % 60)}s"
            message = f"back-off {shown} restarting failed container={container.name} {where}"
            container.state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            container.ready = container.started = False
            self.report()
            pod_text = f"{meta['name']}_{meta['namespace']}({self.uid})"
            text = f"Back-off restarting failed container {container.name} in pod {pod_text}"
            self.event("Warning", "BackOff", text, container.name)
            await self.clock.sleep(seconds)
        assert ended is not None
        container.restarts += 1

    async def _start_and_watch(self, container: Container) -> Exit | None:
        await self._start(container)
        return await self._watch(container)

    async def _start(self, container: Container) -> None:
        """Pulls, creates, starts; tries again until it works."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._pull(container)
                await self._create(container)
                return
            except RuntimeFailure as failure:
                await self._tell_refusal(container, failure, pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _tell_refusal(self, container: Container, failure: RuntimeFailure, pause: float) -> None:
        spec = self.specs[container.name]
        image = spec["image"]
        text = str(failure)
        self._wait_in(container, failure.reason, text)
        if failure.reason in ("ErrImagePull", "ErrImageNeverPull"):
            if failure.reason == "ErrImagePull":
                self.event("Warning", "Failed", f'Failed to pull image "{image}": {text}', container.name)
            else:
                self.event("Warning", "ErrImageNeverPull", text, container.name)
            self.event("Warning", "Failed", f"Error: {failure.reason}", container.name)
            await asyncio.sleep(0)
            if failure.reason == "ErrImagePull":
                back_off = f'Back-off pulling image "{image}"'
                self.event("Normal", "BackOff", back_off, container.name)
                self.event("Warning", "Failed", "Error: ImagePullBackOff", container.name)
                self._wait_in(container, "ImagePullBackOff", f"{back_off}: ErrImagePull: {text}")
            await self.clock.sleep(pause)
        elif failure.reason == "InvalidImageName":
            self.event("Warning", "InspectFailed", text, container.name)
            self.event("Warning", "Failed", "Error: InvalidImageName", container.name)
            await self.clock.sleep(pause)
        elif failure.reason == "CreateContainerConfigError":
            self.event("Warning", "Failed", f"Error: {text}", container.name)
            await self.clock.sleep(min(pause, 12.0))
        else:
            self.event("Warning", "Failed", f"Error: {text}", container.name)
            now = rfc3339(self.clock.now())
            container.state = {
                "terminated": {
                    "exitCode": 128,
                    "reason": "StartError",
                    "message": text,
                    "startedAt": "1970-01-01T00:00:00Z",
                    "finishedAt": now,
                }
            }
            self.report()
            if not podstatus.restarts(self._policy_of(container), 128):
                await asyncio.get_running_loop().create_future()
            await self._pause(container)

    def _wait_in(self, container: Container, reason: str, message: str) -> None:
        container.state = {"waiting": {"reason": reason, "message": message}}
        container.ready = container.started = False
        self.report()

    async def _pull(self, container: Container) -> None:
        spec = self.specs[container.name]
        image = spec["image"]
        policy = spec.get("imagePullPolicy", "IfNotPresent")
        present = image in self.node.images
        if policy == "Never" and not present:
            raise RuntimeFailure(
                "ErrImageNeverPull", f'Container image "{image}" is not present with pull policy of Never'
            )
        if policy == "IfNotPresent" and present:
            self.event("Normal", "Pulled", f'Container image "{image}" already present on machine', container.name)
            container.image_id = self.node.images[image][0]
            return
        # A reference that is none is refused before anything is pulled.
        began = self.clock.time()
        try:
            reference, size = await self.runtime.pull(image, policy)
        except RuntimeFailure as failure:
            if failure.reason == "ErrImagePull":
                self.event("Normal", "Pulling", f'Pulling image "{image}"', container.name)
            raise
        self.event("Normal", "Pulling", f'Pulling image "{image}"', container.name)
        await self.clock.transition(size / PULL_BYTES_PER_SECOND)
        took = _duration(max(self.clock.time() - began, 0.001))
        text = f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: {size} bytes.'
        self.event("Normal", "Pulled", text, container.name)
        self.node.images[image] = (reference, size)
        container.image_id = reference

    async def _create(self, container: Container) -> None:
        spec = self.specs[container.name]
        try:
            variables = await files.environment(self.facts(), spec, self.kubelets.source)
        except files.Missing as missing:
            raise RuntimeFailure("CreateContainerConfigError", str(missing)) from None
        resources = spec.get("resources") or {}
        limits = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        mounts = {
            m["mountPath"]: self._mounts[m["name"]] / str(m.get("subPath", ""))
            for m in spec.get("volumeMounts") or ()
            if m["name"] in self._mounts
        }
        asked = ContainerSpec(
            container.name,
            spec["image"],
            [files.expand(w, variables) for w in spec.get("command") or ()],
            [files.expand(w, variables) for w in spec.get("args") or ()],
            variables,
            spec.get("workingDir", ""),
            container.restarts,
            mounts,
            int(Quantity.parse(str(limits.get("cpu", "0"))).nanos // 1_000_000),
            int(Quantity.parse(str(limits.get("memory", "0"))).nanos // 1_000_000_000),
            bool(spec.get("tty")),
            bool(spec.get("stdin")),
            [p["containerPort"] for p in spec.get("ports") or ()],
        )
        path = self.log_path(container.name, container.restarts)
        container.id = await self.runtime.start_container(self.sandbox, asked, path)
        colon = ":" if self.node.minor >= 32 else ""
        self.event("Normal", "Created", f"Created container{colon} {container.name}", container.name)
        self.event("Normal", "Started", f"Started container {container.name}", container.name)
        container.state = {"running": {"startedAt": rfc3339(self.clock.now())}}
        # Without a probe that says otherwise a running container has started and is ready.
        container.started = not spec.get("startupProbe")
        container.ready = (
            container.started and not spec.get("readinessProbe") and (not container.init or container.sidecar)
        )
        self.report()

    async def _watch(self, container: Container) -> Exit:
        prober = Prober(self, container, self.specs[container.name])
        prober.start(self._tasks)
        try:
            end = await self.runtime.wait(container.id)
        except RuntimeFailure:
            # What ran is not there any more (the machine was restarted): it counts as lost.
            end = Exit(137, "ContainerStatusUnknown", "The container could not be located when the pod was terminated")
        finally:
            prober.stop()
        self._record(container, end)
        return end

    def _record(self, container: Container, end: Exit) -> None:
        began = (container.state.get("running") or {}).get("startedAt", rfc3339(self.clock.now()))
        finished = self.clock.now() if not end.at else self.clock.now().fromtimestamp(end.at, self.clock.now().tzinfo)
        started = _seconds(began)
        if finished.timestamp() - started > FORGIVEN_AFTER:
            self._failures[container.name] = 0
        ended: dict[str, Any] = {
            "exitCode": end.code,
            "reason": end.reason,
            "startedAt": began,
            "finishedAt": rfc3339(finished),
            "containerID": container.id,
        }
        if end.message:
            ended["message"] = end.message
        container.state = {"terminated": ended}
        container.ready = container.init and not container.sidecar and end.code == 0
        container.started = False
        self.report()

    async def restart(self, container: Container, why: str) -> None:
        """A liveness or startup probe has given up."""
        self.event("Normal", "Killing", f"Container {container.name} {why}, will be restarted", container.name)
        await self.runtime.stop_container(container.id, self._grace())

    def _grace(self) -> float:
        meta, spec = self.pod["metadata"], self.pod["spec"]
        found = meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30))
        return float(30 if found is None else found)

    # -- the end ----------------------------------------------------------------------------------------------------

    async def _terminate(self) -> None:
        grace = self._grace()
        running = [c for c in self.containers if c.running]
        sidecars = [c for c in reversed(self.inits) if c.running]
        await asyncio.gather(*(self._stop(c, grace) for c in running))
        for sidecar in sidecars:
            await self._stop(sidecar, grace)
        self.finished = True
        self._deleting.set()
        self.report()
        await self._settled()
        await self._tasks.close()
        if self.sandbox:
            await self.runtime.remove_sandbox(self.sandbox)
            self.kubelets.forget_sandbox(self.uid)
        meta = self.pod["metadata"]
        try:
            await self.node.client.delete(PODS, meta["name"], meta["namespace"], grace=0, uid=self.uid)
        except ApiError as error:
            if error.code not in (404, 409):
                raise

    async def _stop(self, container: Container, grace: float) -> None:
        self.event("Normal", "Killing", f"Stopping container {container.name}", container.name)
        hook = (self.specs[container.name].get("lifecycle") or {}).get("preStop") or {}
        await self._run_hook(container, hook)
        await self.runtime.stop_container(container.id, grace)
        try:
            end = await self.runtime.wait(container.id)
        except RuntimeFailure:
            end = Exit(137, "Error")
        if container.running:
            self._record(container, end)

    async def _run_hook(self, container: Container, hook: Mapping[str, Any]) -> None:
        try:
            if "exec" in hook:
                process = await self.runtime.exec(container.id, hook["exec"].get("command") or (), False)
                await process.wait()
            elif "sleep" in hook:
                await self.clock.transition(float(hook["sleep"]["seconds"]))
        except RuntimeFailure as failure:
            self.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {failure}", container.name)

    # -- reporting --------------------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        now = rfc3339(self.clock.now())
        before = self.pod.get("status") or {}
        over = self.finished and (self._deleting.is_set() or bool(self._reason[0]))
        found = podstatus.phase(self.policy, self.containers, self.inits, over)
        if self._reason[0]:
            found = "Failed"
        conditions = podstatus.conditions(self.pod, self.containers, self.inits, found, bool(self.sandbox), now)
        address = self.node.spec.address
        status: dict[str, Any] = {
            "phase": found,
            "conditions": conditions,
            "startTime": before.get("startTime") or now,
        }
        if address:
            status |= {"hostIP": address, "hostIPs": [{"ip": address}]}
        if self.ip:
            status |= {"podIP": self.ip, "podIPs": [{"ip": self.ip}]}
        if self._reason[0]:
            return status | {"reason": self._reason[0], "message": self._reason[1]}
        if self.inits:
            status["initContainerStatuses"] = [c.report() for c in self.inits]
        status["containerStatuses"] = [c.report() for c in self.containers]
        if "qosClass" not in before:
            status["qosClass"] = podstatus.qos(self.pod)
        return status

    def report(self) -> None:
        """Sees to it that the status is written soon; several changes at once are one write."""
        self.kubelets.wake(self.uid)
        self._report_wanted = True
        if not self._reporting:
            self._reporting = True
            self.kubelets.tasks.start(f"status {self.uid}", self._report())

    async def _report(self) -> None:
        try:
            while self._report_wanted:
                self._report_wanted = False
                status = self.status()
                if status == self._sent:
                    continue
                await self._send(status)
        finally:
            self._reporting = False
            self.kubelets.wake(self.uid)

    async def _send(self, status: dict[str, Any]) -> None:
        meta = self.pod["metadata"]
        patch = {"metadata": {"uid": self.uid}, "status": {**status, "conditions": self._cleared(status["conditions"])}}
        try:
            written = await self.node.client.patch(
                PODS, meta["name"], patch, meta["namespace"], type="strategic", subresource="status"
            )
        except ApiError as error:
            if error.code not in (404, 409):
                log.warning("status of %s/%s: %s", meta["namespace"], meta["name"], error)
                await self.clock.sleep(1.0)
                self._report_wanted = True
            return
        except OSError:
            await self.clock.sleep(1.0)
            self._report_wanted = True
            return
        self._sent = status
        if written["metadata"]["uid"] == self.uid:
            self.update(written)

    def _cleared(self, conditions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Lists merge by type: a reason that no longer holds must be taken out by name."""
        before = {c["type"]: c for c in (self.pod.get("status") or {}).get("conditions") or ()}
        return [
            {**dict.fromkeys(k for k in ("reason", "message") if k in before.get(c["type"], {})), **c}
            for c in conditions
        ]

    async def _settled(self) -> None:
        while self._reporting:
            await self.kubelets.condition(self.uid).wait()


def _seconds(text: str) -> float:
    return parse_rfc3339(text).timestamp()


def _duration(seconds: float) -> str:
    """Go's form, to the millisecond."""
    if seconds < 1:
        return f"{max(1, round(seconds * 1000))}ms"
    text = f"{seconds:.3f}".rstrip("0").rstrip(".")
    return f"{text}s"
