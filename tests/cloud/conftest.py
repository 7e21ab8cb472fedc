"""A running endpoint for the tests of this folder: the ten lines which anybody needs to start one.

endpoint = AwsEndpoint(world_dir, Clock(), Ids(), services=[...], account="111122223333", region="ap-northeast-2")
await endpoint.start("127.0.0.1", 0)
...
await endpoint.close()
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.server import AwsEndpoint
from terrarium.eks.hosting import NoHost
from terrarium.eks.service import EksService

ACCOUNT = "111122223333"
REGION = "ap-northeast-2"


class Running:
    """An endpoint on an event loop of its own thread, so that blocking clients can be used against it."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.endpoint = AwsEndpoint(folder, Clock(), Ids(), account=ACCOUNT, region=REGION)
        records, view = self.endpoint.records, self.endpoint.view
        self.endpoint.add(EksService(records, view, NoHost(), Clock(), Ids(), ACCOUNT))
        self.run(self.endpoint.start("127.0.0.1", 0))

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def close(self) -> None:
        self.run(self.endpoint.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def client(self, service: str, **settings: Any) -> Any:
        import botocore.session

        admin = self.endpoint.admin
        keys = {"aws_access_key_id": admin.access_key, "aws_secret_access_key": admin.secret}
        settings = {"region_name": REGION, "endpoint_url": self.endpoint.url, **keys, **settings}
        return botocore.session.Session().create_client(service, **settings)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("world"))
    yield running
    running.close()
