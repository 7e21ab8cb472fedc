"""Kubernetes' own types in CEL: URLs, quantities, addresses and networks, versions, named formats, authorisation checks."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from terrarium.kube.api import names
from terrarium.kube.api.cel.operators import Function, no_overload
from terrarium.kube.api.cel.values import NONE, EvalError, Optional, Timestamp
from terrarium.kube.api.quantity import NANO, Quantity, QuantityError


@dataclass(frozen=True, slots=True)
class Url:
    text: str
    cel_type: ClassVar[str] = "kubernetes.URL"


@dataclass(frozen=True, slots=True)
class Amount:
    quantity: Quantity
    cel_type: ClassVar[str] = "kubernetes.Quantity"

    def __str__(self) -> str:
        return str(self.quantity)


@dataclass(frozen=True, slots=True)
class Address:
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address
    cel_type: ClassVar[str] = "net.IP"

    def __str__(self) -> str:
        return str(self.ip)


@dataclass(frozen=True, slots=True)
class Network:
    network: ipaddress.IPv4Interface | ipaddress.IPv6Interface
    cel_type: ClassVar[str] = "net.CIDR"

    def __str__(self) -> str:
        return str(self.network)


@dataclass(frozen=True, slots=True)
class Semver:
    major: int
    minor: int
    patch: int
    pre: tuple[str, ...]
    cel_type: ClassVar[str] = "kubernetes.Semver"

    def order(self, other: Semver) -> int:
        mine, theirs = (self.major, self.minor, self.patch), (other.major, other.minor, other.patch)
        if mine != theirs:
            return 1 if mine > theirs else -1
        if not self.pre or not other.pre:
            return bool(other.pre) - bool(self.pre)
        left, right = [_part(p) for p in self.pre], [_part(p) for p in other.pre]
        return (left > right) - (left < right)


def _part(text: str) -> tuple[int, int, str]:
    """Numbers come before words, in the order of their values."""
    return (0, int(text), "") if text.isdigit() else (1, 0, text)


@dataclass(frozen=True, slots=True)
class Format:
    name: str
    check: Callable[[str], list[str]]
    cel_type: ClassVar[str] = "kubernetes.NamedFormat"


@dataclass(frozen=True, slots=True)
class Check:
    """An authorisation question while it is put together; `ask` answers it."""

    ask: Callable[[Check], Decision]
    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    account: str = ""
    """`system:serviceaccount:ns:name` when it is not about who asks."""
    field_selector: str = ""
    label_selector: str = ""
    cel_type: ClassVar[str] = "kubernetes.authorization.Authorizer"


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""
    error: str = ""
    cel_type: ClassVar[str] = "kubernetes.authorization.Decision"


# URLs


def _url(text: Any) -> Url:
    if not isinstance(text, str):
        raise no_overload()
    if not _is_url(text):
        raise EvalError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return Url(text)


def _is_url(text: Any) -> bool:
    if not isinstance(text, str):
        raise no_overload()
    if re.search(r"[\x00-\x1f\x7f ]|%(?![0-9A-Fa-f]{2})", text):
        return False
    absolute = re.match(r"[a-zA-Z][a-zA-Z0-9+.\-]*:", text)
    if not absolute and not text.startswith("/"):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return not (absolute and not parts.netloc and not parts.path.startswith("/"))


def _host(url: Url) -> str:
    return urlsplit(url.text).netloc.rpartition("@")[2]


def _hostname(url: Url) -> str:
    host = _host(url)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _port(url: Url) -> str:
    port = urlsplit(url.text).port
    return "" if port is None else str(port)


def _path(url: Url) -> str:
    return quote(unquote(urlsplit(url.text).path), safe="/~!$&'()*+,;=:@-._")


# Quantities


def _amount(text: Any) -> Amount:
    if not isinstance(text, str):
        raise no_overload()
    try:
        return Amount(Quantity.parse(text))
    except QuantityError as error:
        raise EvalError(str(error)) from None


def _nanos(value: Any) -> int:
    if isinstance(value, Amount):
        return value.quantity.nanos
    if isinstance(value, int):
        return int(value) * NANO
    raise no_overload()


def _plus(a: Amount, b: Any, sign: int) -> Amount:
    return Amount(Quantity(a.quantity.nanos + sign * _nanos(b), a.quantity.format))


def _order(a: Any, b: Any) -> int:
    if isinstance(a, Semver) and isinstance(b, Semver):
        return a.order(b)
    if isinstance(a, Amount):
        left, right = _nanos(a), _nanos(b)
        return (left > right) - (left < right)
    raise no_overload()


def _as_integer(value: Amount) -> int:
    nanos = value.quantity.nanos
    if nanos % NANO or not -(2**63) <= nanos // NANO < 2**63:
        raise EvalError("cannot convert value to integer")
    return nanos // NANO


# Addresses


def _address(text: Any) -> Address:
    if not isinstance(text, str):
        raise no_overload()
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise EvalError(
            f'IP Address "{text}" parse error during conversion from string: ParseAddr("{text}"): unable to parse IP'
        ) from None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        raise EvalError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id:
        raise EvalError(f'IP address "{text}" with zone value is not allowed')
    return Address(ip)


def _succeeds(run: Callable[..., Any]) -> Function:
    def answer(*args: Any) -> bool:
        if not isinstance(args[0], str):
            raise no_overload()
        try:
            run(*args)
        except EvalError:
            return False
        return True

    return answer


def _canonical(text: Any) -> bool:
    return bool(str(_address(text)) == text)


def _network(text: Any) -> Network:
    if not isinstance(text, str):
        raise no_overload()
    try:
        if "/" not in text or not text.rpartition("/")[2].isdigit():
            raise ValueError(text)
        return Network(ipaddress.ip_interface(text))
    except ValueError:
        raise EvalError(
            f'network address parse error during conversion from string: netip.ParsePrefix("{text}"): invalid'
        ) from None


def _contains_ip(held: Network, wanted: Any) -> bool:
    ip = (wanted if isinstance(wanted, Address) else _address(wanted)).ip
    return ip in held.network.network


def _contains_network(held: Network, wanted: Any) -> bool:
    other = (wanted if isinstance(wanted, Network) else _network(wanted)).network
    own = held.network.network
    return own.version == other.version and own.prefixlen <= other.network.prefixlen and bool(other.ip in own)


def _global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    broadcast = ip == ipaddress.ip_address("255.255.255.255")
    return not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local or broadcast)


def _link_local_multicast(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        return ip in ipaddress.ip_network("224.0.0.0/24")
    return ip.is_multicast and ip.packed[1] & 0x0F == 2


# Versions

_NUMBER = r"(0|[1-9]\d*)"
_WORD = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_WORD}(?:\.{_WORD})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def _semver(text: Any, normalize: bool = False) -> Semver:
    if not isinstance(text, str) or not isinstance(normalize, bool):
        raise no_overload()
    given = text
    if normalize:
        core, mark, rest = re.fullmatch(r"([^+-]*)([+-]?)(.*)", given.removeprefix("v"), re.DOTALL).groups()  # type: ignore[union-attr]
        numbers = [part.lstrip("0") or "0" if part.isdigit() else part for part in core.split(".")]
        given = ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + rest
    match = _SEMVER.fullmatch(given)
    if match is None:
        missing = given.count(".") < 2
        why = "No Major.Minor.Patch elements found" if missing else f'Invalid character(s) found in version "{text}"'
        raise EvalError(why)
    return Semver(int(match[1]), int(match[2]), int(match[3]), tuple((match[4] or "").split(".")) if match[4] else ())


# Formats


def _prefix(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """A name that something random is put behind: it may end in a hyphen."""
    return lambda text: check(text[:-1] + "a" if text.endswith("-") else text)


def _tried(run: Callable[[str], Any], message: str) -> Callable[[str], list[str]]:
    def check(text: str) -> list[str]:
        try:
            run(text)
        except (ValueError, binascii.Error):
            return [message]
        return []

    return check


FORMATS: Mapping[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns_label,
    "dns1123Subdomain": names.dns_subdomain,
    "dns1035Label": names.dns_label_1035,
    "qualifiedName": names.qualified_name,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.dns_label_1035),
    "labelValue": names.label_value,
    "uri": lambda text: [] if _is_url(text) else ["invalid URI"],
    "uuid": _tried(uuid.UUID, "does not match the UUID format"),
    "byte": _tried(lambda text: base64.b64decode(text, validate=True), "invalid base64"),
    "date": _tried(date.fromisoformat, "invalid date"),
    "datetime": _tried(Timestamp.parse, "invalid datetime"),
}


def _named(name: Any) -> Optional:
    return Optional(Format(name, FORMATS[name])) if name in FORMATS else NONE


def _validate(held: Any, text: Any) -> Optional:
    if not isinstance(held, Format) or not isinstance(text, str):
        raise no_overload()
    found = held.check(text)
    return Optional(found) if found else NONE


# Authorisation


def _step(**given: str) -> Function:
    """A method that fills in fields of a check from its arguments, in order."""

    def run(held: Any, *args: Any) -> Check:
        if not isinstance(held, Check):
            raise no_overload()
        return replace(held, **dict(zip(given, args, strict=True)))

    return run


def _group(held: Check, name: str) -> Check:
    return replace(held, group=name)


def _account(held: Check, namespace: str, name: str) -> Check:
    for value, check in ((name, names.dns_subdomain), (namespace, names.dns_label)):
        if found := check(value):
            raise EvalError(
                f"Invalid service account {'name' if check is names.dns_subdomain else 'namespace'}: {found[0]}"
            )
    return replace(held, account=f"system:serviceaccount:{namespace}:{name}")


def _ask(held: Any, verb: str) -> Decision:
    if not isinstance(held, Check):
        raise no_overload()
    question = replace(held, verb=verb)
    return question.ask(question)


def _on(kind: type, run: Callable[[Any], Any]) -> Function:
    def checked(held: Any) -> Any:
        if not isinstance(held, kind):
            raise no_overload()
        return run(held)

    return checked


EXTENSIONS: Mapping[str, Function] = {
    "url": _url,
    "isURL": _is_url,
    "getScheme": _on(Url, lambda u: urlsplit(u.text).scheme),
    "getHost": _on(Url, _host),
    "getHostname": _on(Url, _hostname),
    "getPort": _on(Url, _port),
    "getEscapedPath": _on(Url, _path),
    "getQuery": _on(Url, lambda u: parse_qs(urlsplit(u.text).query, keep_blank_values=True)),
    "quantity": _amount,
    "isQuantity": _succeeds(_amount),
    "sign": _on(Amount, lambda a: (a.quantity.nanos > 0) - (a.quantity.nanos < 0)),
    "isInteger": _on(Amount, lambda a: a.quantity.nanos % NANO == 0),
    "asInteger": _on(Amount, _as_integer),
    "asApproximateFloat": _on(Amount, lambda a: a.quantity.nanos / NANO),
    "add": lambda a, b: _plus(a, b, 1),
    "sub": lambda a, b: _plus(a, b, -1),
    "compareTo": _order,
    "isGreaterThan": lambda a, b: _order(a, b) > 0,
    "isLessThan": lambda a, b: _order(a, b) < 0,
    "isIP": _succeeds(_address),
    "ip.isCanonical": _canonical,
    "family": _on(Address, lambda a: a.ip.version),
    "isUnspecified": _on(Address, lambda a: a.ip.is_unspecified),
    "isLoopback": _on(Address, lambda a: a.ip.is_loopback),
    "isLinkLocalMulticast": _on(Address, lambda a: _link_local_multicast(a.ip)),
    "isLinkLocalUnicast": _on(Address, lambda a: a.ip.is_link_local),
    "isGlobalUnicast": _on(Address, lambda a: _global(a.ip)),
    "ip": lambda a: Address(a.network.ip) if isinstance(a, Network) else _address(a),
    "cidr": _network,
    "isCIDR": _succeeds(_network),
    "masked": _on(Network, lambda n: Network(ipaddress.ip_interface(str(n.network.network)))),
    "prefixLength": _on(Network, lambda n: n.network.network.prefixlen),
    "containsIP": _contains_ip,
    "containsCIDR": _contains_network,
    "semver": _semver,
    "isSemver": _succeeds(_semver),
    "major": _on(Semver, lambda s: s.major),
    "minor": _on(Semver, lambda s: s.minor),
    "patch": _on(Semver, lambda s: s.patch),
    "format.named": _named,
    "validate": _validate,
    **{f"format.{name}": (lambda name=name: Format(name, FORMATS[name])) for name in FORMATS},
    "path": _step(path=""),
    "group": _group,
    "serviceAccount": _account,
    "resource": _step(resource=""),
    "subresource": _step(subresource=""),
    "namespace": _step(namespace=""),
    "name": _step(name=""),
    "fieldSelector": _step(field_selector=""),
    "labelSelector": _step(label_selector=""),
    "check": _ask,
    "allowed": _on(Decision, lambda d: d.allowed),
    "reason": _on(Decision, lambda d: d.reason),
    "errored": _on(Decision, lambda d: bool(d.error)),
    "error": _on(Decision, lambda d: d.error),
}
