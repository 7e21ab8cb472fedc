"""How long a world takes from nothing: `up`, CreateCluster, the first pod, and what memory it holds then.

Goals (see README): an answering AWS endpoint in 1 s and 150 MB; a cluster in 0.5 s and 60 MB more; a pod Running 0.1 s
after it was applied.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from terrarium.base.clock import real_sleep, stopwatch

ROUNDS = 3
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "first", "namespace": "study-bench"},
    "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]},
}


def _memory(pid: int) -> float:
    """Proportional set size in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _round(folder: Path) -> dict[str, float]:
    import boto3  # imported here: the first import is not part of what is measured

    environment = {**os.environ, "TERRARIUM_DIR": str(folder)}
    figures: dict[str, float] = {}

    elapsed = stopwatch()
    status = json.loads(
        subprocess.check_output(
            ["terrarium", "up", "-d", "--aws-port", "0", "--console-port", "0", "--json"], env=environment
        )
    )
    variables = json.loads(subprocess.check_output(["terrarium", "env", "--json"], env=environment))
    session = boto3.Session(
        variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name=variables["AWS_REGION"]
    )
    session.client("sts", endpoint_url=status["aws"]).get_caller_identity()
    figures["up to an answered AWS call, s"] = elapsed()
    pid = status["pid"]
    figures["memory after up, MB"] = _memory(pid)

    try:
        figures |= _cluster(session, status["aws"], pid, environment | variables)
        figures["CPU of it all, s"] = _cpu(pid)
    finally:
        subprocess.run(["terrarium", "down"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return figures


def _cluster(session: Any, endpoint: str, pid: int, environment: dict[str, str]) -> dict[str, float]:
    figures: dict[str, float] = {}
    ec2 = session.client("ec2", endpoint_url=endpoint)
    iam = session.client("iam", endpoint_url=endpoint)
    eks = session.client("eks", endpoint_url=endpoint)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = [z["ZoneName"] for z in ec2.describe_availability_zones()["AvailabilityZones"]][:2]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate(zones)
    ]

    def role(name: str, service: str) -> str:
        trust = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
        }
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        return arn

    cluster_role, pod_role = role("cluster", "eks.amazonaws.com"), role("pods", "eks-fargate-pods.amazonaws.com")
    before = figures["memory once EC2 is loaded, MB"] = _memory(pid)
    elapsed = stopwatch()
    eks.create_cluster(
        name="bench",
        roleArn=cluster_role,
        resourcesVpcConfig={"subnetIds": subnets},
        accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
    )
    while eks.describe_cluster(name="bench")["cluster"]["status"] != "ACTIVE":
        real_sleep(0.01)
    figures["CreateCluster to ACTIVE, s"] = elapsed()
    figures["memory of the cluster, MB"] = _memory(pid) - before
    eks.create_fargate_profile(
        clusterName="bench",
        fargateProfileName="all",
        podExecutionRoleArn=pod_role,
        subnets=subnets,
        selectors=[{"namespace": "study-*"}],
    )
    while (
        eks.describe_fargate_profile(clusterName="bench", fargateProfileName="all")["fargateProfile"]["status"]
        != "ACTIVE"
    ):
        real_sleep(0.01)
    figures["first pod Running after apply, s"] = _first_pod(environment)
    return figures


def _first_pod(environment: dict[str, str]) -> float:
    """From the API's acknowledgement of a pod to its phase Running, as a watching client sees it."""
    subprocess.run(
        ["aws", "eks", "update-kubeconfig", "--name", "bench"], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    kubectl = ["kubectl"]
    subprocess.run(
        [*kubectl, "create", "namespace", "study-bench"], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    watch = subprocess.Popen(
        [
            *kubectl,
            "get",
            "pods",
            "-n",
            "study-bench",
            "--watch",
            "--no-headers",
            "-o",
            "custom-columns=P:.status.phase",
        ],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    real_sleep(2.0)
    subprocess.run(
        [*kubectl, "apply", "-f", "-"],
        input=json.dumps(POD),
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.DEVNULL,
    )
    elapsed = stopwatch()
    assert watch.stdout is not None
    for line in watch.stdout:
        if line.strip() == "Running":
            break
    seconds = elapsed()
    watch.terminate()
    watch.wait()
    return seconds


def main(arguments: list[str]) -> int:
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as folder:
            rounds.append(_round(Path(folder)))
    print(f"{'':<40}{'min':>9}{'median':>9}{'max':>9}")
    for name in rounds[0]:
        values = sorted(r[name] for r in rounds)
        print(f"{name:<40}{values[0]:>9.3f}{values[len(values) // 2]:>9.3f}{values[-1]:>9.3f}")
    return 0
