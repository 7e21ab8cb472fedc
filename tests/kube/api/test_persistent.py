"""Sources of persistent volumes, in what they ask beyond those of pods."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.validation.fields import Errors
from terrarium.kube.api.validation.persistent import SOURCES
from terrarium.kube.api.validation.volumes import volumes

IQN = "iqn.2001-04.com.example:x"


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ({"iscsi": {"targetPortal": "1.2.3.4:3260", "iqn": IQN}}, []),
        ({"iscsi": {"targetPortal": "1.2.3.4:3260", "iqn": IQN, "initiatorName": IQN}}, ["iscsi.targetportal"]),
        ({"iscsi": {"targetPortal": "a", "iqn": IQN, "secretRef": {}}}, ["iscsi.secretRef.name"]),
        ({"quobyte": {"registry": "a:1,b", "volume": "x"}}, ["quobyte.registry"]),
        ({"quobyte": {"registry": "a:1,[::1]:2", "volume": "x"}}, []),
        ({"quobyte": {"registry": "a:1", "tenant": "t" * 65}}, ["quobyte.tenant", "quobyte.volume"]),
        (
            {"storageos": {"volumeName": "a", "secretRef": {}}},
            ["storageos.secretRef.name", "storageos.secretRef.namespace"],
        ),
        ({"cinder": {"volumeID": "a", "secretRef": {"name": "s"}}}, ["cinder.secretRef.namespace"]),
        ({"flexVolume": {"driver": "d", "options": {"x.K8s.io/y": "1"}}}, ["flexVolume.options[x.K8s.io/y]"]),
        ({"csi": {"driver": "d" * 64}}, ["csi.driver", "csi.volumeHandle"]),
        ({"local": {"path": "/a/../b"}}, ["local.path", "nodeAffinity"]),
        ({"azureFile": {"secretName": "s", "shareName": "s", "secretNamespace": ""}}, ["azureFile.secretNamespace"]),
        ({"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": "A"}}, ["glusterfs.endpointsNamespace"]),
    ],
)
def test_sources(source: Obj, wrong: list[str]) -> None:
    ((name, held),) = source.items()
    errors = Errors()
    whole = {"metadata": {"name": "v" * 60}, "spec": source}
    SOURCES[name](errors, held, f"spec.{name}", whole)
    assert [e.field for e in errors] == [f"spec.{w}" for w in wrong]


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ({"cinder": {"volumeID": "a", "secretRef": {}}}, ["cinder.secretRef.name"]),
        ({"storageos": {}}, ["storageos.volumeName"]),
        ({"storageos": {"volumeName": "A"}}, ["storageos.volumeName"]),
    ],
)
def test_sources_of_pods(source: dict[str, Any], wrong: list[str]) -> None:
    errors = Errors()
    volumes(errors, {"volumes": [{"name": "v", **source}]}, "v")
    assert [e.field for e in errors] == [f"v[0].{w}" for w in wrong]
