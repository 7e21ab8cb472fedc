"""Namespaces that are being deleted: their content goes first (pods before all else), then they do.

Also what every namespace gets at its birth: the ServiceAccount `default` and the ConfigMap `kube-root-ca.crt`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from terrarium.base.clock import rfc3339
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import (
    CONFIG_MAPS,
    NAMESPACES,
    PODS,
    SERVICE_ACCOUNTS,
    ApiError,
    Resource,
)
from terrarium.kube.controllers import objects as o
from terrarium.kube.controllers.catalogue import CRDS, Catalogue
from terrarium.kube.controllers.runner import Controller, Key, Writer, key_of

GRACE_SECONDS = 5.0
"""After a change of a dying namespace, so that the caches of others see that it dies."""
ROOT_CA = "kube-root-ca.crt"
ROOT_CA_NOTE = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


@dataclass(slots=True)
class Content:
    """What is left in a namespace: objects by resource (`pods.`, `deployments.apps`), finalizers, and failures."""

    left: Counter[str] = field(default_factory=Counter)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0
    """Until the last pod should have ended."""


def conditions(content: Content, old: Sequence[dict[str, Any]], now: str) -> list[dict[str, Any]]:
    """The five conditions of a namespace that is going."""
    left = ", ".join(f"{name} has {count} resource instances" for name, count in sorted(content.left.items()))
    held = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(content.finalizers.items()))
    failures = "Failed to delete all resource types, {} remaining: {}".format(
        len(content.failures), ", ".join(sorted(content.failures))
    )
    held_text = f"Some content in the namespace has finalizers remaining: {held}"
    rows: tuple[tuple[str, bool, str, str, str, str], ...] = (
        ("DeletionDiscoveryFailure", False, "", "", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "DeletionGroupVersionParsingFailure",
            False,
            "",
            "",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "DeletionContentFailure",
            bool(content.failures),
            "ContentDeletionFailed",
            failures,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        (
            "ContentRemaining",
            bool(left),
            "SomeResourcesRemain",
            f"Some resources are remaining: {left}",
            "ContentRemoved",
            "All content successfully removed",
        ),
        (
            "FinalizersRemaining",
            bool(held),
            "SomeFinalizersRemain",
            held_text,
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        ),
    )
    found = [dict(c) for c in old]
    for name, bad, bad_reason, bad_text, reason, text in rows:
        fresh = {
            "type": f"Namespace{name}",
            "status": "True" if bad else "False",
            "lastTransitionTime": now,
            "reason": bad_reason if bad else reason,
            "message": bad_text if bad else text,
        }
        standing = next((c for c in found if c["type"] == fresh["type"]), None)
        if standing is None:
            found.append(fresh)
        elif (standing["status"], standing["message"]) != (fresh["status"], fresh["message"]):
            if standing["status"] == fresh["status"]:
                fresh["lastTransitionTime"] = standing["lastTransitionTime"]
            standing.update(fresh)
    return found


class Namespaces(Controller):
    name: ClassVar[str] = "namespace-controller"
    inputs: ClassVar[Sequence[Resource]] = (NAMESPACES, CRDS)
    workers: ClassVar[int] = 10

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.catalogue = Catalogue()

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == NAMESPACES and new is not None and o.deleting(new):
            self.queue.add_after(key_of(new), GRACE_SECONDS)
        return ()

    async def sync(self, key: Key, write: Writer) -> float | None:
        namespace = self.caches.of(NAMESPACES).get(*key)
        if namespace is None or not o.deleting(namespace):
            return None
        if "kubernetes" not in (namespace["spec"].get("finalizers") or ()):
            return None
        if o.status(namespace).get("phase") != "Terminating":
            status = {**o.status(namespace), "phase": "Terminating"}
            namespace = await write.status(NAMESPACES, namespace, status)
        content = await self._delete_content(key[1], write)
        found = conditions(content, o.status(namespace).get("conditions") or (), rfc3339(self.clock.now()))
        if found != (o.status(namespace).get("conditions") or []):
            namespace = await write.status(NAMESPACES, namespace, {**o.status(namespace), "conditions": found})
        if content.failures or content.left or content.seconds:
            return (content.seconds or 8.0) / 2 + 1
        finalizers = [f for f in namespace["spec"]["finalizers"] if f != "kubernetes"]
        spec = {k: v for k, v in namespace["spec"].items() if k != "finalizers"}
        spec |= {"finalizers": finalizers} if finalizers else {}
        try:
            await write.update(NAMESPACES, {**namespace, "spec": spec}, "finalize")
        except ApiError as error:
            if error.code != 404:
                raise
        return None

    async def _delete_content(self, namespace: str, write: Writer) -> Content:
        """Asks for the deletion of all there is. While pods are still ending, nothing else is touched."""
        self.catalogue.take_crds(self.caches.of(CRDS))
        content = Content()
        await self._delete_all(PODS, namespace, write, content)
        if content.seconds:
            content.left.clear()
            return content
        for entry in self.catalogue.namespaced():
            if entry.resource != PODS:
                await self._delete_all(entry.resource, namespace, write, content)
        return content

    async def _delete_all(self, resource: Resource, namespace: str, write: Writer, content: Content) -> None:
        try:
            found = list((await write.client.list(resource, namespace)).items)
            for obj in found:
                try:
                    await write.delete(resource, obj, propagation="Background")
                except ApiError as error:
                    if error.code not in (404, 409):
                        raise
            if not found:
                return
            left = (await write.client.list(resource, namespace)).items
        except ApiError as error:
            if error.code not in (404, 405):
                content.failures.append(str(error))
            return
        for obj in left:
            content.left[f"{resource.plural}.{resource.group}"] += 1
            for finalizer in obj["metadata"].get("finalizers") or ():
                content.finalizers[finalizer] += 1
            if resource == PODS:
                content.seconds = max(content.seconds, float(obj["metadata"].get("deletionGracePeriodSeconds") or 1))


def alive(namespace: Obj | None) -> bool:
    return namespace is not None and o.status(namespace).get("phase") != "Terminating" and not o.deleting(namespace)


class DefaultServiceAccounts(Controller):
    name: ClassVar[str] = "service-account-controller"
    inputs: ClassVar[Sequence[Resource]] = (NAMESPACES, SERVICE_ACCOUNTS)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        if resource == NAMESPACES:
            if new is not None:
                yield key_of(new)
        elif new is None and old is not None and o.name(old) == "default":
            yield "", o.namespace(old)

    async def sync(self, key: Key, write: Writer) -> float | None:
        if not alive(self.caches.of(NAMESPACES).get(*key)):
            return None
        if self.caches.of(SERVICE_ACCOUNTS).get(key[1], "default") is not None:
            return None
        account = {
            "kind": "ServiceAccount",
            "apiVersion": "v1",
            "metadata": {"name": "default", "namespace": key[1]},
        }
        try:
            await write.create(SERVICE_ACCOUNTS, account, key[1])
        except ApiError as error:
            if error.reason != "AlreadyExists" and error.code not in (403, 404):
                raise
        return None


class RootCertificates(Controller):
    """Puts the CA of the API server into every namespace, and puts it back when somebody changes it."""

    name: ClassVar[str] = "root-ca-cert-publisher"
    inputs: ClassVar[Sequence[Resource]] = (NAMESPACES, CONFIG_MAPS)

    bundle = ""
    """PEM."""

    def configure(self, options: Any) -> None:
        self.bundle = options.root_ca
        self.wanted = bool(self.bundle)

    def keys(self, resource: Resource, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        found = new or old
        if found is None:
            return
        if resource == NAMESPACES:
            yield key_of(found)
        elif o.name(found) == ROOT_CA:
            yield "", o.namespace(found)

    async def sync(self, key: Key, write: Writer) -> float | None:
        namespace = self.caches.of(NAMESPACES).get(*key)
        if namespace is None or o.status(namespace).get("phase") == "Terminating":
            return None
        standing = self.caches.of(CONFIG_MAPS).get(key[1], ROOT_CA)
        data = {"ca.crt": self.bundle}
        if standing is None:
            fresh = {
                "kind": "ConfigMap",
                "apiVersion": "v1",
                "metadata": {
                    "name": ROOT_CA,
                    "namespace": key[1],
                    "annotations": {"kubernetes.io/description": ROOT_CA_NOTE},
                },
                "data": data,
            }
            try:
                await write.create(CONFIG_MAPS, fresh, key[1])
            except ApiError as error:
                if error.reason != "AlreadyExists":
                    raise
        elif standing.get("data") != data or o.notes(standing).get("kubernetes.io/description") != ROOT_CA_NOTE:
            notes = {**o.notes(standing), "kubernetes.io/description": ROOT_CA_NOTE}
            meta = {**standing["metadata"], "annotations": notes}
            await write.update(CONFIG_MAPS, {**standing, "metadata": meta, "data": data})
        return None
