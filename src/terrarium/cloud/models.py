"""AWS service models as botocore ships them: operations, shapes, routes. Read as plain JSON, so that nothing heavy loads.

Only what a server needs is kept: to find the operation of a request, to read its parameters, to write its answer.
"""

from __future__ import annotations

import gzip
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from terrarium.base.diagnostics import Failure

Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OperationModel:
    name: str
    method: str
    path: str
    """With `{name}` and `{name+}` labels."""
    input: str | None
    output: str | None
    result_wrapper: str | None
    status: int = 200
    pattern: re.Pattern[str] | None = field(default=None, compare=False)


class ServiceModel:
    """One service: `protocol` (`rest-json`, `json`, `query` …), operations by name, shapes by name."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        metadata = document["metadata"]
        self.protocol: str = metadata["protocol"]
        self.namespace: str = metadata.get("xmlNamespace", "")
        self.target: str = metadata.get("targetPrefix", "")
        self.json_version: str = metadata.get("jsonVersion", "1.0")
        self.shapes: Mapping[str, Shape] = document["shapes"]
        self.operations = {name: _operation(name, body) for name, body in document["operations"].items()}
        # A literal path goes before one with labels, a longer one before a shorter.
        self._routes = sorted(self.operations.values(), key=lambda o: (o.path.count("{"), -len(o.path)))

    def shape(self, name: str) -> Shape:
        return self.shapes[name]

    def match(self, method: str, path: str) -> tuple[OperationModel, dict[str, str]] | None:
        """The operation of a REST request, with the (still encoded) values of its path's labels."""
        for operation in self._routes:
            if operation.method == method and operation.pattern and (found := operation.pattern.fullmatch(path)):
                return operation, {k.replace("__", "-"): v for k, v in found.groupdict().items()}
        return None

    def error_status(self, code: str) -> int | None:
        shape = self.shapes.get(code)
        return None if shape is None else shape.get("error", {}).get("httpStatusCode")


def _operation(name: str, body: Mapping[str, Any]) -> OperationModel:
    path: str = body["http"]["requestUri"].split("?")[0]
    return OperationModel(
        name=name,
        method=body["http"]["method"],
        path=path,
        input=body.get("input", {}).get("shape"),
        output=body.get("output", {}).get("shape"),
        result_wrapper=body.get("output", {}).get("resultWrapper"),
        status=body["http"].get("responseCode", 200),
        pattern=_pattern(path),
    )


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"(\{[^}]+\})", path.rstrip("/") or "/")
    text = ""
    for piece in pieces:
        if piece.startswith("{"):
            label = piece[1:-1]
            greedy = label.endswith("+")
            text += f"(?P<{label.rstrip('+').replace('-', '__')}>{'.+' if greedy else '[^/]+'})"
        else:
            text += re.escape(piece)
    return re.compile(text + "/?")


class Models:
    """The models, each read once when it is first needed."""

    def __init__(self) -> None:
        self._loaded: dict[str, ServiceModel] = {}
        self._folder: Path | None = None

    def get(self, service: str) -> ServiceModel:
        """The model of a service by botocore's name of it. KeyError when there is none."""
        if service not in self._loaded:
            self._loaded[service] = ServiceModel(orjson.loads(self._read(service)))
        return self._loaded[service]

    def _read(self, service: str) -> bytes:
        if self._folder is None:
            found = importlib.util.find_spec("botocore")
            if found is None or not found.submodule_search_locations:
                raise Failure("The AWS endpoint needs botocore's service models.", "pip install 'terrarium[aws]'")
            self._folder = Path(next(iter(found.submodule_search_locations))) / "data"
        versions = sorted((self._folder / service).glob("*/service-2.json*"))
        if not versions or "/" in service or service.startswith("."):
            raise KeyError(service)
        data = versions[-1].read_bytes()
        return gzip.decompress(data) if versions[-1].suffix == ".gz" else data
