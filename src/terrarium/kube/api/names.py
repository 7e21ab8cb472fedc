"""What names, labels and keys may look like. Each rule gives the list of its faults, in apimachinery's words."""

from __future__ import annotations

import re

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_MESSAGE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character"
)
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
SUBDOMAIN_MESSAGE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
LABEL_1035_MESSAGE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
    "end with an alphanumeric character"
)
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
QUALIFIED_MESSAGE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
LABEL_VALUE = rf"({QUALIFIED})?"
LABEL_VALUE_MESSAGE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character"
)
C_IDENTIFIER = r"[A-Za-z_][A-Za-z0-9_]*"
ENV_NAME = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
ENV_NAME_MESSAGE = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not "
    "start with a digit"
)
CONFIG_KEY = r"[-._a-zA-Z0-9]+"
CONFIG_KEY_MESSAGE = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
PERCENT = r"[0-9]+%"
WILDCARD = rf"\*\.{SUBDOMAIN}"
WILDCARD_MESSAGE = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower "
    "case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
)


def regex_error(message: str, pattern: str, *examples: str) -> str:
    """`message (e.g. 'a',  or 'b', regex used for validation is '…')`."""
    if not examples:
        return f"{message} (regex used for validation is '{pattern}')"
    shown = "e.g. " + "".join(f"{' or ' if at else ''}'{example}', " for at, example in enumerate(examples))
    return f"{message} ({shown}regex used for validation is '{pattern}')"


def too_long(limit: int) -> str:
    return f"must be no more than {limit} characters"


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def dns_label(text: str) -> list[str]:
    """RFC 1123 label, up to 63 characters."""
    faults = [too_long(63)] if len(text) > 63 else []
    if not _fits(LABEL, text):
        if _fits(SUBDOMAIN, text):
            faults.append("must not contain dots")
        else:
            faults.append(regex_error(LABEL_MESSAGE, LABEL, "my-name", "123-abc"))
    return faults


def dns_subdomain(text: str) -> list[str]:
    """RFC 1123 subdomain, up to 253 characters."""
    faults = [too_long(253)] if len(text) > 253 else []
    if not _fits(SUBDOMAIN, text):
        faults.append(regex_error(SUBDOMAIN_MESSAGE, SUBDOMAIN, "example.com"))
    return faults


def dns_label_1035(text: str) -> list[str]:
    faults = [too_long(63)] if len(text) > 63 else []
    if not _fits(LABEL_1035, text):
        faults.append(regex_error(LABEL_1035_MESSAGE, LABEL_1035, "my-name", "abc-123"))
    return faults


def wildcard_subdomain(text: str) -> list[str]:
    faults = [too_long(253)] if len(text) > 253 else []
    if not _fits(WILDCARD, text):
        faults.append(regex_error(WILDCARD_MESSAGE, WILDCARD, "*.example.com"))
    return faults


def qualified_name(text: str) -> list[str]:
    """A label key, an annotation key in lower case, a resource name: `[prefix/]name`."""
    faults: list[str] = []
    parts = text.split("/")
    if len(parts) > 2:
        return [
            "a qualified name "
            + regex_error(QUALIFIED_MESSAGE, QUALIFIED, "MyName", "my.name", "123-abc")
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        ]
    name = parts[-1]
    if len(parts) == 2:
        if not parts[0]:
            faults.append("prefix part must be non-empty")
        else:
            faults += [f"prefix part {fault}" for fault in dns_subdomain(parts[0])]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append(f"name part {too_long(63)}")
    if not _fits(QUALIFIED, name):
        faults.append("name part " + regex_error(QUALIFIED_MESSAGE, QUALIFIED, "MyName", "my.name", "123-abc"))
    return faults


def label_value(text: str) -> list[str]:
    faults = [too_long(63)] if len(text) > 63 else []
    if not _fits(LABEL_VALUE, text):
        faults.append(regex_error(LABEL_VALUE_MESSAGE, LABEL_VALUE, "MyValue", "my_value", "12345"))
    return faults


def env_var_name(text: str) -> list[str]:
    faults: list[str] = []
    if not _fits(ENV_NAME, text):
        faults.append(regex_error(ENV_NAME_MESSAGE, ENV_NAME, "my.env-name", "MY_ENV.NAME", "MyEnvName1"))
    return faults + _no_dots(text)


def relaxed_env_var_name(text: str) -> list[str]:
    """The rule since 1.32: printable ASCII but `=`."""
    if text == "":
        return ["environment variable name must be a non-empty string"]
    if not re.fullmatch(r"[ -<>-~]+", text):
        return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]
    return []


def config_map_key(text: str) -> list[str]:
    faults = [too_long(253)] if len(text) > 253 else []
    if not _fits(CONFIG_KEY, text):
        faults.append(regex_error(CONFIG_KEY_MESSAGE, CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    return faults + _no_dots(text)


def _no_dots(text: str) -> list[str]:
    if text == ".":
        return ["must not be '.'"]
    if text == "..":
        return ["must not be '..'"]
    return ["must not start with '..'"] if text.startswith("..") else []


def path_segment(text: str) -> list[str]:
    """Names that only must not break a URL (Roles, for one)."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in text]


def port_name(text: str) -> list[str]:
    """The name of a port (IANA service name)."""
    faults: list[str] = []
    if len(text) > 15:
        faults.append("must be no more than 15 characters")
    if not _fits(r"[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search(r"[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text and ("-" in (text[0], text[-1])):
        faults.append("must not begin or end with a hyphen")
    return faults


def port_number(value: int) -> list[str]:
    return [] if 1 <= value <= 65535 else ["must be between 1 and 65535, inclusive"]


def finalizer(text: str) -> list[str]:
    return qualified_name(text)


def fully_qualified_name(text: str) -> list[str]:
    """A domain with at least two segments; empty text is "Required" and the caller's to say."""
    faults = dns_subdomain(text)
    if faults:
        return faults
    if len(text.split(".")) < 2:
        return ["should be a domain with at least two segments separated by dots"]
    return []
