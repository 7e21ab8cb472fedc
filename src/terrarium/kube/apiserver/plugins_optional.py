"""Admission that kube-apiserver has but does not run unless it is asked to."""

from __future__ import annotations

import json

from terrarium.kube.api.hooks import AdmissionRequest, Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.selectors import SelectorError, parse_labels
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.plugins import Plugin, is_resource
from terrarium.kube.apiserver.resources import Call

_SELECTOR = "scheduler.alpha.kubernetes.io/node-selector"
_TOLERATIONS = "scheduler.alpha.kubernetes.io/defaultTolerations"
_ALLOWED = "scheduler.alpha.kubernetes.io/tolerationsWhitelist"
_ZONED = "kubernetes.io/hostname"


class AlwaysAdmit(Plugin):
    """Lets everything pass."""

    name = "AlwaysAdmit"


class AlwaysDeny(Plugin):
    """Lets nothing pass."""

    name = "AlwaysDeny"

    async def validate(self, request: AdmissionRequest) -> None:
        raise Denied("admission control is denying all modifications")


class DenyServiceExternalIPs(Plugin):
    """Services get no external addresses that they did not have."""

    name = "DenyServiceExternalIPs"

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "services", "CREATE", "UPDATE") or request.obj is None:
            return
        held = ((request.old or {}).get("spec") or {}).get("externalIPs") or ()
        if set((request.obj.get("spec") or {}).get("externalIPs") or ()) - set(held):
            raise Denied("Use of external IPs is denied by admission control.")


class LimitPodHardAntiAffinityTopology(Plugin):
    """Pods keep others away from nodes only, not from zones."""

    name = "LimitPodHardAntiAffinityTopology"

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE", "UPDATE") or request.obj is None:
            return
        affinity = (request.obj.get("spec") or {}).get("affinity") or {}
        terms = (affinity.get("podAntiAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for term in terms:
            if term.get("topologyKey") != _ZONED:
                raise Denied(
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey "
                    f"{term.get('topologyKey')} but only key {_ZONED} is allowed"
                )


class NamespaceExists(Plugin):
    """Nothing is written in a namespace that is missing."""

    name = "NamespaceExists"

    async def validate(self, request: AdmissionRequest) -> None:
        kind = self._resources.registry.resource("", "v1", "namespaces")
        if not request.namespace or str(request.resource) == "namespaces" or kind is None:
            return
        if await self._resources.find(kind, "", request.namespace) is None:
            raise errors.not_found(kind, request.namespace)


class NamespaceAutoProvision(Plugin):
    """A namespace that is missing is made for the first object in it."""

    name = "NamespaceAutoProvision"

    async def admit(self, request: AdmissionRequest) -> None:
        kind = self._resources.registry.resource("", "v1", "namespaces")
        if request.operation != "CREATE" or request.dry_run or not request.namespace or kind is None:
            return
        if str(request.resource) == "namespaces" or await self._resources.find(kind, "", request.namespace) is not None:
            return
        obj: Obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": request.namespace}}
        await self._resources.create(kind, "", obj, Call(request.user))


class PodNodeSelector(Plugin):
    """Pods go only to the nodes that an annotation of their namespace names."""

    name = "PodNodeSelector"

    async def _wanted(self, request: AdmissionRequest) -> dict[str, str]:
        found = await self.one("", "v1", "namespaces", "", request.namespace)
        text = ((found or {}).get("metadata") or {}).get("annotations", {}).get(_SELECTOR, "")
        try:
            requirements = parse_labels(text).requirements
        except SelectorError as wrong:
            raise Denied(str(wrong)) from None
        return {r.key: r.values[0] for r in requirements if r.operator in ("=", "==", "in") and len(r.values) == 1}

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return
        wanted = await self._wanted(request)
        spec = request.obj.setdefault("spec", {})
        held = spec.get("nodeSelector") or {}
        if any(held.get(key, value) != value for key, value in wanted.items()):
            raise Denied("pod node label selector conflicts with its namespace node label selector")
        if wanted:
            spec["nodeSelector"] = {**held, **wanted}


class PodTolerationRestriction(Plugin):
    """Tolerations of pods come from annotations of their namespace, and may be no others."""

    name = "PodTolerationRestriction"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE", "UPDATE") or request.obj is None:
            return
        found = await self.one("", "v1", "namespaces", "", request.namespace)
        notes = ((found or {}).get("metadata") or {}).get("annotations") or {}
        spec = request.obj.setdefault("spec", {})
        held = list(spec.get("tolerations") or ())
        if request.operation == "CREATE":
            for toleration in _read(notes.get(_TOLERATIONS)) or ():
                if any(_same(toleration, other) and toleration != other for other in held):
                    raise Denied("namespace tolerations and pod tolerations conflict")
                if toleration not in held:
                    held.append(toleration)
            if held:
                spec["tolerations"] = held
        allowed = _read(notes.get(_ALLOWED))
        if allowed and not all(any(_covers(entry, toleration) for entry in allowed) for toleration in held):
            raise Denied(
                "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist"
            )


def _read(text: str | None) -> list[Obj] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError as wrong:
        raise Denied(str(wrong)) from None
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else None


def _same(a: Obj, b: Obj) -> bool:
    return (a.get("key"), a.get("effect")) == (b.get("key"), b.get("effect"))


def _covers(allowed: Obj, toleration: Obj) -> bool:
    """Whether an entry of the list of what is allowed lets a toleration pass."""
    for field in ("key", "effect"):
        if allowed.get(field) and allowed[field] != toleration.get(field):
            return False
    if allowed.get("operator") == "Exists":
        return True
    return bool(allowed.get("value", "") == toleration.get("value", "")) and toleration.get("operator") != "Exists"
