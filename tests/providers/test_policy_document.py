"""Policy documents byte for byte, with ids as the real provider makes them."""

import pytest

from terrarium.providers import builtin
from terrarium.providers.aws.policies import equivalent, version_first
from terrarium.providers.values import block_value, plain

CASES = [
    pytest.param(
        {
            "statement": [
                {
                    "sid": "A",
                    "actions": ["sts:AssumeRole", "sts:TagSession"],
                    "principals": [{"type": "Service", "identifiers": ["eks.amazonaws.com"]}],
                }
            ]
        },
        "2803117982",
        '{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":["sts:TagSession","sts:AssumeRole"],'
        '"Principal":{"Service":"eks.amazonaws.com"}}]}',
        id="trust policy",
    ),
    pytest.param(
        {
            "policy_id": "pid",
            "statement": [
                {
                    "effect": "Deny",
                    "not_actions": ["iam:*"],
                    "resources": ["*"],
                    "condition": [
                        {
                            "test": "StringEquals",
                            "variable": "aws:RequestedRegion",
                            "values": ["ap-northeast-2", "us-east-1"],
                        },
                        {"test": "Bool", "variable": "aws:SecureTransport", "values": ["true"]},
                    ],
                },
                {
                    "actions": ["s3:GetObject"],
                    "resources": ["arn:aws:s3:::b/*", "arn:aws:s3:::a/*"],
                    "principals": [{"type": "AWS", "identifiers": ["*"]}],
                },
                {
                    "actions": ["sts:AssumeRoleWithWebIdentity"],
                    "principals": [
                        {"type": "Federated", "identifiers": ["arn:x", "arn:b"]},
                        {"type": "AWS", "identifiers": ["111122223333"]},
                    ],
                },
            ],
        },
        "1304116843",
        None,
        id="conditions and several principals",
    ),
]


@pytest.mark.parametrize("config, id, minified", CASES)
def test_documents(config, id, minified):
    provider = builtin()["registry.terraform.io/hashicorp/aws"].create()
    block = provider.schema().data_sources["aws_iam_policy_document"].block
    seen = plain(provider.read_data("aws_iam_policy_document", block_value(block, config)).value)
    assert seen["id"] == id
    assert minified is None or seen["minified_json"] == minified


def test_version_stands_first():
    assert version_first('{"Statement": [], "Version": "2012-10-17"}') == '{"Version":"2012-10-17","Statement":[]}'


@pytest.mark.parametrize(
    "a, b, same",
    [
        pytest.param('{"Statement":[{"Action":"a"}]}', '{"Statement":{"Action":["a"]}}', True, id="one or a list"),
        pytest.param(
            '{"Statement":[{"Principal":{"AWS":"111122223333"}}]}',
            '{"Statement":[{"Principal":{"AWS":"arn:aws:iam::111122223333:root"}}]}',
            True,
            id="an account is its root",
        ),
        pytest.param('{"Statement":[{"Action":"a"}]}', '{"Statement":[{"Action":"b"}]}', False, id="another action"),
        pytest.param("no json", "no json", True, id="equal text"),
    ],
)
def test_equivalence(a, b, same):
    assert equivalent(a, b) is same
