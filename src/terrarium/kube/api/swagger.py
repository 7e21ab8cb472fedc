"""From OpenAPI 3.0 to version 2 (Swagger): one document with definitions in place of components.

Version 2 knows no alternatives (`oneOf` and its kin) and no nullable values; where kube-apiserver's published schemas
lose them, they are lost here too, so that old clients validate no more than they can understand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.kube.api.openapi_definitions import REF

_BEYOND = ("oneOf", "anyOf", "not", "nullable", "x-kubernetes-validations")
_INT_OR_STRING = "int-or-string"


def joined(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Documents of version 3 as one of version 2. The first tells title and version."""
    documents = list(documents)
    paths: dict[str, Any] = {}
    definitions: dict[str, Any] = {}
    for document in documents:
        for path, item in document["paths"].items():
            paths[path] = _item(item)
        for name, schema in (document["components"].get("schemas") or {}).items():
            if name not in definitions:
                definitions[name] = definition(schema)
    security = documents[0]["components"]["securitySchemes"] if documents else {}
    return {
        "swagger": "2.0",
        "info": documents[0]["info"] if documents else {},
        "paths": dict(sorted(paths.items())),
        "definitions": dict(sorted(definitions.items())),
        "securityDefinitions": security,
        "security": [{name: []} for name in security],
    }


def _item(item: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {method: _operation(held) for method, held in item.items() if method != "parameters"}
    if "parameters" in item:
        made["parameters"] = [_parameter(held) for held in item["parameters"]]
    return made


def _parameter(held: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in held.items() if key != "schema"}
    return {**held["schema"], **plain}


def _operation(held: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in held.items() if key not in ("requestBody", "responses", "parameters")}
    parameters = [_parameter(p) for p in held.get("parameters", ())]
    body = held.get("requestBody")
    made["consumes"] = list(body["content"]) if body else ["*/*"]
    if body:
        schema = next(iter(body["content"].values()))["schema"]
        named = {"name": "body", "in": "body", "schema": definition(schema)}
        parameters.insert(0, {**named, "required": True} if body.get("required") else named)
    if parameters:
        made["parameters"] = parameters
    made["produces"] = list(held["responses"]["200"].get("content") or ())
    made["schemes"] = ["https"]
    made["responses"] = {code: _response(answer) for code, answer in held["responses"].items()}
    return made


def _response(answer: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer["description"]}
    for content in (answer.get("content") or {}).values():
        made["schema"] = definition(content["schema"])
        break
    return made


def definition(held: Mapping[str, Any]) -> dict[str, Any]:
    """One schema of version 3 as version 2 has it."""
    if isinstance(held.get("$ref"), str):
        return {"$ref": held["$ref"].replace(REF, "#/definitions/")}
    made: dict[str, Any] = {}
    for key, value in held.items():
        if key in _BEYOND:
            continue
        if key == "allOf":
            if len(value) == 1 and isinstance(value[0].get("$ref"), str):
                made["$ref"] = value[0]["$ref"].replace(REF, "#/definitions/")
        elif key == "properties":
            made[key] = {name: definition(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, Mapping):
            made[key] = definition(value)
        else:
            made[key] = value
    if held.get("nullable") is True:
        for key in ("type", "items", "properties"):
            made.pop(key, None)
    if held.get("x-kubernetes-preserve-unknown-fields") is True and "x-kubernetes-group-version-kind" not in held:
        for key in ("items", "properties"):
            made.pop(key, None)
    if "oneOf" in held and "type" not in held:
        # Quantities and the like: a text stands for both.
        made["type"] = "string"
    if held.get("x-kubernetes-int-or-string") is True:
        made.pop("type", None)
    return made
