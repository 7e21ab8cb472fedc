"""The fast path against its dull twin: the plain plugins decide the same on random clusters, at every step."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from terrarium.kube.scheduler.cycle import Decision, decide
from terrarium.kube.scheduler.fast import FastPath
from terrarium.kube.scheduler.fast.coverage import covers_pod, covers_profile
from terrarium.kube.scheduler.framework import Framework
from terrarium.kube.scheduler.profiles import framework
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects, Snapshot
from terrarium.kube.scheduler.views import Pod, read_node, read_pod

pytest.importorskip("numpy")

ZONE, HOST, RACK = "topology.kubernetes.io/zone", "kubernetes.io/hostname", "rack"
APPS = ("web", "db", "cache")
NAMESPACES = ("default", "team-a", "team-b")


def node(dice: random.Random, number: int) -> dict[str, Any]:
    name = f"node-{number}"
    labels = {HOST: name, "disk": dice.choice(("ssd", "hdd"))}
    if dice.random() < 0.9:
        labels[ZONE] = f"zone-{dice.randrange(3)}"
    if dice.random() < 0.7:
        labels[RACK] = f"rack-{dice.randrange(4)}"
    allocatable = {
        "cpu": dice.choice(("2", "4", "8", "1500m")),
        "memory": dice.choice(("4Gi", "8Gi", "16Gi")),
        "pods": dice.choice(("3", "5", "110")),
        "ephemeral-storage": "20Gi",
    }
    if dice.random() < 0.2:
        allocatable["example.com/gpu"] = "2"
    if dice.random() < 0.04:
        allocatable = dice.choice(({}, {"pods": "10"}, {"pods": "10", "cpu": "4"}))
    spec: dict[str, Any] = {}
    if dice.random() < 0.2:
        effect = dice.choice(("NoSchedule", "PreferNoSchedule", "NoExecute"))
        spec["taints"] = [{"key": "dedicated", "value": dice.choice(("a", "b")), "effect": effect}]
    if dice.random() < 0.05:
        spec["unschedulable"] = True
    status: dict[str, Any] = {"allocatable": allocatable}
    if dice.random() < 0.3:
        status["images"] = [{"names": [f"app:{dice.randrange(2)}"], "sizeBytes": dice.randrange(1, 900) * 1024 * 1024}]
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def selector(dice: random.Random, app: str) -> dict[str, Any]:
    return dice.choice(
        (
            {"matchLabels": {"app": app}},
            {"matchLabels": {"app": dice.choice(APPS)}},
            {"matchExpressions": [{"key": "app", "operator": "In", "values": [app, dice.choice(APPS)]}]},
            {"matchExpressions": [{"key": "tier", "operator": "Exists"}]},
        )
    )


def term(dice: random.Random, app: str) -> dict[str, Any]:
    found: dict[str, Any] = {"topologyKey": dice.choice((ZONE, HOST, RACK)), "labelSelector": selector(dice, app)}
    other = dice.random()
    if other < 0.15:
        found["namespaces"] = dice.sample(NAMESPACES, 2)
    elif other < 0.3:
        found["namespaceSelector"] = dice.choice(({}, {"matchLabels": {"team": "a"}}))
    return found


def affinity(dice: random.Random, app: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, share in (("podAffinity", 0.2), ("podAntiAffinity", 0.3)):
        sides: dict[str, Any] = {}
        if dice.random() < share:
            sides["requiredDuringSchedulingIgnoredDuringExecution"] = [
                term(dice, app) for _ in range(dice.randint(1, 2))
            ]
        if dice.random() < share:
            sides["preferredDuringSchedulingIgnoredDuringExecution"] = [
                {"weight": dice.randint(1, 100), "podAffinityTerm": term(dice, app)} for _ in range(dice.randint(1, 2))
            ]
        if sides:
            found[kind] = sides
    on_nodes: dict[str, Any] = {}
    if dice.random() < 0.2:
        expression = {"key": "disk", "operator": dice.choice(("In", "NotIn")), "values": ["ssd"]}
        on_nodes["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": [expression]}]
        }
    if dice.random() < 0.3:
        on_nodes["preferredDuringSchedulingIgnoredDuringExecution"] = [
            {
                "weight": dice.randint(1, 100),
                "preference": {"matchExpressions": [{"key": key, "operator": "Exists"}]},
            }
            for key in dice.sample((ZONE, RACK, "none"), 2)
        ]
    if on_nodes:
        found["nodeAffinity"] = on_nodes
    return found


def pod(dice: random.Random, number: int) -> dict[str, Any]:
    app = dice.choice(APPS)
    labels = {"app": app}
    if dice.random() < 0.3:
        labels["tier"] = "front"
    requests = dice.choice(
        (
            {},
            {"cpu": "100m", "memory": "128Mi"},
            {"cpu": "500m"},
            {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"},
            {"memory": "300Mi", "example.com/gpu": "1"},
            {"cpu": "1", "example.com/none": "1"},
        )
    )
    container: dict[str, Any] = {"name": "c", "image": f"app:{dice.randrange(3)}", "resources": {"requests": requests}}
    if dice.random() < 0.1:
        container["ports"] = [{"containerPort": 80, "hostPort": dice.choice((80, 443))}]
    spec: dict[str, Any] = {"containers": [container], "priority": dice.choice((0, 0, 10))}
    wishes = affinity(dice, app)
    if wishes:
        spec["affinity"] = wishes
    if dice.random() < 0.15:
        spec["nodeSelector"] = {"disk": "ssd"}
    if dice.random() < 0.3:
        spec["tolerations"] = [{"key": "dedicated", "operator": "Exists"}]
    if dice.random() < 0.4:
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": dice.randint(1, 3),
                "topologyKey": dice.choice((ZONE, HOST, RACK)),
                "whenUnsatisfiable": dice.choice(("DoNotSchedule", "ScheduleAnyway")),
                "labelSelector": selector(dice, app),
            }
            | ({"nodeTaintsPolicy": "Honor"} if dice.random() < 0.3 else {})
            | ({"nodeAffinityPolicy": "Ignore"} if dice.random() < 0.3 else {})
            for _ in range(dice.randint(1, 3))
        ]
        for constraint in spec["topologySpreadConstraints"]:
            if constraint["whenUnsatisfiable"] == "DoNotSchedule" and dice.random() < 0.3:
                constraint["minDomains"] = dice.randint(1, 5)
    if dice.random() < 0.05:
        spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "missing"}}]
    metadata: dict[str, Any] = {
        "name": f"pod-{number}",
        "namespace": dice.choice(NAMESPACES),
        "uid": f"uid-{number}",
        "labels": labels,
    }
    if dice.random() < 0.05:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": spec}


PROFILES: Mapping[str, dict[str, Any]] = {
    "default": {},
    "most allocated": {
        "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}]
    },
    "ratio, heavy weights": {
        "pluginConfig": [
            {
                "name": "NodeResourcesFit",
                "args": {
                    "scoringStrategy": {
                        "type": "RequestedToCapacityRatio",
                        "resources": [{"name": "cpu", "weight": 3}, {"name": "example.com/gpu", "weight": 2}],
                        "requestedToCapacityRatio": {
                            "shape": [{"utilization": 10, "score": 2}, {"utilization": 80, "score": 9}]
                        },
                    }
                },
            },
            {
                "name": "NodeResourcesBalancedAllocation",
                "args": {"resources": [{"name": n, "weight": 1} for n in ("cpu", "memory", "example.com/gpu")]},
            },
            {"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 7}},
        ],
        "plugins": {"multiPoint": {"enabled": [{"name": "ImageLocality", "weight": 4000}]}},
    },
    "default constraints": {
        "pluginConfig": [
            {
                "name": "PodTopologySpread",
                "args": {
                    "defaultingType": "List",
                    "defaultConstraints": [
                        {"maxSkew": 2, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"},
                        {"maxSkew": 1, "topologyKey": RACK, "whenUnsatisfiable": "ScheduleAnyway"},
                    ],
                },
            },
            {"name": "InterPodAffinity", "args": {"ignorePreferredTermsOfExistingPods": True}},
            {
                "name": "NodeAffinity",
                "args": {
                    "addedAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {
                                "weight": 5,
                                "preference": {
                                    "matchExpressions": [{"key": "disk", "operator": "In", "values": ["hdd"]}]
                                },
                            }
                        ]
                    }
                },
            },
        ],
    },
}


class World:
    """A cluster that changes at random."""

    def __init__(self, dice: random.Random, nodes: int) -> None:
        self.dice = dice
        self.infos = {f"node-{n}": NodeInfo(read_node(node(dice, n))) for n in range(nodes)}
        self.next_node, self.next_pod = nodes, 0
        self.standing: list[tuple[Pod, str]] = []
        self.objects = Objects()
        for name in NAMESPACES:
            self.objects.put("namespaces", {"metadata": {"name": name, "labels": {"team": name[-1]}}})
        self.snapshot = Snapshot(self.infos.values(), self.objects)
        for _ in range(nodes):
            self.put(read_pod(pod(dice, self.number())), dice.choice(list(self.infos)))

    def number(self) -> int:
        self.next_pod += 1
        return self.next_pod

    def put(self, one: Pod, where: str) -> None:
        self.infos[where].add(one)
        self.standing.append((one, where))

    def change(self) -> None:
        """One thing happens, as it does in a live cluster."""
        dice, happens = self.dice, self.dice.random()
        if happens < 0.4 and self.standing:
            gone, where = self.standing.pop(dice.randrange(len(self.standing)))
            if where in self.infos:
                self.infos[where].remove(gone)
        elif happens < 0.55:
            number = int(dice.choice(list(self.infos)).rpartition("-")[2])
            self.infos[f"node-{number}"].replace(read_node(node(dice, number)))
        elif happens < 0.65:
            info = NodeInfo(read_node(node(dice, self.next_node)))
            self.next_node += 1
            self.infos[info.name] = info
            self.snapshot = Snapshot(self.infos.values(), self.objects)
        elif happens < 0.75 and len(self.infos) > 3:
            del self.infos[dice.choice(list(self.infos))]
            self.snapshot = Snapshot(self.infos.values(), self.objects)
        elif happens < 0.8:
            labels = {"team": dice.choice("abc")}
            self.objects.put("namespaces", {"metadata": {"name": dice.choice(NAMESPACES), "labels": labels}})
        elif happens < 0.9:
            service = {
                "metadata": {"name": "s", "namespace": dice.choice(NAMESPACES)},
                "spec": {"selector": {"app": dice.choice(APPS)}},
            }
            self.objects.put("services", service)
        elif self.standing:
            at = dice.randrange(len(self.standing))
            known, where = self.standing[at]
            obj = copy.deepcopy(known.obj)
            obj["status"] = {"phase": "Running"}
            renewed = read_pod(obj)
            if where in self.infos:
                assert self.infos[where].renew(renewed)
            self.standing[at] = (renewed, where)


def shown(decision: Decision) -> dict[str, Any]:
    """All that a decision says, but for the order of nodes."""
    order = sorted(range(len(decision.feasible)), key=lambda at: decision.feasible[at])
    return {
        "node": decision.node,
        "feasible": [decision.feasible[at] for at in order],
        "rejected": {name: (r.code, r.reasons, r.plugin) for name, r in sorted(decision.rejected.items())},
        "scores": {
            name: ([raw[at] for at in order], [normalised[at] for at in order])
            for name, (raw, normalised) in decision.scores.items()
        },
        "order of plugins": list(decision.scores),
        "totals": [decision.totals[at] for at in order] if decision.totals else [],
        "best": sorted(decision.best),
        "counts": (decision.evaluated, decision.fitting, decision.equals),
    }


Choose = Callable[[Sequence[str]], str]


def both(fast: FastPath, profile: Framework, one: Pod, snapshot: Snapshot) -> tuple[Decision, Decision | None]:
    """The plain decision, and that of the fast path; None where it leaves the pod to the plain one."""
    plain = decide(profile, one, snapshot, min)
    if fast.decide(profile, one, snapshot, min) is None:
        return plain, None
    return plain, decide(profile, one, snapshot, min, fast=fast)


def refused(decision: Decision) -> dict[str, Any]:
    """What a decision without a node says beside `shown`."""
    return {
        "numbers": {name: dict(r.facts) for name, r in decision.rejected.items()},
        "message": decision.message,
        "preemption": decision.preemption,
    }


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", range(6))
def test_same_decisions_in_a_changing_cluster(profile: str, seed: int) -> None:
    dice = random.Random(f"{profile} {seed}")
    world, fast, made = World(dice, dice.choice((3, 8, 25))), FastPath(0), framework(PROFILES[profile])
    kinds = [pod(dice, 0) for _ in range(8)]
    answered = nowhere = 0
    for _ in range(80):
        obj = copy.deepcopy(dice.choice(kinds)) if dice.random() < 0.8 else pod(dice, 0)
        number = world.number()
        obj["metadata"] |= {"name": f"pod-{number}", "uid": f"uid-{number}"}
        one = read_pod(obj)
        plain, quick = both(fast, made, one, world.snapshot)
        if quick is not None:
            answered += 1
            assert shown(quick) == shown(plain)
            if not plain.node:
                nowhere += 1
                assert refused(quick) == refused(plain)
        if plain.node and dice.random() < 0.8:
            world.put(one, plain.node)
        for _ in range(dice.choice((0, 0, 1, 2))):
            world.change()
    assert answered > 30
    assert nowhere > 5


def test_the_default_profile_is_covered() -> None:
    assert covers_profile(framework()) == ""


def waiting(**spec: Any) -> Pod:
    return read_pod({"metadata": {"name": "p"}, "spec": {"containers": [], **spec}})


def named(*names: str) -> dict[str, Any]:
    fields = [{"key": "metadata.name", "operator": "In", "values": list(names)}]
    required = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    "one, why",
    [
        pytest.param(waiting(), "", id="nothing special"),
        pytest.param(waiting(volumes=[{"name": "v", "emptyDir": {}}]), "", id="harmless volume"),
        pytest.param(
            waiting(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]),
            "volumes which plugins look at",
            id="claim",
        ),
        pytest.param(waiting(nodeName="n"), "names its node", id="node name"),
        pytest.param(waiting(affinity=named("n")), "picks nodes by name", id="matchFields"),
        pytest.param(
            waiting(containers=[{"name": "c", "resources": {"requests": {"memory": "100Pi"}}}]),
            "impossible amounts",
            id="more than is exact",
        ),
    ],
)
def test_what_goes_the_plain_way(one: Pod, why: str) -> None:
    assert covers_pod(one) == why


def test_amounts_beyond_exactness_on_a_node_are_left_to_the_plain_plugins() -> None:
    huge = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "8", "memory": "900Ei", "pods": "9"}}}
    snapshot = Snapshot([NodeInfo(read_node(huge))])
    fast = FastPath(0)
    assert fast.decide(framework(), waiting(), snapshot, min) is None
    assert decide(framework(), waiting(), snapshot, min, fast=fast).node == "n"


def test_few_nodes_need_no_vectors() -> None:
    snapshot = Snapshot([NodeInfo(read_node({"metadata": {"name": "n"}, "status": {}}))])
    assert FastPath().decide(framework(), waiting(), snapshot, min) is None


def test_places_pods_one_after_another_as_the_plain_plugins_would() -> None:
    """Nodes that fill up: no decision differs, and nothing is overcommitted."""
    dice = random.Random(3)
    clusters = [
        Snapshot([NodeInfo(read_node(obj)) for obj in copy.deepcopy(nodes)])
        for nodes in [[node(random.Random(n), n) for n in range(40)]] * 2
    ]
    fast, profile, kinds = FastPath(0), framework(), [pod(dice, n) for n in range(12)]
    for number in range(300):
        obj = copy.deepcopy(kinds[number % len(kinds)])
        obj["metadata"] |= {"name": f"pod-{number}", "uid": f"uid-{number}"}
        plain = decide(profile, read_pod(obj), clusters[0], min)
        quick = decide(profile, read_pod(obj), clusters[1], min, fast=fast)
        assert quick.node == plain.node
        for snapshot in clusters:
            if plain.node:
                snapshot.by_name[plain.node].add(read_pod(obj))
    for info in clusters[1].nodes:
        assert all(info.requested.get(n, 0) <= v for n, v in info.node.allocatable.items() if n != "pods")
        assert len(info.pods) <= info.node.allocatable.get("pods", 0)
