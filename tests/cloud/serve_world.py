"""A whole endpoint as a process of its own, for tests which kill it: `python serve_world.py FOLDER`.

Prints one line of JSON (url, access key, secret) when it answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.server import AwsEndpoint
from terrarium.eks.hosting import NoHost
from terrarium.eks.service import EksService


async def main(folder: Path) -> None:
    clock, ids = Clock(), Ids()
    endpoint = AwsEndpoint(folder, clock, ids, account="111122223333", region="ap-northeast-2")
    endpoint.add(EksService(endpoint.records, endpoint.view, NoHost(), clock, ids, endpoint.account))
    await endpoint.start("127.0.0.1", 0)
    admin = endpoint.admin
    print(json.dumps({"url": endpoint.url, "key": admin.access_key, "secret": admin.secret}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main(Path(sys.argv[1])))
