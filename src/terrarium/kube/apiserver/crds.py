"""CustomResourceDefinitions at work: each adds rows to the registry, served from the moment its write returns.

Theory of operation. A definition's names are accepted unless another of its group has them; once accepted it is
established and its versions are registered. Its end is in steps: marked (no more objects are made), its objects
deleted, and gone when the last of them has lost its finalizers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api.hooks import User
from terrarium.kube.api.kinds import GroupVersion, Kind, Obj
from terrarium.kube.apiserver import bootstrap, errors, ownership
from terrarium.kube.apiserver.conversion import Webhook
from terrarium.kube.apiserver.custom import rows_of
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Behaviour, Call, DeleteOptions, Resources
from terrarium.kube.apiserver.upstream import ServiceAddresses
from terrarium.kube.client.contract import ApiError
from terrarium.kube.storage.contract import Conflict

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_SYSTEM = User("system:apiserver")
_LINGER = 0.25
"""Seconds for which the objects of an ending definition are still there."""
Later = Callable[[str, Coroutine[Any, Any, None]], object]


class Definitions(Behaviour):
    """The behaviour of customresourcedefinitions; also the list of what they define."""

    def __init__(self, resources: Resources, kind: Kind, later: Later) -> None:
        """`later` runs a coroutine in the background."""
        self._resources = resources
        self._kind = kind
        self._later = later
        self._rows: dict[str, list[Kind]] = {}
        self._services = ServiceAddresses(resources)

    async def start(self) -> None:
        """Registers what is stored, and goes on with what is ending."""
        for definition in await self._resources.all(self._kind):
            if _established(definition):
                await self._register(definition)
            if definition["metadata"].get("deletionTimestamp"):
                await self._clean(definition)

    async def written(self, obj: Obj, old: Obj | None) -> None:
        if obj["metadata"].get("deletionTimestamp"):
            if old is None or not old["metadata"].get("deletionTimestamp"):
                await self._clean(obj)
        elif old is None or obj.get("spec") != old.get("spec"):
            await self._accept(obj)

    async def removed(self, obj: Obj) -> None:
        gone = [kind.group_version for kind in self._rows.get(obj["metadata"]["name"], ())]
        self._unregister(obj["metadata"]["name"])
        await self._silence(gone)
        # Names that it had may be what others wait for.
        for other in await self._resources.all(self._kind):
            if other["spec"]["group"] == obj["spec"]["group"] and not _established(other):
                await self._accept(other)

    async def delete(self, obj: Obj, call: Call) -> Callable[[Obj], None] | None:
        now = rfc3339(self._resources.clock.now())
        if obj["metadata"].get("deletionTimestamp"):
            return None if CLEANUP not in (obj["metadata"].get("finalizers") or ()) else lambda obj: None
        text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"

        def end(obj: Obj) -> None:
            meta = obj["metadata"]
            meta["deletionTimestamp"] = now
            meta["finalizers"] = [*(f for f in meta.get("finalizers") or () if f != CLEANUP), CLEANUP]
            _condition(obj, "Terminating", "True", "InstanceDeletionPending", text, now)

        return end

    async def _change(self, name: str, change: Callable[[Obj], Obj]) -> Obj:
        """Writes as the server's own controllers do: past admission, and as owner of the status."""

        def owned(definition: Obj) -> Obj:
            old = fresh(definition)
            made = change(definition)
            if made.get("status") != old.get("status"):
                now, minor = self._resources.clock.now(), self._resources.minor
                ownership.track(made, old, self._kind, "kube-apiserver", now, "status", minor, None)
            return made

        record = await self._resources.update(self._kind, "", name, owned, Call(_SYSTEM), system=True)
        return record.obj(self._kind) if record.entry.revision else record.stored

    async def _accept(self, obj: Obj) -> None:
        """Accepts what names nobody else has, and serves the definition when those are all."""
        now = rfc3339(self._resources.clock.now())
        name, group = obj["metadata"]["name"], obj["spec"]["group"]
        others = [
            other
            for other in await self._resources.all(self._kind)
            if other["spec"]["group"] == group and other["metadata"]["name"] != name
        ]

        def change(definition: Obj) -> Obj:
            status = definition.setdefault("status", {})
            accepted, conflict = accept_names(definition, others)
            status["acceptedNames"] = accepted
            if conflict is None:
                _condition(definition, "NamesAccepted", "True", "NoConflicts", "no conflicts found", now)
            else:
                _condition(definition, "NamesAccepted", "False", *conflict, now)
            if not _established(definition):
                if conflict is None:
                    text = "the initial names have been accepted"
                    _condition(definition, "Established", "True", "InitialNamesAccepted", text, now)
                else:
                    text = "not all names are accepted"
                    _condition(definition, "Established", "False", "NotAccepted", text, now)
            return definition

        changed = await self._change(name, change)
        if _established(changed):
            await self._register(changed)

    # The end

    async def _clean(self, obj: Obj) -> None:
        """Deletes all objects of an ending definition: those with finalizers at once, the others shortly after, so that
        who deletes a definition together with its objects still finds them."""
        name = obj["metadata"]["name"]
        if CLEANUP not in (obj["metadata"].get("finalizers") or ()):
            return
        now = rfc3339(self._resources.clock.now())
        for kind in self._rows.get(name, ()):
            self._resources.behaviours[kind.resource] = _Ending(self, kind, name)
        await self._delete_all(name, finalized=True)
        if await self.leave(name):
            return
        text = "CustomResource deletion is in progress"

        def progress(definition: Obj) -> Obj:
            _condition(definition, "Terminating", "True", "InstanceDeletionInProgress", text, now)
            return definition

        await self._change(name, progress)
        self._later(f"end of {name}", self._finish(name))

    async def _finish(self, name: str) -> None:
        await self._resources.clock.sleep(_LINGER)
        await self._delete_all(name, finalized=False)
        await self.leave(name)

    async def _delete_all(self, name: str, *, finalized: bool) -> None:
        kinds = self._rows.get(name, ())
        storage = self._resources.storage
        for entry in (await storage.list(f"/registry/{name}/")).entries:
            stored = self._resources.records.of(entry).stored
            meta = stored["metadata"]
            if finalized and not meta.get("finalizers"):
                continue
            kind = next((k for k in kinds if str(k.group_version) == stored["apiVersion"]), next(iter(kinds), None))
            try:
                if kind is None:
                    await storage.delete(entry.key, expect=entry.revision)
                else:
                    await self._resources.delete(
                        kind, meta.get("namespace", ""), meta["name"], DeleteOptions(), Call(_SYSTEM), admit=False
                    )
            except (ApiError, Conflict):
                continue  # Somebody else was quicker.

    async def leave(self, name: str) -> bool:
        """Lets an ending definition go if nothing of it is left."""
        if (await self._resources.storage.list(f"/registry/{name}/", limit=1)).entries:
            return False
        now = rfc3339(self._resources.clock.now())

        def release(definition: Obj) -> Obj:
            meta = definition["metadata"]
            meta["finalizers"] = [f for f in meta.get("finalizers") or () if f != CLEANUP]
            _condition(definition, "Terminating", "False", "InstanceDeletionCompleted", "removed all instances", now)
            return definition

        if await self._resources.find(self._kind, "", name) is not None:
            await self._change(name, release)
        return True

    # What is served

    async def _register(self, definition: Obj) -> None:
        name = definition["metadata"]["name"]
        self._unregister(name)
        rows = list(rows_of(definition, self._webhook(definition)))
        for kind, custom in rows:
            self._resources.registry.add(kind)
            self._resources.custom[(kind.group_version, kind.plural)] = custom
        self._rows[name] = [kind for kind, _ in rows]
        await self._announce([kind.group_version for kind, _ in rows])

    async def _announce(self, versions: Sequence[GroupVersion]) -> None:
        """An APIService for each version, as the registration controller makes them."""
        kind = self._resources.registry.resource("apiregistration.k8s.io", "v1", "apiservices")
        for gv in versions if kind is not None else ():
            assert kind is not None
            await bootstrap.ensure(self._resources, kind, _service(gv))

    async def _silence(self, versions: Sequence[GroupVersion]) -> None:
        """Removes the APIServices of versions that nobody serves any more."""
        kind = self._resources.registry.resource("apiregistration.k8s.io", "v1", "apiservices")
        served = {row.group_version for rows in self._rows.values() for row in rows}
        for gv in versions if kind is not None else ():
            assert kind is not None
            name = f"{gv.version}.{gv.group}"
            held = await self._resources.find(kind, "", name) if gv not in served else None
            if held is not None and _LABEL in (held.obj(kind)["metadata"].get("labels") or {}):
                with contextlib.suppress(ApiError):
                    await self._resources.delete(kind, "", name, DeleteOptions(), Call(_SYSTEM), admit=False)

    def _webhook(self, definition: Obj) -> Webhook | None:
        conversion = definition["spec"].get("conversion") or {}
        if conversion.get("strategy") != "Webhook":
            return None
        kind = definition["spec"]["names"]["kind"]
        return Webhook(conversion.get("webhook") or {}, kind, self._services, self._resources.ids)

    def _unregister(self, name: str) -> None:
        for kind in self._rows.pop(name, ()):
            self._resources.registry.remove(kind)
            self._resources.custom.pop((kind.group_version, kind.plural), None)
            self._resources.behaviours.pop(kind.resource, None)


_LABEL = "kube-aggregator.kubernetes.io/automanaged"


def _service(gv: GroupVersion) -> Obj:
    available = {
        "type": "Available",
        "status": "True",
        "reason": "Local",
        "message": "Local APIServices are always available",
    }
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"{gv.version}.{gv.group}", "labels": {_LABEL: "true"}},
        "spec": {"group": gv.group, "version": gv.version, "groupPriorityMinimum": 1000, "versionPriority": 100},
        "status": {"conditions": [available]},
    }


class _Ending(Behaviour):
    """The behaviour of resources whose definition is ending."""

    def __init__(self, definitions: Definitions, kind: Kind, name: str) -> None:
        self._definitions = definitions
        self._kind = kind
        self._name = name

    async def before_create(self, obj: Obj, call: Call) -> None:
        raise errors.create_while_terminating(self._kind)

    async def removed(self, obj: Obj) -> None:
        await self._definitions.leave(self._name)


_NAMES = (
    ("plural", "PluralConflict"),
    ("singular", "SingularConflict"),
    ("shortNames", "ShortNamesConflict"),
    ("kind", "KindConflict"),
    ("listKind", "ListKindConflict"),
)


def accept_names(definition: Obj, others: Sequence[Obj]) -> tuple[Obj, tuple[str, str] | None]:
    """The names that a definition gets beside the others of its group, and reason and text of the last conflict."""
    spec = definition["spec"]["names"]
    wanted = {key: value for key, value in spec.items() if value}
    wanted.setdefault("singular", spec["kind"].lower())
    wanted.setdefault("listKind", spec["kind"] + "List")
    held = (definition.get("status") or {}).get("acceptedNames") or {}
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        taken = (other.get("status") or {}).get("acceptedNames") or {}
        resources.update(filter(None, (taken.get("plural"), taken.get("singular"), *(taken.get("shortNames") or ()))))
        kinds.update(filter(None, (taken.get("kind"), taken.get("listKind"))))
    accepted: Obj = {"plural": held.get("plural", ""), "kind": held.get("kind", "")}
    accepted.update({key: value for key, value in held.items() if value})
    conflict: tuple[str, str] | None = None
    for key, reason in _NAMES:
        used = kinds if key in ("kind", "listKind") else resources
        asked = wanted.get(key) or []
        present = held.get(key) or []
        many = [asked] if isinstance(asked, str) else [name for name in asked if name not in present]
        clashes = [f'"{name}" is already in use' for name in many if name in used and name != held.get(key)]
        if clashes:
            conflict = (reason, clashes[0] if len(clashes) == 1 else f"[{', '.join(clashes)}]")
        elif asked:
            accepted[key] = asked
        else:
            accepted.pop(key, None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    else:
        accepted.pop("categories", None)
    return accepted, conflict


def _established(definition: Obj) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)


def _condition(obj: Obj, type: str, status: str, reason: str, message: str, now: str) -> None:
    """Sets a condition where it stands; its time changes with its status alone."""
    state = obj.setdefault("status", {})
    held = state["conditions"] = state.get("conditions") or []
    made = {"type": type, "status": status, "lastTransitionTime": now, "reason": reason, "message": message}
    for index, condition in enumerate(held):
        if condition.get("type") == type:
            if condition.get("status") == status:
                made["lastTransitionTime"] = condition.get("lastTransitionTime") or now
            held[index] = made
            return
    held.append(made)
