"""Flow control: FlowSchemas and PriorityLevelConfigurations."""

from __future__ import annotations

import math
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation.fields import Errors, Raw, items

VERBS = ("connect", "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch")
_HIGHEST = 10_000
_MOST_QUEUES = 10_000_000
_MOST_BITS = 60
_SUBJECTS = {"User": "user", "Group": "group", "ServiceAccount": "serviceAccount"}


def flow_schema(errors: Errors, obj: Obj, context: Context) -> None:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name") or ""
    rank = spec.get("matchingPrecedence") or 0
    if rank <= 0:
        errors.invalid("spec.matchingPrecedence", rank, "must be a positive value")
    if rank > _HIGHEST:
        errors.invalid("spec.matchingPrecedence", rank, f"must not be greater than {_HIGHEST}")
    if rank == 1 and name != "exempt":
        text = "only the schema named 'exempt' may have matchingPrecedence 1"
        errors.invalid("spec.matchingPrecedence", rank, text)
    method = spec.get("distinguisherMethod")
    if method is not None:
        errors.one_of("spec.distinguisherMethod.type", method.get("type"), ("ByNamespace", "ByUser"))
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    if level:
        errors.invalids("spec.priorityLevelConfiguration.name", level, names.dns_subdomain(level))
    else:
        errors.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    for where, rule in items(spec.get("rules"), "spec.rules"):
        _rule(errors, rule, where)


def _rule(errors: Errors, rule: Obj, path: str) -> None:
    if not rule.get("subjects"):
        errors.required(f"{path}.subjects", "subjects must contain at least one value")
    for where, subject in items(rule.get("subjects"), f"{path}.subjects"):
        _subject(errors, subject, where)
    if not rule.get("resourceRules") and not rule.get("nonResourceRules"):
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty")
    for where, held in items(rule.get("resourceRules"), f"{path}.resourceRules"):
        _resources(errors, held, where)
    for where, held in items(rule.get("nonResourceRules"), f"{path}.nonResourceRules"):
        _paths(errors, held, where)


def _subject(errors: Errors, subject: Obj, path: str) -> None:
    kind = subject.get("kind") or ""
    if kind not in _SUBJECTS:
        errors.unsupported(f"{path}.kind", kind, sorted(_SUBJECTS))
        return
    for other, field in _SUBJECTS.items():
        if other != kind and subject.get(field) is not None:
            errors.forbidden(f"{path}.{field}", f"{field} is forbidden when subject kind is not '{other}'")
    held = subject.get(_SUBJECTS[kind])
    where = f"{path}.{_SUBJECTS[kind]}"
    if held is None:
        errors.required(where, f"{_SUBJECTS[kind]} is required when subject kind is '{kind}'")
        return
    if not held.get("name"):
        errors.required(f"{where}.name")
    elif kind == "ServiceAccount" and held["name"] != "*":
        errors.invalids(f"{where}.name", held["name"], names.dns_subdomain(held["name"]))
    if kind == "ServiceAccount":
        if not held.get("namespace"):
            errors.required(f"{where}.namespace", "must specify namespace for service account")
        else:
            errors.invalids(f"{where}.namespace", held["namespace"], names.dns_label(held["namespace"]))


def _wild(errors: Errors, held: list[str], path: str, missing: str, others: str) -> bool:
    """A list that is needed, in which `*` stands alone. Whether its values are to be looked at."""
    if not held:
        errors.required(path, missing)
        return False
    if "*" in held:
        if len(held) > 1:
            errors.invalid(path, Raw(gotext.strings(held)), f"if '*' is present, must not specify other {others}")
        return False
    return True


def _verbs(errors: Errors, held: list[str], path: str) -> None:
    plain = _wild(errors, held, path, "verbs must contain at least one value", "verbs")
    if plain and not set(held) <= set(VERBS):
        errors.unsupported(path, Raw(gotext.strings(held)), VERBS)


def _resources(errors: Errors, rule: Obj, path: str) -> None:
    _verbs(errors, rule.get("verbs") or [], f"{path}.verbs")
    groups, resources = rule.get("apiGroups") or [], rule.get("resources") or []
    _wild(errors, groups, f"{path}.apiGroups", "resource rules must supply at least one api group", "api groups")
    _wild(errors, resources, f"{path}.resources", "resource rules must supply at least one resource", "resources")
    spaces = rule.get("namespaces") or []
    if not spaces and rule.get("clusterScope"):
        return
    missing = "resource rules that are not cluster scoped must supply at least one namespace"
    if _wild(errors, spaces, f"{path}.namespaces", missing, "namespaces"):
        for index, name in enumerate(spaces):
            errors.invalids(f"{path}.namespaces[{index}]", name, names.dns_label(name))


def _paths(errors: Errors, rule: Obj, path: str) -> None:
    _verbs(errors, rule.get("verbs") or [], f"{path}.verbs")
    held = rule.get("nonResourceURLs") or []
    where = f"{path}.nonResourceURLs"
    if _wild(errors, held, where, "nonResourceURLs must contain at least one value", "non-resource URLs"):
        for index, text in enumerate(held):
            _path(errors, text, f"{where}[{index}]")


def _path(errors: Errors, text: str, path: str) -> None:
    if not text:
        errors.invalid(path, text, "must not be empty")
    elif text == "/":
        return
    elif not text.startswith("/"):
        errors.invalid(path, text, "must start with slash")
    elif " " in text:
        errors.invalid(path, text, "must not contain white-space")
    elif "//" in text:
        errors.invalid(path, text, "must not contain double slash")
    elif "*" in text and text != "/*" and not (text.count("*") == 1 and text.endswith("/*")):
        errors.invalid(path, text, "wildcard can only do suffix matching")


def priority_level(errors: Errors, obj: Obj, context: Context) -> None:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name") or ""
    kind, limited, exempt = spec.get("type") or "", spec.get("limited"), spec.get("exempt")
    if (name == "exempt") != (kind == "Exempt"):
        errors.invalid("spec.type", kind, "type must be 'Exempt' if and only if `name` is 'exempt'")
    if kind == "Exempt":
        if limited is not None:
            errors.forbidden("spec.limited", "must be nil if the type is not Limited")
    elif kind == "Limited":
        if exempt is not None:
            errors.forbidden("spec.exempt", "must be nil if the type is Limited")
        if limited is None:
            errors.required("spec.limited", "must not be empty when type is Limited")
        else:
            _limited(errors, limited, "spec.limited")
    else:
        errors.unsupported("spec.type", kind, ("Exempt", "Limited"))


def _limited(errors: Errors, held: Obj, path: str) -> None:
    shares = held.get("nominalConcurrencyShares")
    if shares is not None and shares < 0:
        errors.invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    response = held.get("limitResponse") or {}
    where, queuing = f"{path}.limitResponse", response.get("queuing")
    match response.get("type") or "":
        case "Reject":
            if queuing is not None:
                errors.forbidden(f"{where}.queuing", "must be nil if limited.limitResponse.type is not Limited")
        case "Queue":
            if queuing is None:
                text = "must not be empty if limited.limitResponse.type is Limited"
                errors.required(f"{where}.queuing", text)
            else:
                _queuing(errors, queuing, f"{where}.queuing")
        case other:
            errors.unsupported(f"{where}.type", other, ("Queue", "Reject"))
    percent: Any = held.get("lendablePercent")
    if percent is not None and not 0 <= percent <= 100:
        errors.invalid(f"{path}.lendablePercent", percent, "must be between 0 and 100, inclusive")
    limit = held.get("borrowingLimitPercent")
    if limit is not None and limit < 0:
        errors.invalid(f"{path}.borrowingLimitPercent", limit, "if specified, must be a non-negative integer")


def _queuing(errors: Errors, held: Obj, path: str) -> None:
    length, queues, hand = (held.get(name) or 0 for name in ("queueLengthLimit", "queues", "handSize"))
    if length <= 0:
        errors.invalid(f"{path}.queueLengthLimit", length, "must be positive")
    if queues <= 0:
        errors.invalid(f"{path}.queues", queues, "must be positive")
    elif queues > _MOST_QUEUES:
        errors.invalid(f"{path}.queues", queues, f"must not be greater than {_MOST_QUEUES}")
    if hand <= 0:
        errors.invalid(f"{path}.handSize", hand, "must be positive")
    elif hand > queues:
        errors.invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif _bits(queues, hand) > _MOST_BITS:
        text = f"required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {_MOST_BITS}"
        errors.invalid(f"{path}.handSize", hand, text)


def _bits(queues: int, hand: int) -> int:
    """How much randomness dealing a hand takes."""
    return math.ceil(math.log2(queues) * hand)
