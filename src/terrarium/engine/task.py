"""One instance to plan, with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass

from terrarium.engine.addresses import ConfigResource, Instance, ProviderConfig
from terrarium.engine.configuration import Resource
from terrarium.engine.evaluation import Repetition
from terrarium.engine.provider import Provider, Schema


@dataclass(frozen=True, slots=True)
class Task:
    """`resource` is None for what is not in the configuration."""

    address: Instance
    config_resource: ConfigResource
    resource: Resource | None
    config: ProviderConfig
    provider: Provider
    schema: Schema
    repetition: Repetition | None = None
