"""What `kubectl get` shows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from terrarium.kube.api.builtin import registry
from terrarium.kube.api.tables import TableOptions, table

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BORN = "2026-01-01T11:55:00Z"


def cells(group: str, version: str, plural: str, obj: dict[str, Any]) -> dict[str, Any]:
    kind = registry().resource(group, version, plural)
    assert kind is not None
    meta = {"name": "x", "creationTimestamp": BORN, **obj.pop("metadata", {})}
    made = table(kind, [{"kind": kind.kind, "metadata": meta, **obj}], NOW)
    return dict(zip((c["name"] for c in made["columnDefinitions"]), made["rows"][0]["cells"], strict=True))


def running(ready: bool = True, restarts: int = 0, **last: Any) -> dict[str, Any]:
    return {"name": "c", "ready": ready, "restartCount": restarts, "state": {"running": {}}, "lastState": last}


@pytest.mark.parametrize(
    "metadata, spec, status, shown",
    [
        pytest.param({}, {}, {"phase": "Pending"}, ("0/1", "Pending", "0"), id="pending"),
        pytest.param(
            {}, {}, {"phase": "Running", "containerStatuses": [running()]}, ("1/1", "Running", "0"), id="running"
        ),
        pytest.param(
            {},
            {},
            {
                "phase": "Running",
                "containerStatuses": [running(True, 3, terminated={"finishedAt": "2026-01-01T11:59:00Z"})],
            },
            ("1/1", "Running", "3 (60s ago)"),
            id="restarted",
        ),
        pytest.param(
            {},
            {},
            {
                "phase": "Running",
                "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
            ("0/1", "CrashLoopBackOff", "0"),
            id="crashing",
        ),
        pytest.param(
            {},
            {},
            {"phase": "Failed", "containerStatuses": [{"name": "c", "state": {"terminated": {"exitCode": 3}}}]},
            ("0/1", "ExitCode:3", "0"),
            id="exit code",
        ),
        pytest.param(
            {},
            {"initContainers": [{"name": "i"}, {"name": "j"}]},
            {"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]},
            ("0/1", "Init:0/2", "0"),
            id="initialising",
        ),
        pytest.param(
            {},
            {"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            {
                "phase": "Running",
                "initContainerStatuses": [{"name": "s", "started": True, "ready": True, "state": {"running": {}}}],
                "containerStatuses": [running()],
            },
            ("2/2", "Running", "0"),
            id="sidecar",
        ),
        pytest.param(
            {"deletionTimestamp": BORN},
            {},
            {"phase": "Running", "containerStatuses": [running()]},
            ("1/1", "Terminating", "0"),
            id="deleted",
        ),
        pytest.param(
            {"deletionTimestamp": BORN},
            {},
            {
                "phase": "Succeeded",
                "containerStatuses": [{"name": "c", "state": {"terminated": {"reason": "Completed"}}}],
            },
            ("0/1", "Completed", "0"),
            id="deleted after its end",
        ),
        pytest.param(
            {"deletionTimestamp": BORN},
            {},
            {"phase": "Running", "reason": "NodeLost"},
            ("0/1", "Unknown", "0"),
            id="lost",
        ),
        pytest.param(
            {},
            {},
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            ("0/1", "SchedulingGated", "0"),
            id="gated",
        ),
    ],
)
def test_pods(metadata: Any, spec: Any, status: Any, shown: tuple[str, str, str]) -> None:
    row = cells(
        "", "v1", "pods", {"metadata": metadata, "spec": {"containers": [{"name": "c"}], **spec}, "status": status}
    )
    assert (row["Ready"], row["Status"], row["Restarts"]) == shown
    assert row["Age"] == "5m"


@pytest.mark.parametrize(
    "group, version, plural, obj, shown",
    [
        pytest.param(
            "", "v1", "nodes",
            {"metadata": {"labels": {"node-role.kubernetes.io/worker": ""}}, "spec": {"unschedulable": True},
             "status": {"conditions": [{"type": "Ready", "status": "True"}]}},
            {"Status": "Ready,SchedulingDisabled", "Roles": "worker"}, id="node",
        ),
        pytest.param(
            "", "v1", "services",
            {"spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.1",
                      "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}]}},
            {"External-IP": "<pending>", "Port(s)": "80:30080/TCP", "Selector": "<none>"}, id="service",
        ),
        pytest.param(
            "apps", "v1", "deployments",
            {"spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}}, "status": {"readyReplicas": 2}},
            {"Ready": "2/3", "Available": 0, "Selector": "a=b"}, id="deployment",
        ),
        pytest.param(
            "batch", "v1", "jobs",
            {"spec": {"parallelism": 3}, "status": {"succeeded": 1, "startTime": BORN}},
            {"Status": "Running", "Completions": "1/1 of 3", "Duration": "5m"}, id="job",
        ),
        pytest.param(
            "autoscaling", "v2", "horizontalpodautoscalers",
            {"spec": {"minReplicas": 1, "maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
                      "metrics": [
                          {"type": "Resource", "resource": {"name": n, "target": {"averageUtilization": 50}}}
                          for n in ("cpu", "memory", "x")]},
             "status": {"currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 71}}}]}},
            {"Reference": "Deployment/d", "Targets": "cpu: 71%/50%, memory: <unknown>/50% + 1 more..."}, id="autoscaler",
        ),
    ],
)  # fmt: skip
def test_others(group: str, version: str, plural: str, obj: Any, shown: dict[str, Any]) -> None:
    row = cells(group, version, plural, obj)
    assert {name: row[name] for name in shown} == shown


def test_kinds_without_columns_show_name_and_age() -> None:
    row = cells("storage.k8s.io", "v1", "csinodes", {"spec": {"drivers": [{}, {}]}})
    assert row == {"Name": "x", "Drivers": 2, "Age": "5m"}


def test_what_a_row_carries() -> None:
    kind = registry().resource("", "v1", "configmaps")
    assert kind is not None
    obj = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}, "data": {"a": "1"}}
    partial = table(kind, [obj], NOW)["rows"][0]["object"]
    assert partial == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "x"}}
    assert table(kind, [obj], NOW, TableOptions("Object"))["rows"][0]["object"] == obj
    assert table(kind, [obj], NOW, TableOptions("None"))["rows"][0]["object"] is None
