"""The binding cycle: what happens to a pod between the decision and its node, beside the next decisions.

Theory of operation. Permit may let the pod wait; PreBind writes volumes and waits for them; then the pod is bound. A
failure at any step takes the assumption back and puts the pod into the queue again. Nothing is bound twice: the server
refuses a second binding, and where the answer to a binding is lost, the pod itself is looked at before anything else is
done, so that neither its place is given away nor its binding sent for another node.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from terrarium.base.clock import Clock
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import PODS, ApiError, Client
from terrarium.kube.client.informer import Informer
from terrarium.kube.scheduler.cycle import Decision
from terrarium.kube.scheduler.extenders import Extender, bind_through
from terrarium.kube.scheduler.framework import Change, Code, Cycle, CycleError, Framework, Point, Rejection, fit_message
from terrarium.kube.scheduler.plugins.volumes import fully_bound
from terrarium.kube.scheduler.queue import Queued
from terrarium.kube.scheduler.resources import CONTEXT
from terrarium.kube.scheduler.views import Pod

log = logging.getLogger(__name__)

BIND_SECONDS = 600
"""How long a pod waits for its volumes to be bound (VolumeBindingArgs.bindTimeoutSeconds)."""
WRITES = 64
"""Bindings that are under way at once; more wait for their turn."""
_LOST_PAUSE = 10.0


class NotBound(Exception):
    """The pod did not get to its node. `plugins` said no; without any, something failed. `gone`: nobody waits any more."""

    def __init__(self, text: str, plugins: frozenset[str] = frozenset(), gone: bool = False) -> None:
        super().__init__(text)
        self.plugins = plugins
        self.gone = gone


@dataclass(slots=True)
class Waiting:
    """A pod which Permit plugins hold back; `plugins` are those that have not agreed yet."""

    pod: Pod
    node: str
    plugins: set[str]
    answer: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """The plugin and text of a no; "" when all agreed."""

    def allow(self, plugin: str) -> None:
        """One plugin agrees; when all have, the pod goes on."""
        self.plugins.discard(plugin)
        if not self.plugins and not self.answer.done():
            self.answer.set_result("")

    def reject(self, plugin: str, text: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(NotBound(text, frozenset((plugin,))))


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision with all that its binding needs."""

    queued: Queued
    decision: Decision
    framework: Framework
    cycle: Cycle
    changes: Sequence[Change]
    waits: Mapping[str, float]

    @property
    def pod(self) -> Pod:
        return self.queued.pod


class Binder:
    """Carries plans out, many at once. `claims` is the informer of PersistentVolumeClaims; `wanted` says whether a pod
    is still to be bound."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        claims: Informer,
        extenders: Sequence[Extender],
        bind_seconds: Callable[[Framework], float],
        wanted: Callable[[Queued], bool],
    ) -> None:
        self._client = client
        self._clock = clock
        self._claims = claims
        self._extenders = [e for e in extenders if e.bind_verb]
        self._bind_seconds = bind_seconds
        self._wanted = wanted
        self._turns = asyncio.Semaphore(WRITES)
        self.waiting: dict[str, Waiting] = {}
        """Pods that Permit plugins hold back, by uid."""

    async def bind(self, plan: Plan) -> None:
        """Brings the pod to its node, or raises `NotBound`."""
        if plan.waits:
            await self._permitted(plan)
        async with self._turns:
            await self._write_volumes(plan)
        if plan.changes:
            await self._volumes_ready(plan)
        async with self._turns:
            await self._bind(plan)

    async def _permitted(self, plan: Plan) -> None:
        pod = plan.pod
        waiting = self.waiting[pod.uid] = Waiting(pod, plan.decision.node, set(plan.waits))
        timer = asyncio.create_task(self._expire(waiting, plan.waits))
        try:
            await waiting.answer
        except NotBound as no:
            rejection = Rejection(Code.UNSCHEDULABLE, (str(no),), next(iter(no.plugins)))
            raise NotBound(fit_message(1, {plan.decision.node: rejection}, None, ""), no.plugins) from None
        finally:
            timer.cancel()
            self.waiting.pop(pod.uid, None)

    async def _expire(self, waiting: Waiting, seconds: Mapping[str, float]) -> None:
        plugin, least = min(seconds.items(), key=lambda item: item[1])
        await self._clock.sleep(least)
        waiting.reject(plugin, f"rejected due to timeout after waiting {least:g}s at plugin {plugin}")

    async def _write_volumes(self, plan: Plan) -> None:
        for change in plan.changes:
            try:
                await self._client.update(CONTEXT[change.plural], change.obj)
            except (ApiError, OSError) as failure:
                raise NotBound(f'running PreBind plugin "VolumeBinding": {failure}') from None

    async def _volumes_ready(self, plan: Plan) -> None:
        """Waits until every claim has its volume."""
        claims = [
            (c.claim["metadata"].get("namespace") or "default", c.claim["metadata"]["name"]) for c in plan.changes
        ]
        deadline = self._clock.time() + self._bind_seconds(plan.framework)
        while self._clock.time() < deadline:
            found = [self._claims.get(*claim) for claim in claims]
            if all(claim is not None and fully_bound(claim) for claim in found):
                return
            if not self._wanted(plan.queued):
                raise NotBound("the pod is gone", gone=True)
            await self._clock.sleep(0.1)
        raise NotBound('running PreBind plugin "VolumeBinding": binding volumes: context deadline exceeded')

    async def _bind(self, plan: Plan) -> None:
        pod, node = plan.pod, plan.decision.node
        extender = next((e for e in self._extenders if e.cares_for(pod)), None)
        if extender is not None:
            try:
                await bind_through(extender, pod, node)
            except CycleError as failure:
                raise NotBound(str(failure)) from None
            return
        plugin = plan.framework.points[Point.BIND][0]
        binding: Obj = plugin.bind(pod, node)
        try:
            await self._client.create(PODS, binding, pod.namespace, name=pod.name, subresource="binding")
        except ApiError as failure:
            if failure.code == 409 and await self._found_at(pod) == node:
                # Our own binding, whose answer was lost on the way.
                return
            text = f'running Bind plugin "{plugin.name}": {failure}'
            raise NotBound(text, gone=failure.code == 404) from None
        except OSError as failure:
            if await self._found_at(pod) == node:
                return
            raise NotBound(f'running Bind plugin "{plugin.name}": {failure}') from None

    async def _found_at(self, pod: Pod) -> str:
        """Where the pod is bound to, by the server's own word, which is waited for; "" when it isn't, or is gone."""
        pause = 0.1
        while True:
            try:
                found = await self._client.get(PODS, pod.name, pod.namespace)
            except ApiError as failure:
                if failure.code == 404:
                    return ""
                log.info("%s: can't see whether it is bound: %s", pod.key, failure)
            except OSError as failure:
                log.info("%s: can't see whether it is bound: %s", pod.key, failure)
            else:
                same = found["metadata"].get("uid", "") == pod.obj["metadata"].get("uid", "")
                return str((found.get("spec") or {}).get("nodeName") or "") if same else ""
            await self._clock.sleep(pause)
            pause = min(pause * 2, _LOST_PAUSE)
