"""The text of a KubeSchedulerConfiguration as kube-scheduler's strict decoder takes it: known fields, right types.

`TYPES` is the schema of `kubescheduler.config.k8s.io/v1`, as far down as the decoder looks: a field is a plain Go type,
a `[list]` of one, or the name of another structure. What is wrong is told in the words of Go's JSON and YAML packages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Point

Field = str | list[str]

_PLUGIN_SETS: dict[str, Field] = dict.fromkeys(("multiPoint", *(p.key for p in Point)), "PluginSet")

TYPES: Mapping[str, Mapping[str, Field]] = {
    "KubeSchedulerConfiguration": {
        "kind": "string",
        "apiVersion": "string",
        "parallelism": "int32",
        "leaderElection": "LeaderElectionConfiguration",
        "clientConnection": "ClientConnectionConfiguration",
        "enableProfiling": "bool",
        "enableContentionProfiling": "bool",
        "percentageOfNodesToScore": "int32",
        "podInitialBackoffSeconds": "int64",
        "podMaxBackoffSeconds": "int64",
        "profiles": ["KubeSchedulerProfile"],
        "extenders": ["Extender"],
        "delayCacheUntilActive": "bool",
    },
    "LeaderElectionConfiguration": {
        "leaderElect": "bool",
        "leaseDuration": "duration",
        "renewDeadline": "duration",
        "retryPeriod": "duration",
        "resourceLock": "string",
        "resourceName": "string",
        "resourceNamespace": "string",
    },
    "ClientConnectionConfiguration": {
        "kubeconfig": "string",
        "acceptContentTypes": "string",
        "contentType": "string",
        "qps": "float32",
        "burst": "int32",
    },
    "KubeSchedulerProfile": {
        "schedulerName": "string",
        "percentageOfNodesToScore": "int32",
        "plugins": "Plugins",
        "pluginConfig": ["PluginConfig"],
    },
    "Plugins": _PLUGIN_SETS,
    "PluginSet": {"enabled": ["Plugin"], "disabled": ["Plugin"]},
    "Plugin": {"name": "string", "weight": "int32"},
    "PluginConfig": {"name": "string", "args": "raw"},
    "Extender": {
        "urlPrefix": "string",
        "filterVerb": "string",
        "preemptVerb": "string",
        "prioritizeVerb": "string",
        "weight": "int64",
        "bindVerb": "string",
        "enableHTTPS": "bool",
        "tlsConfig": "ExtenderTLSConfig",
        "httpTimeout": "duration",
        "nodeCacheCapable": "bool",
        "managedResources": ["ExtenderManagedResource"],
        "ignorable": "bool",
    },
    "ExtenderTLSConfig": {
        "insecure": "bool",
        "serverName": "string",
        "certFile": "string",
        "keyFile": "string",
        "caFile": "string",
        "certData": "string",
        "keyData": "string",
        "caData": "string",
    },
    "ExtenderManagedResource": {"name": "string", "ignoredByScheduler": "bool"},
    "DefaultPreemptionArgs": {"minCandidateNodesPercentage": "int32", "minCandidateNodesAbsolute": "int32"},
    "InterPodAffinityArgs": {"hardPodAffinityWeight": "int32", "ignorePreferredTermsOfExistingPods": "bool"},
    "NodeAffinityArgs": {"addedAffinity": "NodeAffinity"},
    "NodeResourcesBalancedAllocationArgs": {"resources": ["ResourceSpec"]},
    "NodeResourcesFitArgs": {
        "ignoredResources": ["string"],
        "ignoredResourceGroups": ["string"],
        "scoringStrategy": "ScoringStrategy",
    },
    "PodTopologySpreadArgs": {"defaultConstraints": ["TopologySpreadConstraint"], "defaultingType": "string"},
    "VolumeBindingArgs": {"bindTimeoutSeconds": "int64", "shape": ["UtilizationShapePoint"]},
    "ResourceSpec": {"name": "string", "weight": "int64"},
    "ScoringStrategy": {
        "type": "string",
        "resources": ["ResourceSpec"],
        "requestedToCapacityRatio": "RequestedToCapacityRatioParam",
    },
    "RequestedToCapacityRatioParam": {"shape": ["UtilizationShapePoint"]},
    "UtilizationShapePoint": {"utilization": "int32", "score": "int32"},
    "NodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": "NodeSelector",
        "preferredDuringSchedulingIgnoredDuringExecution": ["PreferredSchedulingTerm"],
    },
    "NodeSelector": {"nodeSelectorTerms": ["NodeSelectorTerm"]},
    "PreferredSchedulingTerm": {"weight": "int32", "preference": "NodeSelectorTerm"},
    "NodeSelectorTerm": {"matchExpressions": ["NodeSelectorRequirement"], "matchFields": ["NodeSelectorRequirement"]},
    "NodeSelectorRequirement": {"key": "string", "operator": "string", "values": ["string"]},
    "TopologySpreadConstraint": {
        "maxSkew": "int32",
        "topologyKey": "string",
        "whenUnsatisfiable": "string",
        "labelSelector": "LabelSelector",
        "minDomains": "int32",
        "nodeAffinityPolicy": "string",
        "nodeTaintsPolicy": "string",
        "matchLabelKeys": ["string"],
    },
    "LabelSelector": {"matchLabels": "raw", "matchExpressions": ["LabelSelectorRequirement"]},
    "LabelSelectorRequirement": {"key": "string", "operator": "string", "values": ["string"]},
}
ARGS = frozenset(name.removesuffix("Args") for name in TYPES if name.endswith("Args"))
"""Plugins that have arguments of their own."""
_PACKAGES = {"LeaderElectionConfiguration": "v1alpha1", "ClientConnectionConfiguration": "v1alpha1"}


class Undecodable(Exception):
    """The text does not say what it should; the message is Go's."""


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _go_type(field: Field) -> str:
    if isinstance(field, list):
        return f"[]{_go_type(field[0])}"
    return f"{_PACKAGES.get(field, 'v1')}.{field}" if field in TYPES else field


_RANGES = {"int32": 2**31, "int64": 2**63}


def decode(value: Any, type_name: str) -> list[str]:
    """The unknown fields of a structure, as paths. `Undecodable` at the first value of a wrong type."""
    unknown: list[str] = []
    _struct(value, type_name, type_name, (), "", unknown)
    return unknown


def _refuse(value: Any, field: Field, owner: str, stack: tuple[str, ...], exact: str = "") -> None:
    where = f"struct field {owner}.{'.'.join(stack)}" if stack else "value"
    raise Undecodable(f"json: cannot unmarshal {_json_kind(value)}{exact} into Go {where} of type {_go_type(field)}")


def _struct(value: Any, name: Field, owner: str, stack: tuple[str, ...], path: str, unknown: list[str]) -> None:
    assert isinstance(name, str)
    if not isinstance(value, dict):
        _refuse(value, name, owner, stack)
    fields = TYPES[name]
    for key, inner in value.items():
        here = f"{path}.{key}" if path else str(key)
        if key in ("kind", "apiVersion") and name.endswith("Args"):
            continue
        if key not in fields:
            unknown.append(f'unknown field "{here}"')
        elif inner is not None:
            _value(inner, fields[key], name, (*stack, str(key)), here, unknown)


def _value(value: Any, field: Field, owner: str, stack: tuple[str, ...], path: str, unknown: list[str]) -> None:
    if isinstance(field, list):
        if not isinstance(value, list):
            _refuse(value, field, owner, stack)
        for at, item in enumerate(value):
            if item is not None:
                _value(item, field[0], owner, stack, f"{path}[{at}]", unknown)
        return
    if field in TYPES:
        _struct(value, field, owner, stack, path, unknown)
        return
    kind = _json_kind(value)
    if field == "string" and kind != "string":
        _refuse(value, field, owner, stack)
    if field == "bool" and kind != "bool":
        _refuse(value, field, owner, stack)
    if field in ("int32", "int64", "float32"):
        if kind != "number":
            _refuse(value, field, owner, stack)
        if field in _RANGES and (isinstance(value, float) or not -_RANGES[field] <= value < _RANGES[field]):
            _refuse(value, field, owner, stack, f" {value}")
    if field == "duration":
        if kind != "string":
            raise Undecodable(f"json: cannot unmarshal {kind} into Go value of type string")
        parse_go_duration(value)


# --- durations ---------------------------------------------------------------------------------------------------------

_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_go_duration(text: str) -> int:
    """Nanoseconds of a Go duration. `Undecodable` in the words of Go's `time` package."""
    rest = text.lstrip("+-")
    if rest == "0":
        return 0
    if not rest or len(text) - len(rest) > 1:
        raise Undecodable(f'time: invalid duration "{text}"')
    total = 0.0
    while rest:
        digits = next((i for i, c in enumerate(rest) if not (c.isdigit() or c == ".")), len(rest))
        letters = next((i for i, c in enumerate(rest[digits:]) if c.isdigit() or c == "."), len(rest) - digits)
        number, unit, rest = rest[:digits], rest[digits : digits + letters], rest[digits + letters :]
        if not number.strip(".") or number.count(".") > 1:
            raise Undecodable(f'time: invalid duration "{text}"')
        if not unit:
            raise Undecodable(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise Undecodable(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
    return -round(total) if text.startswith("-") else round(total)


def go_duration(nanoseconds: int) -> str:
    """`15s`, `1m0s`, `1h0m0s`, `200ms`, as Go prints a duration."""
    if nanoseconds == 0:
        return "0s"
    sign, left = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if left < size * 1000:
            return f"{sign}{_decimal(left, size)}{unit}"
    minutes, rest = divmod(left, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 10**9)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return sign + (f"{hours}h{text}" if hours else text)


def _decimal(value: int, size: int) -> str:
    whole, part = divmod(value, size)
    if not part:
        return str(whole)
    return f"{whole}.{str(part).rjust(len(str(size)) - 1, '0').rstrip('0')}"


# --- YAML ----------------------------------------------------------------------------------------------------------------


def repeated_keys(text: str) -> Iterable[str]:
    """Keys that a mapping has twice, in the words of go-yaml's strict decoder."""
    import yaml

    def walk(node: Any) -> Iterable[str]:
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        yield f'line {key.start_mark.line + 1}: key "{key.value}" already set in map'
                    seen.add(key.value)
                yield from walk(value)
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from walk(item)

    return walk(yaml.compose(text, yaml.SafeLoader))


_YAML_WORDS: tuple[tuple[str, str], ...] = (
    ("expected the node content", "did not find expected node content"),
    ("expected ',' or ']'", "did not find expected ',' or ']'"),
    ("expected ',' or '}'", "did not find expected ',' or '}'"),
    ("mapping values are not allowed", "mapping values are not allowed in this context"),
    ("cannot start any token", "found character that cannot start any token"),
    ("could not find expected ':'", "could not find expected ':'"),
    ("undefined alias", "unknown anchor"),
    ("expected alphabetic or numeric", "did not find expected alphabetic or numeric character"),
    ("expected '<document start>'", "did not find expected <document start>"),
    ("unexpected end of stream", "found unexpected end of stream"),
)


def yaml_problem(error: Any) -> str:
    """A YAML error in the words of go-yaml, which is libyaml in Go."""
    problem, context = getattr(error, "problem", None) or str(error), getattr(error, "context", None) or ""
    mark = getattr(error, "problem_mark", None)
    if "expected <block end>" in problem:
        words = "did not find expected '-' indicator" if "collection" in context else "did not find expected key"
        # libyaml names the line where the collection began.
        mark = getattr(error, "context_mark", None) or mark
    else:
        words = next((theirs for ours, theirs in _YAML_WORDS if ours in problem), problem)
    return f"yaml: line {mark.line + 1}: {words}" if mark is not None else f"yaml: {words}"


def args_type(plugin: str) -> str:
    return f"{plugin}Args"


def check_args(at: str, config: Obj, version: str) -> tuple[list[str], str]:
    """Unknown fields of a plugin's arguments; and what makes them unreadable, or ""."""
    name, args = str(config.get("name") or ""), config.get("args")
    if name not in ARGS or args is None:
        return [], ""
    if not isinstance(args, dict):
        kind = _json_kind(args)
        prefix = "couldn't get version/kind; json parse error: json: cannot unmarshal"
        struct = (
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        )
        return [], f"{at}: decoding args for plugin {name}: {prefix} {kind} into Go value of type {struct}"
    group = version.partition("/")[0]
    kind, given = args.get("kind") or args_type(name), args.get("apiVersion") or version
    if kind not in TYPES or not kind.endswith("Args") or given != version:
        text = f'no kind "{kind}" is registered for version "{given}" in scheme "pkg/runtime/scheme.go:110"'
        return [], f"{at}: decoding args for plugin {name}: {text}"
    try:
        unknown = decode(args, kind)
    except Undecodable as problem:
        return [], f"{at}: decoding args for plugin {name}: {problem}"
    if kind != args_type(name):
        return [], f"{at}: args for plugin {name} were not of type {name}Args.{group}, got {kind}.{group}"
    return unknown, ""
