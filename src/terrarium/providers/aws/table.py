"""All types that are served, by name."""

from __future__ import annotations

from collections.abc import Mapping

from terrarium.providers.aws import iam, place, routes, vpc
from terrarium.providers.aws.rows import DataSource, Resource

RESOURCES: Mapping[str, Resource] = {
    "aws_default_route_table": routes.DEFAULT_TABLE,
    "aws_ec2_tag": vpc.TAG,
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
    "aws_iam_policy": iam.POLICY_DATA,
    "aws_iam_role": iam.ROLE_DATA,
    "aws_iam_session_context": iam.SESSION_CONTEXT,
    "aws_partition": place.PARTITION,
    "aws_region": place.REGION,
    "aws_subnet": vpc.SUBNET_DATA,
    "aws_subnets": vpc.SUBNETS_DATA,
    "aws_vpc": vpc.VPC_DATA,
}
