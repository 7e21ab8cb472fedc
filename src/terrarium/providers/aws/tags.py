"""Tags: those of the object, those of the provider's `default_tags`, and both together in `tags_all`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from terrarium.language.types import STRING, Map
from terrarium.language.values import Value, map_of, string, unknown
from terrarium.providers.aws.planning import Drawn
from terrarium.providers.aws.session import Settings

_TEXTS = Map(STRING)


def plan(drawn: Drawn, prior: Value | None, config: Value, settings: Settings, modern: bool) -> None:
    """Plans `tags_all`: known when the tags are and there are any, else it shows itself after apply."""
    given = config.data.get("tags")
    if given is None:
        return
    if not given.is_wholly_known:
        drawn.members["tags_all"] = unknown(_TEXTS)
        return
    own = {} if given.is_null else {key: value.data or "" for key, value in given.data.items()}
    every = {**settings.default_tags, **own}
    every = {key: value for key, value in every.items() if not _ignored(key, settings)}
    merged = map_of(STRING, {key: string(str(value)) for key, value in every.items()})
    if prior is None:
        drawn.members["tags_all"] = merged if every or modern else unknown(_TEXTS)
        return
    before = prior.data["tags_all"]
    unchanged = not every if before.is_null else before.data == merged.data
    drawn.members["tags_all"] = before if unchanged else merged


def wanted(new: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """All tags an object is to carry."""
    own = new.get("tags") or {}
    every = {**settings.default_tags, **own}
    return {key: value or "" for key, value in every.items() if not _ignored(key, settings)}


def settle(seen: dict[str, Any], base: Value, settings: Settings, modern: bool) -> None:
    """Splits the tags that AWS shows into `tags_all` and, without those that come from the defaults, `tags`."""
    every = {k: v for k, v in (seen["tags"] or {}).items() if not k.startswith("aws:") and not _ignored(k, settings)}
    configured = base.data["tags"]
    own = configured.data if configured.is_known and isinstance(configured.data, dict) else {}
    defaults = settings.default_tags
    seen["tags_all"] = every
    mine = {k: v for k, v in every.items() if k in own or defaults.get(k) != v}
    seen["tags"] = None if modern and not mine and configured.is_null else mine


def _ignored(key: str, settings: Settings) -> bool:
    return key in settings.ignore_keys or key.startswith(settings.ignore_prefixes or ("\0",))


def pairs(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Tags in the form of most APIs."""
    return [{key: k, value: v} for k, v in tags.items()]


def mapping(tags: Iterable[Mapping[str, Any]] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    return {t[key]: t.get(value) or "" for t in tags or ()}


def specifications(kind: str, tags: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """EC2's TagSpecifications for what is being made."""
    return [{"ResourceType": kind, "Tags": pairs(tags)}] if tags else None


def removed(old: Mapping[str, str], new: Mapping[str, str]) -> Sequence[str]:
    return [key for key in old if key not in new]


def changed(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in new.items() if old.get(key) != value}
