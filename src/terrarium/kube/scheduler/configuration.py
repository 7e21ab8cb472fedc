"""KubeSchedulerConfiguration files: read, defaulted, and checked with kube-scheduler's own words.

`load` gives the effective configuration, as `--write-config-to` prints it, or raises `Invalid` with the message of the
real program (kube-scheduler apis/config/v1 defaults and apis/config/validation).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Failure
from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Point
from terrarium.kube.scheduler.plugins.table import DEFAULTS

API_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"


class Invalid(Failure):
    """A configuration the scheduler refuses."""


_RESOURCES = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]

DEFAULT_ARGS: Mapping[str, Obj] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": 10, "minCandidateNodesAbsolute": 100},
    "InterPodAffinity": {"hardPodAffinityWeight": 1, "ignorePreferredTermsOfExistingPods": False},
    "NodeAffinity": {},
    "NodeResourcesBalancedAllocation": {"resources": _RESOURCES},
    "NodeResourcesFit": {"scoringStrategy": {"type": "LeastAllocated", "resources": _RESOURCES}},
    "PodTopologySpread": {"defaultingType": "System"},
    "VolumeBinding": {"bindTimeoutSeconds": 600},
}

_ARG_FIELDS: Mapping[str, frozenset[str]] = {
    "DefaultPreemption": frozenset(("minCandidateNodesPercentage", "minCandidateNodesAbsolute")),
    "InterPodAffinity": frozenset(("hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods")),
    "NodeAffinity": frozenset(("addedAffinity",)),
    "NodeResourcesBalancedAllocation": frozenset(("resources",)),
    "NodeResourcesFit": frozenset(("ignoredResources", "ignoredResourceGroups", "scoringStrategy")),
    "PodTopologySpread": frozenset(("defaultConstraints", "defaultingType")),
    "VolumeBinding": frozenset(("bindTimeoutSeconds", "shape")),
}

_TOP: Obj = {
    "parallelism": 16,
    "percentageOfNodesToScore": 0,
    "podInitialBackoffSeconds": 1,
    "podMaxBackoffSeconds": 10,
    "enableProfiling": True,
    "enableContentionProfiling": True,
}
_LEADER: Obj = {
    "leaderElect": True,
    "leaseDuration": "15s",
    "renewDeadline": "10s",
    "retryPeriod": "2s",
    "resourceLock": "leases",
    "resourceName": "kube-scheduler",
    "resourceNamespace": "kube-system",
}
_CONNECTION: Obj = {
    "kubeconfig": "",
    "acceptContentTypes": "",
    "contentType": "application/vnd.kubernetes.protobuf",
    "qps": 50,
    "burst": 100,
}
_POINTS = ("multiPoint", *(p.key for p in Point))
_TOP_FIELDS = frozenset(
    (
        *_TOP,
        "apiVersion",
        "kind",
        "leaderElection",
        "clientConnection",
        "profiles",
        "extenders",
        "delayCacheUntilActive",
    )
)
_PROFILE_FIELDS = frozenset(("schedulerName", "percentageOfNodesToScore", "plugins", "pluginConfig"))
_REMOVED = frozenset(("EBSLimits", "GCEPDLimits", "AzureDiskLimits", "CinderLimits"))


def load(path: Path) -> Obj:
    """The effective configuration of a file."""
    import yaml

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the scheduler's configuration {path} can't be read: {error}") from error
    try:
        written = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise Invalid(f"yaml: {where}{getattr(error, 'problem', None) or error}") from error
    return effective(written, text)


def effective(written: Any, text: str = "") -> Obj:
    """Defaults and checks a configuration as read from YAML."""
    if not isinstance(written, dict) or not written.get("kind"):
        raise Invalid(f"Object 'Kind' is missing in '{text}'")
    if not written.get("apiVersion"):
        raise Invalid(f"Object 'apiVersion' is missing in '{text}'")
    if written["apiVersion"] != API_VERSION or written["kind"] != KIND:
        kind, version = written["kind"], written["apiVersion"]
        raise Invalid(f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"')
    _strict(written)
    configuration = _defaulted(written)
    problems = _check(configuration)
    if problems:
        raise Invalid(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    for profile in configuration["profiles"]:
        _initialise(profile)
        profile["pluginConfig"].sort(key=lambda c: str(c["name"]))
    return configuration


def _strict(written: Obj) -> None:
    unknown = [f'unknown field "{f}"' for f in written if f not in _TOP_FIELDS]
    for at, profile in enumerate(written.get("profiles") or ()):
        unknown += [f'unknown field "profiles[{at}].{f}"' for f in profile if f not in _PROFILE_FIELDS]
        plugins = profile.get("plugins") or {}
        unknown += [f'unknown field "profiles[{at}].plugins.{f}"' for f in plugins if f not in _POINTS]
    if unknown:
        raise Invalid(f"strict decoding error: {', '.join(unknown)}")
    for field in ("parallelism", "percentageOfNodesToScore", "podInitialBackoffSeconds", "podMaxBackoffSeconds"):
        value = written.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            size = "int64" if field.startswith("pod") else "int32"
            kind = "string" if isinstance(value, str) else "bool" if isinstance(value, bool) else "number"
            text = f"json: cannot unmarshal {kind} into Go struct field {KIND}.{field} of type {size}"
            raise Invalid(text)
    for at, profile in enumerate(written.get("profiles") or ()):
        for place, config in enumerate(profile.get("pluginConfig") or ()):
            name = config.get("name", "")
            known = _ARG_FIELDS.get(name)
            extra = [f for f in config.get("args") or () if known and f not in (*known, "kind", "apiVersion")]
            if extra:
                fields = ", ".join(f'unknown field "{f}"' for f in extra)
                raise Invalid(
                    f"strict decoding error: decoding .profiles[{at}].pluginConfig[{place}]: strict decoding error: "
                    f"decoding args for plugin {name}: strict decoding error: {fields}"
                )


def _defaulted(written: Obj) -> Obj:
    result: Obj = {**_TOP, **{k: v for k, v in copy.deepcopy(written).items() if v is not None}}
    result["leaderElection"] = {**_LEADER, **(written.get("leaderElection") or {})}
    result["clientConnection"] = {**_CONNECTION, **(written.get("clientConnection") or {})}
    extenders = [{"httpTimeout": "5s", **e} for e in written.get("extenders") or ()]
    result.pop("extenders", None)
    if extenders:
        result["extenders"] = extenders
    profiles = written.get("profiles") or [{}]
    result["profiles"] = [_profile(copy.deepcopy(p), len(profiles) == 1, extenders) for p in profiles]
    return result


def _profile(profile: Obj, alone: bool, extenders: Sequence[Obj]) -> Obj:
    if alone:
        profile.setdefault("schedulerName", "default-scheduler")
    plugins = {point: dict((profile.get("plugins") or {}).get(point) or {}) for point in _POINTS}
    everywhere = plugins["multiPoint"]
    own = {p["name"]: p for p in everywhere.get("enabled") or ()}
    disabled = {p["name"] for p in everywhere.get("disabled") or ()}
    enabled = [] if "*" in disabled else [
        {"name": n, "weight": own[n].get("weight", 0) if n in own else e.weight}
        for n, e in DEFAULTS.items()
        if n not in disabled
    ]  # fmt: skip
    there, replaced = {p["name"] for p in enabled}, set[str]()
    for plugin in everywhere.get("enabled") or ():
        if plugin["name"] in there and plugin["name"] not in replaced:
            replaced.add(plugin["name"])
        else:
            enabled.append({"name": plugin["name"], "weight": plugin.get("weight", 0)})
    everywhere["enabled"] = enabled
    for point, chosen in plugins.items():
        if point != "multiPoint" and chosen.get("enabled"):
            chosen["enabled"] = [{"name": p["name"], "weight": p.get("weight", 0)} for p in chosen["enabled"]]
        for off in chosen.get("disabled") or ():
            off.setdefault("weight", 0)
    profile["plugins"] = plugins
    configured = [c["name"] for c in profile.get("pluginConfig") or ()]
    configs = [_arguments(c["name"], c.get("args")) for c in profile.get("pluginConfig") or ()]
    used = {p["name"] for chosen in plugins.values() for p in chosen.get("enabled") or ()}
    configs += [_arguments(n, None) for n in DEFAULT_ARGS if n not in configured and n in used]
    ignored = [r["name"] for e in extenders for r in e.get("managedResources") or () if r.get("ignoredByScheduler")]
    for config in configs:
        if config["name"] == "NodeResourcesFit" and ignored:
            config["args"]["ignoredResources"] = sorted({*(config["args"].get("ignoredResources") or ()), *ignored})
    profile["pluginConfig"] = configs
    return profile


def _arguments(name: str, written: Obj | None) -> Obj:
    args: Obj = {**copy.deepcopy(dict(DEFAULT_ARGS.get(name, {}))), **(written or {})}
    if name in DEFAULT_ARGS:
        args |= {"apiVersion": API_VERSION, "kind": f"{name}Args"}
    if name == "NodeResourcesFit":
        strategy = {"type": "LeastAllocated", **(args.get("scoringStrategy") or {})}
        strategy["resources"] = strategy.get("resources") or copy.deepcopy(_RESOURCES)
        args["scoringStrategy"] = strategy
    for owner in (args, args.get("scoringStrategy") or {}):
        if "resources" in owner and name in ("NodeResourcesFit", "NodeResourcesBalancedAllocation"):
            owner["resources"] = [{"name": r["name"], "weight": r.get("weight") or 1} for r in owner["resources"] or ()]
    return {"name": name, "args": args}


# --- checks --------------------------------------------------------------------------------------------------------


def _invalid(path: str, value: object, text: str) -> str:
    shown = f'"{value}"' if isinstance(value, str) else value
    return f"{path}: Invalid value: {shown}: {text}"


def _seconds(text: Any) -> float:
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(ms|h|m|s)", str(text)))


def _check(configuration: Obj) -> list[str]:
    problems: list[str] = []
    if configuration["parallelism"] <= 0:
        text = "should be an integer value greater than zero"
        problems.append(_invalid("parallelism", configuration["parallelism"], text))
    leader = configuration["leaderElection"]
    if leader.get("leaderElect") and _seconds(leader["leaseDuration"]) <= _seconds(leader["renewDeadline"]):
        duration = f"v1.Duration{{Duration:{int(_seconds(leader['leaseDuration']) * 10**9)}}}"
        text = f"Invalid value: {duration}: LeaseDuration must be greater than RenewDeadline"
        problems.append(f"leaderElection.leaseDuration: {text}")
    names: set[str] = set()
    for at, profile in enumerate(configuration["profiles"]):
        path = f"profiles[{at}]"
        name = profile.get("schedulerName") or ""
        if not name:
            problems.append(f"{path}.schedulerName: Required value")
        percentage = profile.get("percentageOfNodesToScore")
        if percentage is not None and not 0 <= percentage <= 100:
            problems.append(_invalid(f"{path}.percentageOfNodesToScore", percentage, "not in valid range [0-100]"))
        problems += _check_plugins(path, profile)
        if name in names:
            path = f"{path}.schedulerName"
            problems.append(
                f'{path}: Duplicate value: field.Path{{name:"schedulerName", index:"", parent:(*field.Path)}}'
            )
        names.add(name)
    percentage = configuration["percentageOfNodesToScore"]
    if not 0 <= percentage <= 100:
        problems.append(_invalid("percentageOfNodesToScore", percentage, "not in valid range [0-100]"))
    initial, longest = configuration["podInitialBackoffSeconds"], configuration["podMaxBackoffSeconds"]
    if initial <= 0:
        problems.append(_invalid("podInitialBackoffSeconds", initial, "must be greater than 0"))
    if longest < initial:
        problems.append(
            _invalid("podMaxBackoffSeconds", longest, "must be greater than or equal to PodInitialBackoffSeconds")
        )
    return problems + _check_extenders(configuration.get("extenders") or ())


def _check_extenders(extenders: Sequence[Obj]) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    binders = 0
    for at, extender in enumerate(extenders):
        if extender.get("prioritizeVerb") and extender.get("weight", 0) <= 0:
            text = "must have a positive weight applied to it"
            problems.append(_invalid(f"extenders[{at}].weight", extender.get("weight", 0), text))
        binders += bool(extender.get("bindVerb"))
        for place, resource in enumerate(extender.get("managedResources") or ()):
            path, name = f"extenders[{at}].managedResources[{place}].name", resource.get("name", "")
            if "/" not in name or name.startswith("requests.") or name.partition("/")[0].endswith("kubernetes.io"):
                problems.append(_invalid(path, name, "is an invalid extended resource name"))
            if name in seen:
                problems.append(_invalid(path, name, "duplicate extender managed resource name"))
            seen.add(name)
    if binders > 1:
        problems.append(
            _invalid(
                "extenders", f"found {binders} extenders implementing bind", "only one extender can implement bind"
            )
        )
    return problems


def _check_plugins(path: str, profile: Obj) -> list[str]:
    problems = [
        _invalid(f"{path}.plugins.{point}.enabled[{at}]", p["name"], 'was invalid in version "v1" (KubeSchedulerConfiguration is version "v1")')
        for point, chosen in profile["plugins"].items()
        for at, p in enumerate(chosen.get("enabled") or ())
        if p["name"] in _REMOVED
    ]  # fmt: skip
    seen: set[str] = set()
    for at, config in enumerate(profile["pluginConfig"]):
        name = config["name"]
        if name in seen:
            problems.append(f'{path}.pluginConfig[{at}]: Duplicate value: "{name}"')
        seen.add(name)
        checker = _ARGS_CHECKS.get(name)
        if checker is not None:
            # In the order of the file; defaults come after and are right.
            problems += checker(f"{path}.pluginConfig[{at}].args", config["args"])
    return problems


def _range(path: str, value: Any, low: int, high: int | None) -> list[str]:
    if value >= low and (high is None or value <= high):
        return []
    return [
        _invalid(path, value, f"not in valid range [{low}, {high if high is not None else 'inf'}{']' if high else ')'}")
    ]


def _preemption(path: str, args: Obj) -> list[str]:
    percentage, absolute = args["minCandidateNodesPercentage"], args["minCandidateNodesAbsolute"]
    problems = _range(f"{path}.minCandidateNodesPercentage", percentage, 0, 100)
    problems += _range(f"{path}.minCandidateNodesAbsolute", absolute, 0, None)
    if percentage == absolute == 0:
        both = (("minCandidateNodesPercentage", "minCandidateNodesAbsolute"),) * 2
        names = (both[0], both[1][::-1])
        problems += [_invalid(f"{path}.{a}", 0, f"cannot be zero at the same time as {b}") for a, b in names]
    return problems


def _inter_pod(path: str, args: Obj) -> list[str]:
    return _range(f"{path}.hardPodAffinityWeight", args["hardPodAffinityWeight"], 0, 100)


def _balanced(path: str, args: Obj) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for at, resource in enumerate(args.get("resources") or ()):
        if resource["weight"] != 1:
            problems.append(_invalid(f"{path}.resources[{at}].weight", resource["weight"], "must be 1"))
        if resource["name"] in seen:
            problems.append(f'{path}.resources[{at}].name: Duplicate value: "{resource["name"]}"')
        seen.add(resource["name"])
    return problems


def _spread(path: str, args: Obj) -> list[str]:
    constraints = args.get("defaultConstraints") or ()
    kind = args["defaultingType"]
    problems: list[str] = []
    if kind not in ("System", "List"):
        return [f'{path}.defaultingType: Unsupported value: "{kind}": supported values: "System", "List"']
    if kind == "System" and constraints:
        problems.append(_invalid(f"{path}.defaultingType", "System", "when .defaultConstraints are not empty"))
    seen: set[tuple[str, str]] = set()
    for at, c in enumerate(constraints):
        here = f"{path}.defaultConstraints[{at}]"
        skew, key, action = c.get("maxSkew", 0), c.get("topologyKey", ""), c.get("whenUnsatisfiable", "")
        if skew <= 0:
            problems.append(_invalid(f"{here}.maxSkew", skew, "not in valid range (0, inf)"))
        if not key:
            problems.append(f"{here}.topologyKey: Required value: can not be empty")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            supported = 'supported values: "DoNotSchedule", "ScheduleAnyway"'
            problems.append(f'{here}.whenUnsatisfiable: Unsupported value: "{action}": {supported}')
        if c.get("labelSelector") is not None:
            text = "constraint must not define a selector, as they deduced for each pod"
            problems.append(f"{here}.labelSelector: Forbidden: {text}")
        if (key, action) in seen:
            problems.append(f'{here}: Duplicate value: "{{{key}, {action}}}"')
        seen.add((key, action))
    return problems


def _volume_binding(path: str, args: Obj) -> list[str]:
    problems: list[str] = []
    timeout = args.get("bindTimeoutSeconds")
    if timeout is not None and timeout < 0:
        text = "invalid BindTimeoutSeconds, should not be a negative value"
        problems.append(_invalid(f"{path}.bindTimeoutSeconds", timeout, text))
    if args.get("shape"):
        kind = "config.UtilizationShapePoint"
        points = ", ".join(
            f"{kind}{{Utilization:{p.get('utilization', 0)}, Score:{p.get('score', 0)}}}" for p in args["shape"]
        )
        text = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
        problems.append(f"{path}.shape: Invalid value: []{kind}{{{points}}}: {text}")
    return problems


_ARGS_CHECKS: Mapping[str, Callable[[str, Obj], list[str]]] = {
    "DefaultPreemption": _preemption,
    "InterPodAffinity": _inter_pod,
    "NodeResourcesBalancedAllocation": _balanced,
    "PodTopologySpread": _spread,
    "VolumeBinding": _volume_binding,
}


# --- what only building a profile shows -----------------------------------------------------------------------------

_INTERFACES = {point.key: point.key[0].upper() + point.key[1:] + "Plugin" for point in Point}


def _initialise(profile: Obj) -> None:
    name = profile["schedulerName"]

    def refuse(text: str) -> None:
        raise Invalid(f"initializing profiles: creating profile for scheduler name {name}: {text}")

    for config in profile["pluginConfig"]:
        problems = _fit(config["args"]) if config["name"] == "NodeResourcesFit" else []
        if problems:
            text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
            refuse(f'initializing plugin "NodeResourcesFit": {text}')
    plugins = profile["plugins"]
    made = {n: DEFAULTS[n].make({}) for n in DEFAULTS}
    counts = dict.fromkeys(("queueSort", "bind"), 0)
    for point in Point:
        chosen = plugins[point.key]
        enabled = [p["name"] for p in chosen.get("enabled") or ()]
        for plugin in enabled:
            if plugin not in made:
                refuse(f'{_INTERFACES[point.key]} "{plugin}" does not exist')
            if not point.takes(made[plugin]):
                refuse(f'plugin "{plugin}" does not extend {_INTERFACES[point.key]} plugin')
        if any(p.get("weight", 0) < 0 for p in chosen.get("enabled") or ()):
            refuse("total score of Score plugins could overflow")
        off = {p["name"] for p in chosen.get("disabled") or ()}
        everywhere = [p["name"] for p in plugins["multiPoint"]["enabled"] if p["name"] not in off and "*" not in off]
        for plugin in everywhere:
            if plugin not in made:
                refuse(f'PreFilterPlugin "{plugin}" does not exist')
        if point.key in counts:
            taking = {*enabled, *(p for p in everywhere if point.takes(made[p]))}
            counts[point.key] = len(taking)
    names = [p["name"] for p in plugins["multiPoint"]["enabled"]]
    for twice in names:
        if names.count(twice) > 1:
            point = next(
                (p for p in (Point.PRE_FILTER, Point.FILTER, Point.SCORE) if p.takes(made[twice])), Point.SCORE
            )
            refuse(f'plugin "{twice}" already registered as "{_INTERFACES[point.key]}"')
    if any(p.get("weight", 0) < 0 for p in plugins["multiPoint"]["enabled"]):
        refuse("total score of Score plugins could overflow")
    if counts["queueSort"] != 1:
        refuse(
            f'only one queue sort plugin required for profile with scheduler name "{name}", but got {counts["queueSort"]}'
        )
    if not counts["bind"]:
        refuse(f'at least one bind plugin is needed for profile with scheduler name "{name}"')


_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")


def _fit(args: Obj) -> list[str]:
    problems = [
        _invalid(f"ignoredResources[{at}]", r, "name part must consist of alphanumeric characters, '-', '_' or '.'")
        for at, r in enumerate(args.get("ignoredResources") or ())
        if not all(_NAME.fullmatch(part) for part in str(r).split("/"))
    ]
    for at, group in enumerate(args.get("ignoredResourceGroups") or ()):
        if "/" in str(group):
            problems.append(_invalid(f"ignoredResourceGroups[{at}]", group, "resource group name can't contain '/'"))
    strategy = args["scoringStrategy"]
    kinds = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
    if strategy["type"] not in kinds:
        supported = ", ".join(f'"{k}"' for k in kinds)
        problems.append(f'scoringStrategy.type: Unsupported value: "{strategy["type"]}": supported values: {supported}')
    for at, resource in enumerate(strategy["resources"]):
        if not 0 < resource["weight"] <= 100:
            text = f"resource weight of {resource['name']} not in valid range (0, 100]"
            problems.append(_invalid(f"scoringStrategy.resources[{at}].weight", resource["weight"], text))
    if strategy["type"] == "RequestedToCapacityRatio":
        shape = (strategy.get("requestedToCapacityRatio") or {}).get("shape") or ()
        if not shape:
            problems.append("scoringStrategy.shape: Required value: at least one point must be specified")
        problems += _shape(shape)
    return problems


def _shape(shape: Sequence[Obj]) -> list[str]:
    problems: list[str] = []
    before = -1
    for at, point in enumerate(shape):
        here, use, score = f"scoringStrategy.shape[{at}]", point.get("utilization", 0), point.get("score", 0)
        if not 0 <= use <= 100:
            problems.append(_invalid(f"{here}.utilization", use, "not in valid range [0-100]"))
        if use <= before:
            text = "utilization values must be sorted in increasing order"
            problems.append(_invalid(f"{here}.utilization", use, text))
        if not 0 <= score <= 10:
            problems.append(_invalid(f"{here}.score", score, "not in valid range [0-10]"))
        before = use
    return problems
