"""Provider names and source addresses as configurations write them, and what may be wrong with them."""

from __future__ import annotations

import re

from terrarium.base.diagnostics import Diagnostic, error
from terrarium.engine.addresses import REGISTRY, parse_source

_PART = re.compile(r"[^\W_](?:(?:[^\W_]|-)*[^\W_])?\Z")
_PREFIX = "terraform-provider-"


def default_provider(name: str) -> str:
    """The provider of the default registry and namespace that a name means."""
    return f"{REGISTRY}/hashicorp/{name}"


def part_problem(text: str) -> str:
    """What is wrong with a namespace, a provider's type or its local name; "" when nothing is."""
    if not text:
        return "must have at least one character"
    if "." in text:
        return "dots are not allowed"
    if "--" in text:
        return "cannot use multiple consecutive dashes"
    if not _PART.match(text):
        return "must contain only letters, digits, and dashes, and may not use leading or trailing dashes"
    return ""


def local_name_problem(name: str) -> Diagnostic | None:
    """What is wrong with the local name of a provider. Without a place."""
    problem = part_problem(name)
    if problem:
        return error("Invalid provider local name", f"{name} is an invalid provider local name: {problem}")
    if name != name.lower():
        return error(
            "Invalid provider local name",
            f'Provider names must be normalized. Replace "{name}" with "{name.lower()}" to fix this error.',
        )
    return None


def read_source(text: str) -> tuple[str, Diagnostic | None]:
    """The full address that a `source` means, or what is wrong with it (without a place)."""
    parts = text.split("/")
    if not 1 <= len(parts) <= 3 or not all(parts):
        return "", error(
            "Invalid provider source string",
            'The "source" attribute must be in the format "[hostname/][namespace/]name"',
        )
    name = parts[-1]
    problem = part_problem(name)
    if problem:
        return "", error("Invalid provider type", f'Invalid provider type "{name}" in source "{text}": {problem}"')
    if name.lower().startswith(_PREFIX):
        better = "/".join([*parts[:-1], name.lower().removeprefix(_PREFIX)])
        return "", error(
            "Invalid provider type",
            f'Provider source "{text}" has a type with the prefix "{_PREFIX}", which isn\'t valid. Although that prefix is '
            "often used in the names of version control repositories for Terraform providers, provider source strings should "
            f'not include it.\n\nDid you mean "{better}"?',
        )
    if len(parts) > 1 and (problem := part_problem(parts[-2])):
        return "", error(
            "Invalid provider namespace",
            f'Invalid provider namespace "{parts[-2]}" in source "{text}": {problem}"',
        )
    try:
        return parse_source(text), None
    except ValueError:
        return "", error(
            "Invalid provider source hostname", f'Invalid provider source hostname "{parts[0]}" in source "{text}"'
        )
