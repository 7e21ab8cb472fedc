"""Which Fargate profile a pod belongs to (EKS user guide, "Define which Pods use AWS Fargate when launched").

A selector matches when the namespace and every label match; `*` stands for any characters and `?` for exactly one, in
namespaces, label keys and label values. Of several matching profiles the first by name is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from terrarium.eks.hosting import FargateProfile, Selector
from terrarium.kube.api.kinds import Obj

PROFILE_LABEL = "eks.amazonaws.com/fargate-profile"
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"


def wildcard(pattern: str, text: str) -> bool:
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(c) or re.escape(c) for c in pattern), text, re.DOTALL) is not None


def selects(selector: Selector, namespace: str, labels: Mapping[str, str]) -> bool:
    return wildcard(selector.namespace, namespace) and all(
        any(wildcard(key, k) and wildcard(value, v) for k, v in labels.items())
        for key, value in selector.labels.items()
    )


def profile_of(pod: Obj, namespace: str, profiles: Sequence[FargateProfile]) -> FargateProfile | None:
    """The profile under which a new pod runs, None when it is none of Fargate's."""
    meta = pod["metadata"]
    if (meta.get("annotations") or {}).get(COMPUTE_TYPE) == "ec2":
        return None
    if any(r.get("kind") == "DaemonSet" and r.get("controller") for r in meta.get("ownerReferences") or ()):
        return None
    labels = meta.get("labels") or {}
    matching = [p for p in profiles if any(selects(s, namespace, labels) for s in p.selectors)]
    wanted = labels.get(PROFILE_LABEL)
    if wanted is not None:
        return next((p for p in matching if p.name == wanted), None)
    return min(matching, key=lambda p: p.name, default=None)
