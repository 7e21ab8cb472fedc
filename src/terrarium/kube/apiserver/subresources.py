"""Subresources that are other objects than their parent: scale, binding, eviction, token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.base.clock import rfc3339
from terrarium.kube.api import jsonpath, managed, selectors
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import AdmissionRequest
from terrarium.kube.api.kinds import FieldError, GroupVersion, Kind, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.api import Patch, Sub, Target
from terrarium.kube.apiserver.resources import Call, DeleteOptions, Resources, Transform, check_preconditions
from terrarium.kube.apiserver.tokens import ServiceAccountTokens
from terrarium.kube.client.contract import ApiError


class _Only:
    """A base that refuses every verb."""

    async def get(self, target: Target, call: Call) -> Obj:
        raise errors.method_not_allowed()

    async def present(self, target: Target, call: Call) -> Obj:
        return await self.get(target, call)

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Obj]:
        raise errors.method_not_allowed()

    async def update(self, target: Target, obj: Obj, call: Call) -> Obj:
        raise errors.method_not_allowed()

    async def apply(self, target: Target, patch: Patch, call: Call) -> Obj | None:
        return None


_SCALE = Kind(
    GroupVersion("autoscaling", "v1"), "Scale", "scales", "scale", True, schema="io.k8s.api.autoscaling.v1.Scale"
)


class Scale(_Only):
    """autoscaling/v1 Scale of whatever has `spec.replicas`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def get(self, target: Target, call: Call) -> Obj:
        obj = (await self._resources.get(target.kind, target.namespace, target.name)).obj(target.kind)
        path = self._paths(target).get("specReplicasPath", "")
        if path and jsonpath.parse(path).first(obj) is None:
            raise errors.internal(f'the spec replicas field "{path}" does not exist')
        return self._scale(target, obj)

    async def present(self, target: Target, call: Call) -> Obj:
        obj = (await self._resources.get(target.kind, target.namespace, target.name)).obj(target.kind)
        return self._scale(target, obj)

    def _paths(self, target: Target) -> Mapping[str, str]:
        custom = self._resources.custom.get((target.kind.group_version, target.kind.plural))
        found: Mapping[str, str] = custom.replicas if custom is not None else {}
        return found

    def _scale(self, target: Target, obj: Obj) -> Obj:
        paths = self._paths(target)
        if not paths:
            return scale_of(obj)
        made = scale_of({**obj, "spec": {}, "status": {}})
        replicas = jsonpath.parse(paths.get("specReplicasPath", "")).first(obj)
        if replicas:
            made["spec"]["replicas"] = replicas
        made["status"]["replicas"] = jsonpath.parse(paths.get("statusReplicasPath", "")).first(obj) or 0
        if paths.get("labelSelectorPath") and (text := jsonpath.parse(paths["labelSelectorPath"]).first(obj)):
            made["status"]["selector"] = text
        return made

    async def update(self, target: Target, obj: Obj, call: Call) -> Obj:
        replicas = (obj.get("spec") or {}).get("replicas", 0)
        meta = obj.get("metadata") or {}
        custom = self._paths(target)
        if replicas < 0 and custom:
            why = FieldError(
                "FieldValueInvalid",
                custom["specReplicasPath"],
                f"Invalid value: {replicas}: should be a non-negative integer",
            )
            raise errors.invalid(target.kind, target.name, [why])
        if replicas < 0:
            why = FieldError(
                "FieldValueInvalid", "spec.replicas", f"Invalid value: {replicas}: must be greater than or equal to 0"
            )
            raise errors.invalid_named("autoscaling", "Scale", target.name, [why])

        def change(old: Obj) -> Obj:
            if meta.get("resourceVersion"):
                old["metadata"]["resourceVersion"] = meta["resourceVersion"]
            if meta.get("uid"):
                old["metadata"]["uid"] = meta["uid"]
            holder = old
            for step in path[:-1]:
                holder = holder.setdefault(step, {})
            same = holder.get(path[-1]) == replicas
            holder[path[-1]] = replicas
            own = old["metadata"].get("managedFields")
            if own:
                entries = managed.scale_entries(own, fields) if same else managed.taken_scale(call.manager)
                version = str(target.kind.group_version)
                old["metadata"]["managedFields"] = managed.scaled_entries(own, entries, version, fields)
            return old

        path = custom.get("specReplicasPath", ".spec.replicas").strip(".").split(".")
        fields = tuple(f"f:{step}" for step in path)
        return await self._write(target, change, call)

    async def _write(self, target: Target, change: Transform, call: Call) -> Obj:
        record = await self._resources.update(
            target.kind, target.namespace, target.name, change, call, subresource="scale", track=False
        )
        return self._scale(target, record.obj(target.kind) if record.entry.revision else record.stored)

    async def apply(self, target: Target, patch: Patch, call: Call) -> Obj | None:
        """Who applies a Scale owns the object's replicas."""
        path = self._paths(target).get("specReplicasPath", ".spec.replicas").strip(".").split(".")
        fields = tuple(f"f:{step}" for step in path)

        def change(old: Obj) -> Obj:
            held = self._scale(target, old)
            own = old["metadata"].get("managedFields")
            held["metadata"]["managedFields"] = managed.scale_entries(own, fields)
            try:
                applied = managed.apply(
                    held,
                    patch.body,
                    _SCALE,
                    call.manager,
                    self._resources.clock.now(),
                    force=patch.force,
                    subresource="scale",
                    minor=self._resources.minor,
                )
            except managed.ApplyConflict as conflict:
                raise errors.status(409, "Conflict", str(conflict), {"causes": conflict.causes}) from None
            except managed.ApplyError as wrong:
                raise errors.status(wrong.code, wrong.reason, wrong.message) from None
            made = applied.obj
            holder = old
            for step in path[:-1]:
                holder = holder.setdefault(step, {})
            holder[path[-1]] = (made.get("spec") or {}).get("replicas", 0)
            entries = made["metadata"].get("managedFields")
            version = str(target.kind.group_version)
            old["metadata"]["managedFields"] = managed.scaled_entries(own, entries, version, fields)
            return old

        return await self._write(target, change, call)


def scale_of(obj: Obj) -> Obj:
    meta = obj["metadata"]
    spec, status = obj.get("spec", {}), obj.get("status") or {}
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    made_status: dict[str, Any] = {"replicas": status.get("replicas", 0)}
    selector = spec.get("selector")
    if obj["kind"] == "ReplicationController":
        text = str(selectors.from_labels(selector))
    else:
        plain = str(selectors.from_labels((selector or {}).get("matchLabels")))
        expressions = {"matchExpressions": (selector or {}).get("matchExpressions") or []}
        text = ",".join(filter(None, (plain, str(selectors.from_label_selector(expressions)))))
    if text:
        made_status["selector"] = text
    made_spec = {"replicas": spec["replicas"]} if spec.get("replicas") else {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: meta[name] for name in kept if name in meta},
        "spec": made_spec,
        "status": made_status,
    }


class Binding(_Only):
    """Puts a pod onto a node: what the scheduler posts."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Obj]:
        pods = self._resources.registry.resource("", "v1", "pods")
        assert pods is not None
        meta = obj.get("metadata") or {}
        name = target.name or meta.get("name", "")
        node = (obj.get("target") or {}).get("name", "")
        if target.name and meta.get("name", "") != target.name:
            raise errors.bad_request("name in URL does not match name in Binding object")
        found: list[FieldError] = []
        kind = (obj.get("target") or {}).get("kind", "")
        if kind not in ("", "Node"):
            found.append(
                FieldError(
                    "FieldValueNotSupported",
                    "target.kind",
                    f'Unsupported value: {quote(kind)}: supported values: "Node", "<empty>"',
                )
            )
        if not node:
            found.append(FieldError("FieldValueRequired", "target.name", "Required value"))
        if found:
            texts = [str(error) for error in found]
            raise errors.bare_500(texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]")
        now = rfc3339(self._resources.clock.now())

        def bind(pod: Obj) -> Obj:
            if meta.get("uid") and meta["uid"] != pod["metadata"]["uid"]:
                why = errors.uid_precondition(meta["uid"], pod["metadata"]["uid"])
                raise errors.conflict(pods, name, errors.storage_error(pods, target.namespace, name, why))
            if meta.get("resourceVersion") and meta["resourceVersion"] != pod["metadata"]["resourceVersion"]:
                why = (
                    f"Precondition failed: ResourceVersion in precondition: {meta['resourceVersion']}, "
                    f"ResourceVersion in object meta: {pod['metadata']['resourceVersion']}"
                )
                raise errors.conflict(pods, name, errors.storage_error(pods, target.namespace, name, why))
            if pod["metadata"].get("deletionTimestamp"):
                raise _refused(name, f"pod {name} is being deleted, cannot be assigned to a host")
            if pod["spec"].get("nodeName"):
                raise _refused(name, f"pod {name} is already assigned to node {quote(pod['spec']['nodeName'])}")
            if pod["spec"].get("schedulingGates"):
                raise _refused(name, f"pod {name} has non-empty .spec.schedulingGates")
            pod["spec"]["nodeName"] = node
            for field in ("annotations", "labels"):
                if meta.get(field):
                    pod["metadata"].setdefault(field, {}).update(meta[field])
            conditions = pod.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [c for c in conditions if c.get("type") != "PodScheduled"]
            conditions.append(
                {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
            )
            return pod

        await self._resources.update(pods, target.namespace, name, bind, call, system=True, printed=True)
        return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Bindings:
    """POST to `bindings`: the same, with the pod's name in the body."""

    def __init__(self, resources: Resources) -> None:
        self._binding = Binding(resources)

    async def __call__(self, target: Target, obj: Obj, call: Call) -> Obj:
        _, answer = await self._binding.create(target, obj, call)
        return answer


def _refused(name: str, why: str) -> ApiError:
    return errors.status(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on pods/binding "{name}": {why}',
        {"name": name, "kind": "pods/binding"},
    )


class Eviction(_Only):
    """Deletes a pod if its disruption budgets allow."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Obj]:
        name = (obj.get("metadata") or {}).get("name", "")
        if name and name != target.name:
            raise errors.bad_request("name in URL does not match name in Eviction object")
        record = await self._resources.get(target.kind, target.namespace, target.name)
        pod = record.obj(target.kind)
        options = obj.get("deleteOptions") or {}
        conditions = options.get("preconditions") or {}
        call.dry_run = call.dry_run or bool(options.get("dryRun"))
        await self._resources.admit(
            AdmissionRequest(
                "CREATE",
                target.resource,
                "Eviction",
                target.namespace,
                target.name,
                obj,
                None,
                call.user,
                "eviction",
                call.dry_run,
            )
        )
        how = DeleteOptions(
            options.get("gracePeriodSeconds"),
            options.get("propagationPolicy") or "",
            options.get("orphanDependents"),
            conditions.get("uid") or "",
            conditions.get("resourceVersion") or "",
        )
        check_preconditions(target.kind, target.name, pod, how)
        if _counts(pod):
            await self._spend(pod, call)
        if not call.dry_run and not pod["metadata"].get("deletionTimestamp"):
            await self._mark(target, call)
        # What is asked for here is the eviction: nobody is asked about the deletion.
        await self._resources.delete(target.kind, target.namespace, target.name, how, call, admit=False)
        return 201, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}

    async def _mark(self, target: Target, call: Call) -> None:
        """Tells in the pod's conditions why it goes."""
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
            "lastProbeTime": None,
            "lastTransitionTime": rfc3339(self._resources.clock.now()),
        }

        def mark(pod: Obj) -> Obj:
            held = pod.setdefault("status", {}).get("conditions") or []
            kept = [c for c in held if c.get("type") != "DisruptionTarget"]
            pod["status"]["conditions"] = [*kept, condition]
            return pod

        await self._resources.update(target.kind, target.namespace, target.name, mark, call, system=True)

    async def _spend(self, pod: Obj, call: Call) -> None:
        """Takes one disruption off the pod's budget; 429 when there is none left."""
        kind = self._resources.registry.resource("policy", "v1", "poddisruptionbudgets")
        if kind is None:
            return
        namespace = pod["metadata"].get("namespace", "")
        labels = pod["metadata"].get("labels")
        budgets = [b for b in await self._resources.all(kind, namespace) if _covers(b, labels)]
        if len(budgets) > 1:
            raise errors.bare_500(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            )
        if not budgets:
            return
        if _unready_may_go(budgets[0], pod):
            return
        now = rfc3339(self._resources.clock.now())

        def spend(budget: Obj) -> Obj:
            name, status = budget["metadata"]["name"], budget.setdefault("status", {})
            if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
                raise _too_many(f"The disruption budget {name} is still being processed by the server.", name, retry=10)
            allowed = status.get("disruptionsAllowed", 0)
            if allowed < 0:
                raise errors.forbidden(kind, name, "pdb disruptions allowed is negative")
            if allowed == 0:
                raise _too_many(
                    f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
                    f"{status.get('currentHealthy', 0)} currently",
                    name,
                )
            status["disruptionsAllowed"] = allowed - 1
            if allowed == 1:
                status["conditions"] = [
                    {
                        "type": "DisruptionAllowed",
                        "status": "False",
                        "reason": "InsufficientPods",
                        "message": "",
                        "observedGeneration": status.get("observedGeneration", 0),
                        "lastTransitionTime": now,
                    }
                ]
            status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = now
            return budget

        await self._resources.update(kind, namespace, budgets[0]["metadata"]["name"], spend, call, system=True)


def _too_many(cause: str, budget: str, retry: int = 0) -> ApiError:
    details: dict[str, Any] = {"causes": [{"reason": "DisruptionBudget", "message": cause}]}
    if retry:
        details["retryAfterSeconds"] = retry
    return errors.too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", details)


def _counts(pod: Obj) -> bool:
    """Whether evicting it disrupts anything."""
    phase = (pod.get("status") or {}).get("phase")
    return not pod["metadata"].get("deletionTimestamp") and phase not in ("Succeeded", "Failed", "Pending")


def _covers(budget: Obj, labels: Mapping[str, str] | None) -> bool:
    selector = budget.get("spec", {}).get("selector")
    return selector is not None and selectors.from_label_selector(selector).matches(labels)


def _unready_may_go(budget: Obj, pod: Obj) -> bool:
    """unhealthyPodEvictionPolicy: pods that are not ready don't count where there are enough that are."""
    conditions: Sequence[Obj] = (pod.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    return bool(desired > 0 and healthy >= desired)


class Token(_Only):
    """serviceaccounts/token."""

    def __init__(self, resources: Resources, tokens: ServiceAccountTokens) -> None:
        self._resources = resources
        self._tokens = tokens

    async def create(self, target: Target, obj: Obj, call: Call) -> tuple[int, Obj]:
        account = await self._resources.get(target.kind, target.namespace, target.name)
        await self._resources.admit(
            AdmissionRequest(
                "CREATE", target.resource, "TokenRequest", target.namespace, target.name, obj, None, call.user, "token"
            )
        )
        return 201, await self._tokens.request(account.stored, obj, call)


def subresources(resources: Resources, tokens: ServiceAccountTokens) -> Mapping[tuple[str, str], Sub]:
    """By resource and subresource."""
    return {
        ("", "scale"): Scale(resources),
        ("pods", "binding"): Binding(resources),
        ("pods", "eviction"): Eviction(resources),
        ("serviceaccounts", "token"): Token(resources, tokens),
    }
