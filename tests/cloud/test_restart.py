"""`kill -9` at any moment: what was acknowledged is there again, with the same ids, times and keys."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


class World:
    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("serve_world.py")
        self.process = subprocess.Popen([sys.executable, str(script), str(folder)], stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        self.about = json.loads(self.process.stdout.readline())

    def client(self, service: str) -> Any:
        return botocore.session.Session().create_client(
            service,
            region_name="ap-northeast-2",
            endpoint_url=self.about["url"],
            aws_access_key_id=self.about["key"],
            aws_secret_access_key=self.about["secret"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def world(folder: Path) -> Iterator[World]:
    running = World(folder)
    try:
        yield running
    finally:
        running.kill()


def picture(running: World) -> dict[str, Any]:
    """All that a client can see, without what changes from answer to answer."""
    seen: dict[str, Any] = {}
    ec2 = running.client("ec2")
    for name in ("vpcs", "subnets", "security_groups", "route_tables", "addresses", "nat_gateways", "instances",
                 "network_interfaces", "volumes", "key_pairs", "network_acls", "internet_gateways"):  # fmt: skip
        seen[name] = getattr(ec2, f"describe_{name}")()
    seen["roles"] = running.client("iam").list_roles()
    kms = running.client("kms")
    seen["keys"] = [kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"] for k in kms.list_keys()["Keys"]]
    seen["public"] = [
        kms.get_public_key(KeyId=k["KeyId"])["PublicKey"] for k in seen["keys"] if k.get("KeySpec") == "RSA_2048"
    ]
    seen["log groups"] = running.client("logs").describe_log_groups()
    seen["parameter"] = running.client("ssm").get_parameter(Name="/a", WithDecryption=True)["Parameter"]
    seen["cluster"] = running.client("eks").describe_cluster(name="demo")["cluster"]
    s3 = running.client("s3")
    seen["object"] = s3.get_object(Bucket="things", Key="k")["Body"].read()
    seen["objects"] = s3.list_objects_v2(Bucket="things")["Contents"]
    for value in seen.values():
        if isinstance(value, dict):
            value.pop("ResponseMetadata", None)
    return seen


def build(running: World) -> None:
    ec2, s3 = running.client("ec2"), running.client("s3")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    zones = ["ap-northeast-2a", "ap-northeast-2b"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.1.{i}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for i, zone in enumerate(zones)
    ]
    ec2.create_nat_gateway(SubnetId=subnets[0], AllocationId=ec2.allocate_address(Domain="vpc")["AllocationId"])
    ec2.run_instances(
        ImageId="ami-084e92d3e117f7692", InstanceType="t2.micro", MinCount=1, MaxCount=1, SubnetId=subnets[1]
    )
    ec2.create_key_pair(KeyName="k")
    kms = running.client("kms")
    kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
    running.client("ssm").put_parameter(Name="/a", Value="b", Type="SecureString")
    running.client("logs").create_log_group(logGroupName="g")
    s3.create_bucket(Bucket="things", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    s3.put_object(Bucket="things", Key="k", Body=b"content")
    role = running.client("iam").create_role(RoleName="eks", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    eks = running.client("eks")
    eks.create_cluster(name="demo", roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
    eks.get_waiter("cluster_active").wait(name="demo", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})


def test_the_same_world_after_a_kill(tmp_path: Path) -> None:
    with world(tmp_path) as first:
        build(first)
        before, keys = picture(first), first.about
    with world(tmp_path) as second:
        assert (second.about["key"], second.about["secret"]) == (keys["key"], keys["secret"])
        assert picture(second) == before


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    """Four clients write until the process is killed after a random number of acknowledgements."""
    acknowledged: set[str] = set()
    enough = threading.Event()
    limit = random.Random(seed).randrange(5, 40)

    def work(running: World, number: int) -> None:
        iam, ec2, logs = running.client("iam"), running.client("ec2"), running.client("logs")
        step = 0
        try:
            while True:
                name = f"w{number}-{step}"
                match step % 3:
                    case 0:
                        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
                    case 1:
                        name = ec2.create_security_group(GroupName=name, Description="d")["GroupId"]
                    case 2:
                        logs.create_log_group(logGroupName=name)
                acknowledged.add(name)
                step += 1
                if len(acknowledged) >= limit:
                    enough.set()
        except (BotoCoreError, ClientError):
            return

    with world(tmp_path) as running:
        threads = [threading.Thread(target=work, args=(running, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        running.kill()
        for thread in threads:
            thread.join()
    with world(tmp_path) as again:
        found = {r["RoleName"] for r in again.client("iam").list_roles()["Roles"]}
        found |= {g["GroupId"] for g in again.client("ec2").describe_security_groups()["SecurityGroups"]}
        found |= {g["logGroupName"] for g in again.client("logs").describe_log_groups()["logGroups"]}
    assert acknowledged <= found
