"""Takes time out of moto's start and of each call, without changing what it answers.

Measured for a world of 500 journaled calls; see docs/decisions/0003-aws-state.md.
"""

from __future__ import annotations

import functools
import json
from typing import Any

import orjson

from terrarium.cloud.determinism import Shadow, moto
from terrarium.cloud.regions import REGIONS


def quicken() -> None:
    """Patches moto and the model loader it uses; called once, before any service of moto's is imported."""
    import botocore.loaders as loaders

    def loads(text: Any, **_: Any) -> Any:
        return orjson.loads(text)

    fast = Shadow(json, loads=loads)
    # 30 MB of JSON: service models, instance types, images.
    vars(loaders)["json"] = fast
    moto("utilities.utils").json = fast
    # moto lists a class's methods anew for each call.
    responses = moto("core.responses")
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)
    # boto3 reads all endpoints of all services to tell the regions of one.
    regions = sorted(REGIONS)
    moto("core.base_backend").AccountSpecificBackend._generate_regions = lambda backends, service: regions
