"""Configurations beyond the recorded ones: what is refused with which words, and what is taken with which defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from terrarium.base.diagnostics import Failure
from terrarium.kube.scheduler.configuration import Invalid, load
from terrarium.kube.scheduler.profiles import frameworks

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def args(plugin: str, text: str) -> str:
    return f"profiles:\n- pluginConfig:\n  - name: {plugin}\n    args: {text}\n"


REFUSED = {
    "a list": ("- a\n", "couldn't get version/kind; json parse error: json: cannot unmarshal array"),
    "a key twice": (HEAD + "parallelism: 1\nparallelism: 2\n", 'line 4: key "parallelism" already set in map'),
    "unknown field deep down": (
        HEAD + "profiles:\n- plugins: {score: {enabled: [{name: ImageLocality, wight: 1}]}}\n",
        'strict decoding error: unknown field "profiles[0].plugins.score.enabled[0].wight"',
    ),
    "unknown field of a strategy": (
        HEAD + args("NodeResourcesFit", "{scoringStrategy: {kind: x}}"),
        'decoding args for plugin NodeResourcesFit: strict decoding error: unknown field "scoringStrategy.kind"',
    ),
    "text for a flag": (
        HEAD + "leaderElection: {leaderElect: maybe}\n",
        "json: cannot unmarshal string into Go struct field LeaderElectionConfiguration.leaderElection.leaderElect "
        "of type bool",
    ),
    "a number for a name": (
        HEAD + "profiles:\n- schedulerName: 5\n",
        "json: cannot unmarshal number into Go struct field KubeSchedulerProfile.profiles.schedulerName of type string",
    ),
    "half a node": (
        HEAD + "percentageOfNodesToScore: 0.5\n",
        "cannot unmarshal number 0.5 into Go struct field KubeSchedulerConfiguration.percentageOfNodesToScore of type int32",
    ),
    "no list": (
        HEAD + "profiles: {}\n",
        "json: cannot unmarshal object into Go struct field KubeSchedulerConfiguration.profiles of type "
        "[]v1.KubeSchedulerProfile",
    ),
    "a duration without a unit": (HEAD + 'leaderElection: {leaseDuration: "15"}\n', 'missing unit in duration "15"'),
    "args of another plugin": (
        HEAD + args("NodeResourcesFit", "{kind: InterPodAffinityArgs}"),
        "args for plugin NodeResourcesFit were not of type NodeResourcesFitArgs.kubescheduler.config.k8s.io, "
        "got InterPodAffinityArgs.kubescheduler.config.k8s.io",
    ),
    "a lock that is no lease": (
        HEAD + "leaderElection: {resourceLock: endpoints}\n",
        'leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"',
    ),
    "two extenders that bind": (
        HEAD + "extenders:\n- {urlPrefix: 'http://a', bindVerb: b}\n- {urlPrefix: 'http://b', bindVerb: b}\n",
        'extenders: Invalid value: "found 2 extenders implementing bind": only one extender can implement bind',
    ),
    "an extender's scores without weight": (
        HEAD + "extenders:\n- {urlPrefix: 'http://a', prioritizeVerb: p}\n",
        "extenders[0].weight: Invalid value: 0: must have a positive weight applied to it",
    ),
    "two names missing": (
        HEAD + "profiles:\n- {}\n- {schedulerName: b}\n",
        "profiles[0].schedulerName: Required value",
    ),
    "unknown operator in added affinity": (
        HEAD
        + args(
            "NodeAffinity",
            "{addedAffinity: {requiredDuringSchedulingIgnoredDuringExecution: "
            "{nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Like}]}]}}}",
        ),
        "nodeSelectorTerms[0].matchExpressions[0].operator: Unsupported value: "
        '"Like": supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"',
    ),
    "a shape that goes back": (
        HEAD
        + args(
            "NodeResourcesFit",
            "{scoringStrategy: {type: RequestedToCapacityRatio, requestedToCapacityRatio: "
            "{shape: [{utilization: 50, score: 0}, {utilization: 50, score: 11}]}}}",
        ),
        "[scoringStrategy.shape[1].utilization: Invalid value: 50: utilization values must be sorted in increasing "
        "order, scoringStrategy.shape[1].score: Invalid value: 11: not in valid range [0-10]]",
    ),
    "a constraint without a topology": (
        HEAD + args("PodTopologySpread", "{defaultingType: List, defaultConstraints: [{maxSkew: 1}]}"),
        "[profiles[0].pluginConfig[0].args.defaultConstraints[0].topologyKey: Required value: can not be empty, "
        "profiles[0].pluginConfig[0].args.defaultConstraints[0].whenUnsatisfiable: Required value: can not be empty]",
    ),
    "the same arguments twice": (
        HEAD + "profiles:\n- pluginConfig:\n  - {name: ImageLocality}\n  - {name: ImageLocality}\n",
        'profiles[0].pluginConfig[1]: Duplicate value: "ImageLocality"',
    ),
    "a plugin of long ago": (
        HEAD + "profiles:\n- plugins: {filter: {enabled: [{name: EBSLimits}]}}\n",
        'profiles[0].plugins.filter.enabled[0]: Invalid value: "EBSLimits": was invalid in version "v1"',
    ),
    "sorted differently": (
        HEAD + "profiles:\n- schedulerName: a\n- schedulerName: b\n  plugins: {queueSort: {disabled: [{name: '*'}]}}\n",
        "profiles[1].plugins.queueSort: Invalid value: config.PluginSet{Enabled:[]config.Plugin(nil), Disabled:"
        '[]config.Plugin{config.Plugin{Name:"*", Weight:0}}}: must be the same for all profiles',
    ),
}


@pytest.mark.parametrize(("text", "words"), [pytest.param(*case, id=name) for name, case in REFUSED.items()])
def test_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(text)
    with pytest.raises(Invalid) as refusal:
        load(file)
    assert words in str(refusal.value)


TAKEN: dict[str, tuple[str, list[Any], Any]] = {
    "zero durations are defaults": (
        "leaderElection: {leaseDuration: 0s, renewDeadline: 3s}\n",
        ["leaderElection", "leaseDuration"],
        "15s",
    ),
    "durations as Go prints them": (
        "leaderElection: {leaseDuration: 90s, renewDeadline: 1500ms}\n",
        ["leaderElection", "leaseDuration"],
        "1m30s",
    ),
    "no profiling, no contention profiling": ("enableProfiling: false\n", ["enableContentionProfiling"], False),
    "null is absent": ("parallelism: null\n", ["parallelism"], 16),
    "an extender's time": (
        "extenders: [{urlPrefix: 'http://a', filterVerb: f}]\n",
        ["extenders", 0, "httpTimeout"],
        "5s",
    ),
}


@pytest.mark.parametrize(("text", "path", "value"), [pytest.param(*case, id=name) for name, case in TAKEN.items()])
def test_taken(text: str, path: list[Any], value: Any, tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(HEAD + text)
    found: Any = load(file)
    for step in path:
        found = found[step]
    assert found == value


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="can't be read"):
        load(tmp_path / "nothing.yaml")


def test_profiles_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(
        HEAD
        + "profiles:\n- schedulerName: default-scheduler\n- schedulerName: packer\n  percentageOfNodesToScore: 30\n"
        + "  plugins: {score: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit, weight: 5}]}}\n"
    )
    made = frameworks(load(file))
    assert list(made) == ["default-scheduler", "packer"]
    assert made["packer"].weights == {"NodeResourcesFit": 5}
    assert made["packer"].percentage == 30
    assert made["default-scheduler"].weights["TaintToleration"] == 3
