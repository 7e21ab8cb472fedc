"""Leader election by a Lease, as client-go's `leaderelection` does it: of several schedulers only one schedules.

Theory of operation. Who holds the Lease renews it every `retry` seconds; who doesn't looks at it as often. A holder is
taken for gone when its Lease has not changed for `lease` seconds by the looker's own clock (the holder's clock is not
trusted). A leader that could not renew for `renew` seconds must stop at once, which is before anybody may follow it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from terrarium.base.clock import Clock, rfc3339_micro
from terrarium.base.ids import Ids
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import LEASES, ApiError, Client
from terrarium.kube.scheduler.configuration_decoding import parse_go_duration

log = logging.getLogger(__name__)
_JITTER = 1.2


@dataclass(frozen=True, slots=True)
class Election:
    """The `leaderElection` part of a configuration; times in seconds."""

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0
    name: str = "kube-scheduler"
    namespace: str = "kube-system"

    @classmethod
    def read(cls, written: Obj) -> Election:
        def seconds(key: str, default: float) -> float:
            return parse_go_duration(str(written[key])) / 1e9 if written.get(key) else default

        return cls(
            seconds("leaseDuration", 15.0),
            seconds("renewDeadline", 10.0),
            seconds("retryPeriod", 2.0),
            written.get("resourceName") or "kube-scheduler",
            written.get("resourceNamespace") or "kube-system",
        )


class Elector:
    """One candidate, by the name of `identity`."""

    def __init__(self, client: Client, clock: Clock, ids: Ids, election: Election, identity: str) -> None:
        self._client = client
        self._clock = clock
        self._ids = ids
        self._election = election
        self.identity = identity
        self._seen: Obj = {}
        self._seen_at = 0.0

    @property
    def leader(self) -> str:
        """Who holds the Lease as far as is known."""
        return str((self._seen.get("spec") or {}).get("holderIdentity") or "")

    async def acquire(self) -> None:
        """Waits until the Lease is ours."""
        while not await self._try():
            # With a jitter, so that many candidates do not ask at the same moment.
            await self._clock.sleep(self._election.retry * (1 + _JITTER * self._ids.real()))
        log.info("%s is the leader", self.identity)

    async def hold(self, renewed: Callable[[], None] = lambda: None) -> None:
        """Renews the Lease; returns when it is lost."""
        last = self._clock.time()
        while True:
            if await self._try():
                last = self._clock.time()
                renewed()
            elif self._clock.time() - last > self._election.renew or self.leader not in ("", self.identity):
                log.error("%s is no longer the leader", self.identity)
                return
            await self._clock.sleep(self._election.retry)

    async def release(self) -> None:
        """Gives the Lease away, so that nobody has to wait for its end."""
        if self.leader != self.identity:
            return
        spec = self._seen["spec"] | {"leaseDurationSeconds": 1, **self._moments()}
        spec.pop("holderIdentity")
        try:
            await self._client.update(LEASES, {**self._seen, "spec": spec})
        except (ApiError, OSError) as failure:
            log.info("can't release the lease: %s", failure)

    def _moments(self) -> Obj:
        now = rfc3339_micro(self._clock.now())
        return {"renewTime": now, "acquireTime": now}

    async def _try(self) -> bool:
        try:
            return await self._take_or_renew()
        except (ApiError, OSError) as failure:
            log.info("can't see or write the lease: %s", failure)
            return False

    async def _take_or_renew(self) -> bool:
        election = self._election
        spec: Obj = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, int(election.lease)),
            **self._moments(),
            "leaseTransitions": 0,
        }
        try:
            found = await self._client.get(LEASES, election.name, election.namespace)
        except ApiError as failure:
            if failure.code != 404:
                raise
            lease: Obj = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": election.name, "namespace": election.namespace},
                "spec": spec,
            }
            self._note(await self._client.create(LEASES, lease, election.namespace))
            return True
        self._note(found)
        held = found.get("spec") or {}
        ours = held.get("holderIdentity") == self.identity
        if held.get("holderIdentity") and not ours and self._clock.time() < self._seen_at + election.lease:
            return False
        transitions = held.get("leaseTransitions") or 0
        spec["leaseTransitions"] = transitions if ours else transitions + 1
        if ours:
            spec["acquireTime"] = held.get("acquireTime")
        # The server refuses this when another candidate was faster.
        self._note(await self._client.update(LEASES, {**found, "spec": spec}))
        return True

    def _note(self, lease: Obj) -> None:
        if lease.get("spec") != self._seen.get("spec"):
            self._seen_at = self._clock.time()
        self._seen = lease
