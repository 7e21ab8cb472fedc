"""Which form an answer takes: the rules for Accept, `as=Table`, `pretty`, and for what a body may come in.

Pure. kube-apiserver offers JSON, YAML and protobuf, and knows wildcards only as `*/*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrarium.kube.apiserver import errors
from terrarium.kube.client.contract import ApiError

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MEDIA = (JSON, YAML, PROTOBUF)
STREAMS = (JSON + ";stream=watch", PROTOBUF + ";stream=watch")
STREAM = {JSON: JSON, PROTOBUF: PROTOBUF + ";stream=watch", YAML: YAML}
_BROWSERS = ("curl", "Wget", "Mozilla/5.0")
_FORMS = {
    ("Table", "meta.k8s.io"): ("v1", "v1beta1"),
    ("PartialObjectMetadata", "meta.k8s.io"): ("v1", "v1beta1"),
    ("PartialObjectMetadataList", "meta.k8s.io"): ("v1", "v1beta1"),
}


@dataclass(frozen=True, slots=True)
class Form:
    """`shape`: "" (the object itself), Table, PartialObjectMetadata or PartialObjectMetadataList; `version` of it."""

    media: str = JSON
    shape: str = ""
    version: str = ""
    pretty: bool = False


PLAIN = Form()


def clauses(accept: str) -> list[tuple[str, dict[str, str]]]:
    """Media ranges with their parameters, the most wanted first."""
    found: list[tuple[float, int, str, dict[str, str]]] = []
    for position, clause in enumerate(accept.split(",")):
        media, *raw = clause.strip().split(";")
        parameters: dict[str, str] = {}
        for part in raw:
            name, _, value = part.strip().partition("=")
            parameters[name.strip()] = value.strip().strip('"')
        try:
            weight = float(parameters.pop("q", "1"))
        except ValueError:
            weight = 1.0
        found.append((-weight, position, media.strip().lower(), parameters))
    return [(media, parameters) for _, _, media, parameters in sorted(found, key=lambda c: c[:2])]


def _not_acceptable(offered: Sequence[str]) -> ApiError:
    return errors.status(406, "NotAcceptable", f"only the following media types are accepted: {', '.join(offered)}")


def choose(
    accept: str | None,
    query: Mapping[str, Sequence[str]],
    agent: str,
    *,
    offered: Sequence[str] = MEDIA,
    shapes: bool = True,
    named: Sequence[str] = (),
) -> Form:
    """The form of an answer; 406 as `ApiError` when none fits. `named` is what that says is offered."""
    pretty = _pretty(query, agent)
    if not accept or not accept.strip():
        return Form(JSON, pretty=pretty)
    known = False
    for media, parameters in clauses(accept):
        if media == "*/*":
            media = offered[0]
        if media not in offered:
            continue
        known = True
        shape, group, version = parameters.get("as", ""), parameters.get("g", ""), parameters.get("v", "")
        if shape:
            if not shapes or version not in _FORMS.get((shape, group), ()) or (shape == "Table" and media == PROTOBUF):
                continue
            return Form(media, shape, version, pretty or parameters.get("pretty") == "1")
        return Form(media, pretty=pretty or parameters.get("pretty") == "1")
    if known:
        raise _not_acceptable(offered)
    message = f"406: Not Acceptable\n\nAvailable representations: {', '.join(named or offered)}"
    raise errors.status(406, "NotAcceptable", message, {})


def _pretty(query: Mapping[str, Sequence[str]], agent: str) -> bool:
    if "pretty" in query:
        return query["pretty"][0].lower() not in ("0", "false", "f", "no", "n")
    return agent.startswith(_BROWSERS)


def media_type(header: str) -> str:
    """The bare media type of a Content-Type header."""
    return header.partition(";")[0].strip().lower()
