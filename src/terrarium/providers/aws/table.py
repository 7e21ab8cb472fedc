"""All types that are served, by name."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.providers.aws import eks_cluster, eks_parts, iam, place, policy_document, routes, security_groups, vpc
from terrarium.providers.aws.rows import DataSource, Resource

RESOURCES: Mapping[str, Resource] = {
    "aws_default_route_table": routes.DEFAULT_TABLE,
    "aws_ec2_tag": vpc.TAG,
    "aws_default_security_group": security_groups.DEFAULT_GROUP,
    "aws_eks_access_entry": eks_parts.ACCESS_ENTRY,
    "aws_eks_access_policy_association": eks_parts.ACCESS_POLICY,
    "aws_eks_addon": eks_parts.ADDON,
    "aws_eks_cluster": eks_cluster.CLUSTER,
    "aws_eks_fargate_profile": eks_parts.FARGATE_PROFILE,
    "aws_eks_node_group": eks_parts.NODE_GROUP,
    "aws_eks_pod_identity_association": eks_parts.POD_IDENTITY,
    "aws_security_group": security_groups.GROUP,
    "aws_security_group_rule": security_groups.RULE,
    "aws_vpc_security_group_egress_rule": security_groups.EGRESS_RULE,
    "aws_vpc_security_group_ingress_rule": security_groups.INGRESS_RULE,
    "aws_eip": vpc.ADDRESS,
    "aws_iam_instance_profile": iam.PROFILE,
    "aws_iam_openid_connect_provider": iam.OIDC,
    "aws_iam_policy": iam.POLICY,
    "aws_iam_role": iam.ROLE,
    "aws_iam_role_policy": iam.ROLE_POLICY,
    "aws_iam_role_policy_attachment": iam.ATTACHMENT,
    "aws_internet_gateway": vpc.GATEWAY,
    "aws_nat_gateway": vpc.NAT,
    "aws_route": routes.ROUTE,
    "aws_route_table": routes.TABLE,
    "aws_route_table_association": routes.ASSOCIATION,
    "aws_subnet": vpc.SUBNET,
    "aws_vpc": vpc.VPC,
}

DATA_SOURCES: Mapping[str, DataSource] = {
    "aws_availability_zones": place.ZONES,
    "aws_caller_identity": place.CALLER,
    "aws_default_tags": place.DEFAULT_TAGS,
    "aws_eks_addon_version": eks_cluster.ADDON_VERSION,
    "aws_eks_cluster": eks_cluster.CLUSTER_DATA,
    "aws_eks_cluster_auth": eks_cluster.CLUSTER_AUTH,
    "aws_iam_policy": iam.POLICY_DATA,
    "aws_iam_policy_document": policy_document.DOCUMENT,
    "aws_security_group": security_groups.GROUP_DATA,
    "aws_iam_role": iam.ROLE_DATA,
    "aws_iam_session_context": iam.SESSION_CONTEXT,
    "aws_partition": place.PARTITION,
    "aws_region": place.REGION,
    "aws_subnet": vpc.SUBNET_DATA,
    "aws_subnets": vpc.SUBNETS_DATA,
    "aws_vpc": vpc.VPC_DATA,
}
