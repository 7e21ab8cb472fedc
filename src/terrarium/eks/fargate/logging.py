"""Whether a new pod's output is shipped: the ConfigMap `aws-logging` and the rules for what it may hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from terrarium.kube.api.kinds import Obj

NAMESPACE = "aws-observability"
CONFIG_MAP = "aws-logging"
MOST_CHARACTERS = 5300
SECTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "filters.conf": ("FILTER", ("name", "match")),
    "output.conf": ("OUTPUT", ("name", "match")),
    "parsers.conf": ("PARSER", ("name", "format")),
}
"""The section that each key may hold, and what it must say."""
OUTPUTS = frozenset({"es", "firehose", "kinesis_firehose", "cloudwatch", "cloudwatch_logs", "kinesis"})
FILTERS = frozenset({"grep", "parser", "record_modifier", "rewrite_tag", "throttle", "nest", "modify", "kubernetes"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """The annotation `Logging`, and the event that goes with it."""

    annotation: str
    type: str
    reason: str
    message: str


ENABLED = Verdict("LoggingEnabled", "Normal", "LoggingEnabled", "Successfully enabled logging for pod")
NOT_FOUND = Verdict(
    "LoggingDisabled: LOGGING_CONFIGMAP_NOT_FOUND",
    "Warning",
    "LoggingDisabled",
    'Disabled logging because aws-logging configmap was not found. configmap "aws-logging" not found',
)


def judge(namespace: Obj | None, config_map: Obj | None) -> Verdict:
    labels = ((namespace or {}).get("metadata") or {}).get("labels") or {}
    if namespace is None or config_map is None or labels.get(NAMESPACE) != "enabled":
        return NOT_FOUND
    fault = fault_of(config_map.get("data") or {})
    if not fault:
        return ENABLED
    text = f"Disabled logging for pod due to invalid configmap. {fault}. Please fix the logging configmap"
    return Verdict("LoggingDisabled: LOGGING_CONFIGMAP_INVALID", "Warning", "LoggingDisabled", text)


def fault_of(data: Mapping[str, str]) -> str:
    """What is wrong with the ConfigMap's data, "" for nothing."""
    if sum(map(len, data.values())) > MOST_CHARACTERS:
        return f"the configmap has more than {MOST_CHARACTERS} characters"
    if not (data.get("output.conf") or "").strip():
        return "output.conf must contain at least one OUTPUT section"
    for key, (section, needed) in SECTIONS.items():
        fault = _section_fault(key, data.get(key) or "", section, needed)
        if fault:
            return fault
    return ""


def _section_fault(key: str, text: str, section: str, needed: tuple[str, ...]) -> str:
    if "${" in text:
        return f"{key} must not use environment variables"
    entries: list[dict[str, str]] = []
    for line in filter(None, (raw.strip() for raw in text.splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("@"):
            return f"{key}: {line.split()[0]} is not allowed"
        head = re.fullmatch(r"\[\s*(\w+)\s*\]", line)
        if head is not None:
            if head[1].upper() != section:
                return f"{key}: section [{head[1]}] is not allowed"
            entries.append({})
        elif not entries:
            return f"{key} must begin with [{section}]"
        else:
            name, _, value = line.partition(" ")
            entries[-1][name.lower()] = value.strip()
    for entry in entries:
        missing = [name for name in needed if name not in entry]
        if missing:
            return f"{key}: [{section}] lacks {', '.join(n.capitalize() for n in missing)}"
        if section == "OUTPUT" and entry["name"] not in OUTPUTS:
            return f"{key}: output {entry['name']} is not supported"
        if section == "FILTER" and entry["name"] not in FILTERS:
            return f"{key}: filter {entry['name']} is not supported"
    return "" if entries or section != "OUTPUT" else "output.conf must contain at least one OUTPUT section"
