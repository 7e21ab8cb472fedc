"""EC2 as AWS answers it where moto does not: each repair, seen through a real SDK."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

IMAGE = "ami-084e92d3e117f7692"


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return str(caught.value.response["Error"]["Code"])


@pytest.fixture(scope="module")
def ec2(running: Any) -> Any:
    return running.client("ec2", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture(scope="module")
def subnet(ec2: Any) -> dict[str, Any]:
    vpc = ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]
    made: dict[str, Any] = ec2.create_subnet(VpcId=vpc, CidrBlock="10.50.1.0/24")["Subnet"]
    return made


def test_an_instance_is_complete(ec2: Any) -> None:
    made = ec2.run_instances(ImageId=IMAGE, InstanceType="t2.micro", MinCount=1, MaxCount=2, ClientToken="once")
    ids = [i["InstanceId"] for i in made["Instances"]]
    assert len(ids) == 2
    again = ec2.run_instances(ImageId=IMAGE, InstanceType="t2.micro", MinCount=1, MaxCount=2, ClientToken="once")
    assert [i["InstanceId"] for i in again["Instances"]] == ids
    shown = ec2.describe_instances(InstanceIds=ids[:1])["Reservations"][0]["Instances"][0]
    expected = {
        "VirtualizationType": "hvm",
        "RootDeviceName": "/dev/xvda",
        "PlatformDetails": "Linux/UNIX",
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
        "EnclaveOptions": {"Enabled": False},
    }
    assert {k: shown[k] for k in expected} == expected
    assert "KernelId" not in shown
    assert "StateReason" not in shown
    assert shown["SecurityGroups"][0]["GroupName"] == "default"
    assert shown["BlockDeviceMappings"][0]["DeviceName"] == "/dev/xvda"
    assert shown["NetworkInterfaces"][0]["Attachment"]["DeleteOnTermination"] is True
    network = ec2.describe_subnets(SubnetIds=[shown["SubnetId"]])["Subnets"][0]["CidrBlock"]
    assert ipaddress.ip_address(shown["PrivateIpAddress"]) in ipaddress.ip_network(network)
    ec2.terminate_instances(InstanceIds=ids)
    interface = shown["NetworkInterfaces"][0]["NetworkInterfaceId"]
    assert (
        refusal(ec2.describe_network_interfaces, NetworkInterfaceIds=[interface])
        == "InvalidNetworkInterfaceID.NotFound"
    )


def test_the_image_is_known(ec2: Any) -> None:
    image = ec2.describe_images(ImageIds=[IMAGE])["Images"][0]
    assert (image["VirtualizationType"], image["RootDeviceName"], image["ImageOwnerAlias"]) == (
        "hvm",
        "/dev/xvda",
        "amazon",
    )


def test_nat_gateway_and_elastic_address(ec2: Any, subnet: dict[str, Any]) -> None:
    address = ec2.allocate_address(Domain="vpc")
    assert not ipaddress.ip_address(address["PublicIp"]).is_private
    made = ec2.create_nat_gateway(SubnetId=subnet["SubnetId"], AllocationId=address["AllocationId"])["NatGateway"]
    shown = ec2.describe_nat_gateways(NatGatewayIds=[made["NatGatewayId"]])["NatGateways"][0]["NatGatewayAddresses"][0]
    assert ipaddress.ip_address(shown["PrivateIp"]) in ipaddress.ip_network("10.50.1.0/24")
    assert (shown["PublicIp"], shown["Status"], shown["IsPrimary"]) == (address["PublicIp"], "succeeded", True)
    assert refusal(ec2.delete_subnet, SubnetId=subnet["SubnetId"]) == "DependencyViolation"
    ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    left = ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"][0]
    assert "AssociationId" not in left
    assert (left["NetworkBorderGroup"], left["PublicIpv4Pool"]) == ("ap-northeast-2", "amazon")
    ec2.release_address(AllocationId=address["AllocationId"])


def test_groups(ec2: Any, subnet: dict[str, Any]) -> None:
    vpc = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
    default = ec2.describe_security_groups(Filters=vpc)["SecurityGroups"][0]
    assert default["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == default["GroupId"]
    assert refusal(ec2.delete_security_group, GroupId=default["GroupId"]) == "CannotDelete"
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=subnet["VpcId"])["GroupId"]
    interface = ec2.create_network_interface(SubnetId=subnet["SubnetId"], Groups=[group])["NetworkInterface"]
    assert refusal(ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    ec2.delete_security_group(GroupId=group)


def test_zones(ec2: Any) -> None:
    def names(**filters: str) -> list[str]:
        wanted = [{"Name": k.replace("_", "-"), "Values": [v]} for k, v in filters.items()]
        return [z["ZoneName"] for z in ec2.describe_availability_zones(Filters=wanted)["AvailabilityZones"]]

    assert names(opt_in_status="opt-in-not-required", state="available")[:2] == ["ap-northeast-2a", "ap-northeast-2b"]
    assert names(opt_in_status="not-opted-in") == []
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]
    assert (zone["OptInStatus"], zone["NetworkBorderGroup"]) == ("opt-in-not-required", "ap-northeast-2")


def test_a_vpc_goes_with_its_default_group(ec2: Any) -> None:
    vpc = ec2.create_vpc(CidrBlock="10.60.0.0/16")["Vpc"]["VpcId"]
    ec2.delete_vpc(VpcId=vpc)
    assert refusal(ec2.describe_vpcs, VpcIds=[vpc]) == "InvalidVpcID.NotFound"


def test_the_default_vpc_leads_to_the_internet(running: Any, ec2: Any) -> None:
    subnet = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]
    seen = running.run(running.endpoint.view.subnet("ap-northeast-2", subnet["SubnetId"]))
    assert (seen.public, seen.cidr, seen.zone) == (True, subnet["CidrBlock"], subnet["AvailabilityZone"])


def test_the_endpoint_starts_without_heavy_libraries() -> None:
    code = "import sys, terrarium.cloud.server, terrarium.eks.service; print([m for m in ('moto', 'botocore', 'boto3') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
