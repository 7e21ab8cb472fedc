"""The plan of aws objects, as a pure function of schema, state and configuration."""

import pytest

from terrarium.language.values import Value
from terrarium.providers.aws.planning import Rules, conflicts, draw
from terrarium.providers.aws.schemas import Schemas
from terrarium.providers.aws.table import DATA_SOURCES, RESOURCES
from terrarium.providers.values import UNKNOWN, block_value, plain

TYPES = Schemas("resources")


def value(type: str, data: dict) -> Value:
    return block_value(TYPES[type].block, data)


def test_new_objects_have_defaults_and_unknowns():
    drawn = draw(TYPES.spec("aws_vpc"), Rules(), None, value("aws_vpc", {"cidr_block": "10.0.0.0/16"}))
    planned = plain(drawn.value(TYPES["aws_vpc"].block.type))
    assert planned["cidr_block"] == "10.0.0.0/16"
    assert planned["enable_dns_support"] is True
    assert planned["instance_tenancy"] == "default"
    assert planned["arn"] is UNKNOWN
    assert planned["ipv4_netmask_length"] is None


SUBNET = {
    "id": "subnet-1",
    "vpc_id": "vpc-1",
    "cidr_block": "10.0.0.0/24",
    "tags": {},
    "tags_all": {},
    "outpost_arn": "",
}


@pytest.mark.parametrize(
    "config, replace, changed",
    [
        pytest.param({"vpc_id": "vpc-1", "cidr_block": "10.0.0.0/24"}, [], set(), id="null is the zero value"),
        pytest.param(
            {"vpc_id": "vpc-1", "cidr_block": "10.0.1.0/24"}, [("cidr_block",)], {"cidr_block"}, id="another range"
        ),
        pytest.param(
            {"vpc_id": UNKNOWN, "cidr_block": "10.0.0.0/24"}, [("vpc_id",)], {"vpc_id"}, id="unknown replaces"
        ),
        pytest.param(
            {"vpc_id": "vpc-1", "cidr_block": "10.0.0.0/24", "map_public_ip_on_launch": True},
            [],
            {"map_public_ip_on_launch"},
            id="in place",
        ),
    ],
)
def test_updates(config, replace, changed):
    defaults = {
        name: flags["default"] for name, flags in TYPES.spec("aws_subnet")["attributes"].items() if "default" in flags
    }
    prior = value("aws_subnet", {**defaults, **SUBNET})
    drawn = draw(TYPES.spec("aws_subnet"), Rules(), prior, value("aws_subnet", config))
    assert drawn.replace == replace
    assert drawn.changed == changed


def test_removed_collections_become_empty():
    prior = value("aws_subnet", {**SUBNET, "tags": {"a": "b"}})
    drawn = draw(
        TYPES.spec("aws_subnet"), Rules(), prior, value("aws_subnet", {"vpc_id": "vpc-1", "cidr_block": "10.0.0.0/24"})
    )
    assert plain(drawn.members["tags"]) == {}


def test_documents_of_one_meaning_are_no_change():
    rules = RESOURCES["aws_iam_policy"].rules
    written = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["b:*","a:*"],"Resource":"*"}]}'
    kept = '{"Statement":{"Action":["a:*","b:*"],"Effect":"Allow","Resource":["*"]},"Version":"2012-10-17"}'
    prior = value("aws_iam_policy", {"id": "x", "name": "p", "path": "/", "policy": kept})
    drawn = draw(TYPES.spec("aws_iam_policy"), rules, prior, value("aws_iam_policy", {"name": "p", "policy": written}))
    assert drawn.members["policy"].data == kept
    assert "policy" not in drawn.changed


def test_arguments_that_exclude_each_other():
    config = value("aws_iam_role", {"name": "a", "name_prefix": "b", "assume_role_policy": "{}"})
    assert ("name", "Conflicting configuration arguments", '"name": conflicts with name_prefix') in conflicts(
        TYPES.spec("aws_iam_role"), config.data
    )


def test_the_table_serves_types_of_the_schema():
    assert set(RESOURCES) <= set(TYPES)
    assert set(DATA_SOURCES) <= set(Schemas("data_sources"))
