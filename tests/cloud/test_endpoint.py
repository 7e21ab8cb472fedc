"""Requests of a real SDK through the whole endpoint: what is answered, and how what is wrong is refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"total_max_attempts": 1})


def refusal(call: Any) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_who_am_i(running: Any) -> None:
    identity = running.client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::111122223333:user/admin"
    assert running.client("iam").get_user()["User"]["UserId"] == identity["UserId"]


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        pytest.param("sts", "get_caller_identity", (403, "SignatureDoesNotMatch"), id="query"),
        pytest.param("ec2", "describe_vpcs", (401, "AuthFailure"), id="ec2"),
        pytest.param("logs", "describe_log_groups", (400, "InvalidSignatureException"), id="json"),
        pytest.param("eks", "list_clusters", (403, "InvalidSignatureException"), id="rest-json"),
        pytest.param("s3", "list_buckets", (403, "SignatureDoesNotMatch"), id="rest-xml"),
    ],
)
def test_wrong_secret(running: Any, service: str, operation: str, expected: tuple[int, str]) -> None:
    client = running.client(service, aws_secret_access_key="wrong", config=ONCE)
    assert refusal(getattr(client, operation)) == expected


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        pytest.param("sts", "get_caller_identity", (403, "InvalidClientTokenId"), id="query"),
        pytest.param("ec2", "describe_vpcs", (401, "AuthFailure"), id="ec2"),
        pytest.param("logs", "describe_log_groups", (400, "UnrecognizedClientException"), id="json"),
        pytest.param("eks", "list_clusters", (403, "UnrecognizedClientException"), id="rest-json"),
        pytest.param("s3", "list_buckets", (403, "InvalidAccessKeyId"), id="rest-xml"),
    ],
)
def test_unknown_key(running: Any, service: str, operation: str, expected: tuple[int, str]) -> None:
    client = running.client(service, aws_access_key_id="AKIAAAAAAAAAAAAAAAAA", config=ONCE)
    assert refusal(getattr(client, operation)) == expected


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        pytest.param("ec2", "describe_capacity_reservations", (501, "UnsupportedOperation"), id="operation, ec2"),
        pytest.param("autoscaling", "describe_account_limits", (501, "NotImplemented"), id="operation, query"),
        pytest.param("pricing", "describe_services", (501, "NotImplemented"), id="service, json"),
    ],
)
def test_not_implemented(running: Any, service: str, operation: str, expected: tuple[int, str]) -> None:
    assert refusal(getattr(running.client(service, config=ONCE), operation)) == expected


def test_an_iam_users_key_signs_until_it_is_inactive(running: Any) -> None:
    iam = running.client("iam")
    iam.create_user(UserName="bob")
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    sts = running.client("sts", config=ONCE, **keys)
    assert sts.get_caller_identity()["Arn"] == "arn:aws:iam::111122223333:user/bob"
    iam.update_access_key(UserName="bob", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refusal(sts.get_caller_identity) == (403, "InvalidClientTokenId")


TRUST = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
"Principal": {"AWS": "arn:aws:iam::111122223333:%s"}}]}"""


def test_assume_role(running: Any) -> None:
    iam, sts = running.client("iam"), running.client("sts", config=ONCE)
    arn = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=TRUST % "root", Path="/team/")["Role"]["Arn"]
    answer = sts.assume_role(RoleArn=arn, RoleSessionName="me")
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::111122223333:assumed-role/reader/me"
    given = answer["Credentials"]
    keys = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"]}
    session = running.client("sts", aws_session_token=given["SessionToken"], **keys)
    assert session.get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert refusal(running.client("sts", config=ONCE, **keys).get_caller_identity) == (403, "InvalidClientTokenId")
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=TRUST % "user/other")
    assert refusal(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="me")) == (403, "AccessDenied")
    nobody = "arn:aws:iam::111122223333:role/nobody"
    assert refusal(lambda: sts.assume_role(RoleArn=nobody, RoleSessionName="me")) == (403, "AccessDenied")


def test_managed_policies_are_there_when_asked_for(running: Any) -> None:
    iam = running.client("iam")
    iam.create_role(RoleName="node", AssumeRolePolicyDocument=TRUST % "root")
    arn = "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy"
    iam.attach_role_policy(RoleName="node", PolicyArn=arn)
    assert iam.list_attached_role_policies(RoleName="node")["AttachedPolicies"][0]["PolicyArn"] == arn
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    missing = "arn:aws:iam::aws:policy/NoSuchPolicy"
    assert refusal(lambda: iam.attach_role_policy(RoleName="node", PolicyArn=missing))[1] == "NoSuchEntity"


def test_objects_in_chunks(running: Any) -> None:
    """The SDK sends `aws-chunked` bodies with a checksum behind them."""
    s3 = running.client("s3", config=Config(s3={"addressing_style": "path"}))
    s3.create_bucket(Bucket="things", CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    s3.put_object(
        Bucket="things", Key="a b/ü+?.txt", Body=b"x" * 70_000, ChecksumAlgorithm="CRC32", Metadata={"k": "v"}
    )
    got = s3.get_object(Bucket="things", Key="a b/ü+?.txt")
    assert (got["Body"].read(), got["Metadata"]) == (b"x" * 70_000, {"k": "v"})
    head = s3.head_object(Bucket="things", Key="a b/ü+?.txt")
    assert head["ContentLength"] == 70_000
    assert refusal(lambda: s3.head_object(Bucket="things", Key="none")) == (404, "404")
