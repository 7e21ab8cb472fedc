"""The refusals of an API server, as the Status objects that kube-apiserver answers. One function for each reason.

Texts and details follow apimachinery's `errors` package; clients of all kinds read `reason` and `details`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api.kinds import FieldError, Kind
from terrarium.kube.client.contract import ApiError


def status(code: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> ApiError:
    """`details` None leaves the field out; an empty one is kept, as the real server does for routing errors."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
    }
    if reason:
        body["reason"] = reason
    if details is not None:
        body["details"] = dict(details)
    body["code"] = code
    return ApiError(body)


def _details(kind: Kind, name: str, **more: Any) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if kind.group_version.group:
        details["group"] = kind.group_version.group
    details["kind"] = kind.plural
    details.update(more)
    return details


def not_found(kind: Kind, name: str) -> ApiError:
    return status(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


def not_there(kind: Kind, called: str, name: str) -> ApiError:
    """NotFound of a resource that messages call by another name."""
    details = {**_details(kind, name), "kind": called.partition(".")[0]}
    return status(404, "NotFound", f'{called} "{name}" not found', details)


def already_exists(kind: Kind, name: str, *, deleting: bool = False, generated: bool = False) -> ApiError:
    if generated:
        message = (
            f'{kind.resource} "{name}" already exists, the server was not able to generate a unique name for the object'
        )
    elif deleting:
        message = f'object is being deleted: {kind.resource} "{name}" already exists'
    else:
        message = f'{kind.resource} "{name}" already exists'
    return status(409, "AlreadyExists", message, _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return status(409, "Conflict", message, _details(kind, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def uid_precondition(asked: str, found: str) -> str:
    return f"Precondition failed: UID in precondition: {asked}, UID in object meta: {found}"


def storage_error(kind: Kind, namespace: str, name: str, why: str) -> str:
    """How a failed precondition of a write is worded: it comes from the store, with etcd's key."""
    key = "/".join(part for part in ("/registry", kind.plural, namespace if kind.namespaced else "", name) if part)
    return f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}"


def record_conflict(kind: Kind, name: str, why: str) -> ApiError:
    """A conflict that the real server reports for the Kind in place of the resource."""
    details = {"name": name, "kind": kind.kind}
    if kind.group_version.group:
        details["group"] = kind.group_version.group
    title = f"{kind.kind}.{kind.group_version.group}" if kind.group_version.group else kind.kind
    return status(409, "Conflict", f'Operation cannot be fulfilled on {title} "{name}": {why}', details)


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    return status(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', _details(kind, name))


def invalid_named(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422 with all field errors, in their order."""
    texts: list[str] = []
    for text in (str(error) for error in errors):
        if text not in texts:
            texts.append(text)
    joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details: dict[str, Any] = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [{"reason": e.reason, "message": e.message, "field": e.field} for e in errors]
    title = f"{kind}.{group}" if group else kind
    return status(422, "Invalid", f'{title} "{name}" is invalid: {joined}', details)


def invalid(kind: Kind, name: str, errors: Sequence[FieldError]) -> ApiError:
    # A built-in resource is named by the group that its objects belong to inside: all events are core events.
    group = kind.storage.partition(".")[2] if kind.schema and kind.storage else kind.group_version.group
    return invalid_named(group, kind.kind, name, errors)


def invalid_options(options: str, errors: Sequence[FieldError]) -> ApiError:
    """Bad query parameters: `CreateOptions.meta.k8s.io "" is invalid: …`."""
    return invalid_named("meta.k8s.io", options, "", errors)


def bad_request(message: str) -> ApiError:
    return status(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    """A failure inside, in the form with reason and cause."""
    return status(500, "InternalError", f"Internal error occurred: {message}", {"causes": [{"message": message}]})


def bare_500(message: str) -> ApiError:
    """An error that the real server does not translate: no reason, the text alone."""
    return status(500, "", message)


def unknown_path() -> ApiError:
    return status(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    return status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def create_while_terminating(kind: Kind) -> ApiError:
    details = {"group": kind.group_version.group, "kind": kind.plural}
    text = "create not allowed while custom resource definition is terminating"
    return status(405, "MethodNotAllowed", text, details)


def unsupported_verb(kind: Kind, verb: str) -> ApiError:
    return status(405, "MethodNotAllowed", f"{verb} is not supported on resources of kind {kind.resource!r}", {})


def unauthorized() -> ApiError:
    return status(401, "Unauthorized", "Unauthorized")


def too_large(message: str) -> ApiError:
    return status(413, "RequestEntityTooLarge", message)


def expired(message: str, next_page: str = "") -> ApiError:
    error = status(410, "Expired", message)
    if next_page:
        error.status["metadata"] = {"continue": next_page}
    return error


def too_large_version(asked: int, current: int) -> ApiError:
    return status(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        {
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
    )


def too_many_requests(message: str, details: Mapping[str, Any]) -> ApiError:
    return status(429, "TooManyRequests", message, details)
