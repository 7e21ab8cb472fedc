"""A whole world as its users see it: commands, clients, kills. Real processes, real sockets, real SQLite."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from terrarium.base.clock import real_sleep
from terrarium.kube.client.contract import CONFIG_MAPS, ApiError
from terrarium.kube.client.http import HttpClient, Transport
from terrarium.kube.client.kubeconfig import load

pytestmark = [
    pytest.mark.live,
    # A server that is killed leaves connections behind on which nobody can hang up in an orderly way.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

KILLS = 20


class World:
    """A world in a folder, driven by its command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "TERRARIUM_DIR": str(folder), "AWS_REGION": "ap-northeast-2"}

    def run(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "terrarium", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        if code is not None:
            assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def up(self) -> Any:
        ports = [] if (self.folder / "world.json").exists() else ["--aws-port", "0", "--console-port", "0"]
        return self.json("up", "-d", *ports)

    def boto(self, service: str) -> Any:
        import boto3

        variables = self.json("env")
        return boto3.client(
            service,
            endpoint_url=variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
            region_name=variables["AWS_REGION"],
        )

    def create_cluster(self, name: str) -> str:
        """Makes a cluster with what it needs; returns its endpoint once it is ACTIVE."""
        ec2, iam, eks = self.boto("ec2"), self.boto("iam"), self.boto("eks")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"ap-northeast-2{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        principal = {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [principal]})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        eks.create_cluster(name=name, roleArn=role, resourcesVpcConfig={"subnetIds": subnets})
        return self.endpoint(name)

    def endpoint(self, name: str) -> str:
        eks = self.boto("eks")
        for _ in range(600):
            cluster = eks.describe_cluster(name=name)["cluster"]
            if cluster["status"] == "ACTIVE" and cluster.get("endpoint"):
                return str(cluster["endpoint"])
            real_sleep(0.05)
        raise AssertionError(f"cluster {name} does not become ACTIVE")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = World(tmp_path / "world")
    yield found
    found.run("down", code=None)


def test_what_was_acknowledged_survives_a_kill_at_any_moment(world: World, tmp_path: Path) -> None:
    status = world.up()
    endpoint = world.create_cluster("demo")
    kubeconfig = tmp_path / "kubeconfig"
    world.run("kubeconfig", "demo", "-o", str(kubeconfig))
    variables = world.json("env")
    chance = random.Random(20)
    acknowledged: list[str] = []
    buckets: list[str] = []

    async def load_until_death(pid: int, delay: float, round_: int) -> None:
        transport = Transport(load(kubeconfig))
        client = HttpClient(transport)

        async def write(writer: int) -> None:
            for number in range(100_000):
                name = f"r{round_}-w{writer}-{number}"
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}}
                try:
                    await client.create(CONFIG_MAPS, body, "default")
                except (ApiError, OSError, asyncio.IncompleteReadError, EOFError, ValueError):
                    return
                acknowledged.append(name)

        loop = asyncio.get_running_loop()
        loop.call_later(delay, os.kill, pid, signal.SIGKILL)
        await asyncio.gather(*(write(w) for w in range(4)))
        await transport.close()
        for _ in range(5):
            await asyncio.sleep(0)

    for round_ in range(KILLS):
        bucket = f"bucket-{round_}"
        world.boto("s3").create_bucket(
            Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
        )
        buckets.append(bucket)
        asyncio.run(load_until_death(status["pid"], chance.uniform(0.02, 0.4), round_))
        status = world.up()
        assert world.endpoint("demo") == endpoint
        assert world.json("env") == variables

    async def names() -> set[str]:
        transport = Transport(load(kubeconfig))
        for _ in range(200):
            try:
                listed = await HttpClient(transport).list(CONFIG_MAPS, "default")
                await transport.close()
                return {o["metadata"]["name"] for o in listed.items}
            except OSError:
                real_sleep(0.05)
        raise AssertionError("the cluster does not come back")

    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= asyncio.run(names())
    assert set(buckets) <= {b["Name"] for b in world.boto("s3").list_buckets()["Buckets"]}


def test_a_full_disk_refuses_changes_and_heals(world: World) -> None:
    """No file may grow any more: to a program that is a full disk."""
    from botocore.exceptions import ClientError

    pid = world.up()["pid"]
    s3 = world.boto("s3")
    s3.create_bucket(Bucket="before", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    free = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    with pytest.raises(ClientError, match=r"ServiceUnavailable.*can't be written"):
        s3.create_bucket(Bucket="refused", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    assert "before" in {b["Name"] for b in s3.list_buckets()["Buckets"]}
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    s3.create_bucket(Bucket="after", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    seen = {b["Name"] for b in s3.list_buckets()["Buckets"]}
    assert {"before", "after"} <= seen
    os.kill(pid, signal.SIGKILL)
    world.up()
    assert {b["Name"] for b in world.boto("s3").list_buckets()["Buckets"]} == seen


def test_down_leaves_nothing_and_up_brings_it_back(world: World) -> None:
    first = world.up()
    world.run("down")
    with pytest.raises(ProcessLookupError):
        os.kill(first["pid"], 0)
    assert not (world.folder / "control.sock").exists()
    second = world.up()
    assert {k: first[k] for k in ("aws", "console", "account")} == {k: second[k] for k in ("aws", "console", "account")}


def test_a_second_up_on_the_same_folder_is_refused(world: World) -> None:
    pid = world.up()["pid"]
    refused = world.run("up", "-d", code=1)
    assert f"a world is already running in {world.folder} (process {pid})" in refused.stderr
    assert "terrarium status" in refused.stderr


def test_a_taken_port_is_named(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = world.run("up", "-d", "--aws-port", "0", "--console-port", str(port), code=1)
    assert f"port {port} for the console is taken" in refused.stderr
    assert "--console-port" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({"world.json": "{"}, "is not readable as JSON", id="half a file"),
        pytest.param({"world.json": "[]"}, "of a format which this version", id="another document"),
        pytest.param({"world.json": '{"format": 1}'}, "is missing or wrong", id="settings missing"),
        pytest.param({"notes.txt": "mine"}, "holds files (notes.txt) but no world.json", id="somebody else's folder"),
    ],
)
def test_a_broken_folder_is_refused_with_a_sentence(world: World, files: dict[str, str], words: str) -> None:
    world.folder.mkdir()
    for name, text in files.items():
        (world.folder / name).write_text(text)
    refused = world.run("up", "-d", code=1)
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
    for name, text in files.items():
        assert (world.folder / name).read_text() == text


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = World(tmp_path / "file/world").run("up", "-d", code=1)
    assert "can't write into" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["status"], 1, "no world is running"),
        (["down"], 0, "No world is running"),
        (["clock", "advance", "soon"], 2, "is no duration"),
        (["upp"], 2, "Did you mean 'up'?"),
        (["lab", "nothing"], 2, "no chapter 'nothing'"),
        (["kubeconfig"], 1, "no world is running"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_wrong_calls_end_with_a_sentence_and_a_code(world: World, words: list[str], code: int, says: str) -> None:
    done = world.run(*words, code=code)
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_clock_jumps_and_stays_ahead(world: World) -> None:
    before = world.up()["clock"]
    after = world.json("clock", "advance", "21d")["clock"]
    world.run("down")
    later = world.up()["clock"]
    assert before < after <= later
    assert world.json("clock")["ahead"] == pytest.approx(21 * 86_400, abs=1)
