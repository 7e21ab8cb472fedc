"""Route tables, routes and associations, and the default route table of a VPC, which is adopted."""

from __future__ import annotations

import zlib
from typing import Any

from terrarium.providers.aws import tags
from terrarium.providers.aws.ec2 import created_tags, filters, one, quietly, retag, retag_id
from terrarium.providers.aws.rows import Plain, Resource, limit, nothing
from terrarium.providers.aws.session import ApiError, AwsFailure, Cloud
from terrarium.providers.aws.vpc import deleted

# argument of a route, parameter of CreateRoute
_DESTINATIONS = (
    ("cidr_block", "DestinationCidrBlock"),
    ("ipv6_cidr_block", "DestinationIpv6CidrBlock"),
    ("destination_prefix_list_id", "DestinationPrefixListId"),
)
_TARGETS = (
    ("carrier_gateway_id", "CarrierGatewayId"),
    ("core_network_arn", "CoreNetworkArn"),
    ("egress_only_gateway_id", "EgressOnlyInternetGatewayId"),
    ("gateway_id", "GatewayId"),
    ("local_gateway_id", "LocalGatewayId"),
    ("nat_gateway_id", "NatGatewayId"),
    ("network_interface_id", "NetworkInterfaceId"),
    ("transit_gateway_id", "TransitGatewayId"),
    ("vpc_endpoint_id", "VpcEndpointId"),
    ("vpc_peering_connection_id", "VpcPeeringConnectionId"),
)


def string_hash(text: str) -> int:
    """The hash that goes into ids: CRC-32 (IEEE)."""
    return zlib.crc32(text.encode())


def _table(cloud: Cloud, id: str) -> dict[str, Any] | None:
    return one(cloud, "describe_route_tables", "RouteTables", "InvalidRouteTableID.NotFound", RouteTableIds=[id])


def _routes(table: dict[str, Any]) -> list[Plain]:
    """The routes that configuration speaks of: no local ones, none propagated, none of gateway endpoints."""
    found = []
    for route in table.get("Routes") or ():
        gateway = route.get("GatewayId", "")
        if gateway == "local" or route.get("Origin") == "EnableVgwRoutePropagation":
            continue
        if route.get("DestinationPrefixListId") and gateway.startswith("vpce-"):
            continue
        shown: Plain = {name: route.get(key) or "" for name, key in (*_DESTINATIONS, *_TARGETS)}
        if gateway.startswith("vpce-"):
            shown["gateway_id"], shown["vpc_endpoint_id"] = "", gateway
        found.append(shown)
    return found


def _parameters(route: Plain) -> dict[str, str]:
    given = {key: route[name] for name, key in (*_DESTINATIONS, *_TARGETS) if route.get(name)}
    if route.get("destination_cidr_block"):
        given["DestinationCidrBlock"] = route["destination_cidr_block"]
    if route.get("destination_ipv6_cidr_block"):
        given["DestinationIpv6CidrBlock"] = route["destination_ipv6_cidr_block"]
    return given


def _destination(route: Plain) -> dict[str, str]:
    keys = {key for _, key in _DESTINATIONS}
    return {key: value for key, value in _parameters(route).items() if key in keys}


def _make_route(cloud: Cloud, operation: str, table: str, route: Plain, seconds: float) -> None:
    cloud.retry(
        lambda: cloud.call("ec2", operation, RouteTableId=table, **_parameters(route)),
        lambda failure: failure.means("InvalidTransitGatewayID.NotFound"),
        seconds,
    )


def _apply_routes(cloud: Cloud, table: str, old: list[Plain], new: list[Plain], seconds: float) -> None:
    before = {tuple(_destination(r).items()): r for r in old}
    after = {tuple(_destination(r).items()): r for r in new}
    for key in before:
        if key not in after:
            quietly(cloud, "delete_route", "InvalidRoute.NotFound", RouteTableId=table, **dict(key))
    for key, route in after.items():
        if key not in before:
            _make_route(cloud, "create_route", table, route, seconds)
        elif _parameters(before[key]) != _parameters(route):
            _make_route(cloud, "replace_route", table, route, seconds)


def _propagate(cloud: Cloud, table: str, old: list[str], new: list[str]) -> None:
    for gateway in sorted(set(old) - set(new)):
        cloud.call("ec2", "disable_vgw_route_propagation", RouteTableId=table, GatewayId=gateway)
    for gateway in sorted(set(new) - set(old)):
        cloud.call("ec2", "enable_vgw_route_propagation", RouteTableId=table, GatewayId=gateway)


def create_table(cloud: Cloud, new: Plain) -> None:
    made = cloud.call(
        "ec2", "create_route_table", VpcId=new["vpc_id"], TagSpecifications=created_tags(cloud, new, "route-table")
    )["RouteTable"]
    new["id"] = made["RouteTableId"]
    _propagate(cloud, new["id"], [], new.get("propagating_vgws") or [])
    _apply_routes(cloud, new["id"], [], new.get("route") or [], limit(new, "create"))


def read_table(cloud: Cloud, old: Plain) -> Plain | None:
    table = _table(cloud, old["id"])
    if table is None:
        return None
    owner = table.get("OwnerId") or cloud.account_id
    return {
        "id": table["RouteTableId"],
        "arn": f"arn:{cloud.partition}:ec2:{cloud.region}:{owner}:route-table/{table['RouteTableId']}",
        "owner_id": owner,
        "propagating_vgws": [v["GatewayId"] for v in table.get("PropagatingVgws") or ()],
        "route": _routes(table),
        "vpc_id": table["VpcId"],
        "tags": tags.mapping(table.get("Tags")),
    }


def update_table(cloud: Cloud, old: Plain, new: Plain) -> None:
    _propagate(cloud, new["id"], old.get("propagating_vgws") or [], new.get("propagating_vgws") or [])
    if old.get("route") != new.get("route"):
        _apply_routes(cloud, new["id"], old.get("route") or [], new.get("route") or [], limit(new, "update"))


def delete_table(cloud: Cloud, old: Plain) -> None:
    table = _table(cloud, old["id"])
    for association in (table or {}).get("Associations") or ():
        if not association.get("Main"):
            quietly(
                cloud,
                "disassociate_route_table",
                "InvalidAssociationID.NotFound",
                AssociationId=association["RouteTableAssociationId"],
            )
    deleted(cloud, "delete_route_table", "InvalidRouteTableID.NotFound", limit(old, "delete"), RouteTableId=old["id"])


TABLE = Resource("Route Table", create_table, read_table, delete_table, update_table, retag)

# --- the default table of a VPC: adopted, and forgotten on destroy


def create_default_table(cloud: Cloud, new: Plain) -> None:
    id = new["default_route_table_id"]
    table = _table(cloud, id)
    if table is None:
        raise AwsFailure(f"reading EC2 Default Route Table ({id}): couldn't find resource")
    new["id"] = id
    _propagate(
        cloud, id, [v["GatewayId"] for v in table.get("PropagatingVgws") or ()], new.get("propagating_vgws") or []
    )
    for route in _routes(table):
        quietly(cloud, "delete_route", "InvalidRoute.NotFound", RouteTableId=id, **_destination(route))
    _apply_routes(cloud, id, [], new.get("route") or [], limit(new, "create", 120))
    retag_id(cloud, id, tags.mapping(table.get("Tags")), tags.wanted(new, cloud.settings))


def read_default_table(cloud: Cloud, old: Plain) -> Plain | None:
    seen = read_table(cloud, old)
    return None if seen is None else {**seen, "default_route_table_id": seen["id"]}


DEFAULT_TABLE = Resource(
    "EC2 Default Route Table",
    create_default_table,
    read_default_table,
    nothing,
    update_table,
    retag,
    imports=lambda id: {"id": id, "default_route_table_id": id},
)

# --- single routes


def _route_destination(route: Plain) -> str:
    return str(
        route.get("destination_cidr_block")
        or route.get("destination_ipv6_cidr_block")
        or route.get("destination_prefix_list_id")
        or ""
    )


def _find_route(cloud: Cloud, old: Plain) -> dict[str, Any] | None:
    table = _table(cloud, old["route_table_id"])
    wanted = _route_destination(old)
    for route in (table or {}).get("Routes") or ():
        keys = ("DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId")
        if wanted in [route.get(key) for key in keys]:
            return dict(route)
    return None


def create_route(cloud: Cloud, new: Plain) -> None:
    destination = _route_destination(new)
    if not destination:
        raise AwsFailure(
            "one of `destination_cidr_block,destination_ipv6_cidr_block,destination_prefix_list_id` must be specified"
        )
    existing = _find_route(cloud, new)
    if existing is not None and existing.get("Origin") == "CreateRoute":
        raise AwsFailure(
            f"api error RouteAlreadyExists: Route in Route Table ({new['route_table_id']}) with destination "
            f"({destination}) already exists"
        )
    _make_route(cloud, "create_route", new["route_table_id"], new, limit(new, "create"))
    new["id"] = f"r-{new['route_table_id']}{string_hash(destination)}"
    cloud.wait(lambda: "ready" if _find_route(cloud, new) else "pending", ["ready"], ["pending"], limit(new, "create"))


def read_route(cloud: Cloud, old: Plain) -> Plain | None:
    route = _find_route(cloud, old)
    if route is None:
        return None
    gateway = route.get("GatewayId", "")
    endpoint = gateway.startswith("vpce-")
    return {
        "id": old["id"],
        **{name: route.get(key) or "" for name, key in _TARGETS},
        "gateway_id": "" if endpoint else gateway,
        "vpc_endpoint_id": gateway if endpoint else "",
        "destination_cidr_block": route.get("DestinationCidrBlock") or "",
        "destination_ipv6_cidr_block": route.get("DestinationIpv6CidrBlock") or "",
        "destination_prefix_list_id": route.get("DestinationPrefixListId") or "",
        "instance_id": route.get("InstanceId", ""),
        "instance_owner_id": route.get("InstanceOwnerId", ""),
        "origin": route.get("Origin", ""),
        "state": route.get("State", ""),
    }


def update_route(cloud: Cloud, old: Plain, new: Plain) -> None:
    changed = {n: new.get(n) for n, _ in _TARGETS if (old.get(n) or "") != (new.get(n) or "") and new.get(n)}
    target = changed or {n: new.get(n) for n, _ in _TARGETS}
    names = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")
    route = {**{n: new.get(n) for n in names}, **target}
    _make_route(cloud, "replace_route", new["route_table_id"], route, limit(new, "update"))


def delete_route(cloud: Cloud, old: Plain) -> None:
    names = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")
    try:
        cloud.call(
            "ec2", "delete_route", RouteTableId=old["route_table_id"], **_destination({n: old.get(n) for n in names})
        )
    except ApiError as failure:
        if not failure.means("InvalidRoute.NotFound", "InvalidRouteTableID.NotFound"):
            raise


def _import_route(id: str) -> Plain:
    table, _, destination = id.partition("_")
    if not destination:
        raise ValueError(f"unexpected format of ID ({id}), expected ROUTETABLEID_DESTINATION")
    name = (
        "destination_prefix_list_id"
        if destination.startswith("pl-")
        else ("destination_ipv6_cidr_block" if ":" in destination else "destination_cidr_block")
    )
    return {"id": f"r-{table}{string_hash(destination)}", "route_table_id": table, name: destination}


ROUTE = Resource("Route", create_route, read_route, delete_route, update_route, imports=_import_route)

# --- associations


def create_association(cloud: Cloud, new: Plain) -> None:
    made = cloud.retry(
        lambda: cloud.call(
            "ec2",
            "associate_route_table",
            RouteTableId=new["route_table_id"],
            SubnetId=new.get("subnet_id") or None,
            GatewayId=new.get("gateway_id") or None,
        ),
        lambda failure: failure.means("InvalidRouteTableID.NotFound"),
        limit(new, "create"),
    )
    new["id"] = made["AssociationId"]


def _association(cloud: Cloud, id: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
    table = one(
        cloud,
        "describe_route_tables",
        "RouteTables",
        Filters=filters({"association.route-table-association-id": id}),
    )
    for association in (table or {}).get("Associations") or ():
        if association["RouteTableAssociationId"] == id:
            assert table is not None
            return table, association
    return None


def read_association(cloud: Cloud, old: Plain) -> Plain | None:
    found = _association(cloud, old["id"])
    if found is None:
        return None
    table, association = found
    return {
        "id": old["id"],
        "gateway_id": association.get("GatewayId", ""),
        "route_table_id": table["RouteTableId"],
        "subnet_id": association.get("SubnetId", ""),
    }


def update_association(cloud: Cloud, old: Plain, new: Plain) -> None:
    if old["route_table_id"] == new["route_table_id"]:
        return
    answer = cloud.call(
        "ec2", "replace_route_table_association", AssociationId=old["id"], RouteTableId=new["route_table_id"]
    )
    new["id"] = answer["NewAssociationId"]
    if _association(cloud, new["id"]) is None:
        # Some stand-ins answer with the old id; the association of the subnet tells the new one.
        key, value = ("subnet-id", new["subnet_id"]) if new.get("subnet_id") else ("gateway-id", new["gateway_id"])
        table = one(cloud, "describe_route_tables", "RouteTables", Filters=filters({f"association.{key}": value}))
        for association in (table or {}).get("Associations") or ():
            if value in (association.get("SubnetId"), association.get("GatewayId")):
                new["id"] = association["RouteTableAssociationId"]


def delete_association(cloud: Cloud, old: Plain) -> None:
    quietly(cloud, "disassociate_route_table", "InvalidAssociationID.NotFound", AssociationId=old["id"])


ASSOCIATION = Resource(
    "Route Table Association",
    create_association,
    read_association,
    delete_association,
    update_association,
    imports=None,
)
