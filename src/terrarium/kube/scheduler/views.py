"""Typed views of the objects the scheduler looks at: read once, then compared a thousand times.

CPU is in millicores, everything else in whole units (bytes, pods, devices), rounded up as Kubernetes' `Quantity` does.
Source: kubernetes/component-helpers resource and scheduling/corev1 helpers, as described in the API reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

from terrarium.kube.api.kinds import Obj

_SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40), "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip


@lru_cache(maxsize=65_536)
def amount(text: str | int | float) -> Fraction:
    """The value of a quantity; 0 for what is no quantity (the API server lets none through)."""
    written = str(text).strip()
    digits = len(written)
    while digits and not (written[digits - 1].isdigit() or written[digits - 1] == "."):
        digits -= 1
    try:
        return Fraction(written[:digits]) * _SUFFIXES[written[digits:]]
    except (KeyError, ValueError, ZeroDivisionError):
        return Fraction(0)


@lru_cache(maxsize=65_536)
def quantity(resource: str, text: str | int | float) -> int:
    """A quantity in the scheduler's unit of its resource."""
    value = amount(text)
    return math.ceil(value * 1000) if resource == "cpu" else math.ceil(value)


Resources = dict[str, int]
"""Amounts by resource name, in the scheduler's units."""

DEFAULT_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What scoring assumes of a container that asks for nothing (schedutil.DefaultMilliCPURequest and …MemoryRequest)."""


def _add(total: Resources, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _maximum(total: Resources, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        if value > total.get(name, 0):
            total[name] = value


def _amounts(written: Mapping[str, Any] | None) -> Resources:
    return {name: quantity(name, value) for name, value in (written or {}).items()}


def pod_requests(pod: Obj, missing: Mapping[str, int] | None = None) -> Resources:
    """What a pod asks for: containers and sidecars together, or the hungriest init step, plus overhead.

    `missing` fills in for a container that does not name a resource. A container which is being resized counts with
    the most of what it wants, has been allotted and uses; when the resize is infeasible, its wish does not count.
    (component-helpers `PodRequests` with UseStatusResources)
    """
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    running = {c["name"]: c for kind in ("containerStatuses", "initContainerStatuses") for c in status.get(kind) or ()}
    infeasible = any(
        c["type"] == "PodResizePending" and c.get("reason") == "Infeasible" for c in status.get("conditions") or ()
    )

    def requests(container: Obj) -> Resources:
        wanted = _amounts((container.get("resources") or {}).get("requests"))
        now = running.get(container.get("name", ""))
        if now is not None:
            used = _amounts((now.get("resources") or {}).get("requests"))
            _maximum(used, _amounts(now.get("allocatedResources")))
            if infeasible:
                wanted = used
            else:
                _maximum(wanted, used)
        for name, value in (missing or {}).items():
            wanted.setdefault(name, value)
        return wanted

    total: Resources = {}
    for container in spec.get("containers") or ():
        _add(total, requests(container))
    sidecars: Resources = {}
    step: Resources = {}
    for container in spec.get("initContainers") or ():
        wanted = requests(container)
        if container.get("restartPolicy") == "Always":
            _add(total, wanted)
            _add(sidecars, wanted)
            wanted = dict(sidecars)
        else:
            _add(wanted, sidecars)
        _maximum(step, wanted)
    _maximum(total, step)
    _add(total, _amounts(spec.get("overhead")))
    return total


_ASSUMED = {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY}
_Asked = tuple[tuple[tuple[str, Any], ...], ...]
"""What each container of a pod asks for, as written."""


@lru_cache(maxsize=16_384)
def _plain_requests(asked: _Asked) -> tuple[Resources, int, int]:
    """(requests, assumed CPU, assumed memory) of containers that run side by side. Pods share it: nobody changes it."""
    pod = {"spec": {"containers": [{"resources": {"requests": dict(items)}} for items in asked]}}
    assumed = pod_requests(pod, _ASSUMED)
    return pod_requests(pod), assumed.get("cpu", 0), assumed.get("memory", 0)


def _requests_of(obj: Obj, spec: Obj) -> tuple[Resources, int, int]:
    """`_plain_requests` of any pod."""
    status = obj.get("status") or {}
    if spec.get("initContainers") or spec.get("overhead") or status.get("containerStatuses"):
        assumed = pod_requests(obj, _ASSUMED)
        return pod_requests(obj), assumed.get("cpu", 0), assumed.get("memory", 0)
    return _plain_requests(
        tuple(tuple(((c.get("resources") or {}).get("requests") or {}).items()) for c in spec.get("containers") or ())
    )


# --- selectors -----------------------------------------------------------------------------------------------------

Matcher = Callable[[Mapping[str, str]], bool]


def _integer(text: str | None) -> int | None:
    try:
        return int(text) if text is not None and not text.startswith("+") else None
    except ValueError:
        return None


def requirement(key: str, operator: str, values: Sequence[str]) -> Matcher:
    """One expression of a label selector (apimachinery labels.Requirement). Unknown operators match nothing."""
    wanted = frozenset(values)
    match operator:
        case "In":
            return lambda labels: key in labels and labels[key] in wanted
        case "NotIn":
            return lambda labels: key not in labels or labels[key] not in wanted
        case "Exists":
            return lambda labels: key in labels
        case "DoesNotExist":
            return lambda labels: key not in labels
        case "Gt" | "Lt":
            bound = _integer(values[0]) if len(values) == 1 else None

            def compare(labels: Mapping[str, str]) -> bool:
                value = _integer(labels.get(key))
                if value is None or bound is None:
                    return False
                return value > bound if operator == "Gt" else value < bound

            return compare
    return lambda labels: False


def label_selector(selector: Obj | None) -> Matcher:
    """A metav1.LabelSelector; None matches nothing, an empty one everything."""
    if selector is None:
        return lambda labels: False
    exact = dict(selector.get("matchLabels") or {})
    rules = [
        requirement(e["key"], e["operator"], e.get("values") or ()) for e in selector.get("matchExpressions") or ()
    ]
    if not rules:
        items = tuple(exact.items())
        return lambda labels: all(labels.get(k) == v for k, v in items)
    return lambda labels: all(labels.get(k) == v for k, v in exact.items()) and all(r(labels) for r in rules)


NameRule = tuple[str, tuple[str, ...]]
"""An (operator, values) over metadata.name."""


def _named(name: str, rule: NameRule) -> bool:
    operator, values = rule
    return (name in values) == (operator == "In")


@dataclass(frozen=True, slots=True)
class NodeTerm:
    """A term of node affinity: labels and fields must match. `error` is why it can't be read; then it never matches."""

    labels: tuple[Matcher, ...]
    names: tuple[NameRule, ...]
    error: str = ""

    def matches(self, node: Node) -> bool:
        if self.error or not (self.labels or self.names):
            return False
        if not all(m(node.labels) for m in self.labels):
            return False
        return all(_named(node.name, rule) for rule in self.names)


def node_term(term: Obj) -> NodeTerm:
    problem = ""
    for at, expression in enumerate(term.get("matchExpressions") or ()):
        values: Sequence[str] = expression.get("values") or ()
        if expression["operator"] in ("Gt", "Lt") and (len(values) != 1 or _integer(values[0]) is None):
            shown = values[0] if len(values) == 1 else ""
            problem = problem or (
                f'matchExpressions[{at}].values[0]: Invalid value: "{shown}": '
                "for 'Gt', 'Lt' operators, the value must be an integer"
            )
    return NodeTerm(
        tuple(requirement(e["key"], e["operator"], e.get("values") or ()) for e in term.get("matchExpressions") or ()),
        tuple((e["operator"], tuple(e.get("values") or ())) for e in term.get("matchFields") or ()),
        problem,
    )


@dataclass(frozen=True, slots=True)
class PodTerm:
    """A term of pod (anti-)affinity. It concerns pods in `namespaces`, and in those whose labels match."""

    topology_key: str
    selector: Matcher
    namespaces: frozenset[str]
    namespace_selector: Matcher | None
    weight: int = 0

    def matches(self, pod: Pod, namespace_labels: Mapping[str, str]) -> bool:
        if pod.namespace not in self.namespaces and not (
            self.namespace_selector is not None and self.namespace_selector(namespace_labels)
        ):
            return False
        return self.selector(pod.labels)


def pod_term(term: Obj, namespace: str, weight: int = 0) -> PodTerm:
    named = frozenset(term.get("namespaces") or ())
    chosen = term.get("namespaceSelector")
    if not named and chosen is None:
        named = frozenset((namespace,))
    return PodTerm(
        term.get("topologyKey", ""),
        label_selector(term.get("labelSelector")),
        named,
        label_selector(chosen) if chosen is not None else None,
        weight,
    )


@dataclass(frozen=True, slots=True)
class Toleration:
    key: str
    operator: str
    value: str
    effect: str

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.key and self.key != taint.key:
            return False
        if self.operator == "Exists":
            return True
        return self.operator in ("", "Equal") and self.value == taint.value


@lru_cache(maxsize=16_384)
def _tolerations(written: tuple[tuple[str, str, str, str], ...]) -> tuple[Toleration, ...]:
    """Most pods have the same ones, and share them."""
    return tuple(Toleration(*fields) for fields in written)


@dataclass(frozen=True, slots=True)
class Taint:
    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{{{self.key}: {self.value}}}"


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint."""

    key: str
    max_skew: int
    hard: bool
    selector: Matcher
    min_domains: int
    honor_affinity: bool
    honor_taints: bool
    counts: bool = True
    """Whether pods are counted at all: an empty selector matches the pod itself, and no other."""


def spread(constraint: Obj, labels: Mapping[str, str]) -> Spread:
    selector = constraint.get("labelSelector")
    keys = [k for k in constraint.get("matchLabelKeys") or () if k in labels]
    if keys:
        selector = dict(selector or {})
        extra = [{"key": k, "operator": "In", "values": [labels[k]]} for k in keys]
        selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), *extra]
    return Spread(
        constraint["topologyKey"],
        constraint.get("maxSkew", 1),
        constraint.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule",
        label_selector(selector),
        constraint.get("minDomains") or 1,
        constraint.get("nodeAffinityPolicy", "Honor") == "Honor",
        constraint.get("nodeTaintsPolicy", "Ignore") == "Honor",
        bool(selector and (selector.get("matchLabels") or selector.get("matchExpressions"))),
    )


# --- pods and nodes ------------------------------------------------------------------------------------------------

HostPort = tuple[str, str, int]
"""(address, protocol, port); the address is 0.0.0.0 for all."""


@dataclass(slots=True, eq=False)
class Pod:
    """A pod as the scheduler sees it; `obj` is the object itself, for what is seldom looked at."""

    obj: Obj
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    node_name: str
    scheduler_name: str
    priority: int
    requests: Resources
    assumed_cpu: int
    assumed_memory: int
    """CPU and memory with the defaults which scoring assumes."""
    host_ports: tuple[HostPort, ...]
    tolerations: tuple[Toleration, ...]
    node_selector: Mapping[str, str]
    required_nodes: tuple[NodeTerm, ...] | None
    preferred_nodes: tuple[tuple[int, NodeTerm], ...]
    affinity: tuple[PodTerm, ...]
    anti_affinity: tuple[PodTerm, ...]
    preferred_affinity: tuple[PodTerm, ...]
    preferred_anti_affinity: tuple[PodTerm, ...]
    spreads: tuple[Spread, ...]
    gates: tuple[str, ...]
    images: tuple[str, ...]
    start_time: str = ""
    deleting: bool = False
    group: object = None
    """What others see of it, once `fast.columns` has asked."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def nominated(self) -> str:
        return str((self.obj.get("status") or {}).get("nominatedNodeName") or "")

    @property
    def has_affinity(self) -> bool:
        return bool(self.affinity or self.anti_affinity or self.preferred_affinity or self.preferred_anti_affinity)

    def tolerates(self, taint: Taint) -> bool:
        return any(t.tolerates(taint) for t in self.tolerations)

    def same_for_others(self, newer: Pod) -> bool:
        """Whether nobody else's scheduling can tell the two states of the pod apart."""
        return (
            self.requests == newer.requests
            and self.labels == newer.labels
            and self.deleting == newer.deleting
            and self.assumed_cpu == newer.assumed_cpu
            and self.assumed_memory == newer.assumed_memory
            and self.host_ports == newer.host_ports
            and (self.obj.get("spec") or {}).get("affinity") == (newer.obj.get("spec") or {}).get("affinity")
        )

    def allowed_on(self, node: Node) -> bool:
        """Node selector and required node affinity (corev1/nodeaffinity `RequiredNodeAffinity`)."""
        labels = node.labels
        for key, value in self.node_selector.items():
            if labels.get(key) != value:
                return False
        return self.required_nodes is None or any(t.matches(node) for t in self.required_nodes)


def _host_ports(spec: Obj) -> Iterable[HostPort]:
    sidecars = (c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always")
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"]


def read_pod(obj: Obj) -> Pod:
    """Reads a pod object."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    namespace = metadata.get("namespace") or "default"
    labels = metadata.get("labels") or {}
    affinity = spec.get("affinity") or {}
    on_nodes = affinity.get("nodeAffinity") or {}
    with_pods, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
    required = on_nodes.get("requiredDuringSchedulingIgnoredDuringExecution")
    requests, assumed_cpu, assumed_memory = _requests_of(obj, spec)

    def terms(source: Obj) -> tuple[PodTerm, ...]:
        return tuple(pod_term(t, namespace) for t in source.get("requiredDuringSchedulingIgnoredDuringExecution") or ())

    def weighted(source: Obj) -> tuple[PodTerm, ...]:
        written = source.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return tuple(pod_term(t["podAffinityTerm"], namespace, t["weight"]) for t in written)

    return Pod(
        obj=obj,
        namespace=namespace,
        name=metadata["name"],
        uid=metadata.get("uid") or f"{namespace}/{metadata['name']}",
        labels=labels,
        node_name=spec.get("nodeName") or "",
        scheduler_name=spec.get("schedulerName") or "default-scheduler",
        priority=spec.get("priority") or 0,
        requests=requests,
        assumed_cpu=assumed_cpu,
        assumed_memory=assumed_memory,
        host_ports=tuple(_host_ports(spec)),
        tolerations=_tolerations(
            tuple(
                (t.get("key", ""), t.get("operator", ""), t.get("value", ""), t.get("effect", ""))
                for t in spec.get("tolerations") or ()
            )
        ),
        node_selector=spec.get("nodeSelector") or {},
        required_nodes=tuple(node_term(t) for t in required.get("nodeSelectorTerms") or ())
        if required is not None
        else None,
        preferred_nodes=tuple(
            (t["weight"], node_term(t["preference"]))
            for t in on_nodes.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        ),
        affinity=terms(with_pods) if with_pods else (),
        anti_affinity=terms(apart) if apart else (),
        preferred_affinity=weighted(with_pods) if with_pods else (),
        preferred_anti_affinity=weighted(apart) if apart else (),
        spreads=tuple(spread(c, labels) for c in spec.get("topologySpreadConstraints") or ()),
        gates=tuple(g["name"] for g in spec.get("schedulingGates") or ()),
        images=tuple(
            c.get("image", "") for c in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        ),
        start_time=(obj.get("status") or {}).get("startTime") or "",
        deleting=metadata.get("deletionTimestamp") is not None,
    )


@dataclass(slots=True, eq=False)
class Node:
    """A node as the scheduler sees it."""

    obj: Obj
    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    unschedulable: bool
    allocatable: Resources
    images: Mapping[str, int] = field(default_factory=dict)
    """Size in bytes by every name of every image."""

    def same_for_scheduling(self, newer: Node) -> bool:
        """Whether no plugin can tell the two states of the node apart."""
        return (
            self.labels == newer.labels
            and self.taints == newer.taints
            and self.unschedulable == newer.unschedulable
            and self.allocatable == newer.allocatable
            and self.images == newer.images
        )

    @property
    def zone(self) -> str:
        """The key by which nodes are interleaved: region and zone (component-helpers `GetZoneKey`)."""
        labels = self.labels
        region = labels.get("topology.kubernetes.io/region") or labels.get(
            "failure-domain.beta.kubernetes.io/region", ""
        )
        zone = labels.get("topology.kubernetes.io/zone") or labels.get("failure-domain.beta.kubernetes.io/zone", "")
        return f"{region}:\0:{zone}" if region or zone else ""


def read_node(obj: Obj) -> Node:
    """Reads a node object."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    written: Mapping[str, Any] = status.get("allocatable") or {}
    return Node(
        obj=obj,
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        taints=tuple(Taint(t["key"], t.get("value") or "", t.get("effect", "")) for t in spec.get("taints") or ()),
        unschedulable=bool(spec.get("unschedulable")),
        allocatable={name: quantity(name, value) for name, value in written.items()},
        images={
            name: image.get("sizeBytes", 0) for image in status.get("images") or () for name in image.get("names") or ()
        },
    )


def read_labels_only(labels: Mapping[str, str]) -> Node:
    """A node of which only the labels are known, for terms which look at nothing else."""
    return Node({}, "", labels, (), False, {})
