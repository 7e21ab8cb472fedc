"""LimitRanger and ResourceQuota: bounds on single objects, and on all objects of a namespace together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from terrarium.kube.api.hooks import AdmissionRequest, Denied, User
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.apiserver.plugins import Plugin, is_resource
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.resources import Call

Amounts = dict[str, Quantity]
ZERO = Quantity(0)


def amounts(raw: Mapping[str, Any] | None) -> Amounts:
    return {name: Quantity.of(value) for name, value in (raw or {}).items()}


def _is_terminal(pod: Obj) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def pod_amounts(pod: Obj, field: str) -> Amounts:
    """What a pod asks for as the scheduler and quota count it (`requests` or `limits`), sidecars and overhead included."""
    spec = pod.get("spec") or {}
    total: Amounts = {}
    sidecars: Amounts = {}
    for container in spec.get("containers") or ():
        _add(total, amounts((container.get("resources") or {}).get(field)))
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = amounts((container.get("resources") or {}).get(field))
        if container.get("restartPolicy") == "Always":
            _add(total, own)
            _add(sidecars, own)
            current = dict(sidecars)
        else:
            current = dict(sidecars)
            _add(current, own)
        for name, value in current.items():
            peak[name] = max(peak.get(name, ZERO), value)
    for name, value in peak.items():
        total[name] = max(total.get(name, ZERO), value)
    overhead = amounts(spec.get("overhead"))
    for name, value in overhead.items():
        if field == "requests" or name in total:
            total[name] = total.get(name, ZERO) + value
    return total


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total[name] + value if name in total else value


# Limit ranges


class LimitRanger(Plugin):
    """Containers get default requests and limits; what is outside of a range is refused."""

    name = "LimitRanger"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "pods", "CREATE") or request.obj is None:
            return
        for limit_range in await self.every("", "v1", "limitranges", request.namespace):
            _apply_defaults(request.obj, limit_range)

    async def validate(self, request: AdmissionRequest) -> None:
        if request.obj is None:
            return
        check: Callable[[Obj, Obj], list[str]]
        if is_resource(request, "pods", "CREATE"):
            check = _pod_faults
        elif is_resource(request, "persistentvolumeclaims", "CREATE", "UPDATE"):
            check = _claim_faults
        else:
            return
        for limit_range in await self.every("", "v1", "limitranges", request.namespace):
            faults = check(request.obj, limit_range)
            if faults:
                raise Denied(faults[0] if len(faults) == 1 else "[" + ", ".join(faults) + "]")


def _limits(limit_range: Obj) -> Iterable[Obj]:
    items: Iterable[Obj] = (limit_range.get("spec") or {}).get("limits") or ()
    return items


def _apply_defaults(pod: Obj, limit_range: Obj) -> None:
    requests: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for item in _limits(limit_range):
        if item.get("type") == "Container":
            requests.update(item.get("defaultRequest") or {})
            limits.update(item.get("default") or {})
    if not requests and not limits:
        return
    notes: list[str] = []
    for group in ("initContainers", "containers"):
        for container in (pod.get("spec") or {}).get(group) or ():
            resources = container.setdefault("resources", {})
            kind = "init container" if group == "initContainers" else "container"
            for field, values in (("requests", requests), ("limits", limits)):
                held = resources.get(field) or {}
                added = {name: value for name, value in values.items() if name not in held}
                if added:
                    resources[field] = {**held, **added}
                    names = ", ".join(sorted(added))
                    notes.append(f"{names} {field[:-1]} for {kind} {container['name']}")
    if notes:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations["kubernetes.io/limit-ranger"] = "LimitRanger plugin set: " + "; ".join(notes)


def _range_faults(kind: str, item: Obj, requests: Amounts, limits: Amounts) -> list[str]:
    """In the order in which the real plugin looks: min, max, ratio."""
    faults: list[str] = []
    for name, least in amounts(item.get("min")).items():
        if name not in requests:
            faults.append(f"minimum {name} usage per {kind} is {least}.  No request is specified")
        elif requests[name] < least:
            faults.append(f"minimum {name} usage per {kind} is {least}, but request is {requests[name]}")
        elif name in limits and limits[name] < least:
            faults.append(f"minimum {name} usage per {kind} is {least}, but limit is {limits[name]}")
    for name, most in amounts(item.get("max")).items():
        if name not in limits:
            faults.append(f"maximum {name} usage per {kind} is {most}.  No limit is specified")
        elif limits[name] > most:
            faults.append(f"maximum {name} usage per {kind} is {most}, but limit is {limits[name]}")
        elif name in requests and requests[name] > most:
            faults.append(f"maximum {name} usage per {kind} is {most}, but request is {requests[name]}")
    for name, ratio in amounts(item.get("maxLimitRequestRatio")).items():
        if not requests.get(name):
            faults.append(
                f"{name} max limit to request ratio per {kind} is {ratio}, but no request is specified or request is 0"
            )
        elif not limits.get(name):
            faults.append(
                f"{name} max limit to request ratio per {kind} is {ratio}, but no limit is specified or limit is 0"
            )
        elif limits[name].nanos / requests[name].nanos > ratio.nanos / Quantity.units(1).nanos:
            given = limits[name].nanos / requests[name].nanos
            faults.append(f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {given:.6f}")
    return faults


def _pod_faults(pod: Obj, limit_range: Obj) -> list[str]:
    faults: list[str] = []
    spec = pod.get("spec") or {}
    for item in _limits(limit_range):
        if item.get("type") == "Container":
            for group in ("containers", "initContainers"):
                for container in spec.get(group) or ():
                    resources = container.get("resources") or {}
                    faults += _range_faults(
                        "Container", item, amounts(resources.get("requests")), amounts(resources.get("limits"))
                    )
        elif item.get("type") == "Pod":
            faults += _range_faults("Pod", item, pod_amounts(pod, "requests"), pod_amounts(pod, "limits"))
    return faults


def _claim_faults(claim: Obj, limit_range: Obj) -> list[str]:
    faults: list[str] = []
    requests = amounts(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    for item in _limits(limit_range):
        if item.get("type") != "PersistentVolumeClaim":
            continue
        for name, least in amounts(item.get("min")).items():
            if name in requests and requests[name] < least:
                faults.append(
                    f"minimum {name} usage per PersistentVolumeClaim is {least}, but request is {requests[name]}"
                )
        for name, most in amounts(item.get("max")).items():
            if name in requests and requests[name] > most:
                faults.append(
                    f"maximum {name} usage per PersistentVolumeClaim is {most}, but request is {requests[name]}"
                )
    return faults


# Quotas


def _pod_usage(pod: Obj) -> Amounts:
    usage: Amounts = {"count/pods": Quantity.units(1)}
    if _is_terminal(pod):
        return usage
    usage["pods"] = Quantity.units(1)
    for field in ("requests", "limits"):
        for name, value in pod_amounts(pod, field).items():
            usage[f"{field}.{name}"] = value
            if field == "requests" and name in ("cpu", "memory", "ephemeral-storage"):
                usage[name] = value
    return usage


def _service_usage(service: Obj) -> Amounts:
    one = Quantity.units(1)
    spec = service.get("spec") or {}
    usage: Amounts = {"count/services": one, "services": one}
    ports = Quantity.units(len(spec.get("ports") or ()))
    if spec.get("type") == "LoadBalancer":
        usage["services.loadbalancers"] = one
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = Quantity.units(sum(1 for p in spec.get("ports") or () if p.get("nodePort")))
        usage["services.nodeports"] = ports
    elif spec.get("type") == "NodePort":
        usage["services.nodeports"] = ports
    return usage


def _claim_usage(claim: Obj) -> Amounts:
    one = Quantity.units(1)
    spec = claim.get("spec") or {}
    usage: Amounts = {"count/persistentvolumeclaims": one, "persistentvolumeclaims": one}
    value = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    storage = Quantity.of(value) if value is not None else ZERO
    usage["requests.storage"] = storage
    if name := spec.get("storageClassName"):
        usage[f"{name}.storageclass.storage.k8s.io/requests.storage"] = storage
        usage[f"{name}.storageclass.storage.k8s.io/persistentvolumeclaims"] = one
    return usage


_USAGE: Mapping[str, Callable[[Obj], Amounts]] = {
    "pods": _pod_usage,
    "services": _service_usage,
    "persistentvolumeclaims": _claim_usage,
}
_COUNTED = frozenset({"configmaps", "secrets", "replicationcontrollers", "resourcequotas"})


def usage_of(resource: str, obj: Obj) -> Amounts:
    """What one object of a resource uses, under all names that a quota may give."""
    if (special := _USAGE.get(resource)) is not None:
        return special(obj)
    one = Quantity.units(1)
    found = {f"count/{resource}": one}
    if resource in _COUNTED:
        found[resource] = one
    return found


def in_scope(quota: Obj, resource: str, obj: Obj) -> bool:
    """Whether a quota's scopes and scope selector take an object in."""
    spec = quota.get("spec") or {}
    terms = [{"scopeName": name, "operator": "Exists"} for name in spec.get("scopes") or ()]
    terms += (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    if terms and resource != "pods":
        return False
    return all(_scope_fits(term, obj) for term in terms)


def _scope_fits(term: Obj, pod: Obj) -> bool:
    spec, name = pod.get("spec") or {}, term["scopeName"]
    ends = spec.get("activeDeadlineSeconds") is not None
    best = (pod.get("status") or {}).get("qosClass", _qos(pod)) == "BestEffort"
    match name:
        case "Terminating":
            return ends
        case "NotTerminating":
            return not ends
        case "BestEffort":
            return bool(best)
        case "NotBestEffort":
            return not bool(best)
        case "CrossNamespacePodAffinity":
            return _crosses(spec)
    value: str = spec.get("priorityClassName", "")
    values = term.get("values") or ()
    match term.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "DoesNotExist":
            return not value
    return bool(value)


def _qos(pod: Obj) -> str:
    asks = pod_amounts(pod, "requests") or pod_amounts(pod, "limits")
    return "Burstable" if asks else "BestEffort"


def _crosses(spec: Obj) -> bool:
    affinity = spec.get("affinity") or {}
    for name in ("podAffinity", "podAntiAffinity"):
        rules = affinity.get(name) or {}
        terms = list(rules.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [t["podAffinityTerm"] for t in rules.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        if any(t.get("namespaces") or t.get("namespaceSelector") is not None for t in terms):
            return True
    return False


class ResourceQuota(Plugin):
    """Charges a namespace's quotas with what a write adds, or refuses it."""

    name = "ResourceQuota"

    async def validate(self, request: AdmissionRequest) -> None:
        if request.operation not in ("CREATE", "UPDATE") or request.subresource or not request.namespace:
            return
        resource = str(request.resource)
        if resource == "resourcequotas" or request.obj is None:
            return
        if request.operation == "UPDATE" and resource not in _USAGE:
            return
        quotas = await self.every("", "v1", "resourcequotas", request.namespace)
        if not quotas:
            return
        added = usage_of(resource, request.obj)
        if request.old is not None:
            for name, value in usage_of(resource, request.old).items():
                added[name] = added.get(name, ZERO) - value
        faults: list[str] = []
        charges: list[tuple[Obj, Amounts]] = []
        for quota in quotas:
            if not in_scope(quota, resource, request.obj):
                continue
            hard = amounts((quota.get("status") or {}).get("hard") or (quota.get("spec") or {}).get("hard"))
            self._need(quota, resource, request.obj, hard, faults)
            mine = {name: added[name] for name in sorted(hard) if added.get(name)}
            if not mine:
                continue
            used = amounts((quota.get("status") or {}).get("used"))
            over = [n for n in mine if mine[n] > ZERO and used.get(n, ZERO) + mine[n] > hard[n]]
            if over:
                faults.append(_exceeded(quota, over, mine, used, hard))
            charges.append((quota, mine))
        if faults:
            raise Denied("[" + ", ".join(faults) + "]" if len(faults) > 1 else faults[0])
        if request.dry_run:
            return
        for quota, mine in charges:
            await self._charge(quota, mine)

    def _need(self, quota: Obj, resource: str, obj: Obj, hard: Amounts, faults: list[str]) -> None:
        """Pods must say what they ask for where a quota bounds it."""
        if resource != "pods":
            return
        missing: dict[str, list[str]] = {}
        names = [
            n for n in ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory") if n in hard
        ]
        spec = obj.get("spec") or {}
        for name in sorted(names):
            field, _, bare = name.rpartition(".")
            for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
                if bare not in ((container.get("resources") or {}).get(field or "requests") or {}):
                    missing.setdefault(name, []).append(container["name"])
        if missing:
            text = "; ".join(f"{name} for: {','.join(sorted(set(who)))}" for name, who in sorted(missing.items()))
            faults.append(f"failed quota: {quota['metadata']['name']}: must specify {text}")

    async def _charge(self, quota: Obj, mine: Amounts) -> None:
        kind = self._resources.registry.resource("", "v1", "resourcequotas")
        assert kind is not None
        meta = quota["metadata"]

        def add(old: Obj) -> Obj:
            status = old.setdefault("status", {})
            if not status.get("hard"):
                status["hard"] = fresh((old.get("spec") or {}).get("hard") or {})
            used = amounts(status.get("used"))
            for name, value in mine.items():
                used[name] = used.get(name, ZERO) + value
            status["used"] = {name: str(value) for name, value in used.items()}
            return old

        await self._resources.update(
            kind, meta["namespace"], meta["name"], add, Call(User("system:apiserver")), system=True
        )


def _exceeded(quota: Obj, over: list[str], asked: Amounts, used: Amounts, hard: Amounts) -> str:
    def shown(values: Amounts) -> str:
        return ",".join(f"{name}={values.get(name, ZERO)}" for name in over)

    name = quota["metadata"]["name"]
    return f"exceeded quota: {name}, requested: {shown(asked)}, used: {shown(used)}, limited: {shown(hard)}"
