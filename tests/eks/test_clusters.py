"""Clusters through a real SDK: what is filled in, what is refused, how they change and go."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def wait(eks: Any, waiter: str, **names: str) -> None:
    eks.get_waiter(waiter).wait(**names, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500})


def refusal(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_cluster_is_complete(running: Any, cluster: str) -> None:
    shown = running.client("eks").describe_cluster(name=cluster)["cluster"]
    vpc = shown["resourcesVpcConfig"]
    assert shown["status"] == "ACTIVE"
    assert shown["arn"] == "arn:aws:eks:ap-northeast-2:444455556666:cluster/demo"
    assert shown["identity"]["oidc"]["issuer"].startswith("https://oidc.eks.ap-northeast-2.amazonaws.com/id/")
    assert shown["kubernetesNetworkConfig"] == {
        "serviceIpv4Cidr": "10.100.0.0/16",
        "ipFamily": "ipv4",
        "elasticLoadBalancing": {"enabled": False},
    }
    group = running.client("ec2").describe_security_groups(GroupIds=[vpc["clusterSecurityGroupId"]])["SecurityGroups"][
        0
    ]
    assert group["GroupName"].startswith("eks-cluster-sg-demo-")
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == vpc["clusterSecurityGroupId"]
    entries = running.client("eks").list_access_entries(clusterName=cluster)["accessEntries"]
    assert "arn:aws:iam::444455556666:user/admin" in entries


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        pytest.param({"name": "demo"}, "ResourceInUseException", "Cluster already exists with name: demo", id="twice"),
        pytest.param({"name": "bad name!"}, "InvalidParameterException", "is not valid", id="name"),
        pytest.param({"version": "9.99"}, "InvalidParameterException", "unsupported Kubernetes version", id="version"),
        pytest.param({"subnets": 1}, "InvalidParameterException", "at least two different AZs", id="one zone"),
        pytest.param({"subnet": "subnet-0"}, "InvalidParameterException", "'subnet-0' does not exist", id="no subnet"),
        pytest.param({"role": "nobody"}, "InvalidParameterException", "does not exist", id="no role"),
        pytest.param({"role": "fargate"}, "InvalidParameterException", "trusted entity is not correct", id="trust"),
        pytest.param({"cidr": "10.10.0.0/16"}, "InvalidParameterException", "overlaps", id="service range"),
        pytest.param({"cidr": "8.8.0.0/16"}, "InvalidParameterException", "must be within", id="public range"),
        pytest.param({"auto": True}, "InvalidParameterException", "all either fully enabled", id="half of Auto Mode"),
    ],
)
def test_create_refused(running: Any, ground: Any, cluster: str, changes: dict[str, Any], code: str, text: str) -> None:
    subnets = ground.private[: changes.get("subnets", 2)] + ([changes["subnet"]] if "subnet" in changes else [])
    role = changes.get("role", "cluster")
    arguments: dict[str, Any] = {
        "name": changes.get("name", "another"),
        "version": changes.get("version", "1.30"),
        "roleArn": ground.role.get(role, f"arn:aws:iam::444455556666:role/{role}"),
        "resourcesVpcConfig": {"subnetIds": subnets},
    }
    if "cidr" in changes:
        arguments["kubernetesNetworkConfig"] = {"serviceIpv4Cidr": changes["cidr"]}
    if "auto" in changes:
        arguments["computeConfig"] = {"enabled": True}
    found = refusal(running.client("eks").create_cluster, **arguments)
    assert found[0] == code
    assert text in found[1]


def test_unknown_cluster(running: Any) -> None:
    expected = ("ResourceNotFoundException", "No cluster found for name: none.")
    assert refusal(running.client("eks").describe_cluster, name="none") == expected


@pytest.mark.parametrize(
    ("changes", "type"),
    [
        pytest.param(
            {"logging": {"clusterLogging": [{"types": ["api"], "enabled": True}]}}, "LoggingUpdate", id="logging"
        ),
        pytest.param(
            {"resourcesVpcConfig": {"endpointPrivateAccess": True}}, "EndpointAccessUpdate", id="endpoint access"
        ),
        pytest.param({"upgradePolicy": {"supportType": "STANDARD"}}, "UpgradePolicyUpdate", id="upgrade policy"),
        pytest.param({"version": "1.31"}, "VersionUpdate", id="version"),
    ],
)
def test_updates_are_objects(running: Any, cluster: str, changes: dict[str, Any], type: str) -> None:
    eks = running.client("eks")
    call = eks.update_cluster_version if "version" in changes else eks.update_cluster_config
    update = call(name=cluster, **changes)["update"]
    assert (update["status"], update["type"]) == ("InProgress", type)
    wait(eks, "cluster_active", name=cluster)
    assert eks.describe_update(name=cluster, updateId=update["id"])["update"]["status"] == "Successful"
    assert update["id"] in eks.list_updates(name=cluster)["updateIds"]
    before, after = changes.popitem()
    shown = eks.describe_cluster(name=cluster)["cluster"][before]
    assert shown == after if isinstance(after, str) else shown is not None


def test_a_mode_never_goes_back(running: Any, cluster: str) -> None:
    call = running.client("eks").update_cluster_config
    code, text = refusal(call, name=cluster, accessConfig={"authenticationMode": "CONFIG_MAP"})
    assert (code, "Unsupported authentication mode update" in text) == ("InvalidParameterException", True)


def test_profiles(running: Any, ground: Any, cluster: str) -> None:
    eks = running.client("eks")

    def create(name: str, subnets: list[str], role: str = "fargate", namespaces: int = 1) -> Any:
        return eks.create_fargate_profile(
            clusterName=cluster,
            fargateProfileName=name,
            podExecutionRoleArn=ground.role[role],
            subnets=subnets,
            selectors=[{"namespace": f"study-{i}"} for i in range(namespaces)],
        )["fargateProfile"]

    public = refusal(lambda: create("p", [ground.public]))
    assert public[1] == f"Subnet {ground.public} provided in Fargate Profile is not a private subnet"
    assert refusal(lambda: create("p", ground.private, namespaces=6))[0] == "InvalidParameterException"
    assert "Misconfigured PodExecutionRole Trust Policy" in refusal(lambda: create("p", ground.private, "cluster"))[1]
    made = create("p", ground.private)
    assert made["status"] == "CREATING"
    wait(eks, "fargate_profile_active", clusterName=cluster, fargateProfileName="p")
    entry = eks.describe_access_entry(clusterName=cluster, principalArn=ground.role["fargate"])["accessEntry"]
    assert (entry["type"], entry["username"]) == ("FARGATE_LINUX", "system:node:{{SessionName}}")
    assert eks.list_fargate_profiles(clusterName=cluster)["fargateProfileNames"] == ["p"]
    assert refusal(eks.delete_cluster, name=cluster)[0] == "ResourceInUseException"
    eks.delete_fargate_profile(clusterName=cluster, fargateProfileName="p")
    wait(eks, "fargate_profile_deleted", clusterName=cluster, fargateProfileName="p")


def test_addons(running: Any, cluster: str) -> None:
    from terrarium.eks.hosting import Issue

    eks = running.client("eks")
    names = {"clusterName": cluster, "addonName": "coredns"}
    wrong = refusal(eks.create_addon, **names, configurationValues='{"x": 1}')
    assert "$.x: is not defined in the schema" in wrong[1]
    eks.create_addon(**names, configurationValues='{"computeType": "Fargate"}')
    wait(eks, "addon_active", **names)
    assert running.host.addons == ["coredns"]
    running.host.issues["coredns"] = [Issue("InsufficientNumberOfReplicas", "not enough replicas")]
    assert eks.describe_addon(**names)["addon"]["status"] == "DEGRADED"
    running.host.issues.clear()
    assert eks.describe_addon(**names)["addon"]["health"]["issues"] == []
    update = eks.update_addon(**names, configurationValues="replicaCount: 3")["update"]
    wait(eks, "addon_active", **names)
    shown = eks.describe_update(name=cluster, updateId=update["id"], addonName="coredns")["update"]
    assert (shown["type"], shown["status"]) == ("AddonUpdate", "Successful")
    assert refusal(eks.create_addon, **names) == ("ResourceInUseException", "Addon already exists.")
    eks.delete_addon(**names)
    wait(eks, "addon_deleted", **names)


def test_addon_versions(running: Any) -> None:
    eks = running.client("eks")
    found = eks.describe_addon_versions(addonName="kube-proxy", kubernetesVersion="1.30")["addons"][0]["addonVersions"]
    defaults = [v["addonVersion"] for v in found if v["compatibilities"][0]["defaultVersion"]]
    assert defaults == ["v1.30.0-eksbuild.3"]
    assert all(v["addonVersion"].startswith("v1.30.") for v in found)
    schema = eks.describe_addon_configuration(addonName="coredns", addonVersion="v1.11.1-eksbuild.8")
    assert '"additionalProperties":false' in schema["configurationSchema"]


def test_nodegroups_say_why_they_have_no_nodes(running: Any, ground: Any, cluster: str) -> None:
    from terrarium.eks.hosting import Issue

    eks = running.client("eks")
    names = {"clusterName": cluster, "nodegroupName": "ng"}
    running.host.issues["ng"] = [Issue("NodeCreationFailure", "no instances")]
    eks.create_nodegroup(**names, nodeRole=ground.role["node"], subnets=ground.private)
    while (shown := eks.describe_nodegroup(**names)["nodegroup"])["status"] == "CREATING":
        pass
    assert (shown["status"], shown["health"]["issues"][0]["code"]) == ("CREATE_FAILED", "NodeCreationFailure")
    running.host.issues.clear()
    eks.update_nodegroup_config(**names, scalingConfig={"minSize": 1, "maxSize": 6, "desiredSize": 6})
    wait(eks, "nodegroup_active", **names)
    eks.delete_nodegroup(**names)
    wait(eks, "nodegroup_deleted", **names)


def test_pod_identity_and_tags(running: Any, ground: Any, cluster: str) -> None:
    eks = running.client("eks")
    subject = {"clusterName": cluster, "namespace": "n", "serviceAccount": "s", "roleArn": ground.role["pods"]}
    made = eks.create_pod_identity_association(**subject, tags={"a": "b"})["association"]
    assert refusal(eks.create_pod_identity_association, **subject)[0] == "ResourceInUseException"
    eks.tag_resource(resourceArn=made["associationArn"], tags={"c": "d"})
    eks.untag_resource(resourceArn=made["associationArn"], tagKeys=["a"])
    assert eks.list_tags_for_resource(resourceArn=made["associationArn"])["tags"] == {"c": "d"}
    eks.delete_pod_identity_association(clusterName=cluster, associationId=made["associationId"])
    assert eks.list_pod_identity_associations(clusterName=cluster)["associations"] == []


def test_a_deleted_cluster_leaves_nothing(running: Any, ground: Any) -> None:
    eks, ec2 = running.client("eks"), running.client("ec2")

    def in_vpc(name: str) -> int:
        answer = getattr(ec2, f"describe_{name}")(Filters=[{"Name": "vpc-id", "Values": [ground.vpc]}])
        return len(next(v for k, v in answer.items() if isinstance(v, list)))

    before = in_vpc("security_groups"), in_vpc("network_interfaces")
    subnets = {"subnetIds": ground.private}
    eks.create_cluster(
        name="short", roleArn=ground.role["cluster"], resourcesVpcConfig=subnets, deletionProtection=True
    )
    wait(eks, "cluster_active", name="short")
    assert in_vpc("network_interfaces") == before[1] + 2
    assert refusal(eks.delete_cluster, name="short")[0] == "InvalidRequestException"
    eks.update_cluster_config(name="short", deletionProtection=False)
    wait(eks, "cluster_active", name="short")
    assert eks.delete_cluster(name="short")["cluster"]["status"] == "DELETING"
    wait(eks, "cluster_deleted", name="short")
    assert (in_vpc("security_groups"), in_vpc("network_interfaces")) == before
