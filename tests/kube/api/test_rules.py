"""Rules of kinds that recordings do not break: one object each, and all that is wrong with it."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from terrarium.kube.api import typed
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.kinds import Context, GroupVersion


def obj(version: str, kind: str, **rest: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "d"}, **rest}


def pod(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return obj("v1", "Pod", spec={"containers": [{"name": "c", "image": "i", **(container or {})}], **spec})


def volume(**source: Any) -> dict[str, Any]:
    return pod(volumes=[{"name": "v", **source}])


@pytest.mark.parametrize(
    ("given", "errors"),
    [
        pytest.param(
            pod(
                {"volumeMounts": [{"name": "v", "mountPath": "/a", "recursiveReadOnly": "Enabled"}]},
                volumes=[{"name": "v"}],
            ),
            [
                "spec.containers[0].volumeMounts[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true"
            ],
            id="recursively read only",
        ),
        pytest.param(
            pod({"securityContext": {"procMount": "Unmasked"}}),
            [
                'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`'
            ],
            id="proc unmasked",
        ),
        pytest.param(
            pod(
                {"securityContext": {"runAsUser": 1}},
                os={"name": "windows"},
                hostPID=True,
                securityContext={"fsGroup": 2},
            ),
            [
                "spec.hostPID: Forbidden: cannot be set for a windows pod",
                "spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod",
                "spec.containers[0].securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
            ],
            id="windows",
        ),
        pytest.param(
            pod(securityContext={"windowsOptions": {"hostProcess": True, "runAsUserName": "a\\b\\c"}}),
            [
                "spec.securityContext.windowsOptions.runAsUserName: Invalid value: "
                '"a\\\\b\\\\c": runAsUserName cannot contain more than one backslash',
                "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
            ],
            id="windows options",
        ),
        pytest.param(
            pod(
                {"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}, restartPolicy="Never"
            ),
            [
                'spec.containers[0].resizePolicy: Invalid value: "RestartContainer": '
                "must be 'NotRequired' when `restartPolicy` is 'Never'"
            ],
            id="resize policy",
        ),
        pytest.param(
            volume(iscsi={"targetPortal": "a", "iqn": "x", "lun": 256, "chapAuthSession": True}),
            [
                'spec.volumes[0].iscsi.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa',
                "spec.volumes[0].iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
                "spec.volumes[0].iscsi.secretRef: Required value",
            ],
            id="iscsi",
        ),
        pytest.param(
            volume(fc={"targetWWNs": ["a"]}),
            ["spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified"],
            id="fibre channel",
        ),
        pytest.param(
            volume(projected={"sources": [{"serviceAccountToken": {"path": "..a"}}]}),
            ["spec.volumes[0].projected.path: Invalid value: \"..a\": must not start with '..'"],
            id="path of a token",
        ),
        pytest.param(
            obj(
                "v1",
                "Service",
                spec={"ports": [{"port": 80}], "externalIPs": ["169.254.1.1", "224.0.0.1"]},
            ),
            [
                'spec.externalIPs[0]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
                'spec.externalIPs[1]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)',
            ],
            id="external addresses",
        ),
        pytest.param(
            obj(
                "storage.k8s.io/v1",
                "CSINode",
                spec={"drivers": [{"name": "a", "nodeID": ""}, {"name": "a", "nodeID": "n"}]},
            ),
            ["spec.drivers[0].nodeID: Required value", 'spec.drivers[1].name: Duplicate value: "a"'],
            id="csi node",
        ),
        pytest.param(
            obj("storage.k8s.io/v1", "VolumeAttachment", spec={"attacher": "a", "nodeName": "n", "source": {}}),
            ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"],
            id="volume attachment",
        ),
        pytest.param(
            obj("storage.k8s.io/v1", "CSIStorageCapacity", storageClassName="a", capacity="-1"),
            ['capacity: Invalid value: "-1": must be greater than or equal to 0'],
            id="storage capacity",
        ),
        pytest.param(
            obj(
                "flowcontrol.apiserver.k8s.io/v1",
                "FlowSchema",
                spec={
                    "matchingPrecedence": 20000,
                    "priorityLevelConfiguration": {"name": "a"},
                    "rules": [{"subjects": [{"kind": "User", "user": {"name": "u"}}]}],
                },
            ),
            [
                "spec.matchingPrecedence: Invalid value: 20000: must not be greater than 10000",
                "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ],
            id="flow schema",
        ),
        pytest.param(
            obj(
                "flowcontrol.apiserver.k8s.io/v1",
                "PriorityLevelConfiguration",
                spec={"type": "Limited", "limited": {"limitResponse": {"type": "Reject", "queuing": {"queues": 1}}}},
            ),
            ["spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited"],
            id="priority level",
        ),
        pytest.param(
            obj(
                "apiregistration.k8s.io/v1",
                "APIService",
                spec={"group": "b.c", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 0},
            ),
            [
                'metadata.name: Invalid value: "x": must be `spec.version+"."+spec.group`: "v1.b.c"',
                "spec.versionPriority: Invalid value: 0: must be positive and less than 1000",
            ],
            id="api service",
        ),
    ],
)
def test_errors(given: dict[str, Any], errors: list[str]) -> None:
    gv = GroupVersion.parse(given["apiVersion"])
    kind = registry(33).kind(gv.group, gv.version, given["kind"])
    assert kind is not None
    made = typed.decode(copy.deepcopy(given), kind.schema).obj
    context = Context(datetime(2026, 1, 1, tzinfo=UTC), "admin")
    kind.strategy.default(made, context)
    kind.strategy.prepare_create(made, context)
    assert [str(error) for error in kind.strategy.validate(made, context)] == errors
