"""The options of a request: what its query says of a write, a list or a deletion, checked. Pure but for reading the body."""

from __future__ import annotations

import dataclasses

from terrarium.kube.api import typed
from terrarium.kube.api.gotext import quote
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver import bodies, errors, lists, negotiate
from terrarium.kube.apiserver.messages import Request
from terrarium.kube.apiserver.requests import flag
from terrarium.kube.apiserver.resources import Call, DeleteOptions
from terrarium.kube.client.contract import ApiError

_MANAGER_LIMIT = 128
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


def of_write(request: Request, options: str) -> Call:
    """The write options of the query; 422 on `options` where one is wrong."""
    query = request.info.query
    manager = query.get("fieldManager", [""])[0]
    validation = query.get("fieldValidation", [""])[0]
    found: list[FieldError] = []
    dry_run = "dryRun" in query
    if dry_run and set(query["dryRun"]) != {"All"}:
        values = "{" + ", ".join(quote(v) for v in query["dryRun"]) + "}"
        found.append(
            FieldError(
                "FieldValueNotSupported",
                "dryRun",
                f'Unsupported value: []string{values}: supported values: "All"',
            )
        )
    if len(manager) > _MANAGER_LIMIT:
        found.append(
            FieldError("FieldValueTooLong", "fieldManager", f"Too long: may not be more than {_MANAGER_LIMIT} bytes")
        )
    for position, char in enumerate(manager):
        if not char.isprintable():
            found.append(
                FieldError(
                    "FieldValueInvalid",
                    "fieldManager",
                    f"Invalid value: {quote(manager)}: invalid character U+{ord(char):04X} (at position {position})",
                )
            )
    if validation not in ("", "Ignore", "Warn", "Strict"):
        found.append(
            FieldError(
                "FieldValueNotSupported",
                "fieldValidation",
                f'Unsupported value: {quote(validation)}: supported values: "", "Ignore", "Strict", "Warn"',
            )
        )
    if options == "PatchOptions":
        found = _patch_options(request, manager, found)
    if found:
        raise errors.invalid_options(options, found)
    call = Call(
        request.user, manager or request.agent.partition("/")[0][:_MANAGER_LIMIT], dry_run, validation or "Warn"
    )
    call.warnings = request.warnings
    call.options = {"kind": options, "apiVersion": "meta.k8s.io/v1"}
    given = {"fieldManager": manager, "fieldValidation": validation, "force": "force" in query and flag(query, "force")}
    call.options.update({name: value for name, value in given.items() if value})
    return call


def _patch_options(request: Request, manager: str, found: list[FieldError]) -> list[FieldError]:
    apply = negotiate.media_type(request.headers.get("content-type", "")) == "application/apply-patch+yaml"
    if apply and not manager:
        found.insert(0, FieldError("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"))
    if not apply and "force" in request.info.query:
        found.append(FieldError("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"))
    return found


def of_list(request: Request) -> lists.ListOptions:
    info = request.info
    limit = info.first("limit")
    try:
        number = int(limit) if limit and limit.lstrip("+-").isdigit() and limit.isascii() else 0
        if limit and not limit.lstrip("+-").isdigit():
            raise ValueError("invalid syntax")
        if not -(1 << 63) <= number < 1 << 63:
            raise ValueError("value out of range")
    except ValueError as wrong:
        raise errors.bad_request(f"strconv.ParseInt: parsing {quote(limit)}: {wrong}") from None
    options = lists.ListOptions(
        info.first("labelSelector"),
        info.first("fieldSelector"),
        number,
        info.first("continue"),
        info.first("resourceVersion"),
        info.first("resourceVersionMatch"),
    )
    if info.first("sendInitialEvents"):
        options = dataclasses.replace(options, initial_events=flag(info.query, "sendInitialEvents"))
    if info.name:
        options = dataclasses.replace(options, fields=f"metadata.name={info.name}", limit=0, next="")
    return options


async def of_delete(request: Request) -> tuple[DeleteOptions, bool]:
    """Options of the body, or of the query when there is no body. The second: dry run in the body."""
    body = await request.body()
    query = request.info.query
    found: Obj = {}
    if body:
        try:
            value, _ = bodies.decode(body, request.headers.get("content-type", ""), "DeleteOptions")
        except ApiError as error:
            if error.code == 415:
                raise
            raise errors.bare_500(f"couldn't get version/kind; json parse error: {bodies.json_fault(body)}") from None
        if not isinstance(value, dict) or value.get("kind", "DeleteOptions") != "DeleteOptions":
            raise errors.bare_500(
                f'no kind "{value.get("kind")}" is registered for version "{value.get("apiVersion")}" '
                'in scheme "pkg/runtime/scheme.go:110"'
            )
        found = value
    else:
        if "gracePeriodSeconds" in query:
            found["gracePeriodSeconds"] = _integer(query["gracePeriodSeconds"][0])
        if "propagationPolicy" in query:
            found["propagationPolicy"] = query["propagationPolicy"][0]
        if "orphanDependents" in query:
            found["orphanDependents"] = flag(query, "orphanDependents")
        if "dryRun" in query:
            found["dryRun"] = query["dryRun"]
    try:
        found = typed.decode(found, _DELETE_OPTIONS).obj
    except typed.DecodeError as wrong:
        raise errors.bare_500(str(wrong)) from None
    _check_delete(found)
    conditions = found.get("preconditions") or {}
    return (
        DeleteOptions(
            found.get("gracePeriodSeconds"),
            found.get("propagationPolicy") or "",
            found.get("orphanDependents"),
            conditions.get("uid") or "",
            conditions.get("resourceVersion") or "",
        ),
        bool(found.get("dryRun")),
    )


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise errors.bad_request(f"strconv.ParseInt: parsing {quote(text)}: invalid syntax") from None


def _check_delete(options: Obj) -> None:
    found: list[FieldError] = []
    dry_run = options.get("dryRun")
    if dry_run and set(dry_run) != {"All"}:
        values = "{" + ", ".join(quote(v) for v in dry_run) + "}"
        found.append(
            FieldError(
                "FieldValueNotSupported", "dryRun", f'Unsupported value: []string{values}: supported values: "All"'
            )
        )
    policy = options.get("propagationPolicy")
    if policy and policy not in ("Foreground", "Background", "Orphan"):
        found.append(
            FieldError(
                "FieldValueNotSupported",
                "propagationPolicy",
                f'Unsupported value: {quote(policy)}: supported values: "Foreground", "Background", "Orphan", "nil"',
            )
        )
    if policy and options.get("orphanDependents") is not None:
        found.append(
            FieldError(
                "FieldValueInvalid",
                "propagationPolicy",
                f"Invalid value: {quote(policy)}: orphanDependents and deletionPropagation cannot be both set",
            )
        )
    if found:
        raise errors.invalid_options("DeleteOptions", found)
