"""From a KubeSchedulerConfiguration to frameworks: which plugins each profile runs at which point, with which weight.

`multiPoint` means every point a plugin takes part in; what a single point says goes before it. Default plugins which
nobody disables stay, in their own order; a profile's own follow them (kube-scheduler framework/runtime `expandMultiPointPlugins`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.framework import Framework, Point
from terrarium.kube.scheduler.plugins.table import DEFAULTS, Entry

DEFAULT_NAME = "default-scheduler"


def frameworks(configuration: Obj | None = None, more: Mapping[str, Entry] | None = None) -> dict[str, Framework]:
    """The frameworks of a (valid) configuration by scheduler name. `more` are plugins beside the default ones, which
    profiles may enable."""
    profiles: Sequence[Obj] = (configuration or {}).get("profiles") or [{}]
    return {
        name: framework(profile, name, more)
        for profile in profiles
        for name in [profile.get("schedulerName") or DEFAULT_NAME]
    }


def framework(
    profile: Obj | None = None, name: str = DEFAULT_NAME, more: Mapping[str, Entry] | None = None
) -> Framework:
    """One profile's framework; without a profile, the default one."""
    profile = profile or {}
    known = {**DEFAULTS, **(more or {})}
    args: Mapping[str, Any] = {c["name"]: c.get("args") or {} for c in profile.get("pluginConfig") or ()}
    written = profile.get("plugins") or {}
    everywhere = written.get("multiPoint") or {}
    off = {p["name"] for p in everywhere.get("disabled") or ()}
    own = [(p["name"], p.get("weight") or 0) for p in everywhere.get("enabled") or ()]
    own_names = {n for n, _ in own}
    # A default plugin which the profile enables again keeps its place, with the new weight, unless it was disabled.
    order: list[tuple[str, int]] = []
    if "*" not in off:
        replaced = dict(own)
        order = [(n, (replaced.get(n) or e.weight)) for n, e in DEFAULTS.items() if n not in off]
    kept = {n for n, _ in order}
    order += [(n, w) for n, w in own if n not in kept]

    made: dict[str, Any] = {}

    def plugin(of: str) -> Any:
        if of not in made:
            made[of] = known[of].make(args.get(of) or {})
        return made[of]

    points: dict[Point, list[Any]] = {}
    weights: dict[str, int] = {}
    for point in Point:
        here = written.get(point.key) or {}
        disabled = {p["name"] for p in here.get("disabled") or ()}
        enabled = [(p["name"], p.get("weight") or 0) for p in here.get("enabled") or ()]
        names = {n for n, _ in enabled}
        from_everywhere = (
            []
            if "*" in disabled
            else [(n, w) for n, w in order if n not in disabled and n not in names and point.takes(plugin(n))]
        )
        # What a point enables on its own runs first only where it overrides a multiPoint plugin.
        overriding = [(n, w) for n, w in enabled if n in {o for o, _ in order} and n in own_names | set(DEFAULTS)]
        following = [(n, w) for n, w in enabled if (n, w) not in overriding]
        points[point] = [plugin(n) for n, _ in (*overriding, *from_everywhere, *following)]
        if point is Point.SCORE:
            weights = {n: w or 1 for n, w in (*overriding, *from_everywhere, *following)}
    return Framework(name, points, weights, profile.get("percentageOfNodesToScore") or 0)
