"""NodeVolumeLimits: how many volumes a CSI driver can attach to one node (CSINode `allocatable.count`)."""

from __future__ import annotations

from collections import Counter

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Code, Cycle, PreFilterAnswer, Rejection, Skip
from terrarium.kube.scheduler.plugins.volumes import (
    CLASSES,
    PVCS,
    PVS,
    class_of,
    missing,
    not_owned,
    volume_of,
    volumes,
)
from terrarium.kube.scheduler.snapshot import NodeInfo, Objects
from terrarium.kube.scheduler.views import Pod

_IN_TREE = {
    "awsElasticBlockStore": ("kubernetes.io/aws-ebs", "ebs.csi.aws.com", "volumeID"),
    "gcePersistentDisk": ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io", "pdName"),
    "azureDisk": ("kubernetes.io/azure-disk", "disk.csi.azure.com", "diskURI"),
    "cinder": ("kubernetes.io/cinder", "cinder.csi.openstack.org", "volumeID"),
    "vsphereVolume": ("kubernetes.io/vsphere-volume", "csi.vsphere.vmware.com", "volumePath"),
}
"""Volume kinds which a CSI driver serves today: field, in-tree plugin, driver, where the handle is."""

_PROVISIONERS = {plugin: driver for plugin, driver, _ in _IN_TREE.values()}


class _Unusable(Exception):
    """A claim of the pod itself that can't be looked at."""


def _in_tree(source: Obj) -> tuple[str, str] | None:
    """(driver, handle) of a volume in the old form: the driver took it over."""
    for field, (_, driver, handle) in _IN_TREE.items():
        if source.get(field) is not None:
            return driver, str(source[field].get(handle, "")).rsplit("/", 1)[-1]
    return None


def driver_of(claim: Obj, objects: Objects) -> tuple[str, str] | None:
    """(driver, handle) of a claim's volume; before it exists, of the one its class will make."""
    volume = objects.get(PVS, volume_of(claim)) if volume_of(claim) else None
    if volume is not None:
        spec = volume.get("spec") or {}
        csi = spec.get("csi")
        return (csi["driver"], csi["volumeHandle"]) if csi else _in_tree(spec)
    storage_class = objects.get(CLASSES, class_of(claim)) if class_of(claim) else None
    if storage_class is None:
        return None
    driver = storage_class.get("provisioner", "")
    if driver in _PROVISIONERS:
        driver = _PROVISIONERS[driver]
    metadata = claim["metadata"]
    return driver, f"unbound-{metadata.get('namespace') or 'default'}/{metadata['name']}"


class NodeVolumeLimits:
    name = "NodeVolumeLimits"

    def pre_filter(self, cycle: Cycle) -> PreFilterAnswer:
        for volume in volumes(cycle.pod):
            if "persistentVolumeClaim" in volume or "ephemeral" in volume or any(f in volume for f in _IN_TREE):
                return None
        return Skip.SKIP

    def filter(self, cycle: Cycle, node: NodeInfo) -> Rejection | None:
        objects = cycle.snapshot.objects
        csi_node = objects.get("csinodes", node.name)
        try:
            new = self._attachable(cycle.pod, objects, strict=True)
        except _Unusable as problem:
            return Rejection(Code.UNRESOLVABLE, (str(problem),))
        limits = {
            driver["name"]: driver["allocatable"]["count"]
            for driver in ((csi_node or {}).get("spec") or {}).get("drivers") or ()
            if (driver.get("allocatable") or {}).get("count") is not None
        }
        if not new or not limits:
            return None
        used: set[tuple[str, str]] = set()
        for other in node.pods:
            if volumes(other):
                used |= self._attachable(other, objects, strict=False)
        # A volume that is attached without a pod there is counted, and once more for the pod that wants it.
        there = Counter(driver for driver, _ in used | self._attachments(node.name, objects))
        more = Counter(driver for driver, _ in new - used)
        for driver, count in more.items():
            if driver in limits and there[driver] + count > limits[driver]:
                return Rejection(
                    Code.UNSCHEDULABLE,
                    ("node(s) exceed max volume count",),
                    facts=(("node(s) exceed max volume count", (count, limits[driver] - there[driver])),),
                )
        return None

    @staticmethod
    def _attachable(pod: Pod, objects: Objects, strict: bool) -> set[tuple[str, str]]:
        """(driver, handle) of every volume of a pod that is attached to its node."""
        found: set[tuple[str, str]] = set()
        for volume in volumes(pod):
            ephemeral = "ephemeral" in volume
            if "persistentVolumeClaim" in volume:
                name = volume["persistentVolumeClaim"]["claimName"]
            elif ephemeral:
                name = f"{pod.name}-{volume['name']}"
            else:
                inline = _in_tree(volume)
                if inline is not None:
                    found.add(inline)
                continue
            claim = objects.get(PVCS, name, pod.namespace)
            problem = ""
            if claim is None:
                problem = f"looking up PVC {pod.namespace}/{name}: {missing('persistentvolumeclaim', name)}"
            elif ephemeral:
                problem = not_owned(pod, claim)
            if problem and strict:
                raise _Unusable(problem)
            known = driver_of(claim, objects) if claim is not None and not problem else None
            if known is not None:
                found.add(known)
        return found

    @staticmethod
    def _attachments(node: str, objects: Objects) -> set[tuple[str, str]]:
        """What VolumeAttachments say is attached, also after its pod went."""
        found: set[tuple[str, str]] = set()
        for attachment in objects.all("volumeattachments"):
            spec = attachment.get("spec") or {}
            name = (spec.get("source") or {}).get("persistentVolumeName")
            volume = objects.get(PVS, name) if name and spec.get("nodeName") == node else None
            csi = ((volume or {}).get("spec") or {}).get("csi")
            if csi:
                found.add((csi["driver"], csi["volumeHandle"]))
        return found
