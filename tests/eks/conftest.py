"""An endpoint with EKS on it, and the surroundings a cluster needs."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.server import AwsEndpoint
from terrarium.eks.hosting import Addon, ClusterId, Issue, Nodegroup, NoHost
from terrarium.eks.service import EksService


class Host(NoHost):
    """Runs nothing and remembers what it was told."""

    def __init__(self) -> None:
        self.issues: dict[str, Sequence[Issue]] = {}
        self.addons: list[str] = []

    async def addons_changed(self, cluster: ClusterId, addons: Sequence[Addon]) -> None:
        self.addons = [a.name for a in addons]

    async def addon_issues(self, cluster: ClusterId, addon: str) -> Sequence[Issue]:
        return self.issues.get(addon, ())

    async def nodegroups_changed(
        self, cluster: ClusterId, groups: Sequence[Nodegroup]
    ) -> Mapping[str, Sequence[Issue]]:
        return {g.name: self.issues.get(g.name, ()) for g in groups}


class Running:
    """An endpoint on an event loop of its own thread."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        clock, ids = Clock(), Ids()
        self.host = Host()
        self.endpoint = AwsEndpoint(folder, clock, ids, account="444455556666", region="ap-northeast-2")
        self.eks = EksService(self.endpoint.records, self.endpoint.view, self.host, clock, ids, "444455556666")
        self.endpoint.add(self.eks)
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
        from botocore.config import Config

        admin = self.endpoint.admin
        keys = {"aws_access_key_id": admin.access_key, "aws_secret_access_key": admin.secret}
        once = Config(retries={"total_max_attempts": 1})
        settings = {
            "region_name": "ap-northeast-2",
            "endpoint_url": self.endpoint.url,
            "config": once,
            **keys,
            **settings,
        }
        return botocore.session.Session().create_client(service, **settings)


def trust(*services: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": list(services)},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Ground:
    """A VPC with two private subnets and a public one, and a role for each purpose."""

    def __init__(self, running: Running) -> None:
        ec2, iam = running.client("ec2"), running.client("iam")
        self.vpc = ec2.create_vpc(CidrBlock="10.10.0.0/16")["Vpc"]["VpcId"]
        made = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.10.{i}.0/24", AvailabilityZone=f"ap-northeast-2{zone}")
            for i, zone in enumerate("aba")
        ]
        self.private = [m["Subnet"]["SubnetId"] for m in made[:2]]
        self.public = made[2]["Subnet"]["SubnetId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        ec2.associate_route_table(RouteTableId=table, SubnetId=self.public)
        services = {
            "cluster": "eks.amazonaws.com",
            "fargate": "eks-fargate-pods.amazonaws.com",
            "node": "ec2.amazonaws.com",
            "pods": "pods.eks.amazonaws.com",
        }
        self.role = {
            name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))["Role"]["Arn"]
            for name, service in services.items()
        }


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("world"))
    yield running
    running.close()


@pytest.fixture(scope="session")
def ground(running: Running) -> Ground:
    return Ground(running)


@pytest.fixture(scope="session")
def cluster(running: Running, ground: Ground) -> str:
    """An ACTIVE cluster with access entries."""
    eks = running.client("eks")
    eks.create_cluster(
        name="demo",
        version="1.30",
        roleArn=ground.role["cluster"],
        resourcesVpcConfig={"subnetIds": ground.private},
        accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"},
    )
    wait(eks, "cluster_active", name="demo")
    return "demo"


def wait(eks: Any, waiter: str, **names: str) -> None:
    eks.get_waiter(waiter).wait(**names, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500})
