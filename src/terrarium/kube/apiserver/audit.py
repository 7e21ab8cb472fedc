"""The audit log: one JSON line for each answered request, at level Metadata (audit.k8s.io Event)."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import orjson

from terrarium.base.clock import Clock, rfc3339_micro
from terrarium.base.diagnostics import Failure
from terrarium.base.ids import Ids
from terrarium.kube.api.kinds import Obj
from terrarium.kube.apiserver.messages import Request
from terrarium.kube.apiserver.reviews import user_info


class Audit:
    """Appends to `path`; `Failure` when that can't be opened."""

    def __init__(self, path: Path, clock: Clock, ids: Ids) -> None:
        self._clock = clock
        self._ids = ids
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._file: TextIO = path.open("a", buffering=1)
        except OSError as error:
            raise Failure(f"the audit log {path} can't be opened: {error.strerror}") from error

    def write(self, request: Request, status: int) -> None:
        info = request.info
        query = request.scope["query_string"].decode("latin-1")
        now = rfc3339_micro(self._clock.now())
        event: Obj = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "auditID": self._ids.uuid(),
            "stage": "ResponseComplete",
            "requestURI": f"{info.path}?{query}" if query else info.path,
            "verb": info.verb,
            "user": user_info(request.user),
            "userAgent": request.agent,
            "responseStatus": {"metadata": {}, "code": status},
            "requestReceivedTimestamp": now,
            "stageTimestamp": now,
        }
        if info.resource:
            named = {
                "resource": info.resource,
                "namespace": info.namespace,
                "name": info.name,
                "apiGroup": info.group,
                "apiVersion": info.version,
                "subresource": info.subresource,
            }
            event["objectRef"] = {key: value for key, value in named.items() if value}
        self._file.write(orjson.dumps(event).decode() + "\n")

    def close(self) -> None:
        self._file.close()
