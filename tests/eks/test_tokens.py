"""Tokens of the real `aws eks get-token` machinery, and each check that refuses one."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from botocore.exceptions import ClientError

from terrarium.cloud.hooks import Caller
from terrarium.eks.access import AccessPolicies
from terrarium.eks.hosting import ClusterId
from terrarium.eks.tokens import EksTokens, Mapped, check_url, from_aws_auth, user_of
from terrarium.kube.api.hooks import Attributes, Unauthenticated
from terrarium.kube.client.contract import DEPLOYMENTS, PODS, SECRETS, Resource

ID = ClusterId("ap-northeast-2", "demo")


def make_token(running: Any, cluster: str = "demo", **keys: str) -> str:
    """As awscli's `eks get-token` does it."""
    sts = running.client("sts", **keys)

    def header(request: Any, **_: Any) -> None:
        request.headers["x-k8s-aws-id"] = cluster

    sts.meta.events.register("before-sign.sts.GetCallerIdentity", header)
    url = sts.generate_presigned_url("get_caller_identity", Params={}, ExpiresIn=60, HttpMethod="GET")
    return encode(url)


def encode(url: str) -> str:
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def tokens(running: Any, cluster: ClusterId = ID) -> EksTokens:
    host = running.endpoint.url.partition("://")[2]
    return EksTokens(running.eks.ground, cluster, lambda: {host})


def test_the_creator_is_admitted(running: Any, cluster: str) -> None:
    user = running.run(tokens(running).authenticate(make_token(running)))
    assert user.name == "arn:aws:iam::444455556666:user/admin"
    assert user.groups == ("system:authenticated",)
    assert user.uid.startswith("aws-iam-authenticator:444455556666:AIDA")
    assert user.extra["canonicalArn"] == ("arn:aws:iam::444455556666:user/admin",)


def test_an_assumed_role_is_its_role(running: Any, ground: Any, cluster: str) -> None:
    iam, eks = running.client("iam"), running.client("eks")
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}'
    )
    arn = iam.create_role(RoleName="dev", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    given = running.client("sts").assume_role(RoleArn=arn, RoleSessionName="me@x")["Credentials"]
    keys = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    token = make_token(running, **keys)
    with pytest.raises(Unauthenticated, match="not mapped"):
        running.run(tokens(running).authenticate(token))
    eks.create_access_entry(clusterName=cluster, principalArn=arn, kubernetesGroups=["viewers"])
    user = running.run(tokens(running).authenticate(token))
    assert user.name == "arn:aws:sts::444455556666:assumed-role/dev/me-x"
    assert user.groups == ("viewers", "system:authenticated")


def test_other_tokens_are_not_ours(running: Any) -> None:
    assert running.run(tokens(running).authenticate("eyJhbGciOi")) is None


def test_a_token_for_another_cluster(running: Any, cluster: str) -> None:
    with pytest.raises(Unauthenticated, match="error from AWS"):
        running.run(tokens(running).authenticate(make_token(running, "other")))


GOOD = (
    "https://sts.ap-northeast-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
    "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k&X-Amz-Date=20260105T100000Z&X-Amz-Expires=60"
    "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=s"
)
NOW = 1767607200.0


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        pytest.param("https:", "http:", 'unexpected scheme "http"', id="scheme"),
        pytest.param("sts.ap-northeast-2.amazonaws.com", "example.com", "unexpected hostname", id="host"),
        pytest.param("com/?", "com/x?", "unexpected path", id="path"),
        pytest.param("GetCallerIdentity", "AssumeRole", "unexpected action", id="action"),
        pytest.param("Version=", "Role=", 'non-whitelisted query parameter "role"', id="parameter"),
        pytest.param("&X-Amz-Expires", "&action=x&X-Amz-Expires", "duplicate query parameter", id="duplicate"),
        pytest.param("%3Bx-k8s-aws-id", "", "did not sign the x-k8s-aws-id", id="signed headers"),
        pytest.param("Expires=60", "Expires=901", "invalid X-Amz-Expires", id="long life"),
        pytest.param("Expires=60", "Expires=x", "invalid X-Amz-Expires", id="no number"),
        pytest.param("20260105T100000Z", "20260105", "error parsing X-Amz-Date", id="date"),
        pytest.param("20260105T100000Z", "20260105T094459Z", "15 minute expiration", id="late"),
        pytest.param("X-Amz-Signature=s", "X-Amz-Signature=" + "s" * 4096, "token is too large", id="large"),
    ],
)
def test_each_check_refuses(old: str, new: str, text: str) -> None:
    assert check_url(encode(GOOD), (), NOW)[0] == GOOD
    with pytest.raises(Unauthenticated, match=text):
        check_url(encode(GOOD.replace(old, new, 1)), (), NOW)


def test_aws_auth_lines() -> None:
    data = {"mapRoles": "- rolearn: arn:aws:iam::1:role/R\n  username: system:node:{{SessionName}}\n  groups: [a, b]\n"}
    found = from_aws_auth(data, "arn:aws:iam::1:role/R")
    assert found is not None
    assert (found.username, found.groups) == ("system:node:{{SessionName}}", ("a", "b"))
    assert from_aws_auth(data, "arn:aws:iam::1:role/S") is None
    assert from_aws_auth({"mapRoles": "{"}, "arn:aws:iam::1:role/S") is None


@pytest.mark.parametrize(
    ("policy", "namespaces", "asked", "allowed"),
    [
        ("AmazonEKSViewPolicy", ["dev-*"], ("list", PODS, "", "dev-1"), True),
        ("AmazonEKSViewPolicy", ["dev-*"], ("list", PODS, "", "prod"), False),
        ("AmazonEKSViewPolicy", [], ("get", SECRETS, "", "dev-1"), False),
        ("AmazonEKSAdminViewPolicy", [], ("get", SECRETS, "", "dev-1"), True),
        ("AmazonEKSEditPolicy", [], ("create", DEPLOYMENTS, "", "x"), True),
        ("AmazonEKSEditPolicy", [], ("create", PODS, "exec", "x"), True),
        ("AmazonEKSEditPolicy", [], ("create", Resource("rbac.authorization.k8s.io", "v1", "roles"), "", "x"), False),
        ("AmazonEKSAdminPolicy", [], ("create", Resource("rbac.authorization.k8s.io", "v1", "roles"), "", "x"), True),
        ("AmazonEKSClusterAdminPolicy", [], ("delete", Resource("", "v1", "nodes"), "", ""), True),
        ("AmazonEKSClusterAdminPolicy", [], ("get", None, "", ""), True),
        ("AmazonEKSViewPolicy", [], ("get", None, "", ""), False),
    ],
)
def test_access_policies(
    running: Any, cluster: str, policy: str, namespaces: list[str], asked: Any, allowed: bool
) -> None:
    eks, iam = running.client("eks"), running.client("iam")
    name = f"u{abs(hash((policy, tuple(namespaces), str(asked)))) % 10**9}"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    entry = {"clusterName": cluster, "principalArn": arn}
    eks.create_access_entry(**entry)
    scope = {"type": "namespace", "namespaces": namespaces} if namespaces else {"type": "cluster"}
    eks.associate_access_policy(
        **entry, policyArn=f"arn:aws:eks::aws:cluster-access-policy/{policy}", accessScope=scope
    )
    user = user_of(Caller("444455556666", arn, "AIDA", "AKIA"), Mapped(arn, ()))
    verb, resource, subresource, namespace = asked
    attributes = Attributes(user, verb, resource, subresource, namespace, path="" if resource else "/metrics")
    decision = running.run(AccessPolicies(running.eks.ground, ID).authorize(attributes))
    assert (decision.verdict == "allow") is allowed
    eks.delete_access_entry(**entry)


def test_entries_are_checked(running: Any, ground: Any, cluster: str) -> None:
    eks = running.client("eks")
    arn = running.client("iam").create_user(UserName="checked")["User"]["Arn"]
    for arguments, text in [
        (
            {"kubernetesGroups": ["system:nodes"]},
            "The kubernetes group name system:nodes is invalid, it cannot start with system",
        ),
        ({"username": "eks:x"}, 'Access Entry username cannot start with "eks:"'),
        ({"principalArn": "arn:aws:iam::444455556666:user/none"}, "The specified principalArn is invalid"),
        ({"type": "EC2_LINUX", "kubernetesGroups": ["a"]}, "does not allow kubernetesGroups"),
    ]:
        with pytest.raises(ClientError) as caught:
            eks.create_access_entry(**{"clusterName": cluster, "principalArn": arn, **arguments})
        assert text in caught.value.response["Error"]["Message"]
