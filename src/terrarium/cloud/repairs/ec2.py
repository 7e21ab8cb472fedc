"""EC2's network as AWS has it: addresses inside their subnets, groups and gateways with their defaults, and refusals
where something is still in use.

moto writes an answer from the attributes of its models, so a missing field is a property more on a model's class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from terrarium.cloud.determinism import Determinism, moto
from terrarium.cloud.hooks import AwsError
from terrarium.cloud.regions import OPT_IN
from terrarium.cloud.repairs import MotoCall
from terrarium.cloud.repairs.ec2_instances import install_images, install_instances
from terrarium.cloud.repairs.patching import around, constant
from terrarium.cloud.wire import Response


class Ec2Repair:
    def install(self, determinism: Determinism) -> None:
        install_zones()
        install_addresses()
        install_vpcs()
        install_images()
        install_instances()

    def begin(self, determinism: Determinism) -> None:
        pass

    def before(self, call: MotoCall) -> None:
        if call.operation in _CHECKS:
            parameter, check = _CHECKS[call.operation]
            backend = moto("ec2.models").ec2_backends[call.account][call.region]
            check(backend, call.parameters.get(parameter, ""))

    def after(self, call: MotoCall, response: Response) -> Response:
        return response


# Zones and regions


def install_zones() -> None:
    module = moto("ec2.models.availability_zones_and_regions")
    zone = module.Zone
    zone.opt_in_status = constant("opt-in-not-required")
    zone.group_name = property(lambda self: f"{self.region_name}-zg-1")
    zone.group_long_name = property(lambda self: f"{self.region_name} 1")
    zone.network_border_group = property(lambda self: self.region_name)

    def describe(original: Callable[..., Any]) -> Callable[..., Any]:
        def describe_availability_zones(backend: Any, filters: Any = None, **rest: Any) -> Any:
            known = {"opt-in-status": "opt_in_status", "group-name": "group_name"}
            own = {k: v for k, v in (filters or {}).items() if k in known}
            others = {k: v for k, v in (filters or {}).items() if k not in known}
            zones = original(backend, others or None, **rest)
            return [z for z in zones if all(getattr(z, known[k]) in v for k, v in own.items())]

        return describe_availability_zones

    around(module.RegionsAndZonesBackend, "describe_availability_zones", describe)
    for region in module.RegionsAndZonesBackend.regions:
        if region.name in OPT_IN:
            region.opt_in_status = "not-opted-in"


# Addresses


def install_addresses() -> None:
    subnets = moto("ec2.models.subnets")
    interfaces = moto("ec2.models.elastic_network_interfaces")
    gateways = moto("ec2.models.nat_gateways")
    elastic = moto("ec2.models.elastic_ip_addresses")

    subnets.Subnet.get_available_subnet_ip = _next_address

    def make_interface(original: Callable[..., None]) -> Callable[..., None]:
        def init(self: Any, backend: Any, subnet: Any, address: Any, addresses: Any = None, **rest: Any) -> None:
            place = backend.get_subnet(subnet) if isinstance(subnet, str) else subnet
            if not address and not addresses:
                address = place.get_available_subnet_ip(self)
            original(self, backend, place, address, addresses, **rest)
            for item in self.private_ip_addresses:
                place._subnet_ips.setdefault(item["PrivateIpAddress"], self)
            if hasattr(self, "private_dns_name"):
                self.private_dns_name = private_name(self.private_ip_address, backend.region_name)
                for item in self.private_ip_addresses:
                    item["PrivateDnsName"] = private_name(item["PrivateIpAddress"], backend.region_name)

        return init

    around(interfaces.NetworkInterface, "__init__", make_interface)

    def delete_interface(original: Callable[..., None]) -> Callable[..., None]:
        def delete_network_interface(backend: Any, eni_id: str) -> None:
            eni = backend.enis.get(eni_id)
            original(backend, eni_id)
            if eni is not None:
                for item in eni.private_ip_addresses:
                    eni.subnet._subnet_ips.pop(item["PrivateIpAddress"], None)

        return delete_network_interface

    around(interfaces.NetworkInterfaceBackend, "delete_network_interface", delete_interface)

    # A gateway takes its address from its subnet through its interface, and gives both back.
    gateways.random_private_ip = lambda: None

    def make_gateway(original: Callable[..., None]) -> Callable[..., None]:
        def init(self: Any, *arguments: Any, **rest: Any) -> None:
            original(self, *arguments, **rest)
            self.private_ip = self._eni.private_ip_address
            self._eni.interface_type = "nat_gateway"
            self._eni.requester_managed = True
            self._eni.description = f"Interface for NAT Gateway {self.id}"
            self._eni.status = "in-use"

        return init

    def gateway_addresses(self: Any) -> list[dict[str, Any]]:
        return [{"isPrimary": True, "status": "succeeded", **address} for address in self.address_set]

    def delete_gateway(original: Callable[..., Any]) -> Callable[..., Any]:
        def delete_nat_gateway(backend: Any, nat_gateway_id: str) -> Any:
            gateway = backend.nat_gateways.get(nat_gateway_id)
            if gateway is None:
                raise AwsError("NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found", 400)
            if gateway.state == "deleted":
                return gateway
            for address in backend.addresses:
                if address.eni is gateway._eni:
                    backend.disassociate_address(association_id=address.association_id)
            if gateway._eni.id in backend.enis:
                backend.delete_network_interface(gateway._eni.id)
            return original(backend, nat_gateway_id)

        return delete_nat_gateway

    around(gateways.NatGateway, "__init__", make_gateway)
    gateways.NatGateway.nat_gateway_addresses = property(gateway_addresses)
    around(gateways.NatGatewayBackend, "delete_nat_gateway", delete_gateway)

    random = moto("moto_api._internal").mock_random
    elastic.random_ip = lambda: f"43.{200 + random.randint(0, 3)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
    address = elastic.ElasticAddress
    address.instance_id = property(lambda self: self.instance.id if self.instance else None)
    address.network_interface_id = property(lambda self: self.eni.id if self.eni else None)
    address.network_border_group = property(lambda self: self.ec2_backend.region_name)
    address.public_ipv4_pool = constant("amazon")


def _next_address(subnet: Any, instance: Any) -> str:
    """The lowest free address; the first four and the last are AWS's."""
    first = int(subnet.cidr.network_address) + 4
    last = int(subnet.cidr.broadcast_address) - 1
    kind = type(subnet.cidr.network_address)
    for number in range(first, last + 1):
        address = str(kind(number))
        if address not in subnet._subnet_ips:
            subnet._subnet_ips[address] = instance
            return address
    text = f"There are not enough free addresses in subnet '{subnet.id}' to satisfy the requested number of instances."
    raise AwsError("InsufficientFreeAddressesInSubnet", text, 400)


def private_name(address: str, region: str) -> str:
    """The private DNS name of an address."""
    domain = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    return f"ip-{address.replace('.', '-')}.{domain}"


# VPCs


def install_vpcs() -> None:
    vpcs = moto("ec2.models.vpcs")
    groups = moto("ec2.models.security_groups")

    def make_default(original: Callable[..., Any]) -> Callable[..., Any]:
        def create_default_vpc(backend: Any) -> Any:
            # A default VPC leads to the internet.
            vpc = original(backend)
            backend.default_vpc = vpc
            gateway = backend.create_internet_gateway()
            backend.attach_internet_gateway(gateway.id, vpc.id)
            table = next(t for t in backend.route_tables.values() if t.vpc_id == vpc.id and t.main_association_id)
            backend.create_route(table.id, "0.0.0.0/0", None, gateway_id=gateway.id)
            return vpc

        return create_default_vpc

    around(vpcs.VPCBackend, "create_default_vpc", make_default)

    def make_group(original: Callable[..., Any]) -> Callable[..., Any]:
        def create_security_group(backend: Any, *arguments: Any, **rest: Any) -> Any:
            group = original(backend, *arguments, **rest)
            if group.is_default:
                # Members of a default group may reach each other.
                members = [{"GroupId": group.id}]
                backend.authorize_security_group_ingress(
                    group.id, "-1", None, None, [], source_groups=members, vpc_id=group.vpc_id
                )
            return group

        return create_security_group

    around(groups.SecurityGroupBackend, "create_security_group", make_group)


# What is in use can't be deleted. These stand before the call, as moto's DeleteVpc uses the same methods for its own.


def check_group(backend: Any, group_id: str) -> None:
    group = backend.get_security_group_from_id(group_id)
    if group is None:
        return
    if group.is_default:
        text = f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", text, 400)
    if any(group in eni._group_set for eni in backend.enis.values()):
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object", 400)


def check_subnet(backend: Any, subnet_id: str) -> None:
    if any(eni.subnet.id == subnet_id for eni in backend.enis.values()):
        text = f"The subnet '{subnet_id}' has dependencies and cannot be deleted."
        raise AwsError("DependencyViolation", text, 400)


_CHECKS: Mapping[str, tuple[str, Callable[[Any, str], None]]] = {
    "DeleteSecurityGroup": ("GroupId", check_group),
    "DeleteSubnet": ("SubnetId", check_subnet),
}
