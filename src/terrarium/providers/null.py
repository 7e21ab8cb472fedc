"""The null provider: objects without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from terrarium.base.ids import Ids
from terrarium.providers.framework import DataSource, Plain, Resource, SmallProvider


class NullResource(Resource):
    def create(self, new: Plain) -> Plain:
        # The real one takes a random 63-bit number.
        return {**new, "id": str(Ids().below(2**63))}


class NullDataSource(DataSource):
    def read(self, config: Plain) -> Plain:
        return {
            **config,
            "id": "static",
            "has_computed_default": config.get("has_computed_default") or "default",
            "outputs": config.get("inputs") or {},
            "random": str(Ids().below(2**63)),
        }


class NullProvider(SmallProvider):
    name = "null"
    resources: ClassVar[Mapping[str, Resource]] = {"null_resource": NullResource()}
    data_sources: ClassVar[Mapping[str, DataSource]] = {"null_data_source": NullDataSource()}


def create() -> NullProvider:
    return NullProvider()
