"""What the webhook `0500-amazon-eks-fargate-mutation.amazonaws.com` does to a new pod that a profile selects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from terrarium.eks.fargate.profiles import PROFILE_LABEL, profile_of
from terrarium.eks.hosting import FargateProfile
from terrarium.kube.api.hooks import AdmissionRequest
from terrarium.kube.client.contract import PODS

SCHEDULER = "fargate-scheduler"
PRIORITY_CLASS = "system-node-critical"
PRIORITY = 2000001000


class FargateAdmission:
    """An `Admission`. `profiles` gives the profiles in force now."""

    name = "0500-amazon-eks-fargate-mutation.amazonaws.com"

    def __init__(self, profiles: Callable[[], Sequence[FargateProfile]]) -> None:
        self._profiles = profiles

    async def admit(self, request: AdmissionRequest) -> None:
        pod = request.obj
        if request.resource != PODS or request.operation != "CREATE" or request.subresource or pod is None:
            return
        profile = profile_of(pod, request.namespace, self._profiles())
        if profile is None:
            return
        meta = pod["metadata"]
        meta["labels"] = {**(meta.get("labels") or {}), PROFILE_LABEL: profile.name}
        notes = {
            k: v for k, v in (meta.get("annotations") or {}).items() if k not in ("CapacityProvisioned", "Logging")
        }
        if "annotations" in meta:
            meta["annotations"] = notes
        pod["spec"] |= {
            "schedulerName": SCHEDULER,
            "priorityClassName": PRIORITY_CLASS,
            "priority": PRIORITY,
            "preemptionPolicy": "PreemptLowerPriority",
        }

    async def validate(self, request: AdmissionRequest) -> None:
        """The webhook only changes."""
