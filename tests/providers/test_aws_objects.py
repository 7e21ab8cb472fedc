"""aws objects made, read, changed and deleted through the contract, against moto in this process."""

import json

import pytest
from moto import mock_aws

from terrarium.language.values import Value, null
from terrarium.providers import builtin, supported_hint
from terrarium.providers.values import block_value, plain

AWS = "registry.terraform.io/hashicorp/aws"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "eks.amazonaws.com"}}],
    }
)


class World:
    """One provider, and the engine's steps in their shortest form."""

    def __init__(self, **config: object) -> None:
        self.provider = builtin()[AWS].create()
        self.schema = self.provider.schema()
        settings = {"region": "ap-northeast-2", "access_key": "AKIDEXAMPLE", "secret_key": "s", **config}
        self.said = self.provider.configure(block_value(self.schema.provider.block, settings))

    def make(self, type: str, config: dict, prior: Value | None = None) -> dict:
        self.object = self._make(type, config, prior)
        return plain(self.object)

    def _make(self, type: str, config: dict, prior: Value | None) -> Value:
        block = self.schema.resources[type].block
        given = block_value(block, config)
        assert not self.provider.validate_resource(type, given)
        before = null(block.type) if prior is None else prior
        plan = self.provider.plan(type, before, given, given, b"")
        assert not plan.diagnostics and not plan.replace
        done = self.provider.apply(type, before, plan.planned, given, plan.private)
        assert not done.diagnostics, done.diagnostics
        assert done.value.is_wholly_known
        seen = self.provider.read(type, done.value, done.private)
        again = self.provider.plan(type, seen.value, given, given, done.private)
        assert again.planned == seen.value, "a second plan changes nothing"
        return seen.value

    def gone(self, type: str, object: Value) -> bool:
        none = null(object.type)
        done = self.provider.apply(type, object, none, none, b"")
        assert not done.diagnostics, done.diagnostics
        return self.provider.read(type, object, b"").value.is_null

    def data(self, type: str, config: dict) -> dict:
        found = self.provider.read_data(type, block_value(self.schema.data_sources[type].block, config))
        assert not found.diagnostics, found.diagnostics
        return plain(found.value)


@pytest.fixture
def world(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        made = World(default_tags=[{"tags": {"Owner": "lab"}}])
        assert not made.said
        yield made
        made.provider.close()


def test_a_network(world):
    vpc = world.make("aws_vpc", {"cidr_block": "10.10.0.0/16", "enable_dns_hostnames": True, "tags": {"Name": "lab"}})
    assert vpc["tags"] == {"Name": "lab"}
    assert vpc["tags_all"] == {"Name": "lab", "Owner": "lab"}
    subnet = world.make(
        "aws_subnet", {"vpc_id": vpc["id"], "cidr_block": "10.10.0.0/24", "map_public_ip_on_launch": True}
    )
    assert subnet["map_public_ip_on_launch"] is True
    gateway = world.make("aws_internet_gateway", {"vpc_id": vpc["id"]})
    table = world.make(
        "aws_route_table", {"vpc_id": vpc["id"], "route": [{"cidr_block": "0.0.0.0/0", "gateway_id": gateway["id"]}]}
    )
    assert [r["gateway_id"] for r in table["route"]] == [gateway["id"]]
    world.make("aws_route_table_association", {"subnet_id": subnet["id"], "route_table_id": table["id"]})
    other = world.make("aws_route_table", {"vpc_id": vpc["id"]})
    address = world.make("aws_eip", {"domain": "vpc"})
    nat = world.make("aws_nat_gateway", {"allocation_id": address["id"], "subnet_id": subnet["id"]})
    route = {"route_table_id": other["id"], "destination_cidr_block": "0.0.0.0/0", "nat_gateway_id": nat["id"]}
    assert world.make("aws_route", route)["id"] == f"r-{other['id']}1080289494"
    assert world.gone("aws_route", world.object)
    adopted = world.make("aws_default_security_group", {"vpc_id": vpc["id"]})
    assert adopted["egress"] == []
    assert world.data("aws_subnets", {"filter": [{"name": "vpc-id", "values": [vpc["id"]]}]})["ids"] == [subnet["id"]]


def test_an_instance_keeps_its_id_when_tags_change(world):
    config = {"ami": "ami-084e92d3e117f7692", "instance_type": "t2.micro"}
    first = world.make("aws_instance", config)
    second = world.make("aws_instance", {**config, "tags": {"Name": "x"}}, world.object)
    assert second["id"] == first["id"]
    assert second["tags"] == {"Name": "x"}
    assert world.gone("aws_instance", world.object)


def test_security_group_rules(world):
    vpc = world.make("aws_vpc", {"cidr_block": "10.10.0.0/16"})
    rule = {"from_port": 443, "to_port": 443, "protocol": "tcp", "cidr_blocks": ["10.0.0.0/8"], "description": "https"}
    group = world.make("aws_security_group", {"name": "a", "vpc_id": vpc["id"], "ingress": [rule]})
    assert group["ingress"][0]["cidr_blocks"] == ["10.0.0.0/8"] and group["egress"] == []
    own = {"security_group_id": group["id"], "type": "egress", "protocol": "-1", "from_port": 0, "to_port": 0}
    assert world.make("aws_security_group_rule", {**own, "cidr_blocks": ["0.0.0.0/0"]})["id"].startswith("sgrule-")
    assert world.gone("aws_security_group_rule", world.object)


def test_identity(world):
    role = world.make("aws_iam_role", {"name": "cluster", "assume_role_policy": TRUST})
    assert role["arn"] == "arn:aws:iam::123456789012:role/cluster"
    held = world.object
    document = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    )
    policy = world.make("aws_iam_policy", {"name": "p", "policy": document})
    world.make("aws_iam_role_policy_attachment", {"role": "cluster", "policy_arn": policy["arn"]})
    assert world.gone("aws_iam_role_policy_attachment", world.object)
    assert world.gone("aws_iam_role", held)


def test_errors_are_in_the_words_of_the_real_provider(world):
    world.make("aws_iam_role", {"name": "a", "assume_role_policy": TRUST})
    block = world.schema.resources["aws_iam_role"].block
    config = block_value(block, {"name": "a", "assume_role_policy": TRUST})
    plan = world.provider.plan("aws_iam_role", null(block.type), config, config, b"")
    done = world.provider.apply("aws_iam_role", null(block.type), plan.planned, config, b"")
    [said] = done.diagnostics
    assert said.summary.startswith(
        "creating IAM Role (a): operation error IAM: CreateRole, https response error StatusCode: 409, RequestID: "
    )
    assert said.summary.rstrip().endswith("EntityAlreadyExists: Role with name a already exists.")
    assert done.value.is_null


@pytest.mark.parametrize(
    "config, summary",
    [
        pytest.param({"region": "mars-north-1"}, "invalid AWS Region: mars-north-1", id="no such region"),
        pytest.param({"region": ""}, "invalid AWS Region: ", id="no region"),
    ],
)
def test_configuration_errors(config, summary, monkeypatch, tmp_path):
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    assert [d.summary for d in World(**config).said] == [summary]


def test_types_that_are_not_served_say_so():
    hint = 'Terrarium\'s aws provider does not serve "aws_sqs_queue" yet.'
    assert supported_hint("aws_sqs_queue") == hint
    assert supported_hint("aws_no_such_thing") is None
    provider = builtin()[AWS].create()
    config = block_value(provider.schema().resources["aws_sqs_queue"].block, {})
    assert hint in provider.validate_resource("aws_sqs_queue", config)[0].detail
