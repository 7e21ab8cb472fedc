"""Texts about fields, from the schema package where it is installed. Without it descriptions are empty."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import resources
from typing import Any

PREFIXES = {"meta.v1.": "io.k8s.apimachinery.pkg.apis.meta.v1."}


def definitions(minor: int = 33) -> dict[str, Any]:
    """The JSON-schema definitions of a minor version by name, {} when the package or the version isn't there. Not kept:
    they are large."""
    try:
        root = resources.files("kubernetes_validate")
    except ModuleNotFoundError:
        return {}
    path = root.joinpath(f"kubernetes-json-schema/v1.{minor}.0-local/_definitions.json")
    if not path.is_file():
        return {}
    document = json.loads(path.read_bytes())
    found: dict[str, Any] = document.get("$defs") or document.get("definitions") or {}
    return found


@lru_cache(maxsize=1)
def _texts() -> dict[tuple[str, str], str]:
    found = {}
    wanted = ("io.k8s.api.", PREFIXES["meta.v1."] + "ObjectMeta")
    for name, definition in definitions().items():
        if name.startswith(wanted):
            for field, held in (definition.get("properties") or {}).items():
                if isinstance(held, dict) and held.get("description"):
                    found[(name, field)] = held["description"]
    return found


@lru_cache(maxsize=1)
def _older() -> dict[str, str]:
    """Texts of groups that are no longer served: columns of tables still show them."""
    data = resources.files("terrarium.kube.api").joinpath("data/older_texts.json").read_bytes()
    found: dict[str, str] = json.loads(data)
    return found


@lru_cache(maxsize=512)
def field_text(path: str) -> str:
    """Of `core.v1.PodStatus.podIP` or `extensions.v1beta1.DaemonSetSpec.selector`. A `~` at the end leaves out the last sentence, which older versions didn't have."""
    if path.endswith("~"):
        return re.sub(r"(?<=\.) [^.]*(?:\.[^ .][^.]*)*\.$", "", field_text(path[:-1]))
    if path in _older():
        return _older()[path]
    struct, _, field = path.rpartition(".")
    for short, long in PREFIXES.items():
        if struct.startswith(short):
            return _texts().get((long + struct.removeprefix(short), field), "")
    return _texts().get((f"io.k8s.api.{struct}", field), "")
