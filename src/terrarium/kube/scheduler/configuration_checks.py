"""What a decoded and defaulted KubeSchedulerConfiguration must fulfil, in kube-scheduler's words.

`check` is apis/config/validation, which tells everything at once; `initialise` is what only building the profiles
shows (framework/runtime `NewFramework`), where the first fault ends it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.names import qualified_name
from terrarium.kube.scheduler.configuration_decoding import parse_go_duration
from terrarium.kube.scheduler.framework import Point
from terrarium.kube.scheduler.plugins.table import DEFAULTS

_REMOVED = frozenset(("EBSLimits", "GCEPDLimits", "AzureDiskLimits", "CinderLimits"))
_NATIVE_PREFIX = "kubernetes.io"
_LARGEST = 2**63 - 1


def _shown(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _invalid(path: str, value: object, text: str) -> str:
    return f"{path}: Invalid value: {_shown(value)}: {text}"


def _unsupported(path: str, value: str, supported: Sequence[str]) -> str:
    listed = ", ".join(f'"{s}"' for s in supported)
    return f'{path}: Unsupported value: "{value}": supported values: {listed}'


def together(problems: Sequence[str]) -> str:
    """Several problems as Go's aggregate prints them: each text once."""
    distinct = list(dict.fromkeys(problems))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"


def _go_duration(value: str) -> str:
    return f"v1.Duration{{Duration:{parse_go_duration(value)}}}"


def check(configuration: Obj) -> list[str]:
    """All that is wrong with an effective configuration, in the real order."""
    problems = _connection(configuration["clientConnection"]) + _leader(configuration["leaderElection"])
    if configuration["parallelism"] <= 0:
        text = "should be an integer value greater than zero"
        problems.append(_invalid("parallelism", configuration["parallelism"], text))
    names: set[str] = set()
    for at, profile in enumerate(configuration["profiles"]):
        path, name = f"profiles[{at}]", profile.get("schedulerName") or ""
        if not name:
            problems.append(f"{path}.schedulerName: Required value")
        problems += _percentage(f"{path}.percentageOfNodesToScore", profile.get("percentageOfNodesToScore"))
        problems += _plugins(path, profile)
        if name in names:
            value = 'field.Path{name:"schedulerName", index:"", parent:(*field.Path)(0xc000000000)}'
            problems.append(f"{path}.schedulerName: Duplicate value: {value}")
        names.add(name)
    problems += _queue_sort(configuration["profiles"])
    problems += _percentage("percentageOfNodesToScore", configuration["percentageOfNodesToScore"])
    initial, longest = configuration["podInitialBackoffSeconds"], configuration["podMaxBackoffSeconds"]
    if initial <= 0:
        problems.append(_invalid("podInitialBackoffSeconds", initial, "must be greater than 0"))
    if longest < initial:
        text = "must be greater than or equal to PodInitialBackoffSeconds"
        problems.append(_invalid("podMaxBackoffSeconds", longest, text))
    return problems + _extenders(configuration.get("extenders") or ())


def _connection(connection: Obj) -> list[str]:
    if connection["burst"] < 0:
        return [_invalid("clientConnection.burst", connection["burst"], "must be non-negative")]
    return []


def _leader(leader: Obj) -> list[str]:
    if not leader.get("leaderElect"):
        return []
    problems = []
    for key in ("leaseDuration", "renewDeadline", "retryPeriod"):
        if parse_go_duration(leader[key]) <= 0:
            problems.append(
                f"leaderElection.{key}: Invalid value: {_go_duration(leader[key])}: must be greater than zero"
            )
    if parse_go_duration(leader["leaseDuration"]) < parse_go_duration(leader["renewDeadline"]):
        # The real one shows the other of the two values.
        text = f"{_go_duration(leader['renewDeadline'])}: LeaseDuration must be greater than RenewDeadline"
        problems.append(f"leaderElection.leaseDuration: Invalid value: {text}")
    if leader["resourceLock"] != "leases":
        problems.append(
            _invalid("leaderElection.resourceLock", leader["resourceLock"], 'resourceLock value must be "leases"')
        )
    return problems


def _percentage(path: str, value: int | None) -> list[str]:
    if value is None or 0 <= value <= 100:
        return []
    return [_invalid(path, value, "not in valid range [0-100]")]


def _queue_sort(profiles: Sequence[Obj]) -> list[str]:
    def sort(profile: Obj) -> tuple[list[str], list[str]]:
        chosen = profile["plugins"]["queueSort"]
        return [p["name"] for p in chosen.get("enabled") or ()], [p["name"] for p in chosen.get("disabled") or ()]

    problems = []
    first = sort(profiles[0])
    if len(first[0]) > 1:
        text = "only one queue sort plugin can be enabled"
        problems.append(_invalid("profiles[0].plugins.queueSort.Enabled", len(first[0]), text))
    for at, profile in enumerate(profiles[1:], 1):
        if sort(profile) != first:
            value = _plugin_set(profile["plugins"]["queueSort"])
            path = f"profiles[{at}].plugins.queueSort"
            problems.append(f"{path}: Invalid value: {value}: must be the same for all profiles")
    return problems


def _plugin_set(chosen: Obj) -> str:
    def listed(plugins: Sequence[Obj] | None) -> str:
        if not plugins:
            return "[]config.Plugin(nil)"
        names = ", ".join(f'config.Plugin{{Name:"{p["name"]}", Weight:{p.get("weight", 0)}}}' for p in plugins)
        return f"[]config.Plugin{{{names}}}"

    return f"config.PluginSet{{Enabled:{listed(chosen.get('enabled'))}, Disabled:{listed(chosen.get('disabled'))}}}"


def _extended(name: str) -> bool:
    """Whether a name is that of an extended resource (v1helper.IsExtendedResourceName)."""
    if "/" not in name or name.partition("/")[0].endswith(_NATIVE_PREFIX) or name.startswith("requests."):
        return False
    return not qualified_name(f"requests.{name}")


def _extenders(extenders: Sequence[Obj]) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    binders = 0
    for at, extender in enumerate(extenders):
        if extender.get("prioritizeVerb") and (extender.get("weight") or 0) <= 0:
            text = "must have a positive weight applied to it"
            problems.append(_invalid(f"extenders[{at}].weight", extender.get("weight") or 0, text))
        binders += bool(extender.get("bindVerb"))
        for place, resource in enumerate(extender.get("managedResources") or ()):
            path, name = f"extenders[{at}].managedResources[{place}].name", str(resource.get("name") or "")
            faults = qualified_name(name)
            problems += [_invalid(path, name, fault) for fault in faults]
            if not faults and not _extended(name):
                problems.append(_invalid(path, name, "is an invalid extended resource name"))
            if name in seen:
                problems.append(_invalid(path, name, "duplicate extender managed resource name"))
            seen.add(name)
    if binders > 1:
        found = f"found {binders} extenders implementing bind"
        problems.append(_invalid("extenders", found, "only one extender can implement bind"))
    return problems


# --- plugins and their arguments ---------------------------------------------------------------------------------------


def _plugins(path: str, profile: Obj) -> list[str]:
    problems = [
        _invalid(
            f"{path}.plugins.{point.key}.enabled[{at}]",
            p["name"],
            'was invalid in version "v1" (KubeSchedulerConfiguration is version "v1")',
        )
        for point in Point
        for at, p in enumerate(profile["plugins"][point.key].get("enabled") or ())
        if p["name"] in _REMOVED
    ]
    seen: set[str] = set()
    for at, config in enumerate(profile["pluginConfig"]):
        name = config["name"]
        if name in seen:
            problems.append(f'{path}.pluginConfig[{at}]: Duplicate value: "{name}"')
        seen.add(name)
        if name in _REMOVED:
            text = 'was invalid in version "v1" (KubeSchedulerConfiguration is version "v1")'
            problems.append(_invalid(f"{path}.pluginConfig[{at}]", name, text))
        elif name in _ARGUMENTS:
            problems += _ARGUMENTS[name](f"{path}.pluginConfig[{at}].args", config["args"])
    return problems


def _range(path: str, value: int, low: int, high: int | None) -> list[str]:
    if value >= low and (high is None or value <= high):
        return []
    end = f"{high}]" if high is not None else "inf)"
    return [_invalid(path, value, f"not in valid range [{low}, {end}")]


def _preemption(path: str, args: Obj) -> list[str]:
    percentage, absolute = args["minCandidateNodesPercentage"], args["minCandidateNodesAbsolute"]
    at_percentage, at_absolute = f"{path}.minCandidateNodesPercentage", f"{path}.minCandidateNodesAbsolute"
    problems = _range(at_percentage, percentage, 0, 100) + _range(at_absolute, absolute, 0, None)
    if percentage == 0 and absolute == 0:
        same = "cannot be zero at the same time as"
        problems.append(_invalid(at_percentage, 0, f"{same} minCandidateNodesAbsolute"))
        problems.append(_invalid(at_absolute, 0, f"{same} minCandidateNodesPercentage"))
    return problems


def _inter_pod(path: str, args: Obj) -> list[str]:
    return _range(f"{path}.hardPodAffinityWeight", args["hardPodAffinityWeight"], 0, 100)


def _balanced(path: str, args: Obj) -> list[str]:
    problems: list[str] = []
    seen: set[str] = set()
    for at, resource in enumerate(args["resources"]):
        if resource["name"] in seen:
            problems.append(f'{path}.resources[{at}].name: Duplicate value: "{resource["name"]}"')
        seen.add(resource["name"])
        if resource["weight"] != 1:
            problems.append(_invalid(f"{path}.resources[{at}].weight", resource["weight"], "must be 1"))
    return problems


_ACTIONS = ("DoNotSchedule", "ScheduleAnyway")


def _spread(path: str, args: Obj) -> list[str]:
    constraints = args.get("defaultConstraints") or ()
    kind = args["defaultingType"]
    problems: list[str] = []
    if kind not in ("System", "List"):
        problems.append(_unsupported(f"{path}.defaultingType", kind, ("System", "List")))
    elif kind == "System" and constraints:
        problems.append(_invalid(f"{path}.defaultingType", "System", "when .defaultConstraints are not empty"))
    for at, constraint in enumerate(constraints):
        here = f"{path}.defaultConstraints[{at}]"
        skew = constraint.get("maxSkew") or 0
        key, action = constraint.get("topologyKey") or "", constraint.get("whenUnsatisfiable") or ""
        if skew <= 0:
            problems.append(_invalid(f"{here}.maxSkew", skew, "not in valid range (0, inf)"))
        if not key:
            problems.append(f"{here}.topologyKey: Required value: can not be empty")
        else:
            problems += [_invalid(f"{here}.topologyKey", key, fault) for fault in qualified_name(key)]
        if not action:
            problems.append(f"{here}.whenUnsatisfiable: Required value: can not be empty")
        elif action not in _ACTIONS:
            problems.append(_unsupported(f"{here}.whenUnsatisfiable", action, _ACTIONS))
        if constraint.get("labelSelector") is not None:
            text = "constraint must not define a selector, as they deduced for each pod"
            problems.append(f"{here}.labelSelector: Forbidden: {text}")
        before = [(c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") for c in constraints[:at]]
        if (key, action) in before:
            problems.append(f'{here}: Duplicate value: "{{{key}, {action}}}"')
    return problems


def _volume_binding(path: str, args: Obj) -> list[str]:
    problems: list[str] = []
    timeout = args.get("bindTimeoutSeconds")
    if timeout is not None and timeout < 0:
        text = "invalid BindTimeoutSeconds, should not be a negative value"
        problems.append(_invalid(f"{path}.bindTimeoutSeconds", timeout, text))
    if args.get("shape") is not None:
        kind = "config.UtilizationShapePoint"
        points = ", ".join(
            f"{kind}{{Utilization:{p.get('utilization', 0)}, Score:{p.get('score', 0)}}}" for p in args["shape"]
        )
        text = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
        problems.append(f"{path}.shape: Invalid value: []{kind}{{{points}}}: {text}")
    return problems


def _node_affinity(path: str, args: Obj) -> list[str]:
    added = args.get("addedAffinity") or {}
    problems: list[str] = []
    required = added.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is not None:
        here = f"{path}.addedAffinity.requiredDuringSchedulingIgnoredDuringExecution"
        for at, term in enumerate(required.get("nodeSelectorTerms") or ()):
            problems += _node_term(f"{here}.nodeSelectorTerms[{at}]", term or {})
    here = f"{path}.addedAffinity.preferredDuringSchedulingIgnoredDuringExecution"
    for at, weighted in enumerate(added.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        if weighted.get("weight"):
            problems += _node_term(f"{here}[{at}]", weighted.get("preference") or {})
    return problems


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def _strings(values: Sequence[str]) -> str:
    listed = ", ".join(json.dumps(v) for v in values)
    return f"[]string{{{listed}}}"


def _node_term(path: str, term: Obj) -> list[str]:
    problems: list[str] = []
    for at, expression in enumerate(term.get("matchExpressions") or ()):
        problems += _expression(f"{path}.matchExpressions[{at}]", expression)
    for at, field in enumerate(term.get("matchFields") or ()):
        here, operator = f"{path}.matchFields[{at}]", field.get("operator") or ""
        values = field.get("values") or ()
        if operator not in ("In", "NotIn"):
            problems.append(_unsupported(f"{here}.operator", operator, ("In", "NotIn")))
        elif len(values) != 1:
            problems.append(f"{here}.values: Invalid value: {_strings(values)}: must have one element")
    return problems


def _expression(path: str, expression: Obj) -> list[str]:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    key = expression.get("key") or ""
    if operator not in _OPERATORS:
        return [_unsupported(f"{path}.operator", operator, _OPERATORS)]
    problems = [_invalid(f"{path}.key", key, "; ".join(faults)) for faults in [qualified_name(key)] if faults]

    def refuse(text: str) -> None:
        problems.append(f"{path}.values: Invalid value: {_strings(values)}: {text}")

    if operator in ("In", "NotIn") and not values:
        refuse("for 'in', 'notin' operators, values set can't be empty")
    if operator in ("Exists", "DoesNotExist") and values:
        refuse("values set must be empty for exists and does not exist")
    if operator in ("Gt", "Lt"):
        if len(values) != 1:
            refuse("for 'Gt', 'Lt' operators, exactly one value is required")
        for at, value in enumerate(values):
            if not value.removeprefix("-").isdigit():
                text = "for 'Gt', 'Lt' operators, the value must be an integer"
                problems.append(_invalid(f"{path}.values[{at}]", value, text))
    return problems


_ARGUMENTS: Mapping[str, Callable[[str, Obj], list[str]]] = {
    "DefaultPreemption": _preemption,
    "InterPodAffinity": _inter_pod,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced,
    "PodTopologySpread": _spread,
    "VolumeBinding": _volume_binding,
}


# --- what only building a profile shows --------------------------------------------------------------------------------

_STRATEGIES = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
_ORDER = (
    Point.PRE_FILTER,
    Point.FILTER,
    Point.POST_FILTER,
    Point.RESERVE,
    Point.PRE_SCORE,
    Point.SCORE,
    Point.PRE_BIND,
    Point.BIND,
    Point.POST_BIND,
    Point.PERMIT,
    Point.PRE_ENQUEUE,
    Point.QUEUE_SORT,
)


def _interface(point: Point) -> str:
    return point.key[0].upper() + point.key[1:] + "Plugin"


def initialise(profile: Obj) -> str:
    """What keeps a profile from being built, or ""."""
    plugins = profile["plugins"]
    everywhere = plugins["multiPoint"].get("enabled") or ()
    needed = {p["name"] for chosen in plugins.values() for p in chosen.get("enabled") or ()}
    made = {name: entry.make({}) for name, entry in DEFAULTS.items() if name in needed}
    for config in profile["pluginConfig"]:
        if config["name"] == "NodeResourcesFit" and "NodeResourcesFit" in needed:
            problems = _fit(config["args"])
            if problems:
                return f'initializing plugin "NodeResourcesFit": {together(problems)}'
    for point in _ORDER:
        problem = _listed(point, plugins[point.key].get("enabled") or (), made)
        if problem:
            return problem
    chosen: dict[Point, list[str]] = {}
    for point in _ORDER:
        found = _expanded(point, plugins[point.key], everywhere, made)
        if isinstance(found, str):
            return found
        chosen[point] = found
    name = profile["schedulerName"]
    if len(chosen[Point.QUEUE_SORT]) != 1:
        count = len(chosen[Point.QUEUE_SORT])
        return f'only one queue sort plugin required for profile with scheduler name "{name}", but got {count}'
    if not chosen[Point.BIND]:
        return f'at least one bind plugin is needed for profile with scheduler name "{name}"'
    return _weights((*(plugins["score"].get("enabled") or ()), *everywhere), made)


def _listed(point: Point, enabled: Sequence[Obj], made: Mapping[str, Any]) -> str:
    seen: set[str] = set()
    for plugin in enabled:
        name = plugin["name"]
        if name not in made:
            return f'{_interface(point)} "{name}" does not exist'
        if not point.takes(made[name]):
            return f'plugin "{name}" does not extend {_interface(point)} plugin'
        if name in seen:
            return f'plugin "{name}" already registered as "{_interface(point)}"'
        seen.add(name)
    return ""


def _expanded(point: Point, here: Obj, everywhere: Sequence[Obj], made: Mapping[str, Any]) -> list[str] | str:
    """The plugins of a point, `multiPoint` included; or what is wrong with them."""
    own = [p["name"] for p in here.get("enabled") or ()]
    disabled = {p["name"] for p in here.get("disabled") or ()}
    if "*" in disabled:
        return own
    more: list[str] = []
    for plugin in everywhere:
        name = plugin["name"]
        if name not in made:
            return f'{_interface(point)} "{name}" does not exist'
        if not point.takes(made[name]) or name in disabled or name in own:
            continue
        if name in more:
            return f'plugin "{name}" already registered as "{_interface(point)}"'
        more.append(name)
    return own + more


def _weights(plugins: Sequence[Obj], made: Mapping[str, Any]) -> str:
    seen: set[str] = set()
    total = 0
    for plugin in plugins:
        name = plugin["name"]
        if name in seen or not Point.SCORE.takes(made[name]):
            continue
        seen.add(name)
        most = (plugin.get("weight") or 1) * 100
        # Go's integers wrap round, which is how a negative weight comes to be told as an overflow.
        left = _LARGEST - total
        if most > (left - 2**64 if left > _LARGEST else left):
            return "total score of Score plugins could overflow"
        total += most
    return ""


def _fit(args: Obj) -> list[str]:
    problems: list[str] = []
    for at, resource in enumerate(args.get("ignoredResources") or ()):
        problems += [_invalid(f"ignoredResources[{at}]", resource, fault) for fault in qualified_name(resource)]
    for at, group in enumerate(args.get("ignoredResourceGroups") or ()):
        if "/" in group:
            problems.append(_invalid(f"ignoredResourceGroups[{at}]", group, "resource group name can't contain '/'"))
        problems += [_invalid(f"ignoredResourceGroups[{at}]", group, fault) for fault in qualified_name(group)]
    strategy = args["scoringStrategy"]
    kind = strategy.get("type") or ""
    if kind not in _STRATEGIES:
        problems.append(_unsupported("scoringStrategy.type", kind, _STRATEGIES))
    for at, resource in enumerate(strategy["resources"]):
        if not 0 < resource["weight"] <= 100:
            text = f"resource weight of {resource['name']} not in valid range (0, 100]"
            problems.append(_invalid(f"scoringStrategy.resources[{at}].weight", resource["weight"], text))
    ratio = strategy.get("requestedToCapacityRatio")
    if ratio is not None:
        problems += _shape(ratio.get("shape") or ())
    elif kind == "RequestedToCapacityRatio":
        # The real one crashes on this; it is refused here, in the words for an empty shape.
        problems += _shape(())
    return problems


def _shape(shape: Sequence[Obj]) -> list[str]:
    if not shape:
        return ["scoringStrategy.shape: Required value: at least one point must be specified"]
    problems: list[str] = []
    uses = [point.get("utilization") or 0 for point in shape]
    for at in range(1, len(shape)):
        if uses[at - 1] >= uses[at]:
            text = "utilization values must be sorted in increasing order"
            problems.append(_invalid(f"scoringStrategy.shape[{at}].utilization", uses[at], text))
            break
    for at, point in enumerate(shape):
        here, score = f"scoringStrategy.shape[{at}]", point.get("score") or 0
        if not 0 <= uses[at] <= 100:
            problems.append(_invalid(f"{here}.utilization", uses[at], "not in valid range [0-100]"))
        if not 0 <= score <= 10:
            problems.append(_invalid(f"{here}.score", score, "not in valid range [0-10]"))
    return problems
