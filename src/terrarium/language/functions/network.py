"""Arithmetic of IP networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from terrarium.language.functions.arguments import big, whole
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters
from terrarium.language.types import NUMBER, STRING, List, Type
from terrarium.language.values import Value

_ALL_BITS = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Network:
    """`first` is the first address, `bits` 32 or 128, `prefix` the length of the network part."""

    first: int
    prefix: int
    bits: int

    def __str__(self) -> str:
        return f"{address(self.first, self.bits)}/{self.prefix}"


def address(number: int, bits: int) -> str:
    """As Go prints it: an IPv4 address in IPv6 form is shown as IPv4."""
    if bits == 32:
        return str(ipaddress.IPv4Address(number))
    if number >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(number))


def parse(text: str) -> Network:
    """FunctionError in Go's words. Leading zeros in IPv4 addresses are decimal, as they always were in Terraform."""
    host, slash, length = text.partition("/")
    bad = FunctionError(f"invalid CIDR expression: invalid CIDR address: {text}")
    if not slash or not re.fullmatch(r"[0-9]{1,3}", length):
        raise bad
    try:
        if ":" in host:
            if "%" in host:
                raise bad
            number, bits = int(ipaddress.IPv6Address(host)), 128
        else:
            parts = host.split(".")
            if len(parts) != 4 or not all(re.fullmatch(r"[0-9]+", p) and int(p) < 256 for p in parts):
                raise bad
            number, bits = int.from_bytes(bytes(int(p) for p in parts), "big"), 32
    except ValueError:
        raise bad from None
    prefix = int(length)
    if prefix > bits:
        raise bad
    rest = bits - prefix
    return Network(number >> rest << rest, prefix, bits)


def _host(values: Sequence[Value], _: Type) -> Value:
    number, network = big(values[1]), parse(values[0].data)
    most = (1 << (network.bits - network.prefix)) - 1
    # go-cidr looks at the lowest 64 bits of the number, as a signed one.
    checked = number & _ALL_BITS
    checked -= (checked >> 63) << 64
    if number < 0:
        checked = -number - 1
        number = most - checked
    if checked > most:
        raise FunctionError(f"prefix of {network.prefix} does not accommodate a host numbered {number}")
    # It takes an IPv4 address in IPv6 form for one of 32 bits here.
    whole_number = network.first | number << (96 if _mapped(network) else 0)
    if whole_number >> network.bits:
        raise FunctionError(f"prefix of {network.prefix} does not accommodate a host numbered {number}")
    return Value(STRING, address(whole_number, network.bits))


def _mapped(network: Network) -> bool:
    """Whether this is an IPv4 network written as one of IPv6."""
    return network.bits == 128 and network.first >> 32 == 0xFFFF


def _netmask(values: Sequence[Value], _: Type) -> Value:
    network = parse(values[0].data)
    if network.bits != 32 and not _mapped(network):
        raise FunctionError(f"IPv6 addresses cannot have a netmask: {values[0].data}")
    size = 1 << network.bits
    return Value(STRING, address(size - (1 << (network.bits - network.prefix)), network.bits))


def _subnet(values: Sequence[Value], _: Type) -> Value:
    new_bits, number, network = whole(values[1]), big(values[2]), parse(values[0].data)
    length = network.prefix + new_bits
    if length > network.bits:
        raise FunctionError(f"insufficient address space to extend prefix of {network.prefix} by {new_bits}")
    # go-cidr compares the lowest 64 bits of the number's size, and lets a negative one fill the bits above.
    most = (1 << new_bits) - 1 if 0 <= new_bits < 64 else _ALL_BITS
    if abs(number) & _ALL_BITS > most:
        raise FunctionError(f"prefix extension of {new_bits} does not accommodate a subnet numbered {number}")
    if length < 0:
        if number:
            raise FunctionError(f"prefix of {network.prefix} cannot be extended by {new_bits}")
        return Value(STRING, "<nil>")
    first = abs(network.first | number << (network.bits - length)) & ((1 << network.bits) - 1)
    subnet = Network(first, length, network.bits)
    if _mapped(subnet) and length >= 96:
        subnet = Network(first & 0xFFFFFFFF, length - 96, 32)
    return Value(STRING, str(subnet))


def _subnets(values: Sequence[Value], type: Type) -> Value:
    try:
        network = parse(values[0].data)
    except FunctionError as wrong:
        raise ArgumentError(0, str(wrong)) from None
    end = network.first + (1 << (network.bits - network.prefix))
    next_free = network.first
    found: list[Value] = []
    for i, value in enumerate(values[1:], 1):
        extra = whole(value, i)
        if extra < 1:
            raise ArgumentError(i, "must extend prefix by at least one bit")
        if extra > 32:
            raise ArgumentError(i, "may not extend prefix by more than 32 bits")
        length = network.prefix + extra
        if length > network.bits:
            protocol = "IPv4" if network.bits == 32 else "IPv6"
            message = f"would extend prefix to {length} bits, which is too long for an {protocol} address"
            raise ArgumentError(i, message)
        size = 1 << (network.bits - length)
        start = -(-next_free // size) * size
        # The first is found by going back one and forward again, which go-cidr can't do from the lowest address.
        if start + size > end or not (found or network.first):
            after = (
                found[-1].data
                if found
                else str(Network((network.first - size) % (1 << network.bits), length, network.bits))
            )
            message = f"not enough remaining address space for a subnet with a prefix of {length} bits after {after}"
            raise ArgumentError(i, message)
        found.append(Value(STRING, str(Network(start, length, network.bits))))
        next_free = start + size
    return Value(type, tuple(found))


FUNCTIONS: Mapping[str, Function] = {
    "cidrhost": Function(parameters(("prefix", STRING), ("hostnum", NUMBER)), STRING, _host),
    "cidrnetmask": Function(parameters(("prefix", STRING)), STRING, _netmask),
    "cidrsubnet": Function(parameters(("prefix", STRING), ("newbits", NUMBER), ("netnum", NUMBER)), STRING, _subnet),
    "cidrsubnets": Function(
        parameters(("prefix", STRING)), List(STRING), _subnets, variadic=Parameter("newbits", NUMBER)
    ),
}
