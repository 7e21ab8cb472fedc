"""Defaults of HorizontalPodAutoscalers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from terrarium.kube.api.defaults import Default, Rule
from terrarium.kube.api.kinds import Obj

_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def _metrics(spec: Obj) -> None:
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def _behavior(spec: Obj) -> None:
    behavior = spec.get("behavior")
    if behavior is not None:
        for name, rules in (("scaleUp", _UP), ("scaleDown", _DOWN)):
            given = {
                key: value
                for key, value in (behavior.get(name) or {}).items()
                if key == "policies" or value is not None
            }
            behavior[name] = {**rules, **given}


RULES: Mapping[str, Sequence[Rule]] = {
    "autoscaling.v2.HorizontalPodAutoscalerSpec": (Default("minReplicas", 1), _metrics, _behavior),
    "autoscaling.v1.HorizontalPodAutoscalerSpec": (Default("minReplicas", 1),),
}
