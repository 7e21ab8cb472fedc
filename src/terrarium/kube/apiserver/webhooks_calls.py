"""One call of an admission webhook: the AdmissionReview that goes out, the answer that comes back, and their faults.

A fault of the call (`CallError`) is subject to the webhook's failure policy; a refusal is not.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from terrarium.base.ids import Ids
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import Denied
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.conversion import trusting
from terrarium.kube.apiserver.upstream import Address, ServiceAddresses, UpstreamError, ask
from terrarium.kube.apiserver.webhooks_match import Invocation

_GROUP = "admission.k8s.io"
_SPOKEN = ("v1", "v1beta1")
_HEADERS = (("content-type", "application/json"), ("accept", "application/json, */*"))


class CallError(Exception):
    """A webhook could not be asked, or its answer makes no sense."""


@dataclass(frozen=True, slots=True)
class Reply:
    patch: Any = None
    """Operations of a JSON patch, or None."""


def review(invocation: Invocation, version: str, uid: str) -> Obj:
    """The AdmissionReview of a request."""
    request = invocation.request
    own = request.resource
    user = request.user
    info: Obj = {"username": user.name, "uid": user.uid, "groups": list(user.groups)}
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    body: Obj = {
        "uid": uid,
        "kind": invocation.of_kind,
        "resource": invocation.resource,
        "subResource": request.subresource,
        "requestKind": {"group": own.group, "version": own.version, "kind": request.kind},
        "requestResource": {"group": own.group, "version": own.version, "resource": own.plural},
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "operation": request.operation,
        "userInfo": {key: value for key, value in info.items() if value},
    }
    body = {key: value for key, value in body.items() if value != ""}
    body |= {"object": invocation.obj, "oldObject": invocation.old, "dryRun": request.dry_run}
    body["options"] = dict(request.options) or None
    return {"kind": "AdmissionReview", "apiVersion": f"{_GROUP}/{version}", "request": body}


class Caller:
    """Calls webhooks of one server."""

    def __init__(self, services: ServiceAddresses, ids: Ids) -> None:
        self._services = services
        self._ids = ids

    async def call(self, hook: Mapping[str, Any], invocation: Invocation, *, mutating: bool) -> Reply:
        """Raises `Denied` when the webhook refuses and `CallError` when it fails."""
        spoken = [v for v in hook.get("admissionReviewVersions") or () if v in _SPOKEN]
        if not spoken:
            raise CallError("could not find a supported AdmissionReview version")
        uid = self._ids.uuid()
        answer = await self._ask(hook, review(invocation, spoken[0], uid))
        response = _response(answer, spoken[0], uid, mutating=mutating)
        invocation.request.warnings.extend(w for w in response.get("warnings") or () if isinstance(w, str))
        if response.get("allowed") is not True:
            raise _refusal(hook["name"], response.get("status") or response.get("result"))
        return Reply(_patch(response))

    async def _ask(self, hook: Mapping[str, Any], body: Obj) -> Any:
        seconds = hook.get("timeoutSeconds") or 10
        config: Mapping[str, Any] = hook.get("clientConfig") or {}
        service = config.get("service") or {}
        url = config.get("url") or (
            f"https://{service.get('name', '')}.{service.get('namespace', '')}.svc:{service.get('port') or 443}"
            f"{service.get('path') or '/'}"
        )
        asked = f"{url}{'&' if '?' in url else '?'}timeout={seconds}s"
        try:
            address = Address.of_url(asked)
            if service:
                address = await self._services.of(
                    service["namespace"], service["name"], service.get("port") or 443, address.path
                )
            trust = trusting(config.get("caBundle") or "")
            answer = await ask(address, trust, "POST", _HEADERS, orjson.dumps(body), float(seconds))
            data = await answer.whole()
        except UpstreamError as wrong:
            raise CallError(f'failed to call webhook: Post "{asked}": {wrong}') from None
        if answer.status >= 300:
            kind = dict(answer.headers).get("content-type", "")
            raise CallError(f"failed to call webhook: {_answered(answer.status, kind, data)}")
        return _decoded(data)


_STATUS_TEXTS = {
    400: "the server rejected our request for an unknown reason",
    401: "the server has asked for the client to provide credentials",
    404: "the server could not find the requested resource",
    405: "the server does not allow this method on the requested resource",
    406: "the server was unable to respond with a content type that the client supports",
    409: "the server reported a conflict",
    413: "the server has received a request that was too large",
    415: "the server was unable to respond with a content type that the client supports",
    422: "the server rejected our request due to an error in our request",
    429: "the server has received too many requests and has asked us to try again later",
    503: "the server is currently unable to handle the request",
    504: "the server was unable to return a response in the time allotted, but may still be processing the request",
}


def _answered(code: int, content_type: str, data: bytes) -> str:
    """How a Go client words an answer that is no success."""
    try:
        status = json.loads(data)
    except ValueError:
        status = None
    if isinstance(status, dict) and status.get("kind") == "Status" and status.get("message"):
        return str(status["message"])
    text = (
        data.decode("utf-8", "replace").strip() if content_type.startswith("text/") or not content_type else "unknown"
    )
    if code == 403:
        return text or "forbidden"
    if code in _STATUS_TEXTS:
        return _STATUS_TEXTS[code]
    if code >= 500:
        return f"an error on the server ({quote(text)}) has prevented the request from succeeding"
    return f"the server responded with the status code {code} but did not return more information"


_INTO = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


def _decoded(data: bytes) -> Any:
    """The answer as a review, or why it is none."""
    front = "failed to call webhook: "
    unread = f"{front}couldn't get version/kind; json parse error: "
    try:
        found = json.loads(data)
    except ValueError:
        first = data.decode("utf-8", "replace").strip()[:1]
        why = f"invalid character '{first}' looking for beginning of value" if first else "unexpected end of JSON input"
        raise CallError(unread + why) from None
    if not isinstance(found, dict):
        name = {str: "string", bool: "bool", list: "array", int: "number", float: "number"}.get(type(found))
        if name is None:
            raise CallError(f"{front}Object 'Kind' is missing in 'null'")
        raise CallError(f"{unread}json: cannot unmarshal {name} into Go value of type {_INTO}")
    text = data.decode("utf-8", "replace").strip()
    for name in ("kind", "apiVersion"):
        if not found.get(name):
            raise CallError(f"{front}Object '{name[0].upper() + name[1:]}' is missing in '{text}'")
    return found


def _response(answer: Mapping[str, Any], spoken: str, uid: str, *, mutating: bool) -> Obj:
    front = "received invalid webhook response: "
    version, kind = str(answer["apiVersion"]), str(answer["kind"])
    wanted = f"{_GROUP}/{spoken}"
    if kind != "AdmissionReview" or version.partition("/")[0] != _GROUP or version.partition("/")[2] not in _SPOKEN:
        told = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/runtime/scheme.go:110"'
        raise CallError(f"failed to call webhook: {told}")
    if version != wanted:
        other = version.partition("/")[2]
        told = f"converting ({other}.AdmissionReview) to ({spoken}.AdmissionReview): unknown conversion"
        raise CallError(f"failed to call webhook: {told}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise CallError(f"{front}webhook response was absent")
    if spoken == "v1":
        if response.get("uid") != uid:
            found = quote(str(response.get("uid") or ""))
            raise CallError(f"{front}expected response.uid={quote(uid)}, got {found}")
        _check_patch(response, front, mutating=mutating)
    return response


def _check_patch(response: Mapping[str, Any], front: str, *, mutating: bool) -> None:
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        for name in ("patch", "patchType"):
            if response.get(name):
                raise CallError(f"{front}validating webhook may not return response.{name}")
    elif patch and kind is None:
        raise CallError(f"{front}webhook returned response.patch but not response.patchType")
    elif kind is not None and not patch:
        raise CallError(f"{front}webhook returned response.patchType but not response.patch")
    elif patch and kind != "JSONPatch":
        raise CallError(f"{front}webhook returned invalid response.patchType of {quote(str(kind))}")


def _patch(response: Mapping[str, Any]) -> Any:
    if not response.get("patch"):
        return None
    try:
        return json.loads(base64.b64decode(response["patch"]))
    except (ValueError, binascii.Error, TypeError) as wrong:
        raise internal(str(wrong)) from None


def _refusal(name: str, result: Any) -> Denied:
    """The webhook's own Status, with its name in front of the message."""
    given = dict(result) if isinstance(result, dict) else {}
    front = f"admission webhook {quote(name)} denied the request"
    why = given.get("message") or given.get("reason")
    message = f"{front}: {why}" if why else f"{front} without explanation"
    code = given.get("code") or 0
    status: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": given.get("metadata") or {}}
    status["status"] = given["status"] if given.get("status") not in (None, "", "Success") else "Failure"
    status["message"] = message
    for key in ("reason", "details"):
        if given.get(key):
            status[key] = given[key]
    status["code"] = code if isinstance(code, int) and code >= 400 else 400
    return Denied(message, status["code"], given.get("reason") or "", status=status)


def internal(message: str) -> Denied:
    """A 500 that says what went wrong in admission."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
    return Denied(message, 500, "InternalError", status=status)
