"""The lease by which an API server shows that it lives: one for each server, in kube-system, renewed while it runs."""

from __future__ import annotations

import base64
import hashlib

from terrarium.base.clock import Clock
from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.times import format_micro_time
from terrarium.kube.apiserver import bootstrap
from terrarium.kube.apiserver.resources import Call, Resources

_HELD_SECONDS = 3600
_RENEW_SECONDS = 1200.0
_LABEL = "apiserver.kubernetes.io/identity"


class Identity:
    """`host` and `port` name the server; two servers of one cluster differ in them."""

    def __init__(self, resources: Resources, clock: Clock, host: str, port: int) -> None:
        self._resources = resources
        self._clock = clock
        self._host = host
        digest = hashlib.sha256(f"{host}:{port}".encode()).digest()
        self.name = "apiserver-" + base64.b32encode(digest[:16]).decode().rstrip("=").lower()

    async def announce(self) -> None:
        """Makes the lease, or takes over the one of an earlier life."""
        kind = self._resources.registry.resource("coordination.k8s.io", "v1", "leases")
        if kind is None:
            return
        now = format_micro_time(self._clock.now())
        holder = f"{self.name}_{self._resources.ids.uuid()}"
        spec = {"holderIdentity": holder, "leaseDurationSeconds": _HELD_SECONDS, "renewTime": now}
        labels = {_LABEL: "kube-apiserver", "kubernetes.io/hostname": self._host}
        meta = {"name": self.name, "namespace": "kube-system", "labels": labels}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
        held = await bootstrap.ensure(self._resources, kind, lease)
        if held["spec"].get("holderIdentity") != holder:
            await self._write(holder)

    async def keep(self) -> None:
        """Renews it for ever."""
        while True:
            await self._clock.heartbeat(_RENEW_SECONDS)
            await self._write("")

    async def _write(self, holder: str) -> None:
        kind = self._resources.registry.resource("coordination.k8s.io", "v1", "leases")
        if kind is None or await self._resources.find(kind, "kube-system", self.name) is None:
            return
        now = format_micro_time(self._clock.now())

        def change(lease: Obj) -> Obj:
            lease["spec"]["renewTime"] = now
            if holder:
                lease["spec"]["holderIdentity"] = holder
            return lease

        call = Call(User("system:apiserver"))
        await self._resources.update(kind, "kube-system", self.name, change, call, system=True)
