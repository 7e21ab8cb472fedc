"""Custom resources in several versions: `None` renames the version, `Webhook` asks the definition's server.

A webhook is asked when objects are read or written in another version than they are stored in; a list is one question.
Answers may change everything but metadata, of which labels and annotations alone are taken.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from terrarium.base.ids import Ids
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.records import fresh
from terrarium.kube.apiserver.upstream import Address, ServiceAddresses, UpstreamError, ask
from terrarium.kube.client.contract import ApiError

_SECONDS = 30.0
_HEADERS = (("content-type", "application/json"), ("accept", "application/json"))


def renamed(obj: Obj, version: str) -> Obj:
    """Conversion `None`: the version's name is all that differs."""
    return {**obj, "apiVersion": version}


class Webhook:
    """The conversion webhook of one definition."""

    def __init__(self, spec: Mapping[str, Any], kind: str, services: ServiceAddresses, ids: Ids) -> None:
        self._config: Mapping[str, Any] = spec.get("clientConfig") or {}
        self._review_versions: Sequence[str] = spec.get("conversionReviewVersions") or ("v1",)
        self._kind = kind
        self._services = services
        self._ids = ids

    async def convert(self, objs: Sequence[Obj], version: str) -> list[Obj]:
        """The objects in another version (`example.com/v2`), in their order. `ApiError` 500 when that fails."""
        if not objs:
            return []
        uid = self._ids.uuid()
        review = "v1" if "v1" in self._review_versions else self._review_versions[0]
        request = {"uid": uid, "desiredAPIVersion": version, "objects": list(objs)}
        body = {"kind": "ConversionReview", "apiVersion": f"apiextensions.k8s.io/{review}", "request": request}
        try:
            address = await self._address()
            trust = trusting(self._config.get("caBundle") or "")
            answer = await ask(address, trust, "POST", _HEADERS, orjson.dumps(body), _SECONDS)
            data = await answer.whole()
        except UpstreamError as wrong:
            raise self._failed(objs[0], f'Post "{self._shown()}?timeout=30s": {wrong}') from None
        if answer.status != 200:
            raise self._failed(objs[0], f"the server responded with the status code {answer.status}")
        return self._checked(objs, version, uid, data)

    def _shown(self) -> str:
        """The address as messages write it."""
        if url := self._config.get("url"):
            return str(url)
        service = self._config.get("service") or {}
        port, path = service.get("port") or 443, service.get("path") or "/"
        return f"https://{service.get('name', '')}.{service.get('namespace', '')}.svc:{port}{path}"

    async def _address(self) -> Address:
        if url := self._config.get("url"):
            return Address.of_url(str(url))
        service = self._config.get("service") or {}
        namespace, name = service.get("namespace", ""), service.get("name", "")
        return await self._services.of(namespace, name, service.get("port") or 443, service.get("path") or "/")

    def _failed(self, obj: Obj, why: str) -> ApiError:
        source = f"{obj['apiVersion']}, Kind={self._kind}"
        return errors.bare_500(f"conversion webhook for {source} failed: {why}")

    def _checked(self, objs: Sequence[Obj], version: str, uid: str, answer: bytes) -> list[Obj]:
        try:
            response = orjson.loads(answer)["response"]
            if response["uid"] != uid:
                raise self._failed(objs[0], f"expected response.uid={uid!r}, got {response['uid']!r}")
            result = response.get("result") or {}
            if result.get("status") != "Success":
                raise self._failed(objs[0], result.get("message") or "the webhook gave no reason")
            converted = response.get("convertedObjects") or []
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._failed(objs[0], "the answer is no ConversionReview with a response") from None
        if len(converted) != len(objs):
            raise self._failed(objs[0], f"webhook returned {len(converted)} objects, expected {len(objs)}")
        return [
            self._taken(old, new, version, index) for index, (old, new) in enumerate(zip(objs, converted, strict=True))
        ]

    def _taken(self, old: Obj, new: Any, version: str, index: int) -> Obj:
        if not isinstance(new, dict) or new.get("apiVersion") != version:
            found = new.get("apiVersion") if isinstance(new, dict) else None
            why = f"webhook returned invalid converted object at index {index}: invalid groupVersion {found} (expected {version})"
            raise self._failed(old, why)
        if new.get("kind") != old.get("kind"):
            raise self._failed(
                old, f"webhook returned invalid converted object at index {index}: invalid kind {new.get('kind')}"
            )
        meta = fresh(old["metadata"])
        given = new.get("metadata") or {}
        for field in ("labels", "annotations"):
            meta.pop(field, None)
            if given.get(field):
                meta[field] = given[field]
        return {**new, "metadata": meta}


def trusting(bundle: str) -> ssl.SSLContext:
    """A context that believes the CAs of a `caBundle` (base64 of PEM), or the system's when there is none."""
    context = ssl.create_default_context()
    if bundle:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=base64.b64decode(bundle).decode("latin-1"))
        except (ssl.SSLError, binascii.Error, ValueError):
            pass  # Believes nobody then: the call fails and says so.
    return context
