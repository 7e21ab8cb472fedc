"""Which functions there are and what types they take: the standard library of CEL and what Kubernetes adds, as a table.

A line is an overload: `name(string, A) bool` of a function, `string.name(int) bool` of a method. Single capitals stand
for any type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from terrarium.kube.api.cel.types import Type, variable

OPERATORS = """
_&&_(bool, bool) bool
_||_(bool, bool) bool
!_(bool) bool
_?_:_(bool, A, A) A
_==_(A, A) bool
_!=_(A, A) bool
@in(A, list(A)) bool
@in(A, map(A, B)) bool
_[_](list(A), int) A
_[_](map(A, B), A) B
_[_](optional_type(list(A)), int) optional_type(A)
_[_](optional_type(map(A, B)), A) optional_type(B)
_[?_](list(A), int) optional_type(A)
_[?_](map(A, B), A) optional_type(B)
_[?_](optional_type(list(A)), int) optional_type(A)
_[?_](optional_type(map(A, B)), A) optional_type(B)
-_(int) int
-_(double) double
_+_(int, int) int
_+_(uint, uint) uint
_+_(double, double) double
_+_(string, string) string
_+_(bytes, bytes) bytes
_+_(list(A), list(A)) list(A)
_+_(timestamp, duration) timestamp
_+_(duration, timestamp) timestamp
_+_(duration, duration) duration
_-_(int, int) int
_-_(uint, uint) uint
_-_(double, double) double
_-_(timestamp, timestamp) duration
_-_(timestamp, duration) timestamp
_-_(duration, duration) duration
_*_(int, int) int
_*_(uint, uint) uint
_*_(double, double) double
_/_(int, int) int
_/_(uint, uint) uint
_/_(double, double) double
_%_(int, int) int
_%_(uint, uint) uint
"""

STANDARD = """
size(string) int
size(bytes) int
size(list(A)) int
size(map(A, B)) int
string.size() int
bytes.size() int
list(A).size() int
map(A, B).size() int
type(A) type
dyn(A) dyn
bool(bool) bool
bool(string) bool
bytes(bytes) bytes
bytes(string) bytes
double(double) double
double(int) double
double(uint) double
double(string) double
duration(duration) duration
duration(string) duration
duration(int) duration
int(int) int
int(double) int
int(uint) int
int(duration) int
int(timestamp) int
int(string) int
string(string) string
string(bool) string
string(bytes) string
string(double) string
string(int) string
string(uint) string
string(duration) string
string(timestamp) string
timestamp(timestamp) timestamp
timestamp(string) timestamp
timestamp(int) timestamp
uint(uint) uint
uint(double) uint
uint(int) uint
uint(string) uint
string.contains(string) bool
string.endsWith(string) bool
string.startsWith(string) bool
string.matches(string) bool
matches(string, string) bool
optional.none() optional_type(A)
optional.of(A) optional_type(A)
optional.ofNonZeroValue(A) optional_type(A)
optional_type(A).hasValue() bool
optional_type(A).value() A
optional_type(A).or(optional_type(A)) optional_type(A)
optional_type(A).orValue(A) A
"""
_CLOCK = "getDate getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds"

STRINGS = """
string.charAt(int) string
string.indexOf(string) int
string.indexOf(string, int) int
string.lastIndexOf(string) int
string.lastIndexOf(string, int) int
string.lowerAscii() string
string.upperAscii() string
string.replace(string, string) string
string.replace(string, string, int) string
string.split(string) list(string)
string.split(string, int) list(string)
string.substring(int) string
string.substring(int, int) string
string.trim() string
string.format(list(dyn)) string
strings.quote(string) string
list(string).join() string
list(string).join(string) string
string.reverse() string
sets.contains(list(A), list(A)) bool
sets.equivalent(list(A), list(A)) bool
sets.intersects(list(A), list(A)) bool
"""

KUBERNETES = """
list(A).isSorted() bool
list(A).min() A
list(A).max() A
list(A).indexOf(A) int
list(A).lastIndexOf(A) int
list(int).sum() int
list(uint).sum() uint
list(double).sum() double
list(duration).sum() duration
string.find(string) string
string.findAll(string) list(string)
string.findAll(string, int) list(string)
url(string) kubernetes.URL
isURL(string) bool
kubernetes.URL.getScheme() string
kubernetes.URL.getHost() string
kubernetes.URL.getHostname() string
kubernetes.URL.getPort() string
kubernetes.URL.getEscapedPath() string
kubernetes.URL.getQuery() map(string, list(string))
quantity(string) kubernetes.Quantity
isQuantity(string) bool
kubernetes.Quantity.sign() int
kubernetes.Quantity.isInteger() bool
kubernetes.Quantity.asInteger() int
kubernetes.Quantity.asApproximateFloat() double
kubernetes.Quantity.add(kubernetes.Quantity) kubernetes.Quantity
kubernetes.Quantity.add(int) kubernetes.Quantity
kubernetes.Quantity.sub(kubernetes.Quantity) kubernetes.Quantity
kubernetes.Quantity.sub(int) kubernetes.Quantity
kubernetes.Quantity.compareTo(kubernetes.Quantity) int
kubernetes.Quantity.isGreaterThan(kubernetes.Quantity) bool
kubernetes.Quantity.isLessThan(kubernetes.Quantity) bool
ip(string) net.IP
isIP(string) bool
ip.isCanonical(string) bool
string(net.IP) string
net.IP.family() int
net.IP.isUnspecified() bool
net.IP.isLoopback() bool
net.IP.isLinkLocalMulticast() bool
net.IP.isLinkLocalUnicast() bool
net.IP.isGlobalUnicast() bool
cidr(string) net.CIDR
isCIDR(string) bool
string(net.CIDR) string
net.CIDR.ip() net.IP
net.CIDR.masked() net.CIDR
net.CIDR.prefixLength() int
net.CIDR.containsIP(net.IP) bool
net.CIDR.containsIP(string) bool
net.CIDR.containsCIDR(net.CIDR) bool
net.CIDR.containsCIDR(string) bool
semver(string) kubernetes.Semver
semver(string, bool) kubernetes.Semver
isSemver(string) bool
isSemver(string, bool) bool
kubernetes.Semver.major() int
kubernetes.Semver.minor() int
kubernetes.Semver.patch() int
kubernetes.Semver.compareTo(kubernetes.Semver) int
kubernetes.Semver.isGreaterThan(kubernetes.Semver) bool
kubernetes.Semver.isLessThan(kubernetes.Semver) bool
format.named(string) optional_type(kubernetes.NamedFormat)
kubernetes.NamedFormat.validate(string) optional_type(list(string))
format.dns1123Label() kubernetes.NamedFormat
format.dns1123Subdomain() kubernetes.NamedFormat
format.dns1035Label() kubernetes.NamedFormat
format.qualifiedName() kubernetes.NamedFormat
format.dns1123LabelPrefix() kubernetes.NamedFormat
format.dns1123SubdomainPrefix() kubernetes.NamedFormat
format.dns1035LabelPrefix() kubernetes.NamedFormat
format.labelValue() kubernetes.NamedFormat
format.uri() kubernetes.NamedFormat
format.uuid() kubernetes.NamedFormat
format.byte() kubernetes.NamedFormat
format.date() kubernetes.NamedFormat
format.datetime() kubernetes.NamedFormat
"""

_A = "kubernetes.authorization."
AUTHORIZER = f"""
{_A}Authorizer.path(string) {_A}PathCheck
{_A}PathCheck.check(string) {_A}Decision
{_A}Authorizer.group(string) {_A}GroupCheck
{_A}Authorizer.serviceAccount(string, string) {_A}Authorizer
{_A}GroupCheck.resource(string) {_A}ResourceCheck
{_A}ResourceCheck.subresource(string) {_A}ResourceCheck
{_A}ResourceCheck.namespace(string) {_A}ResourceCheck
{_A}ResourceCheck.name(string) {_A}ResourceCheck
{_A}ResourceCheck.fieldSelector(string) {_A}ResourceCheck
{_A}ResourceCheck.labelSelector(string) {_A}ResourceCheck
{_A}ResourceCheck.check(string) {_A}Decision
{_A}Decision.errored() bool
{_A}Decision.error() string
{_A}Decision.allowed() bool
{_A}Decision.reason() string
"""

NAMESPACES = frozenset({"optional", "strings", "sets", "ip", "format"})
"""First parts of function names that look like methods: `sets.contains(a, b)`."""
_NUMBERS = ("int", "uint", "double")
_ORDERED = ("bool", "string", "bytes", "timestamp", "duration")


@dataclass(frozen=True, slots=True)
class Overload:
    method: bool
    args: tuple[Type, ...]
    """Of a method the first is what it is called on."""
    result: Type


@lru_cache(maxsize=1)
def functions() -> Mapping[str, tuple[Overload, ...]]:
    """All overloads by name."""
    lines = [
        line for text in (OPERATORS, STANDARD, STRINGS, KUBERNETES, AUTHORIZER) for line in text.split("\n") if line
    ]
    for sign in ("<", "<=", ">", ">="):
        lines += [f"_{sign}_({a}, {a}) bool" for a in _ORDERED]
        lines += [f"_{sign}_({a}, {b}) bool" for a in _NUMBERS for b in _NUMBERS]
    for name in _CLOCK.split():
        lines += [f"timestamp.{name}() int", f"timestamp.{name}(string) int"]
    lines += [f"duration.{name}() int" for name in ("getHours", "getMinutes", "getSeconds", "getMilliseconds")]
    found: dict[str, list[Overload]] = {}
    for line in lines:
        name, overload = _overload(line)
        found.setdefault(name, []).append(overload)
    return {name: tuple(overloads) for name, overloads in found.items()}


def _overload(line: str) -> tuple[str, Overload]:
    end = _closing(line)
    result = _type(line[end + 1 :].strip())
    opened = _opening(line, end)
    head, args = line[:opened], _args(line[opened + 1 : end])
    dot = _method_dot(head)
    if dot < 0:
        return head, Overload(False, tuple(map(_type, args)), result)
    return head[dot + 1 :], Overload(True, (_type(head[:dot]), *map(_type, args)), result)


def _closing(line: str) -> int:
    """Where the arguments end: the last `)` that is followed by a blank and the result at depth 0."""
    depth = 0
    for index, letter in enumerate(line):
        depth += (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0 and line[index + 1] == " ":
            return index
    raise AssertionError(line)


def _opening(line: str, end: int) -> int:
    depth = 0
    for index in range(end, -1, -1):
        depth += (line[index] == ")") - (line[index] == "(")
        if depth == 0:
            return index
    raise AssertionError(line)


def _method_dot(head: str) -> int:
    dot = head.rfind(".")
    return -1 if dot < 0 or head[:dot] in NAMESPACES else dot


def _args(text: str) -> list[str]:
    found, depth, last = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(text[last:index])
            last = index + 1
    return [*found, text[last:]] if text else []


def _type(text: str) -> Type:
    text = text.strip()
    if re.fullmatch("[A-Z]", text):
        return variable(text)
    if "(" in text:
        name, _, rest = text.partition("(")
        return Type(name, tuple(map(_type, _args(rest[:-1]))))
    return Type(text)
