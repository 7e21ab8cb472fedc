"""AWS's wire protocols from the side of the server: parameters out of requests, answers and errors into documents.

`rest-json`, `json` and `query` are read and written from the service models (services of our own speak these);
errors can be written in every protocol, as the endpoint refuses requests of all services.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

import orjson

from terrarium.cloud.hooks import AwsError
from terrarium.cloud.models import OperationModel, ServiceModel, Shape
from terrarium.cloud.signature import Request, parse_query


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


# Which protocol a refusal is written in


def protocol_of(service: str, request: Request) -> str:
    """The protocol a client of `service` speaks, seen from its request: `ec2`, `query`, `json`, `rest-json`, `rest-xml`."""
    if service in ("s3", "route53", "cloudfront", "s3control", "s3-outposts", "s3express"):
        return "rest-xml"
    if "x-amz-target" in request.headers:
        return "json"
    form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if form or "Action=" in request.query:
        return "ec2" if service == "ec2" else "query"
    return "ec2" if service == "ec2" else "rest-json"


def error_response(protocol: str, failure: AwsError, request_id: str, request: Request | None = None) -> Response:
    """An error as the document of its protocol."""
    writer = {"rest-json": _json_error, "json": _json_error, "ec2": _ec2_error, "rest-xml": _s3_error}
    return writer.get(protocol, _query_error)(failure, request_id, request)


def _json_error(failure: AwsError, request_id: str, request: Request | None) -> Response:
    body = {"__type": failure.code, **failure.members, "message": failure.message}
    version = request.headers.get("content-type", "") if request else ""
    kind = version if version.startswith("application/x-amz-json") else "application/json"
    headers = {"content-type": kind, "x-amzn-requestid": request_id, "x-amzn-errortype": failure.code}
    return Response(failure.status, headers, orjson.dumps(body))


def _query_error(failure: AwsError, request_id: str, request: Request | None) -> Response:
    side = "Sender" if failure.status < 500 else "Receiver"
    text = (
        f"<ErrorResponse><Error><Type>{side}</Type><Code>{escape(failure.code)}</Code>"
        f"<Message>{escape(failure.message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    return Response(failure.status, {"content-type": "text/xml", "x-amzn-requestid": request_id}, text.encode())


def _ec2_error(failure: AwsError, request_id: str, request: Request | None) -> Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Response><Errors><Error><Code>{escape(failure.code)}</Code><Message>{escape(failure.message)}</Message>"
        f"</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
    return Response(failure.status, {"content-type": "text/xml;charset=UTF-8"}, text.encode())


def _s3_error(failure: AwsError, request_id: str, request: Request | None) -> Response:
    further = "".join(f"<{k}>{escape(str(v))}</{k}>" for k, v in failure.members.items())
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(failure.code)}</Code><Message>{escape(failure.message)}</Message>{further}"
        f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    )
    body = b"" if request is not None and request.method == "HEAD" else text.encode()
    return Response(failure.status, {"content-type": "application/xml", "x-amz-request-id": request_id}, body)


# Requests


def read_operation(model: ServiceModel, request: Request) -> tuple[OperationModel, dict[str, Any]]:
    """The operation and its parameters in the model's names. `AwsError` when there is none, or they can't be read."""
    if model.protocol == "rest-json":
        return _read_rest(model, request)
    if model.protocol == "json":
        return _read_json(model, request)
    return _read_query(model, request)


def _read_rest(model: ServiceModel, request: Request) -> tuple[OperationModel, dict[str, Any]]:
    found = model.match(request.method, request.path)
    if found is None:
        raise AwsError("UnknownOperationException", f"{request.method} {request.path} is no operation", 404)
    operation, labels = found
    if operation.input is None:
        return operation, {}
    shape = model.shape(operation.input)
    query: dict[str, list[str]] = {}
    for name, value in parse_query(request.query):
        query.setdefault(name, []).append(value)
    body: dict[str, Any] = {}
    if request.body:
        body = _json_object(request.body)
    parameters: dict[str, Any] = {}
    for name, reference in shape.get("members", {}).items():
        wire, target = reference.get("locationName", name), model.shape(reference["shape"])
        match reference.get("location"):
            case "uri":
                parameters[name] = _of_text(unquote(labels[wire]), target, name)
            case "querystring":
                if wire in query:
                    parameters[name] = _of_query(model, query, wire, target, name)
            case "header":
                if wire.lower() in request.headers:
                    parameters[name] = _of_text(request.headers[wire.lower()], target, name)
            case _:
                if body.get(wire) is not None:
                    parameters[name] = _of_json(model, body[wire], target, name)
    return operation, parameters


def _of_query(model: ServiceModel, query: Mapping[str, list[str]], wire: str, target: Shape, name: str) -> Any:
    if target["type"] == "list":
        member = model.shape(target["member"]["shape"])
        return [_of_text(value, member, name) for value in query[wire]]
    return _of_text(query[wire][0], target, name)


def _read_json(model: ServiceModel, request: Request) -> tuple[OperationModel, dict[str, Any]]:
    target = request.headers.get("x-amz-target", "")
    operation = model.operations.get(target.rpartition(".")[2])
    if operation is None:
        raise AwsError("UnknownOperationException", f"{target!r} is no operation", 400)
    if operation.input is None:
        return operation, {}
    return operation, _of_json(model, _json_object(request.body or b"{}"), model.shape(operation.input), "")


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as failure:
        raise AwsError("SerializationException", f"The body is no JSON: {failure}", 400) from None
    if not isinstance(value, dict):
        raise AwsError("SerializationException", "The body must be a JSON object", 400)
    return value


_JSON_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "STRING_VALUE"),
    "integer": ((int,), "NUMBER_VALUE"),
    "long": ((int,), "NUMBER_VALUE"),
    "float": ((int, float), "NUMBER_VALUE"),
    "double": ((int, float), "NUMBER_VALUE"),
    "boolean": ((bool,), "TRUE_VALUE"),
    "structure": ((dict,), "START_OBJECT"),
    "map": ((dict,), "START_OBJECT"),
    "list": ((list,), "START_ARRAY"),
}


def _of_json(model: ServiceModel, value: Any, shape: Shape, path: str) -> Any:
    kind = shape["type"]
    wanted = _JSON_TYPES.get(kind)
    if wanted is not None:
        is_bool = isinstance(value, bool)
        if not isinstance(value, wanted[0]) or (is_bool and kind != "boolean"):
            raise AwsError("SerializationException", f"{path or 'The body'} must be a {kind} ({wanted[1]})", 400)
    if kind == "structure":
        return {
            name: _of_json(model, value[wire], model.shape(r["shape"]), f"{path}.{name}".strip("."))
            for name, r in shape.get("members", {}).items()
            if value.get(wire := r.get("locationName", name)) is not None
        }
    if kind == "map":
        target = model.shape(shape["value"]["shape"])
        return {k: _of_json(model, v, target, f"{path}.{k}") for k, v in value.items()}
    if kind == "list":
        target = model.shape(shape["member"]["shape"])
        return [_of_json(model, v, target, f"{path}.{i}") for i, v in enumerate(value)]
    if kind == "timestamp":
        return _timestamp(value, path)
    if kind == "blob":
        return base64.b64decode(value)
    return value


def _timestamp(value: Any, path: str) -> datetime:
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise AwsError("SerializationException", f"{path} is no time: {value!r}", 400) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _of_text(text: str, shape: Shape, path: str) -> Any:
    kind = shape["type"]
    try:
        if kind in ("integer", "long"):
            return int(text)
        if kind in ("float", "double"):
            return float(text)
    except ValueError:
        raise AwsError("SerializationException", f"{path} must be a number, not {text!r}", 400) from None
    if kind == "boolean":
        if text not in ("true", "false"):
            raise AwsError("SerializationException", f"{path} must be true or false, not {text!r}", 400)
        return text == "true"
    if kind == "timestamp":
        return _timestamp(text, path)
    if kind == "blob":
        return base64.b64decode(text)
    return text


def _read_query(model: ServiceModel, request: Request) -> tuple[OperationModel, dict[str, Any]]:
    pairs = dict(parse_query(request.query))
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs.update(parse_query(request.body.decode("utf-8", "replace")))
    action = pairs.get("Action", "")
    operation = model.operations.get(action)
    if not action:
        raise AwsError("MissingAction", "The request must contain an action", 400)
    if operation is None:
        raise AwsError("InvalidAction", f"Could not find operation {action} for version {pairs.get('Version')}", 400)
    if operation.input is None:
        return operation, {}
    return operation, _of_pairs(model, pairs, "", model.shape(operation.input)) or {}


def _of_pairs(model: ServiceModel, pairs: Mapping[str, str], prefix: str, shape: Shape) -> Any:
    """A value from `a.b.member.1=` pairs; None when no pair belongs to it."""
    kind = shape["type"]
    if kind == "structure":
        result = {}
        for name, reference in shape.get("members", {}).items():
            wire = reference.get("locationName", name)
            value = _of_pairs(model, pairs, f"{prefix}.{wire}".lstrip("."), model.shape(reference["shape"]))
            if value is not None:
                result[name] = value
        return result or None
    if kind == "list":
        reference = shape["member"]
        stem = prefix if shape.get("flattened") else f"{prefix}.{reference.get('locationName', 'member')}"
        items: list[Any] = []
        target = model.shape(reference["shape"])
        while (item := _of_pairs(model, pairs, f"{stem}.{len(items) + 1}", target)) is not None:
            items.append(item)
        return items or ([] if prefix in pairs else None)
    if kind == "map":
        entries: dict[str, Any] = {}
        stem = prefix if shape.get("flattened") else f"{prefix}.entry"
        while (key := pairs.get(f"{stem}.{len(entries) + 1}.key")) is not None:
            value_name = f"{stem}.{len(entries) + 1}.value"
            entries[key] = _of_pairs(model, pairs, value_name, model.shape(shape["value"]["shape"]))
        return entries or None
    return None if prefix not in pairs else _of_text(pairs[prefix], shape, prefix)


# Answers


def write_answer(
    model: ServiceModel, operation: OperationModel, answer: Mapping[str, Any], request_id: str
) -> Response:
    """The answer of an operation as a document of the service's protocol."""
    shape: Shape = model.shape(operation.output) if operation.output else {"type": "structure", "members": {}}
    if model.protocol in ("rest-json", "json"):
        kind = "application/json" if model.protocol == "rest-json" else f"application/x-amz-json-{model.json_version}"
        headers = {"content-type": kind, "x-amzn-requestid": request_id}
        body: dict[str, Any] = to_json(model, answer, shape)
        for name, reference in shape.get("members", {}).items():
            if reference.get("location") == "header" and name in answer:
                headers[reference.get("locationName", name).lower()] = str(answer[name])
                body.pop(reference.get("locationName", name), None)
        return Response(operation.status, headers, orjson.dumps(body))
    inner = _to_xml(model, answer, shape)
    wrapper = operation.result_wrapper
    result = f"<{wrapper}>{inner}</{wrapper}>" if wrapper else ""
    text = (
        f'<{operation.name}Response xmlns="{model.namespace}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation.name}Response>"
    )
    return Response(200, {"content-type": "text/xml", "x-amzn-requestid": request_id}, text.encode())


def to_json(model: ServiceModel, value: Any, shape: Shape) -> Any:
    kind = shape["type"]
    if value is None:
        return None
    if kind == "structure":
        return {
            reference.get("locationName", name): to_json(model, value[name], model.shape(reference["shape"]))
            for name, reference in shape.get("members", {}).items()
            if value.get(name) is not None
        }
    if kind == "list":
        target = model.shape(shape["member"]["shape"])
        return [to_json(model, item, target) for item in value]
    if kind == "map":
        target = model.shape(shape["value"]["shape"])
        return {key: to_json(model, item, target) for key, item in value.items()}
    if kind == "timestamp":
        if isinstance(value, datetime):
            return round(value.timestamp(), 3)
        return value
    if kind == "blob":
        return base64.b64encode(value if isinstance(value, bytes) else str(value).encode()).decode()
    return value


def _to_xml(model: ServiceModel, value: Any, shape: Shape) -> str:
    kind = shape["type"]
    if kind == "structure":
        return "".join(
            _element(model, reference.get("locationName", name), value[name], model.shape(reference["shape"]))
            for name, reference in shape.get("members", {}).items()
            if value.get(name) is not None
        )
    if kind == "timestamp" and isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind == "boolean":
        return "true" if value else "false"
    return escape(str(value))


def _element(model: ServiceModel, name: str, value: Any, shape: Shape) -> str:
    if shape["type"] == "list":
        return _list_element(model, name, value, shape)
    if shape["type"] == "map":
        target = model.shape(shape["value"]["shape"])
        entries = "".join(
            f"<entry><key>{escape(k)}</key>{_element(model, 'value', v, target)}</entry>" for k, v in value.items()
        )
        return f"<{name}>{entries}</{name}>"
    return f"<{name}>{_to_xml(model, value, shape)}</{name}>"


def _list_element(model: ServiceModel, name: str, value: Sequence[Any], shape: Shape) -> str:
    reference = shape["member"]
    target = model.shape(reference["shape"])
    if shape.get("flattened"):
        return "".join(_element(model, name, item, target) for item in value)
    item_name = reference.get("locationName", "member")
    return f"<{name}>{''.join(_element(model, item_name, item, target) for item in value)}</{name}>"
