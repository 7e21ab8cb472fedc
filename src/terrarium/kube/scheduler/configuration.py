"""KubeSchedulerConfiguration files: read, defaulted, and checked with kube-scheduler's own words.

`load` gives the effective configuration, as `--write-config-to` prints it, or raises `Invalid` with the message of the
real program (kube-scheduler apis/config/v1 defaults; the rules are in `configuration_decoding` and `…_checks`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terrarium.base.diagnostics import Failure
from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.configuration_checks import check, initialise, together
from terrarium.kube.scheduler.configuration_decoding import (
    Undecodable,
    check_args,
    decode,
    go_duration,
    parse_go_duration,
    repeated_keys,
    yaml_problem,
)
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
_DURATIONS = ("leaseDuration", "renewDeadline", "retryPeriod")
_CONNECTION: Obj = {
    "kubeconfig": "",
    "acceptContentTypes": "",
    "contentType": "application/vnd.kubernetes.protobuf",
    "qps": 50,
    "burst": 100,
}
_POINTS = ("multiPoint", *(p.key for p in Point))


def load(path: Path) -> Obj:
    """The effective configuration of a file."""
    import yaml

    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"the scheduler's configuration {path} can't be read: {error}") from error
    try:
        written = yaml.safe_load(text)
        repeated = list(repeated_keys(text))
    except yaml.YAMLError as error:
        raise Invalid(yaml_problem(error)) from error
    return effective(written, text, repeated)


def effective(written: Any, text: str = "", repeated: Sequence[str] = ()) -> Obj:
    """Defaults and checks a configuration as read from YAML; `repeated` are keys which that had twice."""
    if written is not None and not isinstance(written, dict):
        kind = "array" if isinstance(written, list) else "string" if isinstance(written, str) else "number"
        struct = (
            'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
        )
        raise Invalid(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type {struct}"
        )
    if not written or not written.get("kind"):
        raise Invalid(f"Object 'Kind' is missing in '{text}'")
    if not written.get("apiVersion"):
        raise Invalid(f"Object 'apiVersion' is missing in '{text}'")
    if written["apiVersion"] != API_VERSION or written["kind"] != KIND:
        kind, version = written["kind"], written["apiVersion"]
        raise Invalid(f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"')
    _decode(written, repeated)
    configuration = _defaulted(written)
    problems = check(configuration)
    if problems:
        raise Invalid(together(problems))
    for profile in configuration["profiles"]:
        problem = initialise(profile)
        if problem:
            name = profile["schedulerName"]
            raise Invalid(f"initializing profiles: creating profile for scheduler name {name}: {problem}")
        profile["pluginConfig"].sort(key=lambda c: str(c["name"]))
    return configuration


def _decode(written: Obj, repeated: Sequence[str]) -> None:
    try:
        unknown = decode(written, KIND)
    except Undecodable as problem:
        raise Invalid(str(problem)) from None
    if repeated:
        lines = "".join(f"\n  {line}" for line in repeated)
        unknown.insert(0, f"yaml: unmarshal errors:{lines}")
    strange: list[str] = []
    for at, profile in enumerate(written.get("profiles") or ()):
        for place, config in enumerate((profile or {}).get("pluginConfig") or ()):
            here = f"decoding .profiles[{at}].pluginConfig[{place}]"
            fields, fault = check_args(here, config or {}, API_VERSION)
            if fault:
                raise Invalid(fault)
            if fields:
                strange.append(
                    f"{here}: strict decoding error: decoding args for plugin {config['name']}: "
                    f"strict decoding error: {', '.join(fields)}"
                )
    if unknown or strange:
        raise Invalid(f"strict decoding error: {', '.join(unknown or strange)}")


def _filled(defaults: Obj, written: Obj | None, empty: Sequence[str] = ()) -> Obj:
    """Defaults under what is written; fields of `empty` take the default also for "" and 0."""
    given = {k: v for k, v in (written or {}).items() if v is not None and not (k in empty and not v)}
    return {**defaults, **given}


def _duration(value: str, default: str) -> str:
    nanoseconds = parse_go_duration(value)
    return go_duration(nanoseconds) if nanoseconds else default


def _defaulted(written: Obj) -> Obj:
    result: Obj = _filled(_TOP, copy.deepcopy(written))
    if written.get("enableProfiling") is False and written.get("enableContentionProfiling") is None:
        result["enableContentionProfiling"] = False
    texts = ("resourceLock", "resourceName", "resourceNamespace", *_DURATIONS)
    leader = _filled(_LEADER, written.get("leaderElection"), texts)
    for key in _DURATIONS:
        leader[key] = _duration(leader[key], _LEADER[key])
    result["leaderElection"] = leader
    result["clientConnection"] = _filled(_CONNECTION, written.get("clientConnection"), ("contentType", "qps", "burst"))
    extenders = [
        {**e, "httpTimeout": _duration(e.get("httpTimeout") or "5s", "5s")} for e in result.get("extenders") or ()
    ]
    result.pop("extenders", None)
    if extenders:
        result["extenders"] = extenders
    profiles = [p or {} for p in written.get("profiles") or ()] or [{}]
    result["profiles"] = [_profile(copy.deepcopy(p), len(profiles) == 1, extenders) for p in profiles]
    return result


def _profile(profile: Obj, alone: bool, extenders: Sequence[Obj]) -> Obj:
    if profile.get("schedulerName") is None:
        profile.pop("schedulerName", None)
        if alone:
            profile["schedulerName"] = "default-scheduler"
    plugins = {point: dict((profile.get("plugins") or {}).get(point) or {}) for point in _POINTS}
    everywhere = plugins["multiPoint"]
    everywhere["enabled"] = _merged(everywhere)
    for point, chosen in plugins.items():
        if point != "multiPoint" and chosen.get("enabled"):
            chosen["enabled"] = [{"name": p.get("name", ""), "weight": p.get("weight") or 0} for p in chosen["enabled"]]
        for off in chosen.get("disabled") or ():
            off.setdefault("name", "")
            off["weight"] = 0
    profile["plugins"] = plugins
    written = [c for c in profile.get("pluginConfig") or () if c]
    configured = [c.get("name", "") for c in written]
    configs = [_arguments(c.get("name", ""), c.get("args")) for c in written]
    used = {p["name"] for chosen in plugins.values() for p in chosen.get("enabled") or ()}
    configs += [_arguments(n, None) for n in DEFAULT_ARGS if n not in configured and n in used]
    ignored = [r["name"] for e in extenders for r in e.get("managedResources") or () if r.get("ignoredByScheduler")]
    for config in configs:
        if config["name"] == "NodeResourcesFit" and ignored:
            config["args"]["ignoredResources"] = sorted({*(config["args"].get("ignoredResources") or ()), *ignored})
    profile["pluginConfig"] = configs
    return profile


def _merged(everywhere: Obj) -> list[Obj]:
    """The default plugins and a profile's own: those which replace a default one stand in its place."""
    own = [{"name": p.get("name", ""), "weight": p.get("weight") or 0} for p in everywhere.get("enabled") or ()]
    disabled = {p.get("name") for p in everywhere.get("disabled") or ()}
    last = {p["name"]: at for at, p in enumerate(own)}
    enabled: list[Obj] = []
    replaced: set[int] = set()
    for name, entry in DEFAULTS.items():
        if "*" in disabled or name in disabled:
            continue
        if name in last:
            replaced.add(last[name])
            enabled.append(own[last[name]])
        else:
            enabled.append({"name": name, "weight": entry.weight})
    return enabled + [p for at, p in enumerate(own) if at not in replaced]


def _arguments(name: str, written: Obj | None) -> Obj:
    args: Obj = _filled(copy.deepcopy(dict(DEFAULT_ARGS.get(name, {}))), copy.deepcopy(written))
    if name in DEFAULT_ARGS:
        args |= {"apiVersion": API_VERSION, "kind": f"{name}Args"}
    if name == "PodTopologySpread":
        args["defaultingType"] = args["defaultingType"] or "System"
    owner = args
    if name == "NodeResourcesFit":
        owner = args["scoringStrategy"]
        owner.setdefault("type", "")
    if name in ("NodeResourcesFit", "NodeResourcesBalancedAllocation"):
        resources = owner.get("resources") or copy.deepcopy(_RESOURCES)
        owner["resources"] = [{"name": r.get("name", ""), "weight": r.get("weight") or 1} for r in resources]
    return {"name": name, "args": args}
