"""What the scheduler keeps of pods that stand: all that any of its views shows, and nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from tests.kube.scheduler.recordings import cases

from terrarium.kube.scheduler.trim import Trim
from terrarium.kube.scheduler.views import Pod, read_pod


def shown(pod: Pod) -> dict[str, Any]:
    """What plugins look at of a pod that stands."""
    same = ("namespace", "name", "uid", "labels", "node_name", "priority", "requests", "assumed_cpu", "assumed_memory")
    more = ("host_ports", "deleting", "start_time", "images", "tolerations", "nominated", "has_affinity")
    return {name: getattr(pod, name) for name in (*same, *more)}


def standing() -> list[dict[str, Any]]:
    return [p for c in cases("plugins") for p in c["cluster"].get("pods") or () if p.get("spec", {}).get("nodeName")]


def test_recorded_pods_look_the_same() -> None:
    trim, pods = Trim(), standing()
    assert len(pods) > 50
    for obj in pods:
        assert shown(read_pod(trim(obj))) == shown(read_pod(obj))
        assert read_pod(trim(obj)).same_for_others(read_pod(obj))


RUNNING = {
    "metadata": {
        "name": "a",
        "namespace": "default",
        "uid": "1",
        "resourceVersion": "7",
        "labels": {"app": "x"},
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"a": "b"},
    },
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "kube-api-access-x", "mountPath": "/v"}]}],
        "volumes": [
            {"name": "kube-api-access-x", "projected": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        ],
    },
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        "containerStatuses": [{"name": "c", "ready": True}],
    },
}
KEPT = {
    "metadata": {"name": "a", "namespace": "default", "uid": "1", "resourceVersion": "7", "labels": {"app": "x"}},
    "spec": {
        "nodeName": "n",
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


@pytest.mark.parametrize(
    "pod, kept",
    [
        pytest.param(RUNNING, KEPT, id="a pod that stands"),
        pytest.param(
            {**RUNNING, "spec": {"containers": []}}, {**RUNNING, "spec": {"containers": []}}, id="a pod that waits"
        ),
    ],
)
def test_kept(pod: dict[str, Any], kept: dict[str, Any]) -> None:
    assert Trim()(pod) == kept


def test_equal_parts_are_one() -> None:
    trim = Trim()
    one, other = (trim({**RUNNING, "metadata": {**RUNNING["metadata"], "name": name}}) for name in "ab")
    assert one["spec"]["containers"] is other["spec"]["containers"]
    assert one["metadata"]["labels"] is other["metadata"]["labels"]
