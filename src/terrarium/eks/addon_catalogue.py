"""The add-ons that can be had: versions for each Kubernetes minor, and the schema of their configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from terrarium.cloud.hooks import AwsError
from terrarium.eks.ground import invalid
from terrarium.eks.versions import VERSIONS

_OBJECT = {"type": "object"}
_LIST = {"type": "array"}
_STRING = {"type": "string"}
_BOOLEAN = {"type": "boolean"}
_INTEGER = {"type": "integer", "minimum": 0}
_COMMON = {
    "affinity": _OBJECT,
    "nodeSelector": _OBJECT,
    "podAnnotations": _OBJECT,
    "podLabels": _OBJECT,
    "resources": {
        "type": "object",
        "additionalProperties": False,
        "properties": {"limits": _OBJECT, "requests": _OBJECT},
    },
    "tolerations": _LIST,
}


def _schema(title: str, **properties: Any) -> Mapping[str, Any]:
    return {
        "$schema": "http://json-schema.org/draft-06/schema#",
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
        "title": title,
        "type": "object",
    }


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    name: str
    type: str
    versions: Mapping[str, Sequence[str]]
    """Versions for each Kubernetes minor, the newest first; the last one is the default."""
    schema: Mapping[str, Any]
    compute_types: Sequence[str] = ("ec2", "hybrid")
    needs_permissions: bool = False
    namespace: str = "kube-system"
    publisher: str = "eks"
    owner: str = "aws"


def _same(*versions: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(VERSIONS, versions)


_COREDNS = {
    "1.29": ("v1.11.4-eksbuild.24", "v1.11.1-eksbuild.4"),
    "1.30": ("v1.11.4-eksbuild.24", "v1.11.1-eksbuild.8"),
    "1.31": ("v1.11.4-eksbuild.24", "v1.11.3-eksbuild.1"),
    "1.32": ("v1.11.4-eksbuild.24", "v1.11.4-eksbuild.2"),
    "1.33": ("v1.12.4-eksbuild.1", "v1.12.1-eksbuild.2"),
    "1.34": ("v1.12.4-eksbuild.1", "v1.12.3-eksbuild.1"),
    "1.35": ("v1.13.1-eksbuild.1", "v1.12.4-eksbuild.1"),
}
_PROXY = {
    "1.29": ("v1.29.15-eksbuild.16", "v1.29.0-eksbuild.1"),
    "1.30": ("v1.30.14-eksbuild.12", "v1.30.0-eksbuild.3"),
    "1.31": ("v1.31.13-eksbuild.2", "v1.31.2-eksbuild.3"),
    "1.32": ("v1.32.9-eksbuild.2", "v1.32.0-eksbuild.2"),
    "1.33": ("v1.33.5-eksbuild.2", "v1.33.0-eksbuild.2"),
    "1.34": ("v1.34.1-eksbuild.2", "v1.34.0-eksbuild.2"),
    "1.35": ("v1.35.0-eksbuild.2", "v1.35.0-eksbuild.1"),
}
_ALL_NODES = ("ec2", "hybrid", "auto")
_TABLE = (
    CatalogueEntry(
        "vpc-cni", "networking", _same("v1.20.4-eksbuild.2", "v1.19.5-eksbuild.1"),
        _schema("vpc-cni", **_COMMON, env=_OBJECT, enableNetworkPolicy=_STRING, nodeAgent=_OBJECT, init=_OBJECT,
                eniConfig=_OBJECT, livenessProbe=_OBJECT, readinessProbe=_OBJECT, enableWindowsIpam=_STRING,
                originalMatchLabels=_BOOLEAN, cri=_OBJECT, extraVolumes=_LIST, extraVolumeMounts=_LIST),
        ("ec2",), needs_permissions=True,
    ),
    CatalogueEntry(
        "coredns", "networking", _COREDNS,
        _schema("coredns", **_COMMON, computeType=_STRING, replicaCount={"type": "integer", "minimum": 1},
                corefile=_STRING, topologySpreadConstraints=_LIST, podDisruptionBudget=_OBJECT,
                autoScaling={"type": "object", "additionalProperties": False,
                             "properties": {"enabled": _BOOLEAN, "minReplicas": _INTEGER, "maxReplicas": _INTEGER}}),
        ("ec2", "fargate", "hybrid"),
    ),
    CatalogueEntry(
        "kube-proxy", "networking", _PROXY,
        _schema("kube-proxy", podAnnotations=_OBJECT, podLabels=_OBJECT, resources=_COMMON["resources"],
                mode={"type": "string", "enum": ["iptables", "ipvs", "nftables"]},
                ipvs={"type": "object", "additionalProperties": False,
                      "properties": {"scheduler": {"type": "string", "enum": [
                          "rr", "lc", "dh", "sh", "sed", "nq", "wrr", "wlc", "lblc", "lblcr", "mh"]}}}),
        ("ec2", "hybrid"),
    ),
    CatalogueEntry(
        "eks-pod-identity-agent", "security", _same("v1.3.10-eksbuild.1", "v1.3.4-eksbuild.1"),
        _schema("eks-pod-identity-agent", **_COMMON, agent=_OBJECT, daemonsets=_OBJECT, priorityClassName=_STRING,
                updateStrategy=_OBJECT),
        ("ec2", "hybrid"),
    ),
    CatalogueEntry(
        "aws-ebs-csi-driver", "storage", _same("v1.53.0-eksbuild.1", "v1.37.0-eksbuild.1"),
        _schema("aws-ebs-csi-driver", controller=_OBJECT, node=_OBJECT, sidecars=_OBJECT, defaultStorageClass=_OBJECT,
                nodeComponentOnly=_BOOLEAN),
        ("ec2",), needs_permissions=True,
    ),
    CatalogueEntry(
        "aws-efs-csi-driver", "storage", _same("v2.1.15-eksbuild.1", "v2.1.0-eksbuild.1"),
        _schema("aws-efs-csi-driver", controller=_OBJECT, node=_OBJECT, sidecars=_OBJECT),
        ("ec2",), needs_permissions=True,
    ),
    CatalogueEntry(
        "snapshot-controller", "storage", _same("v8.3.0-eksbuild.1", "v8.1.0-eksbuild.2"),
        _schema("snapshot-controller", **_COMMON, replicaCount=_INTEGER), _ALL_NODES,
    ),
    CatalogueEntry(
        "metrics-server", "observability", _same("v0.8.0-eksbuild.5", "v0.7.2-eksbuild.1"),
        _schema("metrics-server", **_COMMON, replicas=_INTEGER, replicaCount=_INTEGER, args=_LIST,
                topologySpreadConstraints=_LIST, podDisruptionBudget=_OBJECT, service=_OBJECT, updateStrategy=_OBJECT),
        ("ec2", "fargate", "hybrid", "auto"), publisher="kubernetes-sigs", owner="community",
    ),
    CatalogueEntry(
        "eks-node-monitoring-agent", "observability", _same("v1.4.1-eksbuild.1", "v1.2.0-eksbuild.1"),
        _schema("eks-node-monitoring-agent", monitoringAgent=_OBJECT, dcgmAgent=_OBJECT), ("ec2", "hybrid"),
    ),
    CatalogueEntry(
        "amazon-cloudwatch-observability", "observability", _same("v4.6.0-eksbuild.1", "v3.7.0-eksbuild.1"),
        _schema("amazon-cloudwatch-observability", agent=_OBJECT, containerLogs=_OBJECT, manager=_OBJECT,
                tolerations=_LIST, affinity=_OBJECT, nodeSelector=_OBJECT, admissionWebhooks=_OBJECT,
                dcgmExporter=_OBJECT, neuronMonitor=_OBJECT),
        ("ec2", "hybrid", "auto"), needs_permissions=True, namespace="amazon-cloudwatch",
    ),
)  # fmt: skip
CATALOGUE: Mapping[str, CatalogueEntry] = {entry.name: entry for entry in _TABLE}


def find(name: str) -> CatalogueEntry:
    if name not in CATALOGUE:
        raise invalid(f"Addon {name} specified is not supported", addonName=name)
    return CATALOGUE[name]


def choose(entry: CatalogueEntry, kubernetes: str, asked: str | None) -> str:
    """The version to install: the one asked for, or the default of the cluster's minor."""
    versions = entry.versions[kubernetes]
    if asked is None:
        return versions[-1]
    known = {v for per_minor in entry.versions.values() for v in per_minor}
    if asked not in known:
        raise invalid("Addon version specified is not supported", addonName=entry.name)
    if asked not in versions:
        raise invalid(
            f"Addon version {asked} is not supported for Kubernetes version {kubernetes}", addonName=entry.name
        )
    return asked


def describe(entry: CatalogueEntry, kubernetes: str | None) -> dict[str, Any]:
    """`AddonInfo` of DescribeAddonVersions; versions newest first."""
    versions: dict[str, list[dict[str, Any]]] = {}
    for minor, names in entry.versions.items():
        if kubernetes not in (None, minor):
            continue
        for name in names:
            compatible = {"clusterVersion": minor, "platformVersions": ["*"], "defaultVersion": name == names[-1]}
            versions.setdefault(name, []).append(compatible)
    return {
        "addonName": entry.name,
        "type": entry.type,
        "publisher": entry.publisher,
        "owner": entry.owner,
        "defaultNamespace": entry.namespace,
        "addonVersions": [
            {
                "addonVersion": name,
                "architecture": ["amd64", "arm64"],
                "computeTypes": list(entry.compute_types),
                "compatibilities": compatibilities,
                "requiresConfiguration": False,
                "requiresIamPermissions": entry.needs_permissions,
            }
            for name, compatibilities in sorted(versions.items(), key=lambda v: _order(v[0]), reverse=True)
        ],
    }


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version))


def read_configuration(entry: CatalogueEntry, text: str | None) -> Mapping[str, Any]:
    """`configurationValues` (JSON or YAML), held against the schema."""
    if not text or not text.strip():
        return {}
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise _unsupported("the value is neither JSON nor YAML", entry.name) from None
    if value is None:
        return {}
    faults = violations(value, entry.schema, "$")
    if faults:
        raise _unsupported(f"Json schema validation failed with error: [{', '.join(faults)}]", entry.name)
    return dict(value)


def _unsupported(text: str, addon: str) -> AwsError:
    return invalid(f"ConfigurationValue provided in request is not supported: {text}", addonName=addon)


_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
}


def violations(value: Any, schema: Mapping[str, Any], path: str) -> list[str]:
    """How a value breaks a schema. Of JSON Schema it knows what the catalogue uses."""
    wanted = schema.get("type", "object")
    if not isinstance(value, _TYPES[wanted]) or (wanted == "integer" and isinstance(value, bool)):
        return [f"{path}: {_kind(value)} found, {wanted} expected"]
    faults = []
    if "enum" in schema and value not in schema["enum"]:
        faults.append(f"{path}: does not have a value in the enumeration {orjson.dumps(schema['enum']).decode()}")
    if "minimum" in schema and value < schema["minimum"]:
        faults.append(f"{path}: must have a minimum value of {schema['minimum']}")
    if isinstance(value, dict) and "properties" in schema:
        for name, item in value.items():
            if name in schema["properties"]:
                faults += violations(item, schema["properties"][name], f"{path}.{name}")
            elif schema.get("additionalProperties") is False:
                faults.append(
                    f"{path}.{name}: is not defined in the schema and the schema does not allow additional properties"
                )
    return faults


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")
