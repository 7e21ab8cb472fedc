"""Admission for namespaces, nodes, storage and ingresses: lifecycle rules and the defaults that classes give."""

from __future__ import annotations

from collections.abc import Iterable

from terrarium.kube.api.hooks import AdmissionRequest, Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.plugins import Plugin, is_resource

PROTECTED = frozenset({"default", "kube-system", "kube-public"})
_PROTECTIONS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
}
_REVIEWS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})


class NamespaceLifecycle(Plugin):
    """Nothing is made in a namespace that is missing or ending, and the system's namespaces stay."""

    name = "NamespaceLifecycle"

    async def admit(self, request: AdmissionRequest) -> None:
        if request.operation == "DELETE" and str(request.resource) == "namespaces" and request.name in PROTECTED:
            raise Denied("this namespace may not be deleted")
        if request.operation != "CREATE" or not request.namespace or request.resource.group in _REVIEWS:
            return
        if str(request.resource) == "namespaces":
            return
        namespace = await self.one("", "v1", "namespaces", "", request.namespace)
        if namespace is None:
            kind = self._resources.registry.resource("", "v1", "namespaces")
            assert kind is not None
            raise errors.not_found(kind, request.namespace)
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            return
        gone = namespace["metadata"].get("deletionTimestamp", "")
        text = f"unable to create new content in namespace {request.namespace} because it is being terminated"
        resource = request.resource
        details = {"name": request.name, "group": resource.group, "kind": resource.plural}
        details = {key: value for key, value in details.items() if value}
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {request.namespace} is being terminated",
            "field": "metadata.namespace",
        }
        raise errors.status(
            403,
            "Forbidden",
            f'{resource} "{request.name}" is forbidden: {text}',
            {**details, "causes": [cause]} if gone else details,
        )


class TaintNodesByCondition(Plugin):
    """A new node is not ready until its kubelet says so."""

    name = "TaintNodesByCondition"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "nodes", "CREATE") or request.obj is None:
            return
        taints = request.obj.setdefault("spec", {}).setdefault("taints", [])
        if not any(t.get("key") == "node.kubernetes.io/not-ready" and t.get("effect") == "NoSchedule" for t in taints):
            taints.append({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"})


class StorageObjectInUseProtection(Plugin):
    """Volumes and claims get the finalizers that keep them while they are used."""

    name = "StorageObjectInUseProtection"

    async def admit(self, request: AdmissionRequest) -> None:
        finalizer = _PROTECTIONS.get(str(request.resource))
        if finalizer is None or request.operation != "CREATE" or request.subresource or request.obj is None:
            return
        held = request.obj["metadata"].setdefault("finalizers", [])
        if finalizer not in held:
            held.append(finalizer)


def _defaults(classes: Iterable[Obj], *annotations: str) -> list[Obj]:
    """Classes that are marked as the default; the newest first, then by name."""
    found = [
        c for c in classes if any((c["metadata"].get("annotations") or {}).get(name) == "true" for name in annotations)
    ]
    found.sort(key=lambda c: c["metadata"]["name"])
    found.sort(key=lambda c: c["metadata"].get("creationTimestamp", ""), reverse=True)
    return found


class DefaultStorageClass(Plugin):
    """A claim that names no class gets the default one."""

    name = "DefaultStorageClass"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "persistentvolumeclaims", "CREATE") or request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        annotations = request.obj["metadata"].get("annotations") or {}
        if "storageClassName" in spec or "volume.beta.kubernetes.io/storage-class" in annotations:
            return
        found = _defaults(
            await self.every("storage.k8s.io", "v1", "storageclasses"),
            "storageclass.kubernetes.io/is-default-class",
            "storageclass.beta.kubernetes.io/is-default-class",
        )
        if found:
            spec["storageClassName"] = found[0]["metadata"]["name"]


class ClaimResize(Plugin):
    """A claim may only grow where its class can grow volumes."""

    name = "PersistentVolumeClaimResize"

    async def validate(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "persistentvolumeclaims", "UPDATE") or request.obj is None or request.old is None:
            return
        before, after = _storage(request.old), _storage(request.obj)
        if before is None or after is None or after <= before:
            return
        if (request.old.get("status") or {}).get("phase") != "Bound":
            return
        name = request.obj["spec"].get("storageClassName", "")
        found = await self.one("storage.k8s.io", "v1", "storageclasses", "", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise Denied(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
            )


def _storage(claim: Obj) -> Quantity | None:
    value = ((claim.get("spec") or {}).get("resources") or {}).get("requests", {}).get("storage")
    return Quantity.of(value) if value is not None else None


class DefaultIngressClass(Plugin):
    """An ingress that names no class gets the default one."""

    name = "DefaultIngressClass"

    async def admit(self, request: AdmissionRequest) -> None:
        if not is_resource(request, "ingresses.networking.k8s.io", "CREATE") or request.obj is None:
            return
        spec = request.obj.setdefault("spec", {})
        annotations = request.obj["metadata"].get("annotations") or {}
        if "ingressClassName" in spec or "kubernetes.io/ingress.class" in annotations:
            return
        classes = await self.every("networking.k8s.io", "v1", "ingressclasses")
        found = _defaults(classes, "ingressclass.kubernetes.io/is-default-class")
        if len(found) > 1:
            raise Denied(f"{len(found)} default IngressClasses were found, only 1 allowed", 500, "InternalError")
        if found:
            spec["ingressClassName"] = found[0]["metadata"]["name"]
