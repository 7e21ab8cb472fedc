"""The providers that an operation may use, by source address, and their configured instances.

The command line hands in the factories (built-ins and installed binaries); nothing here knows any provider.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from terrarium.engine.decode import Decoder
from terrarium.engine.provider import Provider, ProviderFactory, ProviderSchema, Schema


class MissingProvider(Exception):
    """A provider that is not there; `source` is its full address."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self.source = source


class Plugins:
    """Factories, and what was learned of their schemas. One per command; may be used from several threads.

    `hints` says of a resource type that no schema has what more is known about it, if anything.
    """

    def __init__(
        self, factories: Mapping[str, ProviderFactory], hints: Callable[[str], str | None] = lambda type: None
    ) -> None:
        self.factories = dict(factories)
        self._hints = hints
        self.decoder = Decoder()
        self._schemas: dict[str, ProviderSchema] = {}
        self._unconfigured: dict[str, Provider] = {}
        self._open: list[Provider] = []
        self._lock = threading.RLock()
        self._stopped = False

    def __contains__(self, source: object) -> bool:
        return source in self.factories

    def create(self, source: str) -> Provider:
        """A new instance, not configured. MissingProvider."""
        factory = self.factories.get(source)
        if factory is None:
            raise MissingProvider(source)
        provider = factory.create()
        with self._lock:
            self._open.append(provider)
        return provider

    def unconfigured(self, source: str) -> Provider:
        """An instance for schemas and validation, made once."""
        with self._lock:
            provider = self._unconfigured.get(source)
            if provider is None:
                provider = self._unconfigured[source] = self.create(source)
            return provider

    def schema(self, source: str) -> ProviderSchema:
        known = self._schemas.get(source)
        if known is None:
            known = self.unconfigured(source).schema()
            with self._lock:
                self._schemas[source] = known
        return known

    def resource_schema(self, source: str, mode: str, type: str) -> Schema | None:
        """The schema of a resource type, data source or ephemeral resource; None when the provider has none."""
        schema = self.schema(source)
        return {"managed": schema.resources, "data": schema.data_sources, "ephemeral": schema.ephemeral}[mode].get(type)

    def hint(self, mode: str, type: str) -> str | None:
        """What to add to the message that a resource type does not exist."""
        return self._hints(type) if mode == "managed" else None

    def stop(self) -> None:
        """Asks all instances to end what they do (first Ctrl-C)."""
        with self._lock:
            providers = list(self._open)
        for provider in providers:
            provider.stop()

    def close(self) -> None:
        with self._lock:
            providers, self._open = self._open, []
            self._unconfigured.clear()
        for provider in providers:
            provider.close()
