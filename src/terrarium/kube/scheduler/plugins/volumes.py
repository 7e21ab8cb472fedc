"""What the volume plugins share: a pod's claims, and how a claim, its class and its volume hang together.

Nothing here decides; all of it reads objects (kubernetes/component-helpers storage/volume, storage/ephemeral).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.snapshot import Objects
from terrarium.kube.scheduler.views import Pod, node_term, read_labels_only

PVCS, PVS, CLASSES = "persistentvolumeclaims", "persistentvolumes", "storageclasses"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
_CLASS = "volume.beta.kubernetes.io/storage-class"


HARMLESS = frozenset(
    ("name", "emptyDir", "projected", "configMap", "secret", "downwardAPI", "hostPath", "nfs", "image")
)
"""The keys of volumes which no scheduler plugin looks at."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A volume of a pod that stands for a claim; `ephemeral` ones are made for the pod by a controller."""

    name: str
    ephemeral: bool


def claimed(pod: Pod) -> Iterator[Claimed]:
    """The claims a pod names, in the order of its volumes."""
    for volume in (pod.obj.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim") is not None:
            yield Claimed(volume["persistentVolumeClaim"].get("claimName", ""), False)
        elif volume.get("ephemeral") is not None:
            yield Claimed(f"{pod.name}-{volume['name']}", True)


def volumes(pod: Pod) -> Sequence[Obj]:
    found: Sequence[Obj] = (pod.obj.get("spec") or {}).get("volumes") or ()
    return found


def not_owned(pod: Pod, claim: Obj) -> str:
    """Why an ephemeral volume's claim is not the pod's; "" when it is."""
    for owner in claim["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("uid") == pod.uid:
            return ""
    return (
        f"PVC {pod.namespace}/{claim['metadata']['name']} was not created for pod {pod.namespace}/{pod.name} "
        "(pod is not owner)"
    )


def missing(kind: str, name: str) -> str:
    """How the API says that an object is not there."""
    return f'{kind} "{name}" not found'


def notes_of(obj: Obj) -> Mapping[str, str]:
    found: Mapping[str, str] = obj["metadata"].get("annotations") or {}
    return found


def class_of(obj: Obj) -> str:
    """The storage class of a claim or a volume; "" for none."""
    beta = notes_of(obj).get(_CLASS)
    return beta if beta is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def volume_of(claim: Obj) -> str:
    return (claim.get("spec") or {}).get("volumeName") or ""


def fully_bound(claim: Obj) -> bool:
    return bool(volume_of(claim)) and BIND_COMPLETED in notes_of(claim)


def waits_for_consumer(claim: Obj, objects: Objects) -> bool:
    """Whether a claim's volume is chosen only when a pod is placed."""
    storage_class = objects.get(CLASSES, class_of(claim)) if class_of(claim) else None
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def meant_for(volume: Obj, claim: Obj) -> bool:
    """Whether a volume names this very claim."""
    reference = (volume.get("spec") or {}).get("claimRef")
    if not reference:
        return False
    meta = claim["metadata"]
    if reference.get("name") != meta["name"]:
        return False
    if (reference.get("namespace") or "default") != (meta.get("namespace") or "default"):
        return False
    uid = reference.get("uid")
    return not uid or not meta.get("uid") or uid == meta["uid"]


def reachable(volume: Obj, labels: Mapping[str, str]) -> bool:
    """A volume's node affinity against a node's labels."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    if required is None:
        return True
    node = read_labels_only(labels)
    return any(node_term(term).matches(node) for term in required.get("nodeSelectorTerms") or ())
