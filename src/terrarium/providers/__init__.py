"""The providers that come with Terrarium, found without a network: one folder or module for each.

Importing this package costs nothing; a provider is imported when its factory is asked for an instance.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from terrarium.engine.provider import Provider, ProviderFactory

_REGISTRY = "registry.terraform.io/hashicorp/"

# name -> (version whose behaviour is followed, module with `create() -> Provider`)
_BUILTIN = {
    "archive": ("2.8.0", "terrarium.providers.archive"),
    "aws": ("5.100.0", "terrarium.providers.aws.provider"),
    "cloudinit": ("2.4.0", "terrarium.providers.cloudinit"),
    "external": ("2.4.0", "terrarium.providers.external"),
    "http": ("3.6.0", "terrarium.providers.http"),
    "local": ("2.9.0", "terrarium.providers.local"),
    "null": ("3.3.1", "terrarium.providers.null"),
    "random": ("3.9.0", "terrarium.providers.random"),
    "tls": ("4.2.1", "terrarium.providers.tls"),
    "time": ("0.14.2", "terrarium.providers.times"),
}


@dataclass(frozen=True, slots=True)
class Builtin:
    """The factory of a provider of this package."""

    source: str
    version: str
    module: str

    def create(self) -> Provider:
        provider: Provider = importlib.import_module(self.module).create()
        return provider


def builtin() -> Mapping[str, ProviderFactory]:
    """All providers of this package by full source address."""
    return {
        f"{_REGISTRY}{name}": Builtin(f"{_REGISTRY}{name}", version, module)
        for name, (version, module) in _BUILTIN.items()
    }


def supported_hint(type: str) -> str | None:
    """What to add to "Invalid resource type" for a type that the real provider has and ours does not serve."""
    if not type.startswith("aws_"):
        return None
    from terrarium.providers.aws.schemas import known_names

    if type not in known_names():
        return None
    return f'Terrarium\'s aws provider does not serve "{type}" yet.'
